//! P7: whatever a stranger or a member gone mad sends, a node neither panics nor loses what it has.

use alloc::vec::Vec;
use core::{net::SocketAddr, time::Duration};

use proptest::prelude::*;

use super::Node;
use crate::{
    config::Config,
    copies::Copies,
    delta::{Delta, Durability},
    digest,
    io::{StreamId, Transmit},
    key::SessionKey,
    life::{EndCause, Expired, Life},
    map::Brought,
    member::{MemberId, MemberState},
    protocol::Versions,
    session::{Change, Content, Incoming, Lifetime, LifetimeRegister, Session},
    stamp::Stamp,
    time::Time,
    wire::{
        Ack, Beat, Blob, ClusterTag, DeltaWriter, FeedHead, FrameWriter, Held, Hello, ItemKind, ItemWriter, Kind,
        Listing, Ping, Registers, Relay, Relayed,
    },
};

const PEER: MemberId = MemberId(9);
const MINE: SessionKey = SessionKey([1; 16]);

/// Something that a peer does, well formed but as it likes.
#[derive(Clone, Debug)]
enum Mad {
    Raw(Vec<u8>),
    Body(Kind, Vec<u8>),
    Beat {
        state: MemberState,
        incarnation: u32,
        sequence: u64,
        clock: u64,
        age: u64,
    },
    Delta {
        key: u8,
        clock: u64,
        counter: u32,
        expired: u32,
        owner: u64,
        floor: bool,
        remaining: Option<u64>,
        number: u64,
    },
    Items {
        number: u64,
        kinds: Vec<(u8, u8, u64)>,
    },
    /// A question of one member about another, and the answer to one.
    Relay(u64, u64, u64),
    Ack(u64),
    Wait(u64),
    Close,
}

fn mad() -> impl Strategy<Value = Mad> {
    let big = prop_oneof![Just(0), Just(1), 2..1000_u64, Just(1 << 63), Just(u64::MAX)];
    // Mostly the number that is expected, or nothing would be looked at.
    let number = prop_oneof![30 => Just(0_u64), 1 => 1..3_u64];
    let counter = prop_oneof![1 => Just(0_u32), 20 => 1..4_u32, 1 => Just((1 << 30) - 1), 1 => Just(u32::MAX)];
    let clock = prop_oneof![20 => 0..1000_u64, 2 => Just(1 << 62), 1 => Just(u64::MAX)];
    let state = prop_oneof![Just(MemberState::Joining), Just(MemberState::Ready), Just(MemberState::Leaving)];
    let kind = (0..Kind::ALL.len()).prop_map(|at| Kind::ALL[at]);
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Mad::Raw),
        2 => (kind, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(kind, body)| Mad::Body(kind, body)),
        2 => (state, counter.clone(), big.clone(), big.clone(), big.clone())
            .prop_map(|(state, incarnation, sequence, clock, age)| Mad::Beat { state, incarnation, sequence, clock, age }),
        6 => (1..4_u8, clock, counter.clone(), prop_oneof![3 => Just(0), 1 => counter], 8..11_u64, any::<bool>(), prop::option::of(big.clone()), number.clone())
            .prop_map(|(key, clock, counter, expired, owner, floor, remaining, number)| Mad::Delta {
                key, clock, counter, expired, owner, floor, remaining, number,
            }),
        4 => (number, prop::collection::vec((0..15_u8, 1..4_u8, big.clone()), 1..6))
            .prop_map(|(number, kinds)| Mad::Items { number, kinds }),
        2 => (5..11_u64, 5..11_u64, big.clone()).prop_map(|(from, suspect, nonce)| Mad::Relay(from, suspect, nonce)),
        1 => big.clone().prop_map(Mad::Ack),
        2 => big.prop_map(|wait| Mad::Wait(wait % 10_000)),
        1 => Just(Mad::Close),
    ]
}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 4001).into()
}

