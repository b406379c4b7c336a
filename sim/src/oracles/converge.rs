//! P1: when faults stop, all copies become equal. Also, what a driver publishes is what its node shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heirloom_core::{MemberState, Session, SessionKey};

use crate::{
    oracles::View,
    violation::{Promise, Violation},
};

/// The first difference between members, or the first commit that is not yet decided.
pub(crate) fn unrest(view: View<'_>) -> Option<Violation> {
    let wrong = |story| Some(Violation { promise: Promise::Converge, at: view.now(), story });
    if let Some((host, process)) = view.cluster.running().find(|(_, process)| process.node.state() != MemberState::Ready) {
        return wrong(format!("{host} is {:?}, not ready", process.node.state()));
    }
    if let Some(attempt) = view.history.pending().next() {
        return wrong(format!("{} has not told what became of #{}", attempt.host, attempt.serial.0));
    }
    let (first, process) = view.cluster.running().next()?;
    let expected = live(process.node.records());
    for (host, process) in view.cluster.running() {
        let found = live(process.node.records());
        let keys: BTreeSet<_> = expected.keys().chain(found.keys()).copied().collect();
        let different = keys.into_iter().find(|key| expected.get(key) != found.get(key));
        if let Some(key) = different {
            let (one, other) = (story(expected.get(&key)), story(found.get(&key)));
            return wrong(format!("{first} and {host} differ in {key}: {one} and {other}"));
        }
    }
    None
}

/// What readers see without asking the node is what the node shows.
pub(crate) fn check_published(view: View<'_>) -> Result<(), Violation> {
    for (host, process) in view.cluster.running() {
        let shown = live(process.node.records());
        let published: BTreeMap<_, _> = process.published.iter().map(|(key, session)| (*key, session)).collect();
        let keys: BTreeSet<_> = shown.keys().chain(published.keys()).copied().collect();
        let different = keys.into_iter().find(|key| shown.get(key) != published.get(key));
        if let Some(key) = different {
            let (one, other) = (story(shown.get(&key)), story(published.get(&key)));
            let story = format!("{host} holds {one} of {key} and never said that it is not {other}");
            return Err(Violation { promise: Promise::Turn, at: view.now(), story });
        }
    }
    Ok(())
}

fn live<'a>(records: impl Iterator<Item = (&'a SessionKey, &'a Arc<Session>)>) -> BTreeMap<SessionKey, &'a Arc<Session>> {
    records.filter(|(_, session)| session.is_live()).map(|(key, session)| (*key, session)).collect()
}

fn story(session: Option<&&Arc<Session>>) -> String {
    session.map_or_else(|| "nothing".into(), |session| format!("{session:?}"))
}
