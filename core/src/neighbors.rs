//! Members of other domains on the same network: they are seen, and nothing else.
//!
//! A neighbor announces itself by its beats and is listed once its node has answered a probe, by datagram: no stream is
//! kept to it. Nothing of this domain goes to it or waits for it, so it is judged slowly, by its beats and probes alone.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use crate::{
    member::{Member, MemberId, RemovalCause},
    time::Time,
    wire::Beat,
};

#[derive(Clone, Debug)]
pub(crate) struct Neighbors {
    frequency: Duration,
    drop_time: Duration,
    max: usize,
    known: BTreeMap<MemberId, Neighbor>,
    changes: VecDeque<NeighborChange>,
}

#[derive(Clone, Debug)]
struct Neighbor {
    member: Member,
    incarnation: u32,
    sequence: u64,
    /// Its node has answered; before that it is only known by its beats.
    listed: bool,
    heard: Time,
    /// When to ask it whether it is there; never if that is known.
    probe_at: Option<Time>,
    /// It wants beats at its address until then.
    direct_until: Time,
    /// When it gets the next one.
    beat_at: Time,
}

/// A neighbor came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NeighborChange {
    Added(MemberId),
    Removed(MemberId, RemovalCause),
}

impl Neighbors {
    /// A neighbor that was silent for `drop_time` is asked, and removed when it does not answer for as long again.
    pub(crate) fn new(frequency: Duration, drop_time: Duration, max: usize) -> Self {
        Self { frequency, drop_time, max, known: BTreeMap::new(), changes: VecDeque::new() }
    }

    /// A sign of life of a member of another domain. `true` if it was not known.
    pub(crate) fn handle_beat(&mut self, now: Time, beat: &Beat<'_>) -> bool {
        let news = !self.known.contains_key(&beat.from);
        if news && self.max <= self.known.len() {
            return false;
        }
        let until = now + self.drop_time;
        let neighbor = self.known.entry(beat.from).or_insert_with(|| Neighbor {
            member: Member::announced(beat),
            incarnation: 0,
            sequence: 0,
            listed: false,
            heard: now,
            probe_at: Some(now),
            direct_until: now,
            beat_at: now,
        });
        if !news && (beat.incarnation, beat.sequence) <= (neighbor.incarnation, neighbor.sequence) {
            return false;
        }
        (neighbor.incarnation, neighbor.sequence) = (beat.incarnation, beat.sequence);
        neighbor.member.take(beat);
        if beat.direct {
            neighbor.direct_until = until;
        }
        neighbor.handle_life(now);
        news
    }

    /// A neighbor has answered a probe: its node is there.
    pub(crate) fn handle_answer(&mut self, now: Time, member: MemberId) {
        let Some(neighbor) = self.known.get_mut(&member) else { return };
        neighbor.handle_life(now);
        if !core::mem::replace(&mut neighbor.listed, true) {
            neighbor.probe_at = None;
            let address = neighbor.member.address;
            self.changes.push_back(NeighborChange::Added(member));
            let former = |(id, other): (&MemberId, &Neighbor)| {
                (other.listed && other.member.address == address && *id != member).then_some(*id)
            };
            let former: Vec<_> = self.known.iter().filter_map(former).collect();
            former.into_iter().for_each(|former| self.remove(former, RemovalCause::Superseded));
        }
    }

    /// A datagram could not be sent there.
    pub(crate) fn handle_send_failed(&mut self, now: Time, to: SocketAddr) {
        let at = |neighbor: &&mut Neighbor| neighbor.listed && neighbor.member.address == to;
        if let Some(neighbor) = self.known.values_mut().find(at).filter(|neighbor| !neighbor.member.suspect) {
            neighbor.suspect(now);
        }
    }

    /// A neighbor says that it has left. Tells where it was.
    pub(crate) fn handle_bye(&mut self, member: MemberId) -> Option<SocketAddr> {
        let address = self.known.get(&member).map(|neighbor| neighbor.member.address);
        self.remove(member, RemovalCause::Left);
        address
    }

    /// This node was run that late: it heard nobody meanwhile.
    pub(crate) fn handle_slept(&mut self, now: Time, late: Duration) {
        self.known.values_mut().for_each(|neighbor| neighbor.heard = (neighbor.heard + late).min(now));
    }

