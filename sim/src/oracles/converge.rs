//! P1: when faults stop, all copies become equal. Also, what a driver publishes is what its node shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use heirloom_core::{Event, MemberState, Session};

use crate::{
    cluster::{Fact, What},
    ledger::Trouble,
    net::HostId,
    oracles::{View, placed},
    violation::{Promise, Violation},
};

/// A copy is not what its owner has. Where a third member reaches only one of the two it is so by right: what is on its way to the
/// other explains it. Else nothing does but a fault of a member.
pub(crate) fn handle_fact(view: View<'_>, fact: &Fact) -> Result<(), Violation> {
    let What::Event(Event::Repaired(key, owner, difference)) = &fact.what else { return Ok(()) };
    let Some(other) = view.cluster.host_of(*owner).filter(|_| !view.cluster.is_damaged()) else { return Ok(()) };
    let late = view.gone_after() + view.spread_after();
    let is_late = |third: HostId, end: HostId| {
        let calm =
            view.ledger.calm_between(&[Trouble::Reach, Trouble::Hold, Trouble::Slow, Trouble::Narrow], third, end);
        calm.is_none_or(|since| view.now() < since + late)
    };
    let ends = [fact.host, other];
    let mut thirds = view.cluster.all().filter(|third| !ends.contains(third));
    let is_explained = thirds.any(|third| ends.into_iter().any(|end| is_late(third, end)));
    let story = || format!("{} holds of {key} not what {other} has, which owns it: {difference:?}", fact.host);
    Violation::unless(is_explained, Promise::Converge, view.now(), story)
}

/// The first difference between copies, or the first commit that is not yet decided.
pub(crate) fn unrest(view: View<'_>) -> Option<Violation> {
    let wrong = |story| Some(Violation { promise: Promise::Converge, at: view.now(), story });
    if let Some((host, process)) = view.running().find(|(_, process)| process.node.state() != MemberState::Ready) {
        return wrong(format!("{host} is {:?}, not ready", process.node.state()));
    }
    if let Some(attempt) = view.history.pending().next() {
        return wrong(format!("{} has not told what became of #{}", attempt.host, attempt.serial.0));
    }
    placed::unrest(view)
}

/// What readers see without asking the node is what the node shows.
pub(crate) fn check_published(view: View<'_>) -> Result<(), Violation> {
    for (host, process) in view.running() {
        let shown = process.node.records().filter_map(|(key, _)| Some((*key, process.node.session(key)?)));
        let shown: BTreeMap<_, _> = shown.collect();
        let published: BTreeMap<_, _> = process.published.iter().map(|(key, session)| (*key, session)).collect();
        let keys: BTreeSet<_> = shown.keys().chain(published.keys()).copied().collect();
        // Who owns it and what is hidden is nothing to a reader.
        let read = |session: &Arc<Session>| (session.lifetime(), values(session));
        let different =
            keys.into_iter().find(|key| shown.get(key).map(|one| read(one)) != published.get(key).map(|one| read(one)));
        if let Some(key) = different {
            let (one, other) = (story(shown.get(&key).copied()), story(published.get(&key).copied()));
            let story = format!("{host} shows {one} for {key}, and never said that it is not {other} any more");
            return Err(Violation { promise: Promise::Turn, at: view.now(), story });
        }
    }
    Ok(())
}

fn values(session: &Session) -> BTreeMap<Bytes, Bytes> {
    session.attributes().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A record in a few words, or that there is none.
pub(crate) fn story(session: Option<&Arc<Session>>) -> String {
    session.map_or_else(|| "nothing".into(), |session| tell(session))
}

/// A record in a few words.
pub(super) fn tell(session: &Session) -> String {
    let values = session.attributes().map(|(name, value)| {
        let serial = value.get(..8).and_then(|serial| serial.try_into().ok()).map_or(0, u64::from_le_bytes);
        format!("{}=#{serial}", name.escape_ascii())
    });
    let values: Vec<_> = values.collect();
    let (owner, digest, ended) = (session.owner(), session.digest(), session.ended());
    format!("[{} {:?} ended {ended:?} owner {owner:?} digest {digest:016x}]", values.join(" "), session.lifetime())
}
