//! Which sessions have changed since readers last looked.

use super::Sessions;
use crate::key::SessionKey;

impl Sessions {
    pub(crate) fn poll_changed(&mut self) -> Option<SessionKey> {
        self.changed.pop_first()
    }
}
