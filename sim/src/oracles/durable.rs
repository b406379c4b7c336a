//! P2: an acknowledgement means applied, on each member that it names, when it is given; and what was acknowledged is
//! there at the end when one of those that had it ran through. Nothing is shown that no client wrote.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Durability, MemberId, MemberState, Node, SessionKey};

use crate::{
    cluster::{Fact, What},
    history::{Attempt, History, Told, held, lengthened, shown},
    host::Process,
    ledger::Trouble,
    oracles::{Read, View, fates::Fates, placed},
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
            What::Outcome(..) | What::Fetched(..) | What::Event(_) | What::Message(_) => Ok(()),
        }
    }

    /// A client was told that its commit is done: each member that is named must hold it, if that life still runs.
    pub(crate) fn handle_outcome(&self, view: View<'_>, attempt: &Attempt) -> Result<(), Violation> {
        let Told::Durable(_, members) = &attempt.told else { return Ok(()) };
        let wrong = |story| Err(Violation { promise: Promise::Durable, at: view.now(), story });
        if let Some(want) = wanted(view, attempt).filter(|want| members.len() < *want) {
            return wrong(format!("{} needs {want} and names {members:?}", tale(attempt)));
        }
        if members.contains(&attempt.life) {
            return wrong(format!("{} names itself in the receipt of #{}", attempt.host, attempt.serial.0));
        }
        for (host, process) in members.iter().filter_map(|member| view.cluster.living(*member)) {
            // Who had to hold it then may have been released since, with nothing of it, under whatever key it has now.
            let is_released = |key: &SessionKey| {
                !process.node.holders(key).contains(&process.life) && process.node.record(key).is_none()
            };
            if view.history.places(attempt.ask.key).iter().any(is_released) {
                continue;
            }
            if is_over_alike(view, process, attempt) {
                continue;
            }
            view.cluster.marks.judged("P2 a receipt names a member that runs");
            if let Some(lack) = view.history.lack(view.cluster, &process.node, attempt) {
                return wrong(format!("{} told {} that {host} has it, but there {lack}", attempt.host, tale(attempt)));
            }
        }
        Ok(())
    }

    /// A client was shown a session: in calm nothing is missing that was acknowledged before it asked.
    pub(crate) fn handle_answer(&self, view: View<'_>, fates: &Fates, read: &Read) -> Result<(), Violation> {
        let calm = view.ledger.calm_everywhere(&Trouble::ALL);
        let stable = view.stable_after() + view.spread_after() + view.placed_after();
        if calm.is_none_or(|calm| read.asked_at < calm + stable) {
            return Ok(());
        }
        self.check_answer(view, fates, read)
    }

    pub(crate) fn check_answer(&self, view: View<'_>, fates: &Fates, read: &Read) -> Result<(), Violation> {
        let wrong = |story| Err(Violation { promise: Promise::Durable, at: view.now(), story });
        let Some(shown) = &read.shown else {
            return wrong(format!("{} asked for {} and got no answer", read.host, read.key));
        };
        for attempt in asked_for(view, &read.key) {
            let Told::Durable(at, _) = attempt.told else { continue };
            // Two members may take a session over at once, and serve what they have until they hear of each other.
            let at_once = view.is_everywhere() && attempt.ask.durability == Durability::All;
            let known_at = if at_once { at } else { at + view.spread_after() };
            view.cluster.marks.judged("P2 a look in calm must show a write");
            let lack = view.history.lack_in(view.cluster, (read.key, shown), attempt);
            let lack = lack.filter(|_| known_at < read.asked_at && self.is_owed(view, fates, attempt));
            if let Some(lack) = lack {
                return wrong(format!("{} shows {} without {}: {lack}", read.host, read.key, tale(attempt)));
            }
        }
        Ok(())
    }

    /// Every commit ends when its time is over, if its member runs.
    pub(crate) fn check(&self, view: View<'_>) -> Result<(), Violation> {
        for attempt in view.history.pending() {
            let Some(within) = attempt.ask.within else { continue };
            let awake = view.ledger.calm_between(&[Trouble::Reach], attempt.host, attempt.host);
            let due = awake.map(|since| since.max(attempt.at) + lengthened(within) + view.spread_after());
            let story = || format!("{} is late", tale(attempt));
            Violation::unless(due.is_none_or(|due| view.now() < due), Promise::Turn, view.now(), story)?;
        }
        Ok(())
    }

    /// At the end: what was not lost with all who had it is with everybody who must hold it, or is overtaken.
    pub(crate) fn check_quiet(&self, view: View<'_>, fates: &Fates) -> Result<(), Violation> {
        let keys = view.history.stories().map(|(key, _)| (*key, placed::expected(view, key)));
        let holders: BTreeMap<SessionKey, BTreeSet<MemberId>> = keys.collect();
        let mut attempts = view.history.attempts().filter(|attempt| view.sees(attempt.host));
        attempts.try_for_each(|attempt| self.check_held(view, fates, attempt, &holders))
    }

    fn check_held(
        &self,
        view: View<'_>,
        fates: &Fates,
        attempt: &Attempt,
        holders: &BTreeMap<SessionKey, BTreeSet<MemberId>>,
    ) -> Result<(), Violation> {
        if !self.is_owed(view, fates, attempt) {
            view.cluster.marks.judged("P2 a write may be lost at the end");
            return Ok(());
        }
        view.cluster.marks.judged("P2 a write must be there at the end");
        let mut first = None;
        for key in view.history.places(attempt.ask.key) {
            let lacking = holders.get(&key).into_iter().flatten().find_map(|holder| {
                let (host, process) = view.cluster.living(*holder)?;
                let lack = view.history.lack_in(view.cluster, (key, &held(&process.node, &key)), attempt);
                lack.map(|lack| (host, lack))
            });
            match lacking {
                Some(lacking) => drop(first.get_or_insert(lacking)),
                // All of it is there under this key; that nothing is under the others is judged by P3.
                None => return Ok(()),
            }
        }
        let Some((host, lack)) = first else { return Ok(()) };
        let (tale, at) = (tale(attempt), view.now());
        let keeper = keeper(view, attempt).map(|keeper| format!(", which {keeper} had all the time"));
        let story = format!("{host} lost {tale}{}: {lack}", keeper.unwrap_or_default());
        Err(Violation { promise: Promise::Durable, at, story })
    }

    /// Whether a write must be there: not everybody who had it has ended, and it was not forgotten.
    fn is_owed(&self, view: View<'_>, fates: &Fates, attempt: &Attempt) -> bool {
        let refused = || view.running().any(|(_, process)| 0 < process.node.stats().sessions_refused);
        let places = view.history.places(attempt.ask.key);
        let unknown = |process: &Process| places.iter().all(|key| process.node.session(key).is_none());
        let forgotten = || refused() && view.running().any(|(_, process)| unknown(process));
        let is_kept = view.is_everywhere() && keeper(view, attempt).is_some();
        (is_kept || !fates.is_excused(attempt.serial)) && !(self.forgets && forgotten())
    }
}

