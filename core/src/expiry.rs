//! Which session to look at next, and which the owner is about to expire.
//!
//! A use does not touch the order: a session used since it was armed is armed again when it comes up. Before the owner
//! expires a session it asks the holders in view when they last saw a use (P4); the session waits here for their answers.
//!
//! When a session is looked at stands with the session, where it is found without a search.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{key::SessionKey, member::MemberId, time::Time};

#[derive(Clone, Debug, Default)]
pub(crate) struct Expiry {
    due: BTreeSet<(Time, SessionKey)>,
    asking: BTreeMap<SessionKey, Question>,
    /// With when they were due as they were asked for.
    answered: BTreeMap<SessionKey, Time>,
}

#[derive(Clone, Debug)]
struct Question {
    /// When the session was due as it was asked for. An answer knows of no use that came later than that.
    due: Time,
    /// Whose answers are missing.
    missing: BTreeSet<MemberId>,
}

/// When a session is looked at, if it is. Always true: one that is armed is in the order, at this time and at no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Armed(Option<Time>);

impl Expiry {
    /// Looks at a session at that time, and not at any other that was armed before.
    pub(crate) fn arm(&mut self, armed: &mut Armed, at: Time, key: SessionKey) {
        if let Some(before) = armed.0.replace(at) {
            let found = self.due.remove(&(before, key));
            assert!(found, "an armed session is in the order");
        }
        self.due.insert((at, key));
    }

    /// Makes sure that a session is looked at no later than that: does nothing if it is armed earlier.
    pub(crate) fn arm_by(&mut self, armed: &mut Armed, at: Time, key: SessionKey) {
        if armed.0.is_none_or(|armed| at < armed) {
            self.arm(armed, at, key);
        }
    }

    pub(crate) fn disarm(&mut self, armed: &mut Armed, key: &SessionKey) {
        if let Some(at) = armed.0.take() {
            self.due.remove(&(at, *key));
        }
        self.asking.remove(key);
        self.answered.remove(key);
    }

    /// Takes one session that it is time to look at: what stands with it is to be cleared.
    pub(crate) fn poll_due(&mut self, now: Time) -> Option<SessionKey> {
        let &(at, key) = self.due.first()?;
        if now < at {
            return None;
        }
        self.due.pop_first();
        Some(key)
    }

    /// Waits for the answers of these members about a session that was due at that time; tells whether that has not been going
    /// on already.
    pub(crate) fn ask(&mut self, key: SessionKey, due: Time, members: BTreeSet<MemberId>) -> bool {
        assert!(!members.is_empty(), "somebody is asked");
        if self.asking.contains_key(&key) {
            return false;
        }
        self.asking.insert(key, Question { due, missing: members });
        true
    }

    pub(crate) fn handle_answer(&mut self, key: SessionKey, from: MemberId) {
        if let Some(question) = self.asking.get_mut(&key) {
            question.missing.remove(&from);
            if question.missing.is_empty() {
                self.answered.insert(key, question.due);
                self.asking.remove(&key);
            }
        }
    }

    /// Nobody waits for the answer of a member that is gone.
    pub(crate) fn handle_removed(&mut self, member: MemberId) {
        let answered = &mut self.answered;
        self.asking.retain(|key, question| {
            question.missing.remove(&member);
            if question.missing.is_empty() {
                answered.insert(*key, question.due);
            }
            !question.missing.is_empty()
        });
    }

    /// Takes one session for which everybody has answered, with when it was due as it was asked for.
    pub(crate) fn poll_answered(&mut self) -> Option<(SessionKey, Time)> {
        self.answered.pop_first()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Asserts that these are all that are armed.
    pub(crate) fn check(&self, all: impl Iterator<Item = (SessionKey, Armed)>) {
        let armed = all.filter_map(|(key, armed)| Some((armed.0?, key)));
        let count =
            armed.inspect(|armed| assert!(self.due.contains(armed), "an armed session is in the order")).count();
        assert!(count == self.due.len(), "what is in the order is armed");
    }
}

/// What is remembered of ends, and until when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    order: BTreeSet<(Time, SessionKey)>,
    until: BTreeMap<SessionKey, Time>,
}

impl Ledger {
    pub(crate) fn enter(&mut self, key: SessionKey, until: Time) {
        if let Some(before) = self.until.insert(key, until) {
            self.order.remove(&(before, key));
        }
        self.order.insert((until, key));
    }

    /// A session lives again, or is forgotten.
    pub(crate) fn strike(&mut self, key: &SessionKey) {
        if let Some(until) = self.until.remove(key) {
            self.order.remove(&(until, *key));
        }
    }

    pub(crate) fn contains(&self, key: &SessionKey) -> bool {
        self.until.contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }

    /// Takes one end whose time is over.
    pub(crate) fn poll_due(&mut self, now: Time) -> Option<SessionKey> {
        let &(until, key) = self.order.first()?;
        (until <= now).then(|| {
            self.strike(&key);
            key
        })
    }

    /// Takes the oldest end, whether its time is over or not.
    pub(crate) fn pop_oldest(&mut self) -> Option<SessionKey> {
        let &(_, key) = self.order.first()?;
        self.strike(&key);
        Some(key)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.order.first().map(|&(until, _)| until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SessionKey = SessionKey([1; 16]);

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn a_session_comes_up_when_due_and_once() {
        let (mut expiry, mut armed) = (Expiry::default(), Armed::default());
        expiry.arm(&mut armed, at(3), KEY);
        assert_eq!(expiry.poll_due(at(2)), None);
        assert_eq!(expiry.poll_due(at(3)), Some(KEY));
        assert_eq!(expiry.poll_timeout(), None);
    }

    #[test]
    fn arming_again_replaces_and_arming_by_only_hastens() {
        let (mut expiry, mut armed) = (Expiry::default(), Armed::default());
        expiry.arm(&mut armed, at(3), KEY);
        expiry.arm(&mut armed, at(9), KEY);
        assert_eq!(expiry.poll_timeout(), Some(at(9)));
        expiry.arm_by(&mut armed, at(10), KEY);
        assert_eq!(expiry.poll_timeout(), Some(at(9)));
        expiry.arm_by(&mut armed, at(8), KEY);
        assert_eq!(expiry.poll_timeout(), Some(at(8)));
    }

    #[test]
    fn a_session_is_answered_when_the_last_has_answered_or_gone() {
        let mut expiry = Expiry::default();
        expiry.ask(KEY, at(3), [MemberId(1), MemberId(2)].into());
        expiry.handle_answer(KEY, MemberId(1));
        assert_eq!(expiry.poll_answered(), None);
        expiry.handle_removed(MemberId(2));
        assert_eq!(expiry.poll_answered(), Some((KEY, at(3))));
        assert_eq!(expiry.poll_answered(), None);
    }

    #[test]
    fn the_oldest_end_is_forgotten_first() {
        let mut ledger = Ledger::default();
        ledger.enter(KEY, at(5));
        ledger.enter(SessionKey([2; 16]), at(4));
        assert_eq!(ledger.poll_due(at(3)), None);
        assert_eq!(ledger.poll_due(at(4)), Some(SessionKey([2; 16])));
        assert_eq!(ledger.pop_oldest(), Some(KEY));
        assert_eq!(ledger.len(), 0);
    }
}
