//! What clients wrote to the shared map, and what they were told: the plain model that its oracle judges against.
//!
//! As with sessions, every write has a serial number and its value is that number, so of two writes to a name the one that
//! the other's writer had seen is the older; of two that did not see each other either may win.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heirloom_core::{CommitId, MemberId, Node, Outcome};

use crate::{ask::Serial, clock::Moment, history::Told, net::HostId};

/// A name of the shared map, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub u8);

impl Name {
    pub(crate) fn bytes(self) -> Bytes {
        Bytes::copy_from_slice(&[b'm', self.0])
    }

    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        if let [b'm', number] = name { Some(Self(*number)) } else { None }
    }
}

/// A write to the shared map that a member took.
#[derive(Clone, Debug)]
pub struct NameWrite {
    /// Its number.
    pub serial: Serial,
    /// What it writes.
    pub name: Name,
    /// It sets a value; otherwise it removes one.
    pub sets: bool,
    /// Where.
    pub host: HostId,
    /// By which life.
    pub life: MemberId,
    /// What its client knows.
    pub told: Told,
    /// The writes to this name that its writer had seen.
    past: BTreeSet<Serial>,
}

/// All writes to the shared map.
#[derive(Clone, Debug, Default)]
pub struct Names {
    writes: BTreeMap<Serial, NameWrite>,
    pending: BTreeMap<(MemberId, CommitId), Serial>,
    /// What each life has seen of each name.
    seen: BTreeMap<(MemberId, Name), BTreeSet<Serial>>,
}

impl Names {
    /// The number of the next write.
    pub fn next_serial(&self) -> Serial {
        Serial(self.writes.last_key_value().map_or(1, |(Serial(last), _)| last + 1))
    }

    /// A member took a write; `shown` is what it showed under the name just before.
    pub fn handle_write(
        &mut self,
        (host, life): (HostId, MemberId),
        (name, sets): (Name, bool),
        id: CommitId,
        shown: Option<Serial>,
    ) {
        let serial = self.next_serial();
        self.handle_shown(life, name, shown);
        let seen = self.seen.entry((life, name)).or_default();
        let past = seen.clone();
        seen.insert(serial);
        self.pending.insert((life, id), serial);
        self.writes.insert(serial, NameWrite { serial, name, sets, host, life, told: Told::Pending, past });
    }

    /// A member shows this under a name.
    pub fn handle_shown(&mut self, life: MemberId, name: Name, shown: Option<Serial>) {
        let Some(write) = shown.and_then(|serial| self.writes.get(&serial)) else { return };
        let seen = self.seen.entry((life, name)).or_default();
        seen.extend(&write.past);
        seen.insert(write.serial);
    }

    /// A write has ended; `None` if no such write is in flight.
    pub fn handle_outcome(
        &mut self,
        now: Moment,
        life: MemberId,
        id: CommitId,
        outcome: &Outcome,
    ) -> Option<&NameWrite> {
        let serial = self.pending.remove(&(life, id))?;
        let write = self.writes.get_mut(&serial)?;
        write.told = Told::of(now, outcome);
        Some(write)
    }

    /// A process is no more: what it had in flight is unknown.
    pub fn handle_death(&mut self, life: MemberId) {
        for (_, serial) in self.pending.extract_if(.., |(of, _), _| *of == life) {
            self.writes.entry(serial).and_modify(|write| write.told = Told::Unknown);
        }
    }

    /// Every write.
    pub fn writes(&self) -> impl Iterator<Item = &NameWrite> {
        self.writes.values()
    }

    /// One of them.
    pub fn write(&self, serial: Serial) -> Option<&NameWrite> {
        self.writes.get(&serial)
    }

    /// A write that has not ended yet.
    pub fn pending(&self) -> Option<&NameWrite> {
        self.pending.values().find_map(|serial| self.writes.get(serial))
    }

    /// What a member lacks of a write: `None` when it shows it, or something that may have come after it.
    pub fn lack(&self, node: &Node, write: &NameWrite) -> Option<String> {
        let is_older = |serial: Serial| write.past.contains(&serial);
        match shown(node, write.name) {
            Some(found) if found == write.serial || !is_older(found) => None,
            Some(found) => Some(format!("m{} shows the older #{}", write.name.0, found.0)),
            None if !write.sets => None,
            None => {
                let mut removals = self.writes.values().filter(|other| other.name == write.name && !other.sets);
                let is_gone = removals.any(|removal| !is_older(removal.serial));
                (!is_gone).then(|| format!("m{} is not there", write.name.0))
            }
        }
    }
}

/// Which write a member shows under a name.
pub(crate) fn shown(node: &Node, name: Name) -> Option<Serial> {
    serial_in(node.map_get(&name.bytes())?)
}

/// The write that a value is of.
pub(crate) fn serial_in(value: &[u8]) -> Option<Serial> {
    Some(Serial(u64::from_le_bytes(value.get(..8)?.try_into().ok()?)))
}
