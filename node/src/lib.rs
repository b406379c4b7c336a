//! A node of an heirloom cluster: keeps web sessions alive through the death of a server, and talks to applications in
//! the Redis protocol. The program is all there is: this library has nothing else for others.
#![forbid(unsafe_code)]

mod bench;
mod client;
mod clients;
mod commands;
mod demo;
mod driver;
mod fetches;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod local;
mod mapping;
mod options;
mod peers;
mod replies;
mod resp;
mod serve;
mod store;
mod waits;
mod wakes;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::options::{Failure, Flags, Options};

/// Keeps web sessions alive through the death of a server.
#[derive(Debug, Parser)]
#[command(name = "heirloom", version, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node of a cluster; applications talk to it in the Redis protocol.
    #[command(after_help = options::AFTER_HELP)]
    Node(Box<Flags>),
    /// Shows a cluster on this machine that loses a member and no session.
    Demo(demo::Flags),
    /// Measures what a cluster does under load
    Bench(Box<bench::Flags>),
}

/// Runs the program with the arguments and the environment of the process.
pub fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(cli) => cli.command.run(),
        Err(error) if !error.use_stderr() => {
            // Help and version are what was asked for.
            let _unheard = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => Err(Failure::Usage(options::one_line(&error))),
    };
    let Err(failure) = ended else { return ExitCode::SUCCESS };
    let _unheard = writeln!(io::stderr(), "heirloom: {failure}");
    match failure {
        Failure::Usage(_) => ExitCode::from(2),
        Failure::Start(_) => ExitCode::FAILURE,
        Failure::Lost(_) => ExitCode::from(3),
    }
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Node(flags) => {
                let options = Options::read(*flags, |name| std::env::var(name).ok())?;
                log();
                serve::run(options)
            }
            Self::Demo(flags) => demo::run(&flags),
            Self::Bench(flags) => bench::run(*flags),
        }
    }
}

/// Logs to standard error, as much as `HEIRLOOM_LOG` asks for.
fn log() {
    let filter = EnvFilter::try_from_env("HEIRLOOM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
}
