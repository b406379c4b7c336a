//! True time, and the clocks of a host, which know it only roughly.

use core::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use heirloom_core::{Time, Wall};

use crate::chance::{Draws, nanos};

/// An instant of true time, which only the simulator knows: nanoseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of the run.
    pub const ZERO: Self = Self(0);
    /// Later than everything.
    pub const NEVER: Self = Self(u64::MAX);

    /// That many nanoseconds after the beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The next multiple of `quantum` from here; itself when `quantum` is zero.
    pub fn rounded_up(self, quantum: Duration) -> Self {
        match nanos(quantum) {
            0 => self,
            quantum => Self(self.0.div_ceil(quantum) * quantum),
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(nanos(length)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(length)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

const MILLION: u64 = 1_000_000;
/// How wrong the rate of a monotonic clock may be, in parts per million.
pub const RATE_ERROR_MAX: u64 = 500;
/// What a wall clock without an error shows at the beginning, in microseconds.
const WALL_START: i64 = 1_700_000_000_000_000;

/// The monotonic clock and the wall clock of one host.
#[derive(Clone, Debug)]
pub struct Clock {
    offset: u64,
    /// Since when the rate is what it is; the offset is what the clock showed then.
    since: Moment,
    /// How many of its own microseconds the monotonic clock counts in a true second.
    rate: u64,
    /// The error of the wall clock in milliseconds.
    wall_error: i64,
}

impl Clock {
    /// Clocks without an error.
    pub const fn exact() -> Self {
        Self { offset: 0, since: Moment::ZERO, rate: MILLION, wall_error: 0 }
    }

    /// Clocks with any offset, any wall time within two hours, and any rate within the bound.
    pub fn draw(draws: &mut Draws) -> Self {
        let offset = draws.below(1 << 40);
        let rate = draws.between(MILLION - RATE_ERROR_MAX, MILLION + RATE_ERROR_MAX);
        Self { offset, since: Moment::ZERO, rate, wall_error: signed(draws, 3_600_000) }
    }

    /// What the monotonic clock shows.
    pub fn time(&self, at: Moment) -> Time {
        let passed = u128::from(at.0.saturating_sub(self.since.0)) * u128::from(self.rate) / u128::from(MILLION);
        Time::from_nanos(self.offset + u64::try_from(passed).expect("a run is short"))
    }

    /// The first moment at which the monotonic clock shows `time` or more.
    pub fn moment(&self, time: Time) -> Moment {
        let passed = time.as_nanos().saturating_sub(self.offset);
        let moment = (u128::from(passed) * u128::from(MILLION)).div_ceil(u128::from(self.rate));
        Moment(u64::try_from(moment).unwrap_or(u64::MAX).saturating_add(self.since.0))
    }

    /// What the wall clock shows.
    pub fn wall(&self, at: Moment) -> Wall {
        let passed = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
        let shown = WALL_START.saturating_add(passed).saturating_add(self.wall_error.saturating_mul(1000));
        Wall(u64::try_from(shown).unwrap_or(0))
    }

    /// From now on the monotonic clock is wrong by so many parts of a million, held to what may be.
    pub fn drift(&mut self, now: Moment, parts: i64) {
        let most = i64::try_from(RATE_ERROR_MAX).unwrap_or(0);
        self.offset = self.time(now).as_nanos();
        self.since = now;
        self.rate = MILLION.saturating_add_signed(parts.clamp(-most, most));
    }

    /// Sets the wall clock forward or back.
    pub fn step_wall(&mut self, millis: i64) {
        self.wall_error = self.wall_error.saturating_add(millis);
    }
}

/// A number within `-most..=most`.
pub(crate) fn signed(draws: &mut Draws, most: i64) -> i64 {
    let size = i64::try_from(draws.below(most.unsigned_abs() + 1)).unwrap_or(0);
    if draws.per_mille(500) { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Purpose};

    #[test]
    fn a_deadline_is_met_at_its_moment_and_not_before() {
        for index in 0..100 {
            let clock = Clock::draw(&mut Chance::new(1).draws(Purpose::Clock, 0, 0, index));
            let deadline = clock.time(Moment(1_234_567_891)) + Duration::from_nanos(index * 7919);
            let moment = clock.moment(deadline);
            assert!(deadline <= clock.time(moment));
            assert!(clock.time(Moment(moment.0 - 1)) < deadline);
        }
    }

    #[test]
    fn a_clock_that_drifts_goes_on_from_what_it_showed() {
        let mut clock = Clock::draw(&mut Chance::new(1).draws(Purpose::Clock, 0, 0, 0));
        let now = Moment(7_000_000_000);
        let before = clock.time(now);
        clock.drift(now, -400);
        assert_eq!(clock.time(now), before);
        assert_eq!(clock.time(Moment(8_000_000_000)), before + Duration::from_nanos(999_600_000));
        assert_eq!(clock.moment(before + Duration::from_nanos(999_600_000)), Moment(8_000_000_000));
    }

    #[test]
    fn a_step_of_the_wall_clock_leaves_the_other_alone() {
        let mut clock = Clock::exact();
        let before = clock.time(Moment(5));
        clock.step_wall(-1_000);
        assert_eq!(clock.wall(Moment(0)), Wall(1_699_999_999_000_000));
        assert_eq!(clock.time(Moment(5)), before);
    }

    #[test]
    fn a_moment_is_rounded_up_to_the_quantum() {
        assert_eq!(Moment(11).rounded_up(Duration::from_nanos(10)), Moment(20));
        assert_eq!(Moment(20).rounded_up(Duration::from_nanos(10)), Moment(20));
        assert_eq!(Moment(11).rounded_up(Duration::ZERO), Moment(11));
    }
}
