//! Two or three members over a network that loses nothing: the least that must work.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use heirloom_core::{
    CommitId, Config, Copies, Delta, Demand, Durability, Event, FrameError, MemberId, MemberState, Node, Outcome,
    ReadyCause, Receipt, SessionKey, StreamId, Time, Transmit,
};

const KEY: SessionKey = SessionKey([7; 16]);

#[test]
fn a_second_member_receives_the_state_before_it_is_ready_and_keeps_it_when_the_first_dies() {
    let mut net = Net::new(2);
    net.start(0);
    net.run(Duration::from_secs(4));
    assert_eq!(net.nodes[0].state(), MemberState::Ready);
    let login = Delta::new().set("user", "alice");
    let local = net.commit(0, login, Durability::Local);
    let done = Outcome::Durable(Receipt::default());
    assert_eq!(net.nodes[0].poll_outcome(), Some((local, done)));
    net.start(1);
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].state(), MemberState::Ready);
    assert!(net.events(1).contains(&Event::Ready(ReadyCause::Joined)));
    assert_eq!(net.user(1), Some("alice".into()));

    let id = net.commit(0, Delta::new().set("user", "bob"), Durability::One);
    net.run(Duration::from_millis(10));
    let outcome = net.nodes[0].poll_outcome();
    assert!(
        matches!(outcome, Some((done, Outcome::Durable(receipt))) if done == id && receipt.members == [MemberId(2)])
    );
    assert_eq!(net.user(1), Some("bob".into()));

    net.kill(0);
    net.run(Duration::from_millis(50));
    assert_eq!(net.nodes[1].members().count(), 0);
    net.commit(1, Delta::new().set("user", "carol"), Durability::Local);
    assert_eq!(net.user(1), Some("carol".into()));
    assert_eq!(net.nodes[1].stats().takeovers + net.nodes[1].stats().adoptions, 1);
}

#[test]
fn an_end_reaches_the_other_member_and_an_idle_session_expires_on_both() {
    let mut net = Net::new(2);
    net.start(0);
    net.start(1);
    net.run(Duration::from_secs(6));
    net.commit(0, Delta::new().set("user", "alice"), Durability::All);
    net.run(Duration::from_millis(10));
    assert_eq!(net.user(1), Some("alice".into()));
    net.commit(1, Delta::end(), Durability::All);
    net.run(Duration::from_millis(10));
    assert_eq!(net.user(0), None);
    net.commit(0, Delta::new().set("user", "again"), Durability::All);
    net.run(Duration::from_millis(10));
    assert_eq!(net.user(1), Some("again".into()));
    net.run(Duration::from_secs(12));
    assert_eq!((net.user(0), net.user(1)), (None, None));
    net.run(Duration::from_secs(62));
    assert_eq!(net.nodes.iter().map(|node| node.records().count()).sum::<usize>(), 0);
}

#[test]
fn members_that_place_copies_differently_stay_apart_and_each_is_told_once() {
    let mut net = Net::with([Copies::Everywhere, Copies::Backups(1)]);
    net.start(0);
    net.start(1);
    net.run(Duration::from_secs(20));
    for (n, other) in [(0, 1), (1, 0)] {
        assert_eq!(net.nodes[n].state(), MemberState::Ready);
        assert_eq!(net.nodes[n].members().count(), 0);
        assert!(0 < net.nodes[n].stats().frames_refused);
        let told = net.events(n).into_iter().filter(|event| matches!(event, Event::Mismatched(..)));
        assert_eq!(told.collect::<Vec<_>>(), [Event::Mismatched(net.nodes[other].id(), address(other))]);
    }
}

#[test]
fn a_member_says_how_much_it_holds_and_where_it_runs() {
    let mut net = Net::new(2);
    net.start(0);
    net.start(1);
    net.run(Duration::from_secs(2));
    let told: Vec<_> = net.nodes[0].members().map(|member| (member.weight, &*member.host, &*member.zone)).collect();
    assert_eq!(told, [(200, "host 1", "zone 1")]);
}

