//! The scenarios that are known by name, to run, to read and to change: the book.

use std::io::{self, Write as _};

use clap::Args;
use heirloom_sim::Tale;

use super::{Done, Refused, Status};

macro_rules! book {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// A name and a file.
const ALL: &[(&str, &str)] = &book![
    "asked-before-the-end",
    "asleep-at-the-end",
    "at-once-again",
    "black-hole",
    "both-sides-write",
    "broken-streams",
    "classic",
    "clock-behind",
    "cold-start",
    "counted-out",
    "deaf-to-the-group",
    "delta-first",
    "donor-dies",
    "drained",
    "empty-start",
    "ends-stay",
    "failover",
    "few-copies",
    "full-member",
    "greatest-age",
    "half-lost",
    "hung-member",
    "islands",
    "last-two-leave",
    "last-use-of-the-dead",
    "late-beat",
    "long-collection",
    "minority-pauses",
    "new-id",
    "nobody-left",
    "old-copies",
    "one-way",
    "orphans",
    "out-of-order",
    "rolling",
    "sleeper",
    "split",
    "stale-owner",
    "thin-join",
    "too-large",
    "two-releases",
    "used-elsewhere",
];

/// The text of the scenario of this name.
pub(crate) fn named(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[derive(Debug, Args)]
pub(crate) struct Book {
    /// Print the file of this one instead: a beginning for one of your own.
    name: Option<String>,
}

impl Book {
    pub(crate) fn perform(&self) -> Done {
        let mut out = io::stdout().lock();
        if let Some(name) = &self.name {
            let text = named(name)
                .ok_or_else(|| Refused(format!("`{name}` is no scenario: `heirloom-sim book` lists them")))?;
            out.write_all(text.as_bytes())?;
            return Ok(Status::Kept);
        }
        for (name, text) in ALL {
            let tale = Tale::read(name, text).map_err(|error| Refused(format!("{name}:{error}")))?;
            writeln!(out, "{name:<28} {}", tale.about())?;
        }
        Ok(Status::Kept)
    }
}
