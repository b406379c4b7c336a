//! How much the sessions take, and which of them go first when there is no room for all.
//!
//! What a change adds or takes away is counted when it is made, in O(1). Only members that end sessions to make room keep
//! them in order, by their last use as far as all who hold them know of it; a later use moves a session only when a second
//! has passed. So members that hold the same sessions have them in the same order, but for what is on its way.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{cmp::Ordering, iter::Peekable, time::Duration};

use super::{Entry, Sessions, sums::Unsummed};
use crate::{
    key::SessionKey,
    limits::{self, Load},
    member::MemberId,
    planted::Bug,
    session::Session,
    time::Time,
};

/// In the order in which they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It has expired, and is kept only because a use elsewhere may bring it back.
    Expired,
    /// No attribute was written after its creation.
    New,
    Written,
}

/// What is counted of one entry of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// `None` of what has no content.
    class: Option<Class>,
    is_own: bool,
    bytes: usize,
    /// Where it stands in the order: its last use, or up to a second before it.
    used: Time,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    load: Load,
    order: Option<Order>,
}

#[derive(Clone, Debug)]
struct Order {
    me: MemberId,
    own: BTreeSet<Place>,
    others: BTreeSet<Place>,
    /// Of the own ones.
    owned: Load,
    /// Of all that were not written after their creation.
    new: Load,
}

type Place = (Class, Time, SessionKey);

/// A later use moves a session only after so long.
const STEP: Duration = Duration::from_secs(1);
/// So many sessions are looked at in one go.
const SLICE: usize = 1024;

impl Room {
    /// One that has the sessions in order, too, as seen by this member.
    pub(crate) fn ordered(me: MemberId) -> Self {
        let (own, others) = (BTreeSet::new(), BTreeSet::new());
        let order = Order { me, own, others, owned: Load::NONE, new: Load::NONE };
        Self { load: Load::NONE, order: Some(order) }
    }

    /// A session was counted as `before` and is now this, last used then. Answers what to keep as `before`.
    fn change(&mut self, key: SessionKey, before: Counted, session: Option<&Session>, used: Option<Time>) -> Counted {
        let used = before.used.max(used.unwrap_or_default());
        let (class, bytes) = session.map_or((None, 0), |session| (Class::of(session), limits::weight(session)));
        let me = self.order.as_ref().map(|order| order.me);
        let is_own = me.is_some() && session.and_then(Session::owner) == me;
        let mut now = Counted { class, is_own, bytes, used };
        if (before.class, before.is_own) == (class, is_own) && used < before.used + STEP {
            now.used = before.used;
        }
        if now != before {
            self.load = self.load.minus(before.load()).plus(now.load());
            if let Some(order) = &mut self.order {
                order.take(key, &before);
                order.put(key, &now);
            }
        }
        now
    }
}

impl Class {
    fn of(session: &Session) -> Option<Self> {
        match (session.is_live(), session.is_written()) {
            (true, true) => Some(Self::Written),
            (true, false) => Some(Self::New),
            (false, _) => (!session.is_bare()).then_some(Self::Expired),
        }
    }
}

impl Counted {
    fn load(&self) -> Load {
        let is_live = matches!(self.class, Some(Class::New | Class::Written));
        Load { sessions: usize::from(is_live), bytes: self.bytes }
    }

    fn new_load(&self) -> Load {
        if self.class == Some(Class::New) { self.load() } else { Load::NONE }
    }

    fn own_load(&self) -> Load {
        if self.is_own { self.load() } else { Load::NONE }
    }
}

impl Order {
    fn take(&mut self, key: SessionKey, counted: &Counted) {
        if let Some(class) = counted.class {
            let found = self.places(counted).remove(&(class, counted.used, key));
            assert!(found, "what is counted is in the order");
            self.new = self.new.minus(counted.new_load());
            self.owned = self.owned.minus(counted.own_load());
        }
    }

    fn put(&mut self, key: SessionKey, counted: &Counted) {
        if let Some(class) = counted.class {
            self.places(counted).insert((class, counted.used, key));
            self.new = self.new.plus(counted.new_load());
            self.owned = self.owned.plus(counted.own_load());
        }
    }

    fn places(&mut self, counted: &Counted) -> &mut BTreeSet<Place> {
        if counted.is_own { &mut self.own } else { &mut self.others }
    }

    /// The newcomer: of those that were not written, the last to go.
    fn newest(&self) -> Option<SessionKey> {
        let until = (Class::Written, Time::ZERO, SessionKey([0; 16]));
        let last = |places: &BTreeSet<Place>| places.range(..until).next_back().copied();
        let newest = last(&self.own).max(last(&self.others))?;
        (newest.0 == Class::New).then_some(newest.2)
    }

    /// All of a class in the order in which they go, with whether they are this member's own.
    fn of_class(&self, class: Class) -> impl Iterator<Item = (SessionKey, bool)> {
        let all = (class, Time::ZERO, SessionKey([0; 16]))..;
        let of_class = move |place: &&Place| place.0 == class;
        let own = self.own.range(all.clone()).take_while(of_class).peekable();
        let others = self.others.range(all).take_while(of_class).peekable();
        Merged { own, others }
    }
}

