//! Hosts in virtual time: each process takes the turn of a driver, exactly as a real one does.
//!
//! A cluster does what it is told and pulls out facts; it judges only the turn itself: that a node asks for nothing that
//! makes no sense, and that no node spins at one moment.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use heirloom_core::{
    CommitError, CommitId, Config, Delta, Durability, Event, FrameError, MemberId, MemberState, Node, Outcome, SessionKey,
    StreamId, Transmit,
};

use crate::{
    chance::{Chance, mix},
    clock::{Clock, Moment},
    datagrams::DATAGRAM_END,
    host::{Host, Process},
    net::{Arrival, HostId, LastBytes, Net, Presence, Weather},
    streams::Taken,
    violation::{Promise, Violation},
};

/// How much a node may send in one turn.
const TURN_MAX: u32 = 256;
/// More turns of one node at one moment mean that it spins.
const TURNS_AT_ONCE_MAX: u32 = 1000;
/// How often a driver reads the wall clock.
const WALL_EVERY: core::time::Duration = core::time::Duration::from_secs(5);

/// Something that a process told its application.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Where.
    pub host: HostId,
    /// Which life.
    pub life: MemberId,
    /// What.
    pub what: What,
}

/// What a process told.
#[derive(Clone, Debug)]
pub enum What {
    /// An event.
    Event(Event),
    /// A commit has ended.
    Outcome(CommitId, Outcome),
    /// The state that readers see of a session may be another.
    Changed(SessionKey),
}

/// Who is told of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discovery {
    /// Everybody is in the group.
    Group,
    /// Everybody is given the addresses of all, and there is no group.
    Peers,
    /// Both.
    Both,
}

/// What a cluster has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inputs of all nodes.
    pub inputs: u64,
    /// What was sent.
    pub transmits: u64,
    /// Frames that a node refused. Hosts carry only what nodes wrote, so these are rare: a frame after its stream.
    pub refused: u64,
}

/// Hosts, their processes and the network between them.
#[derive(Clone)]
pub struct Cluster {
    now: Moment,
    config: Config,
    discovery: Discovery,
    hosts: Vec<Host>,
    net: Net,
    wakes: BTreeSet<(Moment, HostId)>,
    facts: VecDeque<Fact>,
    digest: u64,
    counts: Counts,
    /// Which host a life ran on, for every life there ever was.
    lives: BTreeMap<MemberId, HostId>,
}

impl Cluster {
    /// So many hosts that nothing runs on yet.
    pub fn new(chance: Chance, config: Config, weather: Weather, discovery: Discovery, clocks: Vec<Clock>) -> Self {
        let host = |clock| Host { clock, process: None, lives: Vec::new() };
        let mut net = Net::new(chance, weather);
        for index in 0..clocks.len() {
            let host = HostId(u16::try_from(index).expect("a cluster is small"));
            net.handle_presence(Moment::ZERO, host, Presence::Down);
        }
        Self {
            now: Moment::ZERO,
            config,
            discovery,
            hosts: clocks.into_iter().map(host).collect(),
            net,
            wakes: BTreeSet::new(),
            facts: VecDeque::new(),
            digest: 0,
            counts: Counts::default(),
            lives: BTreeMap::new(),
        }
    }

    /// Starts a new life on a host where nothing runs.
    ///
    /// # Panics
    ///
    /// When something runs there, or the settings are wrong.
    pub fn start(&mut self, host: HostId, life: MemberId, seed: u64) -> Result<(), Violation> {
        let time = self.hosts[host.index()].clock.time(self.now);
        let mut node = Node::new(life, host.address(), self.config.clone(), seed, time).expect("the settings are checked");
        if self.discovery != Discovery::Group {
            let others = self.all().filter(|other| *other != host).map(HostId::address).collect();
            node.set_peers(time, others);
        }
        let place = &mut self.hosts[host.index()];
        assert!(place.process.is_none(), "one process at a time runs on a host");
        place.process = Some(Process::new(node, life, self.now));
        place.lives.push(life);
        self.lives.insert(life, host);
        self.net.handle_start(self.now, host);
        self.turn(host)
    }

    /// Ends a process without a word of it; with `Off` its host is silent from now on.
    pub fn stop(&mut self, host: HostId, presence: Presence, last: LastBytes) {
        let process = self.hosts[host.index()].process.take();
        if let Some(wake) = process.and_then(|process| process.wake) {
            self.wakes.remove(&(wake, host));
        }
        self.net.handle_exit(self.now, host, presence, last);
    }

