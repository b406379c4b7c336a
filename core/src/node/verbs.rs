//! What the application asks of a node.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{Leaving, Node};
use crate::{
    commits::{Others, Waiting},
    copies::Copies,
    delta::{CommitError, CommitId, Delta, Demand},
    fetch::{Fetch, Purpose},
    key::SessionKey,
    member::MemberState,
    placement::Placement,
    session::{Change, Lifetime},
    sessions::Writing,
    time::Time,
};

impl Node {
    /// Addresses that beats are sent to besides the group. Replaces those that were given before.
    pub fn set_peers(&mut self, now: Time, peers: Vec<SocketAddr>) {
        let now = self.moved_to(now);
        self.membership.beats().set_peers(now, peers);
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
        let Demand { durability, within } = demand.into();
        match self.state {
            MemberState::Joining => return Err(CommitError::NotReady),
            MemberState::Leaving => return Err(CommitError::Leaving),
            MemberState::Ready => {}
        }
        if self.config.commits_max <= self.commits.len() {
            return Err(CommitError::TooManyCommits { max: self.config.commits_max });
        }
        let change = Change(self.change.0 + 1);
        let stamps = (self.clock.stamp(now, self.id), self.clock.stamp(now, self.id));
        let lifetime = match self.config.idle {
            Duration::ZERO => Lifetime::Never,
            idle => Lifetime::Idle(idle),
        };
        let writing = Writing { now, me: self.id, stamps, change, lifetime };
        let effect = self.sessions.commit(&writing, key, delta, &self.limits)?;
        self.change = change;
        self.stats.commits += 1;
        if effect.replaced.is_some() {
            self.stats.takeovers += 1;
            self.feed_to_joiners(key);
        }
        self.feed_all(key, change);
        let waiting = Waiting::Application(durability, within.map(|length| now + length));
        self.commits.start(key, change, waiting, self.others_that_hold(&key));
        self.settle_record(now, key, effect.ended);
        self.advance(now);
        Ok(CommitId(change.0))
    }

    /// Makes sure that a session can be looked at or changed here, where not every member holds it. The answer is for
    /// now: fetch again before each look or change. Who needs no answer, because the session is new or is created anew,
    /// need not ask.
    ///
    /// # Errors
    ///
    /// The node does not serve.
    pub fn fetch(&mut self, now: Time, _key: SessionKey, _purpose: Purpose) -> Result<Fetch, CommitError> {
        let _now = self.moved_to(now);
        match self.state {
            MemberState::Joining => Err(CommitError::NotReady),
            MemberState::Leaving => Err(CommitError::Leaving),
            MemberState::Ready => Ok(Fetch::Here),
        }
    }

    /// A use that changes nothing: a session with an idle time lives on for that long.
    pub fn touch(&mut self, now: Time, key: &SessionKey) {
        let now = self.moved_to(now);
        if self.state == MemberState::Ready && self.sessions.use_here(now, key) {
            self.tell_use(now, key);
        }
        self.advance(now);
    }

    /// Leaves the cluster: takes no more commits, waits until the others have what they lack, says so and raises
    /// [`Event::Left`](crate::Event::Left), at the latest after `leave_for`.
    pub fn leave(&mut self, now: Time) {
        let now = self.moved_to(now);
        if self.leaving == Leaving::No {
            self.state = MemberState::Leaving;
            self.place();
            self.leaving = Leaving::Until(now + self.config.leave_for);
            self.membership.beats().hasten(now);
        }
        self.advance(now);
    }

    /// The other members that must hold a session.
    pub(super) fn others_that_hold(&self, key: &SessionKey) -> Arc<Others> {
        others_that_hold(&self.others, &self.placement, self.config.copies, key)
    }

    /// Who must hold what may have changed: counts every commit in flight again.
    pub(super) fn recount(&mut self) {
        let (others, placement, copies) = (&self.others, &self.placement, self.config.copies);
        let lacking = self.commits.handle_view(|key| others_that_hold(others, placement, copies, key));
        for (member, key, change) in lacking {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.lack(key, change);
            }
        }
    }
}

fn others_that_hold(others: &Arc<Others>, placement: &Placement, copies: Copies, key: &SessionKey) -> Arc<Others> {
    if copies == Copies::Everywhere {
        return others.clone();
    }
    let all: BTreeSet<_> = placement.holders(key).into_iter().filter(|holder| others.all.contains(holder)).collect();
    let ready = all.intersection(&others.ready).copied().collect();
    Arc::new(Others { all, ready })
}
