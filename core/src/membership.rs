//! Who is in the view.
//!
//! A member announces itself by beats and is listed once it has answered on a stream: an announcement alone lists nobody,
//! and neither does a kernel that accepts. It is suspected when it was silent for the drop time, when its stream breaks
//! or a send to it fails; a suspect is probed, through two others as well, and whatever its node answers clears it. Only a
//! suspect that answers nothing within the probe time is removed, or at once when its listener refuses a connection: then
//! the process is gone.
//!
//! Always true (P9): a removed life comes back only with a higher incarnation, which it takes when it hears that it was
//! removed; one that left does not come back.

mod apart;
mod suspects;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use crate::{
    backoff::Backoff,
    beats::{Beats, Word},
    config::Config,
    member::{Member, MemberId, MemberState, RemovalCause},
    neighbors::Neighbors,
    peer::{Peer, Timing},
    planted::Bug,
    protocol::Versions,
    search::Search,
    time::Time,
    wire::Beat,
};

#[derive(Clone, Debug)]
pub(crate) struct Membership {
    me: MemberId,
    timing: Timing,
    members_max: usize,
    beats: Beats,
    domain: String,
    neighbors: Neighbors,
    search: Search,
    /// When each address got a beat that another had named and this member did not know.
    named: BTreeMap<SocketAddr, Time>,
    /// Between greetings that are refused.
    backoff: Backoff,
    peers: BTreeMap<MemberId, Peer>,
    removed: BTreeMap<MemberId, Removed>,
    /// Lives that place copies differently.
    mismatched: BTreeSet<MemberId>,
    /// Lives with which no version of the protocol is common.
    incompatible: BTreeSet<MemberId>,
    /// How many suspicions there were.
    suspicions: u64,
    changes: VecDeque<Change>,
    duties: VecDeque<Duty>,
}

#[derive(Clone, Copy, Debug)]
struct Removed {
    incarnation: u32,
    cause: RemovalCause,
}

/// A change of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added(MemberId),
    /// Its payload changed.
    Payload(MemberId),
    /// Its state changed, or what decides which copies it holds, by its own word.
    State(MemberId, MemberState),
    Suspect(MemberId, RemovalCause),
    Cleared(MemberId),
    Removed(MemberId, RemovalCause),
    /// One that is not listed, because it places copies differently.
    Mismatched(MemberId, SocketAddr),
    /// One that is not listed, because it speaks other versions of the protocol.
    Incompatible(MemberId, SocketAddr, Versions),
}

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// A beat to the group.
    BeatGroup,
    /// A beat to an address; `true` asks for beats in return.
    BeatTo(SocketAddr, bool),
    /// Open a stream.
    Dial(MemberId, SocketAddr),
    /// Ask a suspect whether it lives, by datagram and by stream.
    Probe(MemberId, SocketAddr),
    /// Ask another to probe a suspect, under this number.
    Relay { suspect: MemberId, number: u64, to: SocketAddr },
    /// Open the stream to a member anew: only others hear it.
    Reopen(MemberId),
    /// Tell a member that this incarnation of it was removed.
    Declare(MemberId, SocketAddr, u32),
}

impl Membership {
    pub(crate) fn new(me: MemberId, address: SocketAddr, config: &Config, seed: u64, now: Time) -> Self {
        let Config { frequency, drop_time, probe_time, probe_attempts, search_max, .. } = *config;
        Self {
            me,
            timing: Timing { frequency, drop_time, probe_time, probe_attempts, search_max },
            members_max: config.members_max,
            beats: Beats::new(me, address, frequency, now),
            domain: config.domain.clone(),
            neighbors: Neighbors::new(frequency, drop_time, config.members_max),
            search: Search::new(Backoff::new(seed, frequency), search_max, config.members_max),
            named: BTreeMap::new(),
            backoff: Backoff::new(!seed, frequency),
            peers: BTreeMap::new(),
            removed: BTreeMap::new(),
            mismatched: BTreeSet::new(),
            incompatible: BTreeSet::new(),
            suspicions: 0,
            changes: VecDeque::new(),
            duties: VecDeque::new(),
        }
    }

    /// The beats that this node sends.
    pub(crate) fn beats(&mut self) -> &mut Beats {
        &mut self.beats
    }

