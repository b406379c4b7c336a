//! Stamps: the order of all writes of a cluster.
//!
//! A stamp is unique and its order is total. The clock is a hybrid logical clock (Kulkarni, Demirbas et al., 2014): the
//! wall clock's microseconds above a counter of 10 bits, never going back, and moved past every reading that is heard of
//! another member. So a stamp made after hearing of another is above it, whatever the wall clocks say.

use serde::{Deserialize, Serialize};

use crate::{
    member::MemberId,
    time::{Time, Wall},
};

const COUNTER_BITS: u32 = 10;

/// One reading of the hybrid clock by one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Microseconds and counter.
    pub(crate) clock: u64,
    /// Who made it.
    pub(crate) writer: MemberId,
}

impl Stamp {
    /// None is below it.
    pub(crate) const LOWEST: Self = Self { clock: 0, writer: MemberId(0) };

    /// What the wall clock showed, or a little more.
    pub(crate) fn wall(self) -> Wall {
        Wall(self.clock >> COUNTER_BITS)
    }
}

/// The node's hybrid logical clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct HybridClock {
    last: u64,
    wall: Option<(Time, Wall)>,
}

impl HybridClock {
    pub(crate) fn handle_wall(&mut self, now: Time, wall: Wall) {
        self.wall = Some((now, wall));
    }

    /// Moves past a reading of another member; tells by how many milliseconds that was ahead of this node's wall clock.
    pub(crate) fn handle_clock(&mut self, now: Time, clock: u64) -> u64 {
        self.last = self.last.max(clock);
        let heard = clock >> COUNTER_BITS;
        match self.wall_at(now) {
            0 => 0,
            here => heard.saturating_sub(here) / 1000,
        }
    }

    pub(crate) fn stamp(&mut self, now: Time, writer: MemberId) -> Stamp {
        let wall = self.wall_at(now) << COUNTER_BITS;
        self.last = wall.max(self.last.saturating_add(1));
        Stamp { clock: self.last, writer }
    }

    /// The newest reading made or heard.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    fn wall_at(&self, now: Time) -> u64 {
        self.wall.map_or(0, |(at, Wall(wall))| {
            let passed = u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX);
            wall.saturating_add(passed).min(u64::MAX >> COUNTER_BITS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MemberId = MemberId(1);

    #[test]
    fn stamps_rise_even_when_the_wall_clock_steps_back() {
        let mut clock = HybridClock::default();
        clock.handle_wall(Time::ZERO, Wall(1_000));
        let first = clock.stamp(Time::ZERO, ME);
        clock.handle_wall(Time::ZERO, Wall(10));
        assert!(first < clock.stamp(Time::ZERO, ME));
    }

    #[test]
    fn a_stamp_is_above_everything_heard() {
        let mut clock = HybridClock::default();
        clock.handle_wall(Time::ZERO, Wall(1_000));
        assert_eq!(clock.handle_clock(Time::ZERO, 5_000_000 << COUNTER_BITS), 4_999);
        assert!(5_000_000 << COUNTER_BITS < clock.stamp(Time::ZERO, ME).clock);
    }
}
