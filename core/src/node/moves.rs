//! Id changes: one atomic step on every member, and what arrives for the old key afterwards.

use super::{Node, copies::Pace};
use crate::{
    delta::{CommitError, CommitId, Demand},
    key::SessionKey,
    member::MemberState,
    session::Change,
    sessions::{Moved, Moving},
    time::Time,
};

impl Node {
    /// Gives a session another key, as after a login, in one step: for whoever looks at any member, the old one has ended
    /// with [`EndCause::Moved`](crate::EndCause::Moved) and the new one is there. What is written to the old key
    /// elsewhere meanwhile goes along, and so does a logout. The outcome is that of a commit of the new key.
    /// Where not everybody holds everything, fetch both keys for writing first: an end of the new key that this node has
    /// not heard of would end what moves there.
    ///
    /// # Errors
    ///
    /// Nothing has changed. [`CommitError::TargetTaken`] asks to copy the session by hand.
    pub fn change_id(
        &mut self,
        now: Time,
        old: SessionKey,
        new: SessionKey,
        demand: impl Into<Demand>,
    ) -> Result<CommitId, CommitError> {
        let now = self.moved_to(now);
        let committed = self.change_id_unless_refused(now, old, new, demand.into());
        self.end_commit(now, committed)
    }

    fn change_id_unless_refused(
        &mut self,
        now: Time,
        old: SessionKey,
        new: SessionKey,
        Demand { durability, within }: Demand,
    ) -> Result<CommitId, CommitError> {
        self.admit_write(self.commits.len())?;
        if !self.serves(&old) {
            return Err(CommitError::NoSession);
        }
        let moving = Moving { now, me: self.id, stamp: self.clock.stamp(now, self.id) };
        let effect = self.sessions.change_id(&moving, old, new)?;
        let change = self.next_change();
        self.stats.commits += 1;
        self.stats.takeovers += u64::from(effect.replaced.is_some());
        // All of it: a commit of the old key that is on its way counts once both have arrived.
        self.feed_holders(new, Change::default());
        if self.is_everywhere() {
            self.feed_holders(old, change);
        } else {
            self.feed_takeover(old, change, effect.replaced);
        }
        self.tell_of_links(old);
        self.count_moved(old, new);
        let others = (self.others_that_hold(&old), self.others_that_hold(&new));
        let demand = (durability, within.map(|length| now + length));
        self.commits.start_move((old, change), new, demand, others);
        // The new key first: if an end of it is remembered, that may be the oldest, and must not make room for the other's.
        self.settle_record(now, new, None);
        self.settle_record(now, old, effect.ended);
        Ok(CommitId(change.0))
    }

    /// The key that a session has now whose id was changed; `None` if none is known to have been.
    pub fn moved(&self, key: &SessionKey) -> Option<SessionKey> {
        self.sessions.moved_to(key)
    }

    /// Sends on what has arrived for keys whose sessions have moved.
    pub(super) fn forward_moved(&mut self, now: Time) {
        while let Some(moved) = self.sessions.poll_moved() {
            self.forward(now, &moved);
        }
    }

    /// Who takes a session over tells where it comes from: whoever hears of it knows which ends are meant for it (P3).
    pub(super) fn tell_of_links(&mut self, key: SessionKey) {
        for from in self.sessions.ancestors(key) {
            self.feed_holders(from, self.change);
        }
    }

    /// What is under way of a key, and has moved, counts when those have it who must hold the new one: what was written of it
    /// here, and its id change, whoever wrote what has moved.
    fn count_moved(&mut self, old: SessionKey, new: SessionKey) {
        if self.is_everywhere() {
            return;
        }
        let own = self.sessions.record(&new).and_then(|session| session.own_changes());
        if own
            .is_some_and(|(from, _)| self.sessions.record(&old).is_some_and(|session| session.has_changed_since(from)))
        {
            return;
        }
        let others = self.others_that_hold(&new);
        for (member, change) in self.commits.handle_moved((old, new), own, &others) {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.lack(self.now, new, change);
            }
        }
    }

    /// Brings to a key what has moved to it.
    fn forward(&mut self, now: Time, moved: &Moved) {
        let (old, new) = (moved.from, moved.to);
        let owned = self.owns(&new);
        let effect = self.sessions.apply_moved(now, moved);
        // Whoever still has something of one key to tell a peer has something to tell of both.
        let from = moved.session.oldest_change().unwrap_or(self.change);
        let holders = self.other_holders(&new);
        for (member, feed) in &mut self.feeds {
            if feed.is_outstanding(&old) || feed.is_outstanding(&new) {
                feed.lack(now, old, self.change);
                if holders.contains(member) {
                    feed.lack(now, new, from);
                }
            }
        }
        self.count_moved(old, new);
        if effect.replaced == Some(self.id) {
            self.stats.epochs_lost += 1;
            if self.is_everywhere() {
                self.feeds.values_mut().for_each(|feed| feed.handle_yield(now, new));
            }
        }
        if let Some(replaced) = effect.replaced.filter(|replaced| *replaced != self.id && !self.is_everywhere()) {
            // It owned what has this key, and nobody else has to tell it what came by another.
            self.tell(replaced, new);
        }
        let Some(session) = self.sessions.record(&new) else { return };
        let orphan = session.writers().any(|writer| self.ownership.is_gone(writer));
        if self.owns(&new) {
            self.tell_of_links(new);
            if effect.changed {
                self.feed_to_joiners(new);
            }
            // Who must hold this key need not hold the old one, and so hears of it from nobody else.
            if (!owned || effect.changed) && !self.is_everywhere() {
                self.verify_holders(new);
            }
        }
        self.settle_record(now, new, effect.ended);
        if let Some(birth) = effect.early.filter(|_| self.state == MemberState::Ready) {
            // P4: as with a delta.
            self.sessions.revive(now, new, birth, self.id);
            self.feed_holders(new, Change::default());
            self.settle_record(now, new, None);
        }
        if effect.changed && orphan {
            self.see_to(now, new);
        }
        if !self.is_everywhere() {
            self.look_at_copy(now, new, Pace::News);
        }
    }
}
