//! How a copy that is left over goes: it is offered, and its owner lets go of it.

use super::Node;
use crate::{feed::Note, key::SessionKey, member::MemberId, ownership::Pulled, time::Time, wire::Held};

impl Node {
    /// Tells a member in short what is held here of a session: it sees to it, or says that it knows nothing of it.
    pub(super) fn offer_to(&mut self, member: MemberId, key: SessionKey) {
        if let Some(feed) = self.feeds.get_mut(&member) {
            feed.note(Note::Offer(key));
        }
    }

    /// A member in view knows nothing of a session. If it is the one that is believed to own it, the highest-ranked adopts
    /// the session: a life that shows again because a later one is over may have an owner that let go of it.
    pub(super) fn handle_unknown(&mut self, now: Time, peer: MemberId, key: SessionKey) {
        if self.is_everywhere() || self.sessions.record(&key).and_then(|session| session.owner()) != Some(peer) {
            return;
        }
        if self.placement.highest(&key) == Some(self.id) {
            self.adopt(now, key);
        } else {
            self.relocation.handle_astray(&key);
        }
    }

    /// A member offers a copy: it need not hold it, or its owner is gone.
    pub(super) fn receive_offer_of_copy(&mut self, now: Time, peer: MemberId, key: SessionKey, theirs: Held) {
        let Some(mine) = self.sessions.record(&key).and_then(|session| session.held()) else {
            if self.must_hold(&key) || theirs.owner != self.id {
                // Who takes the owner for gone may know that before this node, which is then the one to see to it.
                self.pull(peer, key, Pulled::Offered);
            } else {
                // Says that there is nothing here.
                self.offer_to(peer, key);
            }
            return;
        };
        let same = mine.digest == theirs.digest;
        let newer = (mine.counter, mine.owner) < (theirs.counter, theirs.owner);
        if newer || (!same && mine.owner == self.id) {
            self.pull(peer, key, Pulled::Offered);
        }
        if mine.owner == self.id {
            if !self.placement.holders(&key).contains(&peer) {
                self.relocation.handle_offer(key, peer, theirs.digest, same);
                self.release(key);
            }
        } else if self.others.all.contains(&mine.owner) {
            if same && (mine.counter, mine.owner) == (theirs.counter, theirs.owner) {
                // Both believe in one owner; it may know nothing of it.
                self.offer_to(mine.owner, key);
            } else if !newer {
                self.tell(peer, key);
            }
        } else if same {
            self.see_to(now, key);
        } else {
            self.pull(peer, key, Pulled::Offered);
        }
    }

    /// Lets those drop their copies who need not hold them, if everybody who must has everything.
    pub(super) fn release(&mut self, key: SessionKey) {
        if !self.relocation.has_offers(&key) || self.relocation.is_walking() {
            return;
        }
        let holders = self.other_holders(&key);
        if !self.owns(&key) {
            self.relocation.end_offers(&key);
            return;
        }
        let fed = |member: &MemberId| self.feeds.get(member).is_none_or(|feed| !feed.is_outstanding(&key));
        if self.sessions.is_partial(&key) || !holders.iter().all(fed) {
            return;
        }
        for member in self.relocation.poll_releases(&key) {
            match self.feeds.get_mut(&member) {
                Some(feed) if !holders.contains(&member) => feed.note(Note::Release(key)),
                Some(_) | None => self.relocation.end_offer(&key, member),
            }
        }
    }

    /// The owner lets go of the copy here, if it is still what was offered. What a link here leads to would come back with it: so it
    /// goes after that, and where ids have gone round all of them go together.
    pub(super) fn receive_release(&mut self, peer: MemberId, key: SessionKey, digest: u64) {
        self.relocation.handle_release(key, peer, digest);
        let mut keys = self.sessions.ancestors(key);
        keys.retain(|from| !self.owns(from) && !self.must_hold(from));
        keys.push(key);
        if keys.iter().all(|key| self.may_drop(key)) {
            keys.iter().for_each(|key| self.drop_copy(key));
        }
    }

    /// Whether a copy here is still what was released.
    fn may_drop(&self, key: &SessionKey) -> bool {
        let Some((peer, digest)) = self.relocation.released(key) else { return false };
        let Some(session) = self.sessions.record(key) else { return false };
        let kept = session.digest() != digest || session.owner() == Some(self.id) || self.must_hold(key);
        // What comes back of it would be a copy again.
        let kept = kept || self.ownership.awaits(key);
        // Who releases it has it all; others may still have to acknowledge what was written here.
        let mut others = self.feeds.iter().filter(|(member, _)| **member != peer);
        !kept && !others.any(|(_, feed)| feed.is_outstanding(key))
    }

    fn drop_copy(&mut self, key: &SessionKey) {
        self.stats.copies_released += 1;
        self.disarm(key);
        self.ledger.strike(key);
        self.relocation.settle(key);
        self.sessions.drop_copy(key);
        self.risk.forget(key);
    }
}
