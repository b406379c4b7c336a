//! The network: which hosts reach each other, how well, and what is on its way.
//!
//! It carries bytes and knows nothing of what they mean. Datagrams are lost, repeated and overtake each other; streams
//! keep every byte in order until they break. What a host does not see yet waits here: a cut holds streams up, a sleeping
//! process finds its packets when it wakes.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heirloom_core::CloseCause;

use crate::{
    chance::Chance,
    choices::Choices,
    clock::Moment,
    datagrams::Datagrams,
    record::Way,
    streams::{Connection, Streams, Taken},
    weather::Weather,
    wires::Wires,
};

mod faults;

/// A host: a place where one process at a time may run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub u16);

impl HostId {
    /// Where it takes streams and datagrams, in every life.
    pub fn address(self) -> SocketAddr {
        let [high, low] = self.0.to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), PORT)
    }

    /// The host with this address.
    pub fn at(address: SocketAddr) -> Option<Self> {
        match address.ip() {
            IpAddr::V4(ip) if address.port() == PORT && ip.octets()[..2] == [10, 0] => {
                let [_, _, high, low] = ip.octets();
                Some(Self(u16::from_be_bytes([high, low])))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }

    /// Its place in a list of hosts.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn word(self) -> u64 {
        u64::from(self.0)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

const PORT: u16 = 4000;

/// What a host is for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A process listens.
    Up,
    /// The process does not run at present; the host answers for it as far as a host does.
    Asleep,
    /// No process: connections are refused.
    Down,
    /// No host: nothing answers.
    Off,
}

/// Who reaches whom at present.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    presence: BTreeMap<HostId, Presence>,
    cut: BTreeSet<(HostId, HostId)>,
    /// How many of a thousand datagrams are lost in this direction, besides those that the weather takes.
    thin: BTreeMap<(HostId, HostId), u64>,
    /// The same for what is sent to the group.
    thin_group: BTreeMap<(HostId, HostId), u64>,
    held: BTreeSet<(HostId, HostId)>,
    /// How much longer a direction takes.
    lag: BTreeMap<(HostId, HostId), Duration>,
    /// Streams between these, the lesser first, bring nothing of what they take.
    swallowed: BTreeSet<(HostId, HostId)>,
}

impl Paths {
    /// What is at this host.
    pub fn presence(&self, host: HostId) -> Presence {
        self.presence.get(&host).copied().unwrap_or(Presence::Off)
    }

    /// Whether no process is at this host.
    pub(crate) fn is_nobody(&self, host: HostId) -> bool {
        matches!(self.presence(host), Presence::Down | Presence::Off)
    }

    /// Every host that ever ran a process.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> {
        self.presence.keys().copied()
    }

    /// How many of a thousand datagrams are lost in this direction, besides those that the weather takes.
    pub fn loss(&self, from: HostId, to: HostId) -> u64 {
        if self.cut.contains(&(from, to)) { 1000 } else { self.thin.get(&(from, to)).copied().unwrap_or(0) }
    }

    /// The same of multicast datagrams.
    pub fn group_loss(&self, from: HostId, to: HostId) -> u64 {
        self.loss(from, to).max(self.thin_group.get(&(from, to)).copied().unwrap_or(0))
    }

    /// Whether bytes of streams pass in this direction.
    pub fn carries_streams(&self, from: HostId, to: HostId) -> bool {
        !self.cut.contains(&(from, to)) && !self.held.contains(&(from, to))
    }

    /// How much longer this direction takes.
    pub(crate) fn lag(&self, from: HostId, to: HostId) -> Duration {
        self.lag.get(&(from, to)).copied().unwrap_or(Duration::ZERO)
    }

    /// Whether streams between the two bring nothing of what they take.
    pub(crate) fn swallows(&self, one: HostId, other: HostId) -> bool {
        self.swallowed.contains(&(one.min(other), one.max(other)))
    }

    /// Whether a stream between the two will break if this lasts.
    pub(crate) fn is_stalled(&self, one: HostId, other: HostId) -> bool {
        let off = [one, other].into_iter().any(|host| self.presence(host) == Presence::Off);
        off || self.cut.contains(&(one, other)) || self.cut.contains(&(other, one))
    }
}

/// What decides the fate of a packet.
pub(crate) struct Scene<'a> {
    pub(crate) now: Moment,
    pub(crate) chance: &'a Chance,
    pub(crate) weather: &'a Weather,
    pub(crate) paths: &'a Paths,
    pub(crate) choices: &'a Choices,
    pub(crate) wires: &'a Wires,
}

/// Something that reaches a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A datagram.
    Datagram {
        /// Where it was sent.
        from: HostId,
        /// What it says.
        bytes: Bytes,
    },
    /// Nothing takes datagrams at that address.
    SendFailed {
        /// The address it was sent to.
        to: HostId,
    },
    /// Another host opened a stream.
    Accepted {
        /// The stream.
        connection: Connection,
        /// Who opened it.
        from: HostId,
    },
    /// The stream that this host asked for is open.
    Opened {
        /// The stream.
        connection: Connection,
    },
    /// Bytes of a stream.
    Bytes {
        /// The stream.
        connection: Connection,
        /// The next bytes.
        bytes: Bytes,
    },
    /// The rest of a write is taken.
    Writable {
        /// The stream.
        connection: Connection,
    },
    /// A stream is closed.
    Closed {
        /// The stream.
        connection: Connection,
        /// Why.
        cause: CloseCause,
    },
}

