//! Hosts in virtual time: each process takes the turn of a driver, exactly as a real one does.
//!
//! A cluster does what it is told and pulls out facts; it judges only the turn itself: that a node asks for nothing that
//! makes no sense, and that no node spins at one moment.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use heirloom_core::{
    CommitError, CommitId, Config, Damage, Delta, Demand, Event, Fetch, FetchId, Fetched, MemberId, MemberState,
    Message, Node, Outcome, Purpose, SessionKey,
};

use crate::{
    action::Setup,
    chance::Chance,
    clock::{Clock, Moment},
    host::{Host, Process},
    marks::Marks,
    net::{HostId, LastBytes, Net, Presence},
    places::{Discovery, Places},
    record::Recorder,
    sent::Sent,
    trail::Trail,
    trigger::Lookout,
    violation::Violation,
};

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
    /// A fetch has been answered.
    Fetched(FetchId, Fetched),
    /// The state that readers see of a session may be another.
    Changed(SessionKey),
    /// A message of the application has come.
    Message(Message),
}

/// What a cluster has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inputs of all nodes.
    pub inputs: u64,
    /// What was sent.
    pub transmits: u64,
    /// What of it was written to streams.
    pub writes: u64,
    /// Frames that a node refused. Hosts carry only what nodes wrote, so these are rare: a frame after its stream.
    pub refused: u64,
}

/// Hosts, their processes and the network between them.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) now: Moment,
    pub(crate) config: Config,
    own: BTreeMap<HostId, Config>,
    pub(crate) discovery: Discovery,
    places: Places,
    pub(crate) hosts: Vec<Host>,
    pub(crate) net: Net,
    pub(crate) wakes: BTreeSet<(Moment, HostId)>,
    pub(crate) facts: VecDeque<Fact>,
    pub(crate) sent: Sent,
    pub(crate) marks: Marks,
    pub(crate) counts: Counts,
    /// What happens, if somebody wants to know.
    pub(crate) recorder: Option<Box<Recorder>>,
    pub(crate) trail: Trail,
    pub(crate) lookout: Lookout,
    /// Between whom datagrams found no room, until somebody asks.
    pub(crate) crowded_out: Vec<(HostId, HostId)>,
    /// What a node held was spoiled.
    is_damaged: bool,
    /// Which host a life ran on, for every life there ever was.
    pub(crate) lives: BTreeMap<MemberId, HostId>,
}

