//! The judges of a run, one file for each promise.
//!
//! An oracle knows what clients were told (`History`) and what the world did (`Ledger`). It looks at nodes to judge them,
//! and never takes one node's word against another's. Unknown is not failed, and absent is not lost: an oracle that can
//! not tell says nothing.

use core::time::Duration;

use heirloom_core::{Copies, MemberId, SessionKey};

use crate::{
    clock::Moment,
    cluster::{Cluster, Fact},
    history::{Attempt, History, Shown, lengthened},
    host::Process,
    ledger::Ledger,
    names::NameWrite,
    net::HostId,
    own::Own,
    violation::Violation,
};

mod agreement;
mod converge;
mod durable;
mod ended;
mod expiry;
mod fates;
mod join;
mod leaving;
pub(crate) mod limits;
mod names;
mod placed;

use agreement::Agreement;
use durable::Durable;
use ended::Ended;
use expiry::Expiry;
use fates::Fates;
use join::Join;
pub(crate) use placed::expected;

/// A client looked at a session.
#[derive(Clone, Debug)]
pub struct Read {
    /// Where it asked.
    pub host: HostId,
    /// For what.
    pub key: SessionKey,
    /// When.
    pub asked_at: Moment,
    /// What it was shown; `None` when its member gave up.
    pub shown: Option<Shown>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It left, and said that nothing was at risk.
    HandedOver,
    /// It left, and said that something was: what nobody else had is gone, and its application knows.
    AtRisk,
    /// It was gone with what it had.
    Crash,
}

/// What an oracle sees.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The hosts and their nodes.
    pub cluster: &'a Cluster,
    /// What clients did and were told.
    pub history: &'a History,
    /// What the world did.
    pub ledger: &'a Ledger,
    /// The domain that is looked at; all if none is named.
    domain: Option<usize>,
}

impl<'a> View<'a> {
    pub(crate) const fn new(cluster: &'a Cluster, history: &'a History, ledger: &'a Ledger) -> Self {
        Self { cluster, history, ledger, domain: None }
    }

    /// What is seen of each domain alone.
    pub fn domains(self) -> impl Iterator<Item = Self> {
        (0..self.cluster.places().domains()).map(move |domain| Self { domain: Some(domain), ..self })
    }

    /// What is seen of the domain of a host alone.
    pub fn at(self, host: HostId) -> Self {
        Self { domain: Some(self.cluster.places().domain(host)), ..self }
    }

    /// Whether a host is looked at.
    pub fn sees(&self, host: HostId) -> bool {
        self.domain.is_none_or(|domain| domain == self.cluster.places().domain(host))
    }

    /// The hosts that a process runs on.
    pub fn running(self) -> impl Iterator<Item = (HostId, &'a Process)> + use<'a> {
        self.cluster.running().filter(move |(host, _)| self.sees(*host))
    }

    /// True time.
    pub const fn now(&self) -> Moment {
        self.cluster.now()
    }

    /// Whether every member holds every session.
    pub fn is_everywhere(&self) -> bool {
        self.cluster.config().copies == Copies::Everywhere
    }

    /// How long a member needs to see that another is gone, at most.
    pub fn gone_after(&self) -> Duration {
        let config = self.cluster.config();
        let weather = self.cluster.net().weather();
        let ways = (weather.delay_tail.max(weather.delay_max) + weather.quantum) * 8;
        // A member of another domain is asked for longer.
        let asked = if self.cluster.places().domains() == 1 { config.probe_time } else { config.drop_time };
        lengthened(config.drop_time + asked + config.frequency * 3) + ways + SLACK
    }

    /// How long a member needs to see that another is gone, or there again, at most.
    pub fn stable_after(&self) -> Duration {
        self.gone_after() + lengthened(self.cluster.config().search_max)
    }

    /// How long copies need to be where they must be, and nowhere else, when views are stable, at most.
    pub fn placed_after(&self) -> Duration {
        if self.is_everywhere() { Duration::ZERO } else { RELEASE }
    }

    /// How long changes need to reach all members in calm, at most.
    pub fn spread_after(&self) -> Duration {
        let weather = self.cluster.net().weather();
        (weather.delay_tail.max(weather.delay_max) + weather.quantum) * 20 + SLACK
    }
}

/// How often a copy that is one too many is offered until it is released, and more than once.
const RELEASE: Duration = Duration::from_secs(10);

/// What a bound has beside its derivation: timers meet on their quantum, turns take their time.
const SLACK: Duration = Duration::from_millis(500);

/// All oracles of a run.
#[derive(Default)]
pub struct Oracles {
    agreement: Agreement,
    durable: Durable,
    ended: Ended,
    expiry: Expiry,
    fates: Fates,
    join: Join,
    /// Those of who runs it.
    pub(crate) own: Own,
}

impl Oracles {
    /// Judges something that a process has just told.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn handle_fact(&mut self, view: View<'_>, fact: &Fact) -> Result<(), Violation> {
        let view = view.at(fact.host);
        self.agreement.handle_fact(view, fact)?;
        self.durable.handle_fact(view, fact)?;
        self.ended.handle_fact(view, &self.fates, fact)?;
        self.expiry.handle_fact(view, fact)?;
        leaving::handle_fact(view, fact)?;
        names::handle_fact(view, fact)?;
        converge::handle_fact(view, fact)?;
        self.join.handle_fact(view, &self.fates, fact)?;
        self.own.handle_fact(view, fact)
    }

