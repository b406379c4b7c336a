//! Makes a plan that breaks a promise shorter, so that its story can be read: fewer members, faults and commands, a calmer
//! network, settings as by default, rounder moments.
//!
//! Chance is keyed, so what is taken out leaves the fate of all else nearly as it was. But "nearly": a packet fewer is enough
//! for a race to be won. So where much is taken out at once, some other seeds are tried too; what counts is the promise that is
//! broken and not the way. Whole kinds go first, then parts by halves (delta debugging: Zeller and Hildebrandt, 2002).

use core::{ops::Range, time::Duration};

use crate::{
    clock::Moment,
    plan::Plan,
    trial::Trial,
    violation::{Promise, Violation},
};

mod draft;
mod simpler;

pub(crate) use draft::Draft;

/// How many other seeds are tried where much is taken out at once.
const LUCK: u64 = 3;
/// A story is no longer told by more packets than this, but by the weather.
const PACKETS_MAX: usize = 8;

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
    let (draft, violation) = shrink_draft(plan, |draft| judge(&draft.plan), may_run)?;
    Some((draft.plan, violation))
}

/// The same where who judges must know what is left of the plan.
pub(crate) fn shrink_draft(
    plan: &Plan,
    judge: impl Fn(&Draft) -> Option<Violation>,
    may_run: impl FnMut() -> bool,
) -> Option<(Draft, Violation)> {
    let draft = Draft::whole(plan);
    let violation = judge(&draft)?;
    let promise = violation.promise;
    let mut shrinker = Shrinker { draft, violation, promise, judge, may_run };
    loop {
        let before = shrinker.draft.clone();
        // `None` when no more runs are allowed.
        let pass = shrinker.shorten().and_then(|()| shrinker.calm()).and_then(|()| shrinker.thin_out());
        let pass = pass.and_then(|()| shrinker.name_packets());
        let pass = pass.and_then(|()| shrinker.drop_hosts()).and_then(|()| shrinker.round());
        if pass.is_none() || shrinker.draft == before {
            return Some((shrinker.draft, shrinker.violation));
        }
    }
}

struct Shrinker<J, M> {
    /// The shortest so far, and what it shows.
    draft: Draft,
    violation: Violation,
    promise: Promise,
    judge: J,
    may_run: M,
}

impl<J: Fn(&Draft) -> Option<Violation>, M: FnMut() -> bool> Shrinker<J, M> {
    /// Takes another plan for the shortest if it breaks the same promise; tells whether it does.
    fn take(&mut self, draft: Draft) -> Option<bool> {
        if draft == self.draft {
            return Some(false);
        }
        if !(self.may_run)() {
            return None;
        }
        let found = (self.judge)(&draft).filter(|found| found.promise == self.promise);
        let is_taken = found.is_some();
        if let Some(found) = found {
            (self.draft, self.violation) = (draft, found);
        }
        Some(is_taken)
    }

