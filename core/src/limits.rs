//! The limits that commits and members are held to, and what counts towards them.

use alloc::{borrow::Cow, collections::BTreeSet, string::ToString};
use core::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    config::{Config, ConfigError, LIFETIME_MAX},
    delta::{CommitError, Delta, Start},
    planted::Bug,
    session::{Lifetime, Session},
};

/// What a member does with a commit for which it has no room; in text `refuse` or `evict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// A commit that would create a session or make one larger is refused.
    #[default]
    Refuse,
    /// Sessions that were never written after their creation are ended to make room, then the least recently used.
    Evict,
}

/// A limit of all sessions together that a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// `sessions_max`.
    Sessions,
    /// `memory_max`.
    Memory,
}

/// What a session counts towards `memory_max` beside its names and values: its key, its record, and its places in the
/// orders by time.
pub const SESSION_OVERHEAD: usize = 512;
/// What each of its attributes counts, removed ones included, beside name and value.
pub const ATTRIBUTE_OVERHEAD: usize = 112;

/// What sessions take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Those that live.
    pub(crate) sessions: usize,
    /// Of these, and of those that have expired and are not dead for good.
    pub(crate) bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    attribute_bytes_max: usize,
    session_bytes_max: usize,
    attributes_max: usize,
    /// The most of all sessions together.
    all: Load,
    when_full: WhenFull,
}

/// What there is before a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct There<'a> {
    /// The session that the commit changes, if it lives.
    pub(crate) session: Option<&'a Session>,
    /// What all sessions take.
    pub(crate) load: Load,
    /// What other sessions take that are ended to make room if need be.
    pub(crate) spare: Load,
}

/// Writes of several members to one session may together pass the limits that each is held to.
const MERGED: usize = 4;

/// One part in so many of the limits is for sessions that have not been written since their creation: these go first,
/// but the newest of them need a place until their first write.
const RESERVED_PART: usize = 16;

/// What a session counts. An end that is remembered counts nothing: `ended_max` limits these.
pub(crate) fn weight(session: &Session) -> usize {
    match session.is_live() || !session.is_bare() {
        true => weight_of(session.registers(), session.bytes()),
        false => 0,
    }
}

fn weight_of(attributes: usize, bytes: usize) -> usize {
    SESSION_OVERHEAD + attributes * ATTRIBUTE_OVERHEAD + bytes
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        let bytes = if config.memory_max == 0 { usize::MAX } else { config.memory_max };
        Self {
            attribute_bytes_max: config.attribute_bytes_max,
            session_bytes_max: config.session_bytes_max,
            attributes_max: config.attributes_max,
            all: Load { sessions: config.sessions_max, bytes },
            when_full: config.when_full,
        }
    }

    /// Checks a delta against what is there.
    pub(crate) fn check(&self, delta: &Delta, there: There<'_>) -> Result<(), CommitError> {
        if matches!(delta.start, Start::End(_)) {
            return if there.session.is_some() { Ok(()) } else { Err(CommitError::NoSession) };
        }
        if delta.lifetime.is_some_and(is_too_long) || delta.max_age.is_some_and(|length| LIFETIME_MAX < length) {
            return Err(CommitError::LifetimeTooLong);
        }
        let old = there.session.filter(|_| delta.start == Start::FromWhatIsThere);
        let (mut attributes, mut total) = old.map_or((0, 0), |session| (session.registers(), session.bytes()));
        let mut seen = BTreeSet::new();
        for (name, value) in delta.changes.iter().rev() {
            let bytes = name.len() + value.as_ref().map_or(0, Bytes::len);
            if self.attribute_bytes_max < bytes && !Bug::TakesTooLarge.is_planted() {
                return Err(CommitError::AttributeTooLarge { bytes, max: self.attribute_bytes_max });
            }
            // The last change of a name counts.
            if 1 < delta.changes.len() && !seen.insert(name) {
                continue;
            }
            total += bytes;
            match old.and_then(|session| session.register_bytes(name)) {
                Some(before) => total -= before,
                None => attributes += 1,
            }
        }
        if self.attributes_max < attributes {
            return Err(CommitError::TooManyAttributes { attributes, max: self.attributes_max });
        }
        if self.session_bytes_max < total {
            return Err(CommitError::SessionTooLarge { bytes: total, max: self.session_bytes_max });
        }
        self.check_room(Load { sessions: 1, bytes: weight_of(attributes, total) }, there)
    }

    /// Refuses what makes a session larger than there is room for.
    fn check_room(&self, after: Load, there: There<'_>) -> Result<(), CommitError> {
        let before = there.session.map_or(Load::NONE, |session| Load { sessions: 1, bytes: weight(session) });
        let excess = self.excess(there.load.minus(before).plus(after)).minus(there.spare);
        let (limit, max) = match (before.sessions < after.sessions, before.bytes < after.bytes) {
            (true, _) if 0 < excess.sessions => (Limit::Sessions, self.all.sessions),
            (_, true) if 0 < excess.bytes => (Limit::Memory, self.all.bytes),
            _ => return Ok(()),
        };
        Err(CommitError::Full { limit, max })
    }

    /// What of a load is above the limits.
    pub(crate) fn excess(&self, load: Load) -> Load {
        load.minus(self.all)
    }

    /// How much of what was not written since its creation is spared.
    pub(crate) fn reserve(&self) -> Load {
        Load { sessions: self.all.sessions / RESERVED_PART, bytes: self.all.bytes / RESERVED_PART }
    }

    /// Which limit a load is above by more than that.
    pub(crate) fn overfull(&self, load: Load) -> Option<Limit> {
        let above = self.excess(load).minus(self.reserve());
        match (above.sessions, above.bytes) {
            (0, 0) => None,
            (0, _) => Some(Limit::Memory),
            (..) => Some(Limit::Sessions),
        }
    }

    /// Whether sessions are ended to make room.
    pub(crate) fn evicts(&self) -> bool {
        self.when_full == WhenFull::Evict
    }

    /// Whether a delta of another member may have attributes as long, and as many.
    pub(crate) fn allow_delta(&self, longest: usize, attributes: usize) -> bool {
        longest <= self.attribute_bytes_max && attributes <= MERGED * self.attributes_max
    }

    /// Whether what another member sends of a session in parts may be as large.
    pub(crate) fn allow_whole(&self, session: &Session) -> bool {
        session.bytes() <= MERGED * self.session_bytes_max && session.registers() <= MERGED * self.attributes_max
    }
}

