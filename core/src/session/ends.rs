//! What of a session is dead for good, and why.
//!
//! What the application ends is dead with everything that was born before: the *floor*. What has expired is buried *by
//! name*: the births that whoever buried it knew. As the clocks of two sides that never met were never compared, a birth
//! of the other side may lie below them in the order of stamps and have come after them.
//!
//! A name stands for all earlier births of its writer: who creates a session anew knows the one that it created before. So
//! there is one for each writer, and what merges is the greatest.

use alloc::vec::Vec;

use super::{LIVES_MAX, Session};
use crate::{
    life::{End, EndCause, Life},
    stamp::Stamp,
};

/// Births that this node keeps hidden until they are buried, at the most, when it creates another.
const HIDDEN_MAX: usize = 16;
/// Names of one record at the most: past it the floor rises to the lowest one.
pub(crate) const BURIALS_MAX: usize = 16;

/// The dead births of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Everything born at or below it.
    floor: Option<End>,
    /// All that the writer of each has born at or below it. Ascending, above the floor, one for each writer.
    burials: Vec<End>,
}

impl Ends {
    pub(crate) const NONE: &'static Self = &Self { floor: None, burials: Vec::new() };

    pub(crate) fn new(floor: Option<End>, burials: impl IntoIterator<Item = End>) -> Self {
        let mut ends = Self { floor, burials: Vec::new() };
        for end in burials {
            ends.bury(end);
        }
        ends
    }

    pub(crate) fn floor(&self) -> Option<End> {
        self.floor
    }

    pub(crate) fn burials(&self) -> &[End] {
        &self.burials
    }

    /// Whether a birth is dead.
    pub(crate) fn kills(&self, birth: Stamp) -> bool {
        self.cause(birth).is_some()
    }

    /// Why a birth is dead.
    pub(crate) fn cause(&self, birth: Stamp) -> Option<EndCause> {
        let named = self.burials.iter().find(|end| end.at.writer == birth.writer);
        let end = [self.floor.as_ref(), named].into_iter().flatten().find(|end| birth <= end.at)?;
        Some(end.cause)
    }

    /// Ends everything born up to a stamp.
    pub(crate) fn raise(&mut self, end: End) -> bool {
        let changed = self.floor.is_none_or(|floor| floor < end);
        if changed {
            self.floor = Some(end);
            self.burials.retain(|burial| end < *burial);
        }
        changed
    }

    /// Ends what one writer has born up to a stamp.
    pub(crate) fn bury(&mut self, end: End) -> bool {
        let known = self.burials.iter().position(|burial| burial.at.writer == end.at.writer);
        if self.floor.is_some_and(|floor| end <= floor) || known.is_some_and(|at| end <= self.burials[at]) {
            return false;
        }
        if let Some(at) = known {
            self.burials.remove(at);
        } else {
            self.burials.reserve_exact(1);
        }
        let at = self.burials.partition_point(|burial| *burial < end);
        self.burials.insert(at, end);
        if BURIALS_MAX < self.burials.len() {
            self.floor = Some(self.burials.remove(0));
        }
        true
    }

    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let mut changed = other.floor.is_some_and(|floor| self.raise(floor));
        for end in &other.burials {
            changed |= self.bury(*end);
        }
        changed
    }
}

impl Session {
    pub(crate) fn ends(&self) -> &Ends {
        self.ends.as_deref().unwrap_or(Ends::NONE)
    }

    /// Merges an end of everything born up to it.
    pub(crate) fn merge_floor(&mut self, end: End) -> bool {
        let changed = self.ends.get_or_insert_default().raise(end);
        if changed {
            self.prune();
        }
        changed
    }

    /// Ends here and now what is here and was born up to `end`; nothing that is known to have moved.
    pub(crate) fn end(&mut self, end: End) -> bool {
        self.end_at_home(|birth| birth <= end.at);
        self.merge_floor(end)
    }

    /// Whether nothing is known here of a birth, but a later one is buried.
    pub(crate) fn has_outlived(&self, birth: Stamp) -> bool {
        let known = self.life(birth).is_some() || self.ends().kills(birth) || self.moves().covers(birth);
        !known && self.ends().burials.last().is_some_and(|end| birth < end.at)
    }

