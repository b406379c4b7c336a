//! Id changes in every order: copies of three keys, with writes, id changes, logouts, expiries and later logins on any of
//! them, against a plain list of what was done.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec,
    vec::Vec,
};
use core::time::Duration;

use proptest::prelude::*;

use super::{Brought, MakesRoom, Moving, Room, Sessions, Writing};
use crate::{
    config::Config,
    delta::Delta,
    key::SessionKey,
    life::EndCause,
    limits::Limits,
    member::MemberId,
    session::{Change, Lifetime, Link, Session},
    stamp::Stamp,
    time::Time,
};

const COPIES: usize = 3;
const KEYS: u8 = 3;
const NAMES: u8 = 2;

fn key(number: u8) -> SessionKey {
    SessionKey([number + 1; 16])
}

fn keys() -> impl Iterator<Item = SessionKey> {
    (0..KEYS).map(key)
}

/// One copy of the table, and what each other lacks of it.
#[derive(Default)]
struct Member {
    sessions: Sessions,
    clock: u64,
    change: Change,
    lacking: [BTreeMap<SessionKey, Change>; COPIES],
}

impl Member {
    fn new(me: MemberId) -> Self {
        Self { sessions: Sessions::with(Room::ordered(me), false), ..Self::default() }
    }
}

/// Records on their way, in the state in which they were sent.
#[derive(Clone)]
struct Letter {
    clock: u64,
    records: Vec<(SessionKey, Session)>,
}

/// An end that somebody made, of what was there, unless it was known to have moved.
struct Ended {
    key: SessionKey,
    kills: Kills,
    seen: BTreeSet<Stamp>,
    moved: BTreeSet<Stamp>,
}

/// What dies with what was there.
enum Kills {
    /// Whatever was born before.
    Before(Stamp),
    /// What the same members have born before.
    Named,
}

struct World {
    members: Vec<Member>,
    /// In order for each pair when `links_first`, else in any order.
    letters: BTreeMap<(usize, usize), VecDeque<Letter>>,
    /// As frames do: a link goes with what has moved along it, and streams keep their order.
    links_first: bool,
    writes: Vec<(Stamp, u8, Stamp, Vec<u8>)>,
    born_at: BTreeMap<Stamp, SessionKey>,
    links: Vec<(SessionKey, Link)>,
    ends: Vec<Ended>,
    /// What a member has ended with its own hands.
    ended: Vec<BTreeSet<Stamp>>,
}

impl World {
    fn new(links_first: bool) -> Self {
        Self {
            members: (1..=COPIES as u64).map(|me| Member::new(MemberId(me))).collect(),
            letters: BTreeMap::new(),
            links_first,
            writes: Vec::new(),
            born_at: BTreeMap::new(),
            links: Vec::new(),
            ends: Vec::new(),
            ended: vec![BTreeSet::new(); COPIES],
        }
    }

    fn stamp(&mut self, me: usize, step: u8) -> Stamp {
        self.members[me].clock += 1 + u64::from(step);
        Stamp { clock: self.members[me].clock, writer: MemberId(me as u64 + 1) }
    }

    fn step(&mut self, kind: u8, me: usize, first: u8, second: u8) {
        let (key, other) = (key(first % KEYS), key(second % KEYS));
        let live = self.members[me].sessions.record(&key).is_some_and(|session| session.is_live());
        match kind {
            0..=3 if live => self.write(me, key, second),
            4 => self.write(me, key, second),
            5..=7 => self.change_id(me, key, other, second),
            8 if live => self.commit(me, key, Delta::end(), second),
            9 if live && second < 3 => self.commit(me, key, Delta::anew(), second),
            10 if live => self.expire(me, key),
            11 => self.bury(me, key),
            12 => self.take_over(me, key),
            13..=18 => self.send(me, usize::from(second) % COPIES, first),
            _ => self.receive(me, usize::from(first), second),
        }
        self.members[me].sessions.check_table();
    }

    fn write(&mut self, me: usize, key: SessionKey, second: u8) {
        let (name, value) = (second % NAMES, vec![u8::try_from(self.writes.len()).expect("few")]);
        self.commit(me, key, Delta::new().set(vec![name], value.clone()), second);
        let session = self.members[me].sessions.record(&key).expect("it was written");
        let own = session.attributes.iter().find(|own| own.value.as_deref() == Some(&value[..])).expect("it is there");
        self.born_at.entry(own.birth).or_insert(key);
        self.writes.push((own.birth, name, own.stamp, value));
    }

