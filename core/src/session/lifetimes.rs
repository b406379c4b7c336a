//! How long a session lives, by what its births say.

use super::{Change, LIVES_MAX, Lifetime, LifetimeRegister, Session};
use crate::{life::EndCause, stamp::Stamp, time::Time};

impl Session {
    /// How long it lives; `None` when it has ended.
    pub fn lifetime(&self) -> Option<Lifetime> {
        self.lifetime_register().filter(|_| self.is_live()).map(|register| register.lifetime)
    }

    /// What the latest birth that lasts says of the lifetime, or if none does, the latest.
    pub(crate) fn lifetime_register(&self) -> Option<&LifetimeRegister> {
        let mut latest = self.lifetimes.iter().rev();
        latest.find(|register| self.shows(register.birth)).or(self.lifetimes.last())
    }

    /// Whether no birth says anything of the lifetime.
    pub(crate) fn lacks_lifetime(&self) -> bool {
        self.lifetimes.is_empty()
    }

    /// What one birth says of the lifetime.
    pub(crate) fn lifetime_of(&self, birth: Stamp) -> Option<Lifetime> {
        let found = self.lifetimes.binary_search_by(|register| register.birth.cmp(&birth));
        found.ok().map(|at| self.lifetimes[at].lifetime)
    }

    /// When it reaches its greatest age, if it has one.
    pub(crate) fn age_until(&self) -> Option<Time> {
        self.lifetime_register()?.until
    }

    /// The cause of an expiry: its greatest age, or what follows from the lifetime. Only what was lost has none.
    pub(crate) fn expiry_cause(&self) -> EndCause {
        if self.head().is_some_and(|life| life.is_over() && life.expired.by_age) {
            return EndCause::MaxAge;
        }
        match self.lifetime_register().map(|register| register.lifetime) {
            Some(Lifetime::Fixed(_)) => EndCause::MaxAge,
            None if self.is_bare() => EndCause::Lost,
            Some(Lifetime::Idle(_) | Lifetime::Never) | None => EndCause::Idle,
        }
    }

    /// Merges the lifetime that one birth was given.
    pub(crate) fn merge_lifetime(&mut self, mut other: LifetimeRegister) -> bool {
        if !self.is_wanted(other.birth) {
            return false;
        }
        match self.lifetimes.binary_search_by(|mine| mine.birth.cmp(&other.birth)) {
            Ok(at) => {
                let mine = &mut self.lifetimes[at];
                let wins = mine.stamp < other.stamp;
                mine.until = [mine.until, other.until].into_iter().flatten().min();
                other.until = mine.until;
                if wins {
                    other.changed = mine.changed.kept(other.changed);
                    *mine = other;
                } else if mine.stamp == other.stamp && mine.changed == Change::default() {
                    mine.changed = other.changed;
                }
                wins
            }
            Err(_) if LIVES_MAX <= self.lifetimes.len() => false,
            Err(at) => {
                self.lifetimes.insert(at, other);
                true
            }
        }
    }
}