    /// Asks who is to be asked and removes who does not answer. `probe` is told of each that is to be asked, `gone` of each
    /// address at which nobody is any more.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Time,
        mut probe: impl FnMut(MemberId, SocketAddr),
    ) -> Vec<(SocketAddr, RemovalCause)> {
        let mut over = Vec::new();
        for (id, neighbor) in &mut self.known {
            let patience = if neighbor.listed { self.drop_time * 2 } else { self.drop_time };
            if neighbor.heard + patience <= now {
                over.push((*id, neighbor.member.address));
                continue;
            }
            if neighbor.listed && neighbor.probe_at.is_none() && neighbor.heard + self.drop_time <= now {
                neighbor.suspect(now);
            }
            if neighbor.probe_at.is_some_and(|at| at <= now) {
                neighbor.probe_at = Some(now + self.frequency);
                probe(*id, neighbor.member.address);
            }
        }
        over.iter().for_each(|(member, _)| self.remove(*member, RemovalCause::Silent));
        over.into_iter().map(|(_, address)| (address, RemovalCause::Silent)).collect()
    }

    pub(crate) fn poll_change(&mut self) -> Option<NeighborChange> {
        self.changes.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let due = |neighbor: &Neighbor| {
            let patience = if neighbor.listed && neighbor.probe_at.is_some() { 2 } else { 1 };
            let silent = neighbor.heard + self.drop_time * patience;
            neighbor.probe_at.map_or(silent, |at| at.min(silent))
        };
        self.known.values().map(due).min()
    }

    /// The addresses that get a beat in this round: of those that want them, or of all.
    pub(crate) fn beaten(&mut self, now: Time, all: bool) -> Vec<SocketAddr> {
        let every = self.frequency.max(self.drop_time / BEATS_IN_DROP_TIME);
        let wanting = |neighbor: &&mut Neighbor| (all || now < neighbor.direct_until) && neighbor.beat_at <= now;
        let beaten = self.known.values_mut().filter(wanting).map(|neighbor| {
            neighbor.beat_at = now + every;
            neighbor.member.address
        });
        beaten.collect()
    }

    /// Who is listed, domain by domain.
    pub(crate) fn listed(&self) -> Vec<&Member> {
        let listed = self.known.values().filter(|neighbor| neighbor.listed).map(|neighbor| &neighbor.member);
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by(|one, other| (&one.domain, one.id).cmp(&(&other.domain, other.id)));
        listed
    }

    /// All addresses at which one is known.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.known.values().map(|neighbor| neighbor.member.address)
    }

    /// A member has turned out to be of this domain, or has another life here.
    pub(crate) fn forget(&mut self, member: MemberId) {
        self.remove(member, RemovalCause::Superseded);
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.changes.clear();
    }

    fn remove(&mut self, member: MemberId, cause: RemovalCause) {
        if self.known.remove(&member).is_some_and(|neighbor| neighbor.listed) {
            self.changes.push_back(NeighborChange::Removed(member, cause));
        }
    }
}

impl Neighbor {
    fn handle_life(&mut self, now: Time) {
        self.heard = now;
        if self.listed {
            self.probe_at = None;
            self.member.suspect = false;
        }
    }

    fn suspect(&mut self, now: Time) {
        self.member.suspect = true;
        self.probe_at = Some(now);
    }
}

