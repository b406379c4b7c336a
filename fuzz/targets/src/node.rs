//! A whole node among strangers.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{
    AtLeast, CloseCause, CommitId, Config, Copies, Delta, Durability, Fetch, FetchId, Lifetime, MemberId, MemberState,
    Node, Purpose, SessionVersion, StreamId, Time, Transmit, Wall, WhenFull,
    fuzz::{Choose as _, Stranger},
};

use crate::choices::Choices;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut world = World::new(&mut choices);
    while !choices.is_empty() {
        world.act(&mut choices);
        world.node.check();
    }
    world.end();
}

/// A stream, with whom it is, and the number of the next feed frame.
struct Stream {
    stranger: usize,
    number: u64,
    blocked: bool,
}

/// A node, its strangers and its application.
struct World {
    node: Node,
    now: Time,
    strangers: Vec<Stranger>,
    streams: BTreeMap<StreamId, Stream>,
    opening: Vec<StreamId>,
    commits: BTreeSet<CommitId>,
    fetches: BTreeSet<FetchId>,
    version: Option<SessionVersion>,
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let config = config(choices);
        let strangers = (1..4).map(|number| Stranger::new(MemberId(number), address(number), &config.cluster_name));
        let strangers = strangers.collect();
        let mut node = Node::new(MemberId(5), address(5), config, 7, Time::ZERO).expect("the settings are allowed");
        if !choices.one_in(4) {
            node.start_alone(Time::ZERO);
        }
        Self {
            node,
            now: Time::ZERO,
            strangers,
            streams: BTreeMap::new(),
            opening: Vec::new(),
            commits: BTreeSet::new(),
            fetches: BTreeSet::new(),
            version: None,
        }
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 | 1 => self.datagram(choices),
            2 => self.accept(choices),
            3..7 => self.frames(choices),
            7 => self.disturb(choices),
            8 | 9 => {
                let millis = choices.pick(&[1, 10, 100, 500, 1000, 3000, 10_000]);
                self.pass(Duration::from_millis(millis), choices);
            }
            10 => self.answer_open(choices),
            _ => self.ask(choices),
        }
        if !choices.one_in(4) {
            self.drain(choices);
        }
    }

    fn datagram(&mut self, choices: &mut Choices<'_>) {
        let stranger = choices.index(self.strangers.len());
        let bytes = if choices.one_in(8) { choices.bytes(80) } else { self.strangers[stranger].datagram(choices) };
        let _ = self.node.handle_datagram(self.now, self.strangers[stranger].address, &bytes);
    }

    /// A stranger opens a stream and mostly greets.
    fn accept(&mut self, choices: &mut Choices<'_>) {
        let stranger = choices.index(self.strangers.len());
        let stream = self.node.handle_accepted(self.now, self.strangers[stranger].address);
        self.streams.insert(stream, Stream { stranger, number: 1, blocked: false });
        if !choices.one_in(8) {
            let hello = self.strangers[stranger].hello(choices);
            self.arrive(stream, &hello, choices);
        }
    }

    fn frames(&mut self, choices: &mut Choices<'_>) {
        let Some(stream) = self.any_stream(choices) else { return };
        let Some(Stream { stranger, number, .. }) = self.streams.get_mut(&stream) else { return };
        let mut bytes = Vec::new();
        for _ in 0..=choices.below(3) {
            bytes.extend(self.strangers[*stranger].frame(number, choices));
        }
        if choices.one_in(16) {
            bytes = choices.bytes(60);
        }
        self.arrive(stream, &bytes, choices);
    }

    fn arrive(&mut self, stream: StreamId, bytes: &[u8], choices: &mut Choices<'_>) {
        let cut = if choices.one_in(4) { choices.index(bytes.len().max(1)) } else { 0 };
        for piece in [&bytes[..cut], &bytes[cut..]] {
            if self.node.handle_stream(self.now, stream, piece).is_err() {
                // The node closes it.
                return self.drain(choices);
            }
        }
    }

    fn disturb(&mut self, choices: &mut Choices<'_>) {
        let Some(stream) = self.any_stream(choices) else { return };
        let Some(state) = self.streams.get_mut(&stream) else { return };
        if choices.one_in(3) {
            self.streams.remove(&stream);
            self.node.handle_closed(self.now, stream, choices.pick(&[CloseCause::Closed, CloseCause::Broken]));
        } else if state.blocked {
            state.blocked = false;
            self.node.handle_writable(self.now, stream);
        }
    }

    fn answer_open(&mut self, choices: &mut Choices<'_>) {
        let Some(stream) = self.opening.pop() else { return };
        if choices.one_in(3) {
            self.node.handle_closed(self.now, stream, CloseCause::Refused);
        } else {
            let stranger = choices.index(self.strangers.len());
            self.streams.insert(stream, Stream { stranger, number: 1, blocked: false });
            self.node.handle_opened(self.now, stream);
            let hello = self.strangers[stranger].hello(choices);
            self.arrive(stream, &hello, choices);
        }
    }

    /// The application's verbs.
    fn ask(&mut self, choices: &mut Choices<'_>) {
        let (now, key) = (self.now, choices.key());
        let durability = choices.pick(&[
            Durability::Local,
            Durability::One,
            Durability::All,
            Durability::Majority,
            Durability::Copies(2),
        ]);
        let demand = durability.within(SECOND * u32::from(!choices.one_in(4)));
        let made = match choices.below(16) {
            0..6 => self.node.commit(now, key, delta(choices, self.version.clone()), demand),
            6 => self.node.change_id(now, key, choices.key(), demand),
            7 => self.node.map_set(now, choices.bytes(3), choices.bytes(20), demand),
            8 => self.node.map_remove(now, choices.bytes(3), demand),
            9 => return self.node.touch(now, &key),
            10 | 11 => {
                let purpose = choices.pick(&[Purpose::Peek, Purpose::Read, Purpose::Write]);
                if let Ok(Fetch::Asked(id)) = self.node.fetch(now, key, purpose) {
                    assert!(self.fetches.insert(id), "a question has a number of its own");
                }
                return;
            }
            12 => {
                if let Some(floor) = &self.version
                    && let Ok(AtLeast::Asked(id)) = self.node.session_at_least(now, &key, floor)
                {
                    assert!(self.fetches.insert(id), "a question has a number of its own");
                }
                self.version = self.node.held(&key).map(|session| session.version());
                return;
            }
            13 => {
                let _ = self.node.send(MemberId(choices.below(6)), choices.bytes(30));
                let _ = self.node.send_to_all(choices.bytes(30));
                return;
            }
            14 => return self.node.handle_wall(now, Wall(choices.below(1 << 50))),
            _ => {
                match choices.below(8) {
                    7 => self.node.leave(now),
                    at if at < 3 => self.node.set_peers(now, (0..at).map(|number| address(number + 1)).collect()),
                    at => self.node.handle_send_failed(now, address(at)),
                }
                return;
            }
        };
        if let Ok(id) = made {
            assert!(self.commits.insert(id), "a commit has a number of its own");
        }
    }

    /// Takes what the node wants to be done, as a driver does.
    fn drain(&mut self, choices: &mut Choices<'_>) {
        for _ in 0..TRANSMITS_MAX {
            let Some(transmit) = self.node.poll_transmit(self.now) else { return self.hear() };
            match transmit {
                Transmit::Datagram { bytes, .. } | Transmit::Multicast { bytes } => {
                    assert!(bytes.len() <= 1200, "a datagram fits a packet");
                }
                Transmit::Open { stream, .. } => self.opening.push(stream),
                Transmit::Write { stream, .. } => {
                    let state = self.streams.get_mut(&stream).expect("what is written to is open");
                    assert!(!state.blocked, "what is blocked is not written to");
                    // Only a write fills a stream.
                    if choices.one_in(8) {
                        state.blocked = true;
                        self.node.handle_blocked(self.now, stream);
                    }
                }
                Transmit::Close { stream } => {
                    self.opening.retain(|opening| *opening != stream);
                    self.streams.remove(&stream);
                }
            }
        }
        panic!("a turn has an end");
    }

    /// Takes what the node tells.
    fn hear(&mut self) {
        while let Some((id, _)) = self.node.poll_outcome() {
            assert!(self.commits.remove(&id), "a commit is decided once");
        }
        while let Some((id, _)) = self.node.poll_fetched() {
            assert!(self.fetches.remove(&id), "a question is answered once");
        }
        while self.node.poll_event().is_some() {}
        while self.node.poll_message().is_some() {}
        while self.node.poll_changed().is_some() {}
    }

    fn pass(&mut self, length: Duration, choices: &mut Choices<'_>) {
        let end = self.now + length;
        for _ in 0..TIMEOUTS_MAX {
            let Some(at) = self.node.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = at.max(self.now);
            self.node.handle_timeout(self.now);
            assert!(self.node.poll_timeout().is_none_or(|at| self.now < at), "what was due is done");
            self.drain(choices);
        }
        panic!("timers leave time between them");
    }

    /// All strangers are silent from now on.
    fn end(&mut self) {
        let mut choices = Choices::new(&[]);
        // Who has left waits for nothing.
        self.drain(&mut choices);
        self.pass(SECOND * 60, &mut choices);
        self.node.check();
        assert!(self.commits.is_empty(), "every commit is decided: {:?}", self.commits);
        assert!(self.fetches.is_empty(), "every question is answered: {:?}", self.fetches);
        assert_eq!(self.node.members().count(), 0, "nobody is listed who is silent");
        assert!(self.node.state() != MemberState::Joining, "alone, it starts");
    }

    fn any_stream(&self, choices: &mut Choices<'_>) -> Option<StreamId> {
        if self.streams.is_empty() {
            return None;
        }
        self.streams.keys().nth(choices.index(self.streams.len())).copied()
    }
}

