//! Two runs that differ only in what wall clocks show: members must decide the same.
//!
//! A wall clock makes stamps, and stamps alone, and these order what members wrote to one session at the same time. So of each
//! session only the first write is left, and then nothing may differ but the stamps themselves: the same kinds of things are
//! sent at the same moments by the same members, these add, suspect and remove the same others, clients are told the same, and
//! the same sessions end for the same causes. Not compared are the bytes that are sent, which hold the stamps; that a clock is
//! ahead, which is told of wall clocks; and how often a driver says what its wall clock shows.

use std::collections::BTreeSet;

use heirloom_core::Event;

use crate::{
    action::Action,
    ask::Start,
    chance::{Chance, Purpose},
    clock::signed,
    plan::Plan,
    sim::Sim,
    trial::{Difference, Trial},
};

/// How far apart wall clocks are set.
const HOURS: i64 = 5 * 3_600_000;

/// The first thing that members decide otherwise when all wall clocks are set otherwise; `None` if there is none.
pub fn wall_difference(plan: &Plan) -> Option<Difference> {
    let steady = steady(plan);
    let [one, other] = [decisions(&steady, false), decisions(&steady, true)];
    let alike = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    if alike == one.len() && alike == other.len() {
        return None;
    }
    let next = [one, other].map(|seen| seen.get(alike).cloned().unwrap_or("nothing more".into()));
    Some(Difference { after: u64::try_from(alike).unwrap_or(u64::MAX), next })
}

/// The same plan with no steps of wall clocks, and one write at most for each session and name.
fn steady(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let (mut written, mut named) = (BTreeSet::new(), BTreeSet::new());
    plan.actions.retain(|(_, action)| {
        if let Action::Commit(_, ask) = action {
            ask.moves_to.is_none() && ask.start != Start::End && written.insert(ask.key)
        } else if let Action::SetName(_, name, _) = action {
            named.insert(*name)
        } else {
            !matches!(action, Action::StepWall(..) | Action::RemoveName(..))
        }
    });
    plan
}

/// All that members decide, in its order.
fn decisions(plan: &Plan, is_apart: bool) -> Vec<String> {
    let mut plan = plan.clone();
    let mut sim = Sim::new(plan.setup.clone());
    if is_apart {
        let mut draws = Chance::new(plan.setup.seed).draws(Purpose::Clock, 0, 0, 1);
        for host in sim.cluster().all() {
            sim.cluster_mut().set_wall(host, signed(&mut draws, HOURS));
            let at = plan.setup.clients_from()
                + draws.duration(core::time::Duration::ZERO, plan.healed_at.since(plan.setup.clients_from()));
            plan.actions.push((at, Action::StepWall(host, signed(&mut draws, HOURS))));
        }
        plan.actions.sort_by_key(|(at, _)| *at);
    }
    sim.cluster_mut().sent.begin_shapes();
    let trial = Trial::on(&mut sim, &plan);
    let events = sim.events().iter().filter(|(_, _, event)| !matches!(event, Event::ClockAhead(..)));
    let mut decisions: Vec<(crate::Moment, String)> =
        events.map(|(at, host, event)| (*at, format!("{host} at {at}: {event:?}"))).collect();
    decisions.extend(sim.cluster().sent().shapes().iter().cloned());
    decisions.sort_by_key(|(at, _)| *at);
    let mut decisions: Vec<String> = decisions.into_iter().map(|(_, what)| what).collect();
    let told = sim.history().attempts().map(|attempt| format!("#{} {:?}", attempt.serial.0, attempt.told));
    decisions.extend(told);
    decisions.push(format!("its end, {:?}", trial.result.map(|report| report.quiet_after)));
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Choice;

    #[test]
    fn members_decide_the_same_whatever_wall_clocks_show() {
        for seed in 0..4 {
            assert_eq!(wall_difference(&Plan::draw(seed, Choice::Any)), None, "seed {seed}");
        }
    }
}
