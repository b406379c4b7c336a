//! One host and the process on it: a node, its streams, and what a driver keeps beside a node.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heirloom_core::{Event, MemberId, Node, Session, SessionKey, StreamId, Time};

use crate::{
    clock::{Clock, Moment},
    history::shortened,
    streams::Connection,
};

/// A host with its clocks, and its process if one runs.
#[derive(Clone)]
pub struct Host {
    /// Its clocks run on when the process does not.
    pub clock: Clock,
    /// The newest version of the protocol that what starts there speaks, if one was installed.
    pub version_max: Option<u8>,
    /// What runs there.
    pub process: Option<Process>,
    /// The last process that ended there, as it was.
    pub former: Option<Process>,
    /// All lives that ran there, the present one last.
    pub lives: Vec<MemberId>,
}

/// One life of a member.
#[derive(Clone)]
pub struct Process {
    /// The node.
    pub node: Node,
    /// Which life.
    pub life: MemberId,
    /// When it started.
    pub started: Moment,
    /// Whether it does not run at present.
    pub is_asleep: bool,
    /// When it fell asleep last, and when it woke.
    pub slept: Option<(Moment, Option<Moment>)>,
    /// When the application asked it to leave.
    pub left: Option<Moment>,
    /// How long it then has, at the least.
    pub leaves_by: Option<Moment>,
    /// The view as its events tell it.
    pub listed: BTreeSet<MemberId>,
    /// Those of other domains, as its events tell of them.
    pub neighbors: BTreeSet<MemberId>,
    /// Whether it sees too few others, as its events tell of it.
    pub lacks: bool,
    /// Whether some of its events are missing.
    pub has_lagged: bool,
    /// The table that readers see, as a driver keeps it up.
    pub published: BTreeMap<SessionKey, Arc<Session>>,
    pub(crate) names: BTreeMap<Connection, StreamId>,
    pub(crate) streams: BTreeMap<StreamId, Connection>,
    pub(crate) wake: Option<Moment>,
    pub(crate) wall_at: Moment,
    wakes: (Moment, u32),
}

impl Process {
    pub(crate) fn new(node: Node, life: MemberId, now: Moment) -> Self {
        Self {
            node,
            life,
            started: now,
            is_asleep: false,
            slept: None,
            left: None,
            leaves_by: None,
            listed: BTreeSet::new(),
            neighbors: BTreeSet::new(),
            lacks: false,
            has_lagged: false,
            published: BTreeMap::new(),
            names: BTreeMap::new(),
            streams: BTreeMap::new(),
            wake: None,
            wall_at: now,
            wakes: (now, 0),
        }
    }

    /// The application asks it to leave within a time.
    pub(crate) fn note_leaving(&mut self, now: Moment, within: Duration) {
        let by = now + shortened(within);
        self.left = self.left.or(Some(now));
        self.leaves_by = Some(self.leaves_by.map_or(by, |before| before.min(by)));
    }

    /// Counts a turn that nothing came to; tells how many there were at this moment.
    pub(crate) fn count_wake(&mut self, now: Moment) -> u32 {
        if self.wakes.0 != now {
            self.wakes = (now, 0);
        }
        self.wakes.1 += 1;
        self.wakes.1
    }

    /// Follows the view by its events alone; tells what does not fit.
    pub(crate) fn follow(&mut self, event: &Event) -> Option<String> {
        let fits = match event {
            Event::MemberAdded(id) => self.listed.insert(*id) && *id != self.life,
            Event::MemberRemoved(id, _) => self.listed.remove(id),
            Event::NeighborAdded(id) => self.neighbors.insert(*id),
            Event::NeighborRemoved(id, _) => self.neighbors.remove(id),
            Event::Paused(_) | Event::MajorityLost(_) => !core::mem::replace(&mut self.lacks, true),
            Event::Resumed | Event::MajorityRegained => core::mem::take(&mut self.lacks),
            Event::Lagged => {
                self.has_lagged = true;
                true
            }
            Event::Ready(_)
            | Event::MemberReady(_)
            | Event::MemberPayload(_)
            | Event::MemberSuspect(..)
            | Event::MemberCleared(_)
            | Event::Seeking(..)
            | Event::Found(..)
            | Event::Mismatched(..)
            | Event::Incompatible { .. }
            | Event::Settled(_)
            | Event::SessionEnded(..)
            | Event::MapChanged(_)
            | Event::ClockAhead(..)
            | Event::Slept(_)
            | Event::EndsForgotten
            | Event::Overfull(_)
            | Event::Repaired(..)
            | Event::Left { .. } => true,
        };
        (!fits && !self.has_lagged).then(|| format!("{event:?} does not follow from the events before it"))
    }

    pub(crate) fn publish(&mut self, key: SessionKey) {
        match self.node.session(&key) {
            Some(session) => self.published.insert(key, Arc::clone(session)),
            None => self.published.remove(&key),
        };
    }

    pub(crate) fn name(&mut self, stream: StreamId, connection: Connection) {
        self.names.insert(connection, stream);
        self.streams.insert(stream, connection);
    }

    pub(crate) fn forget_stream(&mut self, stream: StreamId) -> Option<Connection> {
        let connection = self.streams.remove(&stream)?;
        self.names.remove(&connection);
        Some(connection)
    }

    /// What its clock may show at most when its node is asked for the next deadline.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.node.poll_timeout()
    }
}