/// The coldest of two orders first.
struct Merged<'a, One: Iterator<Item = &'a Place>, Other: Iterator<Item = &'a Place>> {
    own: Peekable<One>,
    others: Peekable<Other>,
}

impl<'a, One: Iterator<Item = &'a Place>, Other: Iterator<Item = &'a Place>> Iterator for Merged<'a, One, Other> {
    type Item = (SessionKey, bool);

    fn next(&mut self) -> Option<(SessionKey, bool)> {
        let is_own = match (self.own.peek(), self.others.peek()) {
            (Some(own), Some(other)) => own.cmp(other) == Ordering::Less,
            (own, _) => own.is_some(),
        };
        let place = if is_own { self.own.next() } else { self.others.next() }?;
        Some((place.2, is_own))
    }
}

impl Sessions {
    /// A table that counts what the sessions take like this, and notes what has changed for sums or not.
    pub(crate) fn with(room: Room, sums: bool) -> Self {
        Self { room, unsummed: sums.then(Unsummed::default), ..Self::default() }
    }

    /// What all sessions take.
    pub(crate) fn load(&self) -> Load {
        self.room.load
    }

    /// What all other sessions take.
    pub(super) fn load_but(&self, key: &SessionKey) -> Load {
        self.load().minus(self.table.get(key).map_or(Load::NONE, |entry| entry.counted.load()))
    }

    /// What all other sessions take that this member owns, if it keeps them in order.
    pub(super) fn owned_but(&self, key: &SessionKey) -> Load {
        let owned = self.room.order.as_ref().map_or(Load::NONE, |order| order.owned);
        owned.minus(self.table.get(key).map_or(Load::NONE, |entry| entry.counted.own_load()))
    }

    /// Of those that must go until there is room for an excess, wherever they live: those that this member owns. Never
    /// written ones go first, but for the newest of them, which need a place until their first write. `keep` stays. Tells
    /// whether more than a slice of them is to go.
    pub(crate) fn coldest(&self, excess: Load, reserve: Load, keep: Option<SessionKey>) -> (Vec<SessionKey>, bool) {
        let mut coldest = Vec::new();
        let Some(order) = self.room.order.as_ref().filter(|order| !order.own.is_empty()) else {
            return (coldest, false);
        };
        let newest = order.newest();
        let (mut rest, mut looked) = (excess, 0);
        let classes = match Bug::WrittenFirst.is_planted() {
            true => [Class::Expired, Class::Written, Class::New],
            false => [Class::Expired, Class::New, Class::Written],
        };
        for class in classes {
            let mut spare = if class == Class::New { order.new.minus(reserve) } else { Load::MAX };
            let mut places = order.of_class(class).filter(|(key, _)| Some(*key) != keep && Some(*key) != newest);
            while rest.min(spare) != Load::NONE && looked < SLICE {
                let Some((key, is_own)) = places.next() else { break };
                let load = self.table.get(&key).map_or(Load::NONE, |entry| entry.counted.load());
                (rest, spare, looked) = (rest.minus(load), spare.minus(load), looked + 1);
                coldest.extend(is_own.then_some(key));
            }
        }
        let more = looked == SLICE && !coldest.is_empty();
        (coldest, more)
    }

    /// The coldest of those that this member owns, as large a part of an excess as it owns of all.
    pub(crate) fn own_share(&self, excess: Load, keep: Option<SessionKey>) -> Vec<SessionKey> {
        let mut share = Vec::new();
        let Some(order) = &self.room.order else { return share };
        let mut rest = excess.share(order.owned, self.room.load);
        for (_, _, key) in order.own.iter().filter(|(_, _, key)| Some(*key) != keep).take(SLICE) {
            if rest == Load::NONE {
                break;
            }
            let load = self.table.get(key).map_or(Load::NONE, |entry| entry.counted.load());
            rest = rest.minus(load);
            share.push(*key);
        }
        share
    }

    /// Counts again what has changed of a session. `used` is its last use, if that is news.
    pub(super) fn reckon(&mut self, key: SessionKey, used: Option<Time>) {
        if let Some(entry) = self.table.get_mut(&key) {
            if let Some(unsummed) = &mut self.unsummed {
                unsummed.note(key, entry);
            }
            entry.counted = self.room.change(key, entry.counted, Some(&entry.session), used);
        }
    }

    /// Counts a session out that leaves the table.
    pub(super) fn reckon_out(&mut self, key: SessionKey, entry: &Entry) {
        if let Some(unsummed) = &mut self.unsummed {
            unsummed.note_left(key, entry);
        }
        self.room.change(key, entry.counted, None, None);
    }

    pub(super) fn check_room(&self) {
        let counted = self.table.values().map(|entry| (Class::of(&entry.session), &entry.session, entry.counted));
        let load = counted.fold(Load::NONE, |load, (class, session, counted)| {
            assert!(counted.class == class, "what a session is was counted");
            assert!(counted.bytes == limits::weight(session), "what a session takes was counted");
            load.plus(counted.load())
        });
        assert!(load == self.room.load, "what all sessions take was counted");
        if let Some(order) = &self.room.order {
            let count = self.table.values().filter(|entry| entry.counted.class.is_some()).count();
            assert!(order.own.len() + order.others.len() == count, "all that is counted is in the order");
        }
    }
}
