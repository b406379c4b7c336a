//! How sessions end: by their time, and what is remembered of it.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use super::Node;
use crate::{
    commits::Waiting, expiry::Armed, feed::Note, io::Event, key::SessionKey, life::EndCause, planted::Bug,
    session::Lifetime, sessions::tenth, stamp::Stamp, time::Time,
};

impl Node {
    /// After anything that may have changed a session: arms its expiry or files its end.
    pub(super) fn settle_record(&mut self, now: Time, key: SessionKey, ended: Option<EndCause>) {
        if let Some(cause) = ended {
            self.raise(Event::SessionEnded(key, cause));
        }
        let Some(session) = self.sessions.record(&key) else { return };
        if session.is_live() {
            self.ledger.strike(&key);
            let is_owner_absent =
                session.owner().is_some_and(|owner| owner != self.id && !self.others.all.contains(&owner));
            if session.lacks_lifetime() && self.is_everywhere() && self.owns(&key) {
                self.give_lifetime(now, key);
            }
            match self.sessions.due(&key) {
                // It may be about to end it, or have done so, and only others hear that yet. Each of two that take it over from
                // each other at once would void the end that the other has just made.
                Some(due) if is_owner_absent => self.arm(due.max(now) + self.grace(now, &key) * 2, key),
                Some(due) => self.arm_by(due, key),
                None => self.disarm(&key),
            }
            return;
        }
        if session.is_unburied() {
            // Whoever owns it now buries it, whatever became of who expired it; others see that somebody owns it.
            self.arm_by(now + self.config.ended_for / 10, key);
        } else {
            self.disarm(&key);
        }
        let Some(session) = self.sessions.record(&key) else { return };
        if !session.is_unburied() && !self.ledger.contains(&key) {
            self.ledger.enter(key, now + self.config.ended_for);
            while self.config.ended_max < self.ledger.len() {
                if let Some(oldest) = self.ledger.pop_oldest() {
                    self.disarm(&oldest);
                    self.sessions.forget(&oldest);
                }
                self.raise(Event::EndsForgotten);
            }
        }
    }

    /// The next session that has come up.
    pub(super) fn poll_due(&mut self, now: Time) -> Option<SessionKey> {
        let key = self.expiry.poll_due(now)?;
        if let Some(armed) = self.sessions.armed(&key) {
            *armed = Armed::default();
        }
        Some(key)
    }

    /// Looks at a session at that time.
    fn arm(&mut self, at: Time, key: SessionKey) {
        if let Some(armed) = self.sessions.armed(&key) {
            self.expiry.arm(armed, at, key);
        }
    }

    /// Looks at a session no later than that.
    fn arm_by(&mut self, at: Time, key: SessionKey) {
        if let Some(armed) = self.sessions.armed(&key) {
            self.expiry.arm_by(armed, at, key);
        }
    }

    pub(super) fn disarm(&mut self, key: &SessionKey) {
        if let Some(armed) = self.sessions.armed(key) {
            self.expiry.disarm(armed, key);
        }
    }

    /// A session has come up: its owner expires it, and others see to it that it has an owner.
    pub(super) fn look_at(&mut self, now: Time, key: SessionKey) {
        if self.sessions.awaits_burial(&key, self.id) {
            self.bring_to_burial(key);
            return;
        }
        let over = self.sessions.record(&key).is_some_and(|session| session.is_unburied() && !session.is_live());
        if over {
            self.arm(now + self.config.ended_for / 10, key);
            self.ask_owner(now, key, true);
            return;
        }
        let Some(due) = self.sessions.due(&key) else { return };
        if now < due {
            self.arm(due, key);
            return;
        }
        let Some(session) = self.sessions.record(&key) else { return };
        let (owner, lifetime) = (session.owner(), session.lifetime());
        let over = self.sessions.ends_by(&key).is_some_and(|end| end <= now);
        if owner != Some(self.id) {
            self.arm(now + self.grace(now, &key), key);
            self.ask_owner(now, key, !self.is_everywhere());
        } else if matches!(lifetime, Some(Lifetime::Idle(_))) && !over {
            self.ask_before_expiry(now, key, due);
        } else {
            self.expire(now, key);
        }
    }

    /// How long the end of a session that is due may take its owner.
    fn grace(&self, now: Time, key: &SessionKey) -> Duration {
        let is_over = self.sessions.ends_by(key).is_some_and(|end| end <= now);
        match self.sessions.record(key).and_then(|session| session.lifetime()) {
            Some(Lifetime::Idle(idle)) if !is_over => tenth(idle).max(self.config.frequency),
            Some(Lifetime::Idle(_) | Lifetime::Fixed(_) | Lifetime::Never) | None => self.config.frequency,
        }
    }