    /// A sign of life. `others` in it are addresses that this member may not know yet.
    pub(crate) fn handle_beat(&mut self, now: Time, beat: &Beat<'_>) {
        if Bug::LateBeat.is_planted() && self.removed.remove(&beat.from).is_some() {
            self.handle_hello(now, beat);
        }
        if self.is_foreign(now, beat) || !self.admits(beat) {
            return;
        }
        self.seek_others(now, beat);
        let (news, until) = (!self.peers.contains_key(&beat.from), now + self.timing.drop_time);
        let Some(peer) = self.peer(now, beat) else { return };
        if !news && (beat.incarnation, beat.sequence) <= (peer.incarnation, peer.sequence) {
            return;
        }
        if peer.incarnation < beat.incarnation && 0 < peer.refusals {
            (peer.refusals, peer.dial_at) = (0, now);
        }
        if beat.direct {
            peer.direct_until = until;
        }
        let is_replaced = peer.take_word(now, beat);
        self.changes.extend(is_replaced.then_some(Change::Payload(beat.from)));
        if news {
            // It may not hear the group.
            self.duties.push_back(Duty::BeatTo(beat.address, false));
        }
        self.note_state(beat.from);
        self.handle_life(now, beat.from);
    }

    /// A member has greeted on a stream: its node has answered. Tells whether it may be linked.
    pub(crate) fn handle_hello(&mut self, now: Time, beat: &Beat<'_>) -> bool {
        if !self.admits(beat) {
            return false;
        }
        let Some(peer) = self.peer(now, beat) else { return false };
        let is_newer = (peer.incarnation, peer.sequence) < (beat.incarnation, beat.sequence);
        let is_replaced = (is_newer || !peer.listed) && peer.take_word(now, beat);
        (peer.unlinked, peer.refusals) = (None, 0);
        if !peer.listed {
            peer.listed = true;
            self.removed.remove(&beat.from);
            self.changes.push_back(Change::Added(beat.from));
        }
        self.changes.extend(is_replaced.then_some(Change::Payload(beat.from)));
        let superseded: Vec<_> = self
            .peers
            .values()
            .filter(|peer| peer.listed && peer.member.id != beat.from && peer.member.address == beat.address)
            .map(|peer| peer.member.id)
            .collect();
        for member in superseded {
            self.remove(now, member, RemovalCause::Superseded);
        }
        self.note_state(beat.from);
        self.handle_life(now, beat.from);
        true
    }

    /// A member is heard of that speaks no version of the protocol that this node does. That is told once.
    pub(crate) fn handle_incompatible(&mut self, member: MemberId, address: SocketAddr, theirs: Versions) {
        if self.incompatible.insert(member) {
            self.changes.push_back(Change::Incompatible(member, address, theirs));
        }
        if REMEMBERED_MAX < self.incompatible.len() {
            self.incompatible.pop_first();
        }
    }

    /// What is spoken with a member.
    pub(crate) fn note_version(&mut self, member: MemberId, version: u8) {
        if let Some(peer) = self.peers.get_mut(&member) {
            peer.member.version = version;
        }
    }

    /// This node was run that late: it doubts itself before it doubts others.
    pub(crate) fn handle_slept(&mut self, now: Time, late: Duration) {
        self.peers.values_mut().for_each(|peer| peer.handle_slept(now, late, self.timing));
        self.neighbors.handle_slept(now, late);
    }

    /// A member says that it has left.
    pub(crate) fn handle_bye(&mut self, now: Time, member: MemberId) {
        if self.peers.contains_key(&member) {
            self.remove(now, member, RemovalCause::Left);
        }
        if let Some(address) = self.neighbors.handle_bye(member) {
            self.search.handle_gone(now, address, Some(RemovalCause::Left));
        }
    }

    /// A member is leaving.
    pub(crate) fn handle_leaving(&mut self, member: MemberId) {
        let Some(peer) = self.peers.get_mut(&member) else { return };
        peer.untold |= peer.member.state != MemberState::Leaving;
        peer.member.state = MemberState::Leaving;
        self.note_state(member);
    }

