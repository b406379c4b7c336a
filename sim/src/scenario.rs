//! Scripts: a named story of a cluster, step by step, readable as a test. The oracles watch as in any run; a broken promise
//! is a panic that names the story.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Config, Copies, Damage, Event, SessionKey};

use crate::{
    action::{Action, Setup},
    ask::{Ask, Serial},
    clients,
    clock::Moment,
    history::{Told, held},
    net::HostId,
    oracles::expected,
    places::{Discovery, Places},
    requests::{Answer, Question},
    run::wait_until_quiet,
    sim::Sim,
    violation::Violation,
    weather::Weather,
};

/// The ways in which sessions are copied that a script is told for.
pub const MODES: [Copies; 3] = [Copies::Everywhere, Copies::Backups(1), Copies::Backups(2)];

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
        let (discovery, places) = (Discovery::Both, Places::Alike);
        let own = BTreeMap::new();
        let mut setup = Setup { seed: 1, hosts, config, own, weather, discovery, places, is_plain: true };
        change(&mut setup);
        Self { name, sim: Sim::new(setup) }
    }

    /// Tells a story once for each way in which sessions are copied, with so many members that are ready.
    #[track_caller]
    pub fn in_each_mode(name: &'static str, hosts: u16, change: impl Fn(&mut Setup), tell: impl Fn(Self)) {
        Self::before_each_mode(name, hosts, change, |mut story| {
            story.start_all();
            tell(story);
        });
    }

    /// Tells a story once for each way in which sessions are copied, with so many hosts that nothing runs on yet.
    #[track_caller]
    pub fn before_each_mode(name: &'static str, hosts: u16, change: impl Fn(&mut Setup), tell: impl Fn(Self)) {
        for copies in MODES {
            tell(Self::with(name, hosts, |setup| {
                setup.config.copies = copies;
                change(setup);
            }));
        }
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

    /// Spoils what a host holds of a session: a planted fault.
    #[track_caller]
    pub fn damage(&mut self, host: u16, key: SessionKey, damage: Damage) {
        let result = self.sim.damage(HostId(host), key, damage);
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

    /// Commits on a host that must take it, at once or when it has fetched the session.
    #[track_caller]
    pub fn commit(&mut self, host: u16, ask: Ask) -> Serial {
        let result = self.sim.commit(HostId(host), ask);
        let taken = self.demand(result);
        taken.unwrap_or_else(|| panic!("{}: n{host} takes no commit", self.name))
    }

    /// Commits on a host that refuses it.
    #[track_caller]
    pub fn refused(&mut self, host: u16, ask: Ask) {
        let result = self.sim.commit(HostId(host), ask);
        if let Some(serial) = self.demand(result) {
            // It waits for the session to be fetched.
            self.run_for(Duration::from_secs(1));
            assert!(self.sim.told(serial).is_none(), "{}: n{host} takes a commit", self.name);
        }
    }

    /// Looks at a session on a host that serves, which is a use of it.
    #[track_caller]
    pub fn read(&mut self, host: u16, key: SessionKey) -> Question {
        let result = self.sim.read(HostId(host), key);
        let question = self.demand(result);
        question.unwrap_or_else(|| panic!("{}: n{host} does not serve", self.name))
    }

    /// What became of a look.
    pub fn answer(&self, question: Question) -> Option<&Answer> {
        self.sim.answer(question)
    }

    /// Whether a look showed what a commit wrote.
    pub fn saw(&self, question: Question, serial: Serial) -> bool {
        match self.sim.answer(question) {
            Some(Answer::Shown(shown)) => shown.values().any(|shown| *shown == serial),
            Some(Answer::Unknown | Answer::Late) | None => false,
        }
    }

    /// Uses a session, if anything serves there.
    #[track_caller]
    pub fn touch(&mut self, host: u16, key: SessionKey) {
        let result = self.sim.read(HostId(host), key);
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

    /// Whether a host holds what a commit wrote, under whatever key.
    pub fn holds(&self, host: u16, serial: Serial) -> bool {
        let Some(process) = self.sim.cluster().process(HostId(host)) else { return false };
        self.places(serial).iter().any(|key| held(&process.node, key).values().any(|held| *held == serial))
    }

    /// How sessions are copied.
    pub fn copies(&self) -> Copies {
        self.sim.cluster().config().copies
    }

    /// A session that must be on the first of these hosts: as many of them as must hold it.
    #[track_caller]
    pub fn key_on(&self, hosts: &[u16]) -> SessionKey {
        let found = self.keys_on(hosts).next();
        found.unwrap_or_else(|| panic!("{}: no session is on {hosts:?}", self.name))
    }

    /// The sessions that must be on the first of these hosts, as many of them as must hold each.
    pub fn keys_on(&self, hosts: &[u16]) -> impl Iterator<Item = SessionKey> {
        let (_, process) = self.sim.cluster().running().next().expect("somebody serves");
        let is_on_them = move |key: &SessionKey| {
            let holders = process.node.holders(key);
            let known = holders.iter().filter_map(|holder| self.sim.cluster().host_of(*holder));
            let known: BTreeSet<HostId> = known.collect();
            hosts.iter().take(holders.len()).all(|host| known.contains(&HostId(*host)))
        };
        // Scripts name other sessions by lesser numbers.
        (1_000_000..1_100_000).map(clients::key).filter(is_on_them)
    }

    /// The hosts that must hold a session, its owner included.
    pub fn holders(&self, key: SessionKey) -> BTreeSet<u16> {
        let shows = |host: &HostId| self.shows(host.0, key);
        let shown = self.sim.cluster().running().map(|(host, _)| host).find(shows);
        // Where it lives its domain is known.
        let view = shown.map_or(self.sim.view(), |host| self.sim.view().at(host));
        let holders = expected(view, &key);
        holders.into_iter().filter_map(|holder| Some(self.sim.cluster().host_of(holder)?.0)).collect()
    }

    /// A host where a member runs that need not hold a session, if there is one.
    pub fn bystander(&self, key: SessionKey) -> Option<u16> {
        let holders = self.holders(key);
        self.sim.cluster().running().map(|(host, _)| host.0).find(|host| !holders.contains(host))
    }

    /// Demands that all who must hold what a commit wrote do.
    #[track_caller]
    pub fn keeps(&self, serial: Serial) {
        let live = |key: &SessionKey| self.sim.cluster().running().any(|(host, _)| self.shows(host.0, *key));
        let key = self.places(serial).into_iter().find(live);
        let holders = key.map(|key| self.holders(key)).unwrap_or_default();
        assert!(!holders.is_empty(), "{} ({:?}): nobody must hold {serial:?}", self.name, self.copies());
        for host in holders {
            assert!(self.holds(host, serial), "{} ({:?}): n{host} does not hold {serial:?}", self.name, self.copies());
        }
    }

    /// The lengths of all that the node of a host keeps, written down: a measure of its memory.
    pub fn weight(&self, host: u16) -> usize {
        self.sim.cluster().process(HostId(host)).map_or(0, |process| format!("{:?}", process.node).len())
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

    fn places(&self, serial: Serial) -> BTreeSet<SessionKey> {
        let attempt = self.sim.history().attempt(serial);
        attempt.map(|attempt| self.sim.history().places(attempt.ask.key)).unwrap_or_default()
    }

    #[track_caller]
    fn demand<T>(&self, result: Result<T, Violation>) -> T {
        result.unwrap_or_else(|violation| panic!("{} ({:?}): {violation}", self.name, self.copies()))
    }
}
