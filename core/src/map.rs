//! The shared map: small named values that every member holds, whoever holds which sessions.
//!
//! Each name is a register like an attribute of a session, and the last writer wins, by stamp. A removal is a register
//! without a value: it is remembered so that no copy of what it removed comes back, and forgotten on all members about
//! `ended_for` after it was made.
//!
//! Always true: the register of a name only ever gets a greater stamp, so maps that have heard the same are equal (P1).

use alloc::collections::{BTreeMap, BTreeSet};
use core::{ops::Bound, time::Duration};

use bytes::Bytes;

use crate::{config::Config, delta::CommitError, member::MemberId, stamp::Stamp, time::Time};

/// A name, as this node numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryId(pub(crate) u64);

#[derive(Clone, Debug)]
pub(crate) struct SharedMap {
    entries_max: usize,
    bytes_max: usize,
    entry_bytes_max: usize,
    entries: BTreeMap<Bytes, Entry>,
    names: BTreeMap<EntryId, Bytes>,
    last: EntryId,
    /// Removed names, by when they are forgotten.
    removed: BTreeSet<(Time, EntryId)>,
    /// All names and values.
    bytes: usize,
    /// The sum of the hashes of all names that have a value.
    digest: u64,
    /// What others have changed and nobody was told of.
    news: BTreeSet<Bytes>,
    /// All names in the order of their last changes.
    recent: BTreeMap<u64, EntryId>,
    /// How many changes there were.
    changes: u64,
}

/// What there is under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    id: EntryId,
    stamp: Stamp,
    value: Option<Bytes>,
    /// When a removal is forgotten.
    until: Time,
    /// Which change of the map was its last.
    change: u64,
}

/// A register that another member brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Brought<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<&'a [u8]>,
    /// How long a removal is remembered yet.
    pub(crate) remaining: Duration,
}

/// What became of a register that another member has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    /// It is what is there, or older.
    Known,
    News,
}

impl SharedMap {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            entries_max: config.map_entries_max,
            bytes_max: config.map_bytes_max,
            entry_bytes_max: config.attribute_bytes_max,
            entries: BTreeMap::new(),
            names: BTreeMap::new(),
            last: EntryId(0),
            removed: BTreeSet::new(),
            bytes: 0,
            digest: 0,
            news: BTreeSet::new(),
            recent: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Whether this member may set a name to a value, or remove it.
    pub(crate) fn check(&self, name: &[u8], value: Option<&[u8]>) -> Result<(), CommitError> {
        let Some(value) = value else {
            return if self.get(name).is_some() { Ok(()) } else { Err(CommitError::NoEntry) };
        };
        let bytes = name.len() + value.len();
        if self.entry_bytes_max < bytes {
            return Err(CommitError::AttributeTooLarge { bytes, max: self.entry_bytes_max });
        }
        let (entries, bytes) = self.size_with(name, value.len());
        // What takes no more than before is taken: others may have filled it beyond.
        if self.entries_max.max(self.entries.len()) < entries {
            return Err(CommitError::TooManyEntries { max: self.entries_max });
        }
        if self.bytes_max.max(self.bytes) < bytes {
            return Err(CommitError::MapTooLarge { bytes, max: self.bytes_max });
        }
        Ok(())
    }

    /// Sets a name, or removes it until then. The stamp is above all others.
    pub(crate) fn set(&mut self, name: Bytes, stamp: Stamp, value: Option<Bytes>, until: Time) -> EntryId {
        let id = self.put(name.clone(), stamp, value, until);
        self.news.remove(&name);
        id
    }

    /// P2: merges what another member brings, whatever the limits say: its acknowledgement says that it is here. Limits bound
    /// what each member writes; those of several that have not heard of each other come together here.
    pub(crate) fn merge(&mut self, now: Time, brought: Brought<'_>) -> Merged {
        let Brought { name, stamp, value, remaining } = brought;
        if self.entries.get(name).is_some_and(|entry| stamp <= entry.stamp) {
            return Merged::Known;
        }
        let shown = value.is_some() || self.get(name).is_some();
        let name = Bytes::copy_from_slice(name);
        self.put(name.clone(), stamp, value.map(Bytes::copy_from_slice), now + remaining);
        if shown {
            self.news.insert(name);
        }
        Merged::News
    }