    fn commit(&mut self, me: usize, key: SessionKey, delta: Delta, step: u8) {
        let stamps = (self.stamp(me, step % 5), self.stamp(me, 0));
        let before = self.known(me, key);
        let member = &mut self.members[me];
        let change = Change(member.change.0 + 1);
        let lifetime = Lifetime::Idle(Duration::from_secs(10));
        let (me_id, makes_room) = (MemberId(me as u64 + 1), MakesRoom::No);
        let writing =
            Writing { now: Time::ZERO, me: me_id, stamps, change, lifetime, max_age: None, blind: false, makes_room };
        let limits = Limits::new(&Config::default());
        let effect = member.sessions.commit(&writing, key, delta, &limits).expect("nothing is at its limit");
        member.change = change;
        if effect.replaced.is_some() {
            self.tell_sources(me, key);
        }
        let session = self.members[me].sessions.record(&key).expect("it is there");
        if session.ends().floor().is_some_and(|end| end.at == stamps.0) {
            self.end(me, key, Kills::Before(stamps.0), before);
        }
        for life in &self.members[me].sessions.record(&key).expect("it is there").lives {
            if life.birth == stamps.1 {
                self.born_at.insert(life.birth, key);
            }
        }
        self.tell(me, key);
        self.forward(me);
    }

    /// Births of a key that a member knows, and the links.
    fn known(&self, me: usize, key: SessionKey) -> (BTreeSet<Stamp>, BTreeSet<Stamp>) {
        let Some(session) = self.members[me].sessions.record(&key) else { return Default::default() };
        let births = session.moves().links().iter().flat_map(|link| link.births.clone());
        let moved = births.filter(|birth| session.has_moved(*birth)).collect();
        (session.movable().into_iter().collect(), moved)
    }

    fn end(&mut self, me: usize, key: SessionKey, kills: Kills, (seen, moved): (BTreeSet<Stamp>, BTreeSet<Stamp>)) {
        self.ended[me].extend(&seen);
        self.ends.push(Ended { key, kills, seen, moved });
    }

    fn change_id(&mut self, me: usize, old: SessionKey, new: SessionKey, step: u8) {
        let stamp = self.stamp(me, step);
        let moving = Moving { now: Time::ZERO, me: MemberId(me as u64 + 1), stamp };
        let member = &mut self.members[me];
        if member.sessions.change_id(&moving, old, new).is_err() {
            return;
        }
        let session = member.sessions.record(&old).expect("it was there");
        let link = session.moves().links().iter().find(|link| link.at == stamp).expect("it was made");
        assert_eq!((session.ended(), session.target()), (Some(EndCause::Moved), Some(new)));
        self.links.push((old, link.clone()));
        member.change.0 += 1;
        for lacking in &mut member.lacking {
            lacking.insert(new, Change::default());
        }
        self.tell(me, old);
        self.tell_sources(me, old);
        self.forward(me);
    }

    /// Only an owner expires.
    fn expire(&mut self, me: usize, key: SessionKey) {
        self.take_over(me, key);
        self.members[me].sessions.expire(Time::ZERO, key);
        self.tell(me, key);
    }

    fn take_over(&mut self, me: usize, key: SessionKey) {
        if self.members[me].sessions.record(&key).is_some() {
            self.members[me].sessions.take_over(key, MemberId(me as u64 + 1));
            self.tell(me, key);
            self.tell_sources(me, key);
        }
    }

    fn bury(&mut self, me: usize, key: SessionKey) {
        let Some(session) = self.members[me].sessions.record(&key) else { return };
        let expired: Vec<_> = session.expired().into_iter().map(|(birth, _)| birth).collect();
        if expired.is_empty() {
            // As the node: who has nothing to bury says nothing of the key, and so needs not say where it comes from.
            return;
        }
        let (here, moved) = self.known(me, key);
        self.members[me].sessions.bury(key, &expired, EndCause::Idle);
        let left = self.known(me, key).0;
        self.end(me, key, Kills::Named, (here.difference(&left).copied().collect(), moved));
        self.tell(me, key);
        self.forward(me);
    }

    /// Who takes a session over tells where it comes from.
    fn tell_sources(&mut self, me: usize, key: SessionKey) {
        for from in self.members[me].sessions.ancestors(key) {
            self.tell(me, from);
        }
    }

    fn tell(&mut self, me: usize, key: SessionKey) {
        let change = self.members[me].change;
        for lacking in &mut self.members[me].lacking {
            let before = lacking.entry(key).or_insert(change);
            *before = (*before).min(change);
        }
    }

