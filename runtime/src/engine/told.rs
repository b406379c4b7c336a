//! What was found behind the lock and is told outside of it.

use core::task::Waker;

use heirloom_core::{AtRisk, Fetched};

use super::Committed;
use crate::completion::Completer;

/// Who is to be told what, once the lock is let go. A thread that is woken wants it soon.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Told {
    pub(super) commits: Vec<(Completer<Committed>, Committed)>,
    pub(super) fetches: Vec<(Completer<Fetched>, Fetched)>,
    pub(super) leavers: Vec<(Completer<AtRisk>, AtRisk)>,
    pub(super) readers: Vec<Waker>,
    /// The driver has to come: there is more to send, or an earlier deadline.
    pub(crate) wake_driver: bool,
}

impl Told {
    pub(crate) fn tell(self) {
        for (completer, committed) in self.commits {
            completer.complete(committed);
        }
        for (completer, fetched) in self.fetches {
            completer.complete(fetched);
        }
        for (completer, at_risk) in self.leavers {
            completer.complete(at_risk);
        }
        self.readers.into_iter().for_each(Waker::wake);
    }
}
