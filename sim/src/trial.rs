//! A run as its judges see it: how it ended, what it can be recognised by, and in what two of them differ.

use core::fmt;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    choices::{Packet, Twist},
    clock::Moment,
    marks::Counts,
    own::{Invariant, Own},
    plan::Plan,
    run::{Report, phases},
    sent::{CHECK_EVERY, Check},
    sim::Sim,
    stored::show_trigger,
    violation::{Promise, Violation},
};

/// In which way a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Something happened that must not happen.
    Broken,
    /// Something that must happen did not happen in time.
    Late,
    /// Something had no end or no bound.
    Endless,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What it has to tell, or the first promise that it broke.
    pub result: Result<Report, Violation>,
    /// In which way it failed, if it did.
    pub failure: Option<Failure>,
    /// What it can be recognised by: all that was sent, in short.
    pub checks: Vec<Check>,
    /// What the plan says of things that did not come, in the words of the plan.
    pub unmet: Vec<String>,
}

impl Trial {
    /// Runs a plan. A panic is a violation like others (P7).
    pub fn of(plan: &Plan) -> Self {
        Self::on(&mut Sim::new(plan.setup.clone()), plan)
    }

    /// Runs a plan, judged by these as well.
    pub fn judged(plan: &Plan, own: Vec<Box<dyn Invariant>>) -> Self {
        let mut sim = Sim::new(plan.setup.clone());
        sim.oracles_mut().own = Own(own);
        Self::on(&mut sim, plan)
    }

    /// Runs a plan, and counts what it reaches.
    pub fn marked(plan: &Plan) -> (Self, Counts) {
        let mut sim = Sim::new(plan.setup.clone());
        sim.cluster().marks.begin();
        let trial = Self::on(&mut sim, plan);
        let counts = sim.cluster().marks.counts();
        (trial, counts)
    }

    /// What the weather of a plan does to single packets.
    pub(crate) fn noted(plan: &Plan) -> BTreeMap<Packet, Twist> {
        let mut sim = Sim::new(plan.setup.clone());
        sim.cluster().net().choices().note();
        Self::on(&mut sim, plan);
        sim.cluster().net().choices().noted()
    }

    pub(crate) fn on(sim: &mut Sim, plan: &Plan) -> Self {
        Self::during(sim, |sim| phases(sim, plan))
    }

    /// Tries what happens in a run.
    pub(crate) fn during(sim: &mut Sim, happen: impl FnOnce(&mut Sim) -> Result<Report, Violation>) -> Self {
        let ended = catch_unwind(AssertUnwindSafe(|| happen(sim)));
        let is_panic = ended.is_err();
        let result = ended.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let story = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            Err(Violation { promise: Promise::Calm, at: sim.now(), story: format!("panic: {story}") })
        });
        let failure = result.as_ref().err().map(|violation| {
            if violation.promise == Promise::Calm && !is_panic {
                Failure::Endless
            } else if sim.is_late() {
                Failure::Late
            } else {
                Failure::Broken
            }
        });
        let unmet = sim.cluster().net().choices().unmet();
        let unmet = unmet.into_iter().map(|packet| format!("packet {packet}"));
        let unmet = unmet.chain(sim.unfired().map(show_trigger)).collect();
        Self { result, failure, checks: sim.cluster().sent().checks(), unmet }
    }

    fn part(&self, other: &Self) -> Option<u64> {
        let pairs = self.checks.iter().zip(&other.checks);
        let equal = pairs.take_while(|(one, other)| one == other).count();
        let is_same = equal == self.checks.len() && equal == other.checks.len();
        (!is_same).then(|| u64::try_from(equal).unwrap_or(u64::MAX).saturating_mul(CHECK_EVERY))
    }
}

/// In what two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// So many things were sent alike.
    pub after: u64,
    /// What each sent next, or how it ended when it sent no more.
    pub next: [String; 2],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.next;
        write!(f, "the two differ after {} things sent: one goes on with {one}, the other with {other}", self.after)
    }
}

/// The first thing in which the runs of two plans differ; `None` if they are the same to the last byte.
pub fn difference(one: &Plan, other: &Plan) -> Option<Difference> {
    compare(&Trial::of(one), one, other)
}

/// Runs a plan twice.
///
/// # Errors
///
/// The promise that it breaks; that of determinism (P8) if the two runs differ.
pub fn run_twice(plan: &Plan) -> Result<Report, Violation> {
    let first = Trial::of(plan);
    match compare(&first, plan, plan) {
        Some(difference) => {
            let story = difference.to_string();
            Err(Violation { promise: Promise::Determinism, at: Moment::ZERO, story })
        }
        None => first.result,
    }
}

fn compare(first: &Trial, one: &Plan, other: &Plan) -> Option<Difference> {
    let second = Trial::of(other);
    let end = |trial: &Trial| format!("its end, {:?}", trial.result);
    let Some(from) = first.part(&second) else {
        let after = first.checks.last().map_or(0, |check| check.count);
        return (first.result != second.result).then(|| Difference { after, next: [end(first), end(&second)] });
    };
    let look = |plan: &Plan| {
        let mut sim = Sim::new(plan.setup.clone());
        sim.watch_sent(from..from + CHECK_EVERY);
        let trial = Trial::on(&mut sim, plan);
        let mut seen = sim.cluster().sent().seen().to_vec();
        seen.push(end(&trial));
        seen
    };
    let seen = [look(one), look(other)];
    let alike = seen[0].iter().zip(&seen[1]).take_while(|(one, other)| one == other).count();
    let next =
        seen.map(|seen| seen.get(alike).cloned().unwrap_or("nothing: it was alike when it was looked at".into()));
    Some(Difference { after: from + u64::try_from(alike).unwrap_or(0), next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{action::Action, net::HostId, plan::Choice};

    #[test]
    fn two_runs_of_a_plan_are_the_same() {
        let plan = Plan::draw(3, Choice::Any);
        assert_eq!(difference(&plan, &plan), None);
        assert_eq!(run_twice(&plan), Trial::of(&plan).result);
    }

    /// Each of the two is told as it sends the first thing that the other does not.
    #[test]
    fn the_first_thing_in_which_two_runs_differ_is_found() {
        let plan = Plan::draw(3, Choice::Any);
        let mut other = plan.clone();
        other
            .actions
            .push((plan.healed_at - core::time::Duration::from_nanos(1), Action::StepWall(HostId(0), 86_400_000)));
        let difference = difference(&plan, &other).unwrap();
        assert!(difference.next[0].contains(" at ") && difference.next[0] != difference.next[1], "{difference}");
        assert!(0 < difference.after, "{difference}");
    }
}
