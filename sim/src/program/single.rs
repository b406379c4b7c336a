//! Commands for one run.

use core::time::Duration;
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use heirloom_sim::{
    Plan, Record, Stored, Trial, Violation, lost,
    show::{self, Filter},
    shrink, stats,
};

use super::{
    Done, Refused, Status,
    batch::{Output, Swarming},
    numbers::{Seeds, Shard, time},
    replays,
    show::story,
    source::{Found, Source},
};

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    source: Source,
    /// Each of these seeds, like 0..1000.
    #[arg(long, conflicts_with_all = ["seed", "plan", "settings"])]
    seeds: Option<Seeds>,
}

impl Run {
    pub(crate) fn perform(&self) -> Done {
        if let Some(seeds) = self.seeds {
            return Swarming { seeds, kind: self.source.kind, shard: Shard::WHOLE, output: Output::default() }
                .perform();
        }
        let found = self.source.found()?;
        let started = Instant::now();
        let mut out = io::stdout().lock();
        match found {
            Found::Plan(stored) => {
                let replayed = stored.replay();
                self.tell_of(&mut out, "every promise is kept", started, &replayed.trial)?;
                if !self.source.is_drawn() {
                    replays::tell_of(&mut out, &replayed)?;
                }
                Ok(Status::of(replayed.trial.failure))
            }
            Found::Tale(tale) => {
                let (trial, record) = match self.source.is_what_if() {
                    true => {
                        let (trial, record) = Record::judged(tale.plan(), vec![tale.judge()]);
                        (trial, Some(record))
                    }
                    false => (tale.trial(), None),
                };
                let kept = match tale.expectations() {
                    0 => "every promise is kept".into(),
                    1 => "every promise is kept, and the expectation is met".into(),
                    count => format!("every promise is kept, and {count} expectations are met"),
                };
                self.tell_of(&mut out, &kept, started, &trial)?;
                replays::tell_unmet(&mut out, &trial.unmet)?;
                if let Some(record) = record {
                    write!(out, "\n{}\n{}", lost(&record), stats(&record))?;
                }
                Ok(Status::of(trial.failure))
            }
        }
    }

    fn tell_of(&self, out: &mut impl io::Write, kept: &str, started: Instant, trial: &Trial) -> io::Result<()> {
        let seconds = started.elapsed().as_secs_f64();
        match &trial.result {
            Ok(report) => {
                let simulated = report.simulated.as_secs_f64();
                writeln!(
                    out,
                    "{kept}: {} commits, {} events, {simulated:.1} s simulated in {seconds:.2} s; equal {:.1} s \
                     after the last fault (hash {:016x})",
                    report.commits,
                    report.events,
                    report.quiet_after.as_secs_f64(),
                    report.digest
                )
            }
            Err(violation) => {
                writeln!(out, "{violation}")?;
                writeln!(out, "replay: {}", self.source.replay())
            }
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Write {
    #[command(flatten)]
    source: Source,
    /// Into this file; else to the standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Write {
    pub(crate) fn perform(&self) -> Done {
        let (stored, violation) = Stored::of(self.source.stored()?.plan);
        let text = with_story(&stored, violation.as_ref());
        match &self.out {
            Some(path) => fs::write(path, text)?,
            None => io::stdout().lock().write_all(text.as_bytes())?,
        }
        Ok(Status::Kept)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Shrink {
    #[command(flatten)]
    source: Source,
    /// How long it may take.
    #[arg(long, default_value = "30s", value_parser = time)]
    budget: Duration,
    /// Keep it in this file: a plan, or a scenario if its name ends with .toml.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Shrink {
    pub(crate) fn perform(&self) -> Done {
        let found = self.source.found()?;
        let Some((stored, violation)) = shortest(&found.stored().plan, self.budget) else {
            return self.unexpected(&found);
        };
        let is_story = self.out.as_deref().is_some_and(is_scenario);
        let text = match is_story {
            true => story(&Found::Plan(stored.clone()), &self.source.title())?.0,
            false => with_story(&stored, Some(&violation)),
        };
        let replay = match &self.out {
            Some(path) => {
                fs::write(path, text)?;
                format!("heirloom-sim {} {}", if is_story { "run" } else { "replay" }, path.display())
            }
            None => {
                print!("{text}");
                self.source.replay()
            }
        };
        let (trial, record) = Record::of(&stored.plan);
        print!("{}", show::text(&record, &Filter::default()));
        println!("replay: {replay}");
        Ok(Status::of(trial.failure))
    }

    /// Makes a story short that keeps all promises and does not go as expected.
    fn unexpected(&self, found: &Found) -> Done {
        let started = Instant::now();
        let short = match found {
            Found::Tale(tale) => tale.shrink(|| started.elapsed() < self.budget),
            Found::Plan(_) => None,
        };
        let Some((tale, _)) = short else {
            println!("no promise is broken, and all is as expected");
            return Ok(Status::Kept);
        };
        let found = Found::Tale(tale);
        let (text, _) = story(&found, &self.source.title())?;
        let replay = match &self.out {
            Some(path) if !is_scenario(path) => {
                return Err(Refused(
                    "what is expected stands in scenarios: write it to a file that ends with .toml".into(),
                ));
            }
            Some(path) => {
                fs::write(path, text)?;
                format!("heirloom-sim run {}", path.display())
            }
            None => {
                print!("{text}");
                self.source.replay()
            }
        };
        let (trial, record) = found.record();
        print!("{}", show::text(&record, &Filter::default()));
        println!("replay: {replay}");
        Ok(Status::of(trial.failure))
    }
}

fn is_scenario(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// Makes a failing plan as short as it gets in that time.
pub(crate) fn shortest(plan: &Plan, budget: Duration) -> Option<(Stored, Violation)> {
    let started = Instant::now();
    let (plan, violation) = shrink(plan, || started.elapsed() < budget)?;
    Some((Stored::of(plan).0, violation))
}

/// The text of a plan, with the story of its violation for whoever reads it.
pub(crate) fn with_story(stored: &Stored, violation: Option<&Violation>) -> String {
    let story = violation.map(|violation| format!("# {}\n", violation.to_string().replace('\n', "\n# ")));
    let text = stored.to_string();
    let (version, records) = text.split_once('\n').unwrap_or((&text, ""));
    format!("{version}\n{}{records}", story.unwrap_or_default())
}
