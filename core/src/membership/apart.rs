//! Members that are not in the view: where they are looked for, and what becomes of a greeting that is refused.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{Change, Duty, Membership, REMEMBERED_MAX};
use crate::{
    io::CloseCause,
    member::{MemberId, MemberState, RemovalCause},
    neighbors::{NeighborChange, Neighbors},
    peer::Peer,
    search::News,
    time::Time,
    wire::Beat,
};

impl Membership {
    /// Looks for members at these addresses, in place of those before.
    pub(crate) fn set_peers(&mut self, now: Time, mut addresses: Vec<SocketAddr>) {
        addresses.retain(|address| *address != self.beats.address());
        let there: BTreeSet<_> = self.known_addresses().collect();
        self.search.set_configured(now, &addresses, &there);
    }

    /// A member at `from` says that this incarnation was removed.
    pub(crate) fn handle_declared(&mut self, now: Time, from: SocketAddr, incarnation: u32) {
        let news = self.beats.handle_declared(now, incarnation);
        if news {
            // Who refused the old one may take the new one.
            for peer in self.peers.values_mut().filter(|peer| !peer.listed) {
                (peer.refusals, peer.dial_at) = (0, now);
            }
        }
        if !news || !self.beats.has_group() {
            // It does not hear the group, and as it is not in the view no other beat goes there.
            self.duties.push_back(Duty::BeatTo(from, true));
        }
    }

    /// A member has greeted that places copies differently: it is not listed. That is told once.
    pub(crate) fn handle_mismatched(&mut self, beat: &Beat<'_>) {
        if self.mismatched.insert(beat.from) {
            self.changes.push_back(Change::Mismatched(beat.from, beat.address));
        }
        if REMEMBERED_MAX < self.mismatched.len() {
            self.mismatched.pop_first();
        }
    }

    /// One of the two refused the greeting of the other on a stream that this node had opened: the next is opened later and
    /// later. Lives that place copies differently will not list each other, so there is nothing to hope for soon.
    pub(crate) fn handle_refused(&mut self, now: Time, member: MemberId, cause: CloseCause) {
        let most = if self.mismatched.contains(&member) { MISMATCHED_WAIT } else { self.timing.search_max };
        match self.peers.get_mut(&member).filter(|peer| !peer.listed) {
            Some(peer) => {
                peer.refusals = peer.refusals.saturating_add(1);
                peer.dial_at = now + self.backoff.wait(peer.refusals, most);
            }
            None => self.handle_unlinked(now, member, cause),
        }
    }

    /// Whether this member must not start alone: one that is ready, or joining with a lower id, is in the view, or was
    /// heard of just now and may yet answer.
    pub(crate) fn waits_for_others(&self, now: Time) -> bool {
        let answers = |peer: &Peer| peer.listed || now < peer.known + self.timing.probe_time * 2;
        self.peers.values().filter(|peer| answers(peer)).any(|peer| match peer.member.state {
            MemberState::Ready => true,
            MemberState::Joining => peer.member.id < self.me,
            MemberState::Leaving => false,
        })
    }

