//! Versions: what somebody has seen of a session.
//!
//! The version of an attribute is its birth and stamp. That of a session is the session without its values: its ends, the
//! births that are not dead with their epochs, and birth and stamp of each register. So versions are ordered as sessions merge: one
//! covers another if a merge of what the other stands for would bring nothing new. Two members that wrote apart have
//! versions of which neither covers the other.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    fetch::FetchId,
    life::{EndCause, Expired, Life},
    member::MemberId,
    session::Session,
    stamp::Stamp,
};

/// Which write of an attribute is there. Each write has another one, also on different members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttributeVersion {
    birth: Stamp,
    stamp: Stamp,
}

impl AttributeVersion {
    pub(crate) fn new(birth: Stamp, stamp: Stamp) -> Self {
        Self { birth, stamp }
    }

    /// A form to hand to a client, of at most 40 bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        encode(&self)
    }

    /// Reads what `to_bytes` made.
    ///
    /// # Errors
    ///
    /// The bytes are no version. No bytes do any harm: a version that nobody made is that of no write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoVersion> {
        decode(bytes)
    }
}

/// What somebody has seen of a session. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionVersion(Arc<Seen>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Seen {
    /// Everything born at or below it is dead.
    floor: Option<Stamp>,
    /// Ascending, above the floor, one for each writer: what that one has born at or below it is dead.
    burials: Vec<Stamp>,
    /// By birth, none dead.
    lives: Vec<Lived>,
    /// Birth and stamp, by birth, none dead.
    lifetimes: Vec<(Stamp, Stamp)>,
    /// By name and birth, none dead.
    registers: Vec<Register>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Lived {
    birth: Stamp,
    counter: u32,
    expired: Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Register {
    name: NameHash,
    birth: Stamp,
    stamp: Stamp,
}

/// The first bytes of BLAKE3 of a name: names may be long. Two names of one hash count as one, with the later write.
type NameHash = [u8; 8];

/// Bytes that are no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no version")]
pub struct NoVersion;

/// What `Node::session_at_least` has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtLeast {
    /// The session, not older than what was asked for.
    Here(Arc<Session>),
    /// It has ended, after what was asked for.
    Ended(EndCause),
    /// Wait: others have been asked, and `poll_fetched` tells of this number.
    Asked(FetchId),
    /// What is here is older, or misses what was seen elsewhere, and nobody else can be asked.
    Stale {
        /// What is here, if anything.
        have: Option<SessionVersion>,
        /// What was asked for.
        want: SessionVersion,
    },
}

/// What was there when a condition of a commit did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// An attribute has another version.
    #[error("an attribute has another version than the commit is for")]
    Attribute {
        /// Its name.
        name: Bytes,
        /// Its version, if it is there.
        there: Option<AttributeVersion>,
    },
    /// The session has another version.
    #[error("the session has another version than the commit is for")]
    Session {
        /// Its version, if it is there.
        there: Option<SessionVersion>,
    },
}

impl SessionVersion {
    pub(crate) fn of(session: &Session) -> Self {
        let lives = session.lives.iter().filter(|life| !session.ends().kills(life.birth));
        let registers =
            session.attributes.iter().map(|attribute| ((hash(&attribute.name), attribute.birth), attribute.stamp));
        let mut newest = BTreeMap::new();
        for (register, stamp) in registers {
            let at = newest.entry(register).or_insert(stamp);
            *at = stamp.max(*at);
        }
        Self(Arc::new(Seen {
            floor: session.ends().floor().map(|end| end.at),
            burials: session.ends().burials().iter().map(|end| end.at).collect(),
            lives: lives.map(|&Life { birth, counter, expired, .. }| Lived { birth, counter, expired }).collect(),
            lifetimes: session.lifetimes.iter().map(|register| (register.birth, register.stamp)).collect(),
            registers: newest.into_iter().map(|((name, birth), stamp)| Register { name, birth, stamp }).collect(),
        }))
    }