    fn send(&mut self, me: usize, to: usize, which: u8) {
        let lacking = &self.members[me].lacking[to];
        let Some(key) = lacking.keys().nth(usize::from(which) % lacking.len().max(1)).copied() else { return };
        let keys = if self.links_first { self.members[me].sessions.linked(key) } else { vec![key] };
        let member = &mut self.members[me];
        let mut records = Vec::new();
        for key in keys {
            let Some(from) = member.lacking[to].remove(&key) else { continue };
            let Some(session) = member.sessions.record(&key) else { continue };
            let mut session = Session::clone(session);
            session.attributes.retain(|attribute| from <= attribute.changed);
            session.lifetimes.retain(|register| from <= register.changed);
            records.push((key, session));
        }
        let letter = Letter { clock: member.clock, records };
        if me != to {
            self.letters.entry((me, to)).or_default().push_back(letter);
        }
    }

    fn receive(&mut self, me: usize, from: usize, which: u8) {
        let Some(letters) = self.letters.get_mut(&(from % COPIES, me)) else { return };
        let at = if self.links_first { 0 } else { usize::from(which) % letters.len().max(1) };
        let Some(letter) = letters.get(at).cloned() else { return };
        if which.is_multiple_of(4) {
            // It stays, and comes again.
            if !self.links_first {
                letters.swap(0, at);
            }
        } else {
            letters.remove(at);
        }
        self.members[me].clock = self.members[me].clock.max(letter.clock);
        for (key, record) in &letter.records {
            self.members[me].sessions.apply_whole(Time::ZERO, *key, record, Brought { whole: false, until: None });
            self.forward(me);
        }
        if self.links_first {
            self.check_ended(me);
        }
    }

    /// As the node does: who has something to tell of one key has something to tell of both.
    fn forward(&mut self, me: usize) {
        while let Some(moved) = self.members[me].sessions.poll_moved() {
            let member = &mut self.members[me];
            let (old, new) = (moved.from, moved.to);
            member.sessions.apply_moved(Time::ZERO, &moved);
            let from = moved.session.oldest_change().unwrap_or(member.change);
            for lacking in &mut member.lacking {
                if lacking.contains_key(&old) || lacking.contains_key(&new) {
                    lacking.entry(old).or_insert(member.change);
                    let before = lacking.entry(new).or_insert(from);
                    *before = (*before).min(from);
                }
            }
            let owner = member.sessions.record(&new).and_then(|session| session.owner());
            if owner == Some(MemberId(me as u64 + 1)) {
                self.tell_sources(me, new);
            }
        }
        self.members[me].sessions.check_table();
    }

    /// P3: what a member has ended it never sees again, under any key, unless two sessions have met under one.
    fn check_ended(&self, me: usize) {
        let targets: Vec<_> = self.links.iter().filter_map(|(from, link)| Some((link.to?, *from))).collect();
        let met = |(to, from): &(SessionKey, SessionKey)| {
            targets.iter().any(|other| other.0 == *to && other.1 != *from) || self.born_at.values().any(|key| key == to)
        };
        if targets.iter().any(met) {
            return;
        }
        for key in keys() {
            let shown = self.shown(me, key);
            assert!(self.ended[me].is_disjoint(&shown), "{me} sees under {key} what it ended: {shown:?}");
        }
    }

    fn shown(&self, me: usize, key: SessionKey) -> BTreeSet<Stamp> {
        let session = self.members[me].sessions.record(&key).filter(|session| session.is_live());
        session.map(|session| session.movable().into_iter().collect()).unwrap_or_default()
    }

    fn deliver_all(&mut self) {
        for _ in 0..1000 {
            let mut quiet = true;
            for (me, to) in (0..COPIES * COPIES).map(|pair| (pair / COPIES, pair % COPIES)) {
                while !self.members[me].lacking[to].is_empty() {
                    quiet = false;
                    self.send(me, to, 0);
                }
                while self.letters.get(&(me, to)).is_some_and(|letters| !letters.is_empty()) {
                    quiet = false;
                    self.receive(to, me, 1);
                }
            }
            if quiet {
                return;
            }
        }
        panic!("it never ends");
    }

