//! Where a run comes from: a scenario, a plan or a seed, with settings of one's own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use heirloom_sim::{BadPlan, Choice, NodeFile, Plan, Profile, Record, Stored, Swarm, Tale, Trial};

use super::{Refused, scenarios};

/// What the seeds make.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Kind {
    /// How strong the faults are: smoke, default, hostile, lockstep or ablate.
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
    /// A scenario by its name (`heirloom-sim book` lists them), or a file with a scenario or a plan.
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
    /// A node's own configuration file: its settings, where the scenario has none of its own. Without a scenario it is a
    /// crash, a failure of a machine and a leave, under traffic.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "profile", "copies"])]
    config: Option<PathBuf>,
    /// How many members there are where no scenario says it.
    #[arg(long, default_value_t = 3, requires = "config", conflicts_with = "plan", value_parser = clap::value_parser!(u16).range(1..=64))]
    members: u16,
}

impl Source {
    /// The plan, with what its run was like if it was stored.
    pub(crate) fn stored(&self) -> Result<Stored, Refused> {
        Ok(self.found()?.stored())
    }

    /// What is said there.
    pub(crate) fn found(&self) -> Result<Found, Refused> {
        let base = self.base()?;
        let (name, found) = match (&self.plan, self.seed) {
            (Some(name), _) => (name.clone(), read_on(name, base.as_ref())?),
            (None, None) => match base {
                Some(base) => {
                    let tale = base.what_if(self.members).map_err(|error| Refused(error.story))?;
                    ("the configuration".into(), Found::Tale(tale))
                }
                None => return Err(Refused("say a scenario, a file with a scenario or a plan, or --seed".into())),
            },
            (None, Some(seed)) => ("the seed".into(), Found::Plan(bare(&self.kind.swarm().plan(seed)))),
        };
        if self.settings.is_empty() {
            return Ok(found);
        }
        let text = self.with_settings(&found.stored().to_string())?;
        let stored: Stored = text.parse().map_err(|BadPlan { story, .. }| Refused(format!("{name}: {story}")))?;
        Ok(match found {
            Found::Plan(_) => Found::Plan(stored),
            Found::Tale(tale) => Found::Tale(tale.with_plan(stored.plan)),
        })
    }

    /// Whether a seed has drawn it.
    pub(crate) const fn is_drawn(&self) -> bool {
        self.plan.is_none() && self.config.is_none()
    }

    /// Whether it is a run of somebody's own configuration.
    pub(crate) const fn is_what_if(&self) -> bool {
        self.config.is_some()
    }

    fn base(&self) -> Result<Option<NodeFile>, Refused> {
        let Some(path) = &self.config else { return Ok(None) };
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| Refused(format!("{shown}: {error}")))?;
        NodeFile::read(&text).map(Some).map_err(|error| Refused(format!("{shown}:{error}")))
    }

    /// What the run is called.
    pub(crate) fn title(&self) -> String {
        match (&self.plan, self.seed) {
            (Some(name), _) => name.clone(),
            (None, Some(seed)) => format!("seed {seed}"),
            (None, None) => self.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }

    /// The command that lets it happen again.
    pub(crate) fn replay(&self) -> String {
        let command = match (&self.plan, self.seed) {
            (Some(name), _) => format!("heirloom-sim run {name}"),
            (None, None) if self.is_what_if() => format!("heirloom-sim run --members {}", self.members),
            (None, seed) => self.kind.swarm().replay(seed.unwrap_or(0)),
        };
        let settings = self.settings.iter().map(|setting| format!(" --set {setting}"));
        let base = self.config.iter().map(|path| format!(" --config {}", path.display()));
        [command].into_iter().chain(base).chain(settings).collect()
    }

    fn with_settings(&self, text: &str) -> Result<String, Refused> {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        for setting in &self.settings {
            let line = config_line(setting)?;
            let name = line.split_once(' ').and_then(|(_, rest)| rest.split_once(' ')).map_or("", |(name, _)| name);
            lines.retain(|other| !other.starts_with(&format!("config {name} ")));
            lines.push(line);
        }
        if !self.settings.is_empty() {
            // What was noted of it holds for the settings that it had.
            lines.retain(|line| !line.starts_with("check ") && !line.starts_with("want "));
        }
        Ok(lines.join("\n"))
    }
}

/// What can be run.
#[derive(Debug)]
pub(crate) enum Found {
    Plan(Stored),
    Tale(Tale),
}

impl Found {
    /// Lets it happen, and keeps a record of it.
    pub(crate) fn record(&self) -> (Trial, Record) {
        match self {
            Self::Plan(stored) => Record::of(&stored.plan),
            Self::Tale(tale) => {
                let (trial, record) = Record::judged(tale.plan(), vec![tale.judge()]);
                (trial, Record { called: [tale.members().to_vec(), tale.sessions()], ..record })
            }
        }
    }

    /// The plan alone.
    pub(crate) fn stored(&self) -> Stored {
        match self {
            Self::Plan(stored) => stored.clone(),
            Self::Tale(tale) => bare(tale.plan()),
        }
    }
}

/// A plan of which nothing was noted.
fn bare(plan: &Plan) -> Stored {
    Stored { plan: plan.clone(), checks: Vec::new(), want: None }
}

/// Reads a scenario or a plan from a file, or the scenario of this name.
pub(crate) fn read_file(name: &str) -> Result<Found, Refused> {
    read_on(name, None)
}

/// The same, with the settings of a node's file where it has none of its own.
fn read_on(name: &str, base: Option<&NodeFile>) -> Result<Found, Refused> {
    let text = match scenarios::named(name).filter(|_| !Path::new(name).is_file()) {
        Some(text) => text.into(),
        None => fs::read_to_string(name).map_err(|error| {
            Refused(format!("{name}: {error}; it is no scenario either: `heirloom-sim book` lists them"))
        })?,
    };
    let wrong = |error: BadPlan| Refused(format!("{name}:{error}"));
    match (is_plan(&text), base) {
        (true, Some(_)) => {
            Err(Refused(format!("{name} is a plan, which has all its settings: --config is for scenarios")))
        }
        (true, None) => text.parse().map(Found::Plan).map_err(wrong),
        (false, Some(base)) => base.tale(name, &text).map(Found::Tale).map_err(wrong),
        (false, None) => Tale::read(name, &text).map(Found::Tale).map_err(wrong),
    }
}

/// A plan says so in its first line.
fn is_plan(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_none_or(|first| first.starts_with("heirloom-sim"))
}

/// A setting as a plan says it.
pub(crate) fn config_line(setting: &str) -> Result<String, Refused> {
    let wrong = || Refused(format!("`{setting}` is no setting: write its name and its value, like idle=30s"));
    setting.split_once('=').map(|(name, value)| format!("config {name} {value}")).ok_or_else(wrong)
}