fn beat(state: MemberState, incarnation: u32, sequence: u64, clock: u64, age_millis: u64) -> Beat<'static> {
    let (others, direct) = ([address()].into(), true);
    Beat {
        versions: Versions::up_to(1),
        from: PEER,
        incarnation,
        sequence,
        state,
        clock,
        age_millis,
        address: address(),
        name: "mad",
        // At times none.
        weight: u16::try_from(age_millis.wrapping_add(1) % 1500).expect("it is small"),
        host: "mad",
        zone: "mad",
        domain: "",
        others,
        direct,
        payload: Blob(b"mad"),
    }
}

struct Victim {
    node: Node,
    now: Time,
    stream: Option<StreamId>,
    /// The number of the next feed frame.
    next: u64,
}

impl Victim {
    fn new() -> Self {
        let config = Config { idle: Duration::from_secs(2), ended_for: Duration::from_secs(3), ..Config::default() };
        let me = ([127, 0, 0, 1], 4000).into();
        let mut node = Node::new(MemberId(5), me, config, 1, Time::ZERO).expect("the config is valid");
        node.start_alone(Time::ZERO);
        let keep = Delta::new().set("kept", "value").lifetime(Lifetime::Never);
        node.commit(Time::ZERO, MINE, keep, Durability::Local).expect("the node is ready");
        Self { node, now: Time::ZERO, stream: None, next: 1 }
    }

    fn writer() -> FrameWriter {
        FrameWriter::new(ClusterTag::new("heirloom"))
    }

    /// The stream to the victim, greeted.
    fn opened(&mut self) -> StreamId {
        if let Some(stream) = self.stream {
            return stream;
        }
        let stream = self.node.handle_accepted(self.now, address());
        let mut hello = Self::writer();
        let (copies, beat) = (Copies::Everywhere.code(), beat(MemberState::Ready, 0, 1, 0, 0));
        hello.frame(Kind::Hello, &Hello { fresh: true, copies, beat });
        let _ = self.node.handle_stream(self.now, stream, &hello.into_bytes());
        (self.stream, self.next) = (Some(stream), 1);
        stream
    }

    fn send(&mut self, writer: FrameWriter) {
        let stream = self.opened();
        let taken = self.node.handle_stream(self.now, stream, &writer.into_bytes());
        self.stream = taken.is_ok().then_some(stream);
    }

    /// The next number, or one that is wrong by that much.
    fn next_number(&mut self, wrong_by: u64) -> u64 {
        self.opened();
        self.next += 1;
        self.next - 1 + wrong_by
    }

    fn relay(&mut self, from: MemberId, suspect: MemberId, nonce: u64) {
        let question = Self::writer().datagram(Kind::Relay, &Relay { from, suspect, nonce });
        let relayed = Relayed { from, to: MemberId(5), suspect, nonce };
        let answer = Self::writer().datagram(Kind::Relayed, &relayed);
        for datagram in [question, answer] {
            assert_eq!(self.node.handle_datagram(self.now, address(), &datagram), Ok(()));
        }
    }

    fn run(&mut self) {
        for _ in 0..100 {
            while let Some(transmit) = self.node.poll_transmit(self.now) {
                if matches!(transmit, Transmit::Close { stream } if Some(stream) == self.stream) {
                    self.stream = None;
                }
            }
            match self.node.poll_timeout() {
                Some(at) if at <= self.now => self.node.handle_timeout(self.now),
                Some(_) | None => return,
            }
        }
    }

