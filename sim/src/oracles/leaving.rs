//! P2: a member that leaves in order goes with something at risk only when its time is over, or when nobody stays who could
//! take it.

use heirloom_core::{AtRisk, Copies, Event};

use crate::{
    cluster::{Fact, What},
    oracles::View,
    violation::{Promise, Violation},
};

pub(crate) fn handle_fact(view: View<'_>, fact: &Fact) -> Result<(), Violation> {
    match &fact.what {
        What::Event(Event::Left { at_risk }) => check(view, fact, at_risk),
        What::Event(_) | What::Outcome(..) | What::Fetched(..) | What::Changed(_) | What::Message(_) => Ok(()),
    }
}

fn check(view: View<'_>, fact: &Fact, at_risk: &AtRisk) -> Result<(), Violation> {
    let Some(process) = view.cluster.former(fact.life).filter(|process| !process.has_lagged) else { return Ok(()) };
    if view.cluster.config().copies == Copies::Nowhere {
        return Ok(());
    }
    // Nobody takes one for leaving that nobody has asked to.
    let stays = |life| view.cluster.living(life).is_some() && !view.ledger.was_asked_to_leave(life);
    let somebody = process.listed.iter().copied().find(|life| stays(*life));
    let early = process.leaves_by.filter(|by| view.now() < *by && somebody.is_some());
    if early.is_some() {
        view.cluster.marks.judged("P2 a member leaves before its time is over");
    }
    Violation::unless(early.is_none() || at_risk.is_none(), Promise::Durable, view.now(), || {
        format!("{} leaves with {at_risk:?}, though it has time until {early:?} and {somebody:?} stays", fact.host)
    })
}
