//! P3: ended stays ended. What a member had seen of a session when it ended it, or started it anew, is never shown again
//! by a member that has applied the end, nor by anybody at the end: under no key that its id was changed to meanwhile. What
//! has moved is not shown under the key that it had.

use std::collections::BTreeMap;

use heirloom_core::{MemberId, Node, SessionKey};

use crate::{
    ask::{Serial, Start},
    cluster::{Fact, What},
    history::{Attempt, Told, shown},
    ledger::Trouble,
    oracles::{View, durable::tale, fates::Fates},
    violation::{Promise, Violation},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    /// By member, the ends that it has applied.
    applied: BTreeMap<(MemberId, SessionKey), Vec<Serial>>,
}

impl Ended {
    pub(crate) fn handle_fact(&self, view: View<'_>, fates: &Fates, fact: &Fact) -> Result<(), Violation> {
        match &fact.what {
            What::Changed(key) => self.check_member(view, fates, fact.life, key),
            What::Outcome(..) | What::Fetched(..) | What::Event(_) | What::Message(_) => Ok(()),
        }
    }

    /// A member took a commit.
    pub(crate) fn handle_commit(&mut self, view: View<'_>, attempt: &Attempt) -> Result<(), Violation> {
        self.note(view, attempt, attempt.life)
    }

    /// A client was told who has its commit.
    pub(crate) fn handle_outcome(&mut self, view: View<'_>, attempt: &Attempt) -> Result<(), Violation> {
        match &attempt.told {
            Told::Durable(_, members) => members.iter().try_for_each(|member| self.note(view, attempt, *member)),
            Told::Pending | Told::NotDurable | Told::Unknown => Ok(()),
        }
    }

    /// At the end: an end that was applied by a member which ran through holds everywhere. Where copies move, it holds as
    /// long as not everybody who knew of it has ended.
    pub(crate) fn check_quiet(&self, view: View<'_>, fates: &Fates) -> Result<(), Violation> {
        for ((life, key), ends) in &self.applied {
            let ends = self.standing(view, fates, ends);
            if view.is_everywhere() && view.cluster.living(*life).is_none() {
                continue;
            }
            for (host, process) in view.running() {
                for place in view.history.places(*key) {
                    check(view, &process.node, &place, &ends, &host.to_string())?;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, view: View<'_>, attempt: &Attempt, life: MemberId) -> Result<(), Violation> {
        if attempt.ask.start == Start::There {
            return Ok(());
        }
        let Some((host, process)) = view.cluster.living(life) else { return Ok(()) };
        // An id change names those who must hold the new key, and counts whom its writer knows to hold the old one too.
        let writer = view.cluster.living(attempt.life).map(|(_, writer)| &writer.node);
        let is_told = |node: &Node| attempt.ask.moves_to.is_none() || node.holders(&attempt.ask.key).contains(&life);
        if life != attempt.life && !(is_told(&process.node) && writer.is_some_and(is_told)) {
            return Ok(());
        }
        self.applied.entry((life, attempt.ask.key)).or_default().push(attempt.serial);
        // Where copies move, one that is known under the new key alone goes when word has spread.
        let counts = |place: &SessionKey| view.is_everywhere() || *place == attempt.ask.key;
        let mut places = view.history.places(attempt.ask.key).into_iter().filter(counts);
        places.try_for_each(|place| check(view, &process.node, &place, &[attempt.serial], &host.to_string()))
    }

    fn check_member(&self, view: View<'_>, fates: &Fates, life: MemberId, key: &SessionKey) -> Result<(), Violation> {
        let Some((host, process)) = view.cluster.living(life) else { return Ok(()) };
        // Where it comes from, too: a logout goes along. Where copies move, who has ended what it need not hold hears of the
        // new key before it hears that the old one has moved there, so what it has acknowledged counts when word has spread.
        let kin = view.history.kin(*key).into_iter().filter(|from| view.history.places(*from).contains(key));
        let ends = kin.filter_map(|from| Some((from, self.applied.get(&(life, from))?)));
        let ends = ends.flat_map(|(from, ends)| ends.iter().map(move |end| (from, *end)));
        let has_spread = |end: &Serial| match view.history.attempt(*end).map(|end| &end.told) {
            Some(Told::Durable(at, _)) => *at + view.spread_after() <= view.now(),
            Some(Told::Pending | Told::NotDurable | Told::Unknown) | None => false,
        };
        let counts = |(from, end): &(SessionKey, Serial)| view.is_everywhere() || from == key || has_spread(end);
        let ends: Vec<Serial> = ends.filter(counts).map(|(_, end)| end).collect();
        if ends.is_empty() {
            return Ok(());
        }
        // Who had to let its copy go knows nothing of the end any more, and may hear of it late.
        let settled = view.stable_after() + view.placed_after();
        let calm = view.ledger.calm_everywhere(&Trouble::ALL).is_some_and(|since| since + settled <= view.now());
        if !view.is_everywhere() && !calm {
            return Ok(());
        }
        check(view, &process.node, key, &self.standing(view, fates, &ends), &host.to_string())
    }

    fn standing(&self, view: View<'_>, fates: &Fates, ends: &[Serial]) -> Vec<Serial> {
        let stands = |end: &Serial| view.is_everywhere() || !fates.is_excused(*end);
        ends.iter().copied().filter(stands).collect()
    }
}

fn check(view: View<'_>, node: &Node, key: &SessionKey, ends: &[Serial], who: &str) -> Result<(), Violation> {
    let shown = shown(node, key);
    if !ends.is_empty() && !shown.is_empty() {
        view.cluster.marks.judged("P3 an end stands against what is shown");
    }
    for end in ends.iter().filter_map(|serial| view.history.attempt(*serial)) {
        if let Some(kept) = view.history.kept(*key, &shown, end) {
            let story = format!("{who} has applied {} and {kept}", tale(end));
            return Err(Violation { promise: Promise::Ended, at: view.now(), story });
        }
    }
    Ok(())
}