    /// Judges a commit that a member has just taken.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn handle_commit(&mut self, view: View<'_>, attempt: &Attempt) -> Result<(), Violation> {
        self.ended.handle_commit(view.at(attempt.host), attempt)
    }

    /// Judges what a client has just been shown.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn handle_answer(&mut self, view: View<'_>, read: &Read) -> Result<(), Violation> {
        self.durable.handle_answer(view.at(read.host), &self.fates, read)
    }

    /// Judges what a client has just been told.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn handle_outcome(&mut self, view: View<'_>, attempt: &Attempt) -> Result<(), Violation> {
        let view = view.at(attempt.host);
        self.durable.handle_outcome(view, attempt)?;
        self.ended.handle_outcome(view, attempt)
    }

    /// Judges what a client has just been told of a write to the shared map.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn handle_name_outcome(&self, view: View<'_>, write: &NameWrite) -> Result<(), Violation> {
        names::handle_outcome(view.at(write.host), write)
    }

    /// Notes that a process has ended.
    pub fn handle_end(&mut self, view: View<'_>, life: MemberId, end: End) {
        self.fates.handle_end(view, life, end);
    }

    /// Judges the state of the cluster; asked now and then.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub fn check(&mut self, view: View<'_>) -> Result<(), Violation> {
        for view in view.domains() {
            self.agreement.check(view)?;
            placed::check(view)?;
        }
        self.durable.check(view)?;
        self.expiry.outlives_its_age(view)?;
        self.join.check(view)?;
        self.own.check(view)
    }

    /// What has still to happen before the cluster is quiet: the first thing that is missing.
    pub fn unrest(&self, view: View<'_>) -> Option<Violation> {
        let unrest = |view| {
            converge::unrest(view)
                .or_else(|| self.agreement.unrest(view))
                .or_else(|| limits::unrest(view))
                .or_else(|| names::unrest(view))
        };
        view.domains().find_map(unrest)
    }

    /// Judges a quiet cluster.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub fn check_quiet(&self, view: View<'_>) -> Result<(), Violation> {
        for view in view.domains() {
            self.durable.check_quiet(view, &self.fates)?;
            if !self.durable.forgets {
                names::check_quiet(view)?;
            }
        }
        self.ended.check_quiet(view, &self.fates)?;
        converge::check_published(view)?;
        self.own.check_quiet(view)
    }

    /// Judges a run that is over.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub(crate) fn check_over(&mut self, view: View<'_>) -> Result<(), Violation> {
        self.own.check_over(view)
    }

    /// Judges what a client was shown in a quiet cluster.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub fn check_answer(&self, view: View<'_>, read: &Read) -> Result<(), Violation> {
        self.durable.check_answer(view.at(read.host), &self.fates, read)
    }

    /// When the last session is gone if nothing is used any more, and when the last end is forgotten.
    pub fn empty_at(&self, view: View<'_>) -> (Moment, Moment) {
        expiry::empty_at(view)
    }

    /// Lets members be away for longer than ends are remembered: what the others do not know may then be dead.
    pub fn allow_forgetting(&mut self) {
        self.durable.forgets = true;
    }

    /// The first session that still lives in a cluster that nobody uses.
    pub fn still_live(&self, view: View<'_>) -> Option<Violation> {
        self.expiry.still_live(view)
    }

    /// The first session that is still known in a cluster that nobody uses.
    pub fn remains(&self, view: View<'_>) -> Option<Violation> {
        self.expiry.remains(view)
    }
}
