//! Who holds copies: whom a change is fed to, what a change of the view moves, and what is dropped.
//!
//! With copies everywhere all of it is simple: everybody is fed everything.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

use super::Node;
use crate::{
    commits::Others,
    config::Config,
    copies::Copies,
    feed::{Feed, Note},
    key::SessionKey,
    member::{Member, MemberId, MemberState},
    ownership::Pulled,
    placement::{Candidate, Placement},
    session::Change,
    sessions::Effect,
    time::Time,
    wire::DeltaReader,
};

/// Sessions looked at in one slice of a walk.
const SLICE: usize = 1024;

/// Why a copy is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is its turn.
    Due,
    /// Something has arrived.
    News,
}

impl Node {
    pub(super) fn is_everywhere(&self) -> bool {
        self.config.copies == Copies::Everywhere
    }

    /// Sees who must hold what, after any change of the view or of this node's own state.
    pub(super) fn place(&mut self) {
        let mut ready = Vec::new();
        let mut joining = Vec::new();
        let others = self.membership.members().into_iter().filter(|member| self.feeds.contains_key(&member.id));
        let others = others.map(|Member { id, weight, host, zone, state, .. }| {
            (Candidate { id: *id, weight: *weight, host, zone }, *state)
        });
        let Config { weight, host, zone, .. } = &self.config;
        let me = Candidate { id: self.id, weight: *weight, host, zone };
        for (candidate, state) in others.chain([(me, self.told_state())]) {
            match state {
                MemberState::Ready => ready.push(candidate),
                MemberState::Joining => joining.push(candidate),
                MemberState::Leaving => {}
            }
        }
        let placement = Placement::new(self.config.copies, ready, joining);
        if placement != self.placement {
            let before = core::mem::replace(&mut self.placement, placement);
            let members = self.placement.members().filter(|member| *member != self.id).collect();
            self.digests.handle_view(self.now, self.placement.ready(), members);
            if !self.is_everywhere() {
                self.relocation.handle_placement(self.now, before);
                self.see_to_words();
            }
        }
        self.replaced = true;
        self.recount();
    }

    /// Others may have noticed first who is gone, and counted this node among those who must hold what they spoke of.
    fn see_to_words(&mut self) {
        let Config { drop_time, probe_time, .. } = self.config;
        // They have no more time than that to be the first.
        let then = self.now - drop_time - probe_time;
        let placement = &self.placement;
        for (key, from) in self.relocation.take_words(then, |key| placement.holders(key).contains(&self.id)) {
            if self.sessions.record(&key).is_none() {
                self.pull(from, key, Pulled::Differs);
            }
        }
    }

    /// Whether a session may be served from what is held here.
    pub(super) fn serves(&self, key: &SessionKey) -> bool {
        if self.is_everywhere() {
            return self.sessions.record(key).is_some();
        }
        // Others may have created again what has ended.
        self.sessions.served(key).is_some_and(|session| session.is_live() || self.must_hold(key))
    }

    pub(super) fn must_hold(&self, key: &SessionKey) -> bool {
        self.placement.holders(key).contains(&self.id)
    }

    /// The others that must hold a session.
    pub(super) fn other_holders(&self, key: &SessionKey) -> Vec<MemberId> {
        if self.is_everywhere() {
            return self.others.all.iter().copied().collect();
        }
        let mut holders = self.placement.holders(key);
        holders.retain(|member| *member != self.id);
        holders
    }