    /// The owner of a session should have ended it, or buried it: it may be gone, or know nothing of it. Who holds everything
    /// knows of each session that lives, but may have buried what it knew of one that is over, and forgotten it since.
    fn ask_owner(&mut self, now: Time, key: SessionKey, may_not_know: bool) {
        match self.sessions.record(&key).and_then(|session| session.owner()) {
            Some(owner) if owner != self.id && !self.others.all.contains(&owner) => self.see_to(now, key),
            Some(owner) if may_not_know => self.offer_to(owner, key),
            Some(_) | None => {}
        }
    }

    /// P4: those who may serve the session tell how long it lives on by what they know, and so do those who join: who comes
    /// back may be the last who knows.
    fn ask_before_expiry(&mut self, now: Time, key: SessionKey, due: Time) {
        let holders: BTreeSet<_> = self.other_holders(&key).into_iter().collect();
        let joining = self.others.all.difference(&self.others.ready).copied();
        let holders: BTreeSet<_> = holders.intersection(&self.others.all).copied().chain(joining).collect();
        if holders.is_empty() || Bug::NoQuestion.is_planted() {
            self.expire(now, key);
        } else if self.expiry.ask(key, due, holders.clone()) {
            for member in &holders {
                if let Some(feed) = self.feeds.get_mut(member) {
                    feed.note(Note::Ask(key));
                }
            }
        }
    }

    /// Everybody has answered of a session that was due at that time.
    pub(super) fn expire_unless_used(&mut self, now: Time, key: SessionKey, asked: Time) {
        let owned = self.sessions.record(&key).is_some_and(|session| session.owner() == Some(self.id));
        match self.sessions.due(&key) {
            Some(due) if due <= now && owned && due == asked => self.expire(now, key),
            // It was used since it was asked for, and is due again: of later uses elsewhere the answers know nothing.
            Some(due) if due <= now && owned => self.look_at(now, key),
            Some(due) => self.arm(due.max(now + self.config.frequency), key),
            None => {}
        }
    }

    pub(super) fn expire(&mut self, now: Time, key: SessionKey) {
        let Some(cause) = self.sessions.expire(now, key) else { return };
        self.stats.expiries += 1;
        self.bring_to_burial(key);
        self.settle_record(now, key, Some(cause));
    }

    /// What has expired is hidden until every member has heard of it; then it is dead for good.
    pub(super) fn bring_to_burial(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.record(&key) else { return };
        let expired = session.expired().into();
        let change = self.next_change();
        self.feed_holders(key, change);
        self.commits.start(key, change, Waiting::Burial(expired), self.others_that_hold(&key));
    }

    /// Every member has heard that these births have expired, each up to that counter.
    pub(super) fn bury(&mut self, now: Time, key: SessionKey, expired: &[(Stamp, u32)]) {
        let Some(session) = self.sessions.record(&key) else { return };
        let cause = session.expiry_cause();
        let births: Vec<_> = (session.expired().into_iter())
            .filter(|(birth, counter)| expired.iter().any(|known| known.0 == *birth && *counter <= known.1))
            .map(|(birth, _)| birth)
            .collect();
        if births.is_empty() {
            return;
        }
        let lent = self.fetches.lent_until(&key).filter(|until| now < *until);
        if let Some(until) = lent.max(self.lurkers_until(now)) {
            // P4: a member that vanished may be serving it on the other side of a broken network, and come back. And who has asked
            // for it may have taken it over, and its word be under way.
            self.arm_by(until, key);
        } else if self.sessions.bury(key, &births, cause).changed {
            let change = self.next_change();
            self.feed_holders(key, change);
            self.settle_record(now, key, None);
            self.look_at_ended(now, key);
        }
    }

    /// Until when a member may come back with what this side has expired.
    fn lurkers_until(&self, now: Time) -> Option<Time> {
        let until = self.breaks.values().filter(|gap| gap.lurking).map(|gap| gap.since + self.config.ended_for);
        until.filter(|until| now < *until).max()
    }

    pub(super) fn forget(&mut self, now: Time, key: SessionKey) {
        if !Bug::ForgetsEarly.is_planted() && self.feeds.values().any(|feed| feed.is_outstanding(&key)) {
            // A peer has not heard of the end: without it, its copy would come back.
            self.ledger.enter(key, now + self.config.ended_for / 10);
        } else {
            self.disarm(&key);
            self.sessions.forget(&key);
            self.risk.forget(&key);
        }
    }
}
