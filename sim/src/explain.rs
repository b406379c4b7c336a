//! Why a promise was broken: what led to it, in sentences, and from which moment on it could not be kept any more.

use core::{fmt::Write as _, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::SessionKey;

use crate::{
    action::Action,
    clock::Moment,
    net::HostId,
    own::Invariant,
    plan::Plan,
    record::{Entry, Fate, Happened, Record},
    show::words,
    stored::show_action,
    trial::Trial,
    violation::{Promise, Violation},
};

/// To how much the moment is found.
const EXACT: Duration = Duration::from_millis(1);
/// Of a longer story the middle is left out.
const SENTENCES_MAX: usize = 60;

/// The moment from which on a promise could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inevitable {
    /// The earliest moment, to a millisecond: with all faults ended and no more clients from then on, the run still breaks
    /// the promise. It is found by halving, between the beginning and the violation.
    pub at: Moment,
    /// The last thing that was done by then.
    pub after: Option<(Moment, Action)>,
}

/// Tells why a plan breaks a promise; `None` if it breaks none.
pub fn explain(plan: &Plan) -> Option<String> {
    explain_by(plan, Vec::new)
}

/// The same, judged by these as well.
pub fn explain_by(plan: &Plan, own: impl Fn() -> Vec<Box<dyn Invariant>>) -> Option<String> {
    let (_, record) = Record::judged(plan, own());
    let violation = record.violation()?.clone();
    let mut out = words(&record, &Happened::Broken(violation.clone())) + "\n\n";
    let slice = slice(&record, &violation);
    let left_out = slice.len().saturating_sub(SENTENCES_MAX);
    for (number, entry) in slice.iter().enumerate() {
        // Writing to a text never fails.
        let _ = match number {
            number if number < SENTENCES_MAX / 3 || SENTENCES_MAX / 3 + left_out <= number => {
                writeln!(out, "{:>13}  {}.", entry.at.to_string(), words(&record, &entry.what))
            }
            number if number == SENTENCES_MAX / 3 => {
                writeln!(out, "{:>13}  {left_out} more, which `show` tells.", "...")
            }
            _ => Ok(()),
        };
    }
    let told = match inevitable(plan, &violation, &own) {
        Some(Inevitable { at, after: None }) => format!("It was inevitable at {at}, before anything was done."),
        Some(Inevitable { at, after: Some((done_at, action)) }) => format!(
            "It was inevitable at {at}: had all faults ended and no client come from then on, it would have happened all \
             the same; a millisecond earlier it would not. The last thing done by then: {}, at {done_at}.",
            show_action(&action).1
        ),
        None => {
            "It was never inevitable before it happened: had all faults ended then, it would not have been seen.".into()
        }
    };
    Some(format!("{out}\n{told}\n"))
}

/// From which moment on a plan that breaks a promise breaks it whatever is left out of it later; `None` if it takes all that
/// is done up to the violation and after it.
pub fn inevitable(plan: &Plan, violation: &Violation, own: impl Fn() -> Vec<Box<dyn Invariant>>) -> Option<Inevitable> {
    let fails = |at: Moment| breaks(&ended_at(plan, at), violation.promise, own());
    let (mut low, mut high) = (Moment::ZERO, plan.healed_at.min(violation.at));
    if !fails(high) {
        return None;
    }
    if fails(low) {
        return Some(Inevitable { at: low, after: None });
    }
    while EXACT < high.since(low) {
        let middle = low + high.since(low) / 2;
        *if fails(middle) { &mut high } else { &mut low } = middle;
    }
    let done = plan.actions.iter().filter(|(at, _)| low < *at && *at <= high);
    if let Some((at, _)) = done.rev().find(|(at, _)| fails(*at)) {
        high = *at;
    }
    let after = plan.actions.iter().rev().find(|(at, _)| *at <= high).cloned();
    Some(Inevitable { at: high, after })
}