/// How many beats a neighbor without the group gets while it waits for one.
const BEATS_IN_DROP_TIME: u32 = 3;

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::{member::MemberState, protocol::Versions, wire::Blob};

    const ONE: MemberId = MemberId(3);
    const OTHER: MemberId = MemberId(4);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn address(id: MemberId) -> SocketAddr {
        ([127, 0, 0, 1], 4000 + u16::try_from(id.0).expect("it is small")).into()
    }

    fn beat(from: MemberId, sequence: u64) -> Beat<'static> {
        Beat {
            versions: Versions::up_to(1),
            from,
            incarnation: 0,
            sequence,
            state: MemberState::Ready,
            clock: 0,
            age_millis: 0,
            address: address(from),
            name: "there",
            weight: 100,
            host: "",
            zone: "",
            domain: "other",
            others: Vec::new(),
            direct: false,
            payload: Blob(b""),
        }
    }

    fn neighbors() -> Neighbors {
        Neighbors::new(Duration::from_millis(500), Duration::from_secs(3), 2)
    }

    fn listed(member: MemberId) -> Neighbors {
        let mut neighbors = neighbors();
        assert!(neighbors.handle_beat(at(0), &beat(member, 1)));
        run_to(&mut neighbors, at(0));
        neighbors.handle_answer(at(0), member);
        assert_eq!(neighbors.poll_change(), Some(NeighborChange::Added(member)));
        neighbors
    }

    /// Whom it asks, and when.
    fn run_to(neighbors: &mut Neighbors, end: Time) -> Vec<Time> {
        let mut asked = Vec::new();
        while let Some(due) = neighbors.poll_timeout().filter(|due| *due <= end) {
            neighbors.handle_timeout(due, |_, _| asked.push(due));
            assert!(neighbors.poll_timeout().is_none_or(|next| due < next), "what was due is done");
        }
        asked
    }

    #[test]
    fn who_announces_itself_is_asked_and_listed_when_it_answers() {
        let mut neighbors = neighbors();
        assert!(neighbors.handle_beat(at(0), &beat(ONE, 1)));
        assert_eq!(run_to(&mut neighbors, at(0)), [at(0)]);
        assert!(neighbors.listed().is_empty());
        neighbors.handle_answer(at(10), ONE);
        assert_eq!(neighbors.poll_change(), Some(NeighborChange::Added(ONE)));
        let listed: Vec<_> = neighbors.listed().into_iter().map(|member| (&member.name, &member.domain)).collect();
        assert_eq!(listed, [(&String::from("there"), &String::from("other"))]);
        assert_eq!(run_to(&mut neighbors, at(3000)), []);
    }

    #[test]
    fn who_never_answers_is_asked_now_and_then_and_forgotten() {
        let mut neighbors = neighbors();
        neighbors.handle_beat(at(0), &beat(ONE, 1));
        assert_eq!(run_to(&mut neighbors, at(10_000)).len(), 6);
        assert_eq!((neighbors.poll_change(), neighbors.known.len()), (None, 0));
    }

    #[test]
    fn a_silent_one_is_asked_for_as_long_again_and_removed() {
        let mut neighbors = listed(ONE);
        assert_eq!(run_to(&mut neighbors, at(2999)), []);
        assert_eq!(run_to(&mut neighbors, at(5999)).len(), 6);
        assert!(neighbors.listed()[0].suspect);
        assert_eq!(neighbors.poll_change(), None);
        run_to(&mut neighbors, at(6000));
        assert_eq!(neighbors.poll_change(), Some(NeighborChange::Removed(ONE, RemovalCause::Silent)));
    }

    #[test]
    fn an_answer_and_a_new_beat_are_signs_of_life_and_an_old_beat_is_none() {
        for answer in [true, false] {
            let mut neighbors = listed(ONE);
            run_to(&mut neighbors, at(5000));
            if answer {
                neighbors.handle_answer(at(5000), ONE);
            } else {
                neighbors.handle_beat(at(5000), &beat(ONE, 2));
            }
            assert!(!neighbors.listed()[0].suspect);
            run_to(&mut neighbors, at(8000));
            neighbors.handle_beat(at(8000), &beat(ONE, 1));
            assert!(neighbors.listed()[0].suspect);
        }
    }

    #[test]
    fn a_send_that_fails_and_a_farewell_are_taken_at_their_word() {
        let mut neighbors = listed(ONE);
        neighbors.handle_send_failed(at(100), address(ONE));
        assert_eq!(run_to(&mut neighbors, at(100)), [at(100)]);
        assert_eq!(neighbors.handle_bye(ONE), Some(address(ONE)));
        assert_eq!(neighbors.poll_change(), Some(NeighborChange::Removed(ONE, RemovalCause::Left)));
        assert_eq!((neighbors.handle_bye(ONE), neighbors.poll_change()), (None, None));
    }

    #[test]
    fn another_life_at_an_address_supersedes_the_one_before() {
        let mut neighbors = listed(ONE);
        neighbors.handle_beat(at(1), &Beat { address: address(ONE), ..beat(OTHER, 1) });
        neighbors.handle_answer(at(1), OTHER);
        assert_eq!(neighbors.poll_change(), Some(NeighborChange::Added(OTHER)));
        assert_eq!(neighbors.poll_change(), Some(NeighborChange::Removed(ONE, RemovalCause::Superseded)));
    }

    #[test]
    fn they_are_bounded_and_who_slept_removes_nobody() {
        let mut neighbors = listed(ONE);
        assert!(neighbors.handle_beat(at(0), &beat(OTHER, 1)));
        assert!(!neighbors.handle_beat(at(0), &beat(MemberId(5), 1)));
        neighbors.handle_slept(at(60_000), Duration::from_secs(60));
        neighbors.handle_timeout(at(60_000), |_, _| ());
        assert_eq!(neighbors.poll_change(), None);
        assert_eq!(neighbors.known.len(), 2);
    }

    #[test]
    fn without_a_group_they_get_a_beat_three_times_in_the_drop_time() {
        let mut neighbors = listed(ONE);
        let rounds = (0..12).map(|round| neighbors.beaten(at(round * 500), true).len());
        assert_eq!(rounds.sum::<usize>(), 6);
        assert!(neighbors.beaten(at(7000), false).is_empty(), "they hear the group");
        neighbors.handle_beat(at(7000), &Beat { direct: true, ..beat(ONE, 2) });
        assert_eq!(neighbors.beaten(at(7000), false), [address(ONE)]);
    }
}