/// The kernel of a hung member accepts everything, and its node answers nothing.
#[test]
fn a_hung_member_costs_a_commit_its_deadline_or_the_time_until_it_is_out_of_the_view() {
    let mut net = Net::new(3);
    (0..3).for_each(|n| net.start(n));
    net.run(Duration::from_secs(6));
    let [second, third] = [MemberId(2), MemberId(3)];
    net.hang(1);
    let began = net.now;
    let late = net.commit(0, Delta::new().set("user", "alice"), Durability::All.within(Duration::from_millis(500)));
    let patient = net.commit(0, Delta::new().set("user", "bob"), Durability::All);
    let most = net.commit(0, Delta::new().set("user", "carol"), Durability::Majority);
    let outcomes = net.outcomes(0, Duration::from_secs(6));
    let [(first_at, first), (second_at, second_one), (third_at, third_one)] = &outcomes[..] else {
        panic!("each commit has one outcome: {outcomes:?}")
    };
    let receipt = |missing: &[MemberId]| Receipt { members: vec![third], missing: missing.to_vec() };
    assert_eq!(*first, (most, Outcome::Durable(receipt(&[second]))));
    assert!(first_at.since(began) <= Duration::from_millis(10), "{first_at}");
    let short = Outcome::NotDurable { have: vec![third], missing: vec![second], want: 2, late: true };
    assert_eq!(*second_one, (late, short));
    assert_eq!(second_at.since(began), Duration::from_millis(500));
    assert_eq!(*third_one, (patient, Outcome::Durable(receipt(&[]))));
    let config = Config::default();
    let bound = config.drop_time + config.probe_time + config.frequency;
    assert!(third_at.since(began) <= bound, "{third_at}");
    assert_eq!(net.nodes[0].members().count(), 1);
}

#[test]
fn a_commit_that_only_a_hung_member_could_make_durable_ends_when_that_one_is_out_of_the_view() {
    let mut net = Net::new(2);
    (0..2).for_each(|n| net.start(n));
    net.run(Duration::from_secs(6));
    net.hang(1);
    let ids = [Durability::One, Durability::All, Durability::Majority, Durability::Copies(1)]
        .map(|durability| net.commit(0, Delta::new().set("user", "alice"), durability));
    let outcomes = net.outcomes(0, Duration::from_secs(6));
    let short = Outcome::NotDurable { have: vec![], missing: vec![], want: 1, late: false };
    let told: Vec<_> = outcomes.into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, ids.map(|id| (id, short.clone())));
}

struct Net {
    now: Time,
    nodes: Vec<Node>,
    up: Vec<bool>,
    /// What comes is taken by the kernel and read by nobody.
    hung: Vec<bool>,
    /// Both ends of each stream.
    streams: Vec<[(usize, StreamId); 2]>,
}

impl Net {
    fn new(count: usize) -> Self {
        Self::with(vec![Copies::Everywhere; count])
    }

    fn with(settings: impl IntoIterator<Item = Copies>) -> Self {
        let nodes = settings.into_iter().zip(1_u16..).map(|(copies, n)| {
            let (host, zone) = (format!("host {}", n - 1), format!("zone {}", n - 1));
            let (idle, ended_for) = (Duration::from_secs(10), Duration::from_secs(60));
            let config = Config { copies, weight: n * 100, host, zone, idle, ended_for, ..Config::default() };
            let address = address(usize::from(n) - 1);
            Node::new(MemberId(n.into()), address, config, n.into(), Time::ZERO).expect("the config is valid")
        });
        let nodes: Vec<_> = nodes.collect();
        let none = vec![false; nodes.len()];
        Self { now: Time::ZERO, up: none.clone(), hung: none, nodes, streams: Vec::new() }
    }

    fn start(&mut self, n: usize) {
        self.up[n] = true;
    }

    fn hang(&mut self, n: usize) {
        self.hung[n] = true;
    }

    fn kill(&mut self, n: usize) {
        self.up[n] = false;
        let (dead, alive) =
            std::mem::take(&mut self.streams).into_iter().partition(|ends| ends.iter().any(|end| end.0 == n));
        self.streams = alive;
        let dead: Vec<[(usize, StreamId); 2]> = dead;
        for (other, stream) in dead.into_iter().flatten().filter(|end| end.0 != n) {
            self.nodes[other].handle_closed(self.now, stream, heirloom_core::CloseCause::Closed);
        }
    }

