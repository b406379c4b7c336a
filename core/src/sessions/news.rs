//! Which sessions have changed since readers last looked, and since they were last summed.

use super::Sessions;
use crate::key::SessionKey;

impl Sessions {
    pub(crate) fn poll_changed(&mut self) -> Option<SessionKey> {
        self.changed.pop_first()
    }

    /// The next session that has changed since it was last asked for here.
    pub(crate) fn poll_unsummed(&mut self) -> Option<SessionKey> {
        self.unsummed.as_mut()?.pop_first()
    }

    pub(crate) fn has_unsummed(&self) -> bool {
        self.unsummed.as_ref().is_some_and(|unsummed| !unsummed.is_empty())
    }

    pub(super) fn note_unsummed(&mut self, key: SessionKey) {
        if let Some(unsummed) = &mut self.unsummed {
            unsummed.insert(key);
        }
    }
}
