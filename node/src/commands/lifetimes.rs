//! The lifetimes that clients write: seconds or milliseconds, from now or since the Unix epoch.

use core::time::Duration;

use heirloom_core::{Lifetime, Session, config::LIFETIME_MAX};
use heirloom_runtime::Published;

use super::call::{Call, NOT_AN_INTEGER, Refusal, SYNTAX, integer};
use crate::store::Store;

/// How a client writes a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notation {
    pub(crate) unit: Unit,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
}

/// What a moment is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Now,
    /// By the client's wall clock. What is left of it is measured once, on arrival.
    Epoch,
}

/// The end of a session as a client asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    In(Duration),
    Passed,
}

impl Notation {
    pub(crate) const EX: Self = Self { unit: Unit::Seconds, origin: Origin::Now };
    pub(crate) const PX: Self = Self { unit: Unit::Millis, origin: Origin::Now };
    pub(crate) const EXAT: Self = Self { unit: Unit::Seconds, origin: Origin::Epoch };
    pub(crate) const PXAT: Self = Self { unit: Unit::Millis, origin: Origin::Epoch };

    /// The notation of an option.
    pub(crate) fn of(option: &[u8]) -> Option<Self> {
        let all = [("ex", Self::EX), ("px", Self::PX), ("exat", Self::EXAT), ("pxat", Self::PXAT)];
        let found = all.into_iter().find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, notation)| notation)
    }

    /// Reads a moment that may have passed.
    ///
    /// # Errors
    ///
    /// As Redis has them for the command.
    pub(crate) fn read(self, value: &[u8], wall: Duration, command: &str) -> Result<End, Refusal> {
        let value = integer(value).ok_or(NOT_AN_INTEGER)?;
        let wall = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        let millis = match self.unit {
            Unit::Seconds => value.checked_mul(1000),
            Unit::Millis => Some(value),
        };
        // Redis keeps the moment since the epoch in 64 bits, whichever way it was written.
        let at = match self.origin {
            Origin::Now => millis.and_then(|millis| millis.checked_add(wall)),
            Origin::Epoch => millis,
        };
        let Some(at) = at else { return Err(invalid(command)) };
        let left = at.saturating_sub(wall);
        Ok(match u64::try_from(left) {
            Err(_) | Ok(0) => End::Passed,
            Ok(left) => End::In(Duration::from_millis(left).min(LIFETIME_MAX)),
        })
    }

    /// Reads a moment as the options of `SET` have it: zero and less are refused.
    ///
    /// # Errors
    ///
    /// As Redis has them for the command.
    pub(crate) fn read_positive(self, value: &[u8], wall: Duration, command: &str) -> Result<End, Refusal> {
        let number = integer(value).ok_or(NOT_AN_INTEGER)?;
        if number <= 0 {
            return Err(invalid(command));
        }
        self.read(value, wall, command)
    }
}

fn invalid(command: &str) -> Refusal {
    format!("ERR invalid expire time in '{command}' command").into()
}

impl<S: Store> Call<'_, S> {
    /// The moment that stands behind an option.
    pub(crate) fn end(&self, notation: Notation, at: usize, command: &str) -> Result<End, Refusal> {
        let value = self.arguments.get(at).ok_or(SYNTAX)?;
        notation.read_positive(value, self.store.wall(), command)
    }

    /// How long a session still lives if it is not used any more; `None` for ever.
    pub(crate) fn remaining(&self, view: &Published) -> Option<Duration> {
        view.deadline().map(|at| at.since(self.store.now()))
    }

    /// The lifetime that carries a session over into a new one.
    pub(crate) fn lifetime_to_keep(&self, view: &Published) -> Lifetime {
        match view.lifetime() {
            Some(Lifetime::Fixed(whole)) => Lifetime::Fixed(self.remaining(view).unwrap_or(whole)),
            Some(other @ (Lifetime::Idle(_) | Lifetime::Never)) => other,
            None => self.program.lifetime(),
        }
    }
}

/// Whether a client has said when this session ends.
pub(crate) fn is_fixed(session: &Session) -> bool {
    matches!(session.lifetime(), Some(Lifetime::Fixed(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Duration = Duration::from_millis(1_000_500);

    #[test]
    fn each_notation_comes_to_what_is_left() {
        let cases = [
            (Notation::EX, "2", End::In(Duration::from_secs(2))),
            (Notation::PX, "2", End::In(Duration::from_millis(2))),
            (Notation::EXAT, "1001", End::In(Duration::from_millis(500))),
            (Notation::PXAT, "1000501", End::In(Duration::from_millis(1))),
            (Notation::EXAT, "1000", End::Passed),
            (Notation::PX, "0", End::Passed),
            (Notation::EX, "-1", End::Passed),
            (Notation::EX, "9000000000000000", End::In(LIFETIME_MAX)),
        ];
        for (notation, text, end) in cases {
            assert_eq!(notation.read(text.as_bytes(), WALL, "set").expect(text), end);
        }
    }

    #[test]
    fn what_does_not_fit_or_has_no_sense_is_refused() {
        for (notation, text) in [(Notation::EX, "9223372036854775807"), (Notation::PX, "9223372036854775807")] {
            let refusal = notation.read(text.as_bytes(), WALL, "getex").expect_err(text);
            assert_eq!(&*refusal, "ERR invalid expire time in 'getex' command");
        }
        assert!(Notation::EX.read_positive(b"0", WALL, "set").is_err());
        assert!(Notation::EX.read(b"x", WALL, "set").is_err());
    }
}
