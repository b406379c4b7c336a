//! Copies of one session, changed anywhere, told of in deltas that are lost, repeated and out of order, and then repaired.

use alloc::{collections::BTreeMap, collections::BTreeSet, vec, vec::Vec};
use core::time::Duration;

use proptest::prelude::*;

use super::{Brought, MakesRoom, Room, Sessions, Writing};
use crate::{
    config::Config,
    delta::Delta,
    key::SessionKey,
    life::EndCause,
    limits::Limits,
    member::MemberId,
    session::{Change, Lifetime, Session},
    stamp::Stamp,
    time::Time,
};

const COPIES: usize = 3;
const KEY: SessionKey = SessionKey([1; 16]);

/// What happens, at which copy, to which other, and how.
type Step = (u8, usize, usize, u8);

#[derive(Default)]
struct World {
    copies: Vec<Sessions>,
    clock: u64,
    /// In flight: to which copy, and what.
    deltas: Vec<(usize, Session)>,
    /// What each copy has ended or buried.
    ended: Vec<BTreeSet<Stamp>>,
    /// The greatest epoch of each birth that was taken where it was not over.
    taken: BTreeMap<Stamp, u32>,
    /// The greatest epoch of each birth that expired.
    expired: BTreeMap<Stamp, u32>,
}

impl World {
    fn new() -> Self {
        let copies = (1..=COPIES as u64).map(|me| Sessions::with(Room::ordered(MemberId(me)), false)).collect();
        Self { copies, ended: vec![BTreeSet::new(); COPIES], ..Self::default() }
    }

    fn step(&mut self, (kind, me, other, how): Step) {
        let live = self.copies[me].record(&KEY).is_some_and(|session| session.is_live());
        let over = self.copies[me].record(&KEY).is_some() && !live;
        match kind {
            0..=3 => self.commit(me, Delta::new().set(vec![how % 3], vec![how]), how),
            4 if live => self.commit(me, Delta::new().remove(vec![how % 3]), how),
            5 if live => self.commit(me, Delta::end(), how),
            6 if live => self.commit(me, Delta::anew(), how),
            7 if live => self.take_over(me),
            8 | 9 if over => self.take_over(me),
            10 | 11 if live => self.expire(me),
            12 => self.bury(me),
            13..=18 => self.tell(me, other, how),
            _ => self.hear(how),
        }
        self.copies[me].check_table();
        self.check_ended();
    }

    fn stamp(&mut self, me: usize) -> Stamp {
        self.clock += 1;
        Stamp { clock: self.clock, writer: MemberId(me as u64 + 1) }
    }

    fn commit(&mut self, me: usize, delta: Delta, how: u8) {
        let ends = matches!(delta.start, crate::delta::Start::End(_) | crate::delta::Start::Anew);
        let known = self.births(me);
        let stamps = (self.stamp(me), self.stamp(me));
        let lifetime = Lifetime::Idle(Duration::from_secs(10));
        let (id, makes_room) = (MemberId(me as u64 + 1), MakesRoom::No);
        let change = Change(self.clock);
        let writing = Writing {
            now: Time::ZERO,
            me: id,
            stamps,
            change,
            lifetime,
            max_age: None,
            blind: how.is_multiple_of(7),
            makes_room,
        };
        let limits = Limits::new(&Config::default());
        self.copies[me].commit(&writing, KEY, delta, &limits).expect("nothing is at its limit");
        if ends {
            self.ended[me].extend(known);
        }
        self.note_taken(me);
    }

    fn take_over(&mut self, me: usize) {
        self.copies[me].take_over(KEY, MemberId(me as u64 + 1));
        self.note_taken(me);
    }

    /// Only an owner expires.
    fn expire(&mut self, me: usize) {
        self.take_over(me);
        self.copies[me].expire(Time::ZERO, KEY);
        let lives = self.copies[me].record(&KEY).map(|session| session.lives.clone()).unwrap_or_default();
        for life in lives.into_iter().filter(|life| life.is_over()) {
            let most = self.expired.entry(life.birth).or_default();
            *most = life.expired.counter.max(*most);
        }
    }

