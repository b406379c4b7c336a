//! What goes between a node and its driver.

use core::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use crate::{
    digest::Difference,
    key::SessionKey,
    life::EndCause,
    limits::Limit,
    member::{MemberId, RemovalCause, SeekCause},
    protocol::Versions,
    quorum::Minority,
    risk::AtRisk,
};

/// A stream between this node and another, named by this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Send a datagram.
    Datagram {
        /// To this address.
        to: SocketAddr,
        /// Less than 1,200 bytes.
        bytes: Bytes,
    },
    /// Send a datagram to the group. A driver without multicast drops it.
    Multicast {
        /// Less than 1,200 bytes.
        bytes: Bytes,
    },
    /// Open a stream; answer with `handle_opened` or `handle_closed`.
    Open {
        /// Its name.
        stream: StreamId,
        /// To this address.
        to: SocketAddr,
    },
    /// Write to a stream. If only a part is taken, keep the rest, call `handle_blocked`, and `handle_writable` once the
    /// rest is written; nothing more is asked to be written to this stream in between.
    Write {
        /// To this stream.
        stream: StreamId,
        /// These bytes, in the order of the writes.
        bytes: Bytes,
    },
    /// Close a stream, after what was written. The node has forgotten it; no `handle_closed` is due.
    Close {
        /// This one.
        stream: StreamId,
    },
}

/// Why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// Nothing listens at the address: the process is gone.
    Refused,
    /// The other side closed it.
    Closed,
    /// It broke, or could not be opened for another reason than `Refused`.
    Broken,
}

/// Why a node became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyCause {
    /// It found no ready member and started alone.
    FirstMember,
    /// It has received all that it must hold (P5).
    Joined,
}

/// Something that an application may want to know. It carries no value: look at the node for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This node serves now.
    Ready(ReadyCause),
    /// A member came into the view.
    MemberAdded(MemberId),
    /// A member says that it is ready.
    MemberReady(MemberId),
    /// The payload of a member has changed.
    MemberPayload(MemberId),
    /// A member is being probed: without an answer it is removed for this cause.
    MemberSuspect(MemberId, RemovalCause),
    /// A suspected member has answered.
    MemberCleared(MemberId),
    /// A member is no longer in the view.
    MemberRemoved(MemberId, RemovalCause),
    /// A member of another domain is there: it is seen, and not fed.
    NeighborAdded(MemberId),
    /// A member of another domain is gone.
    NeighborRemoved(MemberId, RemovalCause),
    /// No member is at this configured address: it is looked for, again and again. Raised once until one is found.
    Seeking(SocketAddr, SeekCause),
    /// A member that was looked for at this address gives signs of life.
    Found(SocketAddr, MemberId),
    /// A member at this address has another setting of `copies`: the two do not list each other. Raised once for each life.
    Mismatched(MemberId, SocketAddr),
    /// A member at this address speaks no version of the protocol that this one does: the two do not list each other.
    /// Raised once for each life.
    Incompatible {
        /// Which life.
        member: MemberId,
        /// Where it takes streams and datagrams, or where it was heard from.
        address: SocketAddr,
        /// What it speaks.
        theirs: Versions,
        /// What this member speaks.
        ours: Versions,
    },
    /// The sessions of a removed member have owners and copies again, as far as this node is concerned.
    Settled(MemberId),
    /// A session ended.
    SessionEnded(SessionKey, EndCause),
    /// Another member has changed the value under this name of the shared map, or removed it.
    MapChanged(Bytes),
    /// The clock of a member is this many milliseconds ahead of this node's wall clock.
    ClockAhead(MemberId, u64),
    /// This node was not run for so long after its timer was due: its process was stopped, or its machine had no time for
    /// it. Others may have removed it meanwhile.
    Slept(Duration),
    /// `ended_max` was reached: the oldest end was forgotten early.
    EndsForgotten,
    /// More is held here than the limit and a sixteenth of it, and no room is made: copies of others' sessions are always
    /// taken. Raised once until there is room again.
    Overfull(Limit),
    /// This node sees too few others and refuses writes from now on ([`Partition::Pause`](crate::Partition::Pause)).
    Paused(Minority),
    /// This node sees enough others again and takes writes.
    Resumed,
    /// This node sees too few others, and goes on ([`Partition::Serve`](crate::Partition::Serve)).
    MajorityLost(Minority),
    /// This node sees enough others again.
    MajorityRegained,
    /// A copy here turned out to differ from what this member, which owns the session, holds; they bring each other what
    /// they have. Unless a third reaches one of the two and not the other, no member that does what it must lets this happen.
    Repaired(SessionKey, MemberId, Difference),
    /// This node has left the cluster: everything is handed over, or the time for that has passed.
    Left {
        /// What nobody else had acknowledged by then.
        at_risk: AtRisk,
    },
    /// The reader fell behind and some events are missing: look at everything again.
    Lagged,
}

/// Bytes from the network that mean nothing here. They were dropped; nothing else has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends before it is complete.
    #[error("the frame is cut")]
    Cut,
    /// It is longer than `frame_max`.
    #[error("the frame is longer than frame_max")]
    TooLong,
    /// Its checksum is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// It has a version that this node does not speak.
    #[error("the protocol version is not known")]
    Version,
    /// It belongs to another cluster.
    #[error("the frame is of another cluster")]
    Cluster,
    /// Its kind is not known. It was skipped.
    #[error("the kind of message is not known")]
    Kind,
    /// Its body does not parse or breaks a limit.
    #[error("the body is not valid")]
    Body,
    /// It may not come at this point of a stream.
    #[error("the message may not come here")]
    Unexpected,
    /// Its sender has another setting of `copies`.
    #[error("the other member places copies differently")]
    Copies,
    /// Its sender is of another domain.
    #[error("the other member is of another domain")]
    Domain,
    /// There is no such stream.
    #[error("no such stream")]
    NoStream,
}
