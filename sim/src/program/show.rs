//! Shows what happens in a run.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Args;
use heirloom_core::{SessionKey, kinds};
use heirloom_sim::{
    HostId, Moment, Tale, Violation, clients,
    show::{self, Filter, KINDS},
};

use super::{
    Done, Refused, Status,
    source::{Found, Source},
};

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    part: Part,
    /// One object of JSON for each thing that happened, on a line of its own.
    #[arg(long)]
    json: bool,
    /// The story as a scenario file: what happens, and some of what is seen as what is expected.
    #[arg(long, conflicts_with_all = ["json", "html", "svg"])]
    scenario: bool,
    /// A page in this file, to look at in a browser: lanes, views, messages, copies, commits; it fetches nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
    /// A picture of the part from --from to --to in this file, with the messages of --session or of --kind.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,
}

/// Which part is shown.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// What is about this session, like s4, and who owns and holds it.
    #[arg(long, value_parser = session)]
    session: Option<SessionKey>,
    /// What happens on this node, like n0, or names it.
    #[arg(long, value_parser = node)]
    node: Option<HostId>,
    /// These kinds, with commas between: fault, client, state, view, event, copy, commit, read, mail, message, violation,
    /// end; or of messages, like beat, delta or ack. Without it all but messages.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    kind: Vec<String>,
    /// What happens from this time on, like 12.4s.
    #[arg(long, value_parser = show::moment)]
    from: Option<Moment>,
    /// What happens up to this time.
    #[arg(long, value_parser = show::moment)]
    to: Option<Moment>,
}

impl Part {
    pub(crate) fn filter(&self) -> Filter {
        Filter { session: self.session, node: self.node, kinds: self.kind.clone(), from: self.from, to: self.to }
    }
}

impl Show {
    pub(crate) fn perform(&self) -> Done {
        let found = self.source.found()?;
        if self.scenario {
            let (text, violation) = story(&found, &self.source.title())?;
            print(&text)?;
            return Ok(if violation.is_some() { Status::Broken } else { Status::Kept });
        }
        let (trial, record) = found.record();
        let filter = self.part.filter();
        if let Some(path) = &self.html {
            fs::write(path, show::page(&record, &self.source.title(), &self.source.replay()))?;
        }
        if let Some(path) = &self.svg {
            fs::write(path, show::svg(&record, &filter))?;
        }
        if self.html.is_some() || self.svg.is_some() {
            return Ok(Status::of(trial.failure));
        }
        let told = if self.json {
            show::json(&record, &filter).map(|line| line + "\n").collect()
        } else {
            let replay = trial.failure.map(|_| format!("replay: {}\n", self.source.replay()));
            show::text(&record, &filter) + &replay.unwrap_or_default()
        };
        print(&told)?;
        Ok(Status::of(trial.failure))
    }
}

/// The text of a scenario file of a run, after what it breaks if it breaks a promise.
pub(crate) fn story(found: &Found, title: &str) -> Result<(String, Option<Violation>), Refused> {
    let tale = match found {
        Found::Plan(stored) => Tale::of(&stored.plan, &format!("What happens in {title}.")),
        Found::Tale(tale) => tale.clone(),
    };
    let text = tale.text().map_err(Refused)?;
    let violation = tale.run().err();
    let told = violation.iter().map(|violation| format!("# {}\n", violation.to_string().replace('\n', "\n# ")));
    Ok((told.collect::<String>() + &text, violation))
}

/// Prints as much as somebody reads.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn session(text: &str) -> Result<SessionKey, String> {
    let number = text.strip_prefix('s').and_then(|number| number.parse().ok());
    number.map(clients::key).ok_or_else(|| "write the number that clients know it by, like s4".into())
}

fn node(text: &str) -> Result<HostId, String> {
    let number = text.strip_prefix('n').and_then(|number| number.parse().ok());
    number.map(HostId).ok_or_else(|| "write its number, like n0".into())
}

fn kind(text: &str) -> Result<String, String> {
    let messages = kinds::all().into_iter().map(|name| name.strip_prefix("feed: ").unwrap_or(name));
    let known: Vec<&str> = KINDS.into_iter().chain(messages).collect();
    match known.contains(&text) {
        true => Ok(text.into()),
        false => Err(format!("one of {}", known.join(" "))),
    }
}
