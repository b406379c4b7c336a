//! P5: a joiner that says it is ready holds what it must hold; and a member starts alone only where no ready one was to be
//! found, and of those that start together only the one with the lowest id.

use core::time::Duration;

use heirloom_core::{Event, MemberId, MemberState, ReadyCause, SessionKey};

use crate::{
    ask::Serial,
    clock::Moment,
    cluster::{Fact, What},
    history::{Attempt, Told, shortened},
    host::Process,
    ledger::Trouble,
    net::HostId,
    oracles::{View, durable::tale, fates::Fates},
    violation::{Promise, Violation},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Join {
    /// What a joiner need not hold yet when it becomes ready, but soon after.
    owed: Vec<Debt>,
}

#[derive(Clone, Debug)]
struct Debt {
    due: Moment,
    since: Moment,
    joiner: MemberId,
    serial: Serial,
}

impl Join {
    pub(crate) fn handle_fact(&mut self, view: View<'_>, fates: &Fates, fact: &Fact) -> Result<(), Violation> {
        match &fact.what {
            What::Event(Event::Ready(ReadyCause::Joined)) => self.handle_joined(view, fates, fact),
            What::Event(Event::Ready(ReadyCause::FirstMember)) => {
                check_first(view, fact)?;
                check_lowest(view, fact)
            }
            What::Event(_) | What::Outcome(..) | What::Fetched(..) | What::Changed(_) | What::Message(_) => Ok(()),
        }
    }

    pub(crate) fn check(&mut self, view: View<'_>) -> Result<(), Violation> {
        let now = view.now();
        let (due, owed) = core::mem::take(&mut self.owed).into_iter().partition(|debt| debt.due <= now);
        self.owed = owed;
        due.iter().try_for_each(|debt: &Debt| {
            let (Some((host, process)), Some(attempt)) =
                (view.cluster.living(debt.joiner), view.history.attempt(debt.serial))
            else {
                return Ok(());
            };
            let calm = view.ledger.calm_everywhere(&Trouble::ALL).is_some_and(|calm| calm < debt.since);
            if !calm {
                return Ok(());
            }
            view.cluster.marks.judged("P5 a joiner must hold a write soon");
            check_held(view, host, process, attempt, "soon after it became ready")
        })
    }

    fn handle_joined(&mut self, view: View<'_>, fates: &Fates, fact: &Fact) -> Result<(), Violation> {
        let Some((host, process)) = view.cluster.living(fact.life) else { return Ok(()) };
        let now = view.now();
        for attempt in view.history.attempts().filter(|attempt| view.sees(attempt.host)) {
            let Told::Durable(told, _) = attempt.told else { continue };
            if !view.is_everywhere() && fates.is_excused(attempt.serial) {
                continue;
            }
            if told < process.started && has_keeper(view, attempt, host, process.started) {
                view.cluster.marks.judged("P5 a joiner must hold a write at once");
                check_held(view, host, process, attempt, "when it became ready")?;
            } else if view.cluster.living(attempt.life).is_some() {
                let due = now + view.spread_after() * 2;
                self.owed.push(Debt { due, since: now, joiner: fact.life, serial: attempt.serial });
            }
        }
        Ok(())
    }
}

fn check_held(view: View<'_>, host: HostId, process: &Process, attempt: &Attempt, when: &str) -> Result<(), Violation> {
    // What has moved may be where this member need not hold it.
    let holds = |key: &SessionKey| process.node.holders(key).contains(&process.life);
    if !view.is_everywhere() && !view.history.places(attempt.ask.key).iter().all(holds) {
        return Ok(());
    }
    let lack = view.history.lack(view.cluster, &process.node, attempt);
    // Where members were apart, one side may know of no use within the idle time. That is judged in the end.
    let together = view.ledger.calm_everywhere(&Trouble::ALL).is_some_and(|calm| calm <= attempt.at);
    let idle = view.history.shortest_idle(view.cluster, &attempt.ask.key).map(shortened);
    let is_excused = !together && idle.is_some_and(|idle| idle <= view.now().since(attempt.at));
    match lack.filter(|_| !is_excused) {
        Some(lack) => {
            let story = format!("{host} joined and lacks {} {when}: {lack}", tale(attempt));
            Err(Violation { promise: Promise::Join, at: view.now(), story })
        }
        None => Ok(()),
    }
}

/// Whether somebody holds the commit who was ready, and never out of reach of the joiner, since that moment, while all
/// others had long found each other.
fn has_keeper(view: View<'_>, attempt: &Attempt, joiner: HostId, since: Moment) -> bool {
    let Told::Durable(_, members) = &attempt.told else { return false };
    let troubles = &[Trouble::Reach, Trouble::Hold, Trouble::Slow];
    let mut holders = [attempt.life].into_iter().chain(members.iter().copied());
    holders.any(|life| {
        view.cluster.living(life).is_some_and(|(host, process)| {
            let reaches = |other: HostId, by: Moment| {
                view.ledger.calm_between(troubles, host, other).is_some_and(|calm| calm <= by)
            };
            let mut others = view.running().map(|(other, _)| other).filter(|other| *other != joiner);
            let found = others.all(|other| reaches(other, since - view.stable_after()));
            process.node.state() == MemberState::Ready && reaches(joiner, since) && found
        })
    })
}

/// A member starts alone only when for all of its patience no ready member could be heard and asked.
fn check_first(view: View<'_>, fact: &Fact) -> Result<(), Violation> {
    let config = view.cluster.config();
    let weather = view.cluster.net().weather();
    let patience = config.join_for.min(config.frequency * 4).max(Duration::from_millis(1));
    if 200 < weather.lost() {
        return Ok(());
    }
    view.cluster.marks.judged("P5 a member starts alone");
    let troubles = &Trouble::ALL;
    let found = view.running().find(|(host, process)| {
        let calm = view.ledger.calm_between(troubles, fact.host, *host);
        let reached = calm.is_some_and(|calm| calm + patience + view.spread_after() <= view.now());
        let settled = process.started + view.stable_after() <= view.now();
        *host != fact.host && process.node.state() == MemberState::Ready && reached && settled && process.left.is_none()
    });
    let Some((host, _)) = found else { return Ok(()) };
    let story = format!("{} starts alone, though {host} is ready and in reach", fact.host);
    Err(Violation { promise: Promise::Join, at: view.now(), story })
}

/// Of joining members that see each other only the one with the lowest id starts alone. Where nothing is lost, and all hear the
/// group, each has heard of each after a few beats.
fn check_lowest(view: View<'_>, fact: &Fact) -> Result<(), Violation> {
    let heard = view.cluster.config().frequency * 4 + view.spread_after();
    if 0 < view.cluster.net().weather().lost() || !view.cluster.discovery.has_group() {
        return Ok(());
    }
    let before = view.now().since(Moment::ZERO).checked_sub(heard).map(|length| Moment::ZERO + length);
    let is_seen = |host: HostId, process: &Process| {
        let calm = view.ledger.calm_between(&Trouble::ALL, fact.host, host);
        let is_long = |since: Moment| before.is_some_and(|before| since <= before);
        host != fact.host && calm.is_some_and(is_long) && is_long(process.started) && process.left.is_none()
    };
    let mut others = view.running().filter(|(host, process)| is_seen(*host, process)).peekable();
    if others.peek().is_some() {
        view.cluster.marks.judged("P5 one of those that start together starts alone");
    }
    let comes_first = |process: &Process| match process.node.state() {
        MemberState::Ready => true,
        MemberState::Joining => process.life < fact.life,
        MemberState::Leaving => false,
    };
    let first = others.find(|(_, process)| comes_first(process));
    Violation::unless(first.is_none(), Promise::Join, view.now(), || {
        let first = first.map(|(host, process)| (host, process.life, process.node.state()));
        format!("{} ({}) starts alone beside {first:?}", fact.host, fact.life)
    })
}
