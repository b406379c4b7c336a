//! Until when the births of a session live that are shown beside its head.
//!
//! What two sides created while they were apart is shown as one session, and its head, the later birth, has the deadline of the
//! entry. Somebody else may still know of the earlier one alone, and expire that although it is used here: what is known of its
//! time must not be lost when it becomes the lesser one (P4). There are few of these, so they stand apart from the entries.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{Sessions, deadlines};
use crate::{
    key::SessionKey,
    session::{Lifetime, Session},
    stamp::Stamp,
    time::Time,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Besides(BTreeMap<(SessionKey, Stamp), Time>);

impl Besides {
    fn note(&mut self, key: SessionKey, birth: Stamp, until: Time) {
        let known = self.0.entry((key, birth)).or_insert(until);
        *known = until.max(*known);
    }

    /// The births of a session that are known to live until some time.
    fn of(&self, key: &SessionKey) -> impl Iterator<Item = (Stamp, Time)> {
        let key = *key;
        let from = self.0.range((key, Stamp::LOWEST)..);
        from.take_while(move |((of, _), _)| *of == key).map(|((_, birth), until)| (*birth, *until))
    }

    pub(super) fn forget(&mut self, key: &SessionKey) {
        if !self.0.is_empty() {
            self.0.retain(|(of, _), _| of != key);
        }
    }

    /// The births of `session` have another key now.
    pub(super) fn handle_moved(&mut self, from: SessionKey, to: SessionKey, session: &Session) {
        if self.0.is_empty() {
            return;
        }
        for life in &session.lives {
            if let Some(until) = self.0.remove(&(from, life.birth)) {
                self.note(to, life.birth, until);
            }
        }
    }
}

impl Sessions {
    /// What another birth heads from now on was to live until `until`.
    pub(super) fn note_beside(&mut self, key: SessionKey, birth: Stamp, until: Time) {
        let head = self.record(&key).and_then(|session| session.lasting());
        if head.is_some_and(|head| head != birth) {
            self.besides.note(key, birth, until);
        }
    }

    /// A session was used here: all that was shown was.
    pub(super) fn use_besides(&mut self, now: Time, key: &SessionKey) {
        let Some(entry) = self.table.get(key).filter(|_| !self.besides.0.is_empty()) else { return };
        let births: Vec<_> = self.besides.of(key).map(|(birth, _)| birth).collect();
        for birth in births {
            if let Some(Lifetime::Idle(idle)) = entry.session.lifetime_of(birth) {
                self.besides.note(*key, birth, now + idle);
            }
        }
    }

    /// A birth beside the head that is over although, by what is known here, its time is not. Forgets those of which no more
    /// is to be known. When all of a session is over, that is judged by its head alone.
    pub(super) fn expired_early_beside(&mut self, now: Time, key: &SessionKey) -> Option<Stamp> {
        if self.besides.0.is_empty() {
            return None;
        }
        let entry = self.table.get(key)?;
        let head = entry.session.lasting();
        let lasts = |birth| entry.session.life(birth).is_some_and(|life| entry.session.lasts(life));
        let is_early = |birth, until| {
            let lifetime = entry.session.lifetime_of(birth);
            entry.is_over_by_idleness(birth) && deadlines::is_early(now, lifetime, Some(until))
        };
        let (kept, gone): (Vec<_>, Vec<_>) = self.besides.of(key).partition(|(birth, until)| {
            head.is_some_and(|head| head != *birth) && (lasts(*birth) || is_early(*birth, *until))
        });
        for (birth, _) in gone {
            self.besides.0.remove(&(*key, birth));
        }
        kept.into_iter().find(|(birth, until)| is_early(*birth, *until)).map(|(birth, _)| birth)
    }

    pub(super) fn check_besides(&self) {
        for (key, birth) in self.besides.0.keys() {
            assert!(self.table.get(key).is_some(), "what {birth:?} is beside is held");
        }
    }
}
