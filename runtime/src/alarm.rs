//! Until when the driver sleeps, and what has to wake it earlier.
//!
//! The driver arms the alarm at the end of its turn and sleeps no longer than that. Whoever moves a deadline forward
//! tells the alarm, which answers whether the driver has to be woken; it says so once, until the driver has armed again.
//!
//! The alarm also keeps the *uses* that are told to the node later. A use is told at most once in a tenth of the idle
//! time, and one in between is not lost but told at the end of that tenth: else a session could expire a tenth too
//! early (P4).

use std::collections::BTreeSet;

use heirloom_core::{SessionKey, Time};

use crate::sync::{Mutex, Step, lock};

/// See the module.
#[derive(Debug)]
pub(crate) struct Alarm {
    inner: Mutex<Inner>,
}

/// Whether the driver sleeps too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Sleep {
    LongEnough,
    TooLong,
}

impl Alarm {
    /// Armed for the epoch: the driver that takes its first turn does not sleep before.
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { armed: Time::ZERO, uses: BTreeSet::new() }) }
    }

    /// The driver will sleep until then, or until the first use is to be told; answers which.
    pub(crate) fn arm(&self, at: Time) -> Time {
        let mut inner = lock(&self.inner);
        inner.armed = inner.uses.first().map_or(at, |&(first, _)| first.min(at));
        inner.armed
    }

    /// Something is due at this time.
    pub(crate) fn advance(&self, at: Time) -> Sleep {
        lock(&self.inner).advance(at)
    }

    /// A use of this session is to be told at this time.
    pub(crate) fn use_later(&self, at: Time, key: SessionKey) -> Sleep {
        let mut inner = lock(&self.inner);
        inner.uses.insert((at, key));
        inner.advance(at)
    }

    /// Takes one use that it is time to tell.
    pub(crate) fn poll_use(&self, now: Time) -> Option<SessionKey> {
        let mut inner = lock(&self.inner);
        let &(at, key) = inner.uses.first()?;
        if now < at {
            return None;
        }
        inner.uses.pop_first();
        Some(key)
    }
}

#[derive(Debug)]
struct Inner {
    armed: Time,
    uses: BTreeSet<(Time, SessionKey)>,
}

impl Inner {
    fn advance(&mut self, at: Time) -> Sleep {
        if self.armed <= at {
            return Sleep::LongEnough;
        }
        self.armed = at;
        if Step::TellOfSleep.is_missing() { Sleep::LongEnough } else { Sleep::TooLong }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const KEY: SessionKey = SessionKey([7; 16]);

    #[test]
    fn the_driver_is_woken_once_for_an_earlier_deadline() {
        let alarm = Alarm::new();
        assert_eq!(alarm.arm(at(10)), at(10));
        assert_eq!(alarm.advance(at(10)), Sleep::LongEnough);
        assert_eq!(alarm.advance(at(5)), Sleep::TooLong);
        assert_eq!(alarm.advance(at(5)), Sleep::LongEnough, "it has been said");
        assert_eq!(alarm.advance(at(4)), Sleep::TooLong);
    }

    #[test]
    fn a_use_is_told_when_due_and_once() {
        let alarm = Alarm::new();
        assert_eq!(alarm.arm(at(10)), at(10));
        assert_eq!(alarm.use_later(at(6), KEY), Sleep::TooLong);
        assert_eq!(alarm.arm(at(10)), at(6));
        assert_eq!(alarm.poll_use(at(5)), None);
        assert_eq!(alarm.poll_use(at(6)), Some(KEY));
        assert_eq!(alarm.poll_use(at(6)), None);
        assert_eq!(alarm.arm(at(10)), at(10));
    }

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }
}