impl Load {
    pub(crate) const NONE: Self = Self { sessions: 0, bytes: 0 };
    pub(crate) const MAX: Self = Self { sessions: usize::MAX, bytes: usize::MAX };

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { sessions: self.sessions + other.sessions, bytes: self.bytes + other.bytes }
    }

    /// What is left; never less than nothing.
    pub(crate) fn minus(self, other: Self) -> Self {
        let (sessions, bytes) = (self.sessions.saturating_sub(other.sessions), self.bytes.saturating_sub(other.bytes));
        Self { sessions, bytes }
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self { sessions: self.sessions.min(other.sessions), bytes: self.bytes.min(other.bytes) }
    }

    /// As large a part of this as `part` is of `whole`, rounded up.
    pub(crate) fn share(self, part: Self, whole: Self) -> Self {
        let share = |all: usize, part: usize, whole: usize| {
            let exact = (all as u128 * part as u128).div_ceil((whole as u128).max(1));
            usize::try_from(exact).unwrap_or(all)
        };
        let sessions = share(self.sessions, part.sessions, whole.sessions);
        Self { sessions, bytes: share(self.bytes, part.bytes, whole.bytes) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sessions => "sessions_max",
            Self::Memory => "memory_max",
        })
    }
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refuse => "refuse",
            Self::Evict => "evict",
        })
    }
}

impl FromStr for WhenFull {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = [Self::Refuse, Self::Evict].into_iter().find(|one| one.to_string() == text);
        found.ok_or_else(|| ConfigError { setting: "when_full", allowed: "must be refuse or evict".into() })
    }
}

