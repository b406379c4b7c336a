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
use std::collections::BTreeMap;

use crate::{clients, own::Invariant, plan::Plan, run::Report, stored::BadPlan, trial::Trial, violation::Violation};

mod deeds;
mod expect;
pub(crate) mod file;
mod judge;
mod lines;
mod order;
mod packets;
mod seen;
pub(crate) mod settings;
mod shorter;
mod traffic;
mod waiting;
mod wires;
mod words;
mod write;

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

    /// The story of a plan: what happens in it, and some of what its run shows, as what is expected.
    pub fn of(plan: &Plan, about: &str) -> Self {
        seen::tale(plan, about)
    }

    /// The text of its file: whoever reads it has the same plan, and expects the same.
    ///
    /// # Errors
    ///
    /// What scenario files have no words for.
    pub fn text(&self) -> Result<String, String> {
        write::text(self)
    }

    /// Where a run keeps all promises and does not meet an expectation: takes out of the story what that does not need, in as
    /// many runs as `may_run` allows.
    ///
    /// A story in which nothing happens meets few expectations. So of what is left this holds: no promise is broken, what was
    /// expected and met is met, and the one expectation is unmet in the same way: something of the kind was heard or nothing,
    /// the writes and sessions that it names came as far, and the members that it names have run and run as before.
    pub fn shrink(&self, may_run: impl FnMut() -> bool) -> Option<(Self, Violation)> {
        shorter::shrink(self, may_run)
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

    /// What it calls sessions that have a number, that of number 1 first; `s2` where it has no name for number 2.
    pub fn sessions(&self) -> Vec<String> {
        let numbered = self.names.sessions.iter().filter_map(|(name, key)| Some((clients::number(*key)?, name)));
        let named: BTreeMap<u64, &String> = numbered.filter(|(number, name)| **name != format!("s{number}")).collect();
        let last = named.last_key_value().map_or(0, |(last, _)| *last);
        (1..=last)
            .map(|number| named.get(&number).map_or_else(|| format!("s{number}"), |name| (*name).clone()))
            .collect()
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
