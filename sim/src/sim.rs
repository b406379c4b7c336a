//! One run: a cluster, its clients, what the world does to it, and the oracles that watch.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::Event;

use crate::{
    action::{Action, Setup},
    ask::Serial,
    chance::{Chance, Purpose},
    clock::{Clock, Moment},
    cluster::Cluster,
    faults::Fault,
    history::{History, Told},
    ledger::{Ledger, Scope, Trouble},
    net::{HostId, LastBytes, Presence},
    oracles::{Oracles, View},
    plan::Plan,
    record::{Copy, Happened, Holding, Record, Step, Subject},
    requests::Requests,
    trigger::{Trigger, Triggers},
    violation::{Promise, Violation},
    weather::Weather,
};

/// How often the state of the cluster is judged.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A run of more inputs than this does not end by itself.
const INPUTS_MAX: u64 = 20_000_000;
/// More inputs than this in one second mean that members answer each other's answers.
const STORM: u64 = 500_000;

/// One run.
pub struct Sim {
    pub(crate) cluster: Cluster,
    pub(crate) history: History,
    pub(crate) ledger: Ledger,
    pub(crate) oracles: Oracles,
    pub(crate) requests: Requests,
    pub(crate) chance: Chance,
    /// The weather of the place.
    pub(crate) usual: Weather,
    pub(crate) is_plain: bool,
    pub(crate) faults: BTreeSet<Fault>,
    checked_at: Moment,
    /// How many inputs there had been then.
    checked_inputs: u64,
    /// Something that was waited for did not happen in time.
    is_late: bool,
    pub(crate) events: Vec<(Moment, HostId, Event)>,
    pub(crate) triggers: Triggers,
    /// Those that were over before anything came of them.
    pub(crate) unfired: Vec<Trigger>,
}

impl Sim {
    /// Hosts that nothing runs on yet.
    pub fn new(setup: Setup) -> Self {
        let chance = Chance::new(setup.seed);
        let clock = |host| match setup.is_plain {
            true => Clock::exact(),
            false => Clock::draw(&mut chance.draws(Purpose::Clock, u64::from(host), 0, 0)),
        };
        let (usual, is_plain) = (setup.weather.clone(), setup.is_plain);
        let clocks = (0..setup.hosts).map(clock).collect();
        Self {
            cluster: Cluster::new(chance, setup, clocks),
            history: History::default(),
            ledger: Ledger::default(),
            oracles: Oracles::default(),
            requests: Requests::default(),
            chance,
            usual,
            is_plain,
            faults: BTreeSet::new(),
            checked_at: Moment::ZERO,
            checked_inputs: 0,
            is_late: false,
            events: Vec::new(),
            triggers: Triggers::default(),
            unfired: Vec::new(),
        }
    }

    /// Keeps a record from now on.
    pub(crate) fn record(&mut self) {
        self.cluster.record();
    }

    /// Looks at these things when they are sent.
    pub(crate) fn watch_sent(&mut self, watched: core::ops::Range<u64>) {
        self.cluster.sent.watch(watched);
    }

    /// Whether something that was waited for did not happen in time.
    pub(crate) const fn is_late(&self) -> bool {
        self.is_late
    }

