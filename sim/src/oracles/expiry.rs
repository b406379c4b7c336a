//! P4: nobody ends a session that was used within its idle time, and an idle one is gone everywhere within that time, a
//! tenth more, and a bound. The rule for members that were apart is judged at the end, with P2: a session that was used
//! without a gap is there.

use core::time::Duration;

use heirloom_core::{EndCause, Event, Lifetime, Session, SessionKey};

use crate::{
    clock::Moment,
    cluster::{Fact, What},
    history::{lengthened, shortened},
    ledger::Trouble,
    oracles::{SLACK, View, converge::tell},
    violation::{Promise, Violation},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Expiry;

impl Expiry {
    pub(crate) fn handle_fact(&self, view: View<'_>, fact: &Fact) -> Result<(), Violation> {
        let What::Event(Event::SessionEnded(key, EndCause::Idle)) = &fact.what else { return Ok(()) };
        let Some(idle) = view.history.shortest_idle(view.cluster, key) else {
            let story = format!("{} lets {key} expire, which never does for idleness", fact.host);
            return Err(Violation { promise: Promise::Expiry, at: view.now(), story });
        };
        if is_fixed(view, key) {
            return Ok(());
        }
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

    /// A session that nobody uses any more, and that is still there.
    pub(crate) fn still_live(&self, view: View<'_>) -> Option<Violation> {
        left(view, "live", |session| session.is_live())
    }

    /// A session that is there or remembered.
    pub(crate) fn remains(&self, view: View<'_>) -> Option<Violation> {
        left(view, "remembered", |_| true)
    }
}

fn left(view: View<'_>, how: &str, is_left: impl Fn(&Session) -> bool) -> Option<Violation> {
    view.running().find_map(|(host, process)| {
        let (key, session) = process.node.records().find(|(_, session)| is_left(session))?;
        let story = format!("{key} is still {how} on {host}: {}", tell(session));
        Some(Violation { promise: Promise::Expiry, at: view.now(), story })
    })
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
