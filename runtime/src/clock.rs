//! The clocks of a process as the core wants them.

use std::time::{Instant, SystemTime};

use heirloom_core::{Time, Wall};

/// The monotonic clock, with the start of the node as its epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time::ZERO + self.epoch.elapsed()
    }

    pub(crate) fn wall() -> Wall {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Wall(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}
