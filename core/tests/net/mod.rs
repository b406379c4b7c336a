//! Members over a network in memory that loses nothing.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use heirloom_core::{
    CommitId, Config, Copies, Delta, Demand, Event, FrameError, MemberId, Node, Outcome, SessionKey, StreamId, Time,
    Transmit,
};

pub(crate) const KEY: SessionKey = SessionKey([7; 16]);

pub(crate) struct Net {
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    up: Vec<bool>,
    /// What comes is taken by the kernel and read by nobody.
    hung: Vec<bool>,
    /// Both ends of each stream.
    streams: Vec<[(usize, StreamId); 2]>,
    /// What is written to streams from one to another waits, in order: where to, on which stream, and what.
    held: Option<Vec<(usize, StreamId, Vec<u8>)>>,
}

impl Net {
    pub(crate) fn new(count: usize) -> Self {
        Self::with(vec![Copies::Everywhere; count])
    }

    pub(crate) fn with(settings: impl IntoIterator<Item = Copies>) -> Self {
        Self::configured(settings, |_, _| ())
    }

    /// Members with other settings, each by its number.
    pub(crate) fn configured(settings: impl IntoIterator<Item = Copies>, change: impl Fn(usize, &mut Config)) -> Self {
        let configs = settings.into_iter().zip(1_u16..).map(|(copies, n)| {
            let (host, zone) = (format!("host {}", n - 1), format!("zone {}", n - 1));
            let (idle, ended_for) = (Duration::from_secs(10), Duration::from_secs(60));
            let mut config = Config { copies, weight: n * 100, host, zone, idle, ended_for, ..Config::default() };
            change(usize::from(n) - 1, &mut config);
            config
        });
        Self::of(configs)
    }

    /// Members with these settings.
    pub(crate) fn of(configs: impl IntoIterator<Item = Config>) -> Self {
        let nodes = configs.into_iter().zip(1_u16..).map(|(config, n)| {
            let address = address(usize::from(n) - 1);
            Node::new(MemberId(n.into()), address, config, n.into(), Time::ZERO).expect("the config is valid")
        });
        let nodes: Vec<_> = nodes.collect();
        let none = vec![false; nodes.len()];
        Self { now: Time::ZERO, up: none.clone(), hung: none, nodes, streams: Vec::new(), held: None }
    }

    pub(crate) fn start(&mut self, n: usize) {
        self.up[n] = true;
    }

    pub(crate) fn hang(&mut self, n: usize) {
        self.hung[n] = true;
    }

    /// Nothing that is written to a stream arrives until `release`.
    pub(crate) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    pub(crate) fn release(&mut self) {
        for (other, stream, bytes) in self.held.take().into_iter().flatten() {
            let _ = self.nodes[other].handle_stream(self.now, stream, &bytes);
        }
    }

    /// One member takes a turn; of what it writes, only what is for one other arrives.
    pub(crate) fn run_alone(&mut self, n: usize, to: usize) {
        self.hold();
        self.turn(n);
        for (other, stream, bytes) in self.held.take().into_iter().flatten().filter(|held| held.0 == to) {
            self.nodes[other].handle_stream(self.now, stream, &bytes).expect("it is valid");
        }
    }

    pub(crate) fn kill(&mut self, n: usize) {
        self.up[n] = false;
        let (dead, alive) =
            std::mem::take(&mut self.streams).into_iter().partition(|ends| ends.iter().any(|end| end.0 == n));
        self.streams = alive;
        let dead: Vec<[(usize, StreamId); 2]> = dead;
        for (other, stream) in dead.into_iter().flatten().filter(|end| end.0 != n) {
            self.nodes[other].handle_closed(self.now, stream, heirloom_core::CloseCause::Closed);
        }
    }

    pub(crate) fn commit(&mut self, n: usize, delta: Delta, demand: impl Into<Demand>) -> CommitId {
        self.nodes[n].commit(self.now, KEY, delta, demand).expect("the node is ready")
    }

    pub(crate) fn user(&self, n: usize) -> Option<String> {
        let session = self.nodes[n].session(&KEY)?;
        Some(String::from_utf8_lossy(session.attribute(b"user")?).into_owned())
    }

    pub(crate) fn events(&mut self, n: usize) -> Vec<Event> {
        std::iter::from_fn(|| self.nodes[n].poll_event()).collect()
    }

    /// What came of the commits of a member, and when.
    pub(crate) fn outcomes(&mut self, n: usize, length: Duration) -> Vec<(Time, (CommitId, Outcome))> {
        let end = self.now + length;
        let mut outcomes = Vec::new();
        while self.now < end {
            let at = self.now;
            self.run(Duration::from_millis(1));
            outcomes.extend(std::iter::from_fn(|| self.nodes[n].poll_outcome()).map(|outcome| (at, outcome)));
        }
        outcomes
    }

    pub(crate) fn run(&mut self, length: Duration) {
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
                    if let Some(held) = &mut self.held {
                        held.push((other, theirs, bytes.to_vec()));
                        return;
                    }
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

pub(crate) fn address(n: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 4000 + u16::try_from(n).expect("few nodes")).into()
}