    /// This member has left.
    pub(crate) fn forget_all(&mut self) {
        self.peers.clear();
        self.neighbors.clear();
        self.search.clear();
        self.changes.clear();
        self.duties.clear();
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.beat_if_due(now);
        self.search(now);
        self.ask_neighbors(now);
        let Timing { frequency, drop_time, probe_time, .. } = self.timing;
        let (mut over, mut silent, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for (id, peer) in &mut self.peers {
            if peer.unlinked.is_some() && peer.dial_at <= now {
                peer.dial_at = now + frequency;
                self.duties.push_back(Duty::Dial(*id, peer.member.address));
            }
            if peer.hearsay.take_if(|until| *until <= now).is_some() {
                self.duties.push_back(Duty::Reopen(*id));
            }
            match &peer.suspicion {
                Some(suspicion) if suspicion.until <= now => over.push((*id, Some(suspicion.cause))),
                Some(suspicion) if suspicion.next_probe <= now => asked.push(*id),
                Some(_) => {}
                None if peer.heard + drop_time <= now && peer.listed => silent.push(*id),
                None if peer.heard + drop_time <= now => over.push((*id, None)),
                None => {}
            }
            if peer.listed && peer.unlinked.is_some_and(|since| since + drop_time + probe_time <= now) {
                // It gives signs of life, but nothing can be brought to it.
                over.push((*id, Some(RemovalCause::Broken)));
            }
        }
        for member in silent {
            self.suspect(now, member, RemovalCause::Silent);
            asked.push(member);
        }
        for member in asked {
            self.probe(now, member);
        }
        for (member, cause) in over {
            match cause {
                Some(cause) => self.remove(now, member, cause),
                None => {
                    self.forget(now, member, None);
                }
            }
        }
    }

    pub(crate) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    pub(crate) fn poll_duty(&mut self) -> Option<Duty> {
        self.duties.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let peers = self.peers.values().map(|peer| peer.poll_timeout(self.timing)).min();
        let beats = Some(self.beats.poll_timeout());
        [peers, beats, self.search.poll_timeout(), self.neighbors.poll_timeout()].into_iter().flatten().min()
    }

    /// What this node says of itself. Every call is a new beat.
    pub(crate) fn beat<'a>(&mut self, now: Time, word: Word<'a>, direct: bool) -> Beat<'a> {
        let listed = self.peers.values().filter(|peer| peer.listed).map(|peer| peer.member.address);
        let neighbors = self.neighbors.listed().into_iter().map(|neighbor| neighbor.address);
        self.beats.beat(now, word, listed.chain(neighbors).collect(), direct)
    }

    /// The members of the view, the oldest ready one first.
    pub(crate) fn members(&self) -> Vec<&Member> {
        let mut peers: Vec<_> = self.peers.values().filter(|peer| peer.listed).collect();
        peers.sort_by_key(|peer| (peer.member.state != MemberState::Ready, peer.born, peer.member.id));
        peers.into_iter().map(|peer| &peer.member).collect()
    }

    pub(crate) fn member(&self, member: MemberId) -> Option<&Member> {
        self.peers.get(&member).filter(|peer| peer.listed).map(|peer| &peer.member)
    }

    fn admits(&mut self, beat: &Beat<'_>) -> bool {
        // The life that was at this address before has left beats that are still on their way.
        if beat.from == self.me || beat.address == self.beats.address() {
            return false;
        }
        match self.removed.get(&beat.from) {
            Some(Removed { cause: RemovalCause::Left, .. }) => false,
            Some(removed) if beat.incarnation <= removed.incarnation => {
                self.duties.push_back(Duty::Declare(beat.from, beat.address, removed.incarnation));
                false
            }
            Some(_) | None => true,
        }
    }

    /// The peer that a beat is of; `None` when the view is full.
    fn peer(&mut self, now: Time, beat: &Beat<'_>) -> Option<&mut Peer> {
        if !self.peers.contains_key(&beat.from) && self.members_max <= self.peers.len() {
            return None;
        }
        self.search.handle_there(&beat.address, beat.from);
        // The lower id opens the stream; the higher does so too if that takes long.
        let dial_at = if self.me < beat.from { now } else { now + self.timing.frequency * 2 };
        Some(self.peers.entry(beat.from).or_insert_with(|| Peer::new(now, beat, dial_at)))
    }

    /// Most beats say what the one before said: then nobody has to see anew who holds what.
    fn note_state(&mut self, member: MemberId) {
        let Some(peer) = self.peers.get_mut(&member).filter(|peer| peer.listed) else { return };
        if core::mem::take(&mut peer.untold) {
            self.changes.push_back(Change::State(member, peer.member.state));
        }
    }

    fn beat_if_due(&mut self, now: Time) {
        if !self.beats.poll_due(now) {
            return;
        }
        let group = self.beats.has_group();
        if group {
            self.duties.push_back(Duty::BeatGroup);
        }
        let configured = |peer: &Peer| self.search.is_configured(&peer.member.address);
        let wanting = self.peers.values().filter(|peer| !group || now < peer.direct_until || configured(peer));
        let neighbors = self.neighbors.beaten(now, !group);
        let addresses = self.beats.addresses(wanting.map(|peer| peer.member.address).chain(neighbors));
        self.duties.extend(addresses.into_iter().map(|address| Duty::BeatTo(address, true)));
    }

    fn remove(&mut self, now: Time, member: MemberId, cause: RemovalCause) {
        let Some(peer) = self.forget(now, member, Some(cause)) else { return };
        self.removed.insert(member, Removed { incarnation: peer.incarnation, cause });
        if REMEMBERED_MAX < self.removed.len() {
            self.removed.pop_first();
        }
        if peer.listed {
            self.changes.push_back(Change::Removed(member, cause));
        }
    }
}

