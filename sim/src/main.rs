//! `heirloom-sim`: runs seeds and tells which of them break a promise.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Instant,
};

use heirloom_sim::{Choice, Plan, replay, run, run_twice, shrink, trace};

const USAGE: &str = "\
usage: heirloom-sim run   --seeds FIRST..END [--copies COPIES]   run these seeds
       heirloom-sim twice --seeds FIRST..END [--copies COPIES]   run each of them twice: the same must be sent
       heirloom-sim trace --seed SEED        [--copies COPIES]   tell what happens in a run
       heirloom-sim shrink --seed SEED       [--copies COPIES]   make a failing run as short as possible, and tell it
       heirloom-sim plan  --seed SEED        [--copies COPIES]   show what a seed does
COPIES: any (each seed draws it), everywhere, backups (each seed draws how many), backups:1 to backups:8
exit: 0 every promise is kept, 1 one is broken, 2 this text";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [verb, option, range] => perform(verb, option, range, Choice::Any),
        [verb, option, range, "--copies", copies] => {
            copies.parse().ok().and_then(|choice| perform(verb, option, range, choice))
        }
        _ => None,
    };
    match result {
        Some(Ok(0)) => ExitCode::SUCCESS,
        Some(Ok(_)) => ExitCode::from(1),
        Some(Err(_)) | None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn perform(verb: &str, option: &str, seeds: &str, choice: Choice) -> Option<io::Result<u64>> {
    let plan = || seeds.parse().ok().map(|seed| Plan::draw(seed, choice));
    match (verb, option) {
        ("run", "--seeds") => Some(batch(range(seeds)?, choice, |seed| run(&Plan::draw(seed, choice)))),
        ("twice", "--seeds") => Some(batch(range(seeds)?, choice, |seed| run_twice(seed, choice))),
        ("trace", "--seed") => Some(tell(&plan()?)),
        ("shrink", "--seed") => Some(short(&plan()?)),
        ("plan", "--seed") => Some(show(&plan()?)),
        _ => None,
    }
}

fn range(text: &str) -> Option<core::ops::Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

/// Runs seeds; tells how many of them broke a promise.
fn batch(
    seeds: core::ops::Range<u64>,
    choice: Choice,
    run: impl Fn(u64) -> Result<heirloom_sim::Report, heirloom_sim::Violation>,
) -> io::Result<u64> {
    std::panic::set_hook(Box::new(|_| ()));
    let started = Instant::now();
    let mut out = io::stdout().lock();
    let (mut failures, mut events, mut commits, mut simulated, mut slowest) = (0, 0, 0, 0.0, (0.0, 0));
    let count = seeds.end.saturating_sub(seeds.start);
    for seed in seeds {
        match run(seed) {
            Ok(report) => {
                events += report.events;
                commits += report.commits;
                simulated += report.simulated.as_secs_f64();
                let quiet_after = report.quiet_after.as_secs_f64();
                if slowest.0 < quiet_after {
                    slowest = (quiet_after, seed);
                }
            }
            Err(violation) => {
                failures += 1;
                writeln!(out, "seed {seed}: {violation}\n  replay: {}", replay(seed, choice))?;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        out,
        "{count} seeds, {failures} failed, {events} events, {commits} commits; {simulated:.0} s simulated in {seconds:.1} s: \
         {:.0} times as fast; slowest to be quiet: seed {} with {:.1} s",
        simulated / seconds,
        slowest.1,
        slowest.0
    )?;
    Ok(failures)
}

/// The runs that making a plan shorter may take.
const RUNS_MAX: u32 = 3000;

fn short(plan: &Plan) -> io::Result<u64> {
    std::panic::set_hook(Box::new(|_| ()));
    match shrink(plan, RUNS_MAX) {
        Some((plan, _)) => {
            show(&plan)?;
            tell(&plan)
        }
        None => {
            println!("seed {} breaks no promise", plan.setup.seed);
            Ok(0)
        }
    }
}

fn tell(plan: &Plan) -> io::Result<u64> {
    let (result, trail) = trace(plan);
    let mut out = io::stdout().lock();
    for line in trail {
        writeln!(out, "{line}")?;
    }
    match result {
        Ok(report) => writeln!(out, "{report:?}").map(|()| 0),
        Err(violation) => writeln!(out, "{violation}").map(|()| 1),
    }
}

fn show(plan: &Plan) -> io::Result<u64> {
    let mut out = io::stdout().lock();
    writeln!(out, "{:#?}", plan.setup)?;
    for (at, action) in &plan.actions {
        writeln!(out, "{at:>12}  {action:?}")?;
    }
    writeln!(out, "{:>12}  healed", plan.healed_at)?;
    Ok(0)
}