    /// The next name whose value another member has changed.
    pub(crate) fn poll_news(&mut self) -> Option<Bytes> {
        self.news.pop_first()
    }

    /// Takes one removal that is to be forgotten.
    pub(crate) fn poll_due(&mut self, now: Time) -> Option<EntryId> {
        let &(until, id) = self.removed.first()?;
        if now < until {
            return None;
        }
        self.removed.pop_first();
        Some(id)
    }

    /// A removal that was taken is not forgotten yet.
    pub(crate) fn keep(&mut self, id: EntryId, until: Time) {
        let name = self.names.get(&id).expect("what is due has a name");
        if let Some(entry) = self.entries.get_mut(name) {
            entry.until = until;
            self.removed.insert((until, id));
        }
    }

    /// Forgets a removal that was taken.
    pub(crate) fn forget(&mut self, id: EntryId) {
        let name = self.names.remove(&id).expect("what is due has a name");
        if let Some(entry) = self.entries.remove(&name) {
            self.recent.remove(&entry.change);
        }
        self.bytes -= name.len();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.removed.first().map(|&(until, _)| until)
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&Bytes> {
        self.entries.get(name).and_then(|entry| entry.value.as_ref())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter().filter_map(|(name, entry)| Some((name, entry.value.as_ref()?)))
    }

    /// What has changed after the first so many changes, each name once, in the order of the last changes.
    pub(crate) fn changes(&self, after: u64) -> impl Iterator<Item = (u64, &Bytes, Option<&Bytes>)> {
        self.recent.range((Bound::Excluded(after), Bound::Unbounded)).map(|(&change, id)| {
            let name = self.names.get(id).expect("what has changed has a name");
            (change, name, self.get(name))
        })
    }

    /// The register of a name, as it goes to another member.
    pub(crate) fn register(&self, now: Time, id: EntryId) -> Option<Brought<'_>> {
        let (name, entry) = self.entries.get_key_value(self.names.get(&id)?)?;
        let remaining = entry.until.since(now);
        Some(Brought { name, stamp: entry.stamp, value: entry.value.as_deref(), remaining })
    }

    /// Whether anything is known of a name.
    pub(crate) fn knows(&self, name: &[u8]) -> bool {
        self.entries.contains_key(name)
    }

    /// All names, removed ones included.
    pub(crate) fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.names.keys().copied()
    }

    /// How many names there are, removed ones included.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Equal on members that have the same values under the same names.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Asserts what is true between calls.
    pub(crate) fn check_table(&self) {
        assert!(self.entries.len() == self.names.len(), "every name has a number");
        let removed = self.entries.values().filter(|entry| entry.value.is_none()).count();
        assert!(removed == self.removed.len(), "every removal is to be forgotten");
        let bytes: usize = self.entries.iter().map(|(name, entry)| name.len() + entry.value_bytes()).sum();
        assert!(self.bytes == bytes, "all bytes are counted");
        assert!(self.entries.len() == self.recent.len(), "every name has a last change");
    }

    /// How many entries there are with this one, and how many bytes.
    fn size_with(&self, name: &[u8], value: usize) -> (usize, usize) {
        match self.entries.get(name) {
            Some(entry) => (self.entries.len(), self.bytes - entry.value_bytes() + value),
            None => (self.entries.len() + 1, self.bytes + name.len() + value),
        }
    }

    fn put(&mut self, name: Bytes, stamp: Stamp, value: Option<Bytes>, until: Time) -> EntryId {
        let before = self.entries.get(&name);
        let id = before.map_or(EntryId(self.last.0 + 1), |entry| entry.id);
        if let Some(before) = before {
            assert!(before.stamp < stamp, "a register only gets a greater stamp");
            self.bytes -= before.value_bytes();
            self.removed.remove(&(before.until, id));
            self.recent.remove(&before.change);
            self.digest = self.digest.wrapping_sub(before.hash(&name));
        } else {
            self.bytes += name.len();
            self.last = id;
            self.names.insert(id, name.clone());
        }
        if value.is_none() {
            self.removed.insert((until, id));
        }
        self.changes += 1;
        self.recent.insert(self.changes, id);
        let entry = Entry { id, stamp, value, until, change: self.changes };
        self.bytes += entry.value_bytes();
        self.digest = self.digest.wrapping_add(entry.hash(&name));
        self.entries.insert(name, entry);
        id
    }
}

