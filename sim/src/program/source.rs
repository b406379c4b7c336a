//! Where a run comes from: a scenario, a file or a seed, with settings of one's own.

use std::{fs, path::Path};

use clap::Args;
use heirloom_sim::{Choice, Profile, Stored, Swarm};

use super::{Refused, scenarios};

/// What the seeds make.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Kind {
    /// How strong the faults are: smoke, default, hostile or lockstep.
    #[arg(long, default_value = "default", value_parser = profile)]
    profile: Profile,
    /// How sessions are copied: any (each seed draws it), everywhere, backups (each seed draws how many), backups:1 to
    /// backups:8.
    #[arg(long, default_value = "any", value_parser = copies)]
    copies: Choice,
}

impl Kind {
    pub(crate) const fn swarm(self) -> Swarm {
        Swarm { profile: self.profile, copies: self.copies }
    }
}

fn profile(text: &str) -> Result<Profile, String> {
    text.parse()
}

fn copies(text: &str) -> Result<Choice, String> {
    text.parse().map_err(|_| "any, everywhere, backups, or backups:1 to backups:8".into())
}

/// One run.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// A scenario by its name (failover, split, rolling, sleeper), or a file with a plan.
    #[arg(conflicts_with_all = ["seed", "profile", "copies"])]
    plan: Option<String>,
    /// What is drawn from this seed.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    pub(crate) kind: Kind,
    /// Another setting of every member, like idle=30s or copies=backups:2; as often as needed.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

impl Source {
    /// The plan, with what its run was like if it was stored.
    pub(crate) fn stored(&self) -> Result<Stored, Refused> {
        let (name, text) = match (&self.plan, self.seed) {
            (Some(name), _) => (name.clone(), text_of(name)?),
            (None, None) => return Err(Refused("say a scenario, a file with a plan, or --seed".into())),
            (None, Some(seed)) => {
                let plan = self.kind.swarm().plan(seed);
                ("the seed".into(), Stored { plan, checks: Vec::new(), want: None }.to_string())
            }
        };
        read(&name, &self.with_settings(&text)?)
    }

    /// The command that lets it happen again.
    pub(crate) fn replay(&self) -> String {
        let command = match (&self.plan, self.seed) {
            (Some(name), _) => format!("heirloom-sim run {name}"),
            (None, seed) => self.kind.swarm().replay(seed.unwrap_or(0)),
        };
        let settings = self.settings.iter().map(|setting| format!(" --set {setting}"));
        [command].into_iter().chain(settings).collect()
    }

    fn with_settings(&self, text: &str) -> Result<String, Refused> {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| {
                Refused(format!("`{setting}` is no setting: write its name and its value, like idle=30s"))
            })?;
            let is_other = |line: &String| !line.starts_with(&format!("config {name} "));
            lines.retain(is_other);
            lines.push(format!("config {name} {value}"));
        }
        if !self.settings.is_empty() {
            // What was noted of it holds for the settings that it had.
            lines.retain(|line| !line.starts_with("check ") && !line.starts_with("want "));
        }
        Ok(lines.join("\n"))
    }
}

/// The text of a file, or of the scenario of this name.
fn text_of(name: &str) -> Result<String, Refused> {
    if let Some(text) = scenarios::named(name).filter(|_| !Path::new(name).is_file()) {
        return Ok(text.into());
    }
    fs::read_to_string(name)
        .map_err(|error| Refused(format!("{name}: {error}; it is no scenario either: {}", scenarios::names())))
}

/// Reads a plan from a file.
pub(crate) fn read_file(name: &str) -> Result<Stored, Refused> {
    read(name, &text_of(name)?)
}

fn read(name: &str, text: &str) -> Result<Stored, Refused> {
    text.parse().map_err(|error| Refused(format!("{name}:{error}")))
}
