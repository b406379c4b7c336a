//! What happens in a run, as plain data: what it starts from, and what the world and the clients do.

use core::time::Duration;
use std::collections::BTreeMap;

use heirloom_core::{Config, Durability, SessionKey};

use crate::{
    ask::Ask,
    clock::Moment,
    names::Name,
    net::{HostId, LastBytes},
    places::{Discovery, Places},
    weather::Weather,
    wires::Wire,
};

/// Something that the world or a client does. What can not be done at present is left out, so any part of a list of
/// actions is a list of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new life starts.
    Start(HostId),
    /// The lives that start on a host from now on speak versions of the protocol up to this one.
    Install(HostId, u8),
    /// A process is killed.
    Kill(HostId, LastBytes),
    /// A host fails without a word.
    PowerOff(HostId),
    /// A process stops running for a while.
    Pause(HostId),
    /// It runs again.
    Resume(HostId),
    /// A member is asked to leave.
    Leave(HostId),
    /// A member is asked to leave within a time, and to serve while it hands over.
    Drain(HostId, Duration),
    /// An operator tells a member that who is missing is gone for good.
    CountOut(HostId),
    /// One direction is cut.
    Cut(HostId, HostId),
    /// One direction is mended.
    Mend(HostId, HostId),
    /// The datagrams of one direction are lost.
    Mute(HostId, HostId),
    /// So many of a thousand datagrams of one direction are lost, until all is healed; zero ends it.
    Thin(HostId, HostId, u64),
    /// So many of a thousand multicast datagrams of one direction are lost, likewise.
    ThinGroup(HostId, HostId, u64),
    /// The datagrams of one direction pass again.
    Unmute(HostId, HostId),
    /// The streams of one direction stand still.
    Hold(HostId, HostId),
    /// The streams of one direction move again.
    Release(HostId, HostId),
    /// The streams between two hosts break.
    Break(HostId, HostId),
    /// One direction takes so much longer; zero ends it.
    Lag(HostId, HostId, Duration),
    /// A wire carries so many bytes in a second; zero ends it.
    Narrow(Wire, u64),
    /// So many bytes may wait for a wire; zero ends it.
    Room(Wire, u64),
    /// Streams between two hosts open and take bytes, and bring none of them to anybody.
    Swallow(HostId, HostId),
    /// Streams between two hosts bring what they take again; those that are open break.
    Spare(HostId, HostId),
    /// A monotonic clock is wrong by so many parts of a million from now on.
    Drift(HostId, i64),
    /// A wall clock is set by so many milliseconds.
    StepWall(HostId, i64),
    /// The network changes.
    Weather(Weather),
    /// All faults end, and the network becomes like this.
    Heal(Weather),
    /// A client commits at the first ready member from this one on.
    Commit(HostId, Ask),
    /// A client sets a value under a name of the shared map at the first ready member from this one on.
    SetName(HostId, Name, Durability),
    /// A client removes a name of the shared map, likewise.
    RemoveName(HostId, Name, Durability),
    /// An application sends a message from the first ready member from this one on to the one on that host.
    Send(HostId, HostId),
    /// An application sends a message to all, likewise.
    SendToAll(HostId),
    /// A client uses a session at the first ready member from this one on.
    Touch(HostId, SessionKey),
}

impl Action {
    /// Whether clients do it, or applications; else the world does.
    pub const fn is_of_a_client(&self) -> bool {
        match self {
            Self::Commit(..)
            | Self::SetName(..)
            | Self::RemoveName(..)
            | Self::Send(..)
            | Self::SendToAll(_)
            | Self::Touch(..) => true,
            Self::Start(_)
            | Self::Install(..)
            | Self::Kill(..)
            | Self::PowerOff(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Leave(_)
            | Self::Drain(..)
            | Self::CountOut(_)
            | Self::Cut(..)
            | Self::Mend(..)
            | Self::Mute(..)
            | Self::Thin(..)
            | Self::ThinGroup(..)
            | Self::Unmute(..)
            | Self::Hold(..)
            | Self::Release(..)
            | Self::Break(..)
            | Self::Lag(..)
            | Self::Narrow(..)
            | Self::Room(..)
            | Self::Swallow(..)
            | Self::Spare(..)
            | Self::Drift(..)
            | Self::StepWall(..)
            | Self::Weather(_)
            | Self::Heal(_) => false,
        }
    }

    /// The hosts that it names, the one that it happens on or begins at first.
    pub fn hosts(&self) -> Vec<HostId> {
        self.clone().hosts_mut().into_iter().map(|host| *host).collect()
    }

    pub(crate) fn hosts_mut(&mut self) -> Vec<&mut HostId> {
        match self {
            Self::Start(host)
            | Self::Install(host, _)
            | Self::Kill(host, _)
            | Self::PowerOff(host)
            | Self::Pause(host)
            | Self::Resume(host)
            | Self::Leave(host)
            | Self::Drain(host, _)
            | Self::CountOut(host)
            | Self::Drift(host, _)
            | Self::StepWall(host, _)
            | Self::Commit(host, _)
            | Self::SetName(host, ..)
            | Self::RemoveName(host, ..)
            | Self::SendToAll(host)
            | Self::Touch(host, _) => vec![host],
            Self::Cut(from, to)
            | Self::Mend(from, to)
            | Self::Mute(from, to)
            | Self::Thin(from, to, _)
            | Self::ThinGroup(from, to, _)
            | Self::Unmute(from, to)
            | Self::Hold(from, to)
            | Self::Release(from, to)
            | Self::Break(from, to)
            | Self::Lag(from, to, _)
            | Self::Swallow(from, to)
            | Self::Spare(from, to)
            | Self::Send(from, to) => vec![from, to],
            Self::Narrow(wire, _) | Self::Room(wire, _) => wire.hosts_mut(),
            Self::Weather(_) | Self::Heal(_) => Vec::new(),
        }
    }
}

/// What a run starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// All chance.
    pub seed: u64,
    /// How many hosts.
    pub hosts: u16,
    /// The settings of every node but those in `own`.
    pub config: Config,
    /// The settings of hosts that have their own.
    pub own: BTreeMap<HostId, Config>,
    /// The network.
    pub weather: Weather,
    /// How members find each other.
    pub discovery: Discovery,
    /// Where hosts stand.
    pub places: Places,
    /// Lives are numbered in the order of hosts, and clocks are exact: for scripts.
    pub is_plain: bool,
}

impl Setup {
    /// When the first client comes: the first member is ready by then.
    pub(crate) fn clients_from(&self) -> Moment {
        Moment::ZERO + self.config.join_for + Duration::from_secs(1)
    }
}