    fn suffer(&mut self, mad: &Mad) {
        match mad {
            Mad::Raw(bytes) => {
                let _ = self.node.handle_datagram(self.now, address(), bytes);
                let stream = self.node.handle_accepted(self.now, address());
                let _ = self.node.handle_stream(self.now, stream, bytes);
            }
            Mad::Body(kind, body) => {
                let mut writer = Self::writer();
                let start = writer.start(*kind);
                writer.bytes().extend_from_slice(body);
                writer.finish(start);
                let datagram = writer.into_bytes().split_off(4);
                let _ = self.node.handle_datagram(self.now, address(), &datagram);
                let mut writer = Self::writer();
                let start = writer.start(*kind);
                writer.bytes().extend_from_slice(body);
                writer.finish(start);
                self.send(writer);
            }
            Mad::Beat { state, incarnation, sequence, clock, age } => {
                let bytes = Self::writer().datagram(Kind::Beat, &beat(*state, *incarnation, *sequence, *clock, *age));
                let _ = self.node.handle_datagram(self.now, address(), &bytes);
            }
            Mad::Delta { number, .. } => {
                let mut writer = Self::writer();
                let start = writer.start(Kind::Feed);
                writer.put(&FeedHead { number: self.next_number(*number), clock: 1 << 62 });
                write_delta(&mut writer, mad);
                writer.finish(start);
                self.send(writer);
            }
            Mad::Items { number, kinds } => {
                let mut writer = Self::writer();
                let start = writer.start(Kind::Feed);
                writer.put(&FeedHead { number: self.next_number(*number), clock: 1000 });
                kinds
                    .iter()
                    .for_each(|(kind, key, value)| write_item(&mut writer, *kind, SessionKey([*key; 16]), *value));
                writer.finish(start);
                self.send(writer);
            }
            Mad::Ack(number) => {
                let mut writer = Self::writer();
                writer.frame(Kind::Ack, &Ack { number: *number, clock: 5 });
                writer.frame(Kind::Ping, &Ping { nonce: *number });
                self.send(writer);
            }
            Mad::Relay(from, suspect, nonce) => self.relay(MemberId(*from), MemberId(*suspect), *nonce),
            Mad::Wait(millis) => self.now = self.now + Duration::from_millis(*millis),
            Mad::Close => {
                if let Some(stream) = self.stream.take() {
                    self.node.handle_closed(self.now, stream, crate::CloseCause::Closed);
                }
            }
        }
        self.run();
        self.node.check();
    }
}

fn write_delta(writer: &mut FrameWriter, mad: &Mad) {
    let Mad::Delta { key, clock, counter, expired, owner, floor, remaining, .. } = mad else { return };
    let birth = Stamp { clock: *clock, writer: PEER };
    let mut session = Session::default();
    session.merge_life(Life { birth, counter: *counter, owner: MemberId(*owner), expired: Expired::of_code(*expired) });
    let lifetime = Lifetime::Idle(Duration::from_millis(*clock % 5000));
    session.merge_lifetime(LifetimeRegister {
        birth,
        stamp: birth,
        lifetime,
        until: Some(Time::ZERO + Duration::from_millis(*clock)),
        changed: Change(1),
    });
    let value = Some(Content::Slice(b"mad"));
    session.merge_attribute(Incoming { name: Content::Slice(b"a"), birth, stamp: birth, value, changed: Change(1) });
    if *floor {
        let at = Stamp { clock: clock / 2, writer: PEER };
        session.merge_floor(crate::life::End { at, cause: EndCause::Ended });
    }
    // Never the session of this node's own client: that a member may end.
    let key = SessionKey([key + 1; 16]);
    let registers = Registers::default();
    let remaining = remaining.map(Duration::from_millis);
    let delta = DeltaWriter { key, session: &session, registers, remaining, now: Time::ZERO };
    let written = ItemWriter(writer.bytes()).write(ItemKind::Delta, |bytes| delta.write(bytes, 1 << 16, 1 << 20));
    assert!(written.is_ok(), "there is room");
}

