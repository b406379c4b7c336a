//! Until when a session lives by this node's clock, also when something is merged into it.

use core::time::Duration;

use super::{Brought, Effect, Entry, Sessions, tenth};
use crate::{
    expiry::Armed, key::SessionKey, life::Life, member::MemberId, planted::Bug, session::Lifetime, stamp::Stamp,
    time::Time,
};

/// What an entry was before something was merged into it.
pub(super) struct Before {
    pub(super) live: bool,
    pub(super) owner: Option<MemberId>,
    birth: Option<Stamp>,
    /// The stamp of its lifetime.
    lifetime: Option<Stamp>,
    pub(super) deadline: Option<Time>,
}

impl Before {
    /// The birth that it showed first, and until when that was to live.
    pub(super) fn lasted(&self) -> Option<(Stamp, Time)> {
        Some((self.birth.filter(|_| self.live)?, self.deadline?))
    }
}

impl Sessions {
    /// When it ends if it is not used any more.
    pub(crate) fn deadline(&self, key: &SessionKey) -> Option<Time> {
        let entry = self.table.get(key).filter(|entry| entry.session.is_live())?;
        [entry.deadline, entry.session.age_until()].into_iter().flatten().min()
    }

    /// When it ends however much it is used: at the end that was fixed for it, or at its greatest age.
    pub(crate) fn ends_by(&self, key: &SessionKey) -> Option<Time> {
        self.table.get(key).filter(|entry| entry.session.is_live())?.ends_by()
    }

    /// How long a session lives on if it is not used, whatever its key is now.
    pub(crate) fn remaining(&self, now: Time, key: &SessionKey) -> Option<Duration> {
        let key = self.moved_to(key).unwrap_or(*key);
        // What travels is what a use moves: the greatest age travels with the lifetime.
        let entry = self.table.get(&key).filter(|entry| entry.session.is_live())?;
        entry.deadline.map(|deadline| deadline.since(now))
    }

    /// When the owner may expire it: uses of the last tenth of the idle time may not have been told (P4).
    pub(crate) fn due(&self, key: &SessionKey) -> Option<Time> {
        let entry = self.table.get(key).filter(|entry| entry.session.is_live())?;
        let register = entry.session.lifetime_register()?;
        let due = match register.lifetime {
            Lifetime::Idle(idle) => entry.deadline.map(|deadline| deadline + tenth(idle)),
            Lifetime::Fixed(_) => entry.deadline,
            Lifetime::Never => None,
        };
        [due, register.until].into_iter().flatten().min()
    }

    /// When a session is looked at, for the machine that says so.
    pub(crate) fn armed(&mut self, key: &SessionKey) -> Option<&mut Armed> {
        self.table.get_mut(key).map(|entry| &mut entry.armed)
    }

    pub(crate) fn all_armed(&self) -> impl Iterator<Item = (SessionKey, Armed)> {
        self.table.iter().map(|(key, entry)| (*key, entry.armed))
    }

    /// Whether there is such a session for a commit.
    pub(super) fn is_there(&self, now: Time, key: &SessionKey) -> bool {
        let Some(entry) = self.table.get(key) else { return false };
        entry.session.is_live() && entry.ends_by().is_none_or(|end| now < end)
    }
}

impl Entry {
    pub(super) fn before(&self) -> Before {
        let session = &self.session;
        Before {
            live: session.is_live(),
            owner: session.owner(),
            birth: session.head().map(|life| life.birth),
            lifetime: session.lifetime_register().map(|register| register.stamp),
            deadline: self.deadline,
        }
    }

