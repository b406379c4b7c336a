//! A record for people and programs: as text, as lines of JSON, as a page and as a picture.

use heirloom_core::SessionKey;

use crate::{
    clock::Moment,
    net::HostId,
    record::{Entry, Happened},
    stored::read_time,
};

mod json;
mod page;
mod svg;
mod text;
mod words;

pub use json::json;
pub use page::page;
pub(crate) use svg::escaped;
pub use svg::svg;
pub use text::text;
pub use words::words;

/// Which part of a record is shown.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What is about this session.
    pub session: Option<SessionKey>,
    /// What happens on this host, or is named in what does.
    pub node: Option<HostId>,
    /// These kinds of entries, or of messages; all but messages if there are none.
    pub kinds: Vec<String>,
    /// What happens from here on.
    pub from: Option<Moment>,
    /// What happens up to here.
    pub to: Option<Moment>,
}

/// The kinds of entries.
pub const KINDS: [&str; 12] =
    ["fault", "client", "state", "view", "event", "copy", "commit", "read", "mail", "message", "violation", "end"];

/// Reads a moment as plans write it: `12.4s` after the beginning.
///
/// # Errors
///
/// What is wrong with it.
pub fn moment(text: &str) -> Result<Moment, String> {
    read_time(text).map(|length| Moment::ZERO + length)
}

impl Filter {
    /// Whether this entry is shown. A violation always is, and so are the states of members with every session: without
    /// them nothing else can be understood.
    pub fn shows(&self, entry: &Entry) -> bool {
        let is_in_time = self.from.is_none_or(|from| from <= entry.at) && self.to.is_none_or(|to| entry.at <= to);
        let is_wanted = if self.kinds.is_empty() {
            !matches!(entry.what, Happened::Message(_))
        } else {
            self.kinds.iter().any(|kind| is_of(&entry.what, kind))
        };
        is_in_time && is_wanted && (matches!(entry.what, Happened::Broken(_)) || self.is_about(&entry.what))
    }

    fn is_about(&self, what: &Happened) -> bool {
        let is_there = self.node.is_none_or(|node| what.hosts().contains(&node));
        let is_of_the_world = matches!(what, Happened::State(..)) || what.kind() == "fault";
        is_there && self.session.is_none_or(|session| is_of_the_world || what.sessions().contains(&session))
    }
}

/// `delta` is a kind of message as `feed: delta` is.
fn is_of(what: &Happened, kind: &str) -> bool {
    let is_named = |name: &str| name == kind || name.strip_prefix("feed: ") == Some(kind);
    match what {
        Happened::Message(message) => kind == "message" || message.kinds.iter().any(|(name, _)| is_named(name)),
        Happened::Done(_)
        | Happened::State(..)
        | Happened::View(..)
        | Happened::Told(..)
        | Happened::Copy(..)
        | Happened::Commit(..)
        | Happened::Read(..)
        | Happened::Mail(..)
        | Happened::Broken(_)
        | Happened::Left(..) => what.kind() == kind,
    }
}