impl Entry {
    fn value_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Nothing for a removal: members forget it at different times.
    fn hash(&self, name: &[u8]) -> u64 {
        if self.value.is_none() {
            return 0;
        }
        let Stamp { clock, writer: MemberId(writer) } = self.stamp;
        let mut hasher = blake3::Hasher::new();
        // A stamp is made once, so it stands for the value.
        hasher.update(&clock.to_le_bytes()).update(&writer.to_le_bytes()).update(name);
        let mut hash = [0; 8];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(hash)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn map(entries_max: usize, bytes_max: usize) -> SharedMap {
        SharedMap::new(&Config { map_entries_max: entries_max, map_bytes_max: bytes_max, ..Config::default() })
    }

    fn stamp(clock: u64) -> Stamp {
        Stamp { clock, writer: MemberId(1) }
    }

    fn brought<'a>(name: &'a str, clock: u64, value: Option<&'a str>) -> Brought<'a> {
        Brought { name: name.as_bytes(), stamp: stamp(clock), value: value.map(str::as_bytes), remaining: HOUR }
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_greater_stamp_wins_and_news_are_told_once() {
        let mut map = map(4, 100);
        map.set("a".into(), stamp(5), Some("mine".into()), at(0));
        assert_eq!(map.merge(at(0), brought("a", 4, Some("older"))), Merged::Known);
        assert_eq!(map.merge(at(0), brought("a", 6, Some("newer"))), Merged::News);
        assert_eq!(map.merge(at(0), brought("a", 7, Some("newest"))), Merged::News);
        assert_eq!(map.get(b"a").map(|value| &value[..]), Some(&b"newest"[..]));
        assert_eq!((map.poll_news().as_deref(), map.poll_news()), (Some(&b"a"[..]), None));
        map.check_table();
    }

    #[test]
    fn a_removal_is_remembered_until_its_time_has_come() {
        let mut map = map(4, 100);
        let id = map.set("a".into(), stamp(1), Some("value".into()), at(0));
        let before = map.digest();
        map.set("a".into(), stamp(3), None, at(10));
        assert_eq!(map.merge(at(0), brought("a", 2, Some("late"))), Merged::Known);
        assert_eq!((map.get(b"a"), map.iter().count(), map.digest()), (None, 0, 0));
        assert_eq!(map.register(at(4), id).map(|register| register.remaining), Some(Duration::from_secs(6)));
        assert_eq!(map.poll_timeout(), Some(at(10)));
        assert_eq!((map.poll_due(at(9)), map.poll_due(at(10))), (None, Some(id)));
        map.keep(id, at(12));
        assert_eq!((map.poll_due(at(11)), map.poll_due(at(12))), (None, Some(id)));
        map.forget(id);
        assert!(!map.knows(b"a"));
        map.set("a".into(), stamp(1), Some("value".into()), at(0));
        assert_eq!(map.digest(), before);
        map.check_table();
    }

    #[test]
    fn what_takes_the_place_of_a_removal_is_not_forgotten() {
        let mut map = map(4, 100);
        assert_eq!(map.merge(at(0), brought("a", 1, None)), Merged::News);
        assert_eq!(map.poll_news(), None, "there was no value");
        assert_eq!(map.merge(at(0), brought("a", 2, Some("again"))), Merged::News);
        assert_eq!((map.poll_timeout(), map.poll_due(at(9999))), (None, None));
        map.check_table();
    }

    #[test]
    fn whoever_keeps_a_table_is_told_each_name_once_since_it_last_looked() {
        let mut map = map(4, 100);
        map.set("a".into(), stamp(1), Some("1".into()), at(0));
        map.set("b".into(), stamp(2), Some("2".into()), at(0));
        map.merge(at(0), brought("a", 3, Some("3")));
        let told = |map: &SharedMap, after| {
            let told = map.changes(after).map(|(change, name, value)| (change, name.clone(), value.cloned()));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&map, 0), [(2, "b".into(), Some("2".into())), (3, "a".into(), Some("3".into()))]);
        let id = map.set("b".into(), stamp(4), None, at(1));
        assert_eq!(told(&map, 3), [(4, "b".into(), None)]);
        assert_eq!(map.poll_due(at(1)), Some(id));
        map.forget(id);
        assert_eq!(told(&map, 0), [(3, "a".into(), Some("3".into()))]);
        map.check_table();
    }

    /// P7: what a member may write has bounds. P2: what others bring has none, as they are told that it is here.
    #[test]
    fn it_refuses_what_is_written_past_its_bounds_and_nothing_that_others_bring() {
        let mut map = map(2, 10);
        assert_eq!(map.check(b"a", None), Err(CommitError::NoEntry));
        assert_eq!(map.check(b"a", Some(b"1234567890")), Err(CommitError::MapTooLarge { bytes: 11, max: 10 }));
        map.set("a".into(), stamp(1), Some("12345".into()), at(0));
        map.set("b".into(), stamp(1), Some("1".into()), at(0));
        assert_eq!(map.check(b"c", Some(b"")), Err(CommitError::TooManyEntries { max: 2 }));
        assert_eq!(map.check(b"a", Some(b"1234567")), Ok(()), "it takes the place of what was there");
        assert_eq!(map.check(b"a", Some(b"12345678")), Err(CommitError::MapTooLarge { bytes: 11, max: 10 }));
        let names: Vec<String> = (0..10).map(|number| alloc::format!("{number}")).collect();
        let merged = names.iter().map(|name| map.merge(at(0), brought(name, 2, Some("1"))));
        assert_eq!(merged.filter(|merged| *merged == Merged::News).count(), 10);
        assert_eq!(map.merge(at(0), brought("a", 2, Some("a value that is longer than the room"))), Merged::News);
        assert_eq!(map.check(b"c", Some(b"")), Err(CommitError::TooManyEntries { max: 2 }));
        assert_eq!(map.check(b"b", Some(b"12")), Err(CommitError::MapTooLarge { bytes: 60, max: 10 }));
        assert_eq!(map.check(b"b", Some(b"2")), Ok(()), "it takes no more than before");
        map.check_table();
    }

    proptest! {
        /// P1: in whatever order, however often, what is heard gives the same map.
        #[test]
        fn maps_that_have_heard_the_same_are_equal(
            writes in prop::collection::vec((0..4_usize, 0..3_u64, prop::option::of(0..3_usize)), 0..20),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let (names, values) = (["a", "b", "c", "d"], ["", "1", "2"]);
            let brought: Vec<_> = writes.iter().zip(0..).map(|(&(name, clock, value), number)| Brought {
                stamp: Stamp { clock, writer: MemberId(number) },
                ..brought(names[name], 0, value.map(|value| values[value]))
            }).collect();
            let (mut one, mut other) = (map(9, 99), map(9, 99));
            for register in &brought {
                one.merge(at(0), *register);
            }
            for index in order {
                if !brought.is_empty() {
                    other.merge(at(0), *index.get(&brought));
                }
            }
            for register in brought.iter().rev() {
                other.merge(at(0), *register);
            }
            prop_assert!(one.iter().eq(other.iter()));
            prop_assert_eq!(one.digest(), other.digest());
            one.check_table();
            other.check_table();
        }
    }
}
