//! Who takes over the sessions of the dead, and when that is settled.
//!
//! When a member is gone, every other walks its table once, in slices, for the sessions that the dead one owned or wrote
//! to. It *offers* each to the member that must see to it: the owner if that is alive, else the ready member that ranks
//! highest, which adopts it. Who is offered a session and holds something else pulls it. The offers end with word that
//! they were all; when every member has said so and every pull has been answered, this node has *taken* what falls to
//! it. That repairs a fan-out that the dead one left half finished.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    config::{FRAME_ROOM, MEMBERS_MAX},
    key::SessionKey,
    member::MemberId,
    session::Change,
    time::Time,
    wire::{FEED_ROOM, ID_ROOM, LIST_ROOM},
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Ownership {
    gone: BTreeMap<MemberId, Gone>,
    walk: Option<OfferWalk>,
    /// For whose sessions each member said last that its offers are made. It may say so before this node has noticed the
    /// death.
    said: BTreeMap<MemberId, BTreeSet<MemberId>>,
    /// The sessions that were asked of each member and have not come.
    pulls: BTreeMap<MemberId, BTreeMap<SessionKey, Pulled>>,
}

/// Why a session was asked of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pulled {
    /// The member holds something else than this node.
    Differs,
    /// The member has offered it, so that this node sees to it.
    Offered,
}

#[derive(Clone, Debug)]
struct Gone {
    since: Time,
    /// Which change must be acknowledged by all before it is settled; known once it is taken.
    taken: Option<Change>,
    settled: bool,
}

#[derive(Clone, Debug)]
struct OfferWalk {
    cursor: Option<SessionKey>,
    next: Time,
}

impl Ownership {
    /// A member is gone.
    pub(crate) fn handle_removed(&mut self, now: Time, member: MemberId) {
        self.pulls.remove(&member);
        self.said.remove(&member);
        // What was offered to the one that is gone now must be offered again.
        self.gone.values_mut().filter(|gone| !gone.settled).for_each(|gone| gone.taken = None);
        self.bury(now, member);
    }

    /// A member is there; tells whether it was gone.
    pub(crate) fn handle_added(&mut self, member: MemberId) -> bool {
        for said in self.said.values_mut() {
            said.remove(&member);
        }
        self.gone.remove(&member).is_some()
    }

    /// A member became ready: it may rank higher than those that were offered sessions before.
    pub(crate) fn handle_ready(&mut self, now: Time) {
        if !self.gone.is_empty() {
            self.restart(now);
        }
    }

    /// A member has made all its offers for the sessions of these dead.
    pub(crate) fn handle_offered(
        &mut self,
        now: Time,
        from: MemberId,
        dead: &[MemberId],
        view: &BTreeSet<MemberId>,
        me: MemberId,
    ) {
        self.said.insert(from, dead.iter().copied().collect());
        for member in dead.iter().filter(|member| **member != me && !view.contains(member)) {
            if !self.gone.contains_key(member) && self.gone.len() < GONE_MAX {
                // Never seen here, but some of its sessions may have come.
                self.bury(now, *member);
            }
        }
    }

    pub(crate) fn handle_pulled(&mut self, from: MemberId, key: SessionKey, why: Pulled) {
        let pulled = self.pulls.entry(from).or_default().entry(key).or_insert(why);
        *pulled = why.max(*pulled);
    }

    /// Whether a session has been asked for and has not come.
    pub(crate) fn awaits(&self, key: &SessionKey) -> bool {
        self.pulls.values().any(|pulls| pulls.contains_key(key))
    }

    /// A session came, or word that there is none; tells why it had been asked for, if it had.
    pub(crate) fn handle_arrived(&mut self, from: MemberId, key: &SessionKey) -> Option<Pulled> {
        let pulls = self.pulls.get_mut(&from)?;
        let asked = pulls.remove(key);
        if pulls.is_empty() {
            self.pulls.remove(&from);
        }
        asked
    }

    /// Where the walk stands, when its next slice is due: after which key.
    pub(crate) fn poll_walk(&self, now: Time) -> Option<Option<SessionKey>> {
        self.walk.as_ref().filter(|walk| walk.next <= now).map(|walk| walk.cursor)
    }

    pub(crate) fn walked_to(&mut self, now: Time, cursor: SessionKey) {
        self.walk = Some(OfferWalk { cursor: Some(cursor), next: now + core::time::Duration::from_micros(1) });
    }

    pub(crate) fn end_walk(&mut self) {
        self.walk = None;
    }

    /// Notes which change the adoptions must have reached others with, as soon as everything is taken; tells whether that is
    /// news.
    pub(crate) fn mark_taken(&mut self, change: Change, view: &BTreeSet<MemberId>) -> bool {
        if self.is_taking(view) {
            return false;
        }
        let mut news = false;
        for gone in self.gone.values_mut().filter(|gone| gone.taken.is_none()) {
            gone.taken = Some(change);
            news = true;
        }
        news
    }

    /// Takes one of the dead whose sessions are settled: taken, and acknowledged by all that remain.
    pub(crate) fn poll_settled(&mut self, has_acked: impl Fn(Change) -> bool) -> Option<MemberId> {
        let ready = |gone: &Gone| !gone.settled && gone.taken.is_some_and(&has_acked);
        let (member, gone) = self.gone.iter_mut().find(|(_, gone)| ready(gone))?;
        gone.settled = true;
        Some(*member)
    }