    /// Buries the oldest of what has expired, if there is too much of it: a session that is created again and again must not
    /// grow while its burials wait.
    pub(crate) fn bury_oldest(&mut self) {
        let expired = self.expired();
        let Some(excess) = (expired.len() + 1).checked_sub(HIDDEN_MAX) else { return };
        let births: Vec<_> = expired.into_iter().take(excess).map(|(birth, _)| birth).collect();
        self.bury(&births, self.expiry_cause());
    }

    /// Whether it has as many births as it takes.
    pub(crate) fn is_full(&self) -> bool {
        LIVES_MAX <= self.lives.len()
    }

    /// Whether it lacks one of these births although nothing says that it is dead or has moved.
    pub(crate) fn lacks(&self, births: &[Stamp]) -> bool {
        let lacks =
            |birth: &Stamp| self.is_wanted(*birth) && !self.moves().covers(*birth) && self.life(*birth).is_none();
        births.iter().any(lacks)
    }

    /// Ends here and now these births, and no other that is known to be here: a birth waits for an earlier one of its writer.
    pub(crate) fn bury(&mut self, births: &[Stamp], cause: EndCause) -> bool {
        let stays = |life: &&Life| self.is_here(life.birth) && !births.contains(&life.birth);
        let staying: Vec<Stamp> = self.lives.iter().filter(stays).map(|life| life.birth).collect();
        let is_free = |birth: &&Stamp| staying.iter().all(|other| other.writer != birth.writer || **birth < *other);
        let births: Vec<Stamp> = births.iter().filter(is_free).copied().collect();
        self.end_at_home(|birth| births.contains(&birth));
        let mut changed = false;
        for at in births {
            changed |= self.ends.get_or_insert_default().bury(End { at, cause });
        }
        if changed {
            self.prune();
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Config,
        delta::Delta,
        key::SessionKey,
        life::Expired,
        limits::Limits,
        member::MemberId,
        session::{Change, Content, Incoming, Lifetime},
        sessions::{MakesRoom, Sessions, Writing},
        time::Time,
    };

    fn stamp(clock: u64, writer: u64) -> Stamp {
        Stamp { clock, writer: MemberId(writer) }
    }

    /// A session with these births, each of which has written an attribute.
    fn born(births: &[Stamp]) -> Session {
        let mut session = Session::default();
        for (name, birth) in (0..).zip(births) {
            session.merge_life(Life { birth: *birth, counter: 1, owner: birth.writer, expired: Expired::NEVER });
            let (name, value) = (Content::Slice(&[name]), Some(Content::Slice(b"value")));
            let changed = Change::default();
            session.merge_attribute(Incoming { name, birth: *birth, stamp: *birth, value, changed });
        }
        session
    }

    #[test]
    fn a_burial_spares_an_earlier_birth_of_another_writer() {
        let (older, younger) = (stamp(1, 1), stamp(9, 2));
        let mut session = born(&[younger]);
        session.bury(&[younger], EndCause::Idle);
        assert_eq!(session.ended(), Some(EndCause::Idle));
        session.merge(&born(&[older]));
        assert!(session.is_live() && session.attributes().count() == 1);
        assert_eq!(session.owner(), Some(older.writer));
        session.end(End { at: stamp(10, 2), cause: EndCause::Ended });
        assert_eq!(session.ended(), Some(EndCause::Ended));
        assert_eq!(session.ends().burials(), [], "the floor is above it");
    }

    /// Its next write buries a session whose fixed end has passed, and nothing else.
    #[test]
    fn a_fixed_end_spares_an_earlier_birth_of_another_writer() {
        const KEY: SessionKey = SessionKey([1; 16]);
        let mut sessions = Sessions::default();
        for second in [0, 2] {
            let clock = 10 * (second + 1);
            let writing = Writing {
                now: Time::ZERO + Duration::from_secs(second),
                me: MemberId(2),
                stamps: (stamp(clock, 2), stamp(clock + 1, 2)),
                change: Change(clock),
                lifetime: Lifetime::Fixed(Duration::from_secs(1)),
                max_age: None,
                blind: false,
                makes_room: MakesRoom::No,
            };
            let limits = Limits::new(&Config::default());
            sessions.commit(&writing, KEY, Delta::new().set("name", "value"), &limits).expect("it is taken");
        }
        let record = sessions.record(&KEY).expect("it is there");
        assert_eq!(record.movable(), [stamp(31, 2)]);
        let mut merged = born(&[stamp(1, 1), stamp(11, 2)]);
        merged.merge(record);
        assert_eq!(merged.movable(), [stamp(1, 1), stamp(31, 2)]);
    }

    #[test]
    fn what_is_buried_stays_so() {
        let (first, second) = (stamp(1, 1), stamp(9, 1));
        let mut session = born(&[first]);
        session.bury(&[first], EndCause::MaxAge);
        session.merge(&born(&[first, second]));
        assert_eq!(session.movable(), [second]);
        session.bury(&[second], EndCause::Idle);
        session.merge(&born(&[first, second]));
        assert_eq!((session.ended(), session.attributes().count()), (Some(EndCause::Idle), 0));
        assert_eq!(session.ends().burials().len(), 1, "one name stands for both");
    }

    #[test]
    fn a_birth_is_not_buried_before_an_earlier_one_of_its_writer() {
        let (first, other, second) = (stamp(1, 1), stamp(5, 2), stamp(9, 1));
        let mut session = born(&[first, other, second]);
        session.bury(&[other, second], EndCause::Idle);
        assert_eq!(session.movable(), [first, second]);
        session.bury(&[first, second], EndCause::Idle);
        assert_eq!(session.movable(), []);
    }

    #[test]
    fn hidden_births_are_bounded() {
        let mut session = Session::default();
        for clock in 1..100 {
            session.bury_oldest();
            session.merge(&born(&[stamp(clock, 1)]));
            session.merge_life(Life {
                birth: stamp(clock, 1),
                counter: 1,
                owner: MemberId(1),
                expired: Expired { counter: 1, by_age: false },
            });
        }
        assert_eq!((session.lives.len(), session.registers()), (HIDDEN_MAX, HIDDEN_MAX));
        assert_eq!(session.movable().last(), Some(&stamp(99, 1)));
    }

    #[test]
    fn births_are_bounded() {
        let births: Vec<_> = (1..=200).map(|number| stamp(number, number)).collect();
        let mut session = born(&births[..LIVES_MAX]);
        assert!(session.is_full() && !session.lacks(&births[..LIVES_MAX]) && session.lacks(&births));
        session.merge(&born(&births[100..]));
        assert_eq!(session.lives.len(), LIVES_MAX);
        session.bury(&births[..1], EndCause::Idle);
        assert!(!session.is_full(), "there is room for one");
    }

    #[test]
    fn names_are_bounded() {
        let births: Vec<_> = (1..=20).map(|number| stamp(number, number)).collect();
        let mut session = born(&births);
        session.bury(&births, EndCause::Idle);
        assert_eq!((session.movable(), session.ends().burials().len()), (Vec::new(), BURIALS_MAX));
        assert_eq!(session.ends().floor(), Some(End { at: births[3], cause: EndCause::Idle }));
    }

    fn heard() -> impl Strategy<Value = Ends> {
        let end = |at: (u64, u64, bool)| {
            let cause = if at.2 { EndCause::Idle } else { EndCause::MaxAge };
            End { at: stamp(at.0 * 30 + at.1, at.1), cause }
        };
        // More writers than names.
        let end = (0..20_u64, 0..30_u64, any::<bool>()).prop_map(end);
        (prop::option::of(end.clone()), prop::collection::vec(end, 0..40))
            .prop_map(|(floor, names)| Ends::new(floor, names))
    }

    fn merged(one: &Ends, other: &Ends) -> Ends {
        let mut ends = one.clone();
        ends.merge(other);
        ends
    }

    proptest! {
        /// P1, also where the bound is reached.
        #[test]
        fn ends_are_a_lattice(a in heard(), b in heard(), c in heard()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert!(!merged(&a, &b).merge(&b));
        }

        /// P3.
        #[test]
        fn what_one_side_kills_a_merge_kills(a in heard(), b in heard(), clock in 0..600_u64, writer in 0..30_u64) {
            let birth = stamp(clock, writer);
            prop_assert!(!(a.kills(birth) || b.kills(birth)) || merged(&a, &b).kills(birth));
        }
    }
}