/// How many of the last writes to a session a look at it is compared with.
const READ_MAX: usize = 20;

/// The last commits whose effects must be seen under a key: of what was written under it, if nothing is known to have moved
/// away from it, and of what was moved to it and to nothing else.
fn asked_for<'a>(view: View<'a>, key: &SessionKey) -> Vec<&'a Attempt> {
    let history = view.history;
    if history.moves_from(*key).next().is_some() {
        return Vec::new();
    }
    let mut attempts: Vec<_> = history.attempts_of(*key).filter(|attempt| is_under(history, key, attempt)).collect();
    attempts.sort_unstable_by_key(|attempt| attempt.serial);
    attempts.into_iter().rev().take(READ_MAX).collect()
}

/// Whether what a commit did must be seen under a key.
fn is_under(history: &History, key: &SessionKey, attempt: &Attempt) -> bool {
    let moved = attempt.ask.moves_to == Some(*key);
    let mut from_there = history.moves_from(attempt.ask.key);
    let is_only = from_there.next().is_some_and(|first| first.serial == attempt.serial) && from_there.next().is_none();
    attempt.ask.key == *key || (moved && is_only && !has_rival(history, attempt))
}

/// Whether an id of the session was changed elsewhere as well, by somebody who had not seen this change, nor this one's client that
/// one: then the later one says which id it has.
fn has_rival(history: &History, attempt: &Attempt) -> bool {
    let kin = history.kin(attempt.ask.key);
    let mut others = kin.iter().flat_map(|key| history.moves_from(*key)).filter(|other| other.serial != attempt.serial);
    others.any(|other| !history.is_before(other.serial, attempt) && !history.is_before(attempt.serial, other))
}

