//! heirloom beside what people would use instead, on the same workloads: Redis alone, Redis with replicas and `WAIT`, and the
//! cluster of Tomcat.
//!
//! All run in turns, in three rounds, as a machine that others use is quick at one time and slow at another; of the rounds the
//! middle one is told. It writes `benches/results.md`, which nothing else does. Peers that are not installed are left out.

mod cells;
mod load;
mod processes;
mod report;
mod resp;
mod servers;
mod targets;
mod tomcat;
mod trip;

use std::{env, io, path::PathBuf, process::ExitCode, time::Instant};

use self::{
    cells::{Cell, Figure},
    report::Results,
    servers::Contestant,
};

const USAGE: &str = "usage: race [--rounds N] [--seconds N] [--only TEXT] [--who TEXT] [--tomcat DIR] [--print]";

/// What may be said about a race.
#[derive(Clone, Debug)]
struct Options {
    rounds: u32,
    /// How long each rate is taken.
    seconds: u32,
    /// Only cells whose names have this.
    only: String,
    /// Only contestants whose names have this.
    who: String,
    tomcat: Option<PathBuf>,
    /// Writes no file.
    print: bool,
}

fn main() -> ExitCode {
    if let Some(error) = trip::answer() {
        eprintln!("race: {error}");
        return ExitCode::from(2);
    }
    let Some(options) = options(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match race(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("race: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options =
        Options { rounds: 3, seconds: 2, only: String::new(), who: String::new(), tomcat: None, print: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => options.rounds = words.next()?.parse().ok().filter(|rounds| (1..=9).contains(rounds))?,
            "--seconds" => options.seconds = words.next()?.parse().ok().filter(|seconds| (1..=30).contains(seconds))?,
            "--only" => options.only = words.next()?,
            "--who" => options.who = words.next()?,
            "--tomcat" => options.tomcat = Some(words.next()?.into()),
            "--print" => options.print = true,
            _ => return None,
        }
    }
    Some(options)
}

fn race(options: &Options) -> io::Result<()> {
    let (mut contestants, absent) = servers::contestants();
    contestants.retain(|contestant| contestant.to_string().contains(&options.who));
    absent.iter().for_each(|line| println!("{line}"));
    let began = Instant::now();
    let mut results = Results::default();
    let cells: Vec<Cell> = cells::all().into_iter().filter(|cell| cell.name().contains(&options.only)).collect();
    if cells.iter().any(|cell| cell.is_for(Contestant::Node)) && contestants.contains(&Contestant::Node) {
        processes::build()?;
    }
    for round in 1..=options.rounds {
        for cell in &cells {
            for contestant in contestants.iter().filter(|contestant| cell.is_for(**contestant)) {
                let told = cell.run(*contestant, options.seconds);
                let shown = match &told {
                    Ok(Figure { text, .. }) => text.clone(),
                    Err(error) => format!("broken off: {error}"),
                };
                println!(
                    "[{:>4.0} s] round {round}: {}, {contestant}: {shown}",
                    began.elapsed().as_secs_f64(),
                    cell.name()
                );
                results.add(cell.name(), contestant.to_string(), told);
            }
        }
        if let Some(folder) = &options.tomcat {
            match tomcat::run(folder, options.seconds, round) {
                Ok(told) => told.into_iter().for_each(|(cell, figure)| {
                    println!(
                        "[{:>4.0} s] round {round}: {cell}, Tomcat: {}",
                        began.elapsed().as_secs_f64(),
                        figure.text
                    );
                    results.add(&cell, tomcat::NAME.into(), Ok(figure));
                }),
                Err(error) => println!("Tomcat is left out: {error}"),
            }
        }
    }
    let text = report::write(options, &contestants, &absent, &results);
    if options.print || !options.is_whole() {
        println!("\n{text}");
        return Ok(());
    }
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/results.md"), text)
}

impl Options {
    /// Whether nothing is left out that there is.
    fn is_whole(&self) -> bool {
        self.only.is_empty() && self.who.is_empty()
    }

    /// As it was asked for.
    fn command(&self) -> String {
        let tomcat = if self.tomcat.is_some() { " --tomcat DIR" } else { "" };
        let Self { rounds, seconds, .. } = self;
        format!("cargo run --release -p heirloom-benches --bin race -- --rounds {rounds} --seconds {seconds}{tomcat}")
    }
}

impl std::fmt::Display for Contestant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Library => "heirloom, library",
            Self::Node => "heirloom, node",
            Self::RedisAlone => "Redis alone",
            Self::RedisReplica => "Redis, replica",
        })
    }
}