    /// Those who must hold a session lack this change of it.
    pub(super) fn feed_holders(&mut self, key: SessionKey, change: Change) {
        if self.is_everywhere() {
            self.feeds.values_mut().for_each(|feed| feed.lack(self.now, key, change));
            return;
        }
        for member in self.other_holders(&key) {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.lack(self.now, key, change);
            }
        }
    }

    /// Tells those who must hold a session of a note.
    pub(super) fn note_holders(&mut self, key: &SessionKey, note: Note, but: Option<MemberId>) {
        for member in self.other_holders(key).into_iter().filter(|member| Some(*member) != but) {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.note(note);
            }
        }
    }

    /// Those who must hold a session hear what this node has, without content: whoever holds something else asks for it.
    pub(super) fn verify_holders(&mut self, key: SessionKey) {
        let change = self.next_change();
        self.feed_holders(key, change);
    }

    /// One member hears who owns a session, and asks for it if it holds something else.
    pub(super) fn tell(&mut self, member: MemberId, key: SessionKey) {
        let change = self.next_change();
        if let Some(feed) = self.feeds.get_mut(&member) {
            feed.lack_verified(self.now, key, change);
        }
    }

    /// The commit of a session that another owned: those who must hold it see whether they do, and the other hears of it.
    pub(super) fn feed_takeover(&mut self, key: SessionKey, change: Change, replaced: Option<MemberId>) {
        self.relocation.settle(&key);
        for member in self.other_holders(&key).into_iter().chain(replaced) {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.lack_verified(self.now, key, change);
            }
        }
    }

    /// The owner brings joiners all of a session: who owned it before may have yielded it before it met them, and who else
    /// writes to it may not have met them at all.
    pub(super) fn feed_to_joiners(&mut self, key: SessionKey) {
        for member in self.other_holders(&key) {
            if !self.others.ready.contains(&member)
                && let Some(feed) = self.feeds.get_mut(&member)
            {
                feed.lack(self.now, key, Change::default());
            }
        }
    }

    /// One slice of the walk that moves copies, and what is to be looked at again.
    pub(super) fn relocate(&mut self, now: Time) {
        for key in self.relocation.poll_pending(now, self.config.frequency * 2) {
            self.look_at_copy(now, key, Pace::Due);
        }
        let Some(cursor) = self.relocation.poll_walk(now) else { return };
        let keys: Vec<_> = self.sessions.records_after(cursor).take(SLICE).map(|(key, _)| *key).collect();
        for key in &keys {
            if self.owns(key) {
                self.feed_new_holders(*key);
            }
            self.look_at_copy(now, *key, Pace::Due);
        }
        match keys.last() {
            Some(last) => self.relocation.walked_to(now, *last),
            None => {
                self.relocation.end_walk();
                for key in self.relocation.offered() {
                    self.release(key);
                }
            }
        }
    }

    /// P6: the owner brings a session to those who have to hold it since a change of the view. They may have been apart, and
    /// hold more than it does: then they say so.
    fn feed_new_holders(&mut self, key: SessionKey) {
        for member in self.other_holders(&key) {
            if self.relocation.is_new(&key, member)
                && let Some(feed) = self.feeds.get_mut(&member)
            {
                feed.lack_verified(self.now, key, Change::default());
            }
        }
    }

    /// Sees whether a copy here must go, or is to be completed. What is known of already waits for its turn: two members that
    /// answer each other must not do so at the speed of the network.
    pub(super) fn look_at_copy(&mut self, now: Time, key: SessionKey, pace: Pace) {
        let session = self.sessions.record(&key);
        let Some((session, owner)) = session.and_then(|session| Some((session, session.owner()?))) else {
            self.relocation.settle(&key);
            return;
        };
        // Who takes over what another gives up at the same time owns a life without content.
        let partial = self.sessions.is_partial(&key) || session.is_live() && session.is_bare();
        let stays = owner == self.id || self.must_hold(&key);
        let present = owner == self.id || self.others.all.contains(&owner);
        self.sessions.set_left_over(&key, !stays);
        if !present && pace == Pace::Due {
            self.see_to(now, key);
        }
        if stays && !partial {
            self.relocation.settle(&key);
            return;
        }
        let news = self.relocation.keep(now + self.config.frequency * 2, key);
        if !news && pace == Pace::News {
            return;
        }
        if partial && owner == self.id && !news && !self.ownership.awaits(&key) {
            self.accept_partial(now, key);
            return;
        }
        if partial {
            self.complete(key, owner);
        }
        if !stays && present {
            let astray = self.relocation.take_astray(&key);
            let highest = self.placement.highest(&key);
            self.offer_to(if astray { highest.unwrap_or(owner) } else { owner }, key);
        }
    }

    /// What this node has ended itself shows a life of another owner again, perhaps that of an id change: then it may be
    /// left over here.
    pub(super) fn look_at_ended(&mut self, now: Time, key: SessionKey) {
        if !self.is_everywhere() && !self.owns(&key) {
            self.look_at_copy(now, key, Pace::News);
        }
    }

    /// Everybody was asked for the whole of a session that this node owns, and nobody has it: what is here is all there is.
    fn accept_partial(&mut self, now: Time, key: SessionKey) {
        self.sessions.set_partial(&key, false);
        self.relocation.settle(&key);
        let Some(session) = self.sessions.record(&key).filter(|session| session.is_live()) else {
            self.verify_holders(key);
            return;
        };
        if session.is_bare() {
            // Whoever has its content may be serving it on the other side of a broken network, and come back.
            self.expire(now, key);
        } else {
            self.give_lifetime(now, key);
        }
        self.feed_holders(key, Change::default());
        self.settle_record(now, key, None);
    }

    /// Asks for the whole of a session of which a part came first.
    fn complete(&mut self, key: SessionKey, owner: MemberId) {
        if self.others.all.contains(&owner) {
            self.pull(owner, key, Pulled::Differs);
            return;
        }
        for member in self.other_holders(&key) {
            self.pull(member, key, Pulled::Differs);
        }
    }

    /// What a merged delta asks for where not everybody holds everything: that all who believe in another owner, or hold
    /// something else, hear of it.
    pub(super) fn reconcile(
        &mut self,
        now: Time,
        peer: MemberId,
        delta: &DeltaReader<'_>,
        owned: bool,
        effect: Effect,
    ) {
        let key = delta.key();
        let Some(session) = self.sessions.record(&key) else { return };
        let (owner, behind) = (session.owner(), !delta.knows(session));
        let owns = owner == Some(self.id);
        match effect.replaced.filter(|replaced| *replaced != self.id) {
            Some(replaced) if replaced != peer => self.tell(replaced, key),
            Some(_) | None => {}
        }
        if owned && !owns {
            self.relocation.end_offers(&key);
            // Who cannot reach the new owner tells whoever does.
            let owner = owner.filter(|owner| self.others.all.contains(owner));
            self.tell(owner.unwrap_or(peer), key);
        }
        if behind {
            self.tell(peer, key);
        }
        if owns && effect.changed {
            for member in self.other_holders(&key).into_iter().filter(|member| *member != peer) {
                if let Some(feed) = self.feeds.get_mut(&member) {
                    feed.lack(self.now, key, Change::default());
                }
            }
        }
        if owns && !owned {
            self.verify_holders(key);
        }
        self.look_at_copy(now, key, Pace::News);
        self.release(key);
    }

    /// The other members that must hold a session.
    pub(super) fn others_that_hold(&self, key: &SessionKey) -> Arc<Others> {
        others_that_hold(&self.others, &self.placement, self.config.copies, key)
    }

    /// Adds the ready members that need not hold a session but are about to hear of it: one that was its owner until just
    /// now serves what it has until then.
    pub(super) fn add_told(&self, others: &mut Arc<Others>, key: &SessionKey) {
        let told = |(member, feed): &(&MemberId, &Feed)| self.others.ready.contains(*member) && feed.lacks(key);
        for member in self.feeds.iter().filter(told).map(|(member, _)| *member) {
            if !others.all.contains(&member) {
                let others = Arc::make_mut(others);
                others.all.insert(member);
                others.ready.insert(member);
            }
        }
    }

    /// Who must hold what may have changed: counts every commit in flight again.
    pub(super) fn recount(&mut self) {
        let (others, placement, copies) = (&self.others, &self.placement, self.config.copies);
        let lacking = self.commits.handle_view(|key| others_that_hold(others, placement, copies, key));
        for (member, key, change) in lacking {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.lack(self.now, key, change);
            }
        }
        for (member, id, change) in self.map_commits.handle_view(|_| others.clone()) {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.lack_entry(id, change);
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
