//! What the commands need of the member they run on.
//!
//! The commands are written against this trait, so that their tests can give them a node without sockets and a clock that
//! they turn themselves.

use core::{cell::Cell, net::SocketAddr, time::Duration};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use heirloom_core::{
    AtRisk, AttributeTraffic, Copies, Delta, Demand, Durability, EndCause, Handover, Member, MemberId, MemberState,
    Minority, Purpose, Receipt, SessionKey, Stats, Time,
};
use heirloom_runtime::{Commit, CommitFailed, FetchFailed, Fetching, Found, FrameErrors, Handle, IdTooLong, Published};

/// A member of the cluster, as the commands see it.
pub(crate) trait Store: 'static {
    /// A write on its way to other members.
    type Commit: Future<Output = Result<Receipt, CommitFailed>> + Unpin;
    /// A question to other members on its way.
    type Fetch: Future<Output = Result<Found, FetchFailed>> + Unpin;

    /// The key of a session.
    fn key(&self, space: u32, id: &[u8]) -> Result<SessionKey, IdTooLong>;
    /// Whether others may have to be asked for a session.
    fn fetches(&self) -> bool;
    /// Makes sure that a session can be looked at or changed here.
    fn fetch(&self, key: SessionKey, purpose: Purpose) -> Self::Fetch;
    /// A session, and this is a use of it.
    fn session(&self, key: &SessionKey) -> Option<Published>;
    /// A session, and this is no use of it.
    fn peek(&self, key: &SessionKey) -> Option<Published>;
    /// Changes a session; later reads see it at once.
    fn commit(&self, key: SessionKey, delta: Delta) -> Self::Commit;
    /// Gives a session another key; later reads see it at once.
    fn change_id(&self, old: SessionKey, new: SessionKey) -> Self::Commit;
    /// The key that a session has now whose id was changed.
    fn moved(&self, key: &SessionKey) -> Option<SessionKey>;
    /// A commit without a change of a session that is there, for as many copies.
    fn probe(&self, key: SessionKey, durability: Durability) -> Self::Commit;
    /// What the shared map has under a name.
    fn map_get(&self, name: &[u8]) -> Option<Bytes>;
    /// The whole shared map.
    fn map(&self) -> Arc<BTreeMap<Bytes, Bytes>>;
    /// Sets a name of the shared map, or removes it; later reads see it at once.
    fn map_write(&self, name: &[u8], value: Option<&[u8]>) -> Self::Commit;
    /// How far the member is.
    fn state(&self) -> MemberState;
    /// How many other members serve.
    fn ready_peers(&self) -> usize;
    /// The other members.
    fn members(&self) -> Vec<Member>;
    /// Members of other domains.
    fn neighbors(&self) -> Vec<Member>;
    /// Which life of the member this is.
    fn id(&self) -> MemberId;
    /// Where other members reach it.
    fn address(&self) -> SocketAddr;
    /// How many sessions it holds.
    fn sessions(&self) -> usize;
    /// How many bytes they count.
    fn memory(&self) -> usize;
    /// How many of them it owns.
    fn sessions_owned(&self) -> usize;
    /// How often a copy of another's session came that was not here before.
    fn copies_received(&self) -> u64;
    /// Who must hold a session by its view, itself included.
    fn holders(&self, key: &SessionKey) -> Vec<MemberId>;
    /// Why a session is gone, as long as it remembers.
    fn ended(&self, key: &SessionKey) -> Option<EndCause>;
    /// Whether the sessions of everybody who is gone have owners and copies again.
    fn is_settled(&self) -> bool;
    /// What would be lost with it.
    fn at_risk(&self) -> AtRisk;
    /// How far it is with leaving.
    fn handover(&self) -> Option<Handover>;
    /// Why it sees too few others.
    fn minority(&self) -> Option<Minority>;
    /// Who is missing is gone for good.
    fn resume(&self);
    /// What it has counted.
    fn stats(&self) -> Stats;
    /// How far another member of its view lags behind.
    fn lag(&self, member: MemberId) -> Option<Duration>;
    /// The attributes that take the most room on the wire.
    fn attribute_traffic(&self) -> Vec<AttributeTraffic>;
    /// What it has dropped of what the network brought.
    fn frame_errors(&self) -> FrameErrors;
    /// The present.
    fn now(&self) -> Time;
    /// The wall clock: the time since the Unix epoch.
    fn wall(&self) -> Duration;
}

/// The member that this program is.
pub(crate) struct Local {
    handle: Handle,
    durability: Option<Durability>,
    commit_for: Option<Duration>,
    // Read at every command, and changed only by an event.
    state: Cell<MemberState>,
    ready_peers: Cell<usize>,
}

