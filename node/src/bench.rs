//! Measurements: what a cluster does under load, told as rates, times, bytes and processor time.
//!
//! The load comes from callers, each of which has its own share of the sessions, writes and reads them in turn, and waits
//! for each answer (or for a batch of them, with `--pipeline`). As each session has one writer, what was acknowledged last
//! of it is known, and at the end it is read back from the others.

mod cluster;
mod events;
mod figures;
mod historic;
mod lag;
mod line;
mod load;
mod lost;
mod plot;
mod processor;
mod summary;

use core::net::SocketAddr;
use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::ValueEnum;
use heirloom_core::{Copies, Durability};

use self::{cluster::Cluster, load::Run, summary::Summary};
use crate::{
    local::{Failed, within},
    options::{Failure, values::parse_durability},
};

/// What can be set about a measurement.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub(crate) struct Flags {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Repeats what an article of 2004 measured of the replication of sessions in Tomcat 5
    Historic(historic::Flags),
}

const AFTER_HELP: &str = "\
With --front redis the nodes are processes of their own, or those at --at, and the callers are Redis clients of the first \
of them. With --front handle all nodes are in this process, on loopback, and the callers hold the library's handle of the \
first.";

/// What is measured, and over what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Plan {
    /// How the callers reach the first node
    #[arg(long, value_name = "FRONT", default_value = "redis")]
    front: Front,
    /// A node that runs: the callers write through the first that is named, the others are looked at as copies. May be
    /// given several times
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["nodes", "copies", "durability"])]
    at: Vec<SocketAddr>,
    /// How many nodes to start, 1 to 9
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 2, value_parser = within(1_u8..=9))]
    nodes: u8,
    /// Which nodes hold a session: everywhere, nowhere, or backups:1 to backups:8
    #[arg(long, value_name = "COPIES", default_value = "everywhere", value_parser = parse_copies)]
    copies: Copies,
    /// How many other nodes must have a write before it is answered: local, one, copies:N, majority or all
    #[arg(long, value_name = "COPIES", default_value = "one", value_parser = parse_named_durability)]
    durability: Named,
    /// How many callers there are, 1 to 256
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 16, value_parser = within(1_u32..=256))]
    callers: u32,
    /// How many requests a caller makes before it waits for their answers, 1 to 1024
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 1, value_parser = within(1_u32..=1024))]
    pipeline: u32,
    /// How long the value of an attribute is, 8 to 1000000
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    #[arg(default_value_t = 1024, value_parser = within(8_u32..=1_000_000))]
    value_bytes: u32,
    /// How many of a hundred requests are reads, 0 to 100
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    #[arg(default_value_t = 0, value_parser = within(0_u32..=100))]
    read_share: u32,
    /// How many attributes a session has, 1 to 1000: a write changes one of them
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 1, value_parser = within(1_u32..=1000))]
    attributes: u32,
    /// How many sessions there are, 1 to 1000000
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 1000, value_parser = within(1_u32..=1_000_000))]
    sessions: u32,
    /// How long to measure, 1 to 3600
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    #[arg(default_value_t = 10, value_parser = within(1_u32..=3600))]
    seconds: u32,
    /// Prints one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Draws the result into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// How callers reach a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Front {
    /// With Redis' protocol
    Redis,
    /// In one process with it
    Handle,
}

/// A durability, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    text: String,
    durability: Durability,
}

/// Measures.
///
/// # Errors
///
/// When something cannot be as it is asked for, a node cannot be reached or breaks off, or an acknowledged write is lost.
pub(crate) fn run(flags: Flags) -> Result<(), Failure> {
    match flags.what {
        Some(What::Historic(flags)) => historic::run(&flags),
        None => flags.plan.checked()?.measure(),
    }
}

impl Plan {
    /// What the flags cannot say each for itself.
    fn checked(self) -> Result<Self, Failure> {
        let refuse = |text: &str| Err(Failure::Usage(text.into()));
        if self.front == Front::Handle && !self.at.is_empty() {
            return refuse("--at needs --front redis: a handle reaches no other process");
        }
        if self.sessions < self.callers {
            return refuse("--sessions must be at least as many as --callers, as each caller has its own");
        }
        if REGISTERS_MAX < u64::from(self.sessions) * u64::from(self.attributes) {
            return refuse("--sessions times --attributes must be at most 4000000");
        }
        let bytes = u64::from(self.sessions) * u64::from(self.attributes) * u64::from(self.value_bytes);
        if BYTES_MAX < bytes {
            return refuse("--sessions times --attributes times --value-bytes must be at most 4294967296");
        }
        if UNDER_WAY_MAX < u64::from(self.pipeline) * u64::from(self.value_bytes) {
            return refuse("--pipeline times --value-bytes must be at most 16777216");
        }
        Ok(self)
    }

    fn measure(&self) -> Result<(), Failure> {
        let plot = self.plot.as_ref().map(|path| (path, fs::File::create(path)));
        let plot = match plot {
            None => None,
            Some((path, Ok(file))) => Some((path, file)),
            Some((path, Err(error))) => {
                return Err(Failure::Usage(format!("cannot write --plot {}: {error}", path.display())));
            }
        };
        let unreachable = |Failed(why)| Failure::Usage(why);
        let cluster = Cluster::start(self).map_err(unreachable)?;
        let run = Run::new(self, &cluster).map_err(unreachable)?;
        let (results, broken) = run.measure();
        let summary = Summary::new(self, &results);
        let shown = if self.json { summary.json() + "\n" } else { summary.text() };
        // Whoever asked may have gone.
        let _unheard = io::stdout().write_all(shown.as_bytes());
        if let Some((path, mut file)) = plot {
            let drawn = file.write_all(plot::draw(&summary.title(), &results).as_bytes());
            drawn.map_err(|error| Failure::Start(format!("cannot write --plot {}: {error}", path.display())))?;
        }
        drop(cluster);
        match broken {
            Some(Failed(why)) => Err(Failure::Usage(format!("{why}; what is told is what there was until then"))),
            None if results.lost == 0 => Ok(()),
            None => Err(Failure::Start(format!("{} acknowledged writes were lost", results.lost))),
        }
    }
}

/// What the callers must remember of.
const REGISTERS_MAX: u64 = 4_000_000;
/// What a node must hold.
const BYTES_MAX: u64 = 4 << 30;
/// A node and a client that both write and do not read would wait for each other for ever.
const UNDER_WAY_MAX: u64 = 16 << 20;

fn parse_copies(text: &str) -> Result<Copies, String> {
    text.parse().map_err(|_| "write everywhere, nowhere, or backups:1 to backups:8".into())
}

fn parse_named_durability(text: &str) -> Result<Named, String> {
    Ok(Named { text: text.into(), durability: parse_durability(text)? })
}