    /// Stops the clock's hand for a process, not for its host.
    pub fn pause(&mut self, host: HostId) {
        if let Some(process) = &mut self.hosts[host.index()].process {
            process.is_asleep = true;
            self.net.handle_presence(self.now, host, Presence::Asleep);
        }
    }

    /// Lets a process run again.
    pub fn resume(&mut self, host: HostId) -> Result<(), Violation> {
        let Some(process) = &mut self.hosts[host.index()].process else { return Ok(()) };
        process.is_asleep = false;
        self.net.handle_presence(self.now, host, Presence::Up);
        self.turn(host)
    }

    /// Sets the wall clock of a host.
    pub fn step_wall(&mut self, host: HostId, millis: i64) -> Result<(), Violation> {
        self.hosts[host.index()].clock.step_wall(millis);
        if let Some(process) = &mut self.hosts[host.index()].process {
            process.wall_at = self.now;
        }
        self.turn(host)
    }

    /// Asks a process to leave.
    pub fn leave(&mut self, host: HostId) -> Result<(), Violation> {
        let now = self.now;
        if let Some(process) = &mut self.hosts[host.index()].process {
            process.left = process.left.or(Some(now));
        }
        self.input(host, |node, time| node.leave(time));
        self.turn(host)
    }

    /// Commits on a host where a process runs. The turn comes with `settle`, so that the caller can note the commit
    /// before its outcome.
    pub fn commit(
        &mut self,
        host: HostId,
        key: SessionKey,
        delta: Delta,
        durability: Durability,
    ) -> Option<Result<CommitId, CommitError>> {
        self.input(host, |node, time| node.commit(time, key, delta, durability))
    }

    /// Uses a session without a change. The turn comes with `settle`.
    pub fn touch(&mut self, host: HostId, key: &SessionKey) {
        self.input(host, |node, time| node.touch(time, key));
    }

    /// Takes the turn after a verb.
    pub fn settle(&mut self, host: HostId) -> Result<(), Violation> {
        self.turn(host)
    }

    /// The network, to change it; the hosts notice by themselves.
    pub const fn net_mut(&mut self) -> &mut Net {
        &mut self.net
    }

    /// Lets the next thing happen, or the time come to `until` when nothing does before.
    pub fn step(&mut self, until: Moment) -> Result<bool, Violation> {
        let woken = self.wakes.first().map(|(at, _)| *at);
        let next = [self.net.poll_timeout(), woken].into_iter().flatten().min().filter(|at| *at <= until);
        let Some(next) = next else {
            self.now = self.now.max(until);
            return Ok(false);
        };
        self.now = self.now.max(next);
        if let Some((host, arrival)) = self.net.poll_arrival(self.now) {
            self.deliver(host, arrival);
            self.turn(host)?;
        } else if let Some(&(_, host)) = self.wakes.first().filter(|(at, _)| *at <= self.now) {
            self.turn(host)?;
        }
        Ok(true)
    }

    /// The next thing that a process told.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// True time.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// The settings of every node.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The network.
    pub const fn net(&self) -> &Net {
        &self.net
    }

    /// A host.
    pub fn host(&self, host: HostId) -> &Host {
        &self.hosts[host.index()]
    }

    /// The process of a host.
    pub fn process(&self, host: HostId) -> Option<&Process> {
        self.hosts[host.index()].process.as_ref()
    }

