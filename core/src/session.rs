//! What is replicated of one session, and how two copies of it merge.
//!
//! A session is a join of a lattice: merging is commutative, associative and idempotent, so copies that have heard the
//! same things are equal, in whatever order they heard them (P1). Its parts:
//!
//! - *Attributes* are last-writer-wins registers, one for each name and birth, where the birth is the stamp of the
//!   creation in which it was written. Of several births' registers of a name, that of the greatest birth which lasts is
//!   shown. The lifetime is one register, ordered by (birth, stamp).
//! - *Lives*, one for each birth: who owns it, by an epoch counter that only rises, and whether that epoch expired. An
//!   expiry hides what was written in that birth, and a higher counter of the same birth voids it (P4).
//! - The *floor*: whatever was born at or below it is dead for good (P3).

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::{
    life::{End, EndCause, Life},
    member::MemberId,
    stamp::Stamp,
    time::Wall,
    version::{AttributeVersion, SessionVersion},
    wire::Held,
};

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

/// A place in the order of a node's own changes. It never travels; zero marks what others brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change(pub(crate) u64);

#[derive(Clone, Copy, Debug)]
pub(crate) struct LifetimeRegister {
    pub(crate) birth: Stamp,
    pub(crate) stamp: Stamp,
    pub(crate) lifetime: Lifetime,
    pub(crate) changed: Change,
}

#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: Bytes,
    pub(crate) birth: Stamp,
    pub(crate) stamp: Stamp,
    /// `None` is a removal: it must outlive what it removed.
    pub(crate) value: Option<Bytes>,
    pub(crate) changed: Change,
}

impl Attribute {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// A value on its way into a session: copied only if it wins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Slice(&'a [u8]),
    Held(&'a Bytes),
}

impl Content<'_> {
    fn to_bytes(self) -> Bytes {
        match self {
            Self::Slice(slice) => Bytes::copy_from_slice(slice),
            Self::Held(bytes) => bytes.clone(),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Slice(slice) => slice,
            Self::Held(bytes) => bytes,
        }
    }
}

/// A register on its way into a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) name: Content<'a>,
    pub(crate) birth: Stamp,
    pub(crate) stamp: Stamp,
    /// `None` is a removal.
    pub(crate) value: Option<Content<'a>>,
    pub(crate) changed: Change,
}

