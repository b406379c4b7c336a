//! P2: an acknowledgement means applied, on each member that it names, when it is given; and what was acknowledged is
//! there at the end when one of those that had it ran through. Nothing is shown that no client wrote.

use heirloom_core::{Durability, SessionKey};

use crate::{
    cluster::{Fact, What},
    history::{Attempt, Told, shown},
    oracles::View,
    violation::{Promise, Violation},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    /// A member may be away for longer than ends are remembered: what the others do not know may then be dead.
    pub(crate) forgets: bool,
}

impl Durable {
    pub(crate) fn handle_fact(&self, view: View<'_>, fact: &Fact) -> Result<(), Violation> {
        match &fact.what {
            What::Changed(key) => check_known(view, fact, key),
            What::Outcome(..) | What::Event(_) => Ok(()),
        }
    }

    /// A client was told that its commit is done: each member that is named must hold it, if that life still runs.
    pub(crate) fn handle_outcome(&self, view: View<'_>, attempt: &Attempt) -> Result<(), Violation> {
        let Told::Durable(_, members) = &attempt.told else { return Ok(()) };
        let wrong = |story| Err(Violation { promise: Promise::Durable, at: view.now(), story });
        if attempt.ask.durability == Durability::One && members.is_empty() {
            return wrong(format!(
                "{} told #{} that one other member has it, and names none",
                attempt.host, attempt.serial.0
            ));
        }
        if members.contains(&attempt.life) {
            return wrong(format!("{} names itself in the receipt of #{}", attempt.host, attempt.serial.0));
        }
        for (host, process) in members.iter().filter_map(|member| view.cluster.living(*member)) {
            if let Some(lack) = view.history.lack(view.cluster, &process.node, attempt) {
                return wrong(format!("{} told {} that {host} has it, but there {lack}", attempt.host, tale(attempt)));
            }
        }
        Ok(())
    }

    /// At the end: whatever was applied on a member that ran through must be everywhere, or be overtaken.
    pub(crate) fn check_quiet(&self, view: View<'_>) -> Result<(), Violation> {
        let refused = view.cluster.running().any(|(_, process)| 0 < process.node.stats().sessions_refused);
        for attempt in view.history.attempts() {
            let Some(keeper) = keeper(view, attempt) else { continue };
            for (host, process) in view.cluster.running() {
                let lack = view.history.lack(view.cluster, &process.node, attempt);
                let is_excused = self.forgets && refused && process.node.session(&attempt.ask.key).is_none();
                if let Some(lack) = lack.filter(|_| !is_excused) {
                    let (tale, at) = (tale(attempt), view.now());
                    let story = format!("{host} lost {tale}, which {keeper} had all the time: {lack}");
                    return Err(Violation { promise: Promise::Durable, at, story });
                }
            }
        }
        Ok(())
    }
}

/// A member that had the commit and has run ever since: its writer, or one that acknowledged it.
fn keeper(view: View<'_>, attempt: &Attempt) -> Option<String> {
    let acknowledged = match &attempt.told {
        Told::Durable(_, members) => members.as_slice(),
        Told::Pending | Told::NotDurable | Told::Unknown => &[],
    };
    let mut holders = [attempt.life].into_iter().chain(acknowledged.iter().copied());
    holders.find_map(|life| view.cluster.living(life)).map(|(host, _)| host.to_string())
}

/// What a member shows was written by a client, to that attribute.
fn check_known(view: View<'_>, fact: &Fact, key: &SessionKey) -> Result<(), Violation> {
    let Some((host, process)) = view.cluster.living(fact.life) else { return Ok(()) };
    for (attribute, serial) in shown(&process.node, key) {
        let attempt = view.history.attempt(serial);
        let known = attempt.is_some_and(|attempt| attempt.ask.key == *key && attempt.ask.sets.contains(&attribute));
        let story = || format!("{host} shows #{} in a{} of {key}: nobody wrote that", serial.0, attribute.0);
        Violation::unless(known, Promise::Durable, view.now(), story)?;
    }
    Ok(())
}

pub(crate) fn tale(attempt: &Attempt) -> String {
    let sets: Vec<_> = attempt.ask.sets.iter().map(|set| format!("+a{}", set.0)).collect();
    let removes: Vec<_> = attempt.ask.removes.iter().map(|removed| format!("-a{}", removed.0)).collect();
    let (serial, ask) = (attempt.serial.0, &attempt.ask);
    let changes = [sets, removes].concat().join(" ");
    format!(
        "#{serial} ({:?} {:?} {changes} of {} on {} at {}, told {:?})",
        ask.start, ask.durability, ask.key, attempt.host, attempt.at, attempt.told
    )
}
