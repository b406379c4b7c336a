//! Makes a plan that breaks a promise shorter, so that its story can be read.
//!
//! Chance is keyed, so an action that is taken out leaves the fate of all else nearly as it was. A shorter plan counts only
//! if it breaks the same promise.

use core::time::Duration;

use crate::{
    clock::Moment,
    plan::Plan,
    run::run,
    violation::{Promise, Violation},
};

/// Takes out of a plan what it does not need to break the promise that it breaks, in as many runs as `may_run` allows.
/// `None` if it breaks none.
pub fn shrink(plan: &Plan, mut may_run: impl FnMut() -> bool) -> Option<(Plan, Violation)> {
    let mut violation = run(plan).err()?;
    let promise = violation.promise;
    let mut plan = plan.clone();
    let mut size = plan.actions.len().div_ceil(2);
    while 0 < size {
        let mut at = 0;
        let mut is_shorter = false;
        while at < plan.actions.len() {
            if !may_run() {
                return Some((plan, violation));
            }
            match broken_without(&plan, at, size, promise) {
                Some((shorter, found)) => (plan, violation, is_shorter) = (shorter, found, true),
                None => at += size,
            }
        }
        // As long as single actions can go, others may follow.
        size = if size == 1 && is_shorter { 1 } else { size / 2 };
    }
    let last = plan.actions.last().map_or(Moment::ZERO, |(at, _)| *at);
    let sooner = Plan { healed_at: plan.healed_at.min(last + Duration::from_secs(1)), ..plan.clone() };
    if let Some(found) = still_broken(&sooner, promise).filter(|_| sooner != plan) {
        (plan, violation) = (sooner, found);
    }
    Some((plan, violation))
}

/// The plan without some of its actions, if it breaks the promise all the same.
fn broken_without(plan: &Plan, at: usize, size: usize, promise: Promise) -> Option<(Plan, Violation)> {
    let mut shorter = plan.clone();
    let end = (at + size).min(shorter.actions.len());
    shorter.actions.drain(at..end);
    let violation = still_broken(&shorter, promise)?;
    Some((shorter, violation))
}

fn still_broken(plan: &Plan, promise: Promise) -> Option<Violation> {
    run(plan).err().filter(|violation| violation.promise == promise)
}