/// A session as its readers see it: one immutable state, cheap to hold.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub(crate) floor: Option<End>,
    /// By birth. Those at or below the floor are gone, except the greatest: it says whose the end is.
    pub(crate) lives: Vec<Life>,
    pub(crate) lifetime: Option<LifetimeRegister>,
    /// By name and birth.
    pub(crate) attributes: Vec<Attribute>,
    bytes: usize,
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

    /// How long it lives; `None` when it has ended.
    pub fn lifetime(&self) -> Option<Lifetime> {
        self.lifetime.filter(|_| self.is_live()).map(|register| register.lifetime)
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
        match (self.head(), self.floor) {
            (Some(life), _) if self.is_above_floor(life.birth) => Some(self.expiry_cause()),
            (_, floor) => floor.map(|end| end.cause),
        }
    }

    /// The bytes of all names and values, hidden ones included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The digest and the epoch.
    pub(crate) fn held(&self) -> Option<Held> {
        self.head().map(|life| Held { digest: self.digest(), counter: life.counter, owner: life.owner })
    }

    /// A hash of all content, who owns it left out: equal on copies that need nothing of each other.
    pub fn digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        let stamp = |hasher: &mut blake3::Hasher, stamp: Stamp| {
            hasher.update(&stamp.clock.to_le_bytes());
            hasher.update(&stamp.writer.0.to_le_bytes());
        };
        if let Some(end) = self.floor {
            stamp(&mut hasher, end.at);
            hasher.update(&[1, end.cause as u8]);
        }
        for life in &self.lives {
            stamp(&mut hasher, life.birth);
            hasher.update(&[u8::from(life.is_over())]);
        }
        if let Some(register) = &self.lifetime {
            stamp(&mut hasher, register.birth);
            stamp(&mut hasher, register.stamp);
        }
        for attribute in &self.attributes {
            // A stamp is made once, so it stands for the value.
            stamp(&mut hasher, attribute.birth);
            stamp(&mut hasher, attribute.stamp);
            hasher.update(&[u8::from(attribute.value.is_some())]);
            hasher.update(&attribute.name.len().to_le_bytes()[..4]);
            hasher.update(&attribute.name);
        }
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(digest)
    }

    /// The cause of an expiry follows from what the lifetime was.
    pub(crate) fn expiry_cause(&self) -> EndCause {
        match self.lifetime.map(|register| register.lifetime) {
            Some(Lifetime::Fixed(_)) => EndCause::MaxAge,
            Some(Lifetime::Idle(_) | Lifetime::Never) | None => EndCause::Idle,
        }
    }

    /// Whether any register is of that change of this node or of a later one.
    pub(crate) fn has_changed_since(&self, change: Change) -> bool {
        let lifetime = self.lifetime.map(|register| register.changed);
        self.attributes.iter().map(|attribute| attribute.changed).chain(lifetime).any(|changed| change <= changed)
    }

    /// Whether it has a birth that is not dead for good, although it may have expired.
    pub(crate) fn is_unburied(&self) -> bool {
        self.lives.last().is_some_and(|life| self.is_above_floor(life.birth))
    }

    pub(crate) fn is_above_floor(&self, birth: Stamp) -> bool {
        self.floor.is_none_or(|end| end.at < birth)
    }

    /// The life that counts: the greatest that lasts, or if none does, the greatest.
    pub(crate) fn head(&self) -> Option<&Life> {
        self.lives.iter().rev().find(|life| self.lasts(life)).or(self.lives.last())
    }

    pub(crate) fn life(&self, birth: Stamp) -> Option<&Life> {
        self.lives.binary_search_by(|life| life.birth.cmp(&birth)).ok().map(|at| &self.lives[at])
    }

    /// Up to where everything has expired: what may be declared dead without touching a life that lasts.
    pub(crate) fn expired_to(&self) -> Option<Stamp> {
        let over = self.lives.iter().take_while(|life| !self.lasts(life));
        over.last().map(|life| life.birth).filter(|birth| self.is_above_floor(*birth))
    }

    fn lasts(&self, life: &Life) -> bool {
        !life.is_over() && self.is_above_floor(life.birth)
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

    /// Merges an end.
    pub(crate) fn merge_floor(&mut self, end: End) -> bool {
        let changed = self.floor.is_none_or(|mine| mine < end);
        if changed {
            self.floor = Some(end);
            self.prune();
        }
        changed
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
            // Below the floor only the greatest is kept.
            Err(at) if at < self.lives.len() && !self.is_above_floor(other.birth) => false,
            Err(at) => {
                self.lives.reserve_exact(1);
                self.lives.insert(at, other);
                self.prune();
                true
            }
        }
    }

    /// Merges the register of the lifetime.
    pub(crate) fn merge_lifetime(&mut self, mut other: LifetimeRegister) -> bool {
        let wins = self.lifetime.is_none_or(|mine| (mine.birth, mine.stamp) < (other.birth, other.stamp));
        if !wins || !self.is_above_floor(other.birth) {
            return false;
        }
        other.changed = kept(self.lifetime.map(|mine| mine.changed), other.changed);
        self.lifetime = Some(other);
        true
    }

    /// Merges one attribute. Name and value are copied only if it wins.
    pub(crate) fn merge_attribute(&mut self, incoming: Incoming<'_>) -> bool {
        let Incoming { name, birth, stamp, value, changed } = incoming;
        if !self.is_above_floor(birth) {
            return false;
        }
        match self.find(name.as_slice(), birth) {
            Ok(at) => {
                let mine = &mut self.attributes[at];
                if stamp <= mine.stamp {
                    return false;
                }
                self.bytes -= mine.bytes();
                (mine.stamp, mine.value) = (stamp, value.map(Content::to_bytes));
                mine.changed = kept(Some(mine.changed), changed);
                self.bytes += mine.bytes();
            }
            Err(at) => {
                let value = value.map(Content::to_bytes);
                let attribute = Attribute { name: name.to_bytes(), birth, stamp, value, changed };
                self.bytes += attribute.bytes();
                if self.attributes.is_empty() {
                    self.attributes.reserve_exact(1);
                }
                self.attributes.insert(at, attribute);
            }
        }
        true
    }

    /// Merges a whole copy that another brought.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let mut changed = other.floor.is_some_and(|end| self.merge_floor(end));
        for life in &other.lives {
            changed |= self.merge_life(*life);
        }
        if let Some(register) = other.lifetime {
            changed |= self.merge_lifetime(LifetimeRegister { changed: Change::default(), ..register });
        }
        for attribute in &other.attributes {
            changed |= self.merge_attribute(Incoming {
                name: Content::Held(&attribute.name),
                birth: attribute.birth,
                stamp: attribute.stamp,
                value: attribute.value.as_ref().map(Content::Held),
                changed: Change::default(),
            });
        }
        changed
    }

    /// Drops what is dead.
    fn prune(&mut self) {
        let Some(End { at: floor, .. }) = self.floor else { return };
        let greatest = self.lives.last().map(|life| life.birth);
        self.lives.retain(|life| floor < life.birth || Some(life.birth) == greatest);
        self.lifetime = self.lifetime.filter(|register| floor < register.birth);
        self.attributes.retain(|attribute| floor < attribute.birth);
        self.bytes = self.attributes.iter().map(Attribute::bytes).sum();
        if self.attributes.is_empty() {
            self.attributes = Vec::new();
        }
    }
}

