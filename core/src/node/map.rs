//! The shared map: what is written here, what others bring, and what they are told.
//!
//! A write is fed to everybody by its writer. Whoever comes into the view is fed all that is here, so a joining member
//! has it before it is ready (P5), and members that were apart merge. When a member is gone, its last writes may have
//! reached some only: those that are joining are fed everything once more, and all others hear what the map is in short.
//! Who has another one sends all of it. So nothing is passed on from one member to the next, and no entry is sent twice
//! in a cluster where nobody comes or goes.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Node;
use crate::{
    commits::Waiting,
    delta::{CommitError, CommitId, Demand},
    feed::{Carried, Feed, Note},
    io::FrameError,
    map::{Brought, EntryId, Merged, SharedMap},
    member::MemberId,
    session::Change,
    time::Time,
    wire::{ENTRY_ROOM, FrameWriter, ItemWriter},
};

impl Node {
    /// Sets a name of the shared map, which every member holds, however sessions are copied. It is there for readers at
    /// once; `poll_outcome` tells when as many others have it as is demanded. Of two writes the later wins, by stamp.
    ///
    /// # Errors
    ///
    /// It is refused; nothing has changed.
    pub fn map_set(
        &mut self,
        now: Time,
        name: impl Into<Bytes>,
        value: impl Into<Bytes>,
        demand: impl Into<Demand>,
    ) -> Result<CommitId, CommitError> {
        self.write_map(now, name.into(), Some(value.into()), demand.into())
    }

    /// Removes a name of the shared map. As [`map_set`](Self::map_set).
    ///
    /// # Errors
    ///
    /// It is refused, also if there is no such name here; nothing has changed.
    pub fn map_remove(
        &mut self,
        now: Time,
        name: impl Into<Bytes>,
        demand: impl Into<Demand>,
    ) -> Result<CommitId, CommitError> {
        self.write_map(now, name.into(), None, demand.into())
    }

    /// What the shared map has under a name. A member that is joining may not have it yet.
    pub fn map_get(&self, name: &[u8]) -> Option<&Bytes> {
        self.map.get(name)
    }

    /// All names of the shared map with their values, in the order of names.
    pub fn map_iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.map.iter()
    }

    /// What has changed in the shared map after the first `after` changes, each name once with its value or without one,
    /// and which change that was; for who keeps a table of it for readers, and looks more often than removals are forgotten
    /// (`ended_for`).
    pub fn map_changes(&self, after: u64) -> impl Iterator<Item = (u64, &Bytes, Option<&Bytes>)> {
        self.map.changes(after)
    }

    fn write_map(
        &mut self,
        now: Time,
        name: Bytes,
        value: Option<Bytes>,
        demand: Demand,
    ) -> Result<CommitId, CommitError> {
        let now = self.moved_to(now);
        let committed = self.write_map_unless_refused(now, name, value, demand);
        self.end_commit(now, committed)
    }

    fn write_map_unless_refused(
        &mut self,
        now: Time,
        name: Bytes,
        value: Option<Bytes>,
        Demand { durability, within }: Demand,
    ) -> Result<CommitId, CommitError> {
        self.admit_write(self.map_commits.len())?;
        self.map.check(&name, value.as_deref())?;
        let (id, change) = self.put_entry(now, name, value);
        let waiting = Waiting::Application(durability, within.map(|length| now + length));
        self.map_commits.start(id, change, waiting, self.others.clone());
        Ok(CommitId(change.0))
    }

    /// Writes an entry and feeds it to everybody.
    fn put_entry(&mut self, now: Time, name: Bytes, value: Option<Bytes>) -> (EntryId, Change) {
        let (change, stamp) = (self.next_change(), self.clock.stamp(now, self.id));
        let id = self.map.set(name, stamp, value, now + self.config.ended_for);
        self.feeds.values_mut().for_each(|feed| feed.lack_entry(id, change));
        (id, change)
    }

    pub(super) fn check_entry(&self, entry: &Brought<'_>) -> Result<(), FrameError> {
        let bytes = entry.name.len() + entry.value.map_or(0, <[u8]>::len);
        if bytes <= self.config.attribute_bytes_max { Ok(()) } else { Err(FrameError::Body) }
    }

    /// A member brings an entry.
    pub(super) fn receive_entry(&mut self, now: Time, peer: MemberId, entry: Brought<'_>) {
        let gap = self.breaks.get(&peer).filter(|gap| gap.too_long && entry.stamp.clock <= gap.clock);
        if gap.is_some() && !self.map.knows(entry.name) {
            // It may have been removed while the other was away, and that forgotten: then it is so still.
            self.stats.entries_refused += 1;
            if entry.value.is_some() {
                self.put_entry(now, Bytes::copy_from_slice(entry.name), None);
            }
            return;
        }
        let remaining = entry.remaining.min(self.config.ended_for);
        match self.map.merge(now, Brought { remaining, ..entry }) {
            Merged::Known => {}
            Merged::News => self.stats.entries_applied += 1,
        }
    }

    /// A member tells what its map is in short.
    pub(super) fn receive_map(&mut self, peer: MemberId, digest: u64, asks: bool) {
        if digest == self.map.digest() {
            return;
        }
        let Some(feed) = self.feeds.get_mut(&peer) else { return };
        self.stats.maps_sent += 1;
        lack_all(feed, &self.map);
        if asks {
            feed.note(Note::MapBack);
        }
    }

    /// A member is in the view, or had forgotten this one.
    pub(super) fn feed_map(&mut self, member: MemberId) {
        if let Some(feed) = self.feeds.get_mut(&member) {
            lack_all(feed, &self.map);
        }
    }

    /// A member is gone: what it wrote last may have reached some only.
    pub(super) fn repair_map(&mut self) {
        for (member, feed) in &mut self.feeds {
            if self.others.ready.contains(member) {
                feed.note(Note::Map);
            } else {
                lack_all(feed, &self.map);
            }
        }
    }

    /// Forgets removals whose time has come, once nobody lacks them.
    pub(super) fn forget_entries(&mut self, now: Time) {
        while let Some(id) = self.map.poll_due(now) {
            if self.feeds.values().any(|feed| feed.is_entry_outstanding(id)) {
                self.map.keep(id, now + self.config.frequency);
            } else {
                self.map.forget(id);
            }
        }
    }
}

fn lack_all(feed: &mut Feed, map: &SharedMap) {
    map.ids().for_each(|id| feed.lack_entry(id, Change::default()));
}

/// Writes entries that a peer lacks into a frame, as long as it is shorter than `target`; what is written is `carried`.
pub(super) fn write_entries(
    (now, map, change): (Time, &SharedMap, Change),
    feed: &mut Feed,
    (writer, start): (&mut FrameWriter, usize),
    target: usize,
    carried: &mut Vec<Carried>,
) {
    while writer.frame_bytes(start) < target
        && let Some((id, from)) = feed.next_entry()
    {
        if let Some(entry) = map.register(now, id) {
            let bytes = ENTRY_ROOM + entry.name.len() + entry.value.map_or(0, <[u8]>::len);
            if writer.room(start) < bytes {
                return;
            }
            ItemWriter(writer.bytes()).entry(&entry);
            carried.push(Carried::Entry(id, from, change));
        }
        feed.take_entry(id);
    }
}
