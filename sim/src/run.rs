//! A whole run of a plan: traffic under faults; calm, in which everything must become equal; a fresh write on every
//! member; and idleness, until nothing is left.

use core::time::Duration;

use heirloom_core::{Durability, Lifetime};

use crate::{
    action::Action,
    ask::{Ask, Serial},
    clients,
    clock::Moment,
    history::{Shown, Told, lengthened},
    net::HostId,
    oracles::{Oracles, Read, View, limits},
    plan::{Plan, healed},
    requests::Answer,
    sim::Sim,
    trial::Trial,
    violation::{Promise, Violation},
};

/// The sessions that test writes go to: no client knows them.
const FRESH: u64 = 1 << 32;

/// What a run that kept all promises has to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// A hash of everything that was sent.
    pub digest: u64,
    /// The inputs of all nodes.
    pub events: u64,
    /// How much virtual time has passed.
    pub simulated: Duration,
    /// The commits that members took.
    pub commits: u64,
    /// How long after the last fault everything was equal.
    pub quiet_after: Duration,
}

/// Runs a plan. A panic is a violation like others (P7).
///
/// # Errors
///
/// The first promise that was broken.
pub fn run(plan: &Plan) -> Result<Report, Violation> {
    Trial::of(plan).result
}

pub(crate) fn phases(sim: &mut Sim, plan: &Plan) -> Result<Report, Violation> {
    if plan.forgets {
        sim.oracles_mut().allow_forgetting();
    }
    sim.cluster().net().choices().say(&plan.packets);
    sim.wait(&plan.triggers);
    for (at, action) in &plan.actions {
        sim.run_until(*at)?;
        sim.act(action.clone())?;
    }
    aftermath(sim, plan)
}

/// All faults end, and everything must become equal, and then end.
pub(crate) fn aftermath(sim: &mut Sim, plan: &Plan) -> Result<Report, Violation> {
    sim.run_until(plan.healed_at)?;
    sim.cluster().net().choices().end();
    sim.end_waiting();
    sim.act(Action::Heal(healed(&plan.setup.weather)))?;
    let healed_at = sim.now();
    wait_until_quiet(sim)?;
    let quiet_after = sim.now().since(healed_at);
    check_silence(sim)?;
    read_everywhere(sim)?;
    write_everywhere(sim)?;
    run_empty(sim)?;
    sim.check_over()?;
    let counts = sim.cluster().counts();
    let commits = u64::try_from(sim.history().attempts().count()).unwrap_or(u64::MAX);
    let (digest, simulated) = (sim.cluster().digest(), sim.now().since(Moment::ZERO));
    Ok(Report { digest, events: counts.inputs, simulated, commits, quiet_after })
}

/// How long a healed cluster may take until all members are ready, listed and equal.
pub(crate) fn quiet_bound(view: View<'_>) -> Duration {
    let config = view.cluster.config();
    // A member that was just asked to leave, one that just starts alone, one that then joins the others.
    let phases = config.leave_for + config.join_for * 2 + view.stable_after() + view.cluster.net().weather().stall_max;
    lengthened(phases) + view.spread_after() * 4 + view.placed_after()
}

/// Waits until all members are equal, and judges them.
///
/// # Errors
///
/// What differs when the bound is over, or what was lost.
pub fn wait_until_quiet(sim: &mut Sim) -> Result<(), Violation> {
    let until = sim.now() + quiet_bound(sim.view());
    sim.wait_for(until, Oracles::unrest)?;
    sim.check_quiet()
}

/// Members that nobody asks for anything have little to say to each other: what answers an answer never ends.
fn check_silence(sim: &mut Sim) -> Result<(), Violation> {
    let hosts = sim.cluster().running().count();
    // Sessions expire meanwhile, and what moves is told.
    let most = u64::try_from(hosts * 4 + sim.history().stories().count() * 6).unwrap_or(u64::MAX);
    for _ in 0..6 {
        let before = sim.cluster().counts().writes;
        sim.run_until(sim.now() + Duration::from_millis(500))?;
        if sim.cluster().counts().writes - before <= most {
            return Ok(());
        }
    }
    let story = "members write to each other all the time, though nobody asks for anything".into();
    Err(Violation { promise: Promise::Calm, at: sim.now(), story })
}

