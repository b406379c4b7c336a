//! P9: members that reach each other list each other, nobody lists the dead for long, and nobody alive is evicted for
//! lost messages. Every removal must be justified by something that the world really did.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Event, MemberId, MemberState, RemovalCause};

use crate::{
    clock::Moment,
    cluster::{Fact, What},
    history::lengthened,
    ledger::Trouble,
    net::HostId,
    oracles::{SLACK, View},
    violation::{Promise, Violation},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Agreement;

impl Agreement {
    pub(crate) fn handle_fact(&self, view: View<'_>, fact: &Fact) -> Result<(), Violation> {
        if let What::Event(Event::MemberSuspect(id, RemovalCause::Silent)) = &fact.what {
            return blames_for_its_sleep(view, fact, *id);
        }
        let What::Event(Event::MemberRemoved(id, cause)) = &fact.what else { return Ok(()) };
        let Some(removed) = view.cluster.host_of(*id) else { return Ok(()) };
        let is_alive = view.cluster.living(*id).is_some();
        let rule = if is_alive { "P9 a live member is removed with an excuse" } else { "P9 a dead member is removed" };
        view.cluster.marks.judged(rule);
        let justified = match cause {
            RemovalCause::Left => view.ledger.was_asked_to_leave(*id),
            RemovalCause::Superseded => view.cluster.host(removed).lives.last() != Some(id),
            RemovalCause::Silent | RemovalCause::Broken | RemovalCause::Refused => {
                !is_alive || has_excuse(view, fact.host, removed, *cause)
            }
        };
        let story = || format!("{} removes {removed} ({id}) as {cause:?}, and nothing justifies it", fact.host);
        Violation::unless(justified, Promise::Agreement, view.now(), story)
    }

    pub(crate) fn check(&self, view: View<'_>) -> Result<(), Violation> {
        if let Some((by, host, id)) = listed_dead(view) {
            let story = format!("{by} lists {host} ({id}), which is dead for longer than that takes to see");
            return Err(Violation { promise: Promise::Agreement, at: view.now(), story });
        }
        let is_due = view.ledger.calm_everywhere(&Trouble::ALL).is_some_and(|since| {
            let rounds = if is_lossy(view) { 3 } else { 1 };
            since + view.stable_after() * rounds <= view.now()
        });
        if is_due {
            view.cluster.marks.judged("P9 a view in calm is due");
        }
        match self.dissent(view).or_else(|| unseen(view)).filter(|_| is_due) {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    /// Who does not list whom as ready, or lists whom it should not.
    pub(crate) fn unrest(&self, view: View<'_>) -> Option<Violation> {
        self.dissent(view).or_else(|| unseen(view)).or_else(|| {
            view.running().find_map(|(host, process)| {
                let other = process.node.members().find(|other| other.suspect || other.state != MemberState::Ready)?;
                let story = format!("{host} lists {} as {:?}, suspect: {}", other.id, other.state, other.suspect);
                Some(Violation { promise: Promise::Agreement, at: view.now(), story })
            })
        })
    }

    fn dissent(&self, view: View<'_>) -> Option<Violation> {
        let wrong = |story| Some(Violation { promise: Promise::Agreement, at: view.now(), story });
        for (host, process) in view.running() {
            let listed: Vec<MemberId> = process.node.members().map(|member| member.id).collect();
            if !process.has_lagged && !process.listed.iter().eq(sorted(&listed).iter()) {
                return wrong(format!("{host} lists {listed:?}, its events say {:?}", process.listed));
            }
            let others = view.running().filter(|(other, _)| *other != host);
            for (other, life) in others.map(|(other, process)| (other, process.life)) {
                if !listed.contains(&life) {
                    return wrong(format!("{host} does not list {other} ({life})"));
                }
            }
            if let Some(id) = listed.iter().find(|id| view.cluster.living(**id).is_none()) {
                return wrong(format!("{host} lists {id}, which is dead"));
            }
        }
        None
    }
}

/// Who wakes up blames nobody for the silence of its own sleep: it suspects no member that lives and that it heard until it fell
/// asleep.
fn blames_for_its_sleep(view: View<'_>, fact: &Fact, id: MemberId) -> Result<(), Violation> {
    let slept = view.cluster.living(fact.life).and_then(|(_, process)| process.slept);
    let (Some((since, Some(woke))), Some((other, _))) = (slept, view.cluster.living(id)) else { return Ok(()) };
    let drop_time = lengthened(view.cluster.config().drop_time);
    if woke < since + drop_time {
        return Ok(());
    }
    view.cluster.marks.judged("P9 who has slept suspects another");
    let is_due = view.now() <= woke + AT_ONCE && view.cluster.net().weather().lost() <= FEW_LOST;
    let calm = view.ledger.calm_towards(&Trouble::ALL, fact.host, other).is_some_and(|calm| calm + drop_time <= since);
    let story =
        || format!("{} suspects {other} ({id}) for its silence, and has slept itself since {since:?}", fact.host);
    Violation::unless(!(is_due && calm), Promise::Agreement, view.now(), story)
}

/// What a member does as it wakes up.
const AT_ONCE: Duration = Duration::from_millis(10);
/// So few of a thousand datagrams lost leave some of those of a drop time.
const FEW_LOST: u64 = 50;

/// A member of another domain that is not seen, or one that is and should not be.
fn unseen(view: View<'_>) -> Option<Violation> {
    let others = view.cluster.running().filter(|(other, _)| !view.sees(*other));
    let others: BTreeSet<MemberId> = others.map(|(_, process)| process.life).collect();
    view.running().find_map(|(host, process)| {
        let seen: BTreeSet<MemberId> = process.node.neighbors().map(|neighbor| neighbor.id).collect();
        let told = &process.neighbors;
        let fits = seen == others && (process.has_lagged || seen == *told);
        let story = format!("{host} sees {seen:?} of other domains, its events say {told:?}, there are {others:?}");
        (!fits).then_some(Violation { promise: Promise::Agreement, at: view.now(), story })
    })
}

/// Whether something happened between the two that may look like a death.
fn has_excuse(view: View<'_>, by: HostId, removed: HostId, cause: RemovalCause) -> bool {
    let config = view.cluster.config();
    let patience = lengthened(config.drop_time + config.probe_time) + config.frequency * 2 + SLACK;
    let lossless = view.ledger.calm_everywhere(&[Trouble::Loss]).is_some_and(|since| since + patience <= view.now());
    let mut troubles = vec![Trouble::Reach, Trouble::Slow];
    if cause == RemovalCause::Broken {
        // Who gives signs of life but can be brought nothing is no member for long.
        troubles.push(Trouble::Hold);
    }
    let weather = view.cluster.net().weather();
    let way = weather.delay_max.max(weather.delay_tail) + weather.quantum;
    if !lossless || is_lossy(view) {
        // Without a loss the datagrams of a probe pass, whatever becomes of the streams. With one the answer in a stream counts,
        // and that comes after all that was written before it: on a narrow wire it may take longer than a suspect has.
        troubles.extend([Trouble::Break, Trouble::Hold, Trouble::Narrow]);
        if config.probe_time <= way * 2 {
            // An answer may take longer than a suspect has.
            troubles.push(Trouble::Loss);
        }
    }
    // On a narrow wire a question waits, and so does its answer.
    if config.probe_time <= (way + view.cluster.net().wires().waited_max()) * 2 {
        troubles.push(Trouble::Narrow);
    }
    view.ledger.calm_between(&troubles, by, removed).is_none_or(|since| view.now() < since + patience)
}

fn is_lossy(view: View<'_>) -> bool {
    0 < view.cluster.net().weather().lost()
}

/// Somebody who lists a member that has been dead for longer than that takes to see.
fn listed_dead(view: View<'_>) -> Option<(HostId, HostId, MemberId)> {
    let dead: BTreeMap<MemberId, Moment> = view.ledger.deaths().iter().map(|(at, life)| (*life, *at)).collect();
    view.running().find_map(|(host, process)| {
        let asleep = &[Trouble::Reach, Trouble::Slow];
        let awake_since = view.ledger.calm_between(asleep, host, host)?;
        let awake = awake_since + view.gone_after() <= view.now();
        let listed = process.node.members().filter(|_| awake).filter_map(|member| {
            let at = dead.get(&member.id)?;
            Some((member.id, view.cluster.host_of(member.id)?, *at))
        });
        let mut late = listed.filter(|(_, of, at)| {
            // What it had sent came when its stream moved again; on a narrow wire it comes bit by bit, each a sign of life.
            let narrow = view.ledger.calm_between(&[Trouble::Narrow], host, *of);
            let came = narrow.map(|narrow| narrow.max(view.ledger.released_between(host, *of)).max(*at));
            came.is_some_and(|came| came + view.gone_after() <= view.now())
        });
        late.next().map(|(member, of, _)| (host, of, member))
    })
}

fn sorted(ids: &[MemberId]) -> Vec<MemberId> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}