/// How many lives are remembered that were removed, place copies differently or speak other versions.
const REMEMBERED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::{io::CloseCause, wire::Blob};

    pub(super) const ME: MemberId = MemberId(5);
    pub(super) const LOWER: MemberId = MemberId(3);
    pub(super) const HIGHER: MemberId = MemberId(9);

    pub(super) fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    pub(super) fn address(id: MemberId) -> SocketAddr {
        ([127, 0, 0, 1], 4000 + u16::try_from(id.0).expect("it is small")).into()
    }

    pub(super) fn beat(from: MemberId, incarnation: u32, sequence: u64) -> Beat<'static> {
        Beat {
            versions: Versions::up_to(1),
            from,
            incarnation,
            sequence,
            state: MemberState::Ready,
            clock: 0,
            age_millis: 0,
            address: address(from),
            name: "",
            weight: 100,
            host: "",
            zone: "",
            domain: "",
            others: Vec::new(),
            direct: false,
            payload: Blob(b""),
        }
    }

    pub(super) fn membership() -> Membership {
        Membership::new(ME, address(ME), &Config::default(), 1, Time::ZERO)
    }

    pub(super) fn listed(member: MemberId) -> Membership {
        let mut membership = membership();
        assert!(membership.handle_hello(at(0), &beat(member, 0, 1)));
        membership.changes.clear();
        membership
    }

    pub(super) fn changes(membership: &mut Membership) -> Vec<Change> {
        core::iter::from_fn(|| membership.poll_change()).collect()
    }

    pub(super) fn duties(membership: &mut Membership) -> Vec<Duty> {
        core::iter::from_fn(|| membership.poll_duty()).collect()
    }

    /// Runs its timers as they come up.
    pub(super) fn run_to(membership: &mut Membership, end: Time) {
        while let Some(due) = membership.poll_timeout().filter(|due| *due <= end) {
            membership.handle_timeout(due);
        }
    }

    #[test]
    fn an_announcement_alone_lists_nobody_and_is_forgotten() {
        let mut membership = membership();
        membership.handle_beat(at(0), &beat(HIGHER, 0, 1));
        run_to(&mut membership, at(0));
        assert!(duties(&mut membership).contains(&Duty::Dial(HIGHER, address(HIGHER))));
        assert_eq!(changes(&mut membership), []);
        run_to(&mut membership, at(3000));
        assert!(membership.peers.is_empty());
    }

    #[test]
    fn the_lower_id_opens_the_stream_and_the_higher_after_two_beats() {
        let mut membership = membership();
        membership.handle_beat(at(0), &beat(LOWER, 0, 1));
        run_to(&mut membership, at(999));
        assert!(!duties(&mut membership).contains(&Duty::Dial(LOWER, address(LOWER))));
        run_to(&mut membership, at(1000));
        assert!(duties(&mut membership).contains(&Duty::Dial(LOWER, address(LOWER))));
    }

    #[test]
    fn a_silent_member_is_probed_and_then_removed() {
        let mut membership = listed(HIGHER);
        run_to(&mut membership, at(3000));
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Silent)]);
        run_to(&mut membership, at(3999));
        let probes = duties(&mut membership).into_iter().filter(|duty| *duty == Duty::Probe(HIGHER, address(HIGHER)));
        assert_eq!(probes.count(), 3);
        assert_eq!(changes(&mut membership), []);
        run_to(&mut membership, at(4000));
        assert_eq!(changes(&mut membership), [Change::Removed(HIGHER, RemovalCause::Silent)]);
    }

    #[test]
    fn any_answer_clears_a_suspect_and_an_old_beat_does_not() {
        let mut membership = listed(HIGHER);
        run_to(&mut membership, at(3500));
        membership.handle_beat(at(3500), &beat(HIGHER, 0, 1));
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Silent)]);
        membership.handle_life(at(3600), HIGHER);
        assert_eq!(changes(&mut membership), [Change::Cleared(HIGHER)]);
        run_to(&mut membership, at(6599));
        assert_eq!(changes(&mut membership), []);
    }

    #[test]
    fn a_refused_connection_removes_a_suspect_at_once() {
        let mut membership = listed(HIGHER);
        membership.handle_unlinked(at(100), HIGHER, CloseCause::Closed);
        run_to(&mut membership, at(100));
        assert!(duties(&mut membership).contains(&Duty::Dial(HIGHER, address(HIGHER))));
        membership.handle_unlinked(at(101), HIGHER, CloseCause::Refused);
        let expected = [Change::Suspect(HIGHER, RemovalCause::Broken), Change::Removed(HIGHER, RemovalCause::Refused)];
        assert_eq!(changes(&mut membership), expected);
    }

    #[test]
    fn what_a_former_life_at_this_address_has_sent_greets_nobody() {
        let mut membership = membership();
        let late = Beat { address: address(ME), ..beat(HIGHER, 0, 1) };
        membership.handle_beat(at(0), &late);
        run_to(&mut membership, at(2000));
        assert!(!duties(&mut membership).iter().any(|duty| matches!(duty, Duty::Dial(..))));
        assert!(!membership.handle_hello(at(2000), &late));
    }

    /// Who must hold what is seen anew after each change: beats that say nothing new are none.
    #[test]
    fn a_beat_is_a_change_only_if_it_says_something_new() {
        let mut membership = listed(HIGHER);
        let next = |sequence| beat(HIGHER, 0, sequence);
        membership.handle_beat(at(500), &next(2));
        assert_eq!(changes(&mut membership), []);
        membership.handle_beat(at(1000), &Beat { weight: 50, ..next(3) });
        assert_eq!(changes(&mut membership), [Change::State(HIGHER, MemberState::Ready)]);
        membership.handle_leaving(HIGHER);
        assert_eq!(changes(&mut membership), [Change::State(HIGHER, MemberState::Leaving)]);
        membership.handle_leaving(HIGHER);
        membership.handle_beat(at(1500), &Beat { weight: 50, ..next(4) });
        assert_eq!(changes(&mut membership), []);
    }

    #[test]
    fn who_gives_signs_of_life_but_has_no_stream_is_removed_in_the_end() {
        let mut membership = listed(HIGHER);
        membership.handle_unlinked(at(0), HIGHER, CloseCause::Broken);
        for step in 1..=8 {
            run_to(&mut membership, at(step * 500));
            membership.handle_beat(at(step * 500), &beat(HIGHER, 0, step + 1));
        }
        assert!(changes(&mut membership).contains(&Change::Removed(HIGHER, RemovalCause::Broken)));
    }

    #[test]
    fn a_removed_life_comes_back_only_with_a_higher_incarnation() {
        let mut membership = listed(HIGHER);
        run_to(&mut membership, at(4000));
        duties(&mut membership);
        membership.handle_beat(at(4100), &beat(HIGHER, 0, 9));
        assert_eq!(duties(&mut membership), [Duty::Declare(HIGHER, address(HIGHER), 0)]);
        assert!(!membership.handle_hello(at(4200), &beat(HIGHER, 0, 10)));
        assert!(membership.handle_hello(at(4300), &beat(HIGHER, 1, 11)));
    }

    #[test]
    fn a_member_that_left_does_not_come_back_in_that_life() {
        let mut membership = listed(HIGHER);
        membership.handle_bye(at(0), HIGHER);
        assert_eq!(changes(&mut membership), [Change::Removed(HIGHER, RemovalCause::Left)]);
        assert!(!membership.handle_hello(at(1), &beat(HIGHER, 9, 99)));
    }

    #[test]
    fn a_new_life_at_the_same_address_supersedes_the_old_one() {
        let mut membership = listed(HIGHER);
        let life = Beat { address: address(HIGHER), ..beat(MemberId(77), 0, 1) };
        assert!(membership.handle_hello(at(1), &life));
        let expected = Change::Removed(HIGHER, RemovalCause::Superseded);
        assert!(changes(&mut membership).contains(&expected));
    }

    #[test]
    fn who_places_copies_differently_is_told_of_once_and_not_listed() {
        let mut membership = membership();
        membership.handle_beat(at(0), &beat(HIGHER, 0, 1));
        membership.handle_mismatched(&beat(HIGHER, 0, 2));
        membership.handle_mismatched(&beat(HIGHER, 0, 3));
        assert_eq!(changes(&mut membership), [Change::Mismatched(HIGHER, address(HIGHER))]);
        assert_eq!(membership.members(), Vec::<&Member>::new());
        for id in 0..=REMEMBERED_MAX as u64 {
            membership.handle_mismatched(&beat(MemberId(1000 + id), 0, 1));
        }
        assert_eq!(membership.mismatched.len(), REMEMBERED_MAX);
    }

    #[test]
    fn who_was_asleep_doubts_itself_before_others() {
        let mut membership = listed(HIGHER);
        membership.handle_slept(at(60_000), Duration::from_secs(60));
        assert_eq!(changes(&mut membership), []);
        run_to(&mut membership, at(62_999));
        assert_eq!(changes(&mut membership), []);
        run_to(&mut membership, at(63_000));
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Silent)]);
    }

    #[test]
    fn a_suspect_has_a_full_chance_to_answer_who_was_asleep() {
        let mut membership = listed(HIGHER);
        run_to(&mut membership, at(3900));
        duties(&mut membership);
        membership.handle_slept(at(10_000), Duration::from_millis(6100));
        run_to(&mut membership, at(10_999));
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Silent)]);
        let probes = duties(&mut membership).into_iter().filter(|duty| *duty == Duty::Probe(HIGHER, address(HIGHER)));
        assert_eq!(probes.count(), 3);
        run_to(&mut membership, at(11_000));
        assert_eq!(changes(&mut membership), [Change::Removed(HIGHER, RemovalCause::Silent)]);
    }

    /// P9: of each three seconds it is run for one.
    #[test]
    fn who_is_run_late_all_the_time_finds_the_dead() {
        let mut membership = listed(HIGHER);
        for round in 0..6 {
            run_to(&mut membership, at(round * 3000 + 1000));
            membership.handle_slept(at(round * 3000 + 3000), Duration::from_millis(2000));
        }
        assert!(changes(&mut membership).contains(&Change::Removed(HIGHER, RemovalCause::Silent)));
    }

    /// The stream broke at an unknown time: who was asleep looks for the other anew, and doubts it when it stays silent.
    #[test]
    fn a_stream_that_broke_while_this_node_slept_is_opened_again_without_a_suspicion() {
        let mut membership = listed(HIGHER);
        membership.handle_slept(at(60_000), Duration::from_secs(60));
        membership.handle_unlinked_asleep(at(60_000), HIGHER);
        run_to(&mut membership, at(62_999));
        assert!(duties(&mut membership).contains(&Duty::Dial(HIGHER, address(HIGHER))));
        assert_eq!(changes(&mut membership), []);
        run_to(&mut membership, at(63_000));
        assert_eq!(changes(&mut membership), [Change::Suspect(HIGHER, RemovalCause::Silent)]);
    }

    #[test]
    fn the_oldest_ready_member_is_first_in_the_view() {
        let mut membership = listed(HIGHER);
        membership.handle_hello(at(10_000), &Beat { age_millis: 5_000, ..beat(LOWER, 0, 1) });
        let joining = Beat { age_millis: 90_000, state: MemberState::Joining, ..beat(MemberId(1), 0, 1) };
        membership.handle_hello(at(10_000), &joining);
        let order: Vec<_> = membership.members().into_iter().map(|member| member.id).collect();
        assert_eq!(order, [HIGHER, LOWER, MemberId(1)]);
    }
}