    /// When it ends now, also if it has expired: if that was too early, its time goes on. `brought` is when the other
    /// side said that it ends.
    pub(super) fn deadline_after(&self, now: Time, before: &Before, brought: Option<Time>) -> Option<Time> {
        let register = self.session.lifetime_register()?;
        let same = before.lifetime == Some(register.stamp);
        // Nobody says when what is over would have ended.
        let full = |length| self.session.is_live().then_some(now + length);
        if let Lifetime::Idle(idle) = register.lifetime
            && Bug::AgeZero.is_planted()
        {
            return Some(now + idle);
        }
        match register.lifetime {
            // A use anywhere renews it, and a new idle time replaces the old one. Who says that it is over tells of no use: the
            // owner would wait once more for word of one, and again at the next word.
            Lifetime::Idle(_) if same => {
                self.deadline.max(brought.filter(|until| self.deadline.is_none() || now < *until))
            }
            Lifetime::Idle(idle) => brought.or(full(idle)).max(self.used.map(|used| used + idle)),
            // A repeated word of the same end came later than the first, not the end itself.
            Lifetime::Fixed(_) if same && self.deadline.is_some() => self.deadline,
            Lifetime::Fixed(length) => brought.or(full(length)),
            Lifetime::Never => None,
        }
    }

    /// When one that lives ends however much it is used.
    pub(super) fn ends_by(&self) -> Option<Time> {
        let register = self.session.lifetime_register()?;
        let fixed = self.deadline.filter(|_| matches!(register.lifetime, Lifetime::Fixed(_)));
        [fixed, register.until].into_iter().flatten().min()
    }

    /// The last use that other members know of too; `changed` when one of them has just written.
    pub(super) fn used_by(&self, now: Time, changed: bool) -> Option<Time> {
        match (self.session.lifetime(), self.deadline) {
            (Some(Lifetime::Idle(idle)), Some(deadline)) => Some(now.min(deadline - idle)),
            _ => changed.then_some(now),
        }
    }

    /// When it ends if it lives again after an expiry that is taken back.
    pub(super) fn deadline_again(&self, now: Time) -> Option<Time> {
        let told = self.deadline.filter(|deadline| now < *deadline);
        match self.session.lifetime()? {
            Lifetime::Idle(length) | Lifetime::Fixed(length) => told.or(Some(now + length)),
            Lifetime::Never => None,
        }
    }

    /// The birth that has expired by what was merged although, by what is known here, its time is not over (P4).
    pub(super) fn expired_early(&self, now: Time, before: &Before) -> Option<Stamp> {
        let head = self.session.head()?;
        let (birth, deadline) = if before.live {
            // What was there and is not any more, by the deadline that it had here.
            let birth = before.birth?;
            let told = self.deadline.filter(|_| head.birth == birth);
            (birth, told.max(before.deadline))
        } else if self.session.is_live() {
            return None;
        } else {
            // What was hidden, and is used elsewhere all the same.
            (head.birth, self.deadline)
        };
        let expired = self.is_over_by_idleness(birth);
        (expired && is_early(now, self.session.lifetime_of(birth), deadline)).then_some(birth)
    }

    /// A greatest age is set at the birth and never changed: whose owner says that it is reached is right.
    pub(super) fn is_over_by_idleness(&self, birth: Stamp) -> bool {
        let is_over = |life: &Life| life.is_over() && !life.expired.by_age;
        self.session.life(birth).is_some_and(is_over) && !self.session.ends().kills(birth)
    }
}

impl Sessions {
    /// A birth may be over here, beside another, that lasts for who has brought it: who expired it did not know of the use.
    pub(super) fn see_what_lasts(
        &self,
        now: Time,
        key: SessionKey,
        brought: Brought,
        effect: Effect,
        lasting: impl FnOnce() -> Option<Stamp>,
    ) -> Effect {
        let Some(entry) = self.table.get(&key) else { return effect };
        if effect.early.is_some() || entry.session.lives.len() < 2 {
            return effect;
        }
        let is_hidden_early = |birth: &Stamp| {
            entry.is_over_by_idleness(*birth) && is_early(now, entry.session.lifetime_of(*birth), brought.until)
        };
        Effect { early: lasting().filter(is_hidden_early), ..effect }
    }
}

/// Whether the time of a session that has expired is not over, when it ends then.
pub(super) fn is_early(now: Time, lifetime: Option<Lifetime>, deadline: Option<Time>) -> bool {
    match lifetime {
        Some(Lifetime::Idle(_)) => deadline.is_some_and(|deadline| now < deadline),
        // Copies count down from when they were told, and by clocks of their own: a little later is not early.
        Some(Lifetime::Fixed(length)) => deadline.is_some_and(|deadline| now + tenth(length) < deadline),
        Some(Lifetime::Never) => true,
        None => false,
    }
}
