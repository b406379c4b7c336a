//! Scenario files: the story of a cluster as a file in TOML that whoever has never seen this code can read, with what is
//! expected of it.
//!
//! ```
//! use heirloom_sim::Tale;
//!
//! let tale: Tale = r#"
//!     version = 1
//!     about = "A member dies; what it had acknowledged lives on."
//!     members = ["a", "b", "c"]
//!
//!     timeline = [
//!         "at 6 s create basket on a as first",
//!         "at 8 s kill a",
//!         "at 9 s write basket on b as second",
//!     ]
//!     expect = [
//!         "before 7 s first is durable on b, c",
//!         "between 8 s and 10 s b, c remove a for refused",
//!         "at 10 s b, c show second",
//!     ]
//!
//!     [cluster]
//!     idle = "1m"
//!     ended_for = "1m"
//! "#
//! .parse()
//! .expect("it can be read");
//! tale.run().expect("all is as expected, and every promise is kept");
//! ```

use core::str::FromStr;

use crate::{own::Invariant, plan::Plan, run::Report, stored::BadPlan, trial::Trial, violation::Violation};

mod deeds;
mod expect;
pub(crate) mod file;
mod judge;
mod order;
pub(crate) mod settings;
mod traffic;
mod words;

use expect::Expectation;
use judge::Judge;
use words::Names;

/// A scenario that was read from a file: a plan, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    file: String,
    about: String,
    catches: Vec<String>,
    plan: Plan,
    names: Names,
    /// The order of each write that has a name among all commits of the plan.
    orders: Vec<usize>,
    expectations: Vec<Expectation>,
}

impl Tale {
    /// Reads a scenario from the text of the file with this name.
    ///
    /// # Errors
    ///
    /// The first line that means nothing, or nothing that can be, with what is allowed.
    pub fn read(file: &str, text: &str) -> Result<Self, BadPlan> {
        file::read(file, text, &file::Base::default())
    }

    /// What it is about, in a sentence or two.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The faults of the protocol, planted on purpose, with which it does not go as expected.
    pub fn catches(&self) -> &[String] {
        &self.catches
    }

    /// The names of its members, `n0` first.
    pub fn members(&self) -> &[String] {
        &self.names.members
    }

    /// The names of its sessions: the first one has the key of number 1, and so on.
    pub fn sessions(&self) -> &[String] {
        &self.names.sessions
    }

    /// How many expectations it has.
    pub fn expectations(&self) -> usize {
        self.expectations.len()
    }

    /// What happens.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The same story with these settings and this network.
    ///
    /// What is expected is found by the order of the writes: so the actions must be those that it had.
    #[must_use]
    pub fn with_plan(self, plan: Plan) -> Self {
        Self { plan, ..self }
    }

    /// Judges a run of it by what is expected.
    pub fn judge(&self) -> Box<dyn Invariant> {
        Box::new(Judge::new(&self.file, &self.names, &self.orders, &self.expectations))
    }

    /// Lets it happen.
    pub fn trial(&self) -> Trial {
        Trial::judged(&self.plan, vec![self.judge()])
    }

    /// Lets it happen.
    ///
    /// # Errors
    ///
    /// The first promise that was broken, or the first expectation that was not met, with its file and line.
    pub fn run(&self) -> Result<Report, Violation> {
        self.trial().result
    }
}

impl FromStr for Tale {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        Self::read("scenario", text)
    }
}
