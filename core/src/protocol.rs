//! Versions of the protocol, and which of them two members speak with each other.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The versions of the protocol that a member speaks, the first and the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest.
    pub first: u8,
    /// The newest.
    pub last: u8,
}

impl Versions {
    /// The versions of this build, up to that one.
    pub(crate) fn up_to(last: u8) -> Self {
        Self { first: FIRST, last }
    }

    /// What two members speak with each other: the newest version that both speak.
    pub fn common(self, other: Self) -> Option<u8> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(last)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { write!(f, "{first}") } else { write!(f, "{first} to {last}") }
    }
}

/// The oldest version that this build speaks. What may reach anybody is written in it.
pub(crate) const FIRST: u8 = 1;

/// The version after the present one, as tests of two versions at once have it: one kind of frame and one field more,
/// which say nothing.
pub(crate) const NEXT: u8 = 2;

/// The newest version that a member speaks if nothing else is set.
pub(crate) const LAST: u8 = if cfg!(heirloom_next) { NEXT } else { 1 };

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn two_members_speak_the_newest_version_that_both_know() {
        let versions = |first, last| Versions { first, last };
        assert_eq!(versions(1, 1).common(versions(1, 2)), Some(1));
        assert_eq!(versions(1, 3).common(versions(2, 4)), Some(3));
        assert_eq!(versions(2, 3).common(versions(3, 3)), Some(3));
        assert_eq!(versions(1, 1).common(versions(2, 3)), None);
        assert_eq!(versions(2, 3).common(versions(1, 1)), None);
        assert_eq!(versions(3, 2).common(versions(1, 5)), None, "nonsense");
        assert_eq!((versions(1, 1).to_string(), versions(1, 2).to_string()), ("1".into(), "1 to 2".into()));
    }
}
