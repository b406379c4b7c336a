//! Copies that are not all of a session, or that this node need not hold.

use alloc::sync::Arc;

use super::Sessions;
use crate::{
    key::SessionKey,
    session::{Lifetime, LifetimeRegister, Session},
    time::Time,
};

/// What a planted fault does to a copy.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The last of its attributes is lost.
    Attribute,
    /// All of it is lost.
    Drop,
}

impl Sessions {
    /// Gives a session a lifetime that nobody knows.
    pub(crate) fn set_lifetime(&mut self, now: Time, key: SessionKey, register: LifetimeRegister) {
        if let Some(entry) = self.table.get_mut(&key) {
            Arc::make_mut(&mut entry.session).merge_lifetime(register);
            entry.deadline = match register.lifetime {
                Lifetime::Idle(length) | Lifetime::Fixed(length) => Some(now + length),
                Lifetime::Never => None,
            };
            self.changed.insert(key);
        }
        self.reckon(key, None);
    }

    /// What is held of a session is not all of it, or is all that there is.
    pub(crate) fn set_partial(&mut self, key: &SessionKey, partial: bool) {
        if let Some(entry) = self.table.get_mut(key) {
            entry.partial = partial;
            self.changed.insert(*key);
        }
    }

    /// Whether what is held of a session is known not to be all of it.
    pub(crate) fn is_partial(&self, key: &SessionKey) -> bool {
        self.table.get(key).is_some_and(|entry| entry.partial)
    }

    /// Whether this node need not hold a session, and waits to be released.
    pub(crate) fn set_left_over(&mut self, key: &SessionKey, left_over: bool) {
        if let Some(entry) = self.table.get_mut(key).filter(|entry| entry.left_over != left_over) {
            entry.left_over = left_over;
            self.changed.insert(*key);
        }
    }

    /// What may be served of a session from here, whether it lives or not.
    pub(crate) fn served(&self, key: &SessionKey) -> Option<&Arc<Session>> {
        self.table.get(key).filter(|entry| !entry.partial && !entry.left_over).map(|entry| &entry.session)
    }

    /// Loses a part of what is held of a session.
    pub(crate) fn damage(&mut self, key: &SessionKey, damage: Damage) {
        match damage {
            Damage::Drop => self.drop_copy(key),
            Damage::Attribute => {
                if let Some(entry) = self.table.get_mut(key) {
                    Arc::make_mut(&mut entry.session).lose_attribute();
                    self.changed.insert(*key);
                }
                self.reckon(*key, None);
            }
        }
    }

    /// Drops a copy.
    pub(crate) fn drop_copy(&mut self, key: &SessionKey) {
        if let Some(entry) = self.table.remove(key) {
            self.reckon_out(*key, &entry);
            self.changed.insert(*key);
            self.forget_links(key, &entry.session);
            self.besides.forget(key);
        }
    }
}
