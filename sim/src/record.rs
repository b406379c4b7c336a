//! What happened in a run, as data: what pictures, tables and explanations are made of.
//!
//! A run keeps a record only if it is asked to. Everything in it was seen from outside: what the world and the clients
//! did, what members told, what they hold, what travelled between them. So a record changes nothing in a run, and the
//! same plan gives the same record.

use core::{fmt, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{CommitError, EndCause, Event, MemberId, Outcome, SessionKey};

use crate::{
    action::Action,
    ask::Serial,
    clock::Moment,
    history::Shown,
    names::Name,
    net::HostId,
    own::{Invariant, Own},
    plan::Plan,
    sim::Sim,
    trial::Trial,
    violation::Violation,
};

mod bands;
mod recorder;
mod traffic;

pub use bands::Band;
pub(crate) use recorder::Recorder;

/// All that happened in a run, in the order in which it did.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What happened.
    pub entries: Vec<Entry>,
    /// Every life that there was.
    pub lives: BTreeMap<MemberId, Life>,
    /// What a scenario calls its members, `n0` first, and its sessions, `s1` first; empty where nothing has another name.
    pub called: [Vec<String>; 2],
    /// How many hosts there are.
    pub hosts: u16,
    /// How many bytes each node held, once in a second.
    pub memory: Vec<(Moment, HostId, usize)>,
    /// When all faults end by the plan.
    pub healed_at: Moment,
    /// When the run was over.
    pub end: Moment,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When; for a message, when it was sent.
    pub at: Moment,
    /// What.
    pub what: Happened,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Happened {
    /// The world did something, or a client or an application asked for something.
    Done(Action),
    /// What runs on a host is in another state.
    State(HostId, State),
    /// The view of a member is another.
    View(HostId, Sight),
    /// A member told its application something.
    Told(HostId, Event),
    /// A member holds something else of a session; `None` if it holds nothing of it any more.
    Copy(HostId, SessionKey, Option<Copy>),
    /// A write has come so far.
    Commit(HostId, Subject, Serial, Step),
    /// A client was shown a session; `None` if the member gave up.
    Read(HostId, SessionKey, Option<Shown>),
    /// A message of the application of this life has come.
    Mail(HostId, MemberId),
    /// Something travelled from one member to another.
    Message(Message),
    /// A promise was broken.
    Broken(Violation),
    /// What a member has at the end of a session that the story of a violation tells of.
    Left(HostId, SessionKey, Holding),
}

/// One life of a member: which host it ran on, and the how many'th it was there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life(pub HostId, pub usize);

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 | 1 => write!(f, "{}", self.0),
            number => write!(f, "{}.{number}", self.0),
        }
    }
}

/// What runs on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing.
    #[default]
    Down,
    /// A member that receives the sessions and does not serve yet.
    Joining,
    /// A member that serves.
    Ready,
    /// A member that takes no writes, as it sees too few others.
    Paused,
    /// A member that hands over.
    Leaving,
    /// A process that does not run at present.
    Asleep,
}

/// Whom a member lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// All others in its view.
    pub listed: BTreeSet<MemberId>,
    /// Those of them that it suspects.
    pub suspected: BTreeSet<MemberId>,
}

/// What a member holds of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Which write each attribute is of.
    pub shown: Shown,
    /// Who owns it, as far as this member knows.
    pub owner: Option<MemberId>,
    /// It has ended, for this cause.
    pub ended: Option<EndCause>,
}

/// What a member has of a session when the run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Whether clients are shown it.
    pub is_shown: bool,
    /// What it holds, if anything.
    pub copy: Option<Copy>,
    /// Who must hold it by the view of this member.
    pub holders: Vec<MemberId>,
}

/// What a write is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A session.
    Session(SessionKey),
    /// A name of the shared map.
    Name(Name),
}

/// How far a write has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its member asks others for the session first.
    Waits,
    /// Its member has taken it.
    Taken,
    /// Its member has refused it, for this reason.
    Refused(String),
    /// It is as durable as was asked for: these have it besides its member.
    Durable(Vec<MemberId>),
    /// It is applied, by these besides its member, fewer than were asked for; `true` if its time was over.
    NotDurable(Vec<MemberId>, bool),
    /// Its member has died first: it may have happened or not.
    Unknown,
}

/// How something travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// As a datagram to one.
    Datagram,
    /// As a datagram to the group; it is told once for each receiver.
    Group,
    /// As a write to a stream.
    Stream,
}

/// Something that travelled.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who sent it.
    pub from: HostId,
    /// Whom to.
    pub to: HostId,
    /// How.
    pub way: Way,
    /// What kinds of frames and items it is made of, each once, with the session that an item is about.
    pub kinds: Vec<(&'static str, Option<SessionKey>)>,
    /// How long it is.
    pub bytes: usize,
    /// When the last of it came to the other member, if it did.
    pub arrived: Option<Moment>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It arrived, after more than the longest way that is usual in the network of the plan.
    Late,
    /// It never arrived, or not as it was sent.
    Lost,
    /// It never arrived: no room was left where it would have waited for a wire.
    NoRoom,
}

impl Fate {
    /// Whether it never arrived as it was sent.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Lost | Self::NoRoom)
    }
}

impl Record {
    /// Runs a plan and keeps a record of it.
    pub fn of(plan: &Plan) -> (Trial, Self) {
        Self::judged(plan, Vec::new())
    }

