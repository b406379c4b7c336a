//! All that may happen in a small world.

use core::time::Duration;
use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    thread,
    time::Instant,
};

use clap::Args;
use heirloom_core::Copies;
use heirloom_sim::{Explored, Stored, World};
use serde_json::json;

use super::{
    Done, Refused, Status,
    numbers::time,
    single::{shortest, with_story},
};

#[derive(Debug, Args)]
pub(crate) struct Exhaust {
    /// So many members, which know each other and hold a session.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    members: u16,
    /// So many requests for it.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    operations: u16,
    /// So many faults at most.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=8))]
    faults: u16,
    /// So many packets at most come late or never.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    packets: u16,
    /// How sessions are copied: everywhere, or backups:1 to backups:8.
    #[arg(long, default_value = "everywhere", value_parser = copies)]
    copies: Copies,
    /// Begin no run after this time, like 60s.
    #[arg(long, value_parser = time)]
    budget: Option<Duration>,
    /// On so many threads; 0 is one for each core.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// One line of JSON.
    #[arg(long)]
    json: bool,
    /// Keep the plan of a failure in this folder.
    #[arg(long, default_value = "failures")]
    out: PathBuf,
}

fn copies(text: &str) -> Result<Copies, String> {
    text.parse().map_err(|_| "everywhere, or backups:1 to backups:8".into())
}

impl Exhaust {
    pub(crate) fn perform(&self) -> Done {
        let started = Instant::now();
        let jobs = match self.jobs {
            0 => thread::available_parallelism().map_or(1, usize::from),
            jobs => jobs,
        };
        let Self { members, operations, faults, packets, copies, .. } = *self;
        let world = World { members, operations, faults, packets, copies };
        let explored = world.explore(jobs, |_| self.budget.is_none_or(|budget| started.elapsed() < budget));
        self.tell(&explored, started.elapsed().as_secs_f64())
    }

    fn tell(&self, explored: &Explored, seconds: f64) -> Done {
        let Explored { runs, histories, merged, choices, left, found } = explored;
        let kept = match found {
            Some((plan, violation)) => {
                let Some((stored, shown)) = shortest(plan, Duration::from_secs(10)) else {
                    return Err(Refused(format!("{violation}; but its plan does not show it again")));
                };
                let path = self.keep(&stored, &shown)?;
                Some((shown, path))
            }
            None => None,
        };
        let mut out = io::stdout().lock();
        if self.json {
            let found = kept.as_ref().map(|(violation, path)| {
                json!({"promise": violation.promise.to_string(), "story": violation.story, "plan": path.display().to_string()})
            });
            let line = json!({
                "runs": runs, "histories": histories, "merged": merged, "choices": choices, "left": left, "found": found, "seconds": seconds,
            });
            writeln!(out, "{line}")?;
        } else {
            let Self { members, operations, faults, packets, copies, .. } = self;
            writeln!(
                out,
                "{members} members, {operations} requests, up to {faults} faults, {packets} packets late or lost, copies {copies}: {runs} runs to the end, {histories} \
                 histories that differ; {merged} left where another had been; up to {choices} choices in one; {seconds:.1} s"
            )?;
            match (&kept, left) {
                (Some((violation, path)), _) => {
                    writeln!(out, "{violation}\nreplay: heirloom-sim replay {}", path.display())?;
                }
                (None, 0) => writeln!(out, "exhausted: nothing else can happen in this world")?,
                (None, left) => writeln!(out, "not exhausted: {left} beginnings were not followed")?,
            }
        }
        Ok(match (kept, left) {
            (Some(_), _) => Status::Broken,
            (None, _) => Status::Kept,
        })
    }

    fn keep(&self, stored: &Stored, violation: &heirloom_sim::Violation) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.out)?;
        let path = self.out.join("exhaust.plan");
        fs::write(&path, with_story(stored, Some(violation)))?;
        Ok(path)
    }
}
