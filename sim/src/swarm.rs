//! What the seeds of a swarm make: plans of one profile.

use core::{fmt, str::FromStr, time::Duration};

use crate::{
    chance::{Chance, Draws, Purpose},
    places::Discovery,
    plan::{Choice, Plan},
};

/// How strong the faults of a run are, and how it is timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Some kinds of fault, now and then.
    #[default]
    Default,
    /// Short, to see that nothing is badly broken.
    Smoke,
    /// Most kinds of fault, and many of each.
    Hostile,
    /// Everything happens on ticks of one clock, so that things meet deadlines and each other.
    Lockstep,
    /// What only repairs or doubles the work of something else is off: faults that it hides show without it.
    Ablate,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Default, Self::Smoke, Self::Hostile, Self::Lockstep, Self::Ablate];

    /// How many faults there are.
    pub(crate) fn faults(self, draws: &mut Draws) -> u64 {
        let few = if draws.per_mille(200) { 0 } else { draws.between(1, 12) };
        match self {
            Self::Default | Self::Smoke | Self::Lockstep | Self::Ablate => few,
            Self::Hostile => few + 25,
        }
    }

    /// In how many of a thousand runs each kind of fault occurs.
    pub(crate) const fn kinds(self) -> u64 {
        match self {
            Self::Default | Self::Smoke | Self::Lockstep | Self::Ablate => 400,
            Self::Hostile => 900,
        }
    }

    /// How many of a thousand runs wear the cluster down in other ways.
    pub(crate) const fn strain(self) -> u64 {
        match self {
            Self::Default | Self::Smoke | Self::Lockstep | Self::Ablate => 250,
            Self::Hostile => 700,
        }
    }

    /// In how many of a thousand runs something happens when something else does.
    pub(crate) const fn surprise(self) -> u64 {
        match self {
            Self::Default | Self::Smoke | Self::Lockstep | Self::Ablate => 150,
            Self::Hostile => 500,
        }
    }

    /// Makes a drawn plan one of this profile.
    pub(crate) fn adapt(self, plan: &mut Plan) {
        match self {
            Self::Default | Self::Hostile => {}
            Self::Smoke => shorten(plan),
            Self::Lockstep => tick(plan),
            Self::Ablate => ablate(plan),
        }
    }
}

const NAMES: [(&str, Profile); 5] = [
    ("default", Profile::Default),
    ("smoke", Profile::Smoke),
    ("hostile", Profile::Hostile),
    ("lockstep", Profile::Lockstep),
    ("ablate", Profile::Ablate),
];

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, profile)| profile == self).map_or("default", |(name, _)| name);
        f.pad(name)
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text).map(|(_, profile)| *profile);
        found.ok_or_else(|| NAMES.map(|(name, _)| name).join(", "))
    }
}

/// How long faults and clients go on in a short run, once members are ready.
const SHORT: Duration = Duration::from_secs(4);

fn shorten(plan: &mut Plan) {
    let config = &mut plan.setup.config;
    config.idle = config.idle.min(Duration::from_secs(3));
    config.ended_for = config.ended_for.min(Duration::from_secs(30));
    plan.healed_at = plan.healed_at.min(plan.setup.clients_from() + SHORT);
    let healed_at = plan.healed_at;
    plan.actions.retain(|(at, _)| *at <= healed_at);
}

fn tick(plan: &mut Plan) {
    let mut draws = Chance::new(plan.setup.seed).draws(Purpose::Plan, 0, 0, 3);
    let quantum = Duration::from_millis(draws.pick(&[1, 10, 50]));
    plan.setup.is_plain = true;
    plan.setup.weather.quantum = quantum;
    plan.healed_at = plan.healed_at.rounded_up(quantum);
    for (at, action) in &mut plan.actions {
        *at = at.rounded_up(quantum);
        if let crate::Action::Weather(weather) = action {
            weather.quantum = quantum;
        }
    }
}

/// Members that compare what they hold repair what should never differ, and those that know addresses beat what the group
/// carries once more. Every promise holds without the one, without the other, and without both.
fn ablate(plan: &mut Plan) {
    let mut draws = Chance::new(plan.setup.seed).draws(Purpose::Plan, 0, 0, 13);
    let without = draws.below(3);
    if without != 0 {
        let own = plan.setup.own.values_mut();
        own.chain([&mut plan.setup.config]).for_each(|config| config.digest_every = Duration::ZERO);
    }
    if without != 1 {
        plan.setup.discovery = draws.pick(&[Discovery::Group, Discovery::Peers]);
    }
}

/// Which plans the seeds of a swarm make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// How strong the faults are.
    pub profile: Profile,
    /// Among which ways of copying a seed chooses.
    pub copies: Choice,
}

impl Swarm {
    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        Plan::drawn(seed, self.copies, self.profile)
    }

    /// The command that runs a seed again.
    pub fn replay(&self, seed: u64) -> String {
        let profile =
            if self.profile == Profile::Default { String::new() } else { format!(" --profile {}", self.profile) };
        let copies = if self.copies == Choice::Any { String::new() } else { format!(" --copies {}", self.copies) };
        format!("heirloom-sim run --seed {seed}{profile}{copies}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn a_seed_keeps_every_promise_in_every_profile() {
        for profile in Profile::ALL {
            let swarm = Swarm { profile, copies: Choice::Any };
            assert_eq!(profile.to_string().parse(), Ok(profile));
            for seed in 0..4 {
                let result = Trial::of(&swarm.plan(seed)).result;
                assert!(result.is_ok(), "{}: {result:?}", swarm.replay(seed));
            }
        }
    }

    #[test]
    fn what_is_taken_away_is_not_there() {
        let plans = (0..20).map(|seed| Swarm { profile: Profile::Ablate, copies: Choice::Any }.plan(seed));
        let (mut quiet, mut single) = (0, 0);
        for plan in plans {
            quiet += usize::from(plan.setup.config.digest_every.is_zero());
            single += usize::from(plan.setup.discovery != Discovery::Both);
            assert!(plan.setup.config.digest_every.is_zero() || plan.setup.discovery != Discovery::Both);
        }
        assert!(0 < quiet && 0 < single);
    }

    #[test]
    fn in_lockstep_everything_happens_on_a_tick() {
        let plan = Swarm { profile: Profile::Lockstep, copies: Choice::Any }.plan(7);
        let quantum = plan.setup.weather.quantum;
        assert!(plan.actions.iter().all(|(at, _)| at.rounded_up(quantum) == *at));
        assert!(!quantum.is_zero());
    }
}
