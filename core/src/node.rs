//! One member of a cluster (skeleton: the signatures stand, the bodies are being written).
#![allow(unused_variables, dead_code)]

use alloc::{sync::Arc, vec::Vec};
use core::net::SocketAddr;

use crate::{
    Config, ConfigError, CloseCause, CommitError, CommitId, Delta, Durability, Event, FrameError, Member, MemberId,
    MemberState, Outcome, Session, SessionKey, StreamId, Time, Transmit, Wall, EndCause,
};

/// One member.
#[derive(Clone)]
pub struct Node {}

/// What a node has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits taken.
    pub commits: u64,
}

impl Node {
    /// `address` is where other members reach this one by stream and datagram; `seed` is all its entropy.
    pub fn new(id: MemberId, address: SocketAddr, config: Config, seed: u64, now: Time) -> Result<Self, ConfigError> { todo!() }
    /// Addresses to send beats to, besides the group. Replaces those given before.
    pub fn set_peers(&mut self, now: Time, peers: Vec<SocketAddr>) { todo!() }

    /// A datagram (to this address or to the group).
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) -> Result<(), FrameError> { todo!() }
    /// Another member opened a stream to this one; the node names it.
    pub fn handle_accepted(&mut self, now: Time, from: SocketAddr) -> StreamId { todo!() }
    /// A stream that the node asked for with `Transmit::Open` is open.
    pub fn handle_opened(&mut self, now: Time, stream: StreamId) { todo!() }
    /// Bytes of a stream, cut anywhere. After an error the node has asked for the stream to be closed.
    pub fn handle_stream(&mut self, now: Time, stream: StreamId, bytes: &[u8]) -> Result<(), FrameError> { todo!() }
    /// A stream is closed by the other side, broke, or could not be opened.
    pub fn handle_closed(&mut self, now: Time, stream: StreamId, cause: CloseCause) { todo!() }
    /// A stream took only part of a write; the driver keeps the rest.
    pub fn handle_blocked(&mut self, now: Time, stream: StreamId) { todo!() }
    /// The rest is written.
    pub fn handle_writable(&mut self, now: Time, stream: StreamId) { todo!() }
    /// A datagram could not be sent.
    pub fn handle_send_failed(&mut self, now: Time, to: SocketAddr) { todo!() }
    /// A reading of the wall clock; repeat it now and then.
    pub fn handle_wall(&mut self, now: Time, wall: Wall) { todo!() }
    /// Time has come to what `poll_timeout` said.
    pub fn handle_timeout(&mut self, now: Time) { todo!() }

    /// Commits changes of a session.
    pub fn commit(&mut self, now: Time, key: SessionKey, delta: Delta, durability: Durability) -> Result<CommitId, CommitError> { todo!() }
    /// A use that changes nothing: renews the idle time.
    pub fn touch(&mut self, now: Time, key: &SessionKey) { todo!() }
    /// Leaves the cluster: takes no more commits, hands over, then raises `Event::Left`.
    pub fn leave(&mut self, now: Time) { todo!() }

    /// The next thing to do for the driver.
    pub fn poll_transmit(&mut self, now: Time) -> Option<Transmit> { todo!() }
    /// The next commit that has ended.
    pub fn poll_outcome(&mut self) -> Option<(CommitId, Outcome)> { todo!() }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> { todo!() }
    /// The next session (once per change of it, however often it changed since) whose state or deadline a published table must renew.
    pub fn poll_changed(&mut self) -> Option<SessionKey> { todo!() }
    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Time> { todo!() }

    /// Which life this is.
    pub fn id(&self) -> MemberId { todo!() }
    /// How far it is.
    pub fn state(&self) -> MemberState { todo!() }
    /// A session that lives here.
    pub fn session(&self, key: &SessionKey) -> Option<&Arc<Session>> { todo!() }
    /// When it ends if it is not used any more (`None`: never, or no such session).
    pub fn deadline(&self, key: &SessionKey) -> Option<Time> { todo!() }
    /// Why it is gone, as long as the ledger knows.
    pub fn ended(&self, key: &SessionKey) -> Option<EndCause> { todo!() }
    /// All records this node holds, live or ended (for tests, simulators and digests).
    pub fn records(&self) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> { core::iter::empty() }
    /// How many sessions live here.
    pub fn sessions(&self) -> usize { todo!() }
    /// The other members of the view, the oldest ready one first.
    pub fn members(&self) -> impl Iterator<Item = &Member> { core::iter::empty() }
    /// The counters.
    pub fn stats(&self) -> Stats { todo!() }
    /// Asserts what is true between calls.
    pub fn check(&self) { todo!() }
}
