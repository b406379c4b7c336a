//! The births and ends of a session.

use serde::{Deserialize, Serialize};

use crate::{member::MemberId, stamp::Stamp};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EndCause {
    /// It was not used for its idle time.
    Idle,
    /// It reached the end that was fixed for it.
    MaxAge,
    /// The application ended it.
    Ended,
    /// The application created it anew.
    Replaced,
    /// It came back from a member that was away for longer than ends are remembered.
    Forgotten,
    /// Its id was changed: it lives on under another.
    Moved,
    /// It was ended to make room, or by an operator.
    Evicted,
    /// It was lost with its owner before any other member had a copy.
    Lost,
}

/// An end: everything born at or below `at` is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) at: Stamp,
    pub(crate) cause: EndCause,
}

/// Up to which counter of its epoch a birth has expired, and whether that was because it reached its greatest age. Of two
/// the greater is what holds, so it merges as the counter does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Expired {
    /// Zero: never.
    pub(crate) counter: u32,
    pub(crate) by_age: bool,
}

impl Expired {
    pub(crate) const NEVER: Self = Self { counter: 0, by_age: false };

    /// One number for both, in the same order. Counters on the wire are below a quarter of what a number holds.
    pub(crate) fn code(self) -> u32 {
        self.counter * 2 + u32::from(self.by_age)
    }

    pub(crate) fn of_code(code: u32) -> Self {
        Self { counter: code / 2, by_age: !code.is_multiple_of(2) }
    }
}

/// One birth of a session: its epoch, and up to which counter it expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) birth: Stamp,
    pub(crate) counter: u32,
    pub(crate) owner: MemberId,
    pub(crate) expired: Expired,
}

impl Life {
    pub(crate) fn is_over(&self) -> bool {
        self.counter <= self.expired.counter
    }
}
