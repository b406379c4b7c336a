//! P7: a member's own clients never bring it above its limits, and one that makes room gets below them as long as it owns
//! anything; what was never written goes before what was. What is too large by itself is refused.

use std::collections::BTreeSet;

use heirloom_core::{CommitError, CommitId, Config, EndCause, Node, Session, SessionKey, WhenFull};

use crate::{
    ask::Ask,
    cluster::Cluster,
    net::HostId,
    oracles::View,
    violation::{Promise, Violation},
};

/// What a member held at some moment: sessions and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    sessions: usize,
    bytes: usize,
}

impl Load {
    pub(crate) fn of(node: &Node) -> Self {
        Self { sessions: node.sessions(), bytes: node.memory() }
    }
}

/// What a member held just before a commit.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    load: Load,
    evictions: u64,
    /// Of its own sessions, if it ends some to make room, those that were written after their creation.
    written: BTreeSet<SessionKey>,
}

impl Before {
    pub(crate) fn of(cluster: &Cluster, host: HostId, node: &Node) -> Self {
        let evicts = cluster.config_of(host).when_full == WhenFull::Evict;
        let own = node.records().filter(|(_, session)| evicts && is_own(node, session) && session.is_written());
        let written = own.map(|(key, _)| *key).collect();
        Self { load: Load::of(node), evictions: node.stats().evictions, written }
    }
}

/// Judges an answer to a request by the size of what it sets alone: that is refused if it is too large for a member.
pub(crate) fn check_size(
    view: View<'_>,
    host: HostId,
    ask: &Ask,
    result: &Result<CommitId, CommitError>,
) -> Result<(), Violation> {
    let (bytes, most) = (ask.largest(), view.cluster.config_of(host).attribute_bytes_max);
    let is_called_large = matches!(result, Err(CommitError::AttributeTooLarge { .. }));
    let is_right = if most < bytes { result.is_err() } else { !is_called_large };
    if most < bytes {
        view.cluster.marks.judged("P7 what is too large is refused");
    }
    Violation::unless(is_right, Promise::Calm, view.now(), || {
        format!("{host} takes attributes of {most} bytes, and answers {result:?} to one of {bytes}")
    })
}

/// A member has taken a commit.
pub(crate) fn check_commit(view: View<'_>, host: HostId, ask: &Ask, before: &Before) -> Result<(), Violation> {
    match view.cluster.config_of(host).when_full {
        WhenFull::Refuse => has_room(view, host, before.load),
        WhenFull::Evict => spares_what_is_written(view, host, ask, before),
    }
}

/// Of its own a member that makes room ends those first that were never written, but for the newest of all, and a part of
/// its limit. Where bytes are counted the sizes decide, so that is not judged.
fn spares_what_is_written(view: View<'_>, host: HostId, ask: &Ask, before: &Before) -> Result<(), Violation> {
    let most = most(view, host);
    let Some(process) = view.cluster.process(host).filter(|_| most.bytes == usize::MAX) else { return Ok(()) };
    let node = &process.node;
    let is_evicted = |key: &&SessionKey| node.ended(key) == Some(EndCause::Evicted);
    if node.stats().evictions == before.evictions {
        return Ok(());
    }
    let left = node.records().filter(|(key, session)| **key != ask.key && is_own(node, session));
    let left = left.filter(|(_, session)| !session.is_written()).count();
    let spared = most.sessions / RESERVED_PART + 1;
    if spared < left && !before.written.is_empty() {
        view.cluster.marks.judged("P7 what was never written makes room first");
    }
    let ended = before.written.iter().find(is_evicted).filter(|_| spared < left);
    Violation::unless(ended.is_none(), Promise::Calm, view.now(), || {
        format!("{host} ends {ended:?} to make room, which was written, and keeps {left} that were not")
    })
}

/// Such a part of what a member may hold is kept for what was not written yet.
const RESERVED_PART: usize = 16;

fn is_own(node: &Node, session: &Session) -> bool {
    session.is_live() && session.owner() == Some(node.id())
}

/// A member that refuses what it has no room for has taken a commit.
fn has_room(view: View<'_>, host: HostId, before: Load) -> Result<(), Violation> {
    let Some(process) = view.cluster.process(host) else { return Ok(()) };
    let (after, most) = (Load::of(&process.node), most(view, host));
    let kept = after.sessions <= before.sessions.max(most.sessions) && after.bytes <= before.bytes.max(most.bytes);
    Violation::unless(kept, Promise::Calm, view.now(), || {
        format!("{host} held {before:?}, may hold {most:?}, and holds {after:?} after a commit")
    })
}

/// Whether a member may say that it is full.
pub(crate) fn may_be_full(view: View<'_>, host: HostId) -> bool {
    let most = most(view, host);
    most.sessions < usize::MAX || most.bytes < usize::MAX
}

/// A member that should have made room and has not.
pub(crate) fn unrest(view: View<'_>) -> Option<Violation> {
    view.running().find_map(|(host, process)| {
        let (load, most) = (Load::of(&process.node), most(view, host));
        let is_above = most.sessions < load.sessions || most.bytes < load.bytes;
        let makes_room = view.cluster.config_of(host).when_full == WhenFull::Evict;
        let node = &process.node;
        if !is_above || !makes_room || !node.records().any(|(_, session)| is_own(node, session)) {
            return None;
        }
        let story = format!("{host} may hold {most:?}, holds {load:?} and makes no room");
        Some(Violation { promise: Promise::Calm, at: view.now(), story })
    })
}

fn most(view: View<'_>, host: HostId) -> Load {
    let config = view.cluster.config_of(host);
    let limit = |max: usize, unlimited: usize| if max == unlimited { usize::MAX } else { max };
    let standard = Config::default();
    let bytes = limit(config.memory_max, standard.memory_max);
    Load { sessions: limit(config.sessions_max, standard.sessions_max), bytes }
}
