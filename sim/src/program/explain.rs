//! Tells what a run comes down to: why it broke a promise, or its numbers.

use std::{fs, path::PathBuf};

use clap::Args;
use heirloom_sim::{
    explain::{explain, explain_by},
    stats, stats_svg,
};

use super::{
    Done, Status,
    show::print,
    source::{Found, Source},
};

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    source: Source,
}

impl Explain {
    pub(crate) fn perform(&self) -> Done {
        let story = match self.source.found()? {
            Found::Plan(stored) => explain(&stored.plan),
            Found::Tale(tale) => explain_by(tale.plan(), || vec![tale.judge()]),
        };
        match story {
            Some(story) => {
                print(&format!("{story}replay: {}\n", self.source.replay()))?;
                Ok(Status::Broken)
            }
            None => {
                print("no promise is broken\n")?;
                Ok(Status::Kept)
            }
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    source: Source,
    /// The numbers over time as a picture in this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Stats {
    pub(crate) fn perform(&self) -> Done {
        let (trial, record) = self.source.found()?.record();
        match &self.svg {
            Some(path) => fs::write(path, stats_svg(&record))?,
            None => print(&stats(&record))?,
        }
        Ok(Status::of(trial.failure))
    }
}
