//! What is done about the sessions of the dead.

use alloc::vec::Vec;

use super::{Break, Node};
use crate::{
    feed::Note,
    io::Event,
    key::SessionKey,
    member::{MemberId, MemberState},
    ownership::Pulled,
    planted::Bug,
    session::{Change, LifetimeRegister, Session},
    stamp::Stamp,
    time::Time,
    wire::Held,
};

/// Sessions looked at in one slice of a walk.
const SLICE: usize = 1024;

impl Node {
    /// One slice of the walk that looks for what the dead have left.
    pub(super) fn walk_for_the_dead(&mut self, now: Time) {
        let Some(cursor) = self.ownership.poll_walk(now) else { return };
        let mut last = None;
        let mut touched = Vec::new();
        for (key, session) in self.sessions.records_after(cursor).take(SLICE) {
            last = Some(*key);
            if session.writers().any(|writer| self.ownership.is_gone(writer)) {
                touched.push(*key);
            }
        }
        for key in touched {
            self.see_to(now, key);
        }
        match last {
            Some(last) => self.ownership.walked_to(now, last),
            None => {
                self.ownership.end_walk();
                self.feeds.values_mut().for_each(|feed| feed.note(Note::Offered));
            }
        }
    }

    /// A session that a dead member owned or wrote to: its owner, or who ranks highest if that is the dead one, must get
    /// all that anybody holds of it, and everybody must get it from there.
    pub(super) fn see_to(&mut self, now: Time, key: SessionKey) {
        let Some(session) = self.sessions.record(&key) else { return };
        let alive = session.owner().filter(|owner| *owner == self.id || self.others.all.contains(owner));
        let Some(keeper) = alive.or_else(|| self.placement.highest(&key)) else { return };
        if let Some(feed) = self.feeds.get_mut(&keeper) {
            feed.note(Note::Offer(key));
            self.risk.handle_offered(key, keeper);
        } else if keeper == self.id && alive.is_some() {
            // A word without content: whoever holds something else asks for it.
            let change = self.next_change();
            self.feed_holders(key, change);
        } else if keeper == self.id {
            self.adopt(now, key);
        }
    }

    /// Takes over the session of a dead owner.
    pub(super) fn adopt(&mut self, now: Time, key: SessionKey) {
        if Bug::NoAdoption.is_planted() {
            return;
        }
        self.stats.adoptions += 1;
        let lasting = self.sessions.record(&key).filter(|session| session.is_live() || session.is_unburied());
        let owner = lasting.and_then(|session| session.owner());
        if let Some(owner) = owner.filter(|owner| *owner != self.id && !self.others.all.contains(owner)) {
            // If it was never met nobody here knows whether it is dead, whatever others say, or serves it still.
            let clock = self.clock.last();
            self.breaks.entry(owner).or_insert(Break { since: now, clock, lurking: true, too_long: false });
        }
        self.sessions.take_over(key, self.id);
        if self.sessions.awaits_burial(&key, self.id) {
            self.bring_to_burial(key);
        } else {
            let change = self.next_change();
            self.feed_holders(key, change);
        }
        self.feed_to_joiners(key);
        self.settle_record(now, key, None);
    }

    /// A session whose lifetime was lost with all who knew it has that of the settings. It has the lowest stamp of all: so
    /// what its creator asked for holds, if somebody has it after all.
    pub(super) fn give_lifetime(&mut self, now: Time, key: SessionKey) {
        let Some(session) = self.sessions.record(&key).filter(|session| session.lacks_lifetime()) else { return };
        let Some(birth) = session.head().filter(|_| session.is_live()).map(|life| life.birth) else { return };
        let stamp = Stamp { clock: 0, writer: self.id };
        let (lifetime, changed) = (self.config.lifetime(), self.next_change());
        let until = self.config.max_age().map(|length| now + length);
        self.sessions.set_lifetime(now, key, LifetimeRegister { birth, stamp, lifetime, until, changed });
        self.feed_holders(key, changed);
    }

    /// Another holds this of a session that this node is to see to.
    pub(super) fn receive_offer(&mut self, now: Time, peer: MemberId, key: SessionKey, theirs: Held) {
        if !self.is_everywhere() {
            self.receive_offer_of_copy(now, peer, key, theirs);
            return;
        }
        match self.sessions.record(&key).and_then(|session| session.held()) {
            Some(mine)
                if mine.digest == theirs.digest && (theirs.counter, theirs.owner) <= (mine.counter, mine.owner) =>
            {
                if mine.owner != self.id && !self.others.all.contains(&mine.owner) {
                    self.see_to(now, key);
                } else if (theirs.counter, theirs.owner) < (mine.counter, mine.owner) {
                    // Who owns it now may not reach that one.
                    self.tell(peer, key);
                }
            }
            Some(_) | None => self.pull(peer, key, Pulled::Offered),
        }
    }

    /// A member names the owner of a session, and that one is out of the view here. It sees to the session itself as soon as
    /// it finds the owner gone, if it does at all: else two that only others can reach would adopt it from each other without
    /// end. So this is for those sessions that come from it after that.
    pub(super) fn see_to_told(&mut self, now: Time, peer: MemberId, key: SessionKey) {
        let owner = self.sessions.record(&key).and_then(|session| session.owner());
        if owner.is_some_and(|owner| self.ownership.is_gone(owner) && self.ownership.has_said(peer, owner)) {
            self.see_to(now, key);
        }
    }

    /// Asks a member for all that it holds of a session.
    pub(super) fn pull(&mut self, peer: MemberId, key: SessionKey, why: Pulled) {
        if let Some(feed) = self.feeds.get_mut(&peer) {
            self.stats.pulls += 1;
            feed.note(Note::Pull(key));
            self.ownership.handle_pulled(peer, key, why);
        }
    }

    /// A member asks for all that is held here of a session. Where that comes from goes along, to who must hold it: nobody is
    /// told of a key without the links that tell which of his ends were meant for it (P3).
    pub(super) fn receive_pull(&mut self, now: Time, peer: MemberId, key: SessionKey) {
        let mut keys = self.sessions.ancestors(key);
        keys.retain(|from| self.other_holders(from).contains(&peer));
        keys.push(key);
        if let Some(feed) = self.feeds.get_mut(&peer) {
            keys.into_iter().for_each(|key| feed.lack(now, key, Change::default()));
        }
    }

    pub(super) fn settle(&mut self) {
        let somebody = self.state == MemberState::Ready || !self.others.ready.is_empty();
        if self.ownership.is_settled() || !somebody {
            return;
        }
        if self.ownership.mark_taken(self.change, &self.others.all) {
            self.joiners.say_again();
        }
        loop {
            let feeds = &self.feeds;
            let settled = self.ownership.poll_settled(|change| feeds.values().all(|feed| feed.has_acked(change)));
            let Some(member) = settled else { return };
            self.raise(Event::Settled(member));
        }
    }
}

/// The writers of a session's content, so that what a dead one left half finished is found.
impl Session {
    pub(crate) fn writers(&self) -> impl Iterator<Item = MemberId> {
        let lives = self.lives.iter().flat_map(|life| [life.owner, life.birth.writer]);
        let floor = self.ends().floor().map(|end| end.at.writer);
        let lifetimes = self.lifetimes.iter().map(|register| register.stamp.writer);
        let links = self.moves().links().iter().map(|link| link.at.writer);
        lives
            .chain(floor)
            .chain(links)
            .chain(lifetimes)
            .chain(self.attributes.iter().map(|attribute| attribute.stamp.writer))
    }
}