    fn bury(&mut self, me: usize) {
        let Some(session) = self.copies[me].record(&KEY) else { return };
        let births: Vec<_> = session.expired().into_iter().map(|(birth, _)| birth).collect();
        self.copies[me].bury(KEY, &births, EndCause::Idle);
        let session = self.copies[me].record(&KEY).expect("it was there");
        self.ended[me].extend(births.into_iter().filter(|birth| session.ends().kills(*birth)));
    }

    /// A delta of all registers, or of the latest alone.
    fn tell(&mut self, me: usize, to: usize, how: u8) {
        let Some(session) = self.copies[me].record(&KEY) else { return };
        let mut session = Session::clone(session);
        let from = Change(self.clock.saturating_sub(u64::from(how)));
        session.attributes.retain(|attribute| from <= attribute.changed);
        session.lifetimes.retain(|register| from <= register.changed);
        self.deltas.push((to, session));
    }

    /// One delta arrives, once or not for the last time, or is lost.
    fn hear(&mut self, how: u8) {
        if self.deltas.is_empty() {
            return;
        }
        let at = usize::from(how) % self.deltas.len();
        let (to, session) = self.deltas[at].clone();
        if !how.is_multiple_of(5) {
            self.apply(to, &session);
        }
        if !how.is_multiple_of(3) {
            self.deltas.swap_remove(at);
        }
    }

    fn apply(&mut self, to: usize, session: &Session) {
        self.copies[to].apply_whole(Time::ZERO, KEY, session, Brought { whole: false, until: None });
    }

    /// Everybody gets the whole of what everybody has.
    fn repair(&mut self) {
        for (me, to) in (0..COPIES * COPIES * 2).map(|pair| (pair % COPIES, pair / COPIES % COPIES)) {
            if let Some(session) = self.copies[me].record(&KEY).cloned() {
                self.apply(to, &session);
            }
        }
    }

    fn births(&self, me: usize) -> BTreeSet<Stamp> {
        let session = self.copies[me].record(&KEY);
        session.map(|session| session.lives.iter().map(|life| life.birth).collect()).unwrap_or_default()
    }

    fn note_taken(&mut self, me: usize) {
        let lives = self.copies[me].record(&KEY).map(|session| session.lives.clone()).unwrap_or_default();
        let own = lives.into_iter().filter(|life| life.owner == MemberId(me as u64 + 1) && !life.is_over());
        for life in own {
            let most = self.taken.entry(life.birth).or_default();
            *most = life.counter.max(*most);
        }
    }

    /// P3: no copy shows again what it has ended.
    fn check_ended(&self) {
        for (copy, ended) in self.copies.iter().zip(&self.ended) {
            let Some(session) = copy.record(&KEY) else { continue };
            assert!(session.attributes.iter().all(|attribute| !ended.contains(&attribute.birth)));
        }
    }

    fn check(&self) {
        let first = self.copies[0].record(&KEY);
        assert!(self.copies.iter().all(|copy| copy.record(&KEY) == first), "P1: all are equal");
        let Some(session) = first else { return };
        let ended: BTreeSet<_> = self.ended.iter().flatten().copied().collect();
        for life in session.lives.iter().filter(|life| !session.ends().kills(life.birth)) {
            assert!(!ended.contains(&life.birth), "P3: an end is not undone");
            let of = |epochs: &BTreeMap<Stamp, u32>| epochs.get(&life.birth).copied().unwrap_or_default();
            let used_since = of(&self.expired) < of(&self.taken);
            assert!(life.is_over() || used_since, "an epoch alone does not bring back what has expired");
        }
    }
}

proptest! {
    /// P1, P3: any interleaving of deltas, with repeats and losses, then repair.
    #[test]
    fn whatever_was_lost_or_repeated_repaired_copies_are_equal_and_ends_stand(
        steps in prop::collection::vec((0..28_u8, 0..COPIES, 0..COPIES, any::<u8>()), 0..60),
    ) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.repair();
        world.check();
        world.check_ended();
    }
}
