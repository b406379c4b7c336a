//! The bodies of all frames but the feed's.

use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    io::FrameError,
    member::{MemberId, MemberState},
};

/// A sign of life, and all that a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat<'a> {
    pub(crate) from: MemberId,
    /// Counts the refutations of this life.
    pub(crate) incarnation: u32,
    /// Rises with every beat of a life: an old one that arrives late is no sign of life.
    pub(crate) sequence: u64,
    pub(crate) state: MemberState,
    pub(crate) clock: u64,
    pub(crate) age_millis: u64,
    pub(crate) address: SocketAddr,
    #[serde(borrow)]
    pub(crate) name: &'a str,
    /// Some of the members that the sender sees, so that members which only know it find each other.
    pub(crate) others: Vec<SocketAddr>,
    /// It was sent to one address, and the sender wants beats at its own in return.
    pub(crate) direct: bool,
}

/// Asks a suspect whether it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) nonce: u64,
}

/// Answers a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alive {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) nonce: u64,
}

/// Tells a member that the sender has removed this incarnation of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) incarnation: u32,
}

/// The first frame on a stream, in each direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello<'a> {
    /// The versions that the sender speaks, first and last.
    pub(crate) versions: (u8, u8),
    /// The sender did not have the receiver in its view before this stream: if the receiver had the sender in its own, it
    /// must not rely on what it sent before.
    pub(crate) fresh: bool,
    #[serde(borrow)]
    pub(crate) beat: Beat<'a>,
}

/// What a feed frame starts with; items follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedHead {
    /// The first frame of a stream is 1.
    pub(crate) number: u64,
    pub(crate) clock: u64,
}

/// Everything up to this frame is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    pub(crate) number: u64,
    pub(crate) clock: u64,
}

/// Asks over a stream whether the node lives, and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping {
    pub(crate) nonce: u64,
}

/// Readings of a hybrid clock beyond this are refused: it is the year 2255, and counting up from it cannot overflow.
pub(crate) const CLOCK_MAX: u64 = 1 << 63;

/// Reads a body to its last byte.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(FrameError::Body),
    }
}

/// Reads what a body starts with; the rest is what follows.
pub(crate) fn read_head<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, &'a [u8]), FrameError> {
    postcard::take_from_bytes(body).map_err(|_| FrameError::Body)
}
