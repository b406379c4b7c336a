//! Judges a run by the expectations of its scenario.

use core::cell::{Cell, OnceCell, RefCell};
use std::{collections::BTreeSet, rc::Rc};

use heirloom_core::Event;

mod instead;

pub(super) use instead::{Instead, Verdict, Verdicts};

use super::{
    expect::{Expectation, Fate, Heard, State, Thing, What, When, Who},
    words::Names,
};
use crate::{
    clock::Moment,
    cluster::{Fact, What as Told},
    history::{Told as Outcome, held, shown},
    host::Process,
    net::HostId,
    oracles::View,
    own::Invariant,
    violation::Promise,
};

/// Judges each expectation when it is due, once.
#[derive(Debug)]
pub(super) struct Judge {
    file: String,
    names: Names,
    /// The order of each write that has a name among all commits of the plan.
    orders: Vec<usize>,
    open: Vec<(Expectation, Cell<bool>)>,
    heard: Vec<(Moment, HostId, Event)>,
    /// The file and the line of what was expected in vain.
    told: OnceCell<String>,
    /// Where each verdict is noted, for who wants to know them all; else the first one that is bad ends the run.
    noted: Option<Rc<RefCell<Verdicts>>>,
}

/// When an expectation is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    At(Moment),
    Quiet,
    Over,
}

impl Judge {
    pub(super) fn new(file: &str, names: &Names, orders: &[usize], expectations: &[Expectation]) -> Self {
        Self {
            file: file.into(),
            names: names.clone(),
            orders: orders.to_vec(),
            open: expectations.iter().map(|expectation| (expectation.clone(), Cell::new(true))).collect(),
            heard: Vec::new(),
            told: OnceCell::new(),
            noted: None,
        }
    }

    /// One that notes all verdicts there instead of ending the run with the first one that is bad.
    pub(super) fn noting(self, noted: Rc<RefCell<Verdicts>>) -> Self {
        Self { noted: Some(noted), ..self }
    }

    /// Judges what is due.
    fn judge(&self, view: View<'_>, is_due: impl Fn(Due) -> bool) -> Result<(), String> {
        for (place, (expectation, is_open)) in self.open.iter().enumerate() {
            if is_open.get() && is_due(due(expectation)) {
                is_open.set(false);
                let judged = self.holds(view, expectation);
                if let Some(noted) = &self.noted {
                    let verdict = match judged {
                        Ok(()) => Verdict::Met,
                        Err(instead) => Verdict::Unmet(self.instead(view, &expectation.what), view.now(), instead),
                    };
                    noted.borrow_mut().insert(place, verdict);
                } else if let Err(instead) = judged {
                    let _ = self.told.set(format!("{}:{}", self.file, expectation.line));
                    return Err(format!("expected `{}`, but {instead}", expectation.text));
                }
            }
        }
        Ok(())
    }

    fn holds(&self, view: View<'_>, expectation: &Expectation) -> Result<(), String> {
        match &expectation.what {
            What::Is { who, is_so, state } => self.states(view, who, *is_so, state),
            What::Copies(count, thing) => {
                let holders: Vec<&str> = view
                    .running()
                    .filter(|(_, process)| self.has(view, process, *thing))
                    .map(|(host, _)| self.names.of(host))
                    .collect();
                let told = if holders.is_empty() { "nobody does".into() } else { holders.join(", ") + " hold it" };
                if holders.len() == *count { Ok(()) } else { Err(told) }
            }
            What::Told(write, fate) => self.fates(view, *write, fate, expectation.when),
            What::Heard(who, heard) => self.hears(view, who, heard, expectation.when),
        }
    }

    /// Each member of whom it is expected, running or not.
    fn hosts(&self, view: View<'_>, who: &Who) -> Vec<HostId> {
        match who {
            Who::Every => view.running().map(|(host, _)| host).collect(),
            Who::Anybody => self.names.all().collect(),
            Who::Each(hosts) => hosts.clone(),
        }
    }

