//! When a member that holds more than it may makes room, and how.
//!
//! Of the sessions that must go each member ends those that it owns, and leaves the others to their owners. If these end
//! none within its patience, because they have room or cannot be heard, it ends as large a part of the excess as it owns
//! of all that it holds, and again until there is room or it owns nothing more. A part, so that members which wait for
//! each other do not each end all of it.

use core::time::Duration;

use crate::{limits::Load, time::Time};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pressure {
    /// What others are to end.
    expected: Load,
    until: Option<Time>,
    /// Another has ended a session to make room since this one waits.
    heard: bool,
    /// Others make no room.
    stalled: bool,
    /// The application has been told.
    told: bool,
}

/// Whose sessions are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    /// Those of this member among the coldest of all.
    Coldest,
    /// The coldest of this member, as large a part as it owns.
    Share,
}

impl Pressure {
    /// Another member has ended a session to make room.
    pub(crate) fn handle_evicted(&mut self) {
        self.heard = true;
    }

    /// What to do about what is above the limits now.
    pub(crate) fn poll(&mut self, now: Time, excess: Load) -> Option<Relief> {
        if excess == Load::NONE {
            *self = Self::default();
            return None;
        }
        if self.until.is_some_and(|until| until <= now) {
            self.stalled = !self.heard;
            (self.heard, self.until) = (false, None);
            return Some(if self.stalled { Relief::Share } else { Relief::Coldest });
        }
        let grown = excess.minus(self.expected) != Load::NONE;
        (grown && !self.stalled).then_some(Relief::Coldest)
    }

    /// So much is still above the limits: others are to end it.
    pub(crate) fn wait(&mut self, now: Time, rest: Load, patience: Duration) {
        if rest == Load::NONE {
            // What comes next is another matter, also if it comes before anybody looks again.
            *self = Self::default();
            return;
        }
        self.expected = rest;
        self.until = self.until.or(Some(now + patience));
    }

    /// More of this member's sessions must go than in one slice.
    pub(crate) fn go_on(&mut self, now: Time) {
        (self.heard, self.until) = (true, Some(now + Duration::from_millis(1)));
    }

    /// Whether the application is to be told; once, until there is room again.
    pub(crate) fn tell(&mut self) -> bool {
        !core::mem::replace(&mut self.told, true)
    }

    /// Whether the others were to make room and have not.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn sessions(sessions: usize) -> Load {
        Load { sessions, bytes: 0 }
    }

    /// A member that has left so many to others, at 0.
    fn waiting(rest: usize) -> Pressure {
        let mut pressure = Pressure::default();
        assert_eq!(pressure.poll(at(0), sessions(rest)), Some(Relief::Coldest));
        pressure.wait(at(0), sessions(rest), PATIENCE);
        pressure
    }

    #[test]
    fn once_there_is_room_what_comes_next_is_seen_to() {
        let mut pressure = waiting(1);
        assert_eq!(pressure.poll(at(1000), sessions(1)), Some(Relief::Share));
        pressure.wait(at(1000), Load::NONE, PATIENCE);
        assert_eq!(pressure.poll(at(1001), sessions(1)), Some(Relief::Coldest));
    }

    #[test]
    fn only_what_has_grown_is_seen_to_while_others_make_room() {
        let mut pressure = waiting(3);
        assert_eq!(pressure.poll(at(10), sessions(3)), None);
        assert_eq!(pressure.poll(at(20), sessions(2)), None);
        assert_eq!(pressure.poll(at(30), sessions(4)), Some(Relief::Coldest));
        pressure.wait(at(30), sessions(3), PATIENCE);
        assert_eq!(pressure.poll_timeout(), Some(at(1000)), "more does not make it wait longer");
        assert_eq!(pressure.poll(at(40), Load::NONE), None);
        assert_eq!(pressure.poll_timeout(), None);
    }

    #[test]
    fn a_share_is_ended_whenever_others_have_ended_none_in_time() {
        let mut pressure = waiting(3);
        assert_eq!(pressure.poll(at(1000), sessions(3)), Some(Relief::Share));
        pressure.wait(at(1000), sessions(2), PATIENCE);
        assert!(pressure.is_stalled());
        assert_eq!(pressure.poll(at(1500), sessions(9)), None, "it has its pace");
        assert_eq!(pressure.poll(at(2000), sessions(9)), Some(Relief::Share));
    }

    #[test]
    fn who_hears_that_others_make_room_goes_on_with_the_coldest() {
        let mut pressure = waiting(3);
        pressure.handle_evicted();
        assert_eq!(pressure.poll(at(1000), sessions(2)), Some(Relief::Coldest));
        pressure.wait(at(1000), sessions(2), PATIENCE);
        assert!(!pressure.is_stalled());
        assert_eq!(pressure.poll(at(2000), sessions(2)), Some(Relief::Share), "none was heard since");
    }
}
