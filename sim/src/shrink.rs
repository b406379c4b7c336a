//! Makes a plan that breaks a promise shorter, so that its story can be read.
//!
//! Chance is keyed, so an action that is taken out leaves the fate of all else nearly as it was. A shorter plan counts only
//! if it breaks the same promise.

use crate::{
    plan::Plan,
    run::run,
    violation::{Promise, Violation},
};

/// Takes out of a plan what it does not need to break the promise that it breaks, in at most so many runs. `None` if it
/// breaks none.
pub fn shrink(plan: &Plan, runs_max: u32) -> Option<(Plan, Violation)> {
    let mut violation = run(plan).err()?;
    let promise = violation.promise;
    let mut plan = plan.clone();
    let mut runs = 0;
    let mut size = plan.actions.len().div_ceil(2);
    while 0 < size {
        let mut at = 0;
        let mut is_shorter = false;
        while at < plan.actions.len() && runs < runs_max {
            runs += 1;
            match broken_without(&plan, at, size, promise) {
                Some((shorter, found)) => (plan, violation, is_shorter) = (shorter, found, true),
                None => at += size,
            }
        }
        if runs_max <= runs {
            break;
        }
        // As long as single actions can go, others may follow.
        size = if size == 1 && is_shorter { 1 } else { size / 2 };
    }
    Some((plan, violation))
}

/// The plan without some of its actions, if it breaks the promise all the same.
fn broken_without(plan: &Plan, at: usize, size: usize, promise: Promise) -> Option<(Plan, Violation)> {
    let mut shorter = plan.clone();
    let end = (at + size).min(shorter.actions.len());
    shorter.actions.drain(at..end);
    let violation = run(&shorter).err().filter(|violation| violation.promise == promise)?;
    Some((shorter, violation))
}