    /// All links, with those that follow from two for one session: from one key, or one after the other.
    fn all_links(&self) -> Vec<(SessionKey, Link)> {
        let mut all = self.links.clone();
        loop {
            let mut more = Vec::new();
            for (from, lesser) in &all {
                for (other, greater) in &all {
                    let to = lesser.to.expect("it goes somewhere");
                    let shared = lesser.births.iter().any(|birth| greater.births.contains(birth));
                    let both = *other == to || (other == from && greater.to != lesser.to);
                    let follows = (to, Link { births: lesser.births.clone(), ..greater.clone() });
                    let known = all.contains(&follows) || more.contains(&follows);
                    if (lesser.at, lesser.to) < (greater.at, greater.to) && shared && both && !known {
                        more.push(follows);
                    }
                }
            }
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// P1.
    fn check_equal(&self) {
        for key in keys() {
            let [first, rest @ ..] = &self.members[..] else { panic!("there are several") };
            // Who sees to an end is not part of it.
            let record = |member: &Member| {
                let mut session = member.sessions.record(&key).map(|session| Session::clone(session))?;
                let here: BTreeSet<_> = session.movable().into_iter().collect();
                let digest = session.digest();
                session.lives.retain(|life| here.contains(&life.birth));
                Some((digest, session))
            };
            for member in rest {
                assert_eq!(record(first), record(member), "P1: {key}");
            }
        }
    }

    /// The keys that each birth has or has had.
    fn ways(&self) -> BTreeMap<Stamp, BTreeSet<SessionKey>> {
        let links = self.all_links();
        let way = |birth: &Stamp, born: &SessionKey| {
            let mut way = BTreeSet::from([*born]);
            for _ in 0..links.len() {
                let next = links.iter().filter(|(from, link)| way.contains(from) && link.births.contains(birth));
                let next: Vec<_> = next.filter_map(|(_, link)| link.to).collect();
                way.extend(next);
            }
            way
        };
        self.born_at.iter().map(|(birth, born)| (*birth, way(birth, born))).collect()
    }

    /// Where a birth is.
    fn places(&self, birth: Stamp) -> Vec<SessionKey> {
        let sessions = &self.members[0].sessions;
        let holds = |key: &SessionKey| {
            sessions.record(key).is_some_and(|session| session.is_here(birth) && session.life(birth).is_some())
        };
        keys().filter(holds).collect()
    }

    fn check_end(&self) {
        self.check_equal();
        let ways = self.ways();
        let ends_it = |end: &Ended, birth: &Stamp| {
            let killed = match end.kills {
                Kills::Before(at) => *birth <= at,
                Kills::Named => end.seen.iter().any(|named| named.writer == birth.writer && birth <= named),
            };
            ways[birth].contains(&end.key) && killed && !end.moved.contains(birth)
        };
        let is_dead = |birth: &&Stamp| self.ends.iter().any(|end| ends_it(end, birth));
        let dead: BTreeSet<_> = ways.keys().filter(is_dead).copied().collect();
        assert!(self.ends.iter().all(|end| end.seen.is_subset(&dead)), "what was ended was known");
        // An end that goes along takes what is older at the place where it arrives, and that goes along in turn.
        let mut hit = dead.clone();
        for _ in 0..ways.len() {
            let near =
                |birth: &&Stamp| hit.iter().any(|other| *birth < other && !ways[*birth].is_disjoint(&ways[other]));
            let more: Vec<_> = ways.keys().filter(near).copied().collect();
            hit.extend(more);
        }
        for birth in ways.keys() {
            let places = self.places(*birth);
            if dead.contains(birth) {
                assert_eq!(places, [], "P3: {birth:?} has ended");
            } else if !hit.contains(birth) {
                assert_eq!(places.len(), 1, "{birth:?} is in one place");
                self.check_registers(*birth, places[0]);
            }
        }
        if self.links_first {
            for (_, link) in &self.links {
                let places: BTreeSet<_> = link.births.iter().flat_map(|birth| self.places(*birth)).collect();
                assert!(places.len() <= 1, "what has moved together is in one place");
            }
        }
    }

    fn check_registers(&self, birth: Stamp, place: SessionKey) {
        let attributes = &self.members[0].sessions.record(&place).expect("it is there").attributes;
        for name in 0..NAMES {
            let writes = self.writes.iter().filter(|write| write.0 == birth && write.1 == name);
            if let Some((_, _, stamp, value)) = writes.max_by_key(|write| write.2) {
                let mut found = attributes.iter().filter(|own| own.stamp == *stamp);
                assert!(found.any(|own| own.value.as_deref() == Some(&value[..])), "{birth:?} has its last write");
            }
        }
    }
}

fn run(links_first: bool, steps: &[(u8, u8, u8, u8)]) {
    let mut world = World::new(links_first);
    // A session that everybody knows.
    world.write(0, key(0), 0);
    world.deliver_all();
    for &(kind, me, first, second) in steps {
        world.step(kind, usize::from(me), first, second);
    }
    world.deliver_all();
    world.check_end();
    if links_first {
        (0..COPIES).for_each(|me| world.check_ended(me));
    }
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u8, u8)>> {
    prop::collection::vec((0..26_u8, 0..3_u8, 0..12_u8, 0..12_u8), 0..60)
}

proptest! {
    /// P1, P3: whatever the order, and with repeats.
    #[test]
    fn id_changes_converge_in_any_order(steps in steps()) {
        run(false, &steps);
    }

    /// P1, P3: as frames travel, and then nobody ever sees again what it has ended.
    #[test]
    fn id_changes_converge_as_frames_travel(steps in steps()) {
        run(true, &steps);
    }
}
