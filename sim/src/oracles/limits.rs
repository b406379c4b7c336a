//! P7: a member's own clients never bring it above its limits, and one that makes room gets below them as long as it owns
//! anything.

use heirloom_core::{Config, Node, Session, WhenFull};

use crate::{
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

/// A member that refuses what it has no room for has taken a commit.
pub(crate) fn check_commit(view: View<'_>, host: HostId, before: Load) -> Result<(), Violation> {
    let config = view.cluster.config_of(host);
    let Some(process) = view.cluster.process(host).filter(|_| config.when_full == WhenFull::Refuse) else {
        return Ok(());
    };
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
        let is_own = |session: &Session| session.is_live() && session.owner() == Some(process.life);
        if !is_above || !makes_room || !process.node.records().any(|(_, session)| is_own(session)) {
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