/// What a node may want to be done at one instant, and how often it may want to be woken within some seconds.
const TRANSMITS_MAX: usize = 10_000;
const TIMEOUTS_MAX: usize = 10_000;

fn address(number: u64) -> SocketAddr {
    ([127, 0, 0, 1], 4000 + u16::try_from(number).expect("a few")).into()
}

/// Small limits, so that they are met.
fn config(choices: &mut Choices<'_>) -> Config {
    Config {
        copies: choices.pick(&[Copies::Everywhere, Copies::Backups(1), Copies::Backups(2), Copies::Nowhere]),
        unit: choices.pick(&[heirloom_core::Unit::Delta, heirloom_core::Unit::WholeSession]),
        idle: SECOND * choices.pick(&[0, 2, 20]),
        ended_for: SECOND * choices.pick(&[3, 60]),
        ended_max: choices.pick(&[1 << 20, 2]),
        sessions_max: choices.pick(&[1 << 20, 3]),
        memory_max: choices.pick(&[0, 2000]),
        when_full: choices.pick(&[WhenFull::Refuse, WhenFull::Evict]),
        members_max: choices.pick(&[256, 2]),
        attribute_bytes_max: 100,
        session_bytes_max: 300,
        attributes_max: 6,
        commits_max: choices.pick(&[1000, 3]),
        map_entries_max: 3,
        map_bytes_max: 100,
        message_bytes_max: 20,
        messages_max: 3,
        events_max: choices.pick(&[1000, 4]),
        version_max: choices.pick(&[1, 2]),
        ..Config::default()
    }
}

fn delta(choices: &mut Choices<'_>, version: Option<SessionVersion>) -> Delta {
    let mut delta = match choices.below(8) {
        6 => Delta::anew(),
        7 => return if choices.one_in(2) { Delta::end() } else { Delta::evict() },
        _ => Delta::new(),
    };
    for _ in 0..choices.below(4) {
        let name = choices.bytes(2);
        delta = if choices.one_in(4) { delta.remove(name) } else { delta.set(name, choices.bytes(120)) };
    }
    match (choices.below(12), version) {
        (8, _) => delta.lifetime(Lifetime::Never),
        (9, _) => delta.lifetime(Lifetime::Fixed(SECOND * 2)),
        (10, Some(version)) => delta.if_session(version),
        (11, _) => delta.if_no_session(),
        _ => delta,
    }
}