    fn states(&self, view: View<'_>, who: &Who, is_so: bool, state: &State) -> Result<(), String> {
        let hosts = self.hosts(view, who);
        let wrong: Vec<&HostId> = hosts.iter().filter(|host| self.is(view, **host, state) != is_so).collect();
        let is_kept = match who {
            Who::Anybody => wrong.len() < hosts.len(),
            Who::Every | Who::Each(_) => wrong.is_empty(),
        };
        match wrong.first() {
            Some(_) if !is_kept && *who == Who::Anybody => {
                let told = view.running().map(|(host, _)| self.tell_state(view, host));
                Err(told.collect::<Vec<String>>().join("; "))
            }
            Some(host) if !is_kept => Err(self.tell_state(view, **host)),
            Some(_) | None if hosts.is_empty() => Err("nobody runs".into()),
            Some(_) | None => Ok(()),
        }
    }

    fn is(&self, view: View<'_>, host: HostId, state: &State) -> bool {
        let Some(process) = view.cluster.process(host) else { return false };
        match state {
            State::Ready => view.cluster.is_ready(host),
            State::Lists(others) => {
                listed(process, host) == others.iter().copied().filter(|other| *other != host).collect()
            }
            State::Shows(Thing::Session(key)) => process.node.session(key).is_some(),
            State::Shows(Thing::Write(write)) => {
                let (serial, places) = (self.serial(view, *write), view.history.places(self.key_of(*write)));
                serial.is_some_and(|serial| {
                    places.iter().any(|key| shown(&process.node, key).values().any(|shown| *shown == serial))
                })
            }
            State::Holds(thing) => self.has(view, process, *thing),
            State::Owns(key) => process
                .node
                .record(key)
                .is_some_and(|session| session.is_live() && session.owner() == Some(process.life)),
        }
    }

    fn has(&self, view: View<'_>, process: &Process, thing: Thing) -> bool {
        match thing {
            Thing::Session(key) => process.node.record(&key).is_some_and(|session| session.is_live()),
            Thing::Write(write) => {
                let (serial, places) = (self.serial(view, write), view.history.places(self.key_of(write)));
                serial.is_some_and(|serial| {
                    places.iter().any(|key| held(&process.node, key).values().any(|held| *held == serial))
                })
            }
        }
    }

    fn fates(&self, view: View<'_>, write: usize, fate: &Fate, when: When) -> Result<(), String> {
        let told =
            self.serial(view, write).and_then(|serial| view.history.attempt(serial)).map(|attempt| &attempt.told);
        let (from, until) = match when {
            When::Between(from, until) => (from, until),
            When::At(_) | When::Never | When::InTheEnd => (Moment::ZERO, Moment::NEVER),
        };
        let is_so = match (fate, told) {
            (Fate::Durable(on), Some(Outcome::Durable(at, members))) => {
                let named = |host: &HostId| members.iter().any(|member| view.cluster.host_of(*member) == Some(*host));
                from <= *at && *at <= until && on.iter().all(named)
            }
            (Fate::NotDurable, Some(Outcome::NotDurable))
            | (Fate::Unknown, Some(Outcome::Unknown))
            | (Fate::Refused, None) => true,
            (Fate::Durable(_) | Fate::NotDurable | Fate::Unknown | Fate::Refused, _) => false,
        };
        if is_so == (when == When::Never) {
            return Err(match told {
                None => "no member took it".into(),
                Some(Outcome::Pending) => "its client has not been told anything".into(),
                Some(Outcome::Durable(at, members)) => {
                    let hosts = members.iter().filter_map(|member| view.cluster.host_of(*member));
                    let names: Vec<&str> = hosts.map(|host| self.names.of(host)).collect();
                    format!("it was durable at {at}, on {}", names.join(", "))
                }
                Some(Outcome::NotDurable) => "its client was told that it is not durable".into(),
                Some(Outcome::Unknown) => "its member died before its client was told".into(),
            });
        }
        Ok(())
    }