    /// All hosts.
    pub fn all(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.hosts.len()).map(|index| HostId(u16::try_from(index).expect("a cluster is small")))
    }

    /// The hosts that a process runs on.
    pub fn running(&self) -> impl Iterator<Item = (HostId, &Process)> {
        self.all().filter_map(|host| Some((host, self.process(host)?)))
    }

    /// The process with this life, if it still runs.
    pub fn living(&self, life: MemberId) -> Option<(HostId, &Process)> {
        let host = self.host_of(life)?;
        self.process(host).filter(|process| process.life == life).map(|process| (host, process))
    }

    /// Where a life ran, for a life that ever was.
    pub fn host_of(&self, life: MemberId) -> Option<HostId> {
        self.lives.get(&life).copied()
    }

    /// Whether a process runs there and serves.
    pub fn is_ready(&self, host: HostId) -> bool {
        self.process(host).is_some_and(|process| process.node.state() == MemberState::Ready)
    }

    /// A hash of everything sent, by whom and when (P8).
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The counters.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn deliver(&mut self, host: HostId, arrival: Arrival) {
        let Some(process) = &self.hosts[host.index()].process else { return };
        let named = |connection| process.names.get(&connection).copied();
        match arrival {
            Arrival::Datagram { from, bytes } => {
                let result = self.input(host, |node, time| node.handle_datagram(time, from.address(), &bytes));
                self.count_refused(result);
            }
            Arrival::SendFailed { to } => {
                self.input(host, |node, time| node.handle_send_failed(time, to.address()));
            }
            Arrival::Accepted { connection, from } => {
                let stream = self.input(host, |node, time| node.handle_accepted(time, from.address()));
                if let (Some(stream), Some(process)) = (stream, &mut self.hosts[host.index()].process) {
                    process.name(stream, connection);
                }
            }
            Arrival::Opened { connection } => {
                if let Some(stream) = named(connection) {
                    self.input(host, |node, time| node.handle_opened(time, stream));
                }
            }
            Arrival::Bytes { connection, bytes } => {
                if let Some(stream) = named(connection) {
                    let result = self.input(host, |node, time| node.handle_stream(time, stream, &bytes));
                    self.count_refused(result);
                }
            }
            Arrival::Writable { connection } => {
                if let Some(stream) = named(connection) {
                    self.input(host, |node, time| node.handle_writable(time, stream));
                }
            }
            Arrival::Closed { connection, cause } => {
                if let Some(stream) = named(connection) {
                    self.input(host, |node, time| node.handle_closed(time, stream, cause));
                    if let Some(process) = &mut self.hosts[host.index()].process {
                        process.forget_stream(stream);
                    }
                }
            }
        }
    }

    fn count_refused(&mut self, result: Option<Result<(), FrameError>>) {
        self.counts.refused += u64::from(matches!(result, Some(Err(_))));
    }

    /// One input of a node, and the check that follows every input.
    fn input<T>(&mut self, host: HostId, input: impl FnOnce(&mut Node, heirloom_core::Time) -> T) -> Option<T> {
        let place = &mut self.hosts[host.index()];
        let time = place.clock.time(self.now);
        let process = place.process.as_mut()?;
        self.counts.inputs += 1;
        let output = input(&mut process.node, time);
        process.node.check();
        Some(output)
    }

    /// The turn of a driver.
    fn turn(&mut self, host: HostId) -> Result<(), Violation> {
        let now = self.now;
        let place = &mut self.hosts[host.index()];
        let (time, wall) = (place.clock.time(now), place.clock.wall(now));
        let Some(process) = place.process.as_mut().filter(|process| !process.is_asleep) else { return Ok(()) };
        let turns = process.count_turn(now);
        Violation::unless(turns <= TURNS_AT_ONCE_MAX, Promise::Calm, now, || format!("{host} spins: {turns} turns"))?;
        if process.wall_at <= now {
            process.wall_at = now + WALL_EVERY;
            self.input(host, |node, time| node.handle_wall(time, wall));
        }
        if self.deadline(host).is_some_and(|at| at <= time) {
            self.input(host, |node, time| node.handle_timeout(time));
            let kept = self.deadline(host).is_none_or(|at| time < at);
            Violation::unless(kept, Promise::Turn, now, || format!("{host} has a deadline in the past after its timeout"))?;
        }
        let mut is_drained = false;
        for _ in 0..TURN_MAX {
            let process = self.hosts[host.index()].process.as_mut();
            let Some(transmit) = process.and_then(|process| process.node.poll_transmit(time)) else {
                is_drained = true;
                break;
            };
            self.submit(host, transmit)?;
        }
        self.input(host, |_, _| ());
        let has_left = self.drain(host)?;
        if has_left {
            self.stop(host, Presence::Down, LastBytes::Delivered);
        }
        self.arm(host, is_drained);
        Ok(())
    }

    fn deadline(&self, host: HostId) -> Option<heirloom_core::Time> {
        self.process(host).and_then(Process::deadline)
    }

    /// Takes out all that the node tells its application; true when it has left.
    fn drain(&mut self, host: HostId) -> Result<bool, Violation> {
        let now = self.now;
        let Some(process) = &mut self.hosts[host.index()].process else { return Ok(false) };
        let life = process.life;
        let mut has_left = false;
        let facts = &mut self.facts;
        let mut tell = |what| facts.push_back(Fact { host, life, what });
        while let Some(key) = process.node.poll_changed() {
            process.publish(key);
            tell(What::Changed(key));
        }
        while let Some((id, outcome)) = process.node.poll_outcome() {
            tell(What::Outcome(id, outcome));
        }
        while let Some(event) = process.node.poll_event() {
            has_left |= event == Event::Left;
            let wrong = process.follow(&event);
            Violation::unless(wrong.is_none(), Promise::Agreement, now, || format!("{host}: {}", wrong.unwrap_or_default()))?;
            tell(What::Event(event));
        }
        Ok(has_left)
    }

    /// Sets the moment of the next turn.
    fn arm(&mut self, host: HostId, is_drained: bool) {
        let place = &mut self.hosts[host.index()];
        let Some(process) = &mut place.process else { return };
        if let Some(wake) = process.wake.take() {
            self.wakes.remove(&(wake, host));
        }
        let due = process.deadline().map_or(Moment::NEVER, |at| place.clock.moment(at));
        let wake = if is_drained { due.min(process.wall_at).max(self.now) } else { self.now };
        process.wake = Some(wake);
        self.wakes.insert((wake, host));
    }

    fn submit(&mut self, host: HostId, transmit: Transmit) -> Result<(), Violation> {
        let now = self.now;
        self.counts.transmits += 1;
        self.note(host, &transmit);
        let demand = |holds: bool, story: String| Violation::unless(holds, Promise::Turn, now, || format!("{host} {story}"));
        match transmit {
            Transmit::Datagram { to, bytes } => {
                demand(bytes.len() < DATAGRAM_END, format!("sends a datagram of {} bytes", bytes.len()))?;
                if let Some(to) = self.known(to) {
                    self.net.send(now, host, to, &bytes);
                }
            }
            Transmit::Multicast { bytes } => {
                demand(bytes.len() < DATAGRAM_END, format!("sends a datagram of {} bytes", bytes.len()))?;
                if self.discovery != Discovery::Peers {
                    self.net.send_to_group(now, host, &bytes);
                }
            }
            Transmit::Open { stream, to } => {
                let to = self.known(to);
                demand(to.is_some_and(|to| to != host), format!("opens a stream to {to:?}"))?;
                let connection = to.map(|to| self.net.open(now, host, to));
                if let (Some(connection), Some(process)) = (connection, &mut self.hosts[host.index()].process) {
                    demand(!process.streams.contains_key(&stream), format!("names two streams {stream:?}"))?;
                    process.name(stream, connection);
                }
            }
            Transmit::Write { stream, bytes } => {
                demand(!bytes.is_empty(), format!("writes nothing to {stream:?}"))?;
                self.write(host, stream, bytes)?;
            }
            Transmit::Close { stream } => {
                let process = self.hosts[host.index()].process.as_mut();
                let connection = process.and_then(|process| process.forget_stream(stream));
                demand(connection.is_some(), format!("closes {stream:?}, which is not there"))?;
                if let Some(connection) = connection {
                    self.net.close(now, connection);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, host: HostId, stream: StreamId, bytes: Bytes) -> Result<(), Violation> {
        let wrong = |story| Err(Violation { promise: Promise::Turn, at: self.now, story: format!("{host} {story}") });
        let Some(&connection) = self.process(host).and_then(|process| process.streams.get(&stream)) else {
            return wrong(format!("writes to {stream:?}, which is closed"));
        };
        match self.net.write(self.now, connection, bytes) {
            Taken::All => Ok(()),
            Taken::Part => {
                self.input(host, |node, time| node.handle_blocked(time, stream));
                Ok(())
            }
            Taken::NotOpen => wrong(format!("writes to {stream:?} before it is open")),
            Taken::Blocked => wrong(format!("writes to {stream:?} while it is blocked")),
        }
    }

    fn known(&self, address: SocketAddr) -> Option<HostId> {
        HostId::at(address).filter(|host| host.index() < self.hosts.len())
    }

    /// Adds something sent to the digest.
    fn note(&mut self, host: HostId, transmit: &Transmit) {
        let address = |at: &SocketAddr| HostId::at(*at).map_or(u64::MAX, HostId::word);
        let (words, bytes) = match transmit {
            Transmit::Datagram { to, bytes } => ([1, address(to)], Some(bytes)),
            Transmit::Multicast { bytes } => ([2, 0], Some(bytes)),
            Transmit::Open { stream, to } => ([3 | stream.0 << 8, address(to)], None),
            Transmit::Write { stream, bytes } => ([4, stream.0], Some(bytes)),
            Transmit::Close { stream } => ([5, stream.0], None),
        };
        let mut digest = self.digest;
        let mut add = |word: u64| digest = mix(digest.rotate_left(5) ^ word);
        [self.now.as_nanos(), host.word(), words[0], words[1]].into_iter().for_each(&mut add);
        for chunk in bytes.map(|bytes| bytes.chunks(8)).into_iter().flatten() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            add(u64::from_le_bytes(word));
        }
        self.digest = digest;
    }
}
