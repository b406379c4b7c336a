//! All that may happen in a small world: every order of a few requests, faults and packets, one run for each.
//!
//! Members that know each other and hold one session meet a few requests and faults within a short time. Which member a
//! request goes to and what it asks, whether each packet that is sent in that time comes at once, after all others or never,
//! after which arrival the next request comes and the next fault happens, which one, and to whom: that is chosen, and every
//! choice is made in some run. Then all faults end, and each run is judged to its end like any other.
//!
//! A run is left when it comes to a state that another run has come to: when the members that still run have heard the same
//! at the same moments, the same is under way, clients were told the same, and the same is still to be chosen. What judges
//! have noted besides is not compared: when exactly a member died, for one.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use heirloom_core::{Config, Copies, Durability};

use crate::{
    action::{Action, Setup},
    ask::{Ask, Start},
    clients,
    clock::Moment,
    net::{HostId, LastBytes},
    places::{Discovery, Places},
    plan::Plan,
    run::{Report, aftermath},
    sim::Sim,
    trail::digest_of,
    trial::Trial,
    violation::Violation,
    walk::Walk,
    weather::Weather,
};

/// When choices begin: members are ready and a session is held by those who must.
const FROM: Moment = Moment::from_nanos(5_000_000_000);
/// How long they may be put off, until no beat is due while they are made.
const LOOK: Duration = Duration::from_secs(2);
/// How long they go on.
const SPAN: Duration = Duration::from_millis(50);
/// What is late comes after what is not, and after the answers to that.
const LATE: Duration = Duration::from_millis(10);
/// Packets are chosen about that are sent so soon after a request or a fault: those of the talk that follows it at once.
const NEAR: Duration = Duration::from_millis(2);
/// How long after them all faults end: members have noticed what happened by then.
const NOTICED: Duration = Duration::from_secs(4);

/// A small world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// How many members.
    pub members: u16,
    /// How many requests.
    pub operations: u16,
    /// How many faults at most.
    pub faults: u16,
    /// How many packets may come late or never.
    pub packets: u16,
    /// How sessions are copied.
    pub copies: Copies,
}

/// What was seen of a world.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// How many runs there were to the end.
    pub runs: u64,
    /// How many of these differ in what members sent and told and when, or in what clients were told.
    pub histories: u64,
    /// How many were left because they came to what another had come to.
    pub merged: u64,
    /// How many choices the longest run had.
    pub choices: usize,
    /// How many beginnings nobody has followed: zero if that was all.
    pub left: usize,
    /// What breaks a promise, and how.
    pub found: Option<(Plan, Violation)>,
}

/// What the threads have in common.
#[derive(Default)]
struct Board {
    /// The beginnings that are to be followed.
    left: Vec<Vec<u16>>,
    /// How many are being followed.
    busy: usize,
    explored: Explored,
    digests: BTreeSet<u64>,
}