    fn hears(&self, view: View<'_>, who: &Who, heard: &Heard, when: When) -> Result<(), String> {
        let (from, until) = match when {
            When::Between(from, until) => (from, until),
            When::At(_) | When::Never | When::InTheEnd => (Moment::ZERO, Moment::NEVER),
        };
        // Of several that must be removed each is a thing to hear.
        let parts = heard.parts();
        let has_heard = |host: HostId, part: &Heard| {
            let mut events = self.heard.iter().filter(|(at, by, _)| *by == host && from <= *at && *at <= until);
            events.any(|(_, _, event)| part.is_told_by(event, view))
        };
        let hosts = self.hosts(view, who);
        let is_never = when == When::Never;
        for part in &parts {
            let mut hearers = hosts.iter().filter(|host| has_heard(**host, part) != is_never);
            let is_kept = match who {
                Who::Anybody if !is_never => hearers.next().is_some(),
                Who::Every | Who::Anybody | Who::Each(_) => hearers.count() == hosts.len(),
            };
            if !is_kept {
                return Err(self.tell_heard(view, &hosts, part));
            }
        }
        if hosts.is_empty() { Err("nobody runs".into()) } else { Ok(()) }
    }

    fn tell_heard(&self, view: View<'_>, hosts: &[HostId], part: &Heard) -> String {
        let alike = self.heard.iter().filter(|(_, host, event)| hosts.contains(host) && part.is_like(event, view));
        let told = alike.map(|(at, host, event)| format!("{} at {at}: {}", self.names.of(*host), tell(event)));
        let told: Vec<String> = told.take(6).collect();
        if told.is_empty() { "nothing of the kind was heard".into() } else { format!("heard was {}", told.join("; ")) }
    }

    fn tell_state(&self, view: View<'_>, host: HostId) -> String {
        let name = self.names.of(host);
        let Some(process) = view.cluster.process(host) else { return format!("{name} does not run") };
        let listed: Vec<&str> = listed(process, host).into_iter().map(|other| self.names.of(other)).collect();
        let sessions = self.names.sessions.iter().filter_map(|(session, key)| {
            let writes = self.names.writes.iter().enumerate().filter(|(write, _)| {
                let serial = self.serial(view, *write);
                serial.is_some_and(|serial| shown(&process.node, key).values().any(|shown| *shown == serial))
            });
            let writes: Vec<&str> = writes.map(|(_, (name, _))| name.as_str()).collect();
            let with = if writes.is_empty() { String::new() } else { format!(" with {}", writes.join(", ")) };
            process.node.session(key).map(|_| format!("{session}{with}"))
        });
        let sessions: Vec<String> = sessions.collect();
        let ready = if view.cluster.is_ready(host) { "is ready" } else { "is not ready" };
        let list = |names: &[&str]| if names.is_empty() { "nobody".into() } else { names.join(", ") };
        let shows = if sessions.is_empty() { "nothing".into() } else { sessions.join(", ") };
        format!("{name} {ready}, lists {}, and shows {shows}", list(&listed))
    }

    fn serial(&self, view: View<'_>, write: usize) -> Option<crate::ask::Serial> {
        self.orders.get(write).and_then(|order| view.history.asked(*order))
    }

    fn key_of(&self, write: usize) -> heirloom_core::SessionKey {
        self.names.writes[write].1
    }
}

impl Invariant for Judge {
    fn name(&self) -> &str {
        self.told.get().unwrap_or(&self.file)
    }

    fn promise(&self) -> Promise {
        Promise::Script
    }

    fn handle_fact(&mut self, view: View<'_>, fact: &Fact) -> Result<(), String> {
        if let Told::Event(event) = &fact.what {
            self.heard.push((view.now(), fact.host, event.clone()));
        }
        Ok(())
    }

    fn check(&mut self, view: View<'_>) -> Result<(), String> {
        let now = view.now();
        self.judge(view, |due| matches!(due, Due::At(at) if at <= now))
    }

