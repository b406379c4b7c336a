//! P1, P2 for the shared map: an acknowledged write is applied on every member that is named; when faults stop all maps are
//! equal, and what was acknowledged is there, or something that may have come after it. Nothing is shown that nobody wrote.

use heirloom_core::{Event, MemberId};

use crate::{
    cluster::{Fact, What},
    history::Told,
    names::{Name, NameWrite, serial_in},
    oracles::View,
    violation::{Promise, Violation},
};

/// What another member wrote is known.
pub(crate) fn handle_fact(view: View<'_>, fact: &Fact) -> Result<(), Violation> {
    let What::Event(Event::MapChanged(name)) = &fact.what else { return Ok(()) };
    let Some((host, process)) = view.cluster.living(fact.life) else { return Ok(()) };
    let value = process.node.map_get(name);
    let write = value.and_then(|value| view.history.names().write(serial_in(value)?));
    let is_known = write.is_some_and(|write| Some(write.name) == Name::named(name) && write.sets);
    let story = || format!("{host} shows {value:?} under {name:?} of the map: nobody wrote that");
    Violation::unless(value.is_none() || is_known, Promise::Durable, view.now(), story)
}

/// A client was told that its write is done: each member that is named must have it, if that life still runs.
pub(crate) fn handle_outcome(view: View<'_>, write: &NameWrite) -> Result<(), Violation> {
    let Told::Durable(_, members) = &write.told else { return Ok(()) };
    for (host, process) in members.iter().filter_map(|member| view.cluster.living(*member)) {
        view.cluster.marks.judged("P2 a receipt of the map names a member that runs");
        if let Some(lack) = view.history.names().lack(&process.node, write) {
            let story = format!("{} told {} that {host} has it, but there {lack}", write.host, tale(write));
            return Err(Violation { promise: Promise::Durable, at: view.now(), story });
        }
    }
    Ok(())
}

/// The first difference between two maps, or a write that has not ended.
pub(crate) fn unrest(view: View<'_>) -> Option<Violation> {
    let wrong = |story| Some(Violation { promise: Promise::Converge, at: view.now(), story });
    if let Some(write) = view.history.names().pending() {
        return wrong(format!("{} has not told what became of {}", write.host, tale(write)));
    }
    let mut running = view.running();
    let (first, one) = running.next()?;
    let (host, other) = running.find(|(_, other)| !other.node.map_iter().eq(one.node.map_iter()))?;
    let [mine, theirs] = [one, other].map(|process| process.node.map_iter().collect::<Vec<_>>());
    wrong(format!("{first} and {host} have different maps: {mine:?} and {theirs:?}"))
}

/// At the end: what was acknowledged is there, if one of those that had it ran through.
pub(crate) fn check_quiet(view: View<'_>) -> Result<(), Violation> {
    for write in view.history.names().writes().filter(|write| view.sees(write.host)) {
        let Told::Durable(_, members) = &write.told else { continue };
        let mut had: Vec<MemberId> = members.clone();
        had.push(write.life);
        if !had.iter().any(|life| view.cluster.living(*life).is_some()) {
            continue;
        }
        view.cluster.marks.judged("P2 a write to the map must be there at the end");
        for (host, process) in view.running() {
            if let Some(lack) = view.history.names().lack(&process.node, write) {
                let story = format!("{host} lost {}: {lack}", tale(write));
                return Err(Violation { promise: Promise::Durable, at: view.now(), story });
            }
        }
    }
    Ok(())
}

fn tale(write: &NameWrite) -> String {
    let NameWrite { serial, name, sets, host, told, .. } = write;
    let verb = if *sets { "set" } else { "remove" };
    format!("#{} of the map ({verb} m{} on {host}, told {told:?})", serial.0, name.0)
}