    /// Does something now.
    ///
    /// # Errors
    ///
    /// The promise that was broken.
    pub fn act(&mut self, action: Action) -> Result<(), Violation> {
        self.cluster.note(|_| Happened::Done(action.clone()));
        self.cluster.marks.done(&action);
        match action {
            Action::Start(host) => self.start(host)?,
            Action::Install(host, version_max) => self.cluster.install(host, version_max),
            Action::Kill(host, last) => self.end(host, Presence::Down, last),
            Action::PowerOff(host) => self.end(host, Presence::Off, LastBytes::Lost),
            Action::Pause(host) => self.pause(host),
            Action::Resume(host) => self.lift(Fault::Pause(host))?,
            Action::Leave(host) => self.leave(host)?,
            Action::Drain(host, within) => self.drain(host, within)?,
            Action::CountOut(host) => self.cluster.count_out(host)?,
            Action::Cut(from, to) => self.impose(Fault::Cut(from, to)),
            Action::Mend(from, to) => self.lift(Fault::Cut(from, to))?,
            Action::Mute(from, to) => self.impose(Fault::Thin(from, to, 1000)),
            Action::Thin(from, to, loss) => self.thin(from, to, loss)?,
            Action::ThinGroup(from, to, loss) => self.thin_group(from, to, loss)?,
            Action::Unmute(from, to) => self.lift(Fault::Thin(from, to, 1000))?,
            Action::Hold(from, to) => self.impose(Fault::Hold(from, to)),
            Action::Release(from, to) => self.lift(Fault::Hold(from, to))?,
            Action::Break(one, other) => {
                self.ledger.strike(self.now(), Trouble::Break, Scope::pair(one, other));
                let now = self.now();
                self.cluster.net_mut().break_streams(now, one, other);
            }
            Action::Lag(from, to, length) => self.lag(from, to, length)?,
            Action::Narrow(wire, rate) => self.narrow(wire, rate)?,
            Action::Room(wire, room) => self.room(wire, room)?,
            Action::Swallow(one, other) => self.impose(Fault::Swallow(one.min(other), one.max(other))),
            Action::Spare(one, other) => self.lift(Fault::Swallow(one.min(other), one.max(other)))?,
            Action::Drift(host, parts) => self.cluster.drift(host, parts)?,
            Action::StepWall(host, millis) => self.cluster.step_wall(host, millis)?,
            Action::Weather(weather) => self.set_weather(weather)?,
            Action::Heal(weather) => {
                for fault in core::mem::take(&mut self.faults) {
                    self.faults.insert(fault);
                    self.lift(fault)?;
                }
                self.set_weather(weather)?;
            }
            Action::Commit(prefer, ask) => {
                let serial = match self.serving(prefer) {
                    Some(host) => self.commit(host, ask)?,
                    None => None,
                };
                self.history.handle_asked(serial);
            }
            Action::SetName(prefer, name, durability) => self.write_name(prefer, name, true, durability)?,
            Action::RemoveName(prefer, name, durability) => self.write_name(prefer, name, false, durability)?,
            Action::Send(prefer, to) => self.send(prefer, Some(to))?,
            Action::SendToAll(prefer) => self.send(prefer, None)?,
            Action::Touch(prefer, key) => {
                if let Some(host) = self.serving(prefer) {
                    self.read(host, key)?;
                }
            }
        }
        self.look();
        self.attend()
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// The promise that was broken.
    pub fn run_until(&mut self, until: Moment) -> Result<(), Violation> {
        while self.now() < until {
            let due = self.oracles.own.looks_at().unwrap_or(Moment::NEVER).max(self.now());
            let target = until.min(self.checked_at + CHECK_EVERY).min(due);
            while self.cluster.step(target)? {
                self.attend()?;
                self.fire()?;
                let inputs = self.cluster.counts().inputs - self.checked_inputs;
                let story = || format!("{inputs} inputs within a second");
                Violation::unless(inputs < STORM, Promise::Calm, self.now(), story)?;
            }
            if due <= self.now() {
                let view = View::new(&self.cluster, &self.history, &self.ledger);
                self.oracles.own.look(view)?;
            }
            if self.checked_at + CHECK_EVERY <= self.now() {
                self.checked_at = self.now();
                self.cluster.weigh();
                self.checked_inputs = self.cluster.counts().inputs;
                let view = View::new(&self.cluster, &self.history, &self.ledger);
                self.oracles.check(view)?;
                self.cluster.running().for_each(|(_, process)| process.node.check());
                let inputs = self.cluster.counts().inputs;
                let story = || format!("{inputs} inputs, and no end of it");
                Violation::unless(inputs < INPUTS_MAX, Promise::Calm, self.now(), story)?;
            }
        }
        Ok(())
    }

    /// Waits until nothing is missing any more; the first thing that is missing is the violation.
    ///
    /// # Errors
    ///
    /// What is missing when the time is over, or a promise that was broken on the way.
    pub fn wait_for(
        &mut self,
        until: Moment,
        missing: impl Fn(&Oracles, View<'_>) -> Option<Violation>,
    ) -> Result<(), Violation> {
        loop {
            let missing = missing(&self.oracles, self.view()).or_else(|| self.waiting());
            match missing {
                None => return Ok(()),
                Some(violation) if until <= self.now() => {
                    self.is_late = true;
                    return Err(violation);
                }
                Some(_) => self.run_until(until.min(self.now() + Duration::from_millis(100)))?,
            }
        }
    }

    fn waiting(&self) -> Option<Violation> {
        let story = self.requests.waiting()?;
        Some(Violation { promise: Promise::Turn, at: self.now(), story })
    }

    /// Judges a quiet cluster.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub fn check_quiet(&self) -> Result<(), Violation> {
        self.oracles.check_quiet(self.view())
    }

    /// Judges a run that is over.
    pub(crate) fn check_over(&mut self) -> Result<(), Violation> {
        let view = View::new(&self.cluster, &self.history, &self.ledger);
        self.oracles.check_over(view)
    }

    /// What is not yet as it must be in a quiet cluster.
    pub fn unrest(&self) -> Option<Violation> {
        self.oracles.unrest(self.view()).or_else(|| self.waiting())
    }

    pub(crate) const fn oracles(&self) -> &Oracles {
        &self.oracles
    }

    /// The oracles.
    pub const fn oracles_mut(&mut self) -> &mut Oracles {
        &mut self.oracles
    }

    /// What an oracle sees.
    pub const fn view(&self) -> View<'_> {
        View::new(&self.cluster, &self.history, &self.ledger)
    }

