//! Which sessions are summed, as what, and which have changed since.

use alloc::vec::Vec;
use core::{mem, ops::RangeBounds};

use super::{Entry, Sessions};
use crate::{
    digest::{Resummed, Summed},
    key::SessionKey,
};

/// What is summed otherwise than it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsummed {
    /// In no order.
    changed: Vec<SessionKey>,
    /// What has left the table.
    left: Vec<(SessionKey, Summed)>,
}

impl Unsummed {
    pub(super) fn note(&mut self, key: SessionKey, entry: &mut Entry) {
        if !mem::replace(&mut entry.unsummed, true) {
            self.changed.push(key);
        }
    }

    pub(super) fn note_left(&mut self, key: SessionKey, entry: &Entry) {
        self.left.extend(entry.summed.map(|summed| (key, summed)));
    }
}

impl Sessions {
    /// The next session that has changed since it was last asked for here, or has left the table: those first.
    pub(crate) fn poll_unsummed(&mut self) -> Option<Resummed> {
        let unsummed = self.unsummed.as_mut()?;
        if let Some((key, before)) = unsummed.left.pop() {
            return Some(Resummed { key, before: Some(before), now: None });
        }
        while let Some(key) = unsummed.changed.pop() {
            let Some(entry) = self.table.get_mut(&key) else { continue };
            entry.unsummed = false;
            let session = Some(&entry.session).filter(|session| session.is_live());
            let now = session.and_then(|session| Some(Summed::new(&key, session.digest(), session.owner()?)));
            return Some(Resummed { key, before: mem::replace(&mut entry.summed, now), now });
        }
        // It was as long as the table, maybe.
        *unsummed = Unsummed::default();
        None
    }

    pub(crate) fn has_unsummed(&self) -> bool {
        self.unsummed.as_ref().is_some_and(|unsummed| !unsummed.changed.is_empty() || !unsummed.left.is_empty())
    }

    /// Whether something has left the table and is summed yet.
    pub(crate) fn has_left(&self) -> bool {
        self.unsummed.as_ref().is_some_and(|unsummed| !unsummed.left.is_empty())
    }

    /// What is summed of the sessions with keys in a range.
    pub(crate) fn summed(&self, keys: impl RangeBounds<SessionKey>) -> impl Iterator<Item = (SessionKey, Summed)> {
        self.table.range(keys).filter_map(|(key, entry)| Some((*key, entry.summed?)))
    }
}
