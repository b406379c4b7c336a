//! Scripts: a named story of a cluster, step by step, readable as a test. The oracles watch as in any run; a broken promise
//! is a panic that names the story.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Config, Event, SessionKey};

use crate::{
    action::{Action, Setup},
    ask::{Ask, Serial},
    clock::Moment,
    cluster::Discovery,
    history::{Told, shown},
    net::HostId,
    run::wait_until_quiet,
    sim::Sim,
    violation::Violation,
    weather::Weather,
};

/// A script under way.
///
/// ```
/// use core::time::Duration;
/// use heirloom_core::Durability;
/// use heirloom_sim::{Action, Ask, LastBytes, Scenario, clients::key};
///
/// let mut story = Scenario::ready("a member dies and its write lives on", 3);
/// let write = story.commit(0, Ask::set(key(1), 0, Durability::All));
/// story.run_for(Duration::from_millis(10));
/// story.act(Action::Kill(Scenario::host(0), LastBytes::Lost));
/// story.quiet();
/// assert!(story.holds(1, write) && story.holds(2, write));
/// ```
pub struct Scenario {
    name: &'static str,
    sim: Sim,
}

impl Scenario {
    /// So many hosts that nothing runs on yet, with settings of one's own. Clocks are exact, and the lives of `n0` have
    /// lower ids than those of `n1`.
    pub fn with(name: &'static str, hosts: u16, change: impl FnOnce(&mut Setup)) -> Self {
        let (config, weather) = (Config::default(), Weather::calm());
        let mut setup = Setup { seed: 1, hosts, config, weather, discovery: Discovery::Both, is_plain: true };
        change(&mut setup);
        Self { name, sim: Sim::new(setup) }
    }

    /// So many hosts that nothing runs on yet.
    pub fn new(name: &'static str, hosts: u16) -> Self {
        Self::with(name, hosts, |_| ())
    }

    /// So many members that are ready and list each other.
    pub fn ready(name: &'static str, hosts: u16) -> Self {
        let mut story = Self::new(name, hosts);
        story.start_all();
        story
    }

    /// Starts a member on every host where none runs, and waits until all are ready.
    #[track_caller]
    pub fn start_all(&mut self) {
        for host in self.sim.cluster().all() {
            self.act(Action::Start(host));
        }
        self.quiet();
    }

    /// Lets members be away for longer than ends are remembered: what the others do not know may then be dead.
    pub fn allow_forgetting(&mut self) {
        self.sim.oracles_mut().allow_forgetting();
    }

    /// The host with this number.
    pub const fn host(number: u16) -> HostId {
        HostId(number)
    }

    /// Lets something happen.
    #[track_caller]
    pub fn act(&mut self, action: Action) {
        let result = self.sim.act(action);
        self.demand(result);
    }

    /// Lets things happen to both directions between two hosts.
    #[track_caller]
    pub fn act_both(&mut self, action: fn(HostId, HostId) -> Action, one: u16, other: u16) {
        self.act(action(HostId(one), HostId(other)));
        self.act(action(HostId(other), HostId(one)));
    }

    /// Lets time pass.
    #[track_caller]
    pub fn run_for(&mut self, length: Duration) {
        let result = self.sim.run_until(self.sim.now() + length);
        self.demand(result);
    }

    /// Lets time pass until something is so; how long that took.
    #[track_caller]
    pub fn run_until(&mut self, what: &str, most: Duration, mut is_so: impl FnMut(&Sim) -> bool) -> Duration {
        let since = self.sim.now();
        while !is_so(&self.sim) {
            assert!(self.sim.now() < since + most, "{}: not within {most:?}: {what}", self.name);
            self.run_for(Duration::from_millis(1));
        }
        self.sim.now().since(since)
    }

    /// Commits on a host that must take it.
    #[track_caller]
    pub fn commit(&mut self, host: u16, ask: Ask) -> Serial {
        let result = self.sim.commit(HostId(host), ask);
        let taken = self.demand(result);
        taken.unwrap_or_else(|| panic!("{}: n{host} takes no commit", self.name))
    }

    /// Uses a session.
    #[track_caller]
    pub fn touch(&mut self, host: u16, key: SessionKey) {
        let result = self.sim.touch(HostId(host), key);
        self.demand(result);
    }

    /// Waits, without healing anything, until all members that run are ready, listed and equal; then judges them.
    #[track_caller]
    pub fn quiet(&mut self) {
        let result = wait_until_quiet(&mut self.sim);
        self.demand(result);
    }

    /// Ends all faults, then `quiet`.
    #[track_caller]
    pub fn heal(&mut self) {
        self.act(Action::Heal(Weather::calm()));
        self.quiet();
    }

    /// Whether the client of a commit was told that it is done.
    pub fn is_durable(&self, serial: Serial) -> bool {
        matches!(self.sim.told(serial), Some(Told::Durable(..)))
    }

    /// Whether a host shows what a commit wrote.
    pub fn holds(&self, host: u16, serial: Serial) -> bool {
        let key = self.sim.history().attempt(serial).map(|attempt| attempt.ask.key);
        let process = self.sim.cluster().process(HostId(host));
        key.zip(process).is_some_and(|(key, process)| shown(&process.node, &key).values().any(|shown| *shown == serial))
    }

    /// Whether a host shows a session.
    pub fn shows(&self, host: u16, key: SessionKey) -> bool {
        self.sim.cluster().process(HostId(host)).is_some_and(|process| process.node.session(&key).is_some())
    }

    /// Whether a host serves.
    pub fn is_ready(&self, host: u16) -> bool {
        self.sim.cluster().is_ready(HostId(host))
    }

    /// Whom a host lists.
    pub fn lists(&self, host: u16) -> BTreeSet<HostId> {
        let process = self.sim.cluster().process(HostId(host));
        let members = process.into_iter().flat_map(|process| process.node.members());
        members.filter_map(|member| HostId::at(member.address)).collect()
    }

    /// What a host told since the beginning, and when.
    pub fn events(&self, host: u16) -> impl Iterator<Item = (Moment, &Event)> {
        self.sim.events().iter().filter(move |(_, at, _)| *at == HostId(host)).map(|(at, _, event)| (*at, event))
    }

    /// The run itself.
    pub const fn sim(&self) -> &Sim {
        &self.sim
    }

    #[track_caller]
    fn demand<T>(&self, result: Result<T, Violation>) -> T {
        result.unwrap_or_else(|violation| panic!("{}: {violation}", self.name))
    }
}
