//! Two nodes, and between them a network that loses, cuts and stalls; then it does not, and they must agree.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use heirloom_core::{
    CloseCause, CommitId, Config, Copies, Delta, Durability, FrameError, MemberId, MemberState, Node, StreamId, Time,
    Transmit, fuzz::Choose as _,
};

use crate::choices::Choices;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut pair = Pair::new(&mut choices);
    while !choices.is_empty() {
        pair.act(&mut choices);
    }
    pair.quiet();
    pair.agree();
}

/// One stream: its name at both ends, and what is on its way to each.
struct Stream {
    names: [Option<StreamId>; 2],
    wires: [VecDeque<Bytes>; 2],
    /// The end of it is on its way behind the bytes.
    ends: [bool; 2],
    blocked: [bool; 2],
}

/// Both nodes and the network.
struct Pair {
    now: Time,
    nodes: [Node; 2],
    commits: [BTreeSet<CommitId>; 2],
    /// Streams that are being opened, by whom.
    opening: Vec<(usize, StreamId)>,
    streams: Vec<Stream>,
    /// Datagrams on their way to a node.
    air: Vec<(usize, Bytes)>,
}

impl Pair {
    fn new(choices: &mut Choices<'_>) -> Self {
        let copies = choices.pick(&[Copies::Everywhere, Copies::Everywhere, Copies::Backups(1)]);
        let long = SECOND * 3600;
        let config = Config { copies, idle: long, ended_for: long, attribute_bytes_max: 2000, ..Config::default() };
        let node = |n: usize| {
            let id = MemberId(u64::try_from(n).expect("it is small") + 1);
            Node::new(id, address(n), config.clone(), id.0, Time::ZERO).expect("the settings are allowed")
        };
        Self {
            now: Time::ZERO,
            nodes: [0, 1].map(node),
            commits: [BTreeSet::new(), BTreeSet::new()],
            opening: Vec::new(),
            streams: Vec::new(),
            air: Vec::new(),
        }
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        let n = choices.index(2);
        match choices.below(16) {
            0..2 => {
                let millis = choices.pick(&[1, 20, 200, 500, 1000, 3000, 5000]);
                self.pass(Duration::from_millis(millis), |pair| pair.carry(n, choices));
            }
            2..5 => self.carry(n, choices),
            5..7 => {
                self.carry(n, choices);
                self.carry(1 - n, choices);
            }
            7 => self.break_one(choices),
            8 => self.air.clear(),
            _ => self.ask(n, choices),
        }
        self.turn(0);
        self.turn(1);
    }

    /// A part of what is on its way to a node arrives.
    fn carry(&mut self, n: usize, choices: &mut Choices<'_>) {
        for (to, bytes) in core::mem::take(&mut self.air) {
            if to != n {
                self.air.push((to, bytes));
            } else if !choices.one_in(4) {
                self.hear(n, &bytes);
            }
        }
        if !choices.one_in(4) {
            self.open_all();
        }
        for at in 0..self.streams.len() {
            let (mut some, cut) = (choices.below(4), choices.one_in(4));
            while let Some(bytes) = self.streams[at].wires[n].pop_front() {
                if cut && 1 < bytes.len() && some == 0 {
                    let head = bytes.slice(..choices.index(bytes.len()));
                    self.streams[at].wires[n].push_front(bytes.slice(head.len()..));
                    self.deliver(at, n, &head);
                    break;
                }
                self.deliver(at, n, &bytes);
                if some == 0 {
                    break;
                }
                some -= 1;
            }
        }
        self.close_over();
    }

    fn hear(&mut self, n: usize, bytes: &[u8]) {
        let heard = self.nodes[n].handle_datagram(self.now, address(1 - n), bytes);
        assert_eq!(heard, Ok(()), "a node speaks what the other reads");
    }