impl World {
    /// Follows everything that may happen, on so many threads, until something breaks a promise or `may_go_on` says no; it
    /// hears how many runs there were.
    pub fn explore(&self, jobs: usize, may_go_on: impl Fn(u64) -> bool + Sync) -> Explored {
        let board = Mutex::new(Board { left: vec![Vec::new()], ..Board::default() });
        let (states, runs) = (Mutex::new(BTreeSet::new()), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| {
                    while may_go_on(runs.load(Ordering::Relaxed)) {
                        match take(&board) {
                            Taken::Told(told) => {
                                self.follow(told, &states, &board);
                                runs.fetch_add(1, Ordering::Relaxed);
                            }
                            Taken::Later => thread::yield_now(),
                            Taken::Nothing => return,
                        }
                    }
                });
            }
        });
        let Board { left, explored, digests, .. } = board.into_inner().unwrap_or_else(PoisonError::into_inner);
        let histories = u64::try_from(digests.len()).unwrap_or(u64::MAX);
        Explored { left: left.len(), histories, ..explored }
    }

    /// One run, from a beginning on.
    fn follow(&self, told: Vec<u16>, states: &Mutex<BTreeSet<u64>>, board: &Mutex<Board>) {
        let mut plan = self.plan();
        let mut sim = Sim::new(plan.setup.clone());
        sim.cluster().net().choices().begin_walk(Walk::new(told, usize::from(self.packets)));
        let mut is_merged = false;
        let trial = Trial::during(&mut sim, |sim| {
            let mut roaming =
                Roaming { world: self, sim, plan: &mut plan, states, operations: 0, faults: 0, acted_at: FROM };
            is_merged = !roaming.roam()?;
            if is_merged { Ok(Report::default()) } else { aftermath(roaming.sim, roaming.plan) }
        });
        let walk = sim.cluster().net().choices().end_walk().unwrap_or_default();
        plan.packets.clone_from(walk.packets());
        let mut board = lock(board);
        board.busy -= 1;
        board.left.extend(walk.others());
        board.explored.choices = board.explored.choices.max(walk.asked());
        if is_merged {
            board.explored.merged += 1;
            return;
        }
        board.explored.runs += 1;
        let told: Vec<_> = sim.history().attempts().map(|attempt| &attempt.told).collect();
        board.digests.insert(digest_of(&(sim.cluster().digest(), sim.events(), told)));
        if let Err(violation) = trial.result
            && board.explored.found.is_none()
        {
            board.explored.found = Some((plan, violation));
        }
    }

    /// The world before anything is chosen.
    fn plan(&self) -> Plan {
        let config = Config {
            copies: self.copies,
            drop_time: Duration::from_secs(1),
            probe_time: Duration::from_millis(300),
            join_for: Duration::from_secs(1),
            idle: Duration::from_secs(3),
            ended_for: Duration::from_secs(12),
            leave_for: Duration::from_secs(3),
            // What nobody repairs is seen.
            digest_every: Duration::ZERO,
            ..Config::default()
        };
        let setup = Setup {
            seed: 1,
            hosts: self.members,
            config,
            own: BTreeMap::new(),
            weather: Weather { loopback: false, ..Weather::calm() },
            discovery: Discovery::Group,
            places: Places::Alike,
            is_plain: true,
        };
        let mut actions: Vec<(Moment, Action)> =
            (0..self.members).map(|host| (Moment::ZERO, Action::Start(HostId(host)))).collect();
        actions.push((
            FROM_CLIENT,
            Action::Commit(HostId(0), Ask { start: Start::Anew, ..Ask::set(clients::key(1), 0, Durability::All) }),
        ));
        let healed_at = FROM + SPAN + NOTICED;
        let (packets, triggers) = (BTreeMap::new(), Vec::new());
        Plan { setup, actions, packets, triggers, healed_at, forgets: false }
    }

    /// What a client may ask.
    fn operations(&self) -> Vec<Action> {
        let key = clients::key(1);
        let asks = [Ask::set(key, 0, Durability::All), Ask::end(key, Durability::All)];
        let hosts = (0..self.members).map(HostId);
        hosts.flat_map(|host| asks.clone().map(|ask| Action::Commit(host, ask))).collect()
    }

    /// What the world may do.
    fn faults(&self, sim: &Sim) -> Vec<Vec<Action>> {
        let awake: Vec<HostId> =
            sim.cluster().running().filter(|(_, process)| !process.is_asleep).map(|(host, _)| host).collect();
        let mut faults = Vec::new();
        for (at, host) in awake.iter().copied().enumerate() {
            // Somebody goes on.
            if 1 < awake.len() {
                let of_one = [
                    Action::Kill(host, LastBytes::Lost),
                    Action::PowerOff(host),
                    Action::Leave(host),
                    Action::Pause(host),
                ];
                faults.extend(of_one.map(|action| vec![action]));
            }
            for other in awake[at + 1..].iter().copied() {
                faults.push(vec![Action::Break(host, other)]);
                faults.push(vec![Action::Cut(host, other), Action::Cut(other, host)]);
            }
        }
        faults
    }
}

/// When the session is made that requests are about.
const FROM_CLIENT: Moment = Moment::from_nanos(4_000_000_000);

/// What a thread finds to do.
enum Taken {
    Told(Vec<u16>),
    /// Others may leave something to do.
    Later,
    Nothing,
}