fn write_item(writer: &mut FrameWriter, kind: u8, key: SessionKey, value: u64) {
    let mut items = ItemWriter(writer.bytes());
    let millis = Duration::from_millis(value);
    match kind {
        0 => items.missing(key),
        1 => items.use_of(key, millis),
        2 => items.ask(key),
        3 => items.answer(key, Some(millis)),
        4 => items.offer(key, Held { digest: value, counter: u32::MAX, owner: MemberId(value) }),
        5 => items.offered([MemberId(value), MemberId(5), PEER].into(), true),
        6 => items.pull(key),
        7 => items.round(value),
        8 => items.done(value, [MemberId(value)].into(), [PEER].into()),
        9 => items.map(value, value.is_multiple_of(2)),
        10 => {
            let (stamp, remaining) = (Stamp { clock: value, writer: PEER }, millis);
            items.entry(&Brought { name: &key.0, stamp, value: value.is_multiple_of(3).then_some(b"mad"), remaining });
        }
        11 => items.digest(value, value),
        12 => items.sums(value, &[value; digest::BUCKETS]),
        13 => {
            let from = digest::first(key.0[0]);
            items.listing(&Listing {
                view: value,
                ours: 1,
                theirs: value,
                from,
                until: None,
                listed: [(key, value)].into(),
            });
        }
        _ => items.offered(Vec::new(), false),
    }
}

/// Births of many members, each owned by another.
fn crowd(from: u64) -> Session {
    let mut session = Session::default();
    for number in from..from + 100 {
        let (birth, owner) = (Stamp { clock: number, writer: MemberId(number) }, MemberId(1000 + number));
        session.merge_life(Life { birth, counter: 1, owner, expired: Expired::NEVER });
        let stamp = Stamp { clock: 5000, writer: MemberId(2000 + number) };
        session.merge_lifetime(LifetimeRegister {
            birth,
            stamp,
            lifetime: Lifetime::Never,
            until: None,
            changed: Change(1),
        });
    }
    session
}

/// More members than a delta can name: what is too much is left out and counted, and the rest can be told.
#[test]
fn a_session_of_many_members_does_no_harm() {
    let mut victim = Victim::new();
    let key = SessionKey([7; 16]);
    for from in [100, 200, 300, 400, 500, 600] {
        let mut writer = Victim::writer();
        let start = writer.start(Kind::Feed);
        writer.put(&FeedHead { number: victim.next_number(0), clock: 1 << 62 });
        let session = crowd(from);
        let delta =
            DeltaWriter { key, session: &session, registers: Registers::default(), remaining: None, now: Time::ZERO };
        let written = ItemWriter(writer.bytes()).write(ItemKind::Delta, |bytes| delta.write(bytes, 1 << 16, 1 << 20));
        assert!(written.is_ok(), "there is room");
        ItemWriter(writer.bytes()).pull(key);
        writer.finish(start);
        victim.send(writer);
        victim.run();
        victim.node.check();
    }
    assert!(victim.stream.is_some(), "the stream stays");
    assert_eq!(victim.node.stats().births_refused, 5);
    assert!(victim.node.sessions.record(&key).is_some_and(|session| session.is_full()));
}

/// A node probes only members of its view, and those only for others of it: it is nobody's amplifier.
#[test]
fn nobody_is_probed_for_a_stranger_and_no_stranger_is_probed() {
    let mut victim = Victim::new();
    victim.opened();
    victim.run();
    let stranger = MemberId(77);
    for (from, suspect) in [(stranger, PEER), (PEER, stranger), (PEER, PEER), (PEER, MemberId(5)), (stranger, stranger)]
    {
        victim.relay(from, suspect, 1);
        assert_eq!(victim.node.poll_transmit(victim.now), None, "{from} asks of {suspect}");
    }
    let stats = victim.node.stats();
    assert_eq!((stats.relays, stats.relays_refused), (0, 5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_mad_member_hurts_only_itself(deeds in prop::collection::vec(mad(), 1..40)) {
        let mut victim = Victim::new();
        for deed in &deeds {
            victim.suffer(deed);
        }
        let kept = victim.node.session(&MINE).and_then(|session| session.attribute(b"kept"));
        prop_assert_eq!(kept.map(|value| &value[..]), Some(&b"value"[..]));
        let more = Delta::new().set("more", "value");
        prop_assert!(victim.node.commit(victim.now, MINE, more, Durability::Local).is_ok());
    }
}