impl PartialEq for Session {
    /// Equal in everything that is replicated.
    fn eq(&self, other: &Self) -> bool {
        let registers = |session: &Self| session.lifetime.map(|mine| (mine.birth, mine.stamp, mine.lifetime));
        self.floor == other.floor
            && self.lives == other.lives
            && registers(self) == registers(other)
            && self.attributes.len() == other.attributes.len()
            && self.attributes.iter().zip(&other.attributes).all(|(mine, theirs)| {
                (&mine.name, mine.birth, mine.stamp, &mine.value)
                    == (&theirs.name, theirs.birth, theirs.stamp, &theirs.value)
            })
    }
}

impl Eq for Session {}

/// The change number of a register that replaces another: one that others still lack keeps its place, or a peer could
/// acknowledge a frame in which neither was.
fn kept(mine: Option<Change>, new: Change) -> Change {
    match (mine.unwrap_or_default(), new) {
        (mine, Change(0)) => mine,
        (_, new) => new,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn stamp(clock: u64) -> Stamp {
        Stamp { clock, writer: MemberId(clock % 3) }
    }

    fn life(birth: u64, counter: u32, owner: u64, expired: u32) -> Life {
        Life { birth: stamp(birth), counter, owner: MemberId(owner), expired }
    }

    /// One thing that a copy may hear.
    #[derive(Clone, Debug)]
    enum Heard {
        Floor(u64),
        Life(u64, u32, u64, u32),
        Lifetime(u64, u64),
        Attribute(u8, u64, u64, bool),
    }

    fn heard() -> impl Strategy<Value = Heard> {
        prop_oneof![
            1 => (1..6_u64).prop_map(Heard::Floor),
            3 => (1..6_u64, 1..4_u32, 0..3_u64, 0..4_u32).prop_map(|(b, c, o, e)| Heard::Life(b, c, o, e)),
            1 => (1..6_u64, 1..9_u64).prop_map(|(b, s)| Heard::Lifetime(b, s)),
            4 => (0..3_u8, 1..6_u64, 1..9_u64, any::<bool>()).prop_map(|(n, b, s, v)| Heard::Attribute(n, b, s, v)),
        ]
    }

    fn hear(session: &mut Session, heard: &Heard) {
        match *heard {
            Heard::Floor(at) => session.merge_floor(End { at: stamp(at), cause: EndCause::Ended }),
            Heard::Life(birth, counter, owner, expired) => session.merge_life(life(birth, counter, owner, expired)),
            Heard::Lifetime(birth, at) => session.merge_lifetime(LifetimeRegister {
                birth: stamp(birth),
                stamp: stamp(at),
                lifetime: Lifetime::Idle(Duration::from_secs(at)),
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
            Heard::Floor(_) | Heard::Life(..) | Heard::Lifetime(..) => heard.clone(),
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
            session.merge_floor(End { at: stamp(floor), cause: EndCause::Ended });
            consistent(&heard).iter().for_each(|heard| hear(&mut session, heard));
            prop_assert!(session.attributes.iter().all(|attribute| stamp(floor) < attribute.birth));
            prop_assert_eq!(session.bytes(), session.attributes.iter().map(Attribute::bytes).sum::<usize>());
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
            assert_eq!(session.expired_to(), None);
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