impl Local {
    /// Without a durability, a write waits for one copy as long as there is a member to hold it; and no longer than
    /// `commit_for`.
    pub(crate) fn new(handle: Handle, durability: Option<Durability>, commit_for: Option<Duration>) -> Self {
        let (state, ready_peers) = (Cell::new(MemberState::Joining), Cell::new(0));
        let local = Self { handle, durability, commit_for, state, ready_peers };
        local.handle_change();
        local
    }

    /// Something has changed among the members.
    pub(crate) fn handle_change(&self) {
        self.state.set(self.handle.state());
        let ready = |member: &Member| member.state == MemberState::Ready;
        self.ready_peers.set(self.handle.members().into_iter().filter(ready).count());
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn demand(&self) -> Demand {
        let durability = self.durability.unwrap_or(match self.ready_peers.get() {
            0 => Durability::Local,
            _ => Durability::One,
        });
        Demand { durability, within: self.commit_for }
    }
}

impl Store for Local {
    type Commit = Commit;
    type Fetch = Fetching;

    fn key(&self, space: u32, id: &[u8]) -> Result<SessionKey, IdTooLong> {
        self.handle.key(space, id)
    }

    fn fetches(&self) -> bool {
        matches!(self.handle.copies(), Copies::Backups(_))
    }

    fn fetch(&self, key: SessionKey, purpose: Purpose) -> Fetching {
        self.handle.fetch(key, purpose)
    }

    fn session(&self, key: &SessionKey) -> Option<Published> {
        self.handle.session(key)
    }

    fn peek(&self, key: &SessionKey) -> Option<Published> {
        self.handle.peek(key)
    }

    fn commit(&self, key: SessionKey, delta: Delta) -> Commit {
        self.handle.commit(key, delta, self.demand())
    }

    fn change_id(&self, old: SessionKey, new: SessionKey) -> Commit {
        self.handle.change_id(old, new, self.demand())
    }

    fn moved(&self, key: &SessionKey) -> Option<SessionKey> {
        self.handle.moved(key)
    }

    fn probe(&self, key: SessionKey, durability: Durability) -> Commit {
        self.handle.commit(key, Delta::new(), durability)
    }

    fn map_get(&self, name: &[u8]) -> Option<Bytes> {
        self.handle.map_get(name)
    }

    fn map(&self) -> Arc<BTreeMap<Bytes, Bytes>> {
        self.handle.map()
    }

    fn map_write(&self, name: &[u8], value: Option<&[u8]>) -> Commit {
        let name = Bytes::copy_from_slice(name);
        match value {
            Some(value) => self.handle.map_set(name, Bytes::copy_from_slice(value), self.demand()),
            None => self.handle.map_remove(name, self.demand()),
        }
    }

    fn state(&self) -> MemberState {
        self.state.get()
    }

    fn ready_peers(&self) -> usize {
        self.ready_peers.get()
    }

    fn members(&self) -> Vec<Member> {
        self.handle.members()
    }

    fn neighbors(&self) -> Vec<Member> {
        self.handle.neighbors()
    }

    fn id(&self) -> MemberId {
        self.handle.id()
    }

    fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    fn sessions(&self) -> usize {
        self.handle.sessions()
    }

    fn memory(&self) -> usize {
        self.handle.memory()
    }

    fn sessions_owned(&self) -> usize {
        self.handle.sessions_owned()
    }

    fn copies_received(&self) -> u64 {
        self.handle.copies_received()
    }

    fn holders(&self, key: &SessionKey) -> Vec<MemberId> {
        self.handle.holders(key)
    }

    fn ended(&self, key: &SessionKey) -> Option<EndCause> {
        self.handle.ended(key)
    }

    fn is_settled(&self) -> bool {
        self.handle.is_settled()
    }

    fn at_risk(&self) -> AtRisk {
        self.handle.at_risk()
    }

    fn handover(&self) -> Option<Handover> {
        self.handle.handover()
    }

    fn minority(&self) -> Option<Minority> {
        self.handle.minority()
    }

    fn resume(&self) {
        self.handle.resume();
    }

    fn stats(&self) -> Stats {
        self.handle.stats()
    }

    fn lag(&self, member: MemberId) -> Option<Duration> {
        self.handle.lag(member)
    }

    fn attribute_traffic(&self) -> Vec<AttributeTraffic> {
        self.handle.attribute_traffic()
    }

    fn frame_errors(&self) -> FrameErrors {
        self.handle.driver_stats().frame_errors
    }

    fn now(&self) -> Time {
        self.handle.now()
    }

    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