    /// What there is to tell of addresses at which members are looked for.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.search.poll_news()
    }

    pub(super) fn forget(&mut self, now: Time, member: MemberId, cause: Option<RemovalCause>) -> Option<Peer> {
        let peer = self.peers.remove(&member)?;
        let address = peer.member.address;
        if !self.peers.values().any(|other| other.member.address == address) {
            self.search.handle_gone(now, address, cause.filter(|_| peer.listed));
        }
        Some(peer)
    }

    /// Whether a beat is of a member of another domain, which is then seen and nothing more. A life has one domain: that of
    /// a peer is known.
    pub(super) fn is_foreign(&mut self, now: Time, beat: &Beat<'_>) -> bool {
        if beat.domain == self.domain {
            self.neighbors.forget(beat.from);
            return false;
        }
        if !self.peers.contains_key(&beat.from) && beat.from != self.me {
            self.seek_others(now, beat);
            if self.neighbors.handle_beat(now, beat) {
                self.search.handle_there(&beat.address, beat.from);
                // It may not hear the group.
                self.duties.push_back(Duty::BeatTo(beat.address, false));
            }
        }
        true
    }

    /// Members that another sees and this one may not know yet. Each gets one beat in a `frequency` at the most: what it is
    /// sent names others in turn, and where some reach each other in one direction only that may go round in a ring.
    pub(super) fn seek_others(&mut self, now: Time, beat: &Beat<'_>) {
        let frequency = self.timing.frequency;
        for address in &beat.others {
            // A beat names few, and nearly always such as are known: a search is shorter than a set of all.
            if self.known_addresses().any(|known| known == *address) {
                continue;
            }
            self.named.retain(|_, at| now < *at + frequency);
            if !self.named.contains_key(address) && self.named.len() < self.members_max {
                self.named.insert(*address, now);
                self.duties.push_back(Duty::BeatTo(*address, false));
            }
        }
    }

    pub(super) fn ask_neighbors(&mut self, now: Time) {
        let duties = &mut self.duties;
        let gone = self.neighbors.handle_timeout(now, |member, to| duties.push_back(Duty::Probe(member, to)));
        for (address, cause) in gone {
            self.search.handle_gone(now, address, Some(cause));
        }
    }

    /// The members of other domains.
    pub(crate) fn neighbors(&self) -> &Neighbors {
        &self.neighbors
    }

    pub(crate) fn poll_neighbor_change(&mut self) -> Option<NeighborChange> {
        self.neighbors.poll_change()
    }

    fn known_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let peers = self.peers.values().map(|peer| peer.member.address);
        peers.chain(self.neighbors.addresses()).chain([self.beats.address()])
    }

    pub(super) fn search(&mut self, now: Time) {
        while let Some(address) = self.search.poll_due(now) {
            self.duties.push_back(Duty::BeatTo(address, true));
        }
    }
}