    /// Forgets the dead of long ago.
    pub(crate) fn forget_before(&mut self, then: Time) {
        self.gone.retain(|_, gone| !gone.settled || then < gone.since);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.walk.as_ref().map(|walk| walk.next)
    }

    pub(crate) fn is_gone(&self, member: MemberId) -> bool {
        self.gone.contains_key(&member)
    }

    /// Whether a member has offered all that this dead one has left: it will not do so again.
    pub(crate) fn has_said(&self, from: MemberId, dead: MemberId) -> bool {
        self.said.get(&from).is_some_and(|said| said.contains(&dead))
    }

    /// As many of the dead as are told of, those first of whose sessions something may still fall to this node.
    pub(crate) fn gone(&self) -> Vec<MemberId> {
        self.those(false).chain(self.those(true)).take(TOLD_MAX).collect()
    }

    /// Those of whose sessions everything is taken, as many as are told of, and those of whose sessions something may still
    /// fall to this node; `None` if these are too many to be told of.
    pub(crate) fn taken(&self) -> Option<(Vec<MemberId>, Vec<MemberId>)> {
        let open: Vec<_> = self.those(false).collect();
        (open.len() <= TOLD_MAX).then(|| (self.those(true).take(TOLD_MAX).collect(), open))
    }

    fn those(&self, taken: bool) -> impl Iterator<Item = MemberId> {
        self.gone.iter().filter(move |(_, gone)| gone.taken.is_some() == taken).map(|(member, _)| *member)
    }

    /// Whether something of the dead may still fall to this node: not everybody in view has said of all whose sessions are
    /// not settled that its offers are made.
    pub(crate) fn is_taking(&self, view: &BTreeSet<MemberId>) -> bool {
        let mut unsettled = self.gone.iter().filter(|(_, gone)| !gone.settled).map(|(member, _)| member);
        let said =
            |dead: &MemberId| view.iter().all(|other| self.said.get(other).is_some_and(|said| said.contains(dead)));
        self.walk.is_some() || !self.pulls.is_empty() || !unsettled.all(said)
    }

    /// Whether this node's own offers are made.
    pub(crate) fn has_offered(&self) -> bool {
        self.walk.is_none()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.gone.values().all(|gone| gone.settled)
    }

    fn bury(&mut self, now: Time, member: MemberId) {
        self.gone.insert(member, Gone { since: now, taken: None, settled: false });
        self.restart(now);
    }

    fn restart(&mut self, now: Time) {
        self.walk = Some(OfferWalk { cursor: None, next: now });
    }
}

/// Deaths that are learned of from others are kept up to this many.
const GONE_MAX: usize = 4096;

/// The most of the dead that are told of at once: a list of them must fit the shortest frame.
const TOLD_MAX: usize = 1024;
const _: () = assert!(LIST_ROOM + (MEMBERS_MAX + 2 * TOLD_MAX) * ID_ROOM + FEED_ROOM <= FRAME_ROOM);

#[cfg(test)]
mod tests {
    use super::*;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);
    const KEY: SessionKey = SessionKey([7; 16]);

    #[test]
    fn a_death_is_taken_when_all_have_offered_and_every_pull_has_come() {
        let (mut ownership, view) = (Ownership::default(), [B].into());
        ownership.handle_removed(Time::ZERO, A);
        ownership.end_walk();
        assert!(ownership.is_taking(&view));
        ownership.handle_pulled(B, KEY, Pulled::Offered);
        ownership.handle_pulled(B, KEY, Pulled::Differs);
        ownership.handle_offered(Time::ZERO, B, &[A], &view, MemberId(9));
        assert!(ownership.is_taking(&view));
        assert_eq!(ownership.handle_arrived(B, &KEY), Some(Pulled::Offered));
        assert!(!ownership.is_taking(&view));
        ownership.mark_taken(Change(5), &view);
        assert_eq!(ownership.poll_settled(|change| change < Change(5)), None);
        assert_eq!(ownership.poll_settled(|change| change <= Change(5)), Some(A));
        assert!(ownership.is_settled());
    }

    #[test]
    fn offers_that_came_before_the_death_was_noticed_count() {
        let mut ownership = Ownership::default();
        ownership.handle_offered(Time::ZERO, B, &[A], &[A, B].into(), MemberId(9));
        ownership.handle_removed(Time::ZERO, A);
        ownership.end_walk();
        assert!(!ownership.is_taking(&[B].into()));
    }

    #[test]
    fn a_second_death_makes_everybody_offer_again_unless_it_comes_back() {
        let (mut ownership, c) = (Ownership::default(), MemberId(3));
        ownership.handle_removed(Time::ZERO, A);
        ownership.handle_offered(Time::ZERO, B, &[A], &[B, c].into(), MemberId(9));
        ownership.handle_removed(Time::ZERO, c);
        ownership.end_walk();
        assert!(ownership.is_taking(&[B].into()));
        let mut back = ownership.clone();
        back.handle_added(c);
        back.handle_offered(Time::ZERO, c, &[A], &[B, c].into(), MemberId(9));
        assert!(!back.is_taking(&[B, c].into()));
        ownership.handle_offered(Time::ZERO, B, &[A, c], &[B].into(), MemberId(9));
        assert!(!ownership.is_taking(&[B].into()));
    }
}