    /// Whether who has seen this has seen everything that the other has.
    pub fn covers(&self, other: &Self) -> bool {
        let (mine, theirs) = (&*self.0, &*other.0);
        let is_dead = |birth: Stamp| mine.kills(birth);
        theirs.floor <= mine.floor
            && theirs.burials.iter().all(|burial| is_dead(*burial))
            && theirs.lives.iter().all(|life| {
                let known = mine.life(life.birth);
                is_dead(life.birth)
                    || known.is_some_and(|known| life.counter <= known.counter && life.expired <= known.expired)
            })
            && theirs.lifetimes.iter().all(|(birth, stamp)| {
                let known = mine.lifetimes.iter().find(|known| known.0 == *birth);
                is_dead(*birth) || known.is_some_and(|known| *stamp <= known.1)
            })
            && theirs.registers.iter().all(|register| {
                let known = mine.register(register.name, register.birth);
                is_dead(register.birth) || known.is_some_and(|known| register.stamp <= known.stamp)
            })
    }

    /// Whether nothing was written, ended, expired or come back between the two. An owner of the next epoch is no
    /// difference: it may have taken the session over without a change.
    pub(crate) fn is_same_but_for_the_epoch(&self, other: &Self) -> bool {
        let (mine, theirs) = (&*self.0, &*other.0);
        let lives = |seen: &Seen| -> Vec<_> {
            seen.lives.iter().map(|life| (life.birth, life.counter <= life.expired.counter)).collect()
        };
        (mine.floor, &mine.burials, &mine.lifetimes) == (theirs.floor, &theirs.burials, &theirs.lifetimes)
            && mine.registers == theirs.registers
            && lives(mine) == lives(theirs)
    }

    /// A form to hand to a client: some 30 bytes and about 15 for each attribute.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Packed::from(&*self.0))
    }

    /// Reads what `to_bytes` made.
    ///
    /// # Errors
    ///
    /// The bytes are no version. No bytes do any harm: a version that nobody made is covered by no session, so it refuses
    /// a read or a write of its bearer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoVersion> {
        let seen = decode::<Packed>(bytes)?.unpack().ok_or(NoVersion)?;
        if seen.is_ordered() { Ok(Self(Arc::new(seen))) } else { Err(NoVersion) }
    }
}

impl Seen {
    fn kills(&self, birth: Stamp) -> bool {
        let named = |burial: &Stamp| burial.writer == birth.writer && birth <= *burial;
        self.floor.is_some_and(|floor| birth <= floor) || self.burials.iter().any(named)
    }

    fn life(&self, birth: Stamp) -> Option<&Lived> {
        self.lives.binary_search_by(|life| life.birth.cmp(&birth)).ok().map(|at| &self.lives[at])
    }

    fn register(&self, name: NameHash, birth: Stamp) -> Option<&Register> {
        let found = self.registers.binary_search_by(|register| (register.name, register.birth).cmp(&(name, birth)));
        found.ok().map(|at| &self.registers[at])
    }

    fn is_ordered(&self) -> bool {
        let registers = self.registers.iter().map(|register| (register.name, register.birth));
        let lives = self.lives.iter().map(|life| life.birth);
        let births = lives.clone().chain(registers.clone().map(|(_, birth)| birth));
        let lifetimes = self.lifetimes.iter().map(|(birth, _)| *birth);
        let mut births = births.chain(lifetimes.clone());
        lives.is_sorted_by(|one, next| one < next)
            && lifetimes.is_sorted_by(|one, next| one < next)
            && registers.is_sorted_by(|one, next| one < next)
            && self.burials.is_sorted_by(|one, next| one < next)
            && births.all(|birth| !self.kills(birth))
    }
}

/// The form of a session's version: stamps stand once, ascending, and are named by their place.
#[derive(Serialize, Deserialize)]
struct Packed {
    writers: Vec<MemberId>,
    /// The place of the writer, and how far the clock is above that of the stamp before.
    stamps: Vec<(usize, u64)>,
    floor: Option<usize>,
    burials: Vec<usize>,
    lives: Vec<(usize, u32, u32)>,
    lifetimes: Vec<(usize, usize)>,
    registers: Vec<(NameHash, usize, usize)>,
}

