//! Many seeds, on all cores. What is told does not depend on how many these are: seeds are told in their order.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use clap::Args;
use heirloom_sim::{Failure, Promise, Report, Swarm, Trial, Violation};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Done, Refused, Status,
    numbers::{Seeds, Shard, time},
    single::{shortest, with_story},
    source::Kind,
};

#[derive(Debug, Args)]
pub(crate) struct Swarming {
    /// These seeds, like 0..1000; 0.. for as many as the budget allows.
    #[arg(long, default_value = "0..1000")]
    pub(crate) seeds: Seeds,
    #[command(flatten)]
    pub(crate) kind: Kind,
    /// Only this part of the seeds, like 1/4 to 4/4.
    #[arg(long, default_value = "1/1")]
    pub(crate) shard: Shard,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How long a swarm runs, on what, and how it tells of it.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Start no seed after this time, like 60s.
    #[arg(long, value_parser = time)]
    budget: Option<Duration>,
    /// Stop at the first seed that fails.
    #[arg(long)]
    first: bool,
    /// On so many threads; 0 is one for each core.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// A line of JSON for each failure and a last one for all.
    #[arg(long)]
    json: bool,
    /// Keep plans of failures in this folder: of the first for each promise.
    #[arg(long, default_value = "failures")]
    out: PathBuf,
    /// How long it may take to make one failure short.
    #[arg(long, default_value = "10s", value_parser = time)]
    shrink: Duration,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            budget: None,
            first: false,
            jobs: 0,
            json: false,
            out: "failures".into(),
            shrink: Duration::from_secs(10),
        }
    }
}

/// What became of one seed.
struct Ended {
    seed: u64,
    result: Result<Report, Violation>,
    failure: Option<Failure>,
}

/// What became of all of them.
#[derive(Default)]
struct Sums {
    seeds: u64,
    violations: u64,
    events: u64,
    commits: u64,
    simulated: f64,
    slowest: (f64, u64),
    status: Option<Status>,
    /// The promises of which a failure is kept.
    kept: BTreeSet<Promise>,
}