    /// The same with some other seeds, too.
    fn take_with_luck(&mut self, draft: &Draft) -> Option<bool> {
        for luck in 0..=LUCK {
            let mut draft = draft.clone();
            draft.plan.setup.seed = draft.plan.setup.seed.wrapping_add(luck);
            if self.take(draft)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Nothing happens after what is to be shown, and nobody waits for it.
    fn shorten(&mut self) -> Option<()> {
        let shown_at = self.violation.at;
        let mut draft = self.draft.clone();
        draft.retain(|at, _| at <= shown_at);
        self.take(draft)?;
        let mut draft = self.draft.clone();
        let last = draft.plan.actions.last().map_or(Moment::ZERO, |(at, _)| *at);
        draft.plan.healed_at = draft.plan.healed_at.min(last + Duration::from_secs(1));
        self.take(draft)?;
        Some(())
    }

    /// The network is calm and everything is set as by default, as far as can be.
    fn calm(&mut self) -> Option<()> {
        for calmer in simpler::WORLDS {
            let mut draft = self.draft.clone();
            calmer(&mut draft.plan);
            if draft != self.draft {
                self.take_with_luck(&draft)?;
            }
        }
        Some(())
    }

    /// Whole kinds of actions go, then the actions of one session or between two hosts, then any.
    fn thin_out(&mut self) -> Option<()> {
        for kind in simpler::kinds(&self.draft.plan) {
            let mut draft = self.draft.clone();
            draft.retain(|_, action| simpler::kind(action) != kind);
            self.take_with_luck(&draft)?;
        }
        self.halve(|plan| plan.actions.len(), |draft, part| draft.remove(part.start, part.len()))?;
        self.halve(|plan| plan.triggers.len(), |draft, part| drop(draft.plan.triggers.drain(part)))?;
        self.thin_packets()
    }

    fn thin_packets(&mut self) -> Option<()> {
        self.halve(|plan| plan.packets.len(), |draft, part| simpler::without_packets(&mut draft.plan, part))
    }

    /// Parts go, first large ones, as long as any can.
    fn halve(&mut self, count: impl Fn(&Plan) -> usize, remove: impl Fn(&mut Draft, Range<usize>)) -> Option<()> {
        let mut size = count(&self.draft.plan).div_ceil(2);
        while 0 < size {
            let mut at = 0;
            let mut is_shorter = false;
            while at < count(&self.draft.plan) {
                let mut draft = self.draft.clone();
                let end = (at + size).min(count(&draft.plan));
                remove(&mut draft, at..end);
                if self.take(draft)? {
                    is_shorter = true;
                } else {
                    at += size;
                }
            }
            // As long as single ones can go, others may follow.
            size = if size == 1 && is_shorter { 1 } else { size / 2 };
        }
        Some(())
    }

    /// What the weather does to packets is said of single ones, where few of them matter.
    fn name_packets(&mut self) -> Option<()> {
        let named = Draft { plan: simpler::named(&self.draft.plan), ..self.draft.clone() };
        if named == self.draft {
            return Some(());
        }
        let before = (self.draft.clone(), self.violation.clone());
        let thinned = if self.take(named)? { self.thin_packets() } else { return Some(()) };
        if PACKETS_MAX < self.draft.plan.packets.len() {
            (self.draft, self.violation) = before;
        }
        thinned
    }

    /// Fewer hosts.
    fn drop_hosts(&mut self) -> Option<()> {
        let mut host = self.draft.plan.setup.hosts;
        while 0 < host && 1 < self.draft.plan.setup.hosts {
            host -= 1;
            let draft = self.draft.without_host(host);
            self.take_with_luck(&draft)?;
        }
        Some(())
    }

    /// Commands ask for less, and moments are rounder: all of them at once if that goes, or one after the other.
    fn round(&mut self) -> Option<()> {
        for plainer in simpler::COMMANDS {
            let mut draft = self.draft.clone();
            draft.plan.actions.iter_mut().for_each(|(_, action)| plainer(action));
            if draft != self.draft && !self.take_with_luck(&draft)? {
                for at in 0..self.draft.plan.actions.len() {
                    let mut draft = self.draft.clone();
                    plainer(&mut draft.plan.actions[at].1);
                    self.take(draft)?;
                }
            }
        }
        for grid in [1000, 100, 10].map(Duration::from_millis) {
            let draft = Draft { plan: simpler::rounded(&self.draft.plan, grid), ..self.draft.clone() };
            if draft != self.draft && self.take_with_luck(&draft)? {
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

    /// Nobody is suspected here.
    struct NobodyIsSuspected;

    impl Invariant for NobodyIsSuspected {
        fn name(&self) -> &'static str {
            "nobody is suspected"
        }

        fn handle_fact(&mut self, _: View<'_>, fact: &Fact) -> Result<(), String> {
            if let What::Event(Event::MemberSuspect(member, _)) = &fact.what {
                return Err(member.to_string());
            }
            Ok(())
        }
    }

    #[test]
    fn of_the_weather_a_few_packets_are_left() {
        let lines = "heirloom-sim 1\nseed 1\nhosts 2\nhealed 20s\nplain\ndiscovery group\nconfig digest_every 0s\n\
            config drop_time 1s\nweather multicast_loss=600 loss=100 repeat=100\nfault 0s start n0\nfault 0s start n1\n";
        let plan = lines.parse::<crate::stored::Stored>().unwrap().plan;
        let judge = |plan: &Plan| Trial::judged(plan, vec![Box::new(NobodyIsSuspected)]).result.err();
        let mut runs = 0;
        let few = || {
            runs += 1;
            runs < 400
        };
        let (shortest, _) = shrink_by(&plan, judge, few).expect("somebody is suspected");
        assert_eq!(shortest.setup.weather.lost() + shortest.setup.weather.repeat, 0);
        assert!(!shortest.packets.is_empty() && shortest.packets.len() <= PACKETS_MAX, "{:?}", shortest.packets);
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
