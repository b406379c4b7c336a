//! What became of expectations, and how it was where one was not met.

use std::collections::BTreeMap;

use heirloom_core::Durability;

use super::Judge;
use crate::{
    clock::Moment,
    history::Told as Outcome,
    net::HostId,
    oracles::View,
    tale::expect::{Heard, State, Thing, What, Who},
};

/// What became of expectations, by their places.
pub(in crate::tale) type Verdicts = BTreeMap<usize, Verdict>;

/// What became of an expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tale) enum Verdict {
    /// It was met.
    Met,
    /// It was not, in this way.
    Unmet(Instead, Moment, String),
}

/// How it was when an expectation was not met, as far as that says of two runs that they miss it in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tale) struct Instead {
    /// Whether something of the kind was heard.
    is_heard: bool,
    /// Of each member that it names: whether it has run, runs, and serves.
    members: Vec<[bool; 3]>,
    /// Of the session or the write that it names: on how many members there is something of it.
    holders: usize,
    /// What the client of the write that it names was told, and how durable it was to be.
    fate: Option<(&'static str, Option<Durability>)>,
}

impl Judge {
    /// How it is instead.
    pub(super) fn instead(&self, view: View<'_>, what: &What) -> Instead {
        let hosts: Vec<HostId> = match what {
            What::Is { who: Who::Each(hosts), .. } => hosts.clone(),
            What::Heard(who, heard) => {
                let of_whom = if let Who::Each(hosts) = who { hosts.as_slice() } else { &[] };
                of_whom.iter().chain(heard.hosts()).copied().collect()
            }
            What::Is { who: Who::Every | Who::Anybody, .. } | What::Copies(..) | What::Told(..) => Vec::new(),
        };
        let thing = match what {
            What::Is { state: State::Shows(thing) | State::Holds(thing), .. } | What::Copies(_, thing) => Some(*thing),
            What::Is { state: State::Owns(key), .. } | What::Heard(_, Heard::Ends(key, _)) => {
                Some(Thing::Session(*key))
            }
            What::Told(write, _) => Some(Thing::Write(*write)),
            What::Is { state: State::Ready | State::Lists(_), .. } | What::Heard(..) => None,
        };
        let is_heard = match what {
            What::Heard(_, heard) => self.heard.iter().any(|(_, _, event)| heard.is_like(event, view)),
            What::Is { .. } | What::Copies(..) | What::Told(..) => false,
        };
        let holders =
            thing.map_or(0, |thing| view.running().filter(|(_, process)| self.has(view, process, thing)).count());
        let fate = match thing {
            Some(Thing::Write(write)) => Some(self.fate(view, write)),
            Some(Thing::Session(_)) | None => None,
        };
        let is_there = |host: HostId| view.cluster.process(host).is_some();
        let member =
            |host: HostId| [!view.cluster.host(host).lives.is_empty(), is_there(host), view.cluster.is_ready(host)];
        Instead { is_heard, members: hosts.into_iter().map(member).collect(), holders, fate }
    }

    fn fate(&self, view: View<'_>, write: usize) -> (&'static str, Option<Durability>) {
        let attempt = self.serial(view, write).and_then(|serial| view.history.attempt(serial));
        let fate = match attempt.map(|attempt| &attempt.told) {
            None => "refused",
            Some(Outcome::Pending) => "nothing",
            Some(Outcome::Durable(..)) => "durable",
            Some(Outcome::NotDurable) => "not durable",
            Some(Outcome::Unknown) => "unknown",
        };
        (fate, attempt.map(|attempt| attempt.ask.durability))
    }
}

impl Heard {
    /// Whom it names.
    fn hosts(&self) -> &[HostId] {
        match self {
            Self::Removes(hosts, _) | Self::Suspects(hosts) => hosts,
            Self::Ready(_) | Self::Ends(..) | Self::Pauses | Self::Resumes | Self::LosesMajority | Self::Leaves(_) => {
                &[]
            }
        }
    }
}
