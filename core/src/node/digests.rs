//! Comparing what two members hold, and repairing what differs.
//!
//! The owner of sessions says now and then what it has for each member, in one number. Who has another one sends its sums, and
//! the owner lists the buckets in which they have differed for so long that nothing on its way can be the cause. Then the
//! other asks for what it has not, and brings what it has, by the feeds.

use super::{Leaving, Node};
use crate::{
    digest::{self, Difference, Sums},
    feed::{Feed, Note},
    io::Event,
    key::SessionKey,
    member::{MemberId, MemberState},
    ownership::Pulled,
    session::Change,
    time::Time,
    wire::Listing,
};

/// Sessions that are summed in one go.
const SLICE: usize = 1024;

impl Node {
    /// Sums what has changed, and tells others in short if it is time to.
    pub(super) fn compare(&mut self, now: Time) {
        if !self.digests.poll_due(now) {
            return;
        }
        self.sum_changes();
        if !self.sums_are_whole() {
            self.digests.put_off(now);
            return;
        }
        if !self.may_compare() {
            return;
        }
        for member in self.others.ready.iter() {
            if let Some(feed) = self.feeds.get_mut(member) {
                feed.note(Note::Digest);
            }
        }
    }

    /// Brings the sums up to date, by one slice.
    fn sum_changes(&mut self) {
        let sharers = |key: &SessionKey| self.placement.sharers(key);
        for _ in 0..SLICE {
            let Some(changed) = self.sessions.poll_unsummed() else { break };
            self.digests.handle_changed(changed, sharers);
        }
        // What has left the table must be out of the sums before a walk over the table passes its key.
        if let Some(keys) = self.digests.resums().filter(|_| !self.sessions.has_left()) {
            self.digests.resum(SLICE, self.sessions.summed(keys), sharers);
        }
    }

    /// Whether the sums are whole, once they are up to date if a member is about to be told them.
    pub(super) fn sums_are_ready(&mut self, peer: MemberId) -> bool {
        if self.feeds.get(&peer).is_some_and(Feed::is_comparing) {
            self.sum_changes();
        }
        self.sums_are_whole()
    }

    fn sums_are_whole(&self) -> bool {
        self.digests.is_whole() && !self.sessions.has_unsummed()
    }

    /// A member that owns sessions tells what this node must hold of them.
    pub(super) fn receive_digest(&mut self, now: Time, peer: MemberId, view: u64, root: u64) {
        if self.compares_with(peer, view)
            && !self.digests.handle_root(now, peer, root)
            && let Some(feed) = self.feeds.get_mut(&peer)
        {
            feed.note(Note::Sums);
        }
    }

    /// A member holds something else of what this node owns.
    pub(super) fn receive_sums(&mut self, now: Time, peer: MemberId, view: u64, theirs: &Sums) {
        if !self.compares_with(peer, view) {
            return;
        }
        let buckets = self.digests.handle_sums(now, peer, theirs);
        if let Some(feed) = self.feeds.get_mut(&peer) {
            buckets.into_iter().for_each(|bucket| feed.note(Note::Listing(digest::first(bucket))));
        }
    }

    /// The owner lists where the difference is.
    pub(super) fn receive_listing(&mut self, now: Time, peer: MemberId, listing: Listing) {
        let Listing { view, theirs, from, until, listed, .. } = listing;
        let bucket = usize::from(digest::bucket(&from));
        if !self.compares_with(peer, view) || self.digests.held(peer).numbers()[bucket] != theirs {
            return;
        }
        let must_hold = |key: &SessionKey| self.is_everywhere() || self.must_hold(key);
        let here = self.sessions.summed(digest::range(from, until)).collect();
        let listed = listed.into_iter().collect();
        for (key, difference) in digest::differences(peer, &listed, &here, must_hold) {
            self.repair(now, peer, key, difference);
        }
    }

    /// Both sides bring each other what they have: merging makes them equal, whoever is right.
    fn repair(&mut self, now: Time, peer: MemberId, key: SessionKey, difference: Option<Difference>) {
        let Some(difference) = difference else {
            self.pull(peer, key, Pulled::Differs);
            self.bring(now, peer, key);
            return;
        };
        let is_recent = self.digests.has_agreed_since(peer, now - self.config.ended_for);
        if difference == Difference::Unknown && !is_recent && !self.is_everywhere() {
            // P3: a word that the owner knows nothing would have it adopted here, as below.
            return;
        }
        self.stats.repairs += 1;
        self.raise(Event::Repaired(key, peer, difference));
        self.pull(peer, key, Pulled::Differs);
        match difference {
            // The owner takes it if it has lost it. P3: it may have forgotten how it ended, but not since both held the same.
            Difference::Unknown if is_recent => self.offer_to(peer, key),
            Difference::Unknown => {}
            Difference::Lacking | Difference::Other => self.bring(now, peer, key),
        }
    }

    /// Brings a member all that is here of a session.
    fn bring(&mut self, now: Time, peer: MemberId, key: SessionKey) {
        if self.sessions.record(&key).is_some()
            && let Some(feed) = self.feeds.get_mut(&peer)
        {
            feed.lack(now, key, Change::default());
        }
    }

    /// Whether this node and a member mean the same when they compare, and nothing is on its way from here to there. What is
    /// on its way from there came before its word.
    fn compares_with(&mut self, peer: MemberId, view: u64) -> bool {
        self.sum_changes();
        let is_quiet = self.feeds.get(&peer).is_some_and(Feed::is_drained);
        let agrees = self.digests.view() == view && self.others.ready.contains(&peer);
        is_quiet && agrees && self.may_compare() && self.sums_are_whole()
    }

    /// Whether this node holds what it must, as far as it knows.
    fn may_compare(&self) -> bool {
        let serves = self.state == MemberState::Ready && self.leaving == Leaving::No;
        self.digests.is_on() && serves && self.is_settled()
    }
}
