//! What was written, and what may therefore be read.
//!
//! Every value tells which session it is of and which version, and the rest of it follows from these two. So a value
//! that is not there is told from one that is too old, of another session or damaged.

use core::ops::RangeInclusive;

/// The shortest value that has room for a session and a version.
pub(super) const VALUE_BYTES_MIN: u32 = 32;

/// What is known of one session. Versions count from one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// The last version that a node has acknowledged; zero for none.
    acknowledged: u32,
    /// The last version that was sent to a node.
    attempted: u32,
}

/// Whether a value may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the last acknowledged one, or one that was attempted after that.
    Right,
    /// There is none, though one was acknowledged.
    Lost,
    /// It is another.
    Wrong,
}

impl Written {
    /// The next version, from now on attempted.
    pub(super) fn attempt(&mut self) -> u32 {
        self.attempted += 1;
        self.attempted
    }

    /// A node has acknowledged the last attempt.
    pub(super) fn acknowledge(&mut self) {
        self.acknowledged = self.attempted;
    }

    /// Whether some version was acknowledged.
    pub(super) fn is_acknowledged(self) -> bool {
        0 < self.acknowledged
    }

    /// Judges what was read of the session of this number.
    pub(super) fn judge(self, number: u32, found: Option<&[u8]>) -> Verdict {
        let Some(found) = found else {
            return if self.is_acknowledged() { Verdict::Lost } else { Verdict::Right };
        };
        let allowed: RangeInclusive<u32> = self.acknowledged.max(1)..=self.attempted;
        let version = version(found).filter(|version| allowed.contains(version));
        match version {
            Some(version) if value(number, version, found.len()) == found => Verdict::Right,
            Some(_) | None => Verdict::Wrong,
        }
    }
}

/// The name of a session.
pub(super) fn key(number: u32) -> Vec<u8> {
    format!("session:{number}").into_bytes()
}

/// The value of a version of a session.
pub(super) fn value(number: u32, version: u32, bytes: usize) -> Vec<u8> {
    let mut value = format!("{version:010} {number:010} ").into_bytes();
    let mut state = u64::from(number) << 32 | u64::from(version);
    while value.len() < bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        // Letters, so that people can look at a session while it is there.
        let letters = (mixed ^ mixed >> 27).to_le_bytes().map(|byte| b'a' + byte % 26);
        value.extend_from_slice(&letters);
    }
    value.truncate(bytes);
    value
}

fn version(value: &[u8]) -> Option<u32> {
    let digits = value.get(..10)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_acknowledged_version_and_later_attempts_are_right() {
        let mut written = Written::default();
        assert_eq!(written.judge(7, None), Verdict::Right);
        for acknowledged in [true, true, false, false] {
            written.attempt();
            if acknowledged {
                written.acknowledge();
            }
        }
        assert_eq!(written.judge(7, None), Verdict::Lost);
        let verdicts = (0..=5).map(|version| written.judge(7, Some(&value(7, version, 40))));
        let expected = [Verdict::Wrong, Verdict::Wrong, Verdict::Right, Verdict::Right, Verdict::Right, Verdict::Wrong];
        assert_eq!(verdicts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_value_of_another_session_and_a_damaged_one_are_wrong() {
        let mut written = Written::default();
        written.attempt();
        let good = value(7, 1, 100);
        assert_eq!(written.judge(7, Some(&good)), Verdict::Right);
        assert_eq!(written.judge(8, Some(&good)), Verdict::Wrong);
        assert_eq!(written.judge(7, Some(b"")), Verdict::Wrong);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(written.judge(7, Some(&bad)), Verdict::Wrong, "{at}");
        }
    }

    #[test]
    fn the_shortest_value_has_room_for_what_it_tells() {
        let bytes = usize::try_from(VALUE_BYTES_MIN).unwrap();
        assert_ne!(value(1, u32::MAX, bytes), value(2, u32::MAX, bytes));
        assert_ne!(value(1, 1, bytes), value(1, 2, bytes));
    }
}