    fn deliver(&mut self, at: usize, n: usize, bytes: &[u8]) {
        let Some(name) = self.streams[at].names[n] else { return };
        let taken = self.nodes[n].handle_stream(self.now, name, bytes);
        // It may have closed the stream and not said so yet, or have declared the other dead meanwhile.
        let is_fine = matches!(taken, Ok(()) | Err(FrameError::NoStream | FrameError::Unexpected));
        assert!(is_fine, "a node speaks what the other reads: {taken:?}");
        let writer = 1 - n;
        let stream = &mut self.streams[at];
        if stream.blocked[writer] && stream.wires[n].is_empty() {
            stream.blocked[writer] = false;
            if let Some(name) = stream.names[writer] {
                self.nodes[writer].handle_writable(self.now, name);
            }
        }
    }

    fn open_all(&mut self) {
        for (n, name) in core::mem::take(&mut self.opening) {
            let theirs = self.nodes[1 - n].handle_accepted(self.now, address(n));
            let mut names = [None, None];
            (names[n], names[1 - n]) = (Some(name), Some(theirs));
            self.streams.push(Stream { names, wires: Default::default(), ends: [false; 2], blocked: [false; 2] });
            self.nodes[n].handle_opened(self.now, name);
        }
    }

    /// The other side hears that a stream was closed once it has all that came before.
    fn close_over(&mut self) {
        for at in 0..self.streams.len() {
            for n in 0..2 {
                let stream = &mut self.streams[at];
                if stream.ends[n]
                    && stream.wires[n].is_empty()
                    && let Some(name) = stream.names[n].take()
                {
                    self.nodes[n].handle_closed(self.now, name, CloseCause::Closed);
                }
            }
        }
        self.streams.retain(|stream| stream.names != [None, None]);
    }

    fn break_one(&mut self, choices: &mut Choices<'_>) {
        if choices.one_in(2) {
            if let Some((n, name)) = self.opening.pop() {
                self.nodes[n].handle_closed(self.now, name, CloseCause::Refused);
            }
        } else if !self.streams.is_empty() {
            let stream = self.streams.swap_remove(choices.index(self.streams.len()));
            for (node, name) in self.nodes.iter_mut().zip(stream.names) {
                name.into_iter().for_each(|name| node.handle_closed(self.now, name, CloseCause::Broken));
            }
        }
    }

    fn ask(&mut self, n: usize, choices: &mut Choices<'_>) {
        let (now, key, node) = (self.now, choices.key(), &mut self.nodes[n]);
        let durability = choices.pick(&[Durability::Local, Durability::One, Durability::All]);
        let name = [choices.pick(b"abc")];
        let made = match choices.below(16) {
            0..8 => node.commit(now, key, Delta::new().set(name.to_vec(), choices.bytes(40)), durability),
            8 => node.commit(now, key, Delta::new().remove(name.to_vec()), durability),
            9 => node.commit(now, key, Delta::end(), durability),
            10 => node.commit(now, key, Delta::anew().set(name.to_vec(), choices.bytes(4)), durability),
            11 => node.change_id(now, key, choices.key(), durability),
            12 => node.map_set(now, name.to_vec(), choices.bytes(20), durability),
            13 => node.map_remove(now, name.to_vec(), durability),
            14 => node.commit(now, key, Delta::new().set("large", vec![7; choices.index(1900)]), durability),
            _ => return node.touch(now, &key),
        };
        if let Ok(id) = made {
            self.commits[n].insert(id);
        }
    }

    /// Lets time pass; `meanwhile` is done after every timeout.
    fn pass(&mut self, length: Duration, mut meanwhile: impl FnMut(&mut Self)) {
        let end = self.now + length;
        for _ in 0..TIMEOUTS_MAX {
            let next = self.nodes.iter().filter_map(Node::poll_timeout).min().filter(|at| *at <= end);
            let Some(at) = next else {
                self.now = end;
                return;
            };
            self.now = at.max(self.now);
            self.turn(0);
            self.turn(1);
            meanwhile(self);
        }
        panic!("timers leave time between them");
    }

