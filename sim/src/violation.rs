//! A promise that was not kept.

use core::fmt;

use crate::clock::Moment;

/// What a run can break: the promises of the design, and what every run owes to its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// P1: copies become equal.
    Converge,
    /// P2: no acknowledged write is lost, and an acknowledgement means applied.
    Durable,
    /// P3: ended stays ended.
    Ended,
    /// P4: no early expiry, and no late one.
    Expiry,
    /// P5: a joiner is complete or not ready.
    Join,
    /// P6: who must hold a session is known, and nobody else holds it.
    Placed,
    /// P7: nothing panics, nothing runs for ever.
    Calm,
    /// P8: the same inputs give the same outputs.
    Determinism,
    /// P9: members agree on who is there.
    Agreement,
    /// The turn of a driver: what the node asks for, and what it answers.
    Turn,
    /// A script expected something else.
    Script,
    /// What must hold by the judgement of who runs it.
    Own,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Converge,
        Self::Durable,
        Self::Ended,
        Self::Expiry,
        Self::Join,
        Self::Placed,
        Self::Calm,
        Self::Determinism,
        Self::Agreement,
        Self::Turn,
        Self::Script,
        Self::Own,
    ];
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converge => "P1 converge",
            Self::Durable => "P2 durable",
            Self::Ended => "P3 ended",
            Self::Expiry => "P4 expiry",
            Self::Join => "P5 join",
            Self::Placed => "P6 placed",
            Self::Calm => "P7 calm",
            Self::Determinism => "P8 determinism",
            Self::Agreement => "P9 agreement",
            Self::Turn => "turn",
            Self::Script => "script",
            Self::Own => "own",
        })
    }
}

/// Which promise, when, and the story in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub promise: Promise,
    /// When it was seen.
    pub at: Moment,
    /// Who and what, for a person.
    pub story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.promise, self.at, self.story)
    }
}

impl core::error::Error for Violation {}

impl Violation {
    /// Makes a check of a fact: `Err` with the story when it does not hold.
    ///
    /// # Errors
    ///
    /// The violation.
    pub fn unless(holds: bool, promise: Promise, at: Moment, story: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { promise, at, story: story() }) }
    }
}
