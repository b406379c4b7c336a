//! Makes a plan that breaks a promise shorter, so that its story can be read: fewer members, faults and commands, a calmer
//! network, settings as by default, rounder moments.
//!
//! Chance is keyed, so what is taken out leaves the fate of all else nearly as it was. But "nearly": a packet fewer is enough
//! for a race to be won. So where much is taken out at once, some other seeds are tried too; what counts is the promise that is
//! broken and not the way. Whole kinds go first, then parts by halves (delta debugging: Zeller and Hildebrandt, 2002).

use core::time::Duration;

use crate::{
    clock::Moment,
    plan::Plan,
    trial::Trial,
    violation::{Promise, Violation},
};

mod simpler;

/// How many other seeds are tried where much is taken out at once.
const LUCK: u64 = 3;

/// Takes out of a plan what it does not need to break the promise that it breaks, in as many runs as `may_run` allows.
/// `None` if it breaks none.
pub fn shrink(plan: &Plan, may_run: impl FnMut() -> bool) -> Option<(Plan, Violation)> {
    shrink_by(plan, |plan| Trial::of(plan).result.err(), may_run)
}

/// The same where something else judges: what it finds must go on being found.
pub fn shrink_by(
    plan: &Plan,
    judge: impl Fn(&Plan) -> Option<Violation>,
    may_run: impl FnMut() -> bool,
) -> Option<(Plan, Violation)> {
    let violation = judge(plan)?;
    let promise = violation.promise;
    let mut shrinker = Shrinker { plan: plan.clone(), violation, promise, judge, may_run };
    loop {
        let before = shrinker.plan.clone();
        // `None` when no more runs are allowed.
        let pass = shrinker.shorten().and_then(|()| shrinker.calm()).and_then(|()| shrinker.thin_out());
        let pass = pass.and_then(|()| shrinker.drop_hosts()).and_then(|()| shrinker.round());
        if pass.is_none() || shrinker.plan == before {
            return Some((shrinker.plan, shrinker.violation));
        }
    }
}

struct Shrinker<J, M> {
    /// The shortest so far, and what it shows.
    plan: Plan,
    violation: Violation,
    promise: Promise,
    judge: J,
    may_run: M,
}

impl<J: Fn(&Plan) -> Option<Violation>, M: FnMut() -> bool> Shrinker<J, M> {
    /// Takes another plan for the shortest if it breaks the same promise; tells whether it does.
    fn take(&mut self, plan: Plan) -> Option<bool> {
        if plan == self.plan {
            return Some(false);
        }
        if !(self.may_run)() {
            return None;
        }
        let found = (self.judge)(&plan).filter(|found| found.promise == self.promise);
        let is_taken = found.is_some();
        if let Some(found) = found {
            (self.plan, self.violation) = (plan, found);
        }
        Some(is_taken)
    }

