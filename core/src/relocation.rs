//! Moves copies to where they must be after a change of the view, and drops what is left over.
//!
//! After each change of the placement a node walks its table, in slices. What it owns it feeds to whoever must hold it now
//! and did not have to in every placement since the last full walk. A copy that it need not hold any more is *left over*:
//! it is offered to its owner, again and again, until that one *releases* it (P6). The owner does so once everybody who
//! must hold the session has acknowledged all that it knows, what the offerer holds included. No copy is dropped without.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use crate::{key::SessionKey, member::MemberId, placement::Placement, planted::Bug, time::Time};

#[derive(Clone, Debug, Default)]
pub(crate) struct Relocation {
    /// The placements that were in force since the last full walk began.
    before: Vec<Placement>,
    walk: Option<Walk>,
    /// Copies here that must go, and partial ones that must be completed.
    pending: BTreeSet<SessionKey>,
    pending_at: Option<Time>,
    /// Whom the believed owner of a session here did not know it.
    astray: BTreeSet<SessionKey>,
    /// Copies here that may go, by word of whom, and the digest of what was offered.
    released: BTreeMap<SessionKey, (MemberId, u64)>,
    /// Members that offered what they need not hold of sessions that this node owns, with the digest of it.
    offers: BTreeMap<SessionKey, BTreeMap<MemberId, Offer>>,
    /// Sessions that need not be held here by this node's view, and are to by the view of who spoke of them, and when.
    words: BTreeMap<SessionKey, (MemberId, Time)>,
}

#[derive(Clone, Copy, Debug)]
struct Walk {
    cursor: Option<SessionKey>,
    next: Time,
}

#[derive(Clone, Copy, Debug)]
struct Offer {
    digest: u64,
    /// What was offered has been merged here.
    merged: bool,
    released: bool,
}

impl Relocation {
    /// The placement changes; `before` is the one that was in force.
    pub(crate) fn handle_placement(&mut self, now: Time, before: Placement) {
        if self.before.len() == BEFORE_MAX {
            // Nobody is known to have anything: everything is fed again.
            self.before = alloc::vec![Placement::default()];
        }
        if !self.before.contains(&before) {
            self.before.push(before);
        }
        if !Bug::NoReplacement.is_planted() {
            self.walk = Some(Walk { cursor: None, next: now });
        }
    }

    /// A member is gone: what it offered is void.
    pub(crate) fn handle_removed(&mut self, member: MemberId) {
        self.offers.retain(|_, offers| {
            offers.remove(&member);
            !offers.is_empty()
        });
    }

    /// Where the walk stands, when its next slice is due: after which key.
    pub(crate) fn poll_walk(&self, now: Time) -> Option<Option<SessionKey>> {
        self.walk.filter(|walk| walk.next <= now).map(|walk| walk.cursor)
    }

    pub(crate) fn walked_to(&mut self, now: Time, cursor: SessionKey) {
        self.walk = Some(Walk { cursor: Some(cursor), next: now + Duration::from_micros(1) });
    }

    pub(crate) fn end_walk(&mut self) {
        self.walk = None;
        self.before.clear();
    }

    pub(crate) fn is_walking(&self) -> bool {
        self.walk.is_some()
    }

    /// Whether a member has not had to hold a session all the time since the last full walk.
    pub(crate) fn is_new(&self, key: &SessionKey, member: MemberId) -> bool {
        !self.before.iter().all(|placement| placement.holders(key).contains(&member))
    }

    /// A copy here must go, or is to be completed; it is looked at now and then until that is done. Tells whether that is
    /// news.
    pub(crate) fn keep(&mut self, at: Time, key: SessionKey) -> bool {
        self.pending_at.get_or_insert(at);
        self.pending.insert(key)
    }

    /// Nothing more is to be done about a copy.
    pub(crate) fn settle(&mut self, key: &SessionKey) {
        self.pending.remove(key);
        self.astray.remove(key);
        self.released.remove(key);
    }

    /// The owner lets go of a copy here.
    pub(crate) fn handle_release(&mut self, key: SessionKey, from: MemberId, digest: u64) {
        if self.pending.contains(&key) {
            self.released.insert(key, (from, digest));
        }
    }

    /// Who let go of a copy here that had this digest.
    pub(crate) fn released(&self, key: &SessionKey) -> Option<(MemberId, u64)> {
        self.released.get(key).copied()
    }