impl Swarming {
    pub(crate) fn perform(&self) -> Done {
        if self.seeds.end.is_none() && self.output.budget.is_none() {
            return Err(Refused("--seeds has no end: say --budget, like 60s, or an end".into()));
        }
        let jobs = match self.output.jobs {
            0 => thread::available_parallelism().map_or(1, usize::from),
            jobs => jobs,
        };
        let started = Instant::now();
        let (next, enough) = (AtomicU64::new(self.shard.number - 1), AtomicBool::new(false));
        let (sender, ended) = mpsc::channel();
        let mut sums = Sums::default();
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (sender, next, enough) = (sender.clone(), &next, &enough);
                scope.spawn(move || self.work(started, (next, enough), &sender));
            }
            drop(sender);
            let told = self.tell(&ended, &mut sums);
            enough.store(true, Ordering::Relaxed);
            told
        })?;
        self.sum_up(&sums, started.elapsed().as_secs_f64())?;
        Ok(sums.status.unwrap_or(Status::Kept))
    }

    /// Takes seeds until there are no more, or no more time, or enough is known.
    fn work(&self, started: Instant, (next, enough): (&AtomicU64, &AtomicBool), ended: &mpsc::Sender<Ended>) {
        while self.output.budget.is_none_or(|budget| started.elapsed() < budget) && !enough.load(Ordering::Relaxed) {
            let place = next.fetch_add(self.shard.of, Ordering::Relaxed);
            let Some(seed) = self.seeds.first.checked_add(place) else { return };
            if self.seeds.end.is_some_and(|end| end <= seed) {
                return;
            }
            let Trial { result, failure, .. } = Trial::of(&self.kind.swarm().plan(seed));
            if ended.send(Ended { seed, result, failure }).is_err() {
                return;
            }
        }
    }

    /// Tells of seeds in their order.
    fn tell(&self, ended: &mpsc::Receiver<Ended>, sums: &mut Sums) -> io::Result<()> {
        let bar = self.bar();
        let mut early = BTreeMap::new();
        let mut due = self.seeds.first + self.shard.number - 1;
        let mut out = io::stdout().lock();
        for one in ended {
            early.insert(one.seed, one);
            bar.inc(1);
            while let Some(one) = early.remove(&due) {
                due = due.saturating_add(self.shard.of);
                sums.add(&one);
                if let Err(violation) = &one.result {
                    bar.suspend(|| self.tell_of(&mut out, one.seed, violation, one.failure, sums))?;
                    if self.output.first {
                        bar.finish_and_clear();
                        return Ok(());
                    }
                }
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn bar(&self) -> ProgressBar {
        if self.output.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let of = self.shard.of;
        let count = self.seeds.end.map(|end| (end - self.seeds.first + of - self.shard.number) / of);
        let template = match count {
            Some(_) => "{wide_bar} {pos}/{len} seeds, {per_sec}, {eta} left",
            None => "{spinner} {pos} seeds, {per_sec}, {elapsed}",
        };
        let bar = count.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    fn tell_of(
        &self,
        out: &mut impl Write,
        seed: u64,
        violation: &Violation,
        failure: Option<Failure>,
        sums: &mut Sums,
    ) -> io::Result<()> {
        let swarm = self.kind.swarm();
        let kept = match sums.kept.insert(violation.promise) && !self.output.shrink.is_zero() {
            true => keep(&self.output.out, swarm, seed, self.output.shrink)?,
            false => None,
        };
        let replay = match &kept {
            Some(path) => format!("heirloom-sim replay {}", path.display()),
            None => swarm.replay(seed),
        };
        if self.output.json {
            let line = json!({
                "seed": seed,
                "promise": violation.promise.to_string(),
                "failure": failure.map(|failure| format!("{failure:?}").to_lowercase()),
                "at_s": violation.at.since(heirloom_sim::Moment::ZERO).as_secs_f64(),
                "story": violation.story,
                "plan": kept.as_ref().map(|path| path.display().to_string()),
                "replay": replay,
            });
            return writeln!(out, "{line}");
        }
        writeln!(out, "seed {seed}: {violation}")?;
        if kept.is_some() {
            writeln!(out, "seed: {}", swarm.replay(seed))?;
        }
        writeln!(out, "replay: {replay}")
    }

    fn sum_up(&self, sums: &Sums, seconds: f64) -> io::Result<()> {
        let Sums { seeds, violations, events, commits, simulated, slowest: (quiet_after, slowest), .. } = sums;
        let events_per_s = rate(*events, seconds);
        let virtual_per_s = simulated / seconds.max(f64::EPSILON);
        let mut out = io::stdout().lock();
        if self.output.json {
            let line = json!({
                "seeds": seeds,
                "violations": violations,
                "events_per_s": events_per_s,
                "virtual_per_s": virtual_per_s.round(),
                "events": events,
                "commits": commits,
                "seconds": seconds,
            });
            return writeln!(out, "{line}");
        }
        writeln!(
            out,
            "{seeds} seeds, {violations} failed, {events} events, {commits} commits; {simulated:.0} s simulated in \
             {seconds:.1} s: {virtual_per_s:.0} times as fast, {events_per_s} events a second; slowest to be quiet: seed \
             {slowest} with {quiet_after:.1} s"
        )
    }
}

impl Sums {
    fn add(&mut self, ended: &Ended) {
        self.seeds += 1;
        match &ended.result {
            Ok(report) => {
                self.events += report.events;
                self.commits += report.commits;
                self.simulated += report.simulated.as_secs_f64();
                let quiet_after = report.quiet_after.as_secs_f64();
                if self.slowest.0 < quiet_after {
                    self.slowest = (quiet_after, ended.seed);
                }
            }
            Err(_) => {
                self.violations += 1;
                let status = Status::of(ended.failure);
                self.status = Some(self.status.map_or(status, |before| before.and(status)));
            }
        }
    }
}

/// Keeps a failure as a plan, as short as it gets in that time.
fn keep(folder: &Path, swarm: Swarm, seed: u64, budget: Duration) -> io::Result<Option<PathBuf>> {
    let Some((stored, violation)) = shortest(&swarm.plan(seed), budget) else { return Ok(None) };
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("seed-{seed}.plan"));
    fs::write(&path, with_story(&stored, Some(&violation)))?;
    Ok(Some(path))
}

/// So many in so many seconds, for each second.
pub(crate) fn rate(count: u64, seconds: f64) -> u64 {
    let nanos = Duration::from_secs_f64(seconds.max(1e-9)).as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}
