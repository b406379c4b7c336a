//! P4: nobody ends a session that was used within its idle time, and an idle one is gone everywhere within that time, a
//! tenth more, and a bound. The rule for members that were apart is judged at the end, with P2: a session that was used
//! without a gap is there.

use core::time::Duration;
use std::collections::BTreeMap;

use heirloom_core::{EndCause, Event, Lifetime, MemberId, Session, SessionKey};

use crate::{
    ask::Start,
    clock::Moment,
    cluster::{Fact, What},
    history::{Use, lengthened, shortened},
    ledger::Trouble,
    oracles::{SLACK, View, converge::tell},
    violation::{Promise, Violation},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Expiry {
    /// When the view of each member changed last, as it told.
    changed: BTreeMap<MemberId, Moment>,
}

impl Expiry {
    pub(crate) fn handle_fact(&mut self, view: View<'_>, fact: &Fact) -> Result<(), Violation> {
        if let What::Event(Event::MemberAdded(_) | Event::MemberReady(_) | Event::MemberRemoved(..)) = &fact.what {
            self.changed.insert(fact.life, view.now());
        }
        if let What::Event(Event::SessionEnded(key, EndCause::MaxAge)) = &fact.what {
            return reaches_its_age(view, fact, key);
        }
        let What::Event(Event::SessionEnded(key, EndCause::Idle)) = &fact.what else { return Ok(()) };
        let Some(idle) = view.history.shortest_idle(view.cluster, key) else {
            let story = format!("{} lets {key} expire, which never does for idleness", fact.host);
            return Err(Violation { promise: Promise::Expiry, at: view.now(), story });
        };
        if is_fixed(view, key) {
            return Ok(());
        }
        self.had_to_ask(view, fact, key, shortened(idle))?;
        let Some(calm) = view.ledger.calm_everywhere(&Trouble::ALL) else { return Ok(()) };
        let known = calm + view.stable_after();
        let uses = view.history.story(key).into_iter().flat_map(|story| &story.uses);
        let uses = uses.filter(|usage| known <= usage.at && view.cluster.living(usage.life).is_some());
        let uses = uses.inspect(|_| view.cluster.marks.judged("P4 an expiry is too early for a use"));
        // A use that was made while the news of the end was under way is not too late to be told.
        let on_the_way = view.spread_after();
        let early = uses.max_by_key(|usage| usage.at).filter(|usage| {
            let unused = view.now().since(usage.at);
            on_the_way < unused && unused < shortened(idle)
        });
        let story = || {
            let at = early.map(|usage| usage.at);
            format!("{} lets {key} expire, which was used at {at:?} and may be idle for {idle:?}", fact.host)
        };
        Violation::unless(early.is_none(), Promise::Expiry, view.now(), story)
    }

    /// An owner asks all others that hold a session before it lets it expire, and that is not before its own last use of it is as
    /// old as that takes. So whoever has used it earlier has told, whatever the network did: no word of a use has to come in time.
    fn had_to_ask(&self, view: View<'_>, fact: &Fact, key: &SessionKey, idle: Duration) -> Result<(), Violation> {
        let Some((_, process)) = view.cluster.living(fact.life).filter(|(_, process)| !process.has_lagged) else {
            return Ok(());
        };
        let is_owner = process.node.record(key).is_some_and(|session| session.owner() == Some(fact.life));
        let is_one = 1 == view.history.kin(*key).len()
            && view.history.attempts_of(*key).all(|attempt| attempt.ask.start == Start::There);
        let uses = || view.history.uses_of(*key).filter(|usage| usage.is_held);
        let own = uses().filter(|usage| usage.life == fact.life).max_by_key(|usage| usage.at);
        let Some(own) = own.filter(|_| is_owner && is_one) else { return Ok(()) };
        let holders = process.node.holders(key);
        let seen_since = self.changed.get(&fact.life).copied().unwrap_or(process.started);
        let had_to_tell = |usage: &&Use| {
            let is_asked = usage.life != fact.life && holders.contains(&usage.life) && seen_since < own.at;
            let is_before = own.at < usage.at && usage.at < own.at + idle;
            is_asked && is_before && !usage.shown.is_disjoint(&own.shown) && view.cluster.living(usage.life).is_some()
        };
        let Some(last) = uses().filter(had_to_tell).max_by_key(|usage| usage.at) else { return Ok(()) };
        view.cluster.marks.judged("P4 an owner that lets expire had to ask of a use");
        Violation::unless(idle <= view.now().since(last.at), Promise::Expiry, view.now(), || {
            let (by, at, own) = (last.life, last.at, own.at);
            format!(
                "{} lets {key} expire, and used it last at {own:?}: it has not asked {by}, which used it at {at:?}",
                fact.host
            )
        })
    }

    /// A session that lives although every write that it shows is older than the greatest age and a bound.
    pub(crate) fn outlives_its_age(&self, view: View<'_>) -> Result<(), Violation> {
        let max_age = view.cluster.config().max_age;
        let calm = view.ledger.calm_everywhere(&Trouble::ALL);
        let bound = view.stable_after() + view.spread_after() + SLACK;
        if max_age.is_zero() || calm.is_none_or(|calm| view.now().since(calm) < lengthened(max_age) + bound) {
            return Ok(());
        }
        let found = view.running().find_map(|(host, process)| {
            let mut live = process.node.records().filter(|(_, session)| session.is_live());
            live.find(|(key, _)| is_older(view, key, lengthened(max_age) + bound)).map(|found| (host, found))
        });
        let story =
            || found.map_or(String::new(), |(host, (key, _))| format!("{key} is older than it may be on {host}"));
        Violation::unless(found.is_none(), Promise::Expiry, view.now(), story)
    }

    /// A session that nobody uses any more, and that is still there.
    pub(crate) fn still_live(&self, view: View<'_>) -> Option<Violation> {
        left(view, "live", |session| session.is_live())
    }

    /// A session that is there or remembered.
    pub(crate) fn remains(&self, view: View<'_>) -> Option<Violation> {
        left(view, "remembered", |_| true)
    }
}

/// A session of which no write asked for a fixed end ends by its age only when one of its writes is as old as that: it was
/// created no later.
fn reaches_its_age(view: View<'_>, fact: &Fact, key: &SessionKey) -> Result<(), Violation> {
    let max_age = view.cluster.config().max_age;
    let oldest = view.history.attempts_of(*key).map(|attempt| attempt.at).min();
    let is_due = oldest.is_some_and(|at| shortened(max_age) <= view.now().since(at));
    let story = || format!("{} ends {key} by its age, of which the oldest write is of {oldest:?}", fact.host);
    Violation::unless(is_fixed(view, key) || (!max_age.is_zero() && is_due), Promise::Expiry, view.now(), story)
}

fn left(view: View<'_>, how: &str, is_left: impl Fn(&Session) -> bool) -> Option<Violation> {
    view.running().find_map(|(host, process)| {
        let (key, session) = process.node.records().find(|(_, session)| is_left(session))?;
        let story = format!("{key} is still {how} on {host}: {}", tell(session));
        Some(Violation { promise: Promise::Expiry, at: view.now(), story })
    })
}

/// Whether whatever was written to a session was written longer ago than that.
fn is_older(view: View<'_>, key: &SessionKey, length: Duration) -> bool {
    view.history.attempts_of(*key).all(|attempt| length < view.now().since(attempt.at))
}

fn is_fixed(view: View<'_>, key: &SessionKey) -> bool {
    let mut asked = view.history.attempts_of(*key).filter_map(|attempt| attempt.ask.lifetime);
    asked.any(|lifetime| matches!(lifetime, Lifetime::Fixed(_)))
}

/// When the last session that may expire is gone everywhere, if nothing is used any more; and when nobody remembers it.
pub(crate) fn empty_at(view: View<'_>) -> (Moment, Moment) {
    let gone = view.history.stories().filter_map(|(key, story)| {
        let longest = view.history.longest_life(view.cluster, key)?;
        let last = story.uses.iter().map(|usage| usage.at).max()?;
        Some(last + lengthened(longest + longest / 10))
    });
    let bound: Duration = view.stable_after() + view.spread_after() + SLACK;
    let gone = gone.max().unwrap_or_default().max(view.now()) + bound;
    // An expiry is not final as long as a member that vanished may come back.
    let remembered = lengthened(view.cluster.config().ended_for) + bound;
    let vanished = view.ledger.calm_everywhere(&Trouble::ALL).unwrap_or(view.now());
    (gone, gone.max(vanished + remembered) + remembered)
}