/// How many others a commit needs, of those that must hold it under the key that its session has at its member by now;
/// `None` when that is no more.
fn wanted(view: View<'_>, attempt: &Attempt) -> Option<usize> {
    let (_, writer) = view.cluster.living(attempt.life)?;
    let places = view.history.places(attempt.ask.moves_to.unwrap_or(attempt.ask.key));
    let has = |key: &&SessionKey| {
        let record = writer.node.record(key);
        record.is_some_and(|session| view.history.has(view.cluster, (**key, session), attempt))
    };
    let found: Vec<_> = places.iter().filter(has).collect();
    let counted = if found.is_empty() { places.iter().collect() } else { found };
    counted.into_iter().map(|key| wanted_under(&writer.node, key, attempt.ask.durability)).min()
}

fn wanted_under(writer: &Node, key: &SessionKey, durability: Durability) -> usize {
    let mut listed = writer.members();
    let is_ready = |holder: &MemberId| listed.any(|member| member.id == *holder && member.state == MemberState::Ready);
    let ready = writer.holders(key).into_iter().filter(is_ready).count();
    match durability {
        Durability::Local => 0,
        Durability::One => 1,
        Durability::Copies(copies) => usize::from(copies),
        // With the writer that is more than half of all.
        Durability::Majority => ready.div_ceil(2).max(1),
        Durability::All => ready.max(1),
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
        let known = attempt.is_some_and(|attempt| {
            let places = view.history.places(attempt.ask.key);
            places.contains(key) && attempt.ask.sets.contains(&attribute) && view.sees(attempt.host)
        });
        let story = || format!("{host} shows #{} in a{} of {key}: nobody wrote that there", serial.0, attribute.0);
        Violation::unless(known, Promise::Durable, view.now(), story)?;
    }
    Ok(())
}

pub(crate) fn tale(attempt: &Attempt) -> String {
    let sets: Vec<_> = attempt.ask.sets.iter().map(|set| format!("+a{}", set.0)).collect();
    let removes: Vec<_> = attempt.ask.removes.iter().map(|removed| format!("-a{}", removed.0)).collect();
    let (serial, ask) = (attempt.serial.0, &attempt.ask);
    let moves = ask.moves_to.map(|to| format!("to {to}"));
    let changes = [sets, removes, moves.into_iter().collect()].concat().join(" ");
    format!(
        "#{serial} ({:?} {:?} {changes} of {} on {} at {}, told {:?})",
        ask.start, ask.durability, ask.key, attempt.host, attempt.at, attempt.told
    )
}

/// Whether a write is of a session that is over for its writer, which may not have heard of a use elsewhere, and the other has
/// all that the writer has. Who was asleep hears late that it was applied: it may be over for the other alone by then.
fn is_over_alike(view: View<'_>, other: &Process, attempt: &Attempt) -> bool {
    let Some((_, writer)) = view.cluster.living(attempt.life) else { return false };
    let records = [writer, other].map(|process| process.node.record(&attempt.ask.key));
    let [Some(mine), Some(theirs)] = records else { return false };
    let awake = view.ledger.calm_between(&[Trouble::Reach], attempt.host, attempt.host);
    let has_slept = awake.is_none_or(|since| attempt.at < since);
    let is_over = !mine.is_live() || has_slept && !theirs.is_live();
    is_over && theirs.version().covers(&mine.version())
}
