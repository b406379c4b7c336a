//! Everything twice: a run must be a function of its plan (P8).

use std::io::{self, Write as _};

use clap::Args;
use heirloom_sim::{Promise, Trial, run_twice, wall_difference};

use super::{Done, Refused, Status, numbers::Seeds, source::Kind};

#[derive(Debug, Args)]
pub(crate) struct Twice {
    /// These seeds, like 0..100.
    #[arg(long, default_value = "0..20")]
    seeds: Seeds,
    #[command(flatten)]
    kind: Kind,
    /// Once with other wall clocks, and of each session only the first write: members must decide the same.
    #[arg(long)]
    wall: bool,
}

impl Twice {
    pub(crate) fn perform(&self) -> Done {
        let end = self.seeds.end.ok_or_else(|| Refused("--seeds: write 0..1000".into()))?;
        let swarm = self.kind.swarm();
        let mut out = io::stdout().lock();
        let mut status = Status::Kept;
        for seed in self.seeds.first..end {
            let plan = swarm.plan(seed);
            if self.wall {
                if let Some(difference) = wall_difference(&plan) {
                    writeln!(out, "seed {seed}: with other wall clocks {difference}\nreplay: {}", swarm.replay(seed))?;
                    status = status.and(Status::Differs);
                }
                continue;
            }
            let Err(violation) = run_twice(&plan) else { continue };
            writeln!(out, "seed {seed}: {violation}\nreplay: {}", swarm.replay(seed))?;
            status = status.and(if violation.promise == Promise::Determinism {
                Status::Differs
            } else {
                Status::of(Trial::of(&plan).failure)
            });
        }
        writeln!(out, "{} seeds, each of them twice", end - self.seeds.first)?;
        Ok(status)
    }
}
