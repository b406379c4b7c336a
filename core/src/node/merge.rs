//! Sessions that others bring.

use super::Node;
use crate::{
    fetch::Found,
    io::{FrameError, StreamId},
    key::SessionKey,
    life::EndCause,
    member::{MemberId, MemberState},
    ownership::Pulled,
    planted::Bug,
    session::{Change, Session},
    sessions::{Brought, Effect},
    time::Time,
    wire::DeltaReader,
};

impl Node {
    pub(super) fn check_delta(&self, delta: &DeltaReader<'_>) -> Result<(), FrameError> {
        let (longest, count) = delta.extent();
        if self.limits.allow_delta(longest, count) { Ok(()) } else { Err(FrameError::Body) }
    }

    /// What of a session has arrived with this delta, if others have come before it or must follow.
    fn collect(&mut self, stream: StreamId, found: bool, delta: &DeltaReader<'_>) -> Result<Parts, FrameError> {
        let key = delta.key();
        let link = self.links.get_mut(stream).ok_or(FrameError::NoStream)?;
        let parts = match link.parts.take() {
            Some((before, mut whole)) if before == (found, key) => {
                delta.merge_into(&mut whole, self.now);
                Some(whole)
            }
            Some(_) => return Err(FrameError::Body),
            None if delta.more() => {
                let mut whole = Session::default();
                delta.merge_into(&mut whole, self.now);
                Some(whole)
            }
            None => None,
        };
        let Some(whole) = parts else { return Ok(Parts::Single) };
        if !self.limits.allow_whole(&whole) {
            return Err(FrameError::Body);
        }
        if delta.more() {
            link.parts = Some(((found, key), whole));
            return Ok(Parts::Unfinished);
        }
        Ok(Parts::Last(whole))
    }

    pub(super) fn receive_delta(
        &mut self,
        now: Time,
        (stream, said): (StreamId, Time),
        peer: MemberId,
        delta: &DeltaReader<'_>,
    ) -> Result<(), FrameError> {
        let parts = self.collect(stream, false, delta)?;
        if matches!(parts, Parts::Unfinished) || self.refuses(now, peer, delta) {
            return Ok(());
        }
        if self.is_no_concern(delta) {
            self.relocation.handle_word(now, delta.key(), peer);
            return Ok(());
        }
        let (key, owned) = (delta.key(), self.owns(&delta.key()));
        let known = self.sessions.record(&key).is_some();
        self.stats.deltas_applied += 1;
        let brought = Brought { whole: delta.is_whole(), until: delta.remaining().map(|remaining| said + remaining) };
        let effect = match parts {
            Parts::Last(whole) => self.sessions.apply_whole(now, key, &whole, brought),
            Parts::Single if !known && !delta.is_whole() && Bug::DropsUnknown.is_planted() => Effect::default(),
            Parts::Single | Parts::Unfinished => self.sessions.apply(now, delta, brought),
        };
        if effect.ended == Some(EndCause::Evicted) {
            self.pressure.handle_evicted();
        }
        if self.sessions.record(&key).is_some_and(|session| session.is_full() && session.lacks(&delta.births())) {
            self.stats.births_refused += 1;
        }
        if !known && self.owns(&key) && !self.is_everywhere() {
            // This node let go of it, and whoever brings it has not heard of a later owner.
            self.sessions.set_partial(&key, true);
        }
        if effect.replaced == Some(self.id) {
            self.stats.epochs_lost += 1;
            if self.is_everywhere() {
                self.feeds.values_mut().for_each(|feed| feed.handle_yield(now, key));
            } else {
                self.feed_to_joiners(key);
            }
        } else if effect.changed && self.owns(&key) {
            // Its writer does not own it, and may not have met the joiners that this node feeds it to.
            self.feed_to_joiners(key);
        }
        self.settle_record(now, key, effect.ended);
        self.forward_moved(now);
        self.follow_up(now, peer, delta, effect);
        if !self.is_everywhere() {
            self.reconcile(now, peer, delta, owned, effect);
        }
        Ok(())
    }

    /// Word without content of a session that this node neither holds nor must hold. What the application has ended is no such
    /// word: who sent it may count this node already, having noticed before it that another is gone.
    fn is_no_concern(&self, delta: &DeltaReader<'_>) -> bool {
        let key = delta.key();
        let is_word = delta.digest().is_some() && delta.is_bare();
        if self.is_everywhere() || !is_word || self.sessions.record(&key).is_some() || self.must_hold(&key) {
            return false;
        }
        let mut said = Session::default();
        delta.merge_into(&mut said, self.now);
        said.is_live() || said.ends().floor().is_none()
    }

