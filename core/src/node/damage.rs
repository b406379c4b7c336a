//! Copies that are spoiled on purpose, for tests of what finds and repairs them.

use super::Node;
use crate::{key::SessionKey, sessions::Damage};

impl Node {
    /// Spoils what this member holds of a session, as a fault of this crate would that loses a change: nobody is told, and
    /// what this member says from now on rests on what is left. It is there because no sequence of inputs leads to such a
    /// state, and no part of any interface for applications.
    #[doc(hidden)]
    pub fn damage(&mut self, key: &SessionKey, damage: Damage) {
        if damage == Damage::Drop {
            self.disarm(key);
            self.relocation.settle(key);
        }
        self.sessions.damage(key, damage);
        self.check_debug();
    }
}
