//! What would be lost with this member.
//!
//! A session is *at risk* here while no other member is known to have all that this one has to bring to others of it:
//!
//! * something of it is unsent or unacknowledged, and not one ready member that must hold it has acknowledged everything;
//! * or its owner is gone, and the member that sees to it now has not yet answered that it has all that is held here.
//!
//! Where it can not be known session by session, because there is no ready member at all or the table is being walked,
//! every session counts. So the number may be too high for a moment, and is never too low.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{key::SessionKey, member::MemberId};

/// What this member alone has, as far as it knows: it would be lost with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// Sessions with something that no other ready member has acknowledged.
    pub sessions: usize,
    /// Entries of the shared map with such a value, at the most.
    pub entries: usize,
}

impl AtRisk {
    /// Whether everything has been acknowledged by others.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How far a member that leaves is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// It still takes commits.
    pub serving: bool,
    /// How many sessions are still to be acknowledged by the member that lacks the most, and to be let go of here.
    pub remaining: usize,
    /// What would be lost if it were gone now.
    pub at_risk: AtRisk,
    /// After this time it is gone, whatever remains.
    pub ends_in: Duration,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Risk {
    doubts: BTreeMap<SessionKey, Doubt>,
    /// Every session is looked at one by one.
    sure: bool,
    /// A member is gone, and what it has left is looked for.
    searching: bool,
}

/// Why a session is at risk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Doubt {
    /// No other has acknowledged it all.
    unshared: bool,
    /// It was offered to this member.
    keeper: Option<MemberId>,
}

impl Risk {
    /// Nobody who must hold it has all of a session.
    pub(crate) fn doubt(&mut self, key: SessionKey) {
        self.doubts.entry(key).or_default().unshared = true;
    }

    /// Somebody who must hold it has all of a session.
    pub(crate) fn trust(&mut self, key: &SessionKey) {
        self.lift(key, |doubt| doubt.unshared = false);
    }

    /// A session whose owner is gone is offered to this member.
    pub(crate) fn handle_offered(&mut self, key: SessionKey, keeper: MemberId) {
        self.doubts.entry(key).or_default().keeper = Some(keeper);
    }

    /// A member is known to have everything of a session that is held here.
    pub(crate) fn handle_kept(&mut self, key: &SessionKey, member: MemberId) {
        self.lift(key, |doubt| doubt.keeper = doubt.keeper.filter(|keeper| *keeper != member));
    }

    /// Nothing is held of a session any more. Word of that may still be on its way.
    pub(crate) fn forget(&mut self, key: &SessionKey) {
        self.lift(key, |doubt| doubt.keeper = None);
    }

    /// A member is gone. What was offered to it will be offered to another.
    pub(crate) fn handle_removed(&mut self, member: MemberId) {
        self.searching = true;
        self.doubts.values_mut().for_each(|doubt| doubt.keeper = doubt.keeper.filter(|keeper| *keeper != member));
        self.doubts.retain(|_, doubt| *doubt != Doubt::default());
    }

    /// The table has been walked for what the gone ones have left.
    pub(crate) fn end_search(&mut self) {
        self.searching = false;
    }

    pub(crate) fn is_searching(&self) -> bool {
        self.searching
    }

    /// From now on the sessions that nobody else has are these.
    pub(crate) fn set_sure(&mut self, unshared: Vec<SessionKey>) {
        self.sure = true;
        self.doubts.values_mut().for_each(|doubt| doubt.unshared = false);
        unshared.into_iter().for_each(|key| self.doubt(key));
        self.doubts.retain(|_, doubt| *doubt != Doubt::default());
    }

    /// From now on nothing is known.
    pub(crate) fn set_unsure(&mut self) {
        if !core::mem::take(&mut self.sure) {
            return;
        }
        self.doubts.values_mut().for_each(|doubt| doubt.unshared = false);
        self.doubts.retain(|_, doubt| *doubt != Doubt::default());
    }

    pub(crate) fn is_sure(&self) -> bool {
        self.sure
    }

    /// Whether nobody is known to have all of a session.
    pub(crate) fn is_unshared(&self, key: &SessionKey) -> bool {
        self.doubts.get(key).is_some_and(|doubt| doubt.unshared)
    }

    /// The sessions that nobody is known to have all of.
    pub(crate) fn unshared(&self) -> impl Iterator<Item = SessionKey> {
        self.doubts.iter().filter(|(_, doubt)| doubt.unshared).map(|(key, _)| *key)
    }

    /// How many sessions are at risk, of so many that live here.
    pub(crate) fn sessions(&self, live: usize) -> usize {
        if self.sure { self.doubts.len() } else { live.max(self.doubts.len()) }
    }

    fn lift(&mut self, key: &SessionKey, lift: impl FnOnce(&mut Doubt)) {
        let Some(doubt) = self.doubts.get_mut(key) else { return };
        lift(doubt);
        if *doubt == Doubt::default() {
            self.doubts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);
    const S: SessionKey = SessionKey([1; 16]);
    const T: SessionKey = SessionKey([2; 16]);

    #[test]
    fn every_session_counts_until_each_is_looked_at() {
        let mut risk = Risk::default();
        assert_eq!(risk.sessions(7), 7);
        risk.set_sure([S].into());
        assert_eq!(risk.sessions(7), 1);
        risk.trust(&S);
        assert_eq!(risk.sessions(7), 0);
        risk.set_unsure();
        assert_eq!(risk.sessions(7), 7);
    }

    #[test]
    fn an_orphan_is_at_risk_until_its_keeper_has_it() {
        let mut risk = Risk::default();
        risk.set_sure(Vec::new());
        risk.handle_offered(S, A);
        risk.doubt(S);
        risk.doubt(T);
        assert_eq!(risk.sessions(7), 2, "a session counts once");
        risk.trust(&S);
        risk.handle_kept(&S, B);
        assert_eq!(risk.sessions(7), 2);
        risk.handle_kept(&S, A);
        assert_eq!(risk.sessions(7), 1);
    }

    #[test]
    fn what_was_offered_to_one_that_is_gone_is_searched_for_anew() {
        let mut risk = Risk::default();
        risk.set_sure(Vec::new());
        risk.handle_offered(S, A);
        risk.handle_removed(A);
        assert!(risk.is_searching());
        risk.handle_offered(S, B);
        risk.set_sure(Vec::new());
        assert_eq!(risk.sessions(7), 1, "a new look at what is unshared lets the orphans be");
    }
}
