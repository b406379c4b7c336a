//! Messages made by choices.

use alloc::{vec, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use serde::Serialize;

use super::{Choose, ROOM, Stranger};
use crate::{
    copies::Copies,
    digest::{self, BUCKETS},
    key::SessionKey,
    life::{End, EndCause, Expired, Life},
    map::Brought,
    member::{MemberId, MemberState},
    protocol::Versions,
    quorum::Announced,
    session::{Change, Content, Incoming, Lifetime, LifetimeRegister, Link, Session},
    stamp::Stamp,
    time::Time,
    wire::{
        Ack, Alive, Beat, Blob, Declared, DeltaWriter, FeedHead, Held, Hello, ItemKind, ItemWriter, Kind, Listing,
        Ping, Probe, Registers, Relay, Relayed,
    },
};

/// The reading of the clock that what is made goes up to.
const CLOCK: u64 = 1 << 20;
const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123";

pub(super) fn index(choices: &mut dyn Choose, len: usize) -> usize {
    usize::try_from(choices.below(len as u64)).expect("below a length")
}

pub(super) fn written(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, Vec::new()).expect("a vector takes all that is written")
}

/// Makes what the choices say; what is tame could come from an honest member.
pub(super) struct Maker<'a> {
    pub(super) choices: &'a mut dyn Choose,
    pub(super) tame: bool,
}