    /// Takes what is to be looked at again, if it is time to; the next time is `again` later.
    pub(crate) fn poll_pending(&mut self, now: Time, again: Duration) -> Vec<SessionKey> {
        if self.pending_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.pending_at = (!self.pending.is_empty()).then_some(now + again);
        self.pending.iter().copied().collect()
    }

    /// Who was believed to own a session knows nothing of it.
    pub(crate) fn handle_astray(&mut self, key: &SessionKey) {
        if self.pending.contains(key) {
            self.astray.insert(*key);
        }
    }

    /// Whether that was so when the last offer was made; the next one goes to the owner again.
    pub(crate) fn take_astray(&mut self, key: &SessionKey) -> bool {
        self.astray.remove(key)
    }

    /// A member offers a copy that it need not hold. `merged` tells whether this node holds all of it.
    pub(crate) fn handle_offer(&mut self, key: SessionKey, from: MemberId, digest: u64, merged: bool) {
        self.offers.entry(key).or_default().insert(from, Offer { digest, merged, released: false });
    }

    /// All that a member holds of a session has been merged here.
    pub(crate) fn handle_merged(&mut self, key: &SessionKey, from: MemberId) {
        if let Some(offer) = self.offers.get_mut(key).and_then(|offers| offers.get_mut(&from)) {
            offer.merged = true;
        }
    }

    /// Whether somebody waits for the release of a session.
    pub(crate) fn has_offers(&self, key: &SessionKey) -> bool {
        self.offers.contains_key(key)
    }

    /// The sessions whose release somebody waits for.
    pub(crate) fn offered(&self) -> Vec<SessionKey> {
        self.offers.keys().copied().collect()
    }

    /// Everybody who must hold a session has all that this node knows of it: takes who may drop its copy.
    pub(crate) fn poll_releases(&mut self, key: &SessionKey) -> Vec<MemberId> {
        let Some(offers) = self.offers.get_mut(key) else { return Vec::new() };
        let mut released = Vec::new();
        for (member, offer) in offers.iter_mut().filter(|(_, offer)| offer.merged && !offer.released) {
            offer.released = true;
            released.push(*member);
        }
        released
    }

    /// The digest of what a member may drop.
    pub(crate) fn release(&self, key: &SessionKey, member: MemberId) -> Option<u64> {
        let offer = self.offers.get(key)?.get(&member)?;
        offer.released.then_some(offer.digest)
    }

    /// The word of a release has arrived, or the offer is void.
    pub(crate) fn end_offer(&mut self, key: &SessionKey, member: MemberId) {
        if let Some(offers) = self.offers.get_mut(key) {
            offers.remove(&member);
            if offers.is_empty() {
                self.offers.remove(key);
            }
        }
    }

    /// This node does not own a session any more.
    pub(crate) fn end_offers(&mut self, key: &SessionKey) {
        self.offers.remove(key);
    }

    /// A member spoke of a session of which this node neither holds nor must hold anything. It may have noticed before this node
    /// that another is gone.
    pub(crate) fn handle_word(&mut self, now: Time, key: SessionKey, from: MemberId) {
        if self.words.len() < WORDS_MAX {
            self.words.insert(key, (from, now));
        }
    }

    /// The placement has changed: takes the words since `then` of sessions that this node `must_hold` by now, and forgets older
    /// ones.
    pub(crate) fn take_words(
        &mut self,
        then: Time,
        must_hold: impl Fn(&SessionKey) -> bool,
    ) -> Vec<(SessionKey, MemberId)> {
        let mut taken = Vec::new();
        self.words.retain(|key, (from, at)| {
            let is_due = then <= *at && must_hold(key);
            if is_due {
                taken.push((*key, *from));
            }
            then <= *at && !is_due
        });
        taken
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        [self.walk.map(|walk| walk.next), self.pending_at].into_iter().flatten().min()
    }

    /// How many copies here must go or are to be completed, as far as the walk has come.
    pub(crate) fn len_pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether every copy is where it must be, and no other is left, as far as this node is concerned.
    pub(crate) fn is_settled(&self) -> bool {
        self.walk.is_none() && self.pending.is_empty() && self.offers.is_empty()
    }
}

/// Words that are remembered: what is lost beyond is found by the digests.
const WORDS_MAX: usize = 4096;

/// Placements that are remembered during one walk.
const BEFORE_MAX: usize = 8;