    /// The same, judged by these as well.
    pub fn judged(plan: &Plan, own: Vec<Box<dyn Invariant>>) -> (Trial, Self) {
        let mut sim = Sim::new(plan.setup.clone());
        sim.oracles_mut().own = Own(own);
        sim.record();
        let trial = Trial::on(&mut sim, plan);
        let record = sim.into_record(plan, trial.result.as_ref().err());
        (trial, record)
    }

    /// How a life is called.
    pub fn name(&self, life: MemberId) -> String {
        self.lives.get(&life).map_or_else(|| life.to_string(), ToString::to_string)
    }

    /// What else members and sessions are called, in one line; empty where nothing has another name.
    pub fn also_called(&self) -> String {
        let [members, sessions] = &self.called;
        let members = members.iter().enumerate().map(|(number, name)| format!("n{number} {name}"));
        let sessions = sessions.iter().enumerate().map(|(number, name)| format!("s{} {name}", number + 1));
        members.chain(sessions).collect::<Vec<_>>().join(", ")
    }

    /// The promise that was broken, if one was.
    pub fn violation(&self) -> Option<&Violation> {
        self.entries.iter().find_map(|entry| match &entry.what {
            Happened::Broken(violation) => Some(violation),
            Happened::Done(_)
            | Happened::State(..)
            | Happened::View(..)
            | Happened::Told(..)
            | Happened::Copy(..)
            | Happened::Commit(..)
            | Happened::Read(..)
            | Happened::Mail(..)
            | Happened::Message(_)
            | Happened::Left(..) => None,
        })
    }

    /// All that travelled, each with when it was sent.
    pub fn messages(&self) -> impl Iterator<Item = (Moment, &Message)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            Happened::Message(message) => Some((entry.at, message)),
            Happened::Done(_)
            | Happened::State(..)
            | Happened::View(..)
            | Happened::Told(..)
            | Happened::Copy(..)
            | Happened::Commit(..)
            | Happened::Read(..)
            | Happened::Mail(..)
            | Happened::Broken(_)
            | Happened::Left(..) => None,
        })
    }

    /// All sessions that anything is told of, by how clients number them.
    pub fn sessions(&self) -> BTreeSet<SessionKey> {
        self.entries.iter().flat_map(|entry| entry.what.sessions()).collect()
    }
}

impl Happened {
    /// What this kind of thing is called, wherever it is told.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Done(action) if action.is_of_a_client() => "client",
            Self::Done(_) => "fault",
            Self::State(..) => "state",
            Self::View(..) => "view",
            Self::Told(..) => "event",
            Self::Copy(..) => "copy",
            Self::Commit(..) => "commit",
            Self::Read(..) => "read",
            Self::Mail(..) => "mail",
            Self::Message(_) => "message",
            Self::Broken(_) => "violation",
            Self::Left(..) => "end",
        }
    }

    /// The host that it happened on, or that it came from.
    pub fn host(&self) -> Option<HostId> {
        match self {
            Self::Done(action) => action.hosts().first().copied(),
            Self::State(host, _)
            | Self::View(host, _)
            | Self::Told(host, _)
            | Self::Copy(host, ..)
            | Self::Commit(host, ..)
            | Self::Read(host, ..)
            | Self::Mail(host, _)
            | Self::Left(host, ..) => Some(*host),
            Self::Message(message) => Some(message.from),
            Self::Broken(_) => None,
        }
    }

    /// All hosts that it is about.
    pub fn hosts(&self) -> Vec<HostId> {
        match self {
            Self::Done(action) => action.hosts(),
            Self::Message(message) => vec![message.from, message.to],
            Self::State(..)
            | Self::View(..)
            | Self::Told(..)
            | Self::Copy(..)
            | Self::Commit(..)
            | Self::Read(..)
            | Self::Mail(..)
            | Self::Left(..)
            | Self::Broken(_) => self.host().into_iter().collect(),
        }
    }

    /// The sessions that it is about.
    pub fn sessions(&self) -> Vec<SessionKey> {
        match self {
            Self::Done(Action::Commit(_, ask)) => [Some(ask.key), ask.moves_to].into_iter().flatten().collect(),
            Self::Done(Action::Touch(_, key))
            | Self::Copy(_, key, _)
            | Self::Commit(_, Subject::Session(key), ..)
            | Self::Read(_, key, _)
            | Self::Left(_, key, _)
            | Self::Told(_, Event::SessionEnded(key, _) | Event::Repaired(key, ..)) => vec![*key],
            Self::Message(message) => message.kinds.iter().filter_map(|(_, session)| *session).collect(),
            Self::Done(_)
            | Self::State(..)
            | Self::View(..)
            | Self::Told(..)
            | Self::Commit(_, Subject::Name(_), ..)
            | Self::Mail(..)
            | Self::Broken(_) => Vec::new(),
        }
    }
}

impl Step {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Durable(receipt) => Self::Durable(receipt.members.clone()),
            Outcome::NotDurable { have, late, .. } => Self::NotDurable(have.clone(), *late),
        }
    }

    pub(crate) fn taken<T>(result: &Result<T, CommitError>) -> Self {
        match result {
            Ok(_) => Self::Taken,
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}

impl Message {
    /// How long it was under way, if it arrived.
    pub fn took(&self, sent: Moment) -> Option<Duration> {
        self.arrived.map(|arrived| arrived.since(sent))
    }
}
