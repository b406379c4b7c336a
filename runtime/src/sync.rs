//! The locks and atomics of the handoffs: the standard library's, or loom's where a model of them is checked.

use std::sync::PoisonError;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

/// Locks something that no panic can leave half changed, so that a poisoned lock means nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], to read.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], to write.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// A step that a model is there for: what goes wrong without it is seen by running the model without it. Only loom can take
/// one away, for a process that is told so in `HEIRLOOM_WITHOUT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Whoever is inside looks into the mailbox again before it goes.
    LookAgain,
    /// Who leaves the first command for the driver wakes it.
    WakeDriver,
    /// The end drops what is left in the mailbox.
    GiveUp,
    /// A thread that waits for a result is notified.
    NotifyThread,
    /// A task that waits for a result is woken.
    WakeTask,
    /// Who moves a deadline forward is told that the driver sleeps too long.
    TellOfSleep,
}

impl Step {
    #[cfg(not(loom))]
    #[inline]
    pub(crate) const fn is_missing(self) -> bool {
        false
    }

    #[cfg(loom)]
    pub(crate) fn is_missing(self) -> bool {
        static WITHOUT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        WITHOUT.get_or_init(|| std::env::var("HEIRLOOM_WITHOUT").unwrap_or_default()) == &format!("{self:?}")
    }
}