impl Cluster {
    /// So many hosts that nothing runs on yet.
    pub fn new(chance: Chance, setup: Setup, clocks: Vec<Clock>) -> Self {
        let Setup { config, own, weather, discovery, places, .. } = setup;
        let host = |clock| Host { clock, version_max: None, process: None, former: None, lives: Vec::new() };
        let mut net = Net::new(chance, weather);
        for index in 0..clocks.len() {
            let host = HostId(u16::try_from(index).expect("a cluster is small"));
            net.handle_presence(Moment::ZERO, host, Presence::Down);
        }
        Self {
            now: Moment::ZERO,
            config,
            own,
            discovery,
            places,
            hosts: clocks.into_iter().map(host).collect(),
            net,
            wakes: BTreeSet::new(),
            facts: VecDeque::new(),
            sent: Sent::default(),
            marks: Marks::default(),
            counts: Counts::default(),
            recorder: None,
            trail: Trail::default(),
            lookout: Lookout::default(),
            crowded_out: Vec::new(),
            is_damaged: false,
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
        let mut config = self.places.settle(self.config_of(host).clone(), host);
        config.version_max = self.hosts[host.index()].version_max.unwrap_or(config.version_max);
        let mut node = Node::new(life, host.address(), config, seed, time).expect("the settings are checked");
        node.set_group(self.discovery.has_group());
        let others = self.all().filter(|other| *other != host && self.discovery.is_told_of(*other));
        let others: Vec<_> = others.map(HostId::address).collect();
        if !others.is_empty() {
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

    /// Lets the lives that start on a host from now on speak versions of the protocol up to this one.
    pub fn install(&mut self, host: HostId, version_max: u8) {
        self.hosts[host.index()].version_max = Some(version_max);
    }

    /// Ends a process without a word of it; with `Off` its host is silent from now on.
    pub fn stop(&mut self, host: HostId, presence: Presence, last: LastBytes) {
        let process = self.hosts[host.index()].process.take();
        if let Some(wake) = process.as_ref().and_then(|process| process.wake) {
            self.wakes.remove(&(wake, host));
        }
        self.hosts[host.index()].former = process;
        self.net.handle_exit(self.now, host, presence, last);
    }

    /// Stops the clock's hand for a process, not for its host.
    pub fn pause(&mut self, host: HostId) {
        if let Some(process) = &mut self.hosts[host.index()].process {
            process.is_asleep = true;
            process.slept = Some((self.now, None));
            if let Some(wake) = process.wake.take() {
                self.wakes.remove(&(wake, host));
            }
            self.net.handle_presence(self.now, host, Presence::Asleep);
        }
    }

    /// Lets a process run again.
    pub fn resume(&mut self, host: HostId) -> Result<(), Violation> {
        let Some(process) = &mut self.hosts[host.index()].process else { return Ok(()) };
        process.is_asleep = false;
        process.slept = process.slept.map(|(since, _)| (since, Some(self.now)));
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

    /// Lets the wall clock of a host be another from the beginning.
    pub(crate) fn set_wall(&mut self, host: HostId, millis: i64) {
        self.hosts[host.index()].clock.step_wall(millis);
    }

    /// Changes the rate of the monotonic clock of a host, by parts of a million from what is right.
    pub fn drift(&mut self, host: HostId, parts: i64) -> Result<(), Violation> {
        let now = self.now;
        self.hosts[host.index()].clock.drift(now, parts);
        self.turn(host)
    }

    /// Spoils what a node holds of a session, without a word to anybody.
    pub(crate) fn damage(&mut self, host: HostId, key: SessionKey, damage: Damage) -> Result<(), Violation> {
        self.is_damaged = true;
        self.input(host, |node, _| node.damage(&key, damage));
        self.turn(host)
    }

    /// Asks a process to leave.
    pub fn leave(&mut self, host: HostId) -> Result<(), Violation> {
        let now = self.now;
        let within = self.config_of(host).leave_for;
        if let Some(process) = &mut self.hosts[host.index()].process {
            process.note_leaving(now, within);
        }
        self.input(host, |node, time| node.leave(time));
        self.turn(host)
    }

    /// Asks a process to leave within a time, and to serve while it hands over.
    pub fn drain(&mut self, host: HostId, within: Duration) -> Result<(), Violation> {
        let now = self.now;
        if let Some(process) = &mut self.hosts[host.index()].process {
            process.note_leaving(now, within);
        }
        self.input(host, |node, time| node.drain(time, within));
        self.turn(host)
    }

    /// Tells a process that who is missing is gone for good.
    pub fn count_out(&mut self, host: HostId) -> Result<(), Violation> {
        self.input(host, |node, time| node.resume(time));
        self.turn(host)
    }

    /// Commits on a host where a process runs. The turn comes with `settle`, so that the caller can note the commit
    /// before its outcome.
    pub fn commit(
        &mut self,
        host: HostId,
        key: SessionKey,
        delta: Delta,
        demand: Demand,
    ) -> Option<Result<CommitId, CommitError>> {
        self.input(host, |node, time| node.commit(time, key, delta, demand))
    }

    /// Changes the id of a session. The turn comes with `settle`.
    pub fn change_id(
        &mut self,
        host: HostId,
        old: SessionKey,
        new: SessionKey,
        demand: Demand,
    ) -> Option<Result<CommitId, CommitError>> {
        self.input(host, |node, time| node.change_id(time, old, new, demand))
    }

    /// Asks a host where a process runs for a session. The turn comes with `settle`.
    pub fn fetch(&mut self, host: HostId, key: SessionKey, purpose: Purpose) -> Option<Result<Fetch, CommitError>> {
        self.input(host, |node, time| node.fetch(time, key, purpose))
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
        let Some(next) = self.next_at().filter(|at| *at <= until) else {
            self.now = self.now.max(until);
            return Ok(false);
        };
        self.now = self.now.max(next);
        if let Some((host, arrival)) = self.net.poll_arrival(self.now) {
            self.deliver(host, arrival);
            self.turn(host)?;
        } else if let Some(&(_, host)) = self.wakes.first().filter(|(at, _)| *at <= self.now) {
            self.wake(host)?;
        }
        Ok(true)
    }

    /// When something may happen.
    pub(crate) fn next_at(&self) -> Option<Moment> {
        [self.net.poll_timeout(), self.wakes.first().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    /// Whether what a node held was ever spoiled.
    pub(crate) const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// The next thing that a process told.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// True time.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// Where hosts stand.
    pub const fn places(&self) -> Places {
        self.places
    }

    /// The settings of a node.
    pub fn config_of(&self, host: HostId) -> &Config {
        self.own.get(&host).unwrap_or(&self.config)
    }

    /// The settings of every node that has none of its own.
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

    /// The process with this life as it was when it ended, if it was the last on its host.
    pub fn former(&self, life: MemberId) -> Option<&Process> {
        let host = self.host(self.host_of(life)?);
        host.former.as_ref().filter(|process| process.life == life)
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
        self.sent.digest()
    }

    /// What was sent.
    pub(crate) const fn sent(&self) -> &Sent {
        &self.sent
    }

    /// The counters.
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}