impl From<&Seen> for Packed {
    fn from(seen: &Seen) -> Self {
        let lives = seen.lives.iter().map(|life| life.birth);
        let registers = seen.registers.iter().flat_map(|register| [register.birth, register.stamp]);
        let lifetimes = seen.lifetimes.iter().flat_map(|&(birth, stamp)| [birth, stamp]);
        let ends = seen.floor.iter().chain(&seen.burials).copied();
        let all: BTreeSet<Stamp> = ends.chain(lives).chain(lifetimes).chain(registers).collect();
        let writers: BTreeSet<MemberId> = all.iter().map(|stamp| stamp.writer).collect();
        let places: BTreeMap<_, _> = all.iter().enumerate().map(|(at, stamp)| (*stamp, at)).collect();
        let writer_places: BTreeMap<_, _> = writers.iter().enumerate().map(|(at, writer)| (*writer, at)).collect();
        let mut clock = 0;
        let stamps = all.iter().map(|stamp| {
            let above = stamp.clock - core::mem::replace(&mut clock, stamp.clock);
            (writer_places[&stamp.writer], above)
        });
        let stamps = stamps.collect();
        Self {
            writers: writers.into_iter().collect(),
            stamps,
            floor: seen.floor.map(|floor| places[&floor]),
            burials: seen.burials.iter().map(|burial| places[burial]).collect(),
            lives: seen.lives.iter().map(|life| (places[&life.birth], life.counter, life.expired.code())).collect(),
            lifetimes: seen.lifetimes.iter().map(|(birth, stamp)| (places[birth], places[stamp])).collect(),
            registers: (seen.registers.iter())
                .map(|register| (register.name, places[&register.birth], places[&register.stamp]))
                .collect(),
        }
    }
}

impl Packed {
    fn unpack(self) -> Option<Seen> {
        let mut clock = 0_u64;
        let mut stamps = Vec::new();
        for (writer, above) in self.stamps {
            clock = clock.checked_add(above)?;
            stamps.push(Stamp { clock, writer: *self.writers.get(writer)? });
        }
        let stamp = |at: usize| stamps.get(at).copied();
        let lives = self.lives.into_iter();
        let lives = lives.map(|(birth, counter, expired)| {
            Some(Lived { birth: stamp(birth)?, counter, expired: Expired::of_code(expired) })
        });
        let registers = self.registers.into_iter();
        let registers =
            registers.map(|(name, birth, at)| Some(Register { name, birth: stamp(birth)?, stamp: stamp(at)? }));
        Some(Seen {
            floor: match self.floor {
                Some(floor) => Some(stamp(floor)?),
                None => None,
            },
            burials: self.burials.into_iter().map(stamp).collect::<Option<_>>()?,
            lives: lives.collect::<Option<_>>()?,
            lifetimes: (self.lifetimes.into_iter())
                .map(|(birth, at)| Some((stamp(birth)?, stamp(at)?)))
                .collect::<Option<_>>()?,
            registers: registers.collect::<Option<_>>()?,
        })
    }
}

/// Stands before every form, so that another can come.
const FORM: u8 = 1;

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, Vec::from([FORM])).expect("memory takes what is written to it")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, NoVersion> {
    let (&form, body) = bytes.split_first().ok_or(NoVersion)?;
    match postcard::take_from_bytes(body) {
        Ok((value, [])) if form == FORM => Ok(value),
        Ok(_) | Err(_) => Err(NoVersion),
    }
}