impl Serialize for WhenFull {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WhenFull {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn is_too_long(lifetime: Lifetime) -> bool {
    match lifetime {
        Lifetime::Idle(length) | Lifetime::Fixed(length) => LIFETIME_MAX < length,
        Lifetime::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{
        life::{Expired, Life},
        member::MemberId,
        session::{Change, Content, Incoming},
        stamp::Stamp,
    };

    fn limits() -> Limits {
        Limits {
            attribute_bytes_max: 10,
            session_bytes_max: 15,
            attributes_max: 2,
            all: Load { sessions: 3, bytes: MEMORY },
            when_full: WhenFull::Refuse,
        }
    }

    /// Two sessions of one attribute of ten bytes, and five bytes more.
    const MEMORY: usize = 2 * (SESSION_OVERHEAD + ATTRIBUTE_OVERHEAD + 10) + 5;

    fn check(delta: &Delta, session: Option<&Session>) -> Result<(), CommitError> {
        let load = session.map_or(Load::NONE, |session| Load { sessions: 1, bytes: weight(session) });
        limits().check(delta, There { session, load, spare: Load::NONE })
    }

    fn with_attribute(name: &[u8], value: &[u8]) -> Session {
        let mut session = Session::default();
        let birth = Stamp { clock: 1, writer: MemberId(1) };
        session.merge_life(Life { birth, counter: 1, owner: MemberId(1), expired: Expired::NEVER });
        let (name, value) = (Content::Slice(name), Some(Content::Slice(value)));
        session.merge_attribute(Incoming { name, birth, stamp: birth, value, changed: Change(1) });
        session
    }

    #[test]
    fn an_attribute_counts_with_its_name_and_replaces_what_it_had() {
        let old = with_attribute(b"a", b"123456789");
        let full = Delta::new().set("a", "abcdefghi").set("b", "1234");
        assert_eq!(check(&full, Some(&old)), Ok(()));
        let more = Delta::new().set("b", "123456");
        assert_eq!(check(&more, Some(&old)), Err(CommitError::SessionTooLarge { bytes: 17, max: 15 }));
        let long = Delta::new().set("b", vec![0; 10]);
        assert_eq!(check(&long, None), Err(CommitError::AttributeTooLarge { bytes: 11, max: 10 }));
    }

    #[test]
    fn removed_attributes_count_and_repeated_ones_once() {
        let three = Delta::new().set("a", "1").remove("b").set("c", "1");
        let refused = Err(CommitError::TooManyAttributes { attributes: 3, max: 2 });
        assert_eq!(check(&three, None), refused);
        let twice = Delta::new().set("a", "1").set("a", "2").set("b", "1");
        assert_eq!(check(&twice, None), Ok(()));
    }

    #[test]
    fn an_end_needs_a_session_and_a_lifetime_is_not_too_long() {
        assert_eq!(check(&Delta::end(), None), Err(CommitError::NoSession));
        let endless = Delta::new().lifetime(Lifetime::Idle(LIFETIME_MAX * 2));
        assert_eq!(check(&endless, None), Err(CommitError::LifetimeTooLong));
    }

    #[test]
    fn a_new_session_needs_a_place_and_what_is_there_keeps_its_own() {
        let old = with_attribute(b"a", b"1");
        let check = |delta: &Delta, session| {
            limits().check(delta, There { session, load: Load { sessions: 3, bytes: 0 }, spare: Load::NONE })
        };
        assert_eq!(check(&Delta::new(), None), Err(CommitError::Full { limit: Limit::Sessions, max: 3 }));
        assert_eq!(check(&Delta::anew(), Some(&old)), Ok(()));
        assert_eq!(check(&Delta::new().set("a", "12"), Some(&old)), Ok(()));
    }

    #[test]
    fn what_grows_needs_memory_and_what_does_not_needs_none() {
        let old = with_attribute(b"a", b"12345");
        let full = Err(CommitError::Full { limit: Limit::Memory, max: MEMORY });
        let check = |delta: &Delta, session, bytes, spare| {
            let (load, spare) = (Load { sessions: 1, bytes }, Load { sessions: 0, bytes: spare });
            limits().check(delta, There { session, load, spare })
        };
        let new = Delta::new().set("b", "123456789");
        let weight = SESSION_OVERHEAD + ATTRIBUTE_OVERHEAD + 10;
        assert_eq!(check(&new, None, MEMORY - weight, 0), Ok(()));
        assert_eq!(check(&new, None, MEMORY - weight + 1, 0), full);
        assert_eq!(check(&new, None, MEMORY - weight + 1, 1), Ok(()), "there is something to end");
        for (value, above, expected) in [("123456", 0, full.clone()), ("12345", 9, Ok(())), ("1", 9, Ok(()))] {
            assert_eq!(check(&Delta::new().set("a", value), Some(&old), MEMORY + above, 0), expected, "{value}");
        }
        assert_eq!(check(&Delta::anew().set("a", "123"), Some(&old), MEMORY, 0), Ok(()));
        assert_eq!(check(&Delta::anew().set("a", "1234567"), Some(&old), MEMORY, 0), full);
        assert_eq!(check(&Delta::new().remove("none"), Some(&old), MEMORY, 0), full, "a removal is remembered");
    }

    #[test]
    fn a_share_is_rounded_up_and_never_more_than_all() {
        let load = |sessions, bytes| Load { sessions, bytes };
        assert_eq!(load(10, 1000).share(load(1, 10), load(3, 30)), load(4, 334));
        assert_eq!(load(10, 0).share(load(3, 30), load(3, 30)), load(10, 0));
        assert_eq!(load(10, 10).share(Load::NONE, Load::NONE), Load::NONE);
        let most = load(usize::MAX, usize::MAX);
        assert_eq!(most.share(most, most), most);
    }

    #[test]
    fn the_policy_is_written_as_it_is_read() {
        for policy in [WhenFull::Refuse, WhenFull::Evict] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let error = "drop".parse::<WhenFull>().expect_err("there is none").to_string();
        assert_eq!(error, "when_full: must be refuse or evict");
    }
}