    /// The hosts.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) const fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// What clients did and were told.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// What all members told since the beginning.
    pub fn events(&self) -> &[(Moment, HostId, Event)] {
        &self.events
    }

    /// True time.
    pub const fn now(&self) -> Moment {
        self.cluster.now()
    }

    /// What the client of a commit was told.
    pub fn told(&self, serial: Serial) -> Option<&Told> {
        self.history.attempt(serial).map(|attempt| &attempt.told)
    }

    /// The first ready host from `prefer` on.
    pub fn serving(&self, prefer: HostId) -> Option<HostId> {
        let (later, earlier): (Vec<_>, Vec<_>) = self.cluster.all().partition(|host| prefer <= *host);
        let awake = |host: &HostId| self.cluster.process(*host).is_some_and(|process| !process.is_asleep);
        later.into_iter().chain(earlier).find(|host| self.cluster.is_ready(*host) && awake(host))
    }

    /// Adds to the record, if one is kept, how far a write has come.
    pub(crate) fn note_step(&mut self, host: HostId, subject: Subject, serial: Serial, step: Step) {
        self.cluster.note(|_| Happened::Commit(host, subject, serial, step));
    }

    /// The record of what happened, if one was kept.
    pub(crate) fn into_record(mut self, plan: &Plan, violation: Option<&Violation>) -> Record {
        if let Some(violation) = violation {
            self.note_left(violation);
            self.cluster.note(|_| Happened::Broken(violation.clone()));
        }
        let recorder = self.cluster.recorder.take().unwrap_or_default();
        Record { healed_at: plan.healed_at, ..recorder.finish(&self.cluster) }
    }

    /// Adds to the record what each host has of the sessions that a violation tells of.
    fn note_left(&mut self, violation: &Violation) {
        let told = self.history.stories().map(|(key, _)| *key).filter(|key| violation.story.contains(&key.to_string()));
        let mut left = Vec::new();
        for key in told {
            for (host, process) in self.cluster.running() {
                let node = &process.node;
                let (is_shown, holders) = (node.session(&key).is_some(), node.holders(&key));
                let copy = node.record(&key).map(|session| Copy::of(session));
                left.push(Happened::Left(host, key, Holding { is_shown, copy, holders }));
            }
        }
        left.into_iter().for_each(|what| self.cluster.note(|_| what));
    }

    /// Adds to the record, if one is kept, in what state the world has left all hosts.
    fn look(&mut self) {
        if self.cluster.recorder.is_some() {
            self.cluster.all().for_each(|host| self.cluster.look(host));
        }
    }
}
