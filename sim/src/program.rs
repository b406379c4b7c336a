//! The command line: what each command does, and with which status it exits.

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use heirloom_sim::Failure;

mod batch;
mod bench;
mod exhaust;
mod explain;
mod marks;
mod numbers;
mod predict;
mod replays;
mod scenarios;
mod show;
mod single;
mod source;
mod twice;

/// Lets whole clusters happen in virtual time, and tells which promises they break.
#[derive(Debug, Parser)]
#[command(name = "heirloom-sim", version, before_help = EXAMPLES, after_help = EXITS)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  heirloom-sim run failover                       a member dies, and the sessions live on
  heirloom-sim run mine.toml                      a story of your own, and what you expect of it
  heirloom-sim run --config node.toml             what would happen to nodes with your configuration
  heirloom-sim swarm --seeds 0..1000              a thousand clusters, each with other faults
  heirloom-sim shrink --seed 17 --out short.plan  a failure, as short as it gets";

const EXITS: &str = "\
Exit status: 0 every promise is kept, 1 one is broken, 2 wrong usage or a bad plan, 3 two runs of one plan differ,
4 inconclusive: something was never reached, 5 something did not happen in time, 6 something had no end or no bound.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Let one cluster happen: a scenario, a plan or a seed. With --seeds, each of them, as `swarm` does.
    Run(single::Run),
    /// List the scenarios that are known by name, and what each is about.
    Book(scenarios::Book),
    /// Let many clusters happen, on all cores.
    Swarm(batch::Swarming),
    /// Let all happen that may happen in a small world: every order of a few requests, faults and packets.
    Exhaust(exhaust::Exhaust),
    /// Let stored plans happen again; tells which no longer fail, and which have drifted. A record of a node: whether this
    /// build does the same.
    Replay(replays::Replay),
    /// Run everything twice: the same must be sent, or the first difference is told.
    Twice(twice::Twice),
    /// Tell what seeds reach, how often, and what they never do.
    Marks(marks::Marks),
    /// Measure how fast this is.
    Bench(bench::Bench),
    /// Show what happens in a run: as text, as lines of JSON, as a page or as a picture.
    #[command(alias = "trace")]
    Show(show::Show),
    /// Tell why a run breaks a promise: what led to it, and from when on it could not be kept any more.
    Explain(explain::Explain),
    /// Tell a run in numbers: what travelled, how long a failover took, how old copies were, how much was held.
    Stats(explain::Stats),
    /// Tell what to expect of settings: how often members that live are suspected, and when the dead are found.
    Predict(predict::Predict),
    /// Make a failing run as short as it gets.
    Shrink(single::Shrink),
    /// Write a run as a plan, to keep it or to change it.
    Plan(single::Write),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Kept = 0,
    Broken = 1,
    Usage = 2,
    Differs = 3,
    Inconclusive = 4,
    Late = 5,
    Endless = 6,
}

impl Status {
    fn of(failure: Option<Failure>) -> Self {
        match failure {
            None => Self::Kept,
            Some(Failure::Broken) => Self::Broken,
            Some(Failure::Late) => Self::Late,
            Some(Failure::Endless) => Self::Endless,
        }
    }

    /// What two parts of a command end with: a broken promise counts more than one that is kept late.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Kept, one) | (one, Self::Kept) => one,
            (one, other) => one.min(other),
        }
    }
}

/// What a command cannot be done for, in one line.
#[derive(Debug)]
struct Refused(String);

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

type Done = Result<Status, Refused>;

/// Plants the fault that is named in the environment.
#[cfg(planted)]
fn plant() -> Result<(), Refused> {
    use heirloom_core::planted::{Bug, plant};
    let Ok(name) = std::env::var("HEIRLOOM_PLANTED") else { return Ok(()) };
    let found = Bug::ALL.iter().find(|(known, _)| *known == name).map(|(_, bug)| plant(*bug));
    found.ok_or_else(|| Refused(format!("HEIRLOOM_PLANTED is one of {}", Bug::ALL.map(|(name, _)| name).join(" "))))
}

/// There is none to plant.
#[cfg(not(planted))]
fn plant() -> Result<(), Refused> {
    Ok(())
}

pub(crate) fn main() -> ExitCode {
    // A panic is a violation like others, told with its seed.
    std::panic::set_hook(Box::new(|_| ()));
    let command = Program::parse().command;
    let done = plant().and_then(|()| match command {
        Command::Run(run) => run.perform(),
        Command::Book(book) => book.perform(),
        Command::Swarm(swarm) => swarm.perform(),
        Command::Exhaust(exhaust) => exhaust.perform(),
        Command::Replay(replay) => replay.perform(),
        Command::Twice(twice) => twice.perform(),
        Command::Marks(marks) => marks.perform(),
        Command::Bench(bench) => bench.perform(),
        Command::Show(show) => show.perform(),
        Command::Explain(explain) => explain.perform(),
        Command::Stats(stats) => stats.perform(),
        Command::Predict(predict) => predict.perform(),
        Command::Shrink(shrink) => shrink.perform(),
        Command::Plan(write) => write.perform(),
    });
    let status = done.unwrap_or_else(|Refused(story)| {
        eprintln!("heirloom-sim: {story}");
        Status::Usage
    });
    ExitCode::from(status as u8)
}