    fn commit(&mut self, n: usize, delta: Delta, demand: impl Into<Demand>) -> CommitId {
        self.nodes[n].commit(self.now, KEY, delta, demand).expect("the node is ready")
    }

    fn user(&self, n: usize) -> Option<String> {
        let session = self.nodes[n].session(&KEY)?;
        Some(String::from_utf8_lossy(session.attribute(b"user")?).into_owned())
    }

    fn events(&mut self, n: usize) -> Vec<Event> {
        std::iter::from_fn(|| self.nodes[n].poll_event()).collect()
    }

    /// What came of the commits of a member, and when.
    fn outcomes(&mut self, n: usize, length: Duration) -> Vec<(Time, (CommitId, Outcome))> {
        let end = self.now + length;
        let mut outcomes = Vec::new();
        while self.now < end {
            let at = self.now;
            self.run(Duration::from_millis(1));
            outcomes.extend(std::iter::from_fn(|| self.nodes[n].poll_outcome()).map(|outcome| (at, outcome)));
        }
        outcomes
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            for n in 0..self.nodes.len() {
                if self.up[n] && !self.hung[n] {
                    self.turn(n);
                }
            }
            self.now = self.now + Duration::from_millis(1);
        }
    }

    fn turn(&mut self, n: usize) {
        let now = self.now;
        if self.nodes[n].poll_timeout().is_some_and(|at| at <= now) {
            self.nodes[n].handle_timeout(now);
        }
        let mut out: VecDeque<_> = std::iter::from_fn(|| self.nodes[n].poll_transmit(now)).collect();
        while let Some(transmit) = out.pop_front() {
            self.carry(n, transmit);
        }
        self.nodes[n].check();
    }

    fn carry(&mut self, n: usize, transmit: Transmit) {
        let now = self.now;
        match transmit {
            Transmit::Datagram { to, bytes } => {
                if let Some(other) = self.at(to).filter(|other| !self.hung[*other]) {
                    self.nodes[other].handle_datagram(now, address(n), &bytes).expect("it is valid");
                }
            }
            Transmit::Multicast { bytes } => {
                for other in
                    (0..self.nodes.len()).filter(|other| self.up[*other] && !self.hung[*other]).collect::<Vec<_>>()
                {
                    self.nodes[other].handle_datagram(now, address(n), &bytes).expect("it is valid");
                }
            }
            Transmit::Open { stream, to } => match self.at(to) {
                Some(other) if self.hung[other] => self.nodes[n].handle_opened(now, stream),
                Some(other) => {
                    let accepted = self.nodes[other].handle_accepted(now, address(n));
                    self.streams.push([(n, stream), (other, accepted)]);
                    self.nodes[n].handle_opened(now, stream);
                }
                None => self.nodes[n].handle_closed(now, stream, heirloom_core::CloseCause::Refused),
            },
            Transmit::Write { stream, bytes } => {
                if let Some((other, theirs)) = self.other_end(n, stream).filter(|end| !self.hung[end.0]) {
                    let taken = self.nodes[other].handle_stream(now, theirs, &bytes);
                    assert!(matches!(taken, Ok(()) | Err(FrameError::Copies)), "{taken:?}");
                }
            }
            Transmit::Close { stream } => {
                let other = self.other_end(n, stream);
                self.streams.retain(|ends| !ends.contains(&(n, stream)));
                if let Some((other, theirs)) = other.filter(|end| !self.hung[end.0]) {
                    self.nodes[other].handle_closed(now, theirs, heirloom_core::CloseCause::Closed);
                }
            }
        }
    }

    fn at(&self, to: SocketAddr) -> Option<usize> {
        (0..self.nodes.len()).find(|n| self.up[*n] && address(*n) == to)
    }

    fn other_end(&self, n: usize, stream: StreamId) -> Option<(usize, StreamId)> {
        let ends = self.streams.iter().find(|ends| ends.contains(&(n, stream)))?;
        ends.iter().find(|end| **end != (n, stream)).copied()
    }
}

fn address(n: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 4000 + u16::try_from(n).expect("few nodes")).into()
}
