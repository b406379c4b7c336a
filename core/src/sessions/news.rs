//! Which sessions have changed since readers last looked, and since they were last summed.

use alloc::vec::Vec;

use super::Sessions;
use crate::key::SessionKey;

impl Sessions {
    pub(crate) fn poll_changed(&mut self) -> Option<SessionKey> {
        self.changed.pop_first()
    }

    /// The next session that has changed since it was last asked for here, or has left the table.
    pub(crate) fn poll_unsummed(&mut self) -> Option<SessionKey> {
        let unsummed = self.unsummed.as_mut()?;
        let Some(key) = unsummed.pop() else {
            // It was as long as all sessions, maybe.
            *unsummed = Vec::new();
            return None;
        };
        if let Some(entry) = self.table.get_mut(&key) {
            entry.unsummed = false;
        }
        Some(key)
    }

    pub(crate) fn has_unsummed(&self) -> bool {
        self.unsummed.as_ref().is_some_and(|unsummed| !unsummed.is_empty())
    }
}
