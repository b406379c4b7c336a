//! What the application asks of a node.

use alloc::{sync::Arc, vec::Vec};
use core::net::SocketAddr;

use bytes::Bytes;

use super::Node;
use crate::{
    commits::Waiting,
    config::PAYLOAD_MAX,
    copies::Copies,
    delta::{CommitError, CommitId, Delta, Demand, Durability},
    feed::Feed,
    key::SessionKey,
    member::{MemberState, PayloadTooLong},
    session::Change,
    sessions::Writing,
    time::Time,
};

impl Node {
    /// Addresses at which members are looked for besides the group, for ever: as long as none is there they are tried again
    /// and again, at the latest every `search_max`. Replaces those that were given before.
    pub fn set_peers(&mut self, now: Time, peers: Vec<SocketAddr>) {
        let now = self.moved_to(now);
        self.membership.set_peers(now, peers);
        self.advance(now);
    }

    /// Nobody else can be there: the node is ready at once instead of looking for others first.
    pub fn start_alone(&mut self, now: Time) {
        let now = self.moved_to(now);
        self.become_first(now);
        self.advance(now);
    }

    /// Makes the changes of a session together. They are there for readers at once; `poll_outcome` tells when as many
    /// others have applied them as is demanded, by a [`Durability`](crate::Durability) with a deadline or without, or
    /// that this has failed.
    ///
    /// Who writes nothing but what is there, and was acknowledged by all who must hold it, only uses the session: nothing is
    /// sent, and what another member writes at the same time stands.
    ///
    /// # Errors
    ///
    /// The commit is refused; nothing has changed.
    pub fn commit(
        &mut self,
        now: Time,
        key: SessionKey,
        delta: Delta,
        demand: impl Into<Demand>,
    ) -> Result<CommitId, CommitError> {
        let now = self.moved_to(now);
        let committed = self.commit_unless_refused(now, key, delta, demand.into());
        self.end_commit(now, committed)
    }

    fn commit_unless_refused(
        &mut self,
        now: Time,
        key: SessionKey,
        delta: Delta,
        Demand { durability, within }: Demand,
    ) -> Result<CommitId, CommitError> {
        self.admit_write(self.commits.len())?;
        let waiting = Waiting::Application(durability, within.map(|length| now + length));
        if self.sessions.has_already(now, self.id, &key, &delta) && self.is_known_to_all(&key) {
            delta.check_conditions(self.sessions.record(&key).map(Arc::as_ref))?;
            return Ok(self.commit_nothing(now, key, waiting));
        }
        let change = Change(self.change.0 + 1);
        let stamps = (self.clock.stamp(now, self.id), self.clock.stamp(now, self.id));
        let (lifetime, max_age) = (self.config.lifetime(), self.config.max_age());
        let blind = !matches!(self.config.copies, Copies::Everywhere | Copies::Nowhere) && !self.serves(&key);
        let makes_room = self.makes_room();
        let writing = Writing { now, me: self.id, stamps, change, lifetime, max_age, blind, makes_room };
        let former = self.sessions.record(&key).and_then(|session| session.owner()).filter(|owner| *owner != self.id);
        let effect = self.sessions.commit(&writing, key, delta, &self.limits)?;
        self.change = change;
        self.stats.commits += 1;
        if effect.replaced.is_some() {
            self.stats.takeovers += 1;
            self.feed_to_joiners(key);
            self.tell_of_links(key);
        }
        if self.is_everywhere() || former.is_none() {
            self.feed_holders(key, change);
        } else {
            // Also who owned what has ended: it need not hold the session, and would go on to say that there is none.
            self.feed_takeover(key, change, former);
        }
        self.relocation.settle(&key);
        let mut others = self.others_that_hold(&key);
        if durability == Durability::All {
            self.add_told(&mut others, &key);
        }
        self.commits.start(key, change, waiting, others);
        self.settle_record(now, key, effect.ended);
        self.look_at_ended(now, key);
        self.make_room(now, Some(key));
        Ok(CommitId(change.0))
    }

    /// Whether all that must hold a session have acknowledged what this node wrote of it, and nothing is under way to others
    /// that come to hold it.
    fn is_known_to_all(&self, key: &SessionKey) -> bool {
        let has_all = |member| {
            self.feeds.get(member).is_some_and(|feed: &Feed| feed.walk().is_none() && !feed.is_outstanding(key))
        };
        self.is_settled() && self.others_that_hold(key).ready.iter().all(has_all)
    }

    /// A commit of what is there already, and that all who must hold it have: it is a use.
    fn commit_nothing(&mut self, now: Time, key: SessionKey, waiting: Waiting) -> CommitId {
        let (change, others) = (self.next_change(), self.others_that_hold(&key));
        self.stats.commits += 1;
        self.stats.commits_unchanged += 1;
        if self.sessions.use_here(now, &key) {
            self.tell_use(now, &key);
        }
        self.commits.start_acked(key, change, waiting, others);
        CommitId(change.0)
    }

    /// What follows a commit, or the refusal of one.
    pub(super) fn end_commit(
        &mut self,
        now: Time,
        committed: Result<CommitId, CommitError>,
    ) -> Result<CommitId, CommitError> {
        match &committed {
            Ok(_) => self.advance(now),
            Err(_) => self.stats.commits_refused += 1,
        }
        committed
    }

    /// Whether the application may ask for one thing more, of whose kind so many are under way.
    pub(super) fn admit(&self, under_way: usize) -> Result<(), CommitError> {
        let max = self.config.commits_max;
        match self.state {
            MemberState::Joining => Err(CommitError::NotReady),
            MemberState::Leaving => Err(CommitError::Leaving),
            MemberState::Ready if max <= under_way => Err(CommitError::TooManyCommits { max }),
            MemberState::Ready => Ok(()),
        }
    }

    /// As [`admit`](Self::admit), and whether it may change anything.
    pub(super) fn admit_write(&self, under_way: usize) -> Result<(), CommitError> {
        self.admit(under_way)?;
        self.paused().map_or(Ok(()), |minority| Err(CommitError::Paused(minority)))
    }

    /// A use that changes nothing: a session with an idle time lives on for that long.
    pub fn touch(&mut self, now: Time, key: &SessionKey) {
        let now = self.moved_to(now);
        if self.state == MemberState::Ready && self.sessions.use_here(now, key) {
            self.tell_use(now, key);
        }
        self.advance(now);
    }

    /// Lets the others know this of the member, from the next sign of life on, which is due now. They see it in
    /// [`Member::payload`](crate::Member::payload) and hear of it by an event. One that is replaced before it was sent is
    /// never seen.
    ///
    /// # Errors
    ///
    /// It is longer than [`PAYLOAD_MAX`](crate::PAYLOAD_MAX); the one before stays.
    pub fn set_payload(&mut self, now: Time, payload: impl Into<Bytes>) -> Result<(), PayloadTooLong> {
        let (now, payload) = (self.moved_to(now), payload.into());
        if PAYLOAD_MAX < payload.len() {
            return Err(PayloadTooLong { bytes: payload.len() });
        }
        self.payload = payload;
        self.membership.beats().hasten(now);
        self.advance(now);
        Ok(())
    }
}
