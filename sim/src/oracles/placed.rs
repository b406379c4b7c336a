//! P6 and who must hold what: members with the same view name the same holders; and in a quiet cluster these hold equal
//! copies, one of them or another owns the session, and nobody else holds anything of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heirloom_core::{MemberId, MemberState, Session, SessionKey};

use crate::{
    host::Process,
    net::HostId,
    oracles::{View, converge::story},
    violation::{Promise, Violation},
};

/// Members that list the same members in the same states name the same holders of each session.
pub(crate) fn check(view: View<'_>) -> Result<(), Violation> {
    let mut known: BTreeMap<BTreeSet<(MemberId, MemberState)>, (HostId, &Process)> = BTreeMap::new();
    for (host, process) in view.running() {
        let listed = process.node.members().map(|member| (member.id, member.state));
        // Others count out who hands over, and so does it.
        let leaves = process.node.handover().is_some();
        let state = if leaves { MemberState::Leaving } else { process.node.state() };
        let listed = listed.chain([(process.life, state)]).collect();
        let &mut (other, first) = known.entry(listed).or_insert((host, process));
        if other == host {
            continue;
        }
        view.cluster.marks.judged("P6 two members with one view name holders");
        for (key, _) in view.history.stories() {
            let [mine, theirs] = [process, first].map(|process| sorted(process.node.holders(key)));
            let story = || format!("{host} says {mine:?} must hold {key}, {other} with the same view says {theirs:?}");
            Violation::unless(mine == theirs, Promise::Placed, view.now(), story)?;
        }
    }
    Ok(())
}

/// What is not yet as it must be: the first copy that is missing, differs, or is one too many.
pub(crate) fn unrest(view: View<'_>) -> Option<Violation> {
    let keys = view.running().flat_map(|(_, process)| process.node.records().map(|(key, _)| *key));
    let keys: BTreeSet<SessionKey> = keys.collect();
    keys.iter().find_map(|key| misplaced(view, key))
}

/// Who must hold a session, when all agree on it: those that rank highest, and its owner.
pub(crate) fn expected(view: View<'_>, key: &SessionKey) -> BTreeSet<MemberId> {
    let named = view.running().flat_map(|(_, process)| process.node.holders(key));
    let owners = live(view, key).filter_map(|(_, session)| session.owner());
    // One that has ended it may be the only one yet to know.
    let own = view
        .running()
        .filter(|(_, process)| process.node.record(key).is_some_and(|session| session.owner() == Some(process.life)));
    named.chain(owners).chain(own.map(|(_, process)| process.life)).collect()
}

fn misplaced(view: View<'_>, key: &SessionKey) -> Option<Violation> {
    let wrong = |promise, story| Some(Violation { promise, at: view.now(), story });
    let mut named = view.running().map(|(host, process)| (host, sorted(process.node.holders(key))));
    let (first, holders) = named.next()?;
    if let Some((host, others)) = named.find(|(_, others)| *others != holders) {
        return wrong(Promise::Placed, format!("{first} says {holders:?} must hold {key}, {host} says {others:?}"));
    }
    let expected = expected(view, key);
    let mut held = live(view, key)
        .filter(|(host, _)| view.cluster.process(*host).is_some_and(|process| expected.contains(&process.life)));
    let (one, session) = held.next().unzip();
    for life in &expected {
        let Some((host, process)) = view.cluster.living(*life) else {
            return wrong(Promise::Placed, format!("{life} owns {key}, says {one:?}, and is dead"));
        };
        let found = process.node.record(key).filter(|session| session.is_live());
        if found != session {
            let (mine, theirs) = (story(session), story(found));
            return wrong(Promise::Converge, format!("{one:?} and {host} differ in {key}: {mine} and {theirs}"));
        }
    }
    let mut serving = expected.iter().filter_map(|life| view.cluster.living(*life));
    if let Some((host, _)) = serving.find(|(_, process)| session.is_some() && process.node.session(key).is_none()) {
        return wrong(Promise::Placed, format!("{host} holds {} for {key} and does not serve it", story(session)));
    }
    view.running().find_map(|(host, process)| {
        let found = process.node.record(key)?;
        let is_due = expected.contains(&process.life);
        let story = || format!("{host} must not hold {key} and holds {}: {expected:?} hold it", story(Some(found)));
        if is_due { None } else { wrong(Promise::Placed, story()) }
    })
}

fn live<'a>(view: View<'a>, key: &SessionKey) -> impl Iterator<Item = (HostId, &'a Arc<Session>)> {
    view.running().filter_map(move |(host, process)| {
        let session = process.node.record(key).filter(|session| session.is_live())?;
        Some((host, session))
    })
}

fn sorted(mut members: Vec<MemberId>) -> Vec<MemberId> {
    members.sort_unstable();
    members
}