    /// The same with some other seeds, too.
    fn take_with_luck(&mut self, plan: &Plan) -> Option<bool> {
        for luck in 0..=LUCK {
            let mut plan = plan.clone();
            plan.setup.seed = plan.setup.seed.wrapping_add(luck);
            if self.take(plan)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Nothing happens after what is to be shown, and nobody waits for it.
    fn shorten(&mut self) -> Option<()> {
        let shown_at = self.violation.at;
        let mut plan = self.plan.clone();
        plan.actions.retain(|(at, _)| *at <= shown_at);
        self.take(plan)?;
        let last = self.plan.actions.last().map_or(Moment::ZERO, |(at, _)| *at);
        let healed_at = self.plan.healed_at.min(last + Duration::from_secs(1));
        self.take(Plan { healed_at, ..self.plan.clone() })?;
        Some(())
    }

    /// The network is calm and everything is set as by default, as far as can be.
    fn calm(&mut self) -> Option<()> {
        for calmer in simpler::WORLDS {
            let mut plan = self.plan.clone();
            calmer(&mut plan);
            if plan != self.plan {
                self.take_with_luck(&plan)?;
            }
        }
        Some(())
    }

    /// Whole kinds of actions go, then the actions of one session or between two hosts, then any.
    fn thin_out(&mut self) -> Option<()> {
        for kind in simpler::kinds(&self.plan) {
            let mut plan = self.plan.clone();
            plan.actions.retain(|(_, action)| simpler::kind(action) != kind);
            self.take_with_luck(&plan)?;
        }
        let mut size = self.plan.actions.len().div_ceil(2);
        while 0 < size {
            let mut at = 0;
            let mut is_shorter = false;
            while at < self.plan.actions.len() {
                let mut plan = self.plan.clone();
                let end = (at + size).min(plan.actions.len());
                plan.actions.drain(at..end);
                if self.take(plan)? {
                    is_shorter = true;
                } else {
                    at += size;
                }
            }
            // As long as single actions can go, others may follow.
            size = if size == 1 && is_shorter { 1 } else { size / 2 };
        }
        Some(())
    }

    /// Fewer hosts.
    fn drop_hosts(&mut self) -> Option<()> {
        let mut host = self.plan.setup.hosts;
        while 0 < host && 1 < self.plan.setup.hosts {
            host -= 1;
            let plan = simpler::without_host(&self.plan, host);
            self.take_with_luck(&plan)?;
        }
        Some(())
    }

    /// Commands ask for less, and moments are rounder: all of them at once if that goes, or one after the other.
    fn round(&mut self) -> Option<()> {
        for plainer in simpler::COMMANDS {
            let mut plan = self.plan.clone();
            plan.actions.iter_mut().for_each(|(_, action)| plainer(action));
            if plan != self.plan && !self.take_with_luck(&plan)? {
                for at in 0..self.plan.actions.len() {
                    let mut plan = self.plan.clone();
                    plainer(&mut plan.actions[at].1);
                    self.take(plan)?;
                }
            }
        }
        for grid in [1000, 100, 10].map(Duration::from_millis) {
            let plan = simpler::rounded(&self.plan, grid);
            if plan != self.plan && self.take_with_luck(&plan)? {
                break;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use heirloom_core::{Event, RemovalCause};

    use super::*;
    use crate::{
        cluster::{Fact, What},
        oracles::View,
        own::Invariant,
        plan::Choice,
    };

    /// Whoever is taken for dead because it is silent is a violation here.
    struct NobodyIsSilent;

    impl Invariant for NobodyIsSilent {
        fn name(&self) -> &'static str {
            "nobody is silent"
        }

        fn handle_fact(&mut self, _: View<'_>, fact: &Fact) -> Result<(), String> {
            if let What::Event(Event::MemberRemoved(member, RemovalCause::Silent)) = &fact.what {
                return Err(member.to_string());
            }
            Ok(())
        }
    }

    #[test]
    fn most_findings_end_with_few_faults_and_commands() {
        let judge = |plan: &Plan| Trial::judged(plan, vec![Box::new(NobodyIsSilent)]).result.err();
        let mut short = 0;
        let found: Vec<u64> = (0..60).filter(|seed| judge(&Plan::draw(*seed, Choice::Any)).is_some()).take(6).collect();
        assert_eq!(found.len(), 6);
        for seed in &found {
            let plan = Plan::draw(*seed, Choice::Any);
            let mut runs = 0;
            let few = || {
                runs += 1;
                runs < 400
            };
            let (shortest, violation) = shrink_by(&plan, judge, few).expect("it breaks it");
            assert_eq!(judge(&shortest), Some(violation));
            let commands = shortest.actions.iter().filter(|(_, action)| action.is_of_a_client()).count();
            let faults = shortest.actions.len() - commands;
            short += u32::from(commands == 0 && faults <= 2 + usize::from(shortest.setup.hosts));
        }
        assert!(5 <= short, "{short} of 6");
    }
}
