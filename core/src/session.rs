//! What is replicated of one session, and how two copies of it merge.
//!
//! A session is a join of a lattice: merging is commutative, associative and idempotent, so copies that have heard the
//! same things are equal, in whatever order they heard them (P1). Its parts:
//!
//! - *Attributes* are last-writer-wins registers, one for each name and birth, where the birth is the stamp of the
//!   creation in which it was written. Of several births' registers of a name, that of the greatest birth which lasts is
//!   shown. So is the lifetime, one for each birth.
//! - *Lives*, one for each birth: who owns it, by an epoch counter that only rises, and whether that epoch expired. An
//!   expiry hides what was written in that birth, and a higher counter of the same birth voids it (P4).
//! - The *floor*: whatever was born at or below it is dead for good (P3). *Burials*: what is dead by name.
//! - *Links*: where births have moved to when the session's id was changed. What belongs to these does not stay.

mod digest;
mod ends;
mod lifetimes;
mod moves;
mod registers;

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

pub(crate) use self::{
    ends::{BURIALS_MAX, Ends},
    moves::{BIRTHS_MAX, LINKS_MAX, Link, Moves},
    registers::{Attribute, Change, Content, Incoming, LifetimeRegister},
};
use crate::{
    few::Few,
    life::{EndCause, Life},
    member::MemberId,
    planted::Bug,
    stamp::Stamp,
    time::Wall,
    version::{AttributeVersion, SessionVersion},
};

/// Births of one record at the most: it takes no more of them.
pub(crate) const LIVES_MAX: usize = 128;

/// When there is no place for another attribute, places are made for one more and for this share of those that are there.
const SPARE_SHARE: usize = 4;

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// Until it is ended.
    Never,
    /// This long after its last use.
    Idle(Duration),
    /// This long after the write that said so; no use moves it.
    Fixed(Duration),
}

/// A session as its readers see it: one immutable state, cheap to hold.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Of most nothing has ended yet.
    ends: Option<Box<Ends>>,
    /// By birth. The dead ones are gone, except the greatest: it says whose the end is.
    pub(crate) lives: Few<Life>,
    /// By birth.
    pub(crate) lifetimes: Few<LifetimeRegister>,
    /// By name and birth.
    pub(crate) attributes: Vec<Attribute>,
    moves: Option<Box<Moves>>,
    bytes: usize,
    /// Attributes that were written after the creation of what they belong to.
    rewritten: usize,
}

impl Session {
    /// The value of an attribute.
    pub fn attribute(&self, name: &[u8]) -> Option<&Bytes> {
        self.shown(name)?.value.as_ref()
    }

    /// Which write of an attribute is there; `None` if there is no such attribute.
    pub fn attribute_version(&self, name: &[u8]) -> Option<AttributeVersion> {
        let attribute = self.shown(name).filter(|attribute| attribute.value.is_some())?;
        Some(AttributeVersion::new(attribute.birth, attribute.stamp))
    }

    /// What there is to see of it. It takes a walk over the attributes.
    pub fn version(&self) -> SessionVersion {
        SessionVersion::of(self)
    }

