//! How long things took, and when they happened.

use core::time::Duration;

use hdrhistogram::Histogram;

/// Lengths of time, each kept with three digits.
#[derive(Clone, Debug)]
pub(super) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order"))
    }
}

impl Times {
    pub(super) fn record(&mut self, length: Duration) {
        self.0.saturating_record(nanos(length));
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// So many of a hundred did not take longer.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_percentile(percent))
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    pub(super) fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e9)
    }
}

/// How many of something happened in each tenth of a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace(Vec<u64>);

impl Pace {
    pub(super) fn count(&mut self, at: Duration) {
        let slot = usize::try_from(at.as_millis() / SLOT.as_millis()).unwrap_or(usize::MAX);
        // A run takes an hour at the most; what is answered after its end belongs to its last slot.
        let slot = slot.min(SLOTS_MAX);
        if self.0.len() <= slot {
            self.0.resize(slot + 1, 0);
        }
        self.0[slot] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(count, more)| *count += more);
    }

    /// Each slot: when it begins, in seconds, and how many in a second that is.
    pub(super) fn rates(&self) -> impl Iterator<Item = (f64, f64)> {
        let length = SLOT.as_secs_f64();
        self.0.iter().enumerate().map(move |(at, count)| (at as f64 * length, *count as f64 / length))
    }
}

/// Nothing here is waited for longer.
const LONGEST: u64 = 100_000_000_000;
const SLOT: Duration = Duration::from_millis(100);
const SLOTS_MAX: usize = 36_100;

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// A rate.
pub(super) fn per_second(count: u64, length: Duration) -> f64 {
    count as f64 / length.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_three_digits_and_rates_by_tenths_of_a_second() {
        let mut times = Times::default();
        (1..=100).for_each(|at| times.record(Duration::from_micros(at)));
        times.record(Duration::from_secs(1000));
        assert_eq!(times.percentile(50.0).as_micros(), 51);
        assert_eq!((times.count(), times.max().as_secs()), (101, 100));
        let (mut pace, mut other) = (Pace::default(), Pace::default());
        [0, 99, 250].into_iter().for_each(|at| pace.count(Duration::from_millis(at)));
        other.count(Duration::from_millis(310));
        pace.add(&other);
        let rates: Vec<_> = pace.rates().map(|(_, rate)| rate).collect();
        assert_eq!(rates, [20.0, 0.0, 10.0, 10.0]);
    }
}
