//! Members that are suspected, and what others hear of them.
//!
//! A suspect is asked directly and through two others. What only others hear ends a suspicion, as the node lives; but what
//! is for it travels on the stream from here. So a member of which nothing came directly by the time at which it would have
//! been removed has its stream opened anew. From then on it has no stream until one holds, and whoever has none for too long
//! is removed whatever others hear.

use alloc::vec::Vec;
use core::{net::SocketAddr, ops::Bound};

use super::{Change, Duty, Membership};
use crate::{
    io::CloseCause,
    member::{MemberId, RemovalCause},
    peer::{DIAL_WAIT_MIN, Peer, Suspicion},
    planted::Bug,
    time::Time,
};

/// How many others are asked each time to probe a suspect.
const RELAYS: usize = 2;

impl Membership {
    /// A datagram could not be sent there.
    pub(crate) fn handle_send_failed(&mut self, now: Time, to: SocketAddr) {
        let at = |peer: &&Peer| peer.listed && peer.member.address == to;
        let member = self.peers.values().find(at).map(|peer| peer.member.id);
        if let Some(member) = member {
            self.suspect(now, member, RemovalCause::Broken);
        }
        self.neighbors.handle_send_failed(now, to);
    }

    /// The stream to a member is gone, or could not be opened.
    pub(crate) fn handle_unlinked(&mut self, now: Time, member: MemberId, cause: CloseCause) {
        let frequency = self.timing.frequency;
        let Some(peer) = self.peers.get_mut(&member) else { return };
        if !peer.listed {
            peer.dial_at = now + frequency;
            return;
        }
        let broke = peer.unlinked.is_none();
        peer.unlinked.get_or_insert(now);
        if cause == CloseCause::Refused {
            self.remove(now, member, RemovalCause::Refused);
        } else if broke {
            peer.dial_at = now;
            peer.dial_wait = DIAL_WAIT_MIN;
            self.suspect(now, member, RemovalCause::Broken);
        } else {
            peer.dial_at = now + peer.dial_wait;
            peer.dial_wait = (peer.dial_wait * 2).min(frequency);
        }
    }