fn take(board: &Mutex<Board>) -> Taken {
    let mut board = lock(board);
    if board.explored.found.is_some() {
        return Taken::Nothing;
    }
    match board.left.pop() {
        Some(told) => {
            board.busy += 1;
            Taken::Told(told)
        }
        None if board.busy == 0 => Taken::Nothing,
        None => Taken::Later,
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run in which things are chosen.
struct Roaming<'a> {
    world: &'a World,
    sim: &'a mut Sim,
    /// What has been chosen, as a plan.
    plan: &'a mut Plan,
    states: &'a Mutex<BTreeSet<u64>>,
    /// How many there were.
    operations: u16,
    faults: u16,
    /// When the last of them was.
    acted_at: Moment,
}

impl Roaming<'_> {
    /// Lets everything be chosen; false when this run came to what another has come to.
    fn roam(&mut self) -> Result<bool, Violation> {
        for (at, action) in self.plan.actions.clone() {
            self.sim.run_until(at)?;
            self.sim.act(action)?;
        }
        self.settle()?;
        self.sim.cluster_mut().trail.begin();
        let until = self.sim.now() + SPAN;
        self.plan.healed_at = until + NOTICED;
        loop {
            let is_over = until <= self.sim.now();
            loop {
                if self.is_known() {
                    return Ok(false);
                }
                let Some(actions) = self.choose(is_over) else { break };
                for action in actions {
                    self.act(action)?;
                }
            }
            if is_over {
                break;
            }
            let heard = self.sim.cluster().trail.count();
            while self.sim.now() < until && self.sim.cluster().trail.count() == heard {
                let soon = self.sim.now() + Duration::from_nanos(1);
                let next = self.sim.cluster().next_at().unwrap_or(until);
                let is_near = next <= self.acted_at + NEAR;
                self.ask(|walk| walk.set_late(is_near.then_some(LATE)));
                self.sim.run_until(next.max(soon).min(until))?;
            }
        }
        self.ask(|walk| walk.set_late(None));
        Ok(true)
    }

    /// Waits until nothing happens by itself for as long as things are chosen: beats would be chosen about otherwise.
    fn settle(&mut self) -> Result<(), Violation> {
        let mut at = FROM;
        while at < FROM + LOOK {
            self.sim.run_until(at)?;
            match self.sim.cluster().next_at().filter(|next| *next <= at + SPAN) {
                Some(next) => at = next.max(at + Duration::from_nanos(1)),
                None => break,
            }
        }
        Ok(())
    }

    /// What happens next at this moment; `None` if time goes on.
    fn choose(&mut self, is_over: bool) -> Option<Vec<Action>> {
        let may_ask = self.operations < self.world.operations;
        let faults = if self.faults < self.world.faults { self.world.faults(self.sim) } else { Vec::new() };
        let is_quiet = self.sim.cluster().net().poll_timeout().is_none();
        // Whoever waits waits for something.
        let may_wait = !may_ask || !is_quiet && !is_over;
        let count = |is: bool| u16::from(is);
        let of = count(may_wait) + count(may_ask) + u16::try_from(faults.len()).unwrap_or(u16::MAX);
        let answer = self.ask(|walk| walk.ask(of));
        let answer = match may_wait {
            true if answer == 0 => return None,
            true => answer - 1,
            false => answer,
        };
        if may_ask && answer == 0 {
            self.operations += 1;
            let operations = self.world.operations();
            let which = self.ask(|walk| walk.ask(u16::try_from(operations.len()).unwrap_or(u16::MAX)));
            return operations.into_iter().nth(usize::from(which)).map(|action| vec![action]);
        }
        self.faults += 1;
        faults.into_iter().nth(usize::from(answer - count(may_ask)))
    }

    fn act(&mut self, action: Action) -> Result<(), Violation> {
        let now = self.sim.now();
        let at = if let Action::Commit(prefer, _) = &action {
            self.sim.serving(*prefer).into_iter().collect()
        } else {
            action.hosts()
        };
        self.plan.actions.push((now, action.clone()));
        self.acted_at = now;
        self.ask(|walk| walk.set_late(Some(LATE)));
        let told = format!("{action:?}");
        self.sim.act(action)?;
        for host in at {
            self.sim.cluster_mut().trail.note(now, host, &told);
        }
        Ok(())
    }

    /// Whether another run has come to where this one is.
    fn is_known(&mut self) -> bool {
        if !self.ask(|walk| walk.is_new()) {
            return false;
        }
        let cluster = self.sim.cluster();
        let hosts: Vec<(HostId, u64)> = cluster.running().map(|(host, _)| (host, cluster.trail.heard(host))).collect();
        let told: Vec<_> = self.sim.history().attempts().map(|attempt| (attempt.serial, &attempt.told)).collect();
        let state = (hosts, told, cluster.net().under_way(), self.operations, self.faults, self.sim.now());
        !lock(self.states).insert(digest_of(&state))
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut Walk) -> T) -> T {
        self.sim.cluster().net().choices().walking(ask).expect("a walk decides")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_of_one_request_is_walked_to_its_end() {
        let world = World { members: 2, operations: 1, faults: 0, packets: 9, copies: Copies::Everywhere };
        let explored = world.explore(1, |_| true);
        assert!(explored.found.is_none(), "{:?}", explored.found);
        assert_eq!(explored.left, 0);
        assert!(1 < explored.histories && explored.histories <= explored.runs, "{explored:?}");
    }

    #[test]
    fn what_was_chosen_happens_again_from_its_plan() {
        let world = World { members: 2, operations: 1, faults: 1, packets: 2, copies: Copies::Everywhere };
        let states = Mutex::new(BTreeSet::new());
        let mut left = vec![Vec::new()];
        for number in 0..60 {
            let Some(told) = left.pop() else { break };
            let mut plan = world.plan();
            let mut sim = Sim::new(plan.setup.clone());
            sim.cluster().net().choices().begin_walk(Walk::new(told, usize::from(world.packets)));
            let mut roaming = Roaming {
                world: &world,
                sim: &mut sim,
                plan: &mut plan,
                states: &states,
                operations: 0,
                faults: 0,
                acted_at: FROM,
            };
            let is_new = roaming.roam() == Ok(true);
            let result = aftermath(&mut sim, &plan);
            let walk = sim.cluster().net().choices().end_walk().unwrap();
            left.extend(walk.others());
            plan.packets.clone_from(walk.packets());
            if is_new && number % 6 == 0 {
                assert_eq!(Trial::of(&plan).result, result);
            }
        }
    }
}