fn hash(name: &[u8]) -> NameHash {
    let mut first = NameHash::default();
    first.copy_from_slice(&blake3::hash(name).as_bytes()[..size_of::<NameHash>()]);
    first
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Config,
        delta::{CommitError, Delta},
        key::SessionKey,
        life::End,
        limits::Limits,
        session::{Change, Content, Incoming, Lifetime, LifetimeRegister},
        sessions::{MakesRoom, Sessions, Writing},
        time::Time,
    };

    const KEY: SessionKey = SessionKey([1; 16]);

    /// One thing that a copy may hear.
    #[derive(Clone, Debug)]
    enum Heard {
        Floor(Stamp),
        Burial(Stamp),
        Life(Life),
        Lifetime(Stamp, Stamp),
        Attribute(u8, Stamp, Stamp),
    }

    fn stamp(most: u64) -> impl Strategy<Value = Stamp> {
        // One writer for each clock: a stamp is unique.
        (1..most).prop_map(|clock| Stamp { clock, writer: MemberId(clock % 3) })
    }

    fn heard() -> impl Strategy<Value = Vec<Heard>> {
        let heard = prop_oneof![
            1 => stamp(6).prop_map(Heard::Floor),
            1 => stamp(6).prop_map(Heard::Burial),
            3 => (stamp(6), 1..4_u32, 0..3_u64, 0..4_u32)
                .prop_map(|(birth, counter, owner, expired)| {
                    Life { birth, counter, owner: MemberId(owner), expired: Expired::of_code(expired) }
                })
                .prop_map(Heard::Life),
            1 => (stamp(6), stamp(9)).prop_map(|(birth, stamp)| Heard::Lifetime(birth, stamp)),
            4 => (0..3_u8, stamp(6), stamp(9)).prop_map(|(name, birth, stamp)| Heard::Attribute(name, birth, stamp)),
        ];
        prop::collection::vec(heard, 0..10)
    }

    fn copy(heard: &[Heard]) -> Session {
        let mut session = Session::default();
        let changed = Change::default();
        for heard in heard {
            match *heard {
                Heard::Floor(at) => session.merge_floor(End { at, cause: EndCause::Ended }),
                Heard::Burial(at) => session.bury(&[at], EndCause::Idle),
                Heard::Life(life) => session.merge_life(life),
                Heard::Lifetime(birth, stamp) => {
                    let lifetime = Lifetime::Idle(Duration::from_secs(stamp.clock));
                    session.merge_lifetime(LifetimeRegister { birth, stamp, lifetime, until: None, changed })
                }
                Heard::Attribute(name, birth, stamp) => {
                    let (name, value) = (Content::Slice(&[name]), Some(Content::Slice(&[])));
                    session.merge_attribute(Incoming { name, birth, stamp, value, changed })
                }
            };
        }
        session
    }

    fn merged(one: &Session, other: &Session) -> Session {
        let mut session = one.clone();
        session.merge(other);
        session
    }

    proptest! {
        /// What is covered is what a merge would bring nothing of; all laws of an order follow from it.
        #[test]
        fn one_covers_another_if_merging_the_other_changes_nothing(one in heard(), other in heard()) {
            let (one, other) = (copy(&one), copy(&other));
            let brings_nothing = merged(&one, &other).version() == one.version();
            prop_assert_eq!(one.version().covers(&other.version()), brings_nothing);
        }

        #[test]
        fn covering_is_an_order(a in heard(), b in heard(), c in heard()) {
            // Merged ones too, or hardly any would cover another.
            let (a, b, c) = (copy(&a), copy(&b), copy(&c));
            let [ab, abc] = [merged(&a, &b), merged(&merged(&a, &b), &c)];
            let versions: Vec<_> = [a, b, c, ab, abc].iter().map(Session::version).collect();
            for one in &versions {
                prop_assert!(one.covers(one));
                for other in &versions {
                    prop_assert!(!(one.covers(other) && other.covers(one)) || one == other);
                    for third in &versions {
                        prop_assert!(!(one.covers(other) && other.covers(third)) || one.covers(third));
                    }
                }
            }
        }

        #[test]
        fn a_merge_covers_both_and_nothing_more(a in heard(), b in heard(), more in heard()) {
            let (a, b) = (copy(&a), copy(&b));
            let merge = merged(&a, &b).version();
            prop_assert!(merge.covers(&a.version()) && merge.covers(&b.version()));
            let more = merged(&merged(&copy(&more), &a), &b).version();
            prop_assert!(more.covers(&merge), "whatever covers both covers the merge");
        }

        #[test]
        fn a_version_comes_back_from_its_bytes(heard in heard(), cut in any::<prop::sample::Index>()) {
            let version = copy(&heard).version();
            let bytes = version.to_bytes();
            prop_assert_eq!(SessionVersion::from_bytes(&bytes), Ok(version));
            prop_assert_eq!(SessionVersion::from_bytes(&bytes[..cut.index(bytes.len())]), Err(NoVersion));
            prop_assert_eq!(SessionVersion::from_bytes(&[&bytes[..], &[0]].concat()), Err(NoVersion));
        }

        /// P7: whatever a client hands back. What can be read is a version as any other.
        #[test]
        fn wrong_bytes_are_refused_or_harmless(
            heard in heard(),
            wrong in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            any in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let version = copy(&heard).version();
            let mut bytes = version.to_bytes();
            for (at, byte) in wrong {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for bytes in [&bytes, &any] {
                if let Ok(read) = SessionVersion::from_bytes(bytes) {
                    prop_assert!(read.covers(&read));
                    prop_assert!(!(read.covers(&version) && version.covers(&read)) || read == version);
                    prop_assert_eq!(SessionVersion::from_bytes(&read.to_bytes()), Ok(read));
                }
                let _harmless = AttributeVersion::from_bytes(bytes);
            }
        }

        #[test]
        fn the_version_after_a_commit_covers_the_one_before_and_not_the_other_way_round(
            deeds in prop::collection::vec((0..6_u8, 0..3_u8, 1..4_u64), 1..20),
        ) {
            let mut sessions = Sessions::default();
            let limits = Limits::new(&Config::default());
            let mut before = Session::default().version();
            for (clock, (deed, name, me)) in (10..).step_by(2).zip(deeds) {
                let delta = match deed {
                    0 => Delta::end(),
                    1 => Delta::anew().set([name].to_vec(), "new"),
                    2 => Delta::new().remove([name].to_vec()),
                    3 => Delta::new().lifetime(Lifetime::Never),
                    _ => Delta::new().set([name].to_vec(), "value").set("both", "value"),
                };
                let me = MemberId(me);
                let stamps = (Stamp { clock, writer: me }, Stamp { clock: clock + 1, writer: me });
                let lifetime = Lifetime::Idle(Duration::from_secs(60));
                let change = Change(clock);
                let makes_room = MakesRoom::No;
                let writing = Writing { now: Time::ZERO, me, stamps, change, lifetime, max_age: None, blind: false, makes_room };
                match sessions.commit(&writing, KEY, delta, &limits) {
                    Ok(_) => {
                        let after = sessions.record(&KEY).expect("it was written").version();
                        prop_assert!(after.covers(&before) && !before.covers(&after));
                        prop_assert!(!after.is_same_but_for_the_epoch(&before));
                        before = after;
                    }
                    Err(error) => prop_assert_eq!(error, CommitError::NoSession),
                }
            }
        }
    }

    #[test]
    fn a_takeover_is_seen_by_who_asks_for_it_and_no_change() {
        let [birth, written] = [1, 2].map(|clock| Stamp { clock, writer: MemberId(1) });
        let life = Life { birth, counter: 1, owner: MemberId(1), expired: Expired::NEVER };
        let mut session = copy(&[Heard::Life(life), Heard::Attribute(0, birth, written)]);
        let before = session.version();
        session.merge_life(Life { counter: 2, owner: MemberId(2), ..life });
        let after = session.version();
        assert!(after.covers(&before) && !before.covers(&after));
        assert!(after.is_same_but_for_the_epoch(&before));
        session.merge_life(Life { expired: Expired { counter: 2, by_age: false }, ..life });
        assert!(!session.version().is_same_but_for_the_epoch(&after), "it has expired");
    }

    #[test]
    fn a_version_of_many_attributes_is_short() {
        let clock = 1_790_000_000_000_000_u64 << 10;
        let written = |after: u64, writer| Stamp { clock: clock + (after << 30), writer: MemberId(u64::MAX - writer) };
        let birth = written(0, 0);
        let mut heard =
            Vec::from([Heard::Life(Life { birth, counter: 1, owner: MemberId(1), expired: Expired::NEVER })]);
        heard.extend(
            (0..20).map(|name| Heard::Attribute(name, birth, written(u64::from(name) + 1, u64::from(name) % 2))),
        );
        assert!(copy(&heard).version().to_bytes().len() <= 41 + 20 * 16);
        assert!(AttributeVersion::new(birth, birth).to_bytes().len() <= 40);
    }
}