    /// The stream to a member is gone, perhaps since long before this node woke: that says nothing of the member.
    pub(crate) fn handle_unlinked_asleep(&mut self, now: Time, member: MemberId) {
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.unlinked.get_or_insert(now);
            peer.dial_at = now;
            peer.dial_wait = DIAL_WAIT_MIN;
        }
    }

    /// The node of a member has answered or sent anything else.
    pub(crate) fn handle_life(&mut self, now: Time, member: MemberId) {
        let Some(peer) = self.peers.get_mut(&member) else { return self.neighbors.handle_answer(now, member) };
        peer.hearsay = None;
        if peer.clear(now) {
            self.changes.push_back(Change::Cleared(member));
        }
    }

    /// The node of a suspect has answered another member, which was asked under this number.
    pub(crate) fn handle_relayed(&mut self, now: Time, member: MemberId, number: u64) {
        let Some(peer) = self.peers.get_mut(&member) else { return };
        let Some(suspicion) = peer.suspicion.filter(|suspicion| suspicion.number == number) else { return };
        if peer.unlinked.is_none() {
            peer.hearsay = peer.hearsay.or(Some(suspicion.until));
        }
        if peer.clear(now) {
            self.changes.push_back(Change::Cleared(member));
        }
    }

    pub(super) fn suspect(&mut self, now: Time, member: MemberId, cause: RemovalCause) {
        let (mut until, limit) = self.timing.patience(now);
        if Bug::OneProbe.is_planted() {
            until = now + self.timing.probe_time / self.timing.probe_attempts;
        }
        let Some(peer) = self.peers.get_mut(&member).filter(|peer| peer.listed && peer.suspicion.is_none()) else {
            return;
        };
        self.suspicions += 1;
        let number = self.suspicions;
        peer.member.suspect = true;
        peer.suspicion = Some(Suspicion { cause, number, asked: 0, next_probe: now, until, limit });
        self.changes.push_back(Change::Suspect(member, cause));
    }

    /// Asks a suspect whether it lives, and others whether it answers them.
    pub(super) fn probe(&mut self, now: Time, suspect: MemberId) {
        let step = self.timing.probe_time / self.timing.probe_attempts;
        let Some(peer) = self.peers.get_mut(&suspect) else { return };
        let Some(suspicion) = &mut peer.suspicion else { return };
        let (number, asked) = (suspicion.number, suspicion.asked);
        suspicion.next_probe = now + step;
        suspicion.asked += 1;
        self.duties.push_back(Duty::Probe(suspect, peer.member.address));
        let relays = self.relays(suspect, asked);
        self.duties.extend(relays.into_iter().map(|to| Duty::Relay { suspect, number, to }));
    }

    /// Whom to ask of a suspect: the next two each time, from this member on, so that many who suspect it at once do not all
    /// ask the same.
    fn relays(&self, suspect: MemberId, asked: u32) -> Vec<SocketAddr> {
        let (later, earlier) =
            (self.peers.range((Bound::Excluded(self.me), Bound::Unbounded)), self.peers.range(..self.me));
        let hears = |peer: &&Peer| {
            peer.listed && peer.suspicion.is_none() && peer.unlinked.is_none() && peer.member.id != suspect
        };
        let hearing: Vec<_> = later.chain(earlier).map(|(_, peer)| peer).filter(hears).collect();
        let skip = usize::try_from(asked).unwrap_or(0).saturating_mul(RELAYS).checked_rem(hearing.len()).unwrap_or(0);
        let taken = hearing.iter().cycle().skip(skip).take(RELAYS.min(hearing.len()));
        taken.map(|peer| peer.member.address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::CloseCause,
        membership::tests::{HIGHER, LOWER, ME, address, at, beat, changes, duties, listed, run_to},
    };

    fn relays(membership: &mut Membership) -> Vec<(MemberId, u64, SocketAddr)> {
        let relay =
            |duty| if let Duty::Relay { suspect, number, to } = duty { Some((suspect, number, to)) } else { None };
        duties(membership).into_iter().filter_map(relay).collect()
    }

    /// One that is silent and others that are heard all the time.
    fn one_silent(others: &[u64]) -> Membership {
        let mut membership = listed(HIGHER);
        for other in others {
            assert!(membership.handle_hello(at(2900), &beat(MemberId(*other), 0, 1)));
        }
        run_to(&mut membership, at(2999));
        changes(&mut membership);
        duties(&mut membership);
        membership
    }

    #[test]
    fn a_suspect_is_asked_through_two_others_each_time_in_turn() {
        let mut membership = one_silent(&[1, 6, 7]);
        assert_eq!(ME, MemberId(5));
        run_to(&mut membership, at(3999));
        let asked = relays(&mut membership);
        let expected = [6, 7, 1, 6, 7, 1].map(|other| (HIGHER, 1, address(MemberId(other))));
        assert_eq!(asked, expected);
    }

    #[test]
    fn where_there_is_nobody_else_nobody_is_asked() {
        let mut membership = one_silent(&[]);
        run_to(&mut membership, at(3999));
        assert_eq!(relays(&mut membership), []);
    }

    #[test]
    fn an_answer_through_another_clears_a_suspect_and_one_to_an_older_question_does_not() {
        let mut membership = one_silent(&[LOWER.0]);
        run_to(&mut membership, at(3000));
        membership.handle_relayed(at(3001), HIGHER, 1);
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Silent), Change::Cleared(HIGHER)]);
        membership.handle_relayed(at(3002), HIGHER, 1);
        assert_eq!(changes(&mut membership), []);
        membership.handle_life(at(3003), HIGHER);
        membership.handle_unlinked(at(3004), HIGHER, CloseCause::Broken);
        membership.handle_relayed(at(3005), HIGHER, 1);
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Broken)]);
        membership.handle_relayed(at(3006), HIGHER, 2);
        assert_eq!(changes(&mut membership), [Change::Cleared(HIGHER)]);
    }

    /// Nothing could be brought to it, and a commit must not wait for it for ever.
    #[test]
    fn whom_only_others_hear_has_its_stream_opened_anew_and_is_removed_if_none_holds() {
        let mut membership = one_silent(&[LOWER.0]);
        run_to(&mut membership, at(3000));
        membership.handle_relayed(at(3001), HIGHER, 1);
        run_to(&mut membership, at(3999));
        assert!(!duties(&mut membership).contains(&Duty::Reopen(HIGHER)));
        run_to(&mut membership, at(4000));
        assert!(duties(&mut membership).contains(&Duty::Reopen(HIGHER)));
        membership.handle_unlinked(at(4000), HIGHER, CloseCause::Broken);
        for millis in 4001..8000 {
            run_to(&mut membership, at(millis));
            membership.handle_life(at(millis), LOWER);
            (2..6).for_each(|number| membership.handle_relayed(at(millis), HIGHER, number));
        }
        assert!(!changes(&mut membership).iter().any(|change| matches!(change, Change::Removed(..))));
        run_to(&mut membership, at(8000));
        assert!(changes(&mut membership).contains(&Change::Removed(HIGHER, RemovalCause::Broken)));
    }

    #[test]
    fn who_is_heard_again_keeps_its_stream() {
        let mut membership = one_silent(&[LOWER.0]);
        run_to(&mut membership, at(3000));
        membership.handle_relayed(at(3001), HIGHER, 1);
        membership.handle_life(at(3999), HIGHER);
        run_to(&mut membership, at(5000));
        assert!(!duties(&mut membership).contains(&Duty::Reopen(HIGHER)));
    }
}
