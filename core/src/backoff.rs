//! Growing waits between tries.

use core::time::Duration;

use crate::rng::Rng;

/// Waits that double from `least` on. Each is drawn from its upper half, so that many who try do not do it in step.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    rng: Rng,
    least: Duration,
}

impl Backoff {
    pub(crate) fn new(seed: u64, least: Duration) -> Self {
        Self { rng: Rng::new(seed), least }
    }

    /// How long to wait after so many tries, at most `most`.
    pub(crate) fn wait(&mut self, tries: u32, most: Duration) -> Duration {
        let doubled = self.least.saturating_mul(1 << tries.saturating_sub(1).min(DOUBLINGS_MAX));
        let full = doubled.min(most);
        let half = u64::try_from(full.as_nanos() / 2).unwrap_or(u64::MAX - 1);
        full - Duration::from_nanos(self.rng.next() % (half + 1))
    }
}

const DOUBLINGS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_are_drawn_from_their_upper_half() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(1, millis(100));
        for (tries, full) in [(1, 100), (2, 200), (3, 400), (6, 3000), (u32::MAX, 3000)] {
            for _ in 0..100 {
                let wait = backoff.wait(tries, millis(3000));
                assert!(millis(full) / 2 <= wait && wait <= millis(full), "{wait:?} after {tries}");
            }
        }
        let waits: alloc::collections::BTreeSet<_> = (0..10).map(|_| backoff.wait(9, millis(3000))).collect();
        assert!(5 < waits.len());
    }
}