    fn looks_at(&self) -> Option<Moment> {
        let open = self.open.iter().filter(|(_, is_open)| is_open.get());
        let moments = open.filter_map(|(expectation, _)| match due(expectation) {
            Due::At(at) => Some(at),
            Due::Quiet | Due::Over => None,
        });
        moments.min()
    }

    fn check_quiet(&self, view: View<'_>) -> Result<(), String> {
        self.judge(view, |due| due == Due::Quiet)
    }

    fn check_over(&mut self, view: View<'_>) -> Result<(), String> {
        self.judge(view, |_| true)
    }
}

/// The other members that a process lists.
fn listed(process: &Process, host: HostId) -> BTreeSet<HostId> {
    let members = process.node.members().filter_map(|member| HostId::at(member.address));
    members.filter(|member| *member != host).collect()
}

fn due(expectation: &Expectation) -> Due {
    let is_heard = matches!(expectation.what, What::Heard(..));
    match (expectation.due(), expectation.when) {
        (Some(at), _) => Due::At(at),
        (None, When::Between(..)) => Due::Over,
        (None, When::InTheEnd) if is_heard => Due::Over,
        (None, When::At(_) | When::Never | When::InTheEnd) => Due::Quiet,
    }
}

impl Heard {
    /// One for each member that it tells of.
    fn parts(&self) -> Vec<Self> {
        match self {
            Self::Removes(hosts, cause) => hosts.iter().map(|host| Self::Removes(vec![*host], *cause)).collect(),
            Self::Suspects(hosts) => hosts.iter().map(|host| Self::Suspects(vec![*host])).collect(),
            Self::Ready(_) | Self::Ends(..) | Self::Pauses | Self::Resumes | Self::LosesMajority | Self::Leaves(_) => {
                vec![self.clone()]
            }
        }
    }

    fn is_told_by(&self, event: &Event, view: View<'_>) -> bool {
        let is_of = |hosts: &[HostId], member| view.cluster.host_of(member).is_some_and(|host| hosts.contains(&host));
        match (self, event) {
            (Self::Ready(wanted), Event::Ready(cause)) => wanted.is_none_or(|wanted| wanted == *cause),
            (Self::Removes(hosts, wanted), Event::MemberRemoved(member, cause)) => {
                is_of(hosts, *member) && wanted.is_none_or(|wanted| wanted == *cause)
            }
            (Self::Suspects(hosts), Event::MemberSuspect(member, _)) => is_of(hosts, *member),
            (Self::Ends(session, wanted), Event::SessionEnded(key, cause)) => {
                session == key && wanted.is_none_or(|wanted| wanted == *cause)
            }
            (Self::Pauses, Event::Paused(_))
            | (Self::Resumes, Event::Resumed)
            | (Self::LosesMajority, Event::MajorityLost(_)) => true,
            (Self::Leaves(wanted), Event::Left { at_risk }) => wanted.is_none_or(|wanted| wanted == at_risk.sessions),
            _ => false,
        }
    }

    /// Whether an event is of the kind, with whatever cause.
    fn is_like(&self, event: &Event, view: View<'_>) -> bool {
        let any = match self {
            Self::Ready(_) => Self::Ready(None),
            Self::Removes(hosts, _) => Self::Removes(hosts.clone(), None),
            Self::Ends(session, _) => Self::Ends(*session, None),
            Self::Leaves(_) => Self::Leaves(None),
            one @ (Self::Suspects(_) | Self::Pauses | Self::Resumes | Self::LosesMajority) => one.clone(),
        };
        any.is_told_by(event, view)
    }
}

/// What was heard, without the names of lives.
fn tell(event: &Event) -> String {
    if let Event::MemberRemoved(_, cause) = event {
        format!("removed ({cause:?})")
    } else if let Event::MemberSuspect(_, cause) = event {
        format!("suspected ({cause:?})")
    } else if let Event::SessionEnded(_, cause) = event {
        format!("ended ({cause:?})")
    } else {
        format!("{event:?}")
    }
}
