//! P3: ended stays ended. What a member had seen of a session when it ended it, or started it anew, is never shown again
//! by a member that has applied the end, nor by anybody at the end.

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
            What::Outcome(..) | What::Fetched(..) | What::Event(_) => Ok(()),
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
                check(view, &process.node, key, &ends, &host.to_string())?;
            }
        }
        Ok(())
    }

    fn note(&mut self, view: View<'_>, attempt: &Attempt, life: MemberId) -> Result<(), Violation> {
        if attempt.ask.start == Start::There {
            return Ok(());
        }
        self.applied.entry((life, attempt.ask.key)).or_default().push(attempt.serial);
        let Some((host, process)) = view.cluster.living(life) else { return Ok(()) };
        check(view, &process.node, &attempt.ask.key, &[attempt.serial], &host.to_string())
    }

    fn check_member(&self, view: View<'_>, fates: &Fates, life: MemberId, key: &SessionKey) -> Result<(), Violation> {
        let (Some((host, process)), Some(ends)) = (view.cluster.living(life), self.applied.get(&(life, *key))) else {
            return Ok(());
        };
        // Who had to let its copy go knows nothing of the end any more, and may hear of it late.
        let settled = view.stable_after() + view.placed_after();
        let calm = view.ledger.calm_everywhere(&Trouble::ALL).is_some_and(|since| since + settled <= view.now());
        if !view.is_everywhere() && !calm {
            return Ok(());
        }
        check(view, &process.node, key, &self.standing(view, fates, ends), &host.to_string())
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
        if let Some(risen) = shown.values().find(|serial| view.history.is_before(**serial, end)) {
            let story = format!("{who} shows #{} again after {}", risen.0, tale(end));
            return Err(Violation { promise: Promise::Ended, at: view.now(), story });
        }
    }
    Ok(())
}