/// The longest time between two greetings of lives that place copies differently.
const MISMATCHED_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;
    use crate::{
        member::SeekCause,
        membership::tests::{HIGHER, LOWER, address, at, beat, changes, duties, listed, membership, run_to},
        search::News,
    };

    /// When streams are opened to a member that refuses every greeting, up to a time.
    fn greetings(membership: &mut Membership, to: MemberId, end: Time) -> Vec<Time> {
        let (mut greetings, mut sequence) = (Vec::new(), 1);
        while let Some(now) = membership.poll_timeout().filter(|now| *now <= end) {
            sequence += 1;
            membership.handle_beat(now, &beat(to, 0, sequence));
            membership.handle_timeout(now);
            if duties(membership).contains(&Duty::Dial(to, address(to))) {
                greetings.push(now);
                membership.handle_refused(now, to, CloseCause::Closed);
            }
        }
        greetings
    }

    /// P7: three that each hear the next, and name the one that they hear, do not answer each other for ever.
    #[test]
    fn an_address_that_others_name_gets_one_beat_in_a_frequency() {
        let mut membership = listed(HIGHER);
        duties(&mut membership);
        let beats_at = |membership: &mut Membership, millis, sequence| {
            let beat = Beat { others: vec![address(LOWER)], ..beat(HIGHER, 0, sequence) };
            membership.handle_beat(at(millis), &beat);
            duties(membership).contains(&Duty::BeatTo(address(LOWER), false))
        };
        assert!(beats_at(&mut membership, 100, 2));
        assert!(!beats_at(&mut membership, 101, 3) && !beats_at(&mut membership, 599, 4));
        assert!(beats_at(&mut membership, 600, 5));
    }

    #[test]
    fn who_refuses_a_greeting_is_greeted_less_and_less_often() {
        let mut membership = membership();
        membership.handle_beat(at(0), &beat(HIGHER, 0, 1));
        let greetings = greetings(&mut membership, HIGHER, at(120_000));
        let waits: Vec<_> = greetings.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert!(waits[0] <= Duration::from_millis(500) && waits[1] <= Duration::from_millis(1000), "{waits:?}");
        let settled = Duration::from_millis(1000)..=Duration::from_millis(2000);
        assert!(waits[2..].iter().all(|wait| settled.contains(wait)), "{waits:?}");
    }

    #[test]
    fn who_places_copies_differently_is_greeted_about_once_in_a_minute() {
        let mut membership = membership();
        membership.handle_beat(at(0), &beat(HIGHER, 0, 1));
        membership.handle_mismatched(&beat(HIGHER, 0, 1));
        let greetings = greetings(&mut membership, HIGHER, at(3_600_000));
        assert!((60..140).contains(&greetings.len()), "{}", greetings.len());
    }

    #[test]
    fn a_higher_incarnation_on_either_side_is_greeted_at_once() {
        let refused = || {
            let mut membership = membership();
            membership.handle_beat(at(0), &beat(HIGHER, 0, 1));
            greetings(&mut membership, HIGHER, at(60_000));
            membership
        };
        let dialed = |mut membership: Membership| {
            run_to(&mut membership, at(60_001));
            duties(&mut membership).contains(&Duty::Dial(HIGHER, address(HIGHER)))
        };
        assert!(!dialed(refused()));
        let mut theirs = refused();
        theirs.handle_beat(at(60_001), &beat(HIGHER, 1, 1_000_000));
        assert!(dialed(theirs));
        let mut mine = refused();
        mine.handle_declared(at(60_001), address(HIGHER), 0);
        assert!(dialed(mine));
    }

    #[test]
    fn who_declares_this_member_dead_is_sent_its_new_incarnation() {
        for group in [true, false] {
            let mut membership = membership();
            membership.beats().set_group(group);
            membership.handle_timeout(at(0));
            duties(&mut membership);
            membership.handle_declared(at(1), address(HIGHER), 0);
            let direct = Duty::BeatTo(address(HIGHER), true);
            run_to(&mut membership, at(1));
            assert_eq!(duties(&mut membership), [if group { Duty::BeatGroup } else { direct }]);
            membership.handle_declared(at(2), address(HIGHER), 0);
            assert_eq!(duties(&mut membership), [direct], "it has not heard the group");
        }
    }

    #[test]
    fn a_configured_address_gets_a_beat_now_and_then_until_a_member_is_there_and_again_when_it_is_removed() {
        let mut membership = membership();
        membership.beats().set_group(true);
        membership.set_peers(at(0), vec![address(HIGHER), membership.beats.address()]);
        let tried = |membership: &mut Membership, end| {
            run_to(membership, end);
            let duties = duties(membership);
            duties.iter().filter(|duty| **duty == Duty::BeatTo(address(HIGHER), true)).count()
        };
        assert!((6..=12).contains(&tried(&mut membership, at(10_000))));
        assert_eq!(membership.poll_news(), Some(News::Seeking(address(HIGHER), SeekCause::Configured)));
        assert!(membership.handle_hello(at(10_000), &beat(HIGHER, 0, 1)));
        assert_eq!(membership.poll_news(), Some(News::Found(address(HIGHER), HIGHER)));
        assert_eq!(tried(&mut membership, at(12_000)), 4, "a beat each time, as it is configured");
        membership.handle_unlinked(at(12_000), HIGHER, CloseCause::Refused);
        assert_eq!(tried(&mut membership, at(12_000)), 0);
        assert!((5..=12).contains(&tried(&mut membership, at(22_000))));
        let cause = SeekCause::Removed(RemovalCause::Refused);
        assert_eq!(membership.poll_news(), Some(News::Seeking(address(HIGHER), cause)));
    }

    #[test]
    fn a_silent_member_is_looked_for_though_nobody_configured_it_and_one_that_left_is_not() {
        for (cause, is_sought) in [(RemovalCause::Silent, true), (RemovalCause::Left, false)] {
            let mut membership = listed(LOWER);
            if cause == RemovalCause::Left {
                membership.handle_bye(at(0), LOWER);
            }
            run_to(&mut membership, at(4000));
            assert_eq!(changes(&mut membership).last(), Some(&Change::Removed(LOWER, cause)));
            duties(&mut membership);
            run_to(&mut membership, at(9000));
            assert_eq!(duties(&mut membership).contains(&Duty::BeatTo(address(LOWER), true)), is_sought, "{cause:?}");
        }
    }

    #[test]
    fn another_life_at_the_address_of_a_removed_one_is_not_looked_for() {
        let mut membership = listed(HIGHER);
        let life = Beat { address: address(HIGHER), ..beat(MemberId(77), 0, 1) };
        assert!(membership.handle_hello(at(0), &life));
        run_to(&mut membership, at(2000));
        assert!(!duties(&mut membership).contains(&Duty::BeatTo(address(HIGHER), true)));
    }
}
