//! Members of a cluster in one process, over a network in memory that loses nothing and takes no time.
//!
//! Everything that is measured over it depends on the code and the settings alone: two runs give the same counts. Ids of
//! members and readings of the wall clock are as long as real ones, so that frames are as well.

mod changes;
pub mod micro;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    ops::{AddAssign, Sub},
    time::Duration,
};

use bytes::Bytes;
use heirloom_core::{
    AtRisk, CloseCause, Config, Copies, Delta, Durability, Event, FrameError, KeyMaker, MemberId, MemberState, Node,
    SessionKey, StreamId, Time, Transmit, Wall,
};

/// What has been sent: over streams, and as datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes, the lengths before the frames included.
    pub bytes: u64,
    /// Writes: a driver makes a system call of each.
    pub writes: u64,
    /// Frames that bring sessions or ask for them.
    pub feeds: u64,
    /// Frames that acknowledge.
    pub acks: u64,
    /// Datagrams; one to the group is one, however many hear it.
    pub datagrams: u64,
    /// Their bytes, without the headers of the network.
    pub datagram_bytes: u64,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.writes += other.writes;
        self.feeds += other.feeds;
        self.acks += other.acks;
        self.datagrams += other.datagrams;
        self.datagram_bytes += other.datagram_bytes;
    }
}

impl Sub for Sent {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            bytes: self.bytes - other.bytes,
            writes: self.writes - other.writes,
            feeds: self.feeds - other.feeds,
            acks: self.acks - other.acks,
            datagrams: self.datagrams - other.datagrams,
            datagram_bytes: self.datagram_bytes - other.datagram_bytes,
        }
    }
}

impl Sent {
    fn count(&mut self, mut frames: &[u8]) {
        *self += Self { bytes: frames.len() as u64, writes: 1, ..Self::default() };
        while let Some((length, rest)) = frames.split_first_chunk() {
            match rest.get(1) {
                Some(17) => self.feeds += 1,
                Some(18) => self.acks += 1,
                Some(_) | None => {}
            }
            frames = rest.get(u32::from_le_bytes(*length) as usize..).unwrap_or_default();
        }
    }
}

/// One end of a stream: whose, and how that one calls it.
pub type End = (usize, StreamId);

/// The members and what is between them.
#[derive(Debug, Default)]
pub struct Net {
    now: Time,
    /// Those that are dead leave a gap.
    nodes: Vec<Option<Node>>,
    sent: Vec<Sent>,
    other_ends: BTreeMap<End, End>,
    /// Whom the rest cannot reach, and the other way round.
    apart: BTreeSet<usize>,
    /// What members have handed over and nobody has carried yet.
    late: Vec<(usize, Transmit)>,
    /// What was at risk when a member had left.
    left: BTreeMap<usize, AtRisk>,
}

impl Net {
    /// So many members that are ready and have nothing more to do.
    pub fn ready(count: usize, copies: Copies) -> Self {
        let mut net = Self::default();
        (0..count).for_each(|_| net.start(copies));
        net.run_until_settled(SETTLES_IN);
        assert!(net.living().all(|n| net.node(n).members().count() + 1 == count), "everybody is in the view");
        net
    }

    /// Starts another member.
    pub fn start(&mut self, copies: Copies) {
        let n = self.nodes.len();
        let hash = KeyMaker::new("members").key(0, &n.to_le_bytes()).0;
        let (id, seed) = hash.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let config = Config { copies, ..Config::default() };
        let node = Node::new(MemberId(number(id)), address(n), config, number(seed), self.now);
        let mut node = node.expect("the config is valid");
        node.handle_wall(self.now, Wall(WALL + u64::try_from(self.now.since(Time::ZERO).as_micros()).unwrap_or(0)));
        self.nodes.push(Some(node));
        self.sent.push(Sent::default());
    }

    /// Kills a member: its kernel closes its streams, and refuses new ones.
    pub fn kill(&mut self, n: usize) {
        self.nodes[n] = None;
        let dead: Vec<_> = self.other_ends.keys().copied().filter(|end| end.0 == n).collect();
        for end in dead {
            let Some((other, stream)) = self.other_ends.remove(&end) else { continue };
            self.other_ends.remove(&(other, stream));
            let now = self.now;
            self.node_mut(other).handle_closed(now, stream, CloseCause::Closed);
        }
    }

