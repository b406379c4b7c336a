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
const ALL: &[(&str, &str)] = &book!["failover", "rolling", "sleeper", "split"];

/// The text of the scenario of this name.
pub(crate) fn named(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub(crate) fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<&str>>().join(", ")
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
            let text = named(name).ok_or_else(|| Refused(format!("`{name}` is no scenario: {}", names())))?;
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