    /// The attributes, by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let seen = self.attributes.iter().enumerate().filter(|(at, attribute)| {
            let mut later = self.attributes[at + 1..].iter().take_while(|later| later.name == attribute.name);
            self.shows(attribute.birth) && !later.any(|later| self.shows(later.birth))
        });
        seen.filter_map(|(_, attribute)| Some((&attribute.name, attribute.value.as_ref()?)))
    }

    /// How many attributes, removed ones included.
    pub(crate) fn registers(&self) -> usize {
        self.attributes.len()
    }

    /// The bytes of the attribute that a write of now would replace, removed or not, if there is one.
    pub(crate) fn register_bytes(&self, name: &[u8]) -> Option<usize> {
        self.find(name, self.head()?.birth).ok().map(|at| self.attributes[at].bytes())
    }

    /// Whether nothing of its content is held.
    pub(crate) fn is_bare(&self) -> bool {
        self.lifetimes.is_empty() && self.attributes.is_empty()
    }

    /// Whether it is there, for a reader.
    pub fn is_live(&self) -> bool {
        self.head().is_some_and(|life| self.lasts(life))
    }

    /// Who served it last.
    pub fn owner(&self) -> Option<MemberId> {
        self.head().map(|life| life.owner)
    }

    /// How often it has changed its owner since it was created; of two that claim it, the one with the greater epoch is
    /// the owner.
    pub fn epoch(&self) -> Option<u32> {
        self.head().map(|life| life.counter)
    }

    /// When it was created, by the wall clock of who created it.
    pub fn born(&self) -> Option<Wall> {
        self.head().map(|life| life.birth.wall())
    }

    /// Why it is gone; `None` while it lives.
    pub fn ended(&self) -> Option<EndCause> {
        if self.is_live() {
            return None;
        }
        match self.head().map(|life| life.birth) {
            Some(birth) if self.is_here(birth) => Some(self.expiry_cause()),
            Some(birth) if !self.ends().kills(birth) && self.is_link(birth) => Some(EndCause::Moved),
            birth => birth.and_then(|birth| self.ends().cause(birth)).or(self.ends().floor().map(|end| end.cause)),
        }
    }

    /// The bytes of all names and values, hidden ones included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether any attribute was written after the session was created.
    pub fn is_written(&self) -> bool {
        0 < self.rewritten
    }

    /// Whether it has a birth that is not dead for good, although it may have expired.
    pub(crate) fn is_unburied(&self) -> bool {
        self.lives.iter().any(|life| self.is_here(life.birth))
    }

    /// The life that counts: the greatest that lasts; if none does, the greatest that has expired; if none has, the
    /// greatest that is not dead, or the greatest.
    #[inline]
    pub(crate) fn head(&self) -> Option<&Life> {
        // Most have one life, and that is the head whatever has become of it.
        if let [life] = &self.lives[..] {
            return Some(life);
        }
        let latest = || self.lives.iter().rev();
        let lasting = || latest().find(|life| self.lasts(life));
        let unburied = || latest().find(|life| self.is_here(life.birth));
        let wanted = || latest().find(|life| self.is_wanted(life.birth));
        lasting().or_else(unburied).or_else(wanted).or(self.lives.last())
    }

    /// The birth that shows, if one does.
    pub(crate) fn lasting(&self) -> Option<Stamp> {
        self.head().filter(|life| self.lasts(life)).map(|life| life.birth)
    }

    pub(crate) fn life(&self, birth: Stamp) -> Option<&Life> {
        self.lives.binary_search_by(|life| life.birth.cmp(&birth)).ok().map(|at| &self.lives[at])
    }

    /// The births that are here and have expired, each up to the counter of its epoch.
    pub(crate) fn expired(&self) -> Vec<(Stamp, u32)> {
        let over = self.lives.iter().filter(|life| life.is_over() && self.is_here(life.birth));
        over.map(|life| (life.birth, life.counter)).collect()
    }

    pub(crate) fn lasts(&self, life: &Life) -> bool {
        !life.is_over() && self.is_here(life.birth)
    }

    fn shows(&self, birth: Stamp) -> bool {
        self.life(birth).is_some_and(|life| self.lasts(life))
    }

    /// What counts of a name, a removal too.
    fn shown(&self, name: &[u8]) -> Option<&Attribute> {
        let end = self.attributes.partition_point(|attribute| attribute.name[..] <= *name);
        let mut same = self.attributes[..end].iter().rev().take_while(|attribute| attribute.name[..] == *name);
        same.find(|attribute| self.shows(attribute.birth))
    }

    fn find(&self, name: &[u8], birth: Stamp) -> Result<usize, usize> {
        self.attributes.binary_search_by(|attribute| (&attribute.name[..], attribute.birth).cmp(&(name, birth)))
    }

    /// Merges the epoch and the expiry of one birth.
    pub(crate) fn merge_life(&mut self, other: Life) -> bool {
        match self.lives.binary_search_by(|life| life.birth.cmp(&other.birth)) {
            Ok(at) => {
                let mine = &mut self.lives[at];
                let before = *mine;
                if (mine.counter, mine.owner) < (other.counter, other.owner) {
                    (mine.counter, mine.owner) = (other.counter, other.owner);
                }
                mine.expired = mine.expired.max(other.expired);
                *mine != before
            }
            // Of the dead only the greatest is kept.
            Err(at) if at < self.lives.len() && !self.is_wanted(other.birth) => false,
            Err(_) if self.is_full() => false,
            Err(at) => {
                self.lives.insert(at, other);
                self.prune();
                true
            }
        }
    }

    /// Merges one attribute. Name and value are copied only if it wins.
    pub(crate) fn merge_attribute(&mut self, incoming: Incoming<'_>) -> bool {
        let Incoming { name, birth, stamp, value, changed } = incoming;
        if !self.is_wanted(birth) {
            return false;
        }
        match self.find(name.as_slice(), birth) {
            Ok(at) => {
                let mine = &mut self.attributes[at];
                if stamp <= mine.stamp && !(Bug::LastArrival.is_planted() && stamp < mine.stamp) {
                    if stamp == mine.stamp && mine.changed == Change::default() {
                        mine.changed = changed;
                    }
                    return false;
                }
                self.bytes -= mine.bytes();
                self.rewritten -= usize::from(mine.is_rewritten());
                (mine.stamp, mine.value) = (stamp, value.map(Content::into_bytes));
                mine.changed = mine.changed.kept(changed);
                self.bytes += mine.bytes();
                self.rewritten += usize::from(mine.is_rewritten());
            }
            Err(at) => {
                let value = value.map(Content::into_bytes);
                let attribute = Attribute { name: name.into_bytes(), birth, stamp, value, changed };
                self.bytes += attribute.bytes();
                self.rewritten += usize::from(attribute.is_rewritten());
                if self.attributes.len() == self.attributes.capacity() {
                    self.attributes.reserve_exact(1 + self.attributes.len() / SPARE_SHARE);
                }
                self.attributes.insert(at, attribute);
            }
        }
        true
    }

    /// Merges a whole copy that another brought.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        self.merge_with(other, |_| Change::default())
    }

    /// Merges what another record of this node gives away: what of it is this node's own stays so.
    pub(crate) fn merge_own(&mut self, other: &Self) -> bool {
        self.merge_with(other, |changed| changed)
    }

    fn merge_with(&mut self, other: &Self, renumber: fn(Change) -> Change) -> bool {
        let mut changed = self.merge_ends(other.ends(), other.moves());
        for life in &other.lives {
            changed |= self.merge_life(*life);
        }
        for register in &other.lifetimes {
            changed |= self.merge_lifetime(LifetimeRegister { changed: renumber(register.changed), ..*register });
        }
        for attribute in &other.attributes {
            changed |= self.merge_attribute(Incoming { changed: renumber(attribute.changed), ..attribute.into() });
        }
        changed
    }

    /// Whether what belongs to a birth is kept: it is not dead, here or where it has moved to.
    fn is_wanted(&self, birth: Stamp) -> bool {
        match self.moves.as_deref() {
            Some(moves) if moves.covers(birth) => !moves.is_dead(birth),
            Some(_) | None => self.ends.as_deref().is_none_or(|ends| !ends.kills(birth)),
        }
    }

    /// Drops what is dead.
    fn prune(&mut self) {
        if self.ends.is_none() && self.moves.is_none() {
            return;
        }
        let greatest = self.lives.last().map(|life| life.birth);
        let mut lives = core::mem::take(&mut self.lives);
        lives.retain(|life| self.is_wanted(life.birth) || Some(life.birth) == greatest);
        self.lives = lives;
        let mut lifetimes = core::mem::take(&mut self.lifetimes);
        lifetimes.retain(|register| self.is_wanted(register.birth));
        self.lifetimes = lifetimes;
        let mut attributes = core::mem::take(&mut self.attributes);
        attributes.retain(|attribute| self.is_wanted(attribute.birth));
        self.set_attributes(attributes);
    }

    /// Loses an attribute, as no rule of merging would: a planted fault.
    pub(crate) fn lose_attribute(&mut self) {
        let mut attributes = core::mem::take(&mut self.attributes);
        attributes.pop();
        self.set_attributes(attributes);
    }

    fn set_attributes(&mut self, attributes: Vec<Attribute>) {
        self.attributes = attributes;
        self.bytes = self.attributes.iter().map(Attribute::bytes).sum();
        self.rewritten = self.attributes.iter().filter(|attribute| attribute.is_rewritten()).count();
        if self.attributes.is_empty() {
            self.attributes = Vec::new();
        }
    }
}

