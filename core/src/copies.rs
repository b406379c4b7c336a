//! The settings of what is copied where, and how people write them.

use alloc::{borrow::Cow, string::ToString};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::config::ConfigError;

/// Which members hold a copy of a session; in text `everywhere`, `backups:1` to `backups:8`, or `nowhere`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Copies {
    /// Every member (Tomcat's `DeltaManager`).
    #[default]
    Everywhere,
    /// So many members, 1 to 8, besides the one that ranks highest; and the owner, if it is none of these (Tomcat's
    /// `BackupManager` has one).
    Backups(u8),
    /// Only the member that serves it (Tomcat's `StandardManager`).
    Nowhere,
}

/// What of a session travels when it has changed; in text `delta` or `whole-session`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The attributes that have changed.
    #[default]
    Delta,
    /// All attributes (Tomcat's `SimpleTcpReplicationManager`).
    WholeSession,
}

/// The most backups of a session.
pub(crate) const BACKUPS_MAX: u8 = 8;

/// What is allowed, for a person.
pub(crate) const COPIES: &str = "must be everywhere, nowhere or backups:1 to backups:8";
const UNITS: &str = "must be delta or whole-session";

impl Copies {
    /// How a greeting says it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Nowhere => 0,
            Self::Backups(backups) => backups,
            Self::Everywhere => u8::MAX,
        }
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.pad("everywhere"),
            Self::Backups(backups) => write!(f, "backups:{backups}"),
            Self::Nowhere => f.pad("nowhere"),
        }
    }
}

impl FromStr for Copies {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let backups = (1..=BACKUPS_MAX).map(Self::Backups);
        let found = [Self::Everywhere, Self::Nowhere].into_iter().chain(backups).find(|one| one.to_string() == text);
        found.ok_or_else(|| ConfigError { setting: "copies", allowed: COPIES.into() })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Delta => "delta",
            Self::WholeSession => "whole-session",
        })
    }
}

impl FromStr for Unit {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = [Self::Delta, Self::WholeSession].into_iter().find(|one| one.to_string() == text);
        found.ok_or_else(|| ConfigError { setting: "unit", allowed: UNITS.into() })
    }
}

impl Serialize for Copies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Copies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use serde::de::{IntoDeserializer, value};

    use super::*;

    fn all() -> impl Iterator<Item = Copies> {
        [Copies::Everywhere, Copies::Nowhere].into_iter().chain((1..=BACKUPS_MAX).map(Copies::Backups))
    }

    #[test]
    fn what_is_written_is_read_again() {
        for copies in all() {
            assert_eq!(copies.to_string().parse(), Ok(copies));
            assert_eq!(read(&copies.to_string()), Ok(copies));
        }
        for unit in [Unit::Delta, Unit::WholeSession] {
            assert_eq!(unit.to_string().parse(), Ok(unit));
            assert_eq!(read(&unit.to_string()), Ok(unit));
        }
        assert_eq!("backups:2".parse(), Ok(Copies::Backups(2)));
        assert_eq!("whole-session".parse(), Ok(Unit::WholeSession));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_allowed() {
        for wrong in ["", "Everywhere", "backups", "backups:", "backups:0", "backups:9", "backups:+1", "backups:01"] {
            let error = wrong.parse::<Copies>().expect_err(wrong).to_string();
            assert_eq!(error, "copies: must be everywhere, nowhere or backups:1 to backups:8");
            assert_eq!(read::<Copies>(wrong).expect_err(wrong).to_string(), error);
        }
        let error = "whole session".parse::<Unit>().expect_err("it has a space").to_string();
        assert_eq!(error, "unit: must be delta or whole-session");
        assert_eq!(read::<Unit>("whole session").expect_err("it has a space").to_string(), error);
    }

    #[test]
    fn each_setting_has_a_code_of_its_own() {
        assert_eq!(all().map(Copies::code).collect::<BTreeSet<_>>().len(), all().count());
    }

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, value::Error> {
        T::deserialize(text.into_deserializer())
    }
}