    fn turn(&mut self, n: usize) {
        let now = self.now;
        if self.nodes[n].poll_timeout().is_some_and(|at| at <= now) {
            self.nodes[n].handle_timeout(now);
        }
        while let Some(transmit) = self.nodes[n].poll_transmit(now) {
            match transmit {
                Transmit::Datagram { to, bytes } => {
                    let to = usize::from(to != address(0));
                    self.air.push((to, bytes));
                }
                Transmit::Multicast { bytes } => self.air.push((1 - n, bytes)),
                Transmit::Open { stream, .. } => self.opening.push((n, stream)),
                Transmit::Write { stream, bytes } => self.write(n, stream, bytes),
                Transmit::Close { stream } => {
                    self.opening.retain(|opening| *opening != (n, stream));
                    if let Some(open) = self.streams.iter_mut().find(|open| open.names[n] == Some(stream)) {
                        (open.names[n], open.ends[1 - n]) = (None, true);
                    }
                }
            }
        }
        while let Some((id, _)) = self.nodes[n].poll_outcome() {
            assert!(self.commits[n].remove(&id), "a commit is decided once");
        }
        while self.nodes[n].poll_event().is_some() {}
        self.nodes[n].check();
    }

    fn write(&mut self, n: usize, stream: StreamId, bytes: Bytes) {
        let open = self.streams.iter_mut().find(|open| open.names[n] == Some(stream)).expect("it is open");
        assert!(!open.blocked[n], "what is blocked is not written to");
        open.wires[1 - n].push_back(bytes);
        if WIRE_MAX < open.wires[1 - n].len() {
            open.blocked[n] = true;
            self.nodes[n].handle_blocked(self.now, stream);
        }
    }

    /// From now on everything arrives, at once.
    fn quiet(&mut self) {
        for _ in 0..QUIET.as_secs() * 10 {
            self.pass(SECOND / 10, Self::carry_all);
            self.carry_all();
        }
    }

    fn carry_all(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let before = (self.air.len(), self.opening.len());
            for (to, bytes) in core::mem::take(&mut self.air) {
                self.hear(to, &bytes);
            }
            self.open_all();
            let mut carried = before != (0, 0);
            for at in 0..self.streams.len() {
                for n in 0..2 {
                    while let Some(bytes) = self.streams[at].wires[n].pop_front() {
                        carried = true;
                        self.deliver(at, n, &bytes);
                    }
                }
            }
            self.close_over();
            self.turn(0);
            self.turn(1);
            if !carried {
                return;
            }
        }
        panic!("two nodes find an end");
    }

    fn agree(&self) {
        let [one, other] = &self.nodes;
        for (node, peer) in [(one, other), (other, one)] {
            assert_eq!(node.state(), MemberState::Ready);
            assert!(node.members().any(|member| member.id == peer.id()), "each lists the other");
            assert!(node.is_settled(), "{:?} has settled what it has to see to", node.id());
        }
        assert_eq!(self.commits, [BTreeSet::new(), BTreeSet::new()], "every commit is decided");
        let keys: BTreeSet<_> = one.records().chain(other.records()).map(|(key, _)| *key).collect();
        for key in keys {
            assert_eq!(one.held(&key), other.held(&key), "{key}");
        }
        assert!(one.map_iter().eq(other.map_iter()), "both have the same shared map");
    }
}

/// How long two nodes have to find each other again, after any silence.
const QUIET: Duration = Duration::from_secs(30);
/// Writes that a stream holds before it is blocked.
const WIRE_MAX: usize = 4;
const TIMEOUTS_MAX: usize = 10_000;
const ROUNDS_MAX: usize = 1000;

fn address(n: usize) -> SocketAddr {
    ([127, 0, 0, 1], 4000 + u16::try_from(n).expect("a few")).into()
}
