//! The demonstration: a cluster on this machine that loses a member and no session.
//!
//! It starts nodes as processes of their own, writes sessions through all of them, kills one in the middle of that, and
//! reads back from every survivor what was acknowledged. A replacement joins and must have everything too; then one
//! leaves.

mod model;
mod play;
mod readback;
mod screen;
mod summary;
mod traffic;

use std::io::{self, Write as _};

use clap::ValueEnum;
use heirloom_core::Copies;

use self::{model::VALUE_BYTES_MIN, play::Demo, screen::Screen};
use crate::{
    local::{Failed, within},
    options::Failure,
};

/// What can be set about the demonstration.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// How many nodes to start, 2 to 9
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 3, value_parser = within(2_u8..=9))]
    nodes: u8,
    /// How many sessions to write, 10 to 1000000
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 10_000, value_parser = within(10_u32..=1_000_000))]
    sessions: u32,
    /// How long the value of a session is, 32 to 1000000
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    #[arg(default_value_t = 1024, value_parser = within(VALUE_BYTES_MIN..=1_000_000))]
    value_bytes: u32,
    /// How many other members must have a write before it is acknowledged
    #[arg(long, value_name = "COPIES", default_value = "one")]
    durability: Durability,
    /// Which members hold a copy of a session: everywhere, or backups:1 to backups:8
    #[arg(long, value_name = "COPIES", default_value = "everywhere", value_parser = parse_copies)]
    copies: Copies,
    /// Prints one JSON object instead of what happens
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Durability {
    Local,
    One,
    All,
}

/// Shows the demonstration.
///
/// # Errors
///
/// When it could not be shown to its end, or something acknowledged was lost or wrong.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let screen = if flags.json { Screen::silent() } else { Screen::new() };
    let summary = Demo::new(flags, screen).and_then(Demo::show).map_err(|Failed(why)| Failure::Start(why))?;
    if flags.json {
        // Whoever asked may have gone.
        let _unheard = writeln!(io::stdout(), "{}", summary.json());
    }
    match summary.complaint() {
        None => Ok(()),
        Some(complaint) if flags.durability == Durability::Local => {
            Err(Failure::Start(format!("{complaint}, as --durability local allows: try --durability one")))
        }
        Some(complaint) => Err(Failure::Start(complaint)),
    }
}

/// With no copies at all there is nothing to show.
fn parse_copies(text: &str) -> Result<Copies, String> {
    let copies = text.parse().ok().filter(|copies| *copies != Copies::Nowhere);
    copies.ok_or_else(|| "write everywhere, or backups:1 to backups:8".into())
}

impl Durability {
    fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::One => "one",
            Self::All => "all",
        }
    }
}
