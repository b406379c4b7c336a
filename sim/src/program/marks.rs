//! What a batch of seeds reaches, and what it never does.

use std::{
    io::{self, Write as _},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use clap::Args;
use heirloom_sim::{Marks as Counts, Reached, Trial, missing};

use super::{Done, Refused, Status, numbers::Seeds, source::Kind};

#[derive(Debug, Args)]
pub(crate) struct Marks {
    /// These seeds, like 0..10000.
    #[arg(long, default_value = "0..1000")]
    seeds: Seeds,
    #[command(flatten)]
    kind: Kind,
    /// On so many threads; 0 is one for each core.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
}

/// What each thread adds what it has seen to.
#[derive(Default)]
struct Sum {
    counts: Counts,
    /// In how many seeds each was reached.
    seeds: Counts,
    status: Option<Status>,
}

impl Marks {
    pub(crate) fn perform(&self) -> Done {
        let end = self.seeds.end.ok_or_else(|| Refused("--seeds: write 0..10000".into()))?;
        let jobs = match self.jobs {
            0 => thread::available_parallelism().map_or(1, usize::from),
            jobs => jobs,
        };
        let next = AtomicU64::new(self.seeds.first);
        let sum = Mutex::new(Sum::default());
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work(&next, end, &sum));
            }
        });
        let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        tell(&sum)?;
        let lacking = missing(&sum.counts);
        for (what, name) in &lacking {
            println!("never reached: {} {name}", word(*what));
        }
        println!("{} seeds, {} marks never reached", end - self.seeds.first, lacking.len());
        let reached = if lacking.is_empty() { Status::Kept } else { Status::Inconclusive };
        Ok(sum.status.unwrap_or(Status::Kept).and(reached))
    }

    fn work(&self, next: &AtomicU64, end: u64, sum: &Mutex<Sum>) {
        let swarm = self.kind.swarm();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if end <= seed {
                return;
            }
            let (trial, counts) = Trial::marked(&swarm.plan(seed));
            let Ok(mut sum) = sum.lock() else { return };
            for (mark, count) in counts {
                *sum.seeds.entry(mark.clone()).or_default() += 1;
                *sum.counts.entry(mark).or_default() += count;
            }
            if let Err(violation) = &trial.result {
                println!("seed {seed}: {violation}\nreplay: {}", swarm.replay(seed));
                let status = Status::of(trial.failure);
                sum.status = Some(sum.status.map_or(status, |before| before.and(status)));
            }
        }
    }
}

fn tell(sum: &Sum) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{:<9} {:<46} {:>12} {:>8}", "", "reached", "times", "in seeds")?;
    for ((what, name), count) in &sum.counts {
        let seeds = sum.seeds.get(&(*what, name.clone())).copied().unwrap_or_default();
        writeln!(out, "{:<9} {name:<46} {count:>12} {seeds:>8}", word(*what))?;
    }
    Ok(())
}

const fn word(what: Reached) -> &'static str {
    match what {
        Reached::Sent => "sent",
        Reached::Told => "told",
        Reached::Answered => "answered",
        Reached::Done => "done",
        Reached::Judged => "judged",
    }
}
