//! The story of a plan, with what its run shows as what is expected of it: who became ready, who was removed and why, and
//! what some clients were told.

use std::collections::BTreeSet;

use heirloom_core::{Event, ReadyCause, RemovalCause, SessionKey};

use super::{
    Tale,
    expect::{Expectation, READY, REMOVALS},
    lines::moment,
    words::{Names, plain_name},
};
use crate::{
    action::Action, clock::Moment, history::Told, net::HostId, plan::Plan, sim::Sim, trial::Trial, violation::Promise,
};

/// So many of each kind of expectation, at most.
const MOST: usize = 6;

pub(super) fn tale(plan: &Plan, about: &str) -> Tale {
    let mut sim = Sim::new(plan.setup.clone());
    let trial = Trial::on(&mut sim, plan);
    let mut names = names(plan);
    let (orders, told) = writes(&sim, plan, &mut names);
    let texts = [ready(&sim, &names), removals(&sim, &names), told].concat();
    let read = |(at, text): (usize, &String)| Expectation::read(&names, at, text).ok();
    let expectations = texts.iter().enumerate().filter_map(read).collect();
    let (file, about) = ("scenario".into(), about.into());
    let mut tale = Tale { file, about, catches: Vec::new(), plan: plan.clone(), names, orders, expectations };
    // What is expected was seen; what the judge sees otherwise is no expectation.
    let end = trial.result.map_err(|violation| violation.promise).err();
    while let Err(violation) = tale.run() {
        if violation.promise != Promise::Script || end == Some(Promise::Script) {
            break;
        }
        let unmet = |expectation: &Expectation| violation.story.starts_with(&format!("scenario:{}:", expectation.line));
        let before = tale.expectations.len();
        tale.expectations.retain(|expectation| !unmet(expectation));
        if tale.expectations.len() == before {
            break;
        }
    }
    tale
}

/// Everything is called what plans call it.
fn names(plan: &Plan) -> Names {
    let mut names =
        Names { members: (0..plan.setup.hosts).map(|host| HostId(host).to_string()).collect(), ..Names::default() };
    let mut add = |key: SessionKey| {
        if names.sessions.iter().all(|(_, known)| *known != key) {
            names.sessions.push((plain_name(key), key));
        }
    };
    for (_, action) in &plan.actions {
        if let Action::Commit(_, ask) = action {
            add(ask.key);
            ask.moves_to.into_iter().for_each(&mut add);
        } else if let Action::Touch(_, key) = action {
            add(*key);
        }
    }
    for (_, action) in &plan.actions {
        if let Action::SetName(_, name, _) | Action::RemoveName(_, name, _) = action
            && names.entries.iter().all(|(_, known)| known != name)
        {
            names.entries.push((format!("m{}", name.0), *name));
        }
    }
    names
}

/// Gives some writes names, and tells what their clients were told.
fn writes(sim: &Sim, plan: &Plan, names: &mut Names) -> (Vec<usize>, Vec<String>) {
    let asked = plan
        .actions
        .iter()
        .filter_map(|(_, action)| if let Action::Commit(_, ask) = action { Some(ask) } else { None });
    let (mut orders, mut texts) = (Vec::new(), Vec::new());
    let mut seen: BTreeSet<(SessionKey, &'static str)> = BTreeSet::new();
    for (order, ask) in asked.enumerate() {
        let attempt = sim.history().asked(order).and_then(|serial| sim.history().attempt(serial));
        let (kind, fate) = match attempt.map(|attempt| &attempt.told) {
            Some(Told::Durable(_, members)) => {
                let hosts: BTreeSet<HostId> =
                    members.iter().filter_map(|member| sim.cluster().host_of(*member)).collect();
                let on = if hosts.is_empty() { String::new() } else { format!(" on {}", list(names, &hosts)) };
                ("durable", format!("durable{on}"))
            }
            Some(Told::NotDurable) => ("not", "not durable".into()),
            Some(Told::Unknown) => ("unknown", "unknown".into()),
            None => ("refused", "refused".into()),
            Some(Told::Pending) => continue,
        };
        if orders.len() < MOST && seen.insert((ask.key, kind)) {
            let name = format!("w{}", orders.len() + 1);
            texts.push(format!("{name} is {fate}"));
            names.writes.push((name, ask.key));
            orders.push(order);
        }
    }
    (orders, texts)
}

/// Who became ready, and as what.
fn ready(sim: &Sim, names: &Names) -> Vec<String> {
    let told =
        sim.events().iter().filter_map(
            |(at, host, event)| {
                if let Event::Ready(cause) = event { Some((*at, *host, *cause)) } else { None }
            },
        );
    let mut found: Vec<(Moment, ReadyCause, BTreeSet<HostId>)> = Vec::new();
    for (at, host, cause) in told {
        let second = floor(at);
        match found.iter_mut().find(|(other, known, _)| (*other, *known) == (second, cause)) {
            Some((.., hosts)) => drop(hosts.insert(host)),
            None => found.push((second, cause, BTreeSet::from([host]))),
        }
    }
    let told = found.iter().take(MOST).map(|(from, cause, hosts)| {
        let verb = if hosts.len() == 1 { "is" } else { "are" };
        format!("{} {} {verb} ready as {}", between(*from, *from), list(names, hosts), called(&READY, cause))
    });
    told.collect()
}

/// Who removed whom, and why.
fn removals(sim: &Sim, names: &Names) -> Vec<String> {
    let mut found: Vec<(HostId, RemovalCause, Moment, Moment, BTreeSet<HostId>)> = Vec::new();
    for (at, host, event) in sim.events() {
        let Event::MemberRemoved(member, cause) = event else { continue };
        let Some(removed) = sim.cluster().host_of(*member) else { continue };
        match found.iter_mut().find(|(other, known, ..)| (*other, known) == (removed, cause)) {
            Some((.., last, hosts)) => {
                *last = (*last).max(*at);
                hosts.insert(*host);
            }
            None => found.push((removed, *cause, *at, *at, BTreeSet::from([*host]))),
        }
    }
    let told = found.iter().take(MOST).map(|(removed, cause, from, last, hosts)| {
        let verb = if hosts.len() == 1 { "removes" } else { "remove" };
        let (when, who, whom) = (between(floor(*from), floor(*last)), list(names, hosts), names.of(*removed));
        format!("{when} {who} {verb} {whom} for {}", called(&REMOVALS, cause))
    });
    told.collect()
}

fn floor(at: Moment) -> Moment {
    Moment::from_nanos(at.as_nanos() / SECOND * SECOND)
}

const SECOND: u64 = 1_000_000_000;

/// From this second on, up to the end of that one.
fn between(from: Moment, last: Moment) -> String {
    format!("between {} and {}", moment(from), moment(last + core::time::Duration::from_secs(1)))
}

fn list(names: &Names, hosts: &BTreeSet<HostId>) -> String {
    let names: Vec<&str> = hosts.iter().map(|host| names.of(*host)).collect();
    names.join(", ")
}

fn called<T: PartialEq>(table: &[(&'static str, T)], cause: &T) -> &'static str {
    table.iter().find(|(_, known)| known == cause).map_or("unnamed", |(name, _)| name)
}
