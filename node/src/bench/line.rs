//! A caller's way to a node: a connection in Redis' protocol, or the handle of a node in this process.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use heirloom_core::{Delta, Durability, SessionKey};
use heirloom_runtime::{Commit, Handle};

use crate::local::client::{Client, Reply};

/// The way to a node. Answers come in the order of the requests.
#[derive(Debug)]
pub(super) enum Line {
    Redis(Client),
    Handle { handle: Handle, durability: Durability, asked: VecDeque<Asked> },
}

/// What a node in this process was asked.
#[derive(Debug)]
pub(super) enum Asked {
    Commit(Commit),
    Read(Option<u64>),
}

/// An attribute of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) session: u32,
    /// `None` is all there is of a session that has one.
    pub(super) attribute: Option<u32>,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Written,
    /// The number of the value that is there; `None` if there is none.
    Value(Option<u64>),
    Refused(String),
}

impl Line {
    /// Writes a value. With a connection it goes out with `send`.
    pub(super) fn write(&mut self, place: Place, value: &[u8]) {
        match self {
            Self::Redis(client) => {
                let id = place.id();
                match place.name() {
                    None => client.push([&b"SET"[..], id.as_bytes(), value].into_iter()),
                    Some(name) => client.push([&b"HSET"[..], id.as_bytes(), name.as_bytes(), value].into_iter()),
                }
            }
            Self::Handle { handle, durability, asked } => {
                let name = place.name().unwrap_or_default();
                let delta = Delta::new().set(name, Bytes::copy_from_slice(value));
                asked.push_back(Asked::Commit(handle.commit(place.key(handle), delta, *durability)));
            }
        }
    }

    /// Reads a value.
    pub(super) fn read(&mut self, place: Place) {
        match self {
            Self::Redis(client) => {
                let id = place.id();
                match place.name() {
                    None => client.push([&b"GET"[..], id.as_bytes()].into_iter()),
                    Some(name) => client.push([&b"HGET"[..], id.as_bytes(), name.as_bytes()].into_iter()),
                }
            }
            Self::Handle { handle, asked, .. } => {
                let name = place.name().unwrap_or_default();
                let session = handle.session(&place.key(handle));
                let value = session.as_ref().and_then(|session| session.attribute(name.as_bytes()));
                asked.push_back(Asked::Read(value.and_then(|value| number(value))));
            }
        }
    }

    /// Sends what was asked.
    pub(super) fn send(&mut self) -> io::Result<()> {
        match self {
            Self::Redis(client) => client.send(),
            Self::Handle { .. } => Ok(()),
        }
    }

    /// The answer to the oldest request that has none.
    pub(super) fn answer(&mut self) -> io::Result<Answer> {
        match self {
            Self::Redis(client) => match client.reply()? {
                Reply::Simple(_) | Reply::Integer(_) => Ok(Answer::Written),
                Reply::Bulk(value) => Ok(Answer::Value(number(&value))),
                Reply::Null => Ok(Answer::Value(None)),
                Reply::Error(error) => Ok(Answer::Refused(error)),
                reply @ Reply::Array(_) => Err(reply.unexpected("a request")),
            },
            Self::Handle { asked, .. } => match asked.pop_front() {
                Some(Asked::Commit(commit)) => {
                    Ok(commit.wait().map_or_else(|error| Answer::Refused(error.to_string()), |_| Answer::Written))
                }
                Some(Asked::Read(value)) => Ok(Answer::Value(value)),
                None => Err(io::Error::other("nothing was asked")),
            },
        }
    }

    /// Asks one thing and waits for its answer.
    pub(super) fn ask(&mut self, ask: impl FnOnce(&mut Self)) -> io::Result<Answer> {
        ask(self);
        self.send()?;
        self.answer()
    }

    /// Whether this node holds a session, without asking another.
    pub(super) fn holds(&mut self, place: Place) -> io::Result<bool> {
        match self {
            Self::Redis(client) => {
                let reply = client.ask(&[b"HEIRLOOM.EXPLAIN", place.id().as_bytes()])?;
                let Reply::Array(words) = reply else { return Err(reply.unexpected("HEIRLOOM.EXPLAIN")) };
                Ok(words.contains(&Reply::Bulk(b"here".to_vec())))
            }
            Self::Handle { handle, .. } => Ok(handle.peek(&place.key(handle)).is_some()),
        }
    }
}

impl Place {
    fn id(self) -> String {
        format!("bench:{}", self.session)
    }

    fn name(self) -> Option<String> {
        self.attribute.map(|attribute| format!("a{attribute}"))
    }

    pub(super) fn key(self, handle: &Handle) -> SessionKey {
        handle.key(0, self.id().as_bytes()).expect("the id is short")
    }
}

/// Values begin with their number, so that the later of two is known.
fn number(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|number| u64::from_le_bytes(*number))
}

/// A value for a number: makes it in place, as only its beginning changes.
pub(super) fn renumber(value: &mut [u8], number: u64) {
    if let Some(first) = value.first_chunk_mut() {
        *first = number.to_le_bytes();
    }
}