/// What happens to bytes on their way when a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastBytes {
    /// The host delivers what it took, then closes.
    Delivered,
    /// They are lost.
    Lost,
}

/// All that is between the hosts.
#[derive(Clone, Debug)]
pub struct Net {
    chance: Chance,
    weather: Weather,
    choices: Choices,
    paths: Paths,
    wires: Wires,
    datagrams: Datagrams,
    streams: Streams,
}

impl Net {
    /// An empty network.
    pub fn new(chance: Chance, weather: Weather) -> Self {
        let (datagrams, streams) = (Datagrams::default(), Streams::default());
        let (choices, wires) = (Choices::default(), Wires::default());
        Self { chance, weather, choices, paths: Paths::default(), wires, datagrams, streams }
    }

    /// Changes what it does to what is sent from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// What it does to what it carries.
    pub const fn weather(&self) -> &Weather {
        &self.weather
    }

    /// Who decides about single packets.
    pub(crate) const fn choices(&self) -> &Choices {
        &self.choices
    }

    /// All that is under way, and on which paths.
    pub(crate) const fn under_way(&self) -> impl fmt::Debug {
        (&self.paths, &self.datagrams, &self.streams)
    }

    /// The wires that have a limit.
    pub(crate) const fn wires(&self) -> &Wires {
        &self.wires
    }

    /// The same, to give them one.
    pub(crate) const fn wires_mut(&mut self) -> &mut Wires {
        &mut self.wires
    }

    /// The datagrams that found no room since this was asked last: who sent each, to whom, and how.
    pub(crate) fn take_crowded_out(&mut self) -> Vec<(HostId, HostId, Way)> {
        self.datagrams.take_crowded_out()
    }

    /// Who reaches whom.
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// A process started, fell asleep or woke. For an end there is `handle_exit`.
    pub fn handle_presence(&mut self, now: Moment, host: HostId, presence: Presence) {
        self.paths.presence.insert(host, presence);
        self.datagrams.handle_change(now, &self.paths);
        self.review_streams(now);
    }

    /// A process ended, and its host with it when `presence` is `Off`.
    pub fn handle_exit(&mut self, now: Moment, host: HostId, presence: Presence, last: LastBytes) {
        self.paths.presence.insert(host, presence);
        self.datagrams.handle_exit(host);
        if presence == Presence::Off {
            self.streams.handle_off(host);
            self.review_streams(now);
        } else {
            self.exit_streams(now, host, last);
        }
    }

    /// A process starts where a host was off: what others still hold open to it is reset.
    pub fn handle_start(&mut self, now: Moment, host: HostId) {
        self.exit_streams(now, host, LastBytes::Lost);
        self.handle_presence(now, host, Presence::Up);
    }

    /// Sends a datagram to one host.
    pub fn send(&mut self, now: Moment, from: HostId, to: HostId, bytes: &Bytes) {
        let (scene, datagrams, _) = self.parts(now);
        datagrams.send(&scene, from, to, bytes);
    }

    /// Sends a datagram to every host.
    pub fn send_to_group(&mut self, now: Moment, from: HostId, bytes: &Bytes) {
        let (scene, datagrams, _) = self.parts(now);
        datagrams.send_to_group(&scene, from, bytes);
    }

    /// Opens a stream.
    pub fn open(&mut self, now: Moment, from: HostId, to: HostId) -> Connection {
        let (scene, _, streams) = self.parts(now);
        streams.open(&scene, from, to)
    }

    /// Writes to a stream.
    pub fn write(&mut self, now: Moment, connection: Connection, bytes: Bytes) -> Taken {
        let (scene, _, streams) = self.parts(now);
        streams.write(&scene, connection, bytes)
    }

    /// Closes a stream after what was written.
    pub fn close(&mut self, now: Moment, connection: Connection) {
        let (scene, _, streams) = self.parts(now);
        streams.close(&scene, connection);
    }

    /// The next thing that reaches a host.
    pub fn poll_arrival(&mut self, now: Moment) -> Option<(HostId, Arrival)> {
        let (scene, datagrams, streams) = self.parts(now);
        datagrams.poll_arrival(now, scene.paths).or_else(|| streams.poll_arrival(&scene))
    }

    /// When something may reach a host.
    pub fn poll_timeout(&self) -> Option<Moment> {
        [self.datagrams.poll_timeout(), self.streams.poll_timeout()].into_iter().flatten().min()
    }

    fn review_streams(&mut self, now: Moment) {
        let (scene, _, streams) = self.parts(now);
        streams.handle_change(&scene);
    }

    fn exit_streams(&mut self, now: Moment, host: HostId, last: LastBytes) {
        let (scene, _, streams) = self.parts(now);
        streams.handle_exit(&scene, host, last);
    }

    fn parts(&mut self, now: Moment) -> (Scene<'_>, &mut Datagrams, &mut Streams) {
        let Self { chance, weather, paths, choices, wires, datagrams, streams } = self;
        (Scene { now, chance, weather, paths, choices, wires }, datagrams, streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_host() {
        assert_eq!(HostId::at(HostId(300).address()), Some(HostId(300)));
        assert_eq!(HostId::at(([10, 0, 0, 1], 9).into()), None);
    }
}