impl Maker<'_> {
    /// The body of a frame; `number` is what a feed frame has.
    pub(super) fn body(&mut self, kind: Kind, number: u64) -> Vec<u8> {
        let (from, to) = (self.member(), self.member());
        match kind {
            Kind::Beat => written(&self.beat()),
            Kind::Probe => written(&Probe { from, to, nonce: self.number() }),
            Kind::Alive => written(&Alive { from, to, nonce: self.number() }),
            Kind::Relay => written(&Relay { from, suspect: to, nonce: self.number() }),
            Kind::Relayed => written(&Relayed { from, to, suspect: self.member(), nonce: self.number() }),
            Kind::Declared => written(&Declared { from, to, incarnation: self.count() }),
            Kind::Bye => written(&from),
            Kind::Hello => written(&self.hello()),
            Kind::Feed => {
                let wrong_by = u64::from(!self.tame && self.choices.below(32) == 31);
                let mut body = written(&FeedHead { number: number + wrong_by, clock: CLOCK });
                for _ in 0..self.choices.below(5) {
                    self.item(&mut body);
                }
                body
            }
            Kind::Ack => written(&Ack { number: self.choices.below(5), clock: CLOCK }),
            Kind::Ping | Kind::Pong => written(&Ping { nonce: self.number() }),
            Kind::Message | Kind::Next => self.choices.bytes(40),
        }
    }

    pub(super) fn beat(&mut self) -> Beat<'static> {
        let (from, address) = (self.member(), self.address());
        Beat {
            versions: Versions { first: self.byte() % 4, last: self.byte() % 4 },
            from,
            incarnation: self.count(),
            sequence: self.number(),
            state: [MemberState::Ready, MemberState::Joining, MemberState::Leaving][index(self.choices, 3)],
            clock: if self.tame { self.choices.below(CLOCK) } else { self.number() },
            age_millis: self.number(),
            address,
            name: self.label(),
            weight: [100, 1, 1000, 0, u16::MAX][index(self.choices, 5)],
            host: self.label(),
            zone: self.label(),
            domain: self.label(),
            others: (0..self.choices.below(4)).map(|_| self.address()).collect(),
            direct: self.bool(),
            payload: Blob(self.label().as_bytes()),
        }
    }

    /// A beat of this stranger that is mostly taken.
    pub(super) fn beat_of(&mut self, stranger: &Stranger) -> Beat<'static> {
        let clock = if self.choices.below(16) == 15 { 1 << 62 } else { self.choices.below(CLOCK) };
        let versions = if self.choices.below(16) == 15 { Versions { first: 2, last: 1 } } else { Versions::up_to(1) };
        let domain = if self.choices.below(16) == 15 { "d" } else { "" };
        let (from, address) = (stranger.id, stranger.address);
        Beat { versions, from, clock, address, domain, weight: 100, ..self.beat() }
    }

    pub(super) fn hello(&mut self) -> Hello<'static> {
        Hello { fresh: self.bool(), copies: self.byte(), beat: self.beat() }
    }

    pub(super) fn hello_of(&mut self, stranger: &Stranger) -> Hello<'static> {
        let copies = [Copies::Everywhere, Copies::Backups(1), Copies::Nowhere][index(self.choices, 3)];
        Hello { fresh: self.bool(), copies: copies.code(), beat: self.beat_of(stranger) }
    }

    fn item(&mut self, to: &mut Vec<u8>) {
        let kind = match index(self.choices, ItemKind::ALL.len() * 2) {
            at if at < ItemKind::ALL.len() => ItemKind::ALL[at],
            _ => ItemKind::Delta,
        };
        let (key, value) = (self.key(), self.number());
        let length = Duration::from_millis(value);
        let mut items = ItemWriter(to);
        match kind {
            ItemKind::Delta | ItemKind::Found => {
                let session = self.session(key);
                let remaining = self.bool().then_some(length);
                // An honest member writes parts one after the other; in the round trip each delta stands for itself.
                let from = if self.tame { Change::default() } else { Change(self.choices.below(3)) };
                let (verify, partial) = (!self.tame && self.bool(), !self.tame && self.bool());
                let registers = Registers { from, skip: 0, verify, partial };
                let delta = DeltaWriter { key, session: &session, registers, remaining, now: Time::ZERO };
                let target = if self.tame { ROOM } else { index(self.choices, 1000) };
                let rest = items.write(kind, |bytes| delta.write(bytes, target, ROOM));
                assert!(rest.is_ok(), "there is room");
            }
            ItemKind::Missing => items.missing(key),
            ItemKind::Use => items.use_of(key, length),
            ItemKind::Ask => items.ask(key),
            ItemKind::Answer => items.answer(key, self.bool().then_some(length)),
            ItemKind::Offer => items.offer(key, Held { digest: value, counter: self.count(), owner: self.member() }),
            ItemKind::Offered => items.offered(self.members(), self.bool()),
            ItemKind::Pull => items.pull(key),
            ItemKind::Round => items.round(value),
            ItemKind::Done => items.done(value, self.members(), self.members()),
            ItemKind::Fetch => items.fetch(key),
            ItemKind::Release => items.release(key, value),
            ItemKind::Entry => {
                let (stamp, name) = (self.stamp(CLOCK), self.choices.bytes(4));
                let value = self.bool().then(|| self.choices.bytes(20));
                let remaining = if value.is_none() { length } else { Duration::ZERO };
                items.entry(&Brought { name: &name, stamp, value: value.as_deref(), remaining });
            }
            ItemKind::Map => items.map(value, self.bool()),
            ItemKind::Leaving => items.leaving(),
            ItemKind::Views => items.views(&[
                Announced { number: value, view: self.members().into_iter().collect() },
                Announced { number: value, view: self.members().into_iter().collect() },
            ]),
            ItemKind::Digest => items.digest(value, self.number()),
            ItemKind::Sums => items.sums(value, &[self.choices.below(3); BUCKETS]),
            ItemKind::Listing => {
                let (ours, theirs, from) = (self.number(), self.choices.below(3), digest::first(key.0[0]));
                let listed = self.bool().then_some((key, value)).into_iter().collect();
                items.listing(&Listing { view: value, ours, theirs, from, until: None, listed });
            }
        }
    }

    /// A session as merging makes it.
    fn session(&mut self, key: SessionKey) -> Session {
        let mut session = Session::default();
        if self.choices.below(4) == 3 {
            session.merge_floor(End { at: self.stamp(8), cause: self.cause() });
        }
        // A frame may carry no session that has no life.
        for _ in 0..=self.choices.below(3) {
            let birth = self.stamp(40);
            let counter = 1 + self.count() % ((1 << 30) - 1);
            let expired = match self.choices.below(4) {
                3 => Expired { counter, by_age: self.bool() },
                _ => Expired::NEVER,
            };
            session.merge_life(Life { birth, counter, owner: self.member(), expired });
        }
        for _ in 0..self.choices.below(3) {
            session.bury(&[self.stamp(30)], EndCause::Idle);
        }
        if self.choices.below(4) == 3 {
            let at = Stamp { clock: 40 + self.choices.below(10), writer: self.member() };
            let to = Some(self.key()).filter(|to| *to != key);
            session.add_link(Link { at, to, births: vec![self.stamp(40)] });
        }
        for _ in 0..self.choices.below(3) {
            let (birth, stamp) = (self.stamp(40), self.stamp(100));
            let length = Duration::from_millis(self.number() >> 1);
            let lifetime = [Lifetime::Never, Lifetime::Idle(length), Lifetime::Fixed(length)][index(self.choices, 3)];
            let until = self.bool().then(|| Time::ZERO + Duration::from_millis(self.number() >> 1));
            session.merge_lifetime(LifetimeRegister { birth, stamp, lifetime, until, changed: Change(1) });
        }
        for _ in 0..self.choices.below(5) {
            let (birth, stamp, name) = (self.stamp(40), self.stamp(100), self.choices.bytes(3));
            let value = self.bool().then(|| self.choices.bytes(30));
            let changed = Change(self.choices.below(3));
            let value = value.as_deref().map(Content::Slice);
            session.merge_attribute(Incoming { name: Content::Slice(&name), birth, stamp, value, changed });
        }
        session
    }

    fn stamp(&mut self, clock_max: u64) -> Stamp {
        Stamp { clock: self.choices.below(clock_max), writer: self.member() }
    }

    fn cause(&mut self) -> EndCause {
        let causes = [EndCause::Ended, EndCause::Idle, EndCause::Moved, EndCause::Replaced, EndCause::Lost];
        causes[index(self.choices, causes.len())]
    }

    fn key(&mut self) -> SessionKey {
        SessionKey([self.byte() % 4; 16])
    }

    fn members(&mut self) -> Vec<MemberId> {
        (0..self.choices.below(4)).map(|_| self.member()).collect()
    }

    fn member(&mut self) -> MemberId {
        MemberId(if self.choices.below(16) == 15 { self.number() } else { self.choices.below(6) })
    }

    fn address(&mut self) -> SocketAddr {
        let port = 4000 + u16::from(self.byte() % 8);
        if self.bool() { ([127, 0, 0, 1], port).into() } else { ([0, 0, 0, 0, 0, 0, 0, 1_u16], port).into() }
    }

    fn label(&mut self) -> &'static str {
        ["", "a", "b", LONG][index(self.choices, 4)]
    }

    fn number(&mut self) -> u64 {
        match self.choices.below(8) {
            0..4 => self.choices.below(8),
            4 => self.choices.below(10_000),
            5 => 1 << 62,
            6 => u64::MAX,
            _ => self.choices.below(u64::MAX),
        }
    }

    fn count(&mut self) -> u32 {
        u32::try_from(self.number() >> 32).unwrap_or(0).max(u32::from(self.byte() % 4))
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.choices.below(256)).expect("it is below 256")
    }

    fn bool(&mut self) -> bool {
        self.choices.below(2) == 1
    }
}
