//! What happens when something else happens: when a frame reaches a member, or when a member tells something.

use core::fmt;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heirloom_core::{Event, MemberId, kinds};

use crate::{
    action::Action,
    net::{Arrival, HostId},
    streams::Connection,
};

/// An action that waits for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// What it waits for.
    pub occasion: Occasion,
    /// How often that must have happened; 1 is the first time.
    pub number: u64,
    /// What happens then.
    pub action: Action,
}

/// Something to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A frame or an item of this kind reaches a member.
    Reaches(&'static str, HostId),
    /// A member serves.
    Ready(HostId),
    /// A member adds another to its view.
    Adds(HostId, HostId),
    /// A member suspects another.
    Suspects(HostId, HostId),
    /// A member removes another from its view.
    Removes(HostId, HostId),
}

impl Occasion {
    /// The kind of frame or item that is called so.
    pub(crate) fn kind(name: &str) -> Result<&'static str, String> {
        let names = || kinds::all().into_iter().map(called);
        names()
            .find(|known| *known == name)
            .ok_or_else(|| format!("`{name}` is no kind of frame: {}", names().collect::<Vec<&str>>().join(", ")))
    }

    /// The hosts that it names.
    pub(crate) fn hosts_mut(&mut self) -> Vec<&mut HostId> {
        match self {
            Self::Reaches(_, host) | Self::Ready(host) => vec![host],
            Self::Adds(one, other) | Self::Suspects(one, other) | Self::Removes(one, other) => vec![one, other],
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reaches(kind, host) => write!(f, "{kind} reaches {host}"),
            Self::Ready(host) => write!(f, "{host} ready"),
            Self::Adds(one, other) => write!(f, "{one} adds {other}"),
            Self::Suspects(one, other) => write!(f, "{one} suspects {other}"),
            Self::Removes(one, other) => write!(f, "{one} removes {other}"),
        }
    }
}

/// What an item or a frame is called: the kind of an item has that of its frame before it.
fn called(kind: &'static str) -> &'static str {
    kind.rsplit(' ').next().unwrap_or(kind)
}

/// The triggers of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Triggers {
    waiting: Vec<(Trigger, u64)>,
    due: VecDeque<Action>,
}

impl Triggers {
    pub(crate) fn new(triggers: &[Trigger]) -> Self {
        Self { waiting: triggers.iter().map(|trigger| (trigger.clone(), 0)).collect(), due: VecDeque::new() }
    }

    /// Whether none waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The kinds of frames and items that some wait for.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let of = |occasion| if let Occasion::Reaches(kind, _) = occasion { Some(kind) } else { None };
        self.waiting.iter().filter_map(|(trigger, _)| of(trigger.occasion)).collect()
    }

    /// Something happened.
    pub(crate) fn handle(&mut self, occasion: Occasion) {
        for (trigger, count) in self.waiting.iter_mut().filter(|(trigger, _)| trigger.occasion == occasion) {
            *count += 1;
            if *count == trigger.number {
                self.due.push_back(trigger.action.clone());
            }
        }
        self.waiting.retain(|(trigger, count)| *count < trigger.number);
    }

    /// A member told something.
    pub(crate) fn handle_event(&mut self, host: HostId, event: &Event, host_of: impl Fn(MemberId) -> Option<HostId>) {
        let other = |member| host_of(member);
        #[expect(clippy::wildcard_enum_match_arm, reason = "nobody waits for the others")]
        let occasion = match event {
            Event::Ready(_) => Some(Occasion::Ready(host)),
            Event::MemberAdded(member) => other(*member).map(|other| Occasion::Adds(host, other)),
            Event::MemberSuspect(member, _) => other(*member).map(|other| Occasion::Suspects(host, other)),
            Event::MemberRemoved(member, _) => other(*member).map(|other| Occasion::Removes(host, other)),
            _ => None,
        };
        occasion.into_iter().for_each(|occasion| self.handle(occasion));
    }

    /// The next action that is due.
    pub(crate) fn poll_due(&mut self) -> Option<Action> {
        self.due.pop_front()
    }

    /// Those that still wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Trigger> {
        self.waiting.iter().map(|(trigger, _)| trigger)
    }
}

/// Sees which kinds of frames and items reach whom. What is written to a stream has come with its last byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookout {
    kinds: Vec<&'static str>,
    flows: BTreeMap<Connection, Flow>,
    seen: VecDeque<(&'static str, HostId)>,
}

#[derive(Clone, Debug, Default)]
struct Flow {
    written: usize,
    read: usize,
    writes: VecDeque<(usize, Vec<&'static str>)>,
}

impl Lookout {
    /// Looks out for these from now on.
    pub(crate) fn begin(&mut self, kinds: Vec<&'static str>) {
        self.kinds = kinds;
    }

    /// A host writes to a stream.
    pub(crate) fn handle_write(&mut self, connection: Connection, bytes: &Bytes) {
        if self.kinds.is_empty() {
            return;
        }
        let seen = self.look(bytes, true);
        let flow = self.flows.entry(connection).or_default();
        flow.written += bytes.len();
        flow.writes.push_back((flow.written, seen));
    }

    /// Something reaches a host.
    pub(crate) fn handle_arrival(&mut self, host: HostId, arrival: &Arrival) {
        if self.kinds.is_empty() {
            return;
        }
        match arrival {
            Arrival::Datagram { bytes, .. } => {
                let seen = self.look(bytes, false);
                self.seen.extend(seen.into_iter().map(|kind| (kind, host)));
            }
            Arrival::Bytes { connection, bytes } => {
                let Some(flow) = self.flows.get_mut(&connection.other()) else { return };
                flow.read += bytes.len();
                while let Some((_, kinds)) = flow.writes.pop_front_if(|(end, _)| *end <= flow.read) {
                    self.seen.extend(kinds.into_iter().map(|kind| (kind, host)));
                }
            }
            Arrival::Accepted { .. }
            | Arrival::SendFailed { .. }
            | Arrival::Opened { .. }
            | Arrival::Writable { .. }
            | Arrival::Closed { .. } => {}
        }
    }

    /// The next thing that has reached somebody.
    pub(crate) fn poll_seen(&mut self) -> Option<(&'static str, HostId)> {
        self.seen.pop_front()
    }

    fn look(&self, bytes: &[u8], is_stream: bool) -> Vec<&'static str> {
        let kinds = kinds::of(bytes, is_stream).into_iter().map(called);
        kinds.filter(|kind| self.kinds.contains(kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_due_when_what_it_waits_for_has_happened_so_often_and_once() {
        let occasion = Occasion::Ready(HostId(1));
        let mut triggers = Triggers::new(&[Trigger { occasion, number: 2, action: Action::Start(HostId(0)) }]);
        triggers.handle(occasion);
        triggers.handle(Occasion::Ready(HostId(0)));
        assert_eq!(triggers.poll_due(), None);
        triggers.handle(occasion);
        assert_eq!((triggers.poll_due(), triggers.is_empty()), (Some(Action::Start(HostId(0))), true));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<&str> = kinds::all().into_iter().map(called).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(Occasion::kind("nonsense").unwrap_err().contains("beat"));
    }
}