    /// The time here.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A member.
    ///
    /// # Panics
    ///
    /// It is dead.
    pub fn node(&self, n: usize) -> &Node {
        self.nodes[n].as_ref().expect("it lives")
    }

    /// A member.
    ///
    /// # Panics
    ///
    /// It is dead.
    pub fn node_mut(&mut self, n: usize) -> &mut Node {
        self.nodes[n].as_mut().expect("it lives")
    }

    /// Takes a member out, without a word to the others.
    pub fn take(&mut self, n: usize) -> Option<Node> {
        self.nodes[n].take()
    }

    /// Those that live.
    pub fn living(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_some()).map(|(n, _)| n)
    }

    /// What a member has written to its streams so far.
    pub fn sent_by(&self, n: usize) -> Sent {
        self.sent[n]
    }

    /// What all have written to their streams so far.
    pub fn sent(&self) -> Sent {
        let mut sum = Sent::default();
        self.sent.iter().for_each(|sent| sum += *sent);
        sum
    }

    /// Which members must hold a session, in the view of the first that lives.
    pub fn holders(&self, key: &SessionKey) -> BTreeSet<usize> {
        let holders = self.living().next().map(|n| self.node(n).holders(key)).unwrap_or_default();
        self.living().filter(|n| holders.contains(&self.node(*n).id())).collect()
    }

    /// The sessions that a member holds.
    pub fn held(&self, n: usize) -> BTreeSet<SessionKey> {
        self.node(n).records().map(|(key, _)| *key).collect()
    }

    /// A write of one attribute, which waits for all that must hold a copy.
    pub fn commit(&mut self, n: usize, key: SessionKey, value: Bytes) {
        let now = self.now;
        self.node_mut(n).commit(now, key, attribute(value), Durability::All).expect("the node serves");
    }

    /// Writes an attribute of so many bytes into each session, on the member that is picked for it.
    pub fn load(&mut self, keys: &[SessionKey], length: usize, pick: impl Fn(&Self, usize, &SessionKey) -> usize) {
        for (at, key) in keys.iter().enumerate() {
            self.commit(pick(self, at, key), *key, value(at, length));
            if at % 64 == 63 {
                self.run(Duration::from_millis(1));
            }
        }
        self.run_until_settled(SETTLES_IN);
    }

    /// Carries what is to be sent until there is nothing more.
    pub fn pump(&mut self) {
        for (n, transmit) in std::mem::take(&mut self.late) {
            self.carry(n, transmit);
        }
        let mut quiet = false;
        while !quiet {
            quiet = true;
            for n in 0..self.nodes.len() {
                while let Some(transmit) = self.poll(n) {
                    quiet = false;
                    self.carry(n, transmit);
                }
            }
        }
        self.read();
    }

    /// Lets time pass.
    pub fn run(&mut self, length: Duration) {
        let end = self.now + length;
        self.pump();
        while let Some(at) = self.next_timeout().filter(|at| *at <= end) {
            self.pass(at);
        }
        self.now = end;
    }

    /// Lets time pass until every member is ready, settled and has nothing to tell another; returns how long that took.
    ///
    /// # Panics
    ///
    /// It takes longer than `at_most`.
    pub fn run_until_settled(&mut self, at_most: Duration) -> Duration {
        let began = self.now;
        self.pump();
        while !self.is_settled() {
            assert!(self.now.since(began) < at_most, "the members settle in {at_most:?}");
            let at = self.next_timeout().expect("a member has beats to send");
            self.pass(at);
        }
        self.now.since(began)
    }

    /// The other end of a stream.
    pub fn other_end(&self, n: usize, stream: StreamId) -> Option<End> {
        self.other_ends.get(&(n, stream)).copied()
    }

    /// The next thing that a member wants to be done.
    pub fn poll(&mut self, n: usize) -> Option<Transmit> {
        let now = self.now;
        self.nodes[n].as_mut()?.poll_transmit(now)
    }

    /// Does it.
    pub fn carry(&mut self, n: usize, transmit: Transmit) {
        let now = self.now;
        if let Transmit::Datagram { bytes, .. } | Transmit::Multicast { bytes } = &transmit {
            self.sent[n] += Sent { datagrams: 1, datagram_bytes: bytes.len() as u64, ..Sent::default() };
        }
        match transmit {
            Transmit::Datagram { to, bytes } => {
                if let Some(other) = self.at(to).filter(|other| !self.is_cut(n, *other)) {
                    self.node_mut(other).handle_datagram(now, address(n), &bytes).expect("it is valid");
                }
            }
            Transmit::Multicast { bytes } => {
                for other in 0..self.nodes.len() {
                    if !self.is_cut(n, other)
                        && let Some(node) = &mut self.nodes[other]
                    {
                        node.handle_datagram(now, address(n), &bytes).expect("it is valid");
                    }
                }
            }
            Transmit::Open { stream, to } => match self.at(to) {
                // No answer comes.
                Some(other) if self.is_cut(n, other) => {}
                Some(other) => {
                    let accepted = self.node_mut(other).handle_accepted(now, address(n));
                    self.other_ends.insert((n, stream), (other, accepted));
                    self.other_ends.insert((other, accepted), (n, stream));
                    self.node_mut(n).handle_opened(now, stream);
                }
                None => self.node_mut(n).handle_closed(now, stream, CloseCause::Refused),
            },
            Transmit::Write { stream, bytes } => {
                self.sent[n].count(&bytes);
                if let Some((other, theirs)) = self.other_end(n, stream).filter(|(other, _)| !self.is_cut(n, *other)) {
                    match self.node_mut(other).handle_stream(now, theirs, &bytes) {
                        // It is closing the stream, and the other does not know that yet.
                        Ok(()) | Err(FrameError::NoStream) => {}
                        Err(error) => panic!("it is valid: {error}"),
                    }
                }
            }
            Transmit::Close { stream } => {
                if let Some((other, theirs)) = self.other_ends.remove(&(n, stream)) {
                    self.other_ends.remove(&(other, theirs));
                    self.node_mut(other).handle_closed(now, theirs, CloseCause::Closed);
                }
            }
        }
    }

    /// Reads all that members have to tell their applications.
    fn read(&mut self) {
        let all = self.nodes.iter_mut().enumerate();
        for (n, node) in all.filter_map(|(n, node)| Some((n, node.as_mut()?))) {
            while node.poll_outcome().is_some() {}
            while let Some(event) = node.poll_event() {
                if let Event::Left { at_risk } = event {
                    self.left.insert(n, at_risk);
                }
            }
            while node.poll_changed().is_some() {}
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.nodes.iter().flatten().filter_map(Node::poll_timeout).min()
    }

    fn pass(&mut self, at: Time) {
        self.now = self.now.max(at);
        let now = self.now;
        for node in self.nodes.iter_mut().flatten() {
            if node.poll_timeout().is_some_and(|at| at <= now) {
                node.handle_timeout(now);
            }
        }
        self.pump();
    }

    /// The network is quiet here, so nothing is on its way.
    fn is_settled(&self) -> bool {
        let count = self.living().count();
        let mut living = self.nodes.iter().flatten();
        living.all(|node| {
            let ready = node.state() == MemberState::Ready && node.members().count() + 1 == count;
            ready && node.is_settled() && node.members().all(|member| member.state == MemberState::Ready)
        })
    }

    fn at(&self, to: SocketAddr) -> Option<usize> {
        self.living().find(|n| address(*n) == to)
    }
}

/// Members settle well within this when there is nothing wrong with them.
pub const SETTLES_IN: Duration = Duration::from_secs(120);

/// What wall clocks show at the beginning: a day in 2026, in microseconds.
const WALL: u64 = 1_790_000_000_000_000;

fn address(n: usize) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 1), 4000 + u16::try_from(n).expect("few members")).into()
}

/// The keys of so many sessions.
pub fn keys(count: usize) -> Vec<SessionKey> {
    let maker = KeyMaker::new("heirloom");
    (0..count).map(|n| maker.key(0, &n.to_le_bytes())).collect()
}

/// A value of its own for each number.
pub fn value(n: usize, length: usize) -> Bytes {
    let mut value = vec![b'x'; length];
    let number = n.to_le_bytes();
    let shared = number.len().min(length);
    value[..shared].copy_from_slice(&number[..shared]);
    value.into()
}

/// A change of one attribute, name and value taken from a request.
pub fn attribute(value: Bytes) -> Delta {
    Delta::new().set(NAME.to_vec(), value)
}

/// The attribute that is written.
pub const NAME: &[u8] = b"user";

/// CPU time that this process has used.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}