/// Looks at every session on every member: nothing that there is may be missing.
fn read_everywhere(sim: &mut Sim) -> Result<(), Violation> {
    if sim.view().is_everywhere() {
        return Ok(());
    }
    let hosts: Vec<HostId> = sim.cluster().running().map(|(host, _)| host).collect();
    let keys: Vec<_> = sim.history().stories().map(|(key, _)| *key).collect();
    let mut asked = Vec::new();
    for (host, key) in hosts.iter().flat_map(|host| keys.iter().map(move |key| (*host, *key))) {
        let asked_at = sim.now();
        asked.extend(sim.read(host, key)?.map(|question| (host, key, asked_at, question)));
    }
    let until = sim.now() + sim.view().spread_after();
    sim.wait_for(until, |_, _| None)?;
    for (host, key, asked_at, question) in asked {
        let shown = match sim.answer(question) {
            Some(Answer::Shown(shown)) => Some(shown.clone()),
            Some(Answer::Unknown) => Some(Shown::new()),
            Some(Answer::Late) | None => None,
        };
        sim.oracles().check_answer(sim.view(), &Read { host, key, asked_at, shown })?;
    }
    Ok(())
}

/// Writes on every member; each write must be acknowledged by all who must hold it.
fn write_everywhere(sim: &mut Sim) -> Result<(), Violation> {
    let hosts: Vec<HostId> = sim.cluster().running().map(|(host, _)| host).collect();
    let mut written: Vec<(HostId, Serial)> = Vec::new();
    for host in hosts {
        let ask = Ask::set(clients::key(FRESH + u64::from(host.0)), 0, Durability::All);
        match sim.commit(host, ask)? {
            Some(serial) => written.push((host, serial)),
            None if limits::may_be_full(sim.view(), host) => {}
            None => {
                let story = format!("{host} takes no commit in calm");
                return Err(Violation { promise: Promise::Turn, at: sim.now(), story });
            }
        }
    }
    let until = sim.now() + sim.view().spread_after();
    sim.wait_for(until, |_, view| written.iter().find_map(|(host, serial)| missing(view, *host, *serial)))?;
    wait_until_quiet(sim)
}

/// Why a write in calm is not yet what it should be.
fn missing(view: View<'_>, host: HostId, serial: Serial) -> Option<Violation> {
    let Some(attempt) = view.history.attempt(serial) else {
        if limits::may_be_full(view, host) {
            return None;
        }
        let story = format!("#{} is not taken in calm", serial.0);
        return Some(Violation { promise: Promise::Durable, at: view.now(), story });
    };
    let (_, writer) = view.cluster.living(attempt.life)?;
    let others = writer.node.holders(&attempt.ask.key).iter().filter(|holder| **holder != attempt.life).count();
    let story = match &attempt.told {
        Told::Durable(_, members) if members.len() == others => return None,
        // Nothing is durable because nobody is left to ask.
        Told::NotDurable if others == 0 => return None,
        told @ (Told::Pending | Told::Durable(..) | Told::NotDurable | Told::Unknown) => {
            format!("a write on {} in calm, for {others} others: {told:?}", attempt.host)
        }
    };
    Some(Violation { promise: Promise::Durable, at: view.now(), story })
}

/// A commit of which its client does not know yet what became of it.
fn undecided(_: &Oracles, view: View<'_>) -> Option<Violation> {
    let attempt = view.history.pending().next()?;
    let story = format!("{} has not told what became of #{}", attempt.host, attempt.serial.0);
    Some(Violation { promise: Promise::Turn, at: view.now(), story })
}

/// Ends what never expires, and waits until every member has forgotten everything.
fn run_empty(sim: &mut Sim) -> Result<(), Violation> {
    let never: Vec<_> =
        sim.view().history.attempts().filter(|attempt| attempt.ask.lifetime == Some(Lifetime::Never)).collect();
    let places = never.into_iter().flat_map(|attempt| sim.history().kin(attempt.ask.key));
    let keys: std::collections::BTreeSet<_> = places.collect();
    for key in keys {
        sim.act(Action::Commit(HostId(0), Ask::end(key, Durability::All)))?;
        // A member takes only so many commits at once.
        sim.wait_for(sim.now() + sim.view().spread_after(), undecided)?;
    }
    let (gone_at, empty_at) = sim.oracles().empty_at(sim.view());
    sim.wait_for(gone_at, Oracles::still_live)?;
    sim.wait_for(empty_at, Oracles::remains)
}
