//! Makes a story short that keeps all promises and does not go as expected.
//!
//! Where a promise is broken any shorter plan that breaks it will do. That an expectation is not met says less: it is not met
//! where nothing happens, either. So all that else was expected and met must go on being met, and the one must be missed in the
//! same way.

use core::cell::RefCell;
use std::rc::Rc;

use super::{
    Tale,
    expect::Expectation,
    judge::{Instead, Judge, Verdict, Verdicts},
    words::Names,
};
use crate::{
    action::Action,
    shrink::{Draft, shrink_draft},
    trial::Trial,
    violation::{Promise, Violation},
};

pub(super) fn shrink(tale: &Tale, may_run: impl FnMut() -> bool) -> Option<(Tale, Violation)> {
    let found = tale.run().err().filter(|violation| violation.promise == Promise::Script)?;
    let (trial, verdicts) = noted(tale);
    trial.result.ok()?;
    let is_told = |expectation: &Expectation| {
        let (line, text) = (expectation.line, &expectation.text);
        found.story.starts_with(&format!("{}:{line}: expected `{text}`", tale.file))
    };
    let target = tale.expectations.iter().position(is_told)?;
    let Verdict::Unmet(instead, ..) = verdicts.get(&target)? else { return None };
    // What is not met besides is not what this is about.
    let is_kept = |place: usize| place == target || verdicts.get(&place) == Some(&Verdict::Met);
    let target_now = (0..target).filter(|place| is_kept(*place)).count();
    let kept = tale.expectations.iter().enumerate().filter(|(place, _)| is_kept(*place));
    let tale = Tale { expectations: kept.map(|(_, expectation)| expectation.clone()).collect(), ..tale.clone() };
    let judge = |draft: &Draft| missed(&left(&tale, draft)?, target_now, instead);
    let (draft, _) = shrink_draft(&tale.plan, judge, may_run)?;
    let short = left(&tale, &draft)?;
    let violation = short.run().err()?;
    Some((short, violation))
}

/// Whether all is as expected but for the one thing, which is missed in this way.
fn missed(tale: &Tale, target: usize, instead: &Instead) -> Option<Violation> {
    let (trial, mut verdicts) = noted(tale);
    trial.result.ok()?;
    let Verdict::Unmet(found, at, story) = verdicts.remove(&target)? else { return None };
    let are_met =
        verdicts.len() + 1 == tale.expectations.len() && verdicts.values().all(|verdict| *verdict == Verdict::Met);
    (found == *instead && are_met).then_some(Violation { promise: Promise::Script, at, story })
}

/// A run, and what became of each expectation.
fn noted(tale: &Tale) -> (Trial, Verdicts) {
    let noted = Rc::new(RefCell::new(Verdicts::new()));
    let judge = Judge::new(&tale.file, &tale.names, &tale.orders, &tale.expectations).noting(Rc::clone(&noted));
    let trial = Trial::judged(&tale.plan, vec![Box::new(judge)]);
    let verdicts = noted.borrow().clone();
    (trial, verdicts)
}

/// What is left of a story where this is left of its plan; `None` if an expectation names what is gone.
fn left(tale: &Tale, draft: &Draft) -> Option<Tale> {
    let members = draft.hosts.iter().filter_map(|host| tale.names.members.get(host.index())).cloned().collect();
    let mut names = Names { members, writes: Vec::new(), ..tale.names.clone() };
    let is_commit = |action: &Action| matches!(action, Action::Commit(..));
    let before: Vec<usize> = places(tale.plan.actions.iter().map(|(_, action)| is_commit(action)));
    let after: Vec<usize> = places(draft.plan.actions.iter().map(|(_, action)| is_commit(action)));
    let mut orders = Vec::new();
    for (write, order) in tale.names.writes.iter().zip(&tale.orders) {
        let place = before.get(*order)?;
        let order = after.iter().position(|at| draft.kept.get(*at) == Some(place));
        if let Some(order) = order {
            names.writes.push(write.clone());
            orders.push(order);
        }
    }
    let read = |expectation: &Expectation| Expectation::read(&names, expectation.line, &expectation.text).ok();
    let expectations = tale.expectations.iter().map(read).collect::<Option<Vec<Expectation>>>()?;
    Some(Tale { plan: draft.plan.clone(), names, orders, expectations, ..tale.clone() })
}

/// Where something is so.
fn places(is_so: impl Iterator<Item = bool>) -> Vec<usize> {
    is_so.enumerate().filter(|(_, is_so)| *is_so).map(|(at, _)| at).collect()
}