impl PartialEq for Session {
    /// Equal in everything that is replicated.
    fn eq(&self, other: &Self) -> bool {
        let lifetime = |mine: &LifetimeRegister| (mine.birth, mine.stamp, mine.lifetime);
        self.ends == other.ends
            && self.moves == other.moves
            && self.lives == other.lives
            && self.lifetimes.iter().map(lifetime).eq(other.lifetimes.iter().map(lifetime))
            && self.attributes.len() == other.attributes.len()
            && self.attributes.iter().zip(&other.attributes).all(|(mine, theirs)| {
                (&mine.name, mine.birth, mine.stamp, &mine.value)
                    == (&theirs.name, theirs.birth, theirs.stamp, &theirs.value)
            })
    }
}

impl Eq for Session {}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        key::SessionKey,
        life::{End, Expired},
    };

    fn stamp(clock: u64) -> Stamp {
        Stamp { clock, writer: MemberId(clock % 3) }
    }

    fn life(birth: u64, counter: u32, owner: u64, expired: u32) -> Life {
        // What expired by its age is drawn too.
        let expired = Expired { counter: expired, by_age: 0 < expired && birth.is_multiple_of(2) };
        Life { birth: stamp(birth), counter, owner: MemberId(owner), expired }
    }

    /// One thing that a copy may hear.
    #[derive(Clone, Debug)]
    enum Heard {
        Floor(u64),
        Burial(u64),
        Life(u64, u32, u64, u32),
        Lifetime(u64, u64),
        Attribute(u8, u64, u64, bool),
        /// When, where to, and two births that have moved.
        Link(u64, u8, u64, u64),
    }

    fn heard() -> impl Strategy<Value = Heard> {
        prop_oneof![
            1 => (1..6_u64).prop_map(Heard::Floor),
            1 => (1..6_u64).prop_map(Heard::Burial),
            3 => (1..6_u64, 1..4_u32, 0..3_u64, 0..4_u32).prop_map(|(b, c, o, e)| Heard::Life(b, c, o, e)),
            1 => (1..6_u64, 1..9_u64).prop_map(|(b, s)| Heard::Lifetime(b, s)),
            1 => (6..9_u64, 0..2_u8, 1..6_u64, 1..6_u64).prop_map(|(a, t, b, c)| Heard::Link(a, t, b, c)),
            4 => (0..3_u8, 1..6_u64, 1..9_u64, any::<bool>()).prop_map(|(n, b, s, v)| Heard::Attribute(n, b, s, v)),
        ]
    }

    fn hear(session: &mut Session, heard: &Heard) {
        match *heard {
            Heard::Floor(at) => {
                let end = End { at: stamp(at), cause: EndCause::Ended };
                session.merge_ends(&Ends::new(Some(end), []), Moves::NONE)
            }
            Heard::Burial(at) => {
                let burial = End { at: stamp(at), cause: EndCause::Idle };
                session.merge_ends(&Ends::new(None, [burial]), Moves::NONE)
            }
            Heard::Link(at, to, one, other) => {
                let (at, to) = (stamp(at), (0 < to).then_some(SessionKey([to; 16])));
                let births = BTreeSet::from([stamp(one), stamp(other)]).into_iter().collect();
                session.add_link(Link { at, to, births })
            }
            Heard::Life(birth, counter, owner, expired) => session.merge_life(life(birth, counter, owner, expired)),
            Heard::Lifetime(birth, at) => session.merge_lifetime(LifetimeRegister {
                birth: stamp(birth),
                stamp: stamp(at),
                lifetime: Lifetime::Idle(Duration::from_secs(at)),
                until: None,
                changed: Change::default(),
            }),
            Heard::Attribute(name, birth, at, present) => {
                // A stamp is made once: it stands for one value.
                let value = [name, u8::try_from(birth + at).expect("both are small")];
                session.merge_attribute(Incoming {
                    name: Content::Slice(&[name]),
                    birth: stamp(birth),
                    stamp: stamp(at),
                    value: (present == at.is_multiple_of(2)).then_some(Content::Slice(&value)),
                    changed: Change::default(),
                })
            }
        };
    }

    /// Values that go with one stamp must not differ, or no merge could be right.
    fn consistent(heard: &[Heard]) -> Vec<Heard> {
        let fix = |heard: &Heard| match heard {
            Heard::Attribute(name, birth, at, _) => Heard::Attribute(*name, *birth, *at, true),
            Heard::Floor(_) | Heard::Burial(_) | Heard::Life(..) | Heard::Lifetime(..) | Heard::Link(..) => {
                heard.clone()
            }
        };
        heard.iter().map(fix).collect()
    }

    fn copy(heard: &[Heard]) -> Session {
        let mut session = Session::default();
        heard.iter().for_each(|heard| hear(&mut session, heard));
        session
    }

    fn merged(first: &Session, second: &Session) -> Session {
        let mut session = first.clone();
        session.merge(second);
        session
    }

    proptest! {
        /// P1: the order and the repetition of what is heard make no difference.
        #[test]
        fn copies_that_heard_the_same_are_equal(
            heard in prop::collection::vec(heard(), 0..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let heard = consistent(&heard);
            let first = copy(&heard);
            let mut second = Session::default();
            // Some of it early and out of order, then all of it backwards.
            for index in order.iter().filter(|_| !heard.is_empty()) {
                hear(&mut second, &heard[index.index(heard.len())]);
            }
            heard.iter().rev().for_each(|heard| hear(&mut second, heard));
            prop_assert_eq!(first.digest(), second.digest());
            prop_assert_eq!(first, second);
        }

        #[test]
        fn merging_is_commutative_associative_and_idempotent(
            a in prop::collection::vec(heard(), 0..8),
            b in prop::collection::vec(heard(), 0..8),
            c in prop::collection::vec(heard(), 0..8),
        ) {
            let [a, b, c] = [a, b, c].map(|heard| copy(&consistent(&heard)));
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert!(!merged(&a, &b).merge(&b));
        }

        /// P3: what an end has killed never shows again.
        #[test]
        fn nothing_born_before_an_end_comes_back(heard in prop::collection::vec(heard(), 0..16), floor in 1..6_u64) {
            let mut session = copy(&consistent(&heard));
            let spared: Vec<_> = (1..6).map(stamp).filter(|birth| session.moves().covers(*birth)).collect();
            session.end(End { at: stamp(floor), cause: EndCause::Ended });
            let here = session.movable();
            consistent(&heard).iter().for_each(|heard| hear(&mut session, heard));
            let mut births = session.attributes.iter().map(|attribute| attribute.birth);
            prop_assert!(births.all(|birth| stamp(floor) < birth || spared.contains(&birth)));
            prop_assert!(session.movable().iter().all(|birth| stamp(floor) < *birth || !here.contains(birth)));
            prop_assert_eq!(session.bytes(), session.attributes.iter().map(Attribute::bytes).sum::<usize>());
            let written = session.attributes.iter().any(|attribute| attribute.stamp != attribute.birth);
            prop_assert_eq!(session.is_written(), written);
        }
    }

    fn in_every_order(heard: &[Heard], check: impl Fn(&Session)) {
        let [a, b, c] = heard else { panic!("three things are heard") };
        for order in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            let mut session = Session::default();
            order.into_iter().for_each(|heard| hear(&mut session, heard));
            check(&session);
        }
    }

    // The traces that broke simpler merge rules: what the simulator's plans are numbered 4a to 4c.

    #[test]
    fn a_register_of_a_later_birth_wins_over_a_later_stamp_of_an_ended_one() {
        let heard = [Heard::Attribute(0, 1, 3, true), Heard::Floor(1), Heard::Attribute(0, 2, 2, true)];
        in_every_order(&heard, |session| assert_eq!(session.attributes[0].birth, stamp(2)));
    }

    #[test]
    fn an_expiry_does_not_touch_an_earlier_birth_that_lasts() {
        let heard = [Heard::Life(1, 1, 0, 0), Heard::Life(2, 1, 1, 1), Heard::Attribute(0, 1, 2, true)];
        in_every_order(&heard, |session| {
            assert_eq!(session.attributes().count(), 1);
            assert_eq!(session.owner(), Some(MemberId(0)));
            assert_eq!(session.expired(), [(stamp(2), 1)]);
        });
    }

    /// What a birth that has expired wrote must not stand in the way of one that lasts.
    #[test]
    fn an_attribute_of_an_expired_birth_does_not_shadow_that_of_an_earlier_one() {
        let lives = [Heard::Life(1, 1, 0, 0), Heard::Life(2, 1, 1, 1)];
        let mut session = copy(&lives);
        hear(&mut session, &Heard::Attribute(0, 2, 4, true));
        hear(&mut session, &Heard::Attribute(0, 1, 2, true));
        assert_eq!(session.attribute(&[0]), Some(&Bytes::from_static(&[0, 3])));
        assert_eq!(session.attributes().count(), 1);
        hear(&mut session, &Heard::Life(2, 2, 1, 0));
        assert_eq!(session.attribute(&[0]), Some(&Bytes::from_static(&[0, 6])));
        assert_eq!(session.attributes().count(), 1);
    }

    /// What a birth that has expired said of its lifetime is nothing to one that lasts.
    #[test]
    fn the_lifetime_is_that_of_the_latest_birth_which_lasts() {
        let heard = [Heard::Life(1, 1, 0, 0), Heard::Life(2, 1, 1, 0), Heard::Lifetime(1, 3), Heard::Lifetime(2, 4)];
        let mut session = copy(&heard);
        let idle = |seconds| Some(Lifetime::Idle(Duration::from_secs(seconds)));
        assert_eq!(session.lifetime(), idle(4));
        hear(&mut session, &Heard::Life(2, 1, 1, 1));
        assert_eq!(session.lifetime(), idle(3));
        hear(&mut session, &Heard::Life(1, 1, 0, 1));
        assert_eq!((session.lifetime(), session.lifetime_of(stamp(2))), (None, idle(4)));
    }

    #[test]
    fn two_expiries_of_two_births_hide_both() {
        let expiries = [Heard::Life(1, 1, 0, 1), Heard::Life(2, 1, 0, 1), Heard::Attribute(0, 2, 2, true)];
        in_every_order(&expiries, |session| {
            assert!(!session.is_live());
            assert_eq!(session.attributes().count(), 0);
        });
    }

    #[test]
    fn a_voided_expiry_brings_the_content_back() {
        let heard = [Heard::Attribute(0, 1, 2, true), Heard::Life(1, 1, 0, 1), Heard::Life(1, 2, 1, 0)];
        in_every_order(&heard, |session| assert_eq!(session.attributes().count(), 1));
    }
}