    /// The copy that was asked for has come.
    pub(super) fn receive_found(
        &mut self,
        (stream, said): (StreamId, Time),
        peer: MemberId,
        delta: &DeltaReader<'_>,
    ) -> Result<(), FrameError> {
        let session = match self.collect(stream, true, delta)? {
            Parts::Unfinished => return Ok(()),
            Parts::Last(whole) => whole,
            Parts::Single => {
                let mut session = Session::default();
                delta.merge_into(&mut session, self.now);
                session
            }
        };
        let until = delta.remaining().map(|remaining| said + remaining);
        let found = Found { session, until, whole: delta.is_whole() };
        self.fetches.handle_found(&delta.key(), peer, &found);
        Ok(())
    }

    /// A member holds nothing of what it was asked for.
    pub(super) fn receive_missing(&mut self, now: Time, peer: MemberId, key: SessionKey) {
        self.ownership.handle_arrived(peer, &key);
        self.fetches.handle_missing(&key, peer);
        self.handle_unknown(now, peer, key);
    }

    /// What a delta asks for, once it is applied.
    fn follow_up(&mut self, now: Time, peer: MemberId, delta: &DeltaReader<'_>, effect: Effect) {
        let key = delta.key();
        let pulled = self.ownership.handle_arrived(peer, &key);
        if delta.is_whole() {
            self.relocation.handle_merged(&key, peer);
        }
        let Some(session) = self.sessions.record(&key) else { return };
        let (owner, digest) = (session.owner(), delta.digest());
        let present = owner.filter(|owner| self.others.all.contains(owner));
        if digest.is_some_and(|digest| digest != session.digest()) {
            self.pull(peer, key, Pulled::Differs);
        }
        if let Some(birth) = effect.early.filter(|_| self.state == MemberState::Ready) {
            // P4: its owner did not know of a use, or of a longer lifetime.
            self.sessions.revive(now, key, birth, self.id);
            self.feed_holders(key, Change::default());
            self.settle_record(now, key, None);
        } else if pulled.is_some() && owner == Some(self.id) {
            if effect.changed {
                self.feed_holders(key, Change::default());
            }
        } else if pulled.is_some()
            && let Some(owner) = present
        {
            // The owner may lack what came, or what was here before.
            self.offer_to(owner, key);
        } else if pulled == Some(Pulled::Offered) && owner.is_some() {
            self.see_to(now, key);
            self.feed_holders(key, Change::default());
        } else {
            self.see_to_told(now, peer, key);
        }
    }

    /// P3: a session that this node does not know, of a member that was away for longer than ends are remembered, from
    /// before it went: it may have ended meanwhile, so it has. So has a birth that is not known of a session of which a later
    /// one is buried. Tells whether that was all.
    fn refuses(&mut self, now: Time, peer: MemberId, delta: &DeltaReader<'_>) -> bool {
        let Some(gap) = self.breaks.get(&peer).filter(|gap| gap.too_long) else { return false };
        let (key, clock) = (delta.key(), gap.clock);
        let (mut births, record) = (delta.births(), self.sessions.record(&key));
        let all = record.is_none();
        match record {
            Some(session) => births.retain(|birth| birth.clock <= clock && session.has_outlived(*birth)),
            None if births.last().is_none_or(|birth| clock < birth.clock) => return false,
            None if !self.had_to_hold(&key) => return false,
            None => {}
        }
        if births.is_empty() {
            return false;
        }
        self.stats.sessions_refused += 1;
        self.sessions.refuse(key, &births, self.id);
        let change = self.next_change();
        self.feed_holders(key, change);
        self.tell(peer, key);
        self.settle_record(now, key, None);
        all
    }

    /// Whether this node had to hold a session before those came back that were away for too long: else that it knows
    /// nothing of it says nothing. Those that have to hold it in the end are brought it too.
    fn had_to_hold(&self, key: &SessionKey) -> bool {
        if self.is_everywhere() {
            return true;
        }
        let away = self.breaks.iter().filter(|(_, gap)| gap.too_long).map(|(member, _)| *member);
        away.fold(self.placement.clone(), |placement, member| placement.without(member)).holders(key).contains(&self.id)
    }
}

/// How much of a session is there.
enum Parts {
    /// It came in one piece.
    Single,
    Unfinished,
    Last(Session),
}