/// The same plan, with all faults ended and no more clients from then on.
fn ended_at(plan: &Plan, at: Moment) -> Plan {
    let mut plan = plan.clone();
    plan.actions.retain(|(when, _)| *when <= at);
    plan.healed_at = at;
    plan
}

fn breaks(plan: &Plan, promise: Promise, own: Vec<Box<dyn Invariant>>) -> bool {
    Trial::judged(plan, own).result.err().is_some_and(|violation| violation.promise == promise)
}

/// What led to a violation: what happened on the members that it tells of, and on those whose word about its sessions had
/// reached them, each up to when it had to have happened to matter.
pub fn slice<'a>(record: &'a Record, violation: &Violation) -> Vec<&'a Entry> {
    let sessions: BTreeSet<SessionKey> =
        record.sessions().into_iter().filter(|key| violation.story.contains(&key.to_string())).collect();
    let mut until: BTreeMap<HostId, Moment> =
        named(record, violation).into_iter().map(|host| (host, violation.at)).collect();
    let is_about = |what: &Happened| what.sessions().iter().any(|session| sessions.contains(session));
    // Later things first; a message counts when it has arrived.
    let known_at = |entry: &Entry| {
        let arrived = if let Happened::Message(message) = &entry.what { message.arrived } else { None };
        arrived.unwrap_or(entry.at)
    };
    let begin = record.entries.iter().find(|entry| is_about(&entry.what)).map_or(Moment::ZERO, |entry| entry.at);
    let mut entries: Vec<(usize, &Entry)> = record.entries.iter().enumerate().collect();
    entries.sort_by_key(|(number, entry)| (known_at(entry), *number));
    let mut kept = BTreeMap::new();
    for (number, entry) in entries.into_iter().rev().filter(|(_, entry)| entry.at <= violation.at) {
        let matters = |host: &HostId| until.get(host).is_some_and(|until| entry.at <= *until);
        match &entry.what {
            Happened::Message(message) if is_about(&entry.what) => {
                let reached = message.arrived.filter(|at| until.get(&message.to).is_some_and(|until| at <= until));
                if reached.is_some() {
                    let before = until.entry(message.from).or_insert(entry.at);
                    *before = (*before).max(entry.at);
                }
                if message.fate != Fate::Arrived && (reached.is_some() || until.contains_key(&message.to)) {
                    kept.insert(number, entry);
                }
            }
            Happened::Message(_) | Happened::View(..) | Happened::Broken(_) | Happened::Mail(..) => {}
            Happened::Done(action) if action.is_of_a_client() => {}
            Happened::Done(action) => {
                if begin <= entry.at && (action.hosts().is_empty() || action.hosts().iter().any(matters)) {
                    kept.insert(number, entry);
                }
            }
            Happened::State(host, _) | Happened::Told(host, _) if !is_about(&entry.what) => {
                // What is told of another session is another story.
                if begin <= entry.at && matters(host) && entry.what.sessions().is_empty() {
                    kept.insert(number, entry);
                }
            }
            Happened::State(..)
            | Happened::Told(..)
            | Happened::Copy(..)
            | Happened::Commit(..)
            | Happened::Read(..)
            | Happened::Left(..) => {
                if is_about(&entry.what) && entry.what.hosts().iter().any(matters) {
                    kept.insert(number, entry);
                }
            }
        }
    }
    kept.into_values().collect()
}

/// The hosts that a violation names, by themselves or by a life; all if it names none.
fn named(record: &Record, violation: &Violation) -> BTreeSet<HostId> {
    let words: BTreeSet<&str> = violation.story.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let lives = record.lives.iter().filter(|(life, _)| words.contains(life.to_string().as_str()));
    let hosts = (0..record.hosts).map(HostId).filter(|host| words.contains(host.to_string().as_str()));
    let named: BTreeSet<HostId> = lives.map(|(_, life)| life.0).chain(hosts).collect();
    if named.is_empty() { (0..record.hosts).map(HostId).collect() } else { named }
}
