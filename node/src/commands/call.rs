//! One call of a command: what it has been given, and what comes of it.

use core::{cell::Cell, fmt::Display, net::SocketAddr, ops::Deref, time::Duration};
use std::{borrow::Cow, time::Instant};

use heirloom_core::{Copies, Delta, Durability, Lifetime, Partition, Session, SessionKey, Time, WhenFull};
use heirloom_runtime::{IdTooLong, Published};

use crate::{
    fetches::Brought,
    mapping::Kind,
    resp::{Arguments, Reply, Version},
    store::Store,
};

/// How a command ends: with a reply, or with a refusal that becomes one.
pub(crate) type Answer = Result<(), Refusal>;

/// Why a command is not run: the error as the client reads it.
#[derive(Debug)]
pub(crate) struct Refusal(Cow<'static, str>);

pub(crate) const SYNTAX: &str = "ERR syntax error";
pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(crate) const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// One command of one client.
pub(crate) struct Call<'a, S: Store> {
    pub(crate) store: &'a S,
    pub(crate) program: &'a Program,
    pub(crate) connection: &'a mut Connection,
    pub(crate) arguments: Arguments<'a>,
    /// Sessions that are not to be looked for in the store.
    pub(crate) brought: Brought,
    pub(crate) reply: Reply<'a>,
    /// What the reply has to wait for, by the session that is written; the shared map has none.
    pub(crate) commits: &'a mut Vec<(Option<SessionKey>, S::Commit)>,
    pub(crate) after: After,
}

/// What happens once a command has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next command.
    Next,
    /// The reply is the number of members that have the writes before it. It waits for so many, or until then.
    Wait { wanted: usize, until: Option<Time> },
    /// The client is closed once it has its replies.
    Close,
    /// The node leaves the cluster.
    Shutdown,
}

/// What there is to know about the program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) cluster_name: String,
    pub(crate) listen: SocketAddr,
    pub(crate) started: Instant,
    /// How long a session lives that nothing was said about.
    pub(crate) idle: Duration,
    pub(crate) copies: Copies,
    /// How many bytes sessions may count; zero is without a limit.
    pub(crate) memory_max: usize,
    pub(crate) when_full: WhenFull,
    /// What it does when it sees too few others.
    pub(crate) partition: Partition,
    pub(crate) host: String,
    pub(crate) zone: String,
    pub(crate) domain: String,
    /// What others are told of this member.
    pub(crate) payload: String,
    pub(crate) weight: u16,
    /// The newest version of the protocol between members that it speaks.
    pub(crate) version_max: u8,
    pub(crate) durability: Option<Durability>,
    /// How long the node has to hand over when it is told to leave.
    pub(crate) drain_for: Duration,
    pub(crate) clients_max: usize,
    pub(crate) reply_bytes_max: usize,
    pub(crate) counters: Counters,
}

/// What the program has counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) clients: Cell<usize>,
    pub(crate) connections: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) commands: Cell<u64>,
}

/// What a client has said about itself.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) version: Version,
    /// The database it has selected: it goes into the keys.
    pub(crate) space: u32,
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
}

impl<'a, S: Store> Call<'a, S> {
    /// The key of the session that an argument names.
    pub(crate) fn key(&self, at: usize) -> Result<SessionKey, Refusal> {
        self.key_of(&self.arguments[at])
    }

    pub(crate) fn key_of(&self, id: &[u8]) -> Result<SessionKey, Refusal> {
        key_of(self.store, self.connection.space, id)
    }

    /// A session, and this is a use of it.
    pub(crate) fn session(&self, key: &SessionKey) -> Option<Published> {
        match self.brought.get(key) {
            None => self.store.session(key),
            Some(found) => found.as_ref().ok().cloned(),
        }
    }

    /// A session, and this is no use of it.
    pub(crate) fn peek(&self, key: &SessionKey) -> Option<Published> {
        match self.brought.get(key) {
            None => self.store.peek(key),
            Some(found) => found.as_ref().ok().cloned(),
        }
    }

    /// A whole number, written as Redis writes it.
    pub(crate) fn integer(&self, at: usize) -> Result<i64, Refusal> {
        integer(&self.arguments[at]).ok_or_else(|| NOT_AN_INTEGER.into())
    }

    /// Changes a session; the reply waits for its copies.
    pub(crate) fn commit(&mut self, key: SessionKey, delta: Delta) {
        self.commits.push((Some(key), self.store.commit(key, delta)));
    }

    pub(crate) fn finish(self) -> After {
        self.reply.finish();
        self.after
    }
}

impl Program {
    /// The lifetime of a session that nothing was said about.
    pub(crate) fn lifetime(&self) -> Lifetime {
        if self.idle.is_zero() { Lifetime::Never } else { Lifetime::Idle(self.idle) }
    }
}

impl Connection {
    pub(crate) fn new(id: u64, address: SocketAddr) -> Self {
        Self {
            id,
            address,
            version: Version::default(),
            space: 0,
            name: String::new(),
            library: String::new(),
            library_version: String::new(),
        }
    }
}

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl Deref for Refusal {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The key of the session with this id.
pub(crate) fn key_of<S: Store>(store: &S, space: u32, id: &[u8]) -> Result<SessionKey, Refusal> {
    let refuse =
        |IdTooLong { bytes, max }| format!("ERR the key has {bytes} bytes, more than id_bytes_max ({max})").into();
    store.key(space, id).map_err(refuse)
}

pub(crate) fn wrong_arity(command: impl Display) -> Refusal {
    format!("ERR wrong number of arguments for '{command}' command").into()
}

/// Refuses a session that is there and is not of this kind.
pub(crate) fn expect(kind: Kind, session: Option<&Session>) -> Result<Kind, Refusal> {
    match Kind::of(session) {
        found if found == kind || found == Kind::Absent => Ok(found),
        Kind::Absent | Kind::Text | Kind::Hash => Err(WRONG_TYPE.into()),
    }
}

/// Reads a number that has one spelling only: no sign but a minus, no zero in front, no space.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let is_canonical = match digits {
        [b'1'..=b'9', ..] => true,
        [b'0'] => digits.len() == bytes.len(),
        _ => false,
    };
    let text = core::str::from_utf8(bytes).ok().filter(|_| is_canonical)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for (text, value) in [("0", 0), ("-1", -1), ("10", 10), ("-9223372036854775808", i64::MIN)] {
            assert_eq!(integer(text.as_bytes()), Some(value));
        }
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "a"] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }
}
