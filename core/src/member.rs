//! What a member of the cluster is.

use alloc::string::String;
use core::{fmt, net::SocketAddr, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One life of one member: drawn at random when the member starts, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({self})")
    }
}

/// How far a member is in its life, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberState {
    /// It receives the sessions and does not serve yet (P5).
    Joining,
    /// It serves.
    Ready,
    /// It is handing over and takes no more writes.
    Leaving,
}

/// Another member, in the view of this node or of another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which life.
    pub id: MemberId,
    /// A name for people; it decides nothing.
    pub name: String,
    /// How much it holds of what is not held by all.
    pub weight: u16,
    /// The machine that it runs on; empty if that is not known.
    pub host: String,
    /// What fails together with its machine; empty if that is not known.
    pub zone: String,
    /// Which of the groups on the network it is of: those of another than this node's are seen and not fed.
    pub domain: String,
    /// What its application lets others know of it.
    pub payload: Bytes,
    /// Where it takes streams and datagrams.
    pub address: SocketAddr,
    /// The version of the protocol that it and this member speak with each other.
    pub version: u8,
    /// How far it is, by its own word.
    pub state: MemberState,
    /// It has been silent or its stream broke, and it is being probed.
    pub suspect: bool,
    /// How long it had been running when it last gave word of itself.
    pub uptime: Duration,
}

/// A payload that is longer than [`PAYLOAD_MAX`](crate::PAYLOAD_MAX).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload has {bytes} bytes, more than a sign of life has room for")]
pub struct PayloadTooLong {
    /// Its bytes.
    pub bytes: usize,
}

/// Why a member is no longer in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemovalCause {
    /// It said that it leaves.
    Left,
    /// Nothing was heard of it for the drop time, and it answered no probe.
    Silent,
    /// Its stream broke or a send to it failed, and it answered no probe.
    Broken,
    /// Its listener refused a connection while it was suspected: the process is gone.
    Refused,
    /// It announced that it starts another life at the same address.
    Superseded,
}

/// Why a member is looked for at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeekCause {
    /// The address is configured, and nobody was heard there.
    Configured,
    /// The member there was removed.
    Removed(RemovalCause),
}
