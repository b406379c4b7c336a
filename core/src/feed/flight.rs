//! The frames that are on their way to a peer, and what of each session is in them.

use alloc::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    vec::Vec,
};

use super::{Carried, Note};
use crate::key::SessionKey;

/// Always true: a session is counted as often as frames carry something of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    frames: VecDeque<(u64, Vec<Carried>)>,
    sessions: BTreeMap<SessionKey, Count>,
}

/// How often something of a session is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    changes: u32,
    offers: u32,
}

impl Flight {
    pub(super) fn start(&mut self, number: u64, carried: Vec<Carried>) {
        for carried in &carried {
            match carried {
                Carried::Changes(key, ..) => self.sessions.entry(*key).or_default().changes += 1,
                Carried::Note(Note::Offer(key)) => self.sessions.entry(*key).or_default().offers += 1,
                Carried::Entry(..) | Carried::Note(_) => {}
            }
        }
        self.frames.push_back((number, carried));
    }

    /// Everything up to this frame has arrived.
    pub(super) fn land(&mut self, number: u64) -> Vec<Carried> {
        let mut landed = Vec::new();
        while let Some((_, carried)) = self.frames.pop_front_if(|(sent, _)| *sent <= number) {
            carried.iter().for_each(|carried| self.count_out(carried));
            landed.extend(carried);
        }
        landed
    }

    /// Nothing of it may have arrived.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Carried> + use<> {
        self.sessions.clear();
        core::mem::take(&mut self.frames).into_iter().flat_map(|(_, carried)| carried)
    }

    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn carried(&self) -> impl Iterator<Item = &Carried> {
        self.frames.iter().flat_map(|(_, carried)| carried)
    }

    /// The sessions with changes in flight.
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionKey> {
        self.sessions.iter().filter(|(_, count)| 0 < count.changes).map(|(key, _)| *key)
    }

    /// The sessions of which an offer is in flight.
    pub(super) fn offers(&self) -> impl Iterator<Item = SessionKey> {
        self.sessions.iter().filter(|(_, count)| 0 < count.offers).map(|(key, _)| *key)
    }

    /// How many sessions have something in flight.
    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn has_changes(&self, key: &SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|count| 0 < count.changes)
    }

    /// Whether anything of a session is in flight.
    pub(super) fn carries(&self, key: &SessionKey) -> bool {
        self.sessions.contains_key(key)
    }

    fn count_out(&mut self, carried: &Carried) {
        let (key, changes, offers) = match carried {
            Carried::Changes(key, ..) => (key, 1, 0),
            Carried::Note(Note::Offer(key)) => (key, 0, 1),
            Carried::Entry(..) | Carried::Note(_) => return,
        };
        let Entry::Occupied(mut place) = self.sessions.entry(*key) else {
            unreachable!("what is in flight was counted")
        };
        let count = place.get_mut();
        *count = Count { changes: count.changes - changes, offers: count.offers - offers };
        if *count == Count::default() {
            place.remove();
        }
    }
}
