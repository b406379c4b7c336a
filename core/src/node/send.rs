//! What goes out on streams: built when there is room for it.

use alloc::vec::Vec;

use super::{
    Node,
    building::{Building, Written},
    map::write_entries,
};
use crate::{
    beats::Word,
    copies::Unit,
    digest::Digests,
    feed::{Carried, Feed, Lack, Note, Parts, Walk},
    io::{StreamId, Transmit},
    join::Joiners,
    key::SessionKey,
    links::{Link, Owes},
    map::SharedMap,
    member::MemberId,
    ownership::Ownership,
    placement::Placement,
    planted::Bug,
    protocol::NEXT,
    quorum::Quorum,
    relocation::Relocation,
    session::Change,
    sessions::Sessions,
    time::Time,
    traffic::Traffic,
    wire::{self, Ack, AckMore, BeatMore, DeltaWriter, FeedHead, FrameWriter, Hello, ItemKind, Kind, Ping, Registers},
};

/// A frame takes no more items once it is this long.
const FRAME_TARGET: usize = 64 << 10;

impl Node {
    /// The frame of a beat.
    pub(super) fn beat(&mut self, now: Time, direct: bool) -> Vec<u8> {
        let (clock, config, payload) = (self.clock.last(), &self.config, &self.payload);
        let word = Word { state: self.told_state(), clock, config, payload };
        let beat = self.membership.beat(now, word, direct);
        let writer = FrameWriter::new(self.cluster);
        let bytes = match self.speaks_next() {
            true => writer.datagram(Kind::Beat, &(beat, BeatMore::default())),
            false => writer.datagram(Kind::Beat, &beat),
        };
        assert!(bytes.len() <= wire::DATAGRAM_MAX, "a beat fits a datagram");
        bytes
    }

    /// Whether there is something to send and it may be put off until something is acknowledged: everybody who lacks something has yet to acknowledge so
    /// many frames of feeds. What is committed in the meantime goes out together. A driver that puts it off must not do so
    /// for long: a peer may be slow to answer.
    pub fn may_put_off(&self, frames: usize) -> bool {
        let mut any = false;
        let mut waits = |(peer, feed): (&MemberId, &Feed)| {
            any |= feed.has_work();
            (!feed.has_work() || feed.may_wait(frames)) && !self.messages.waits(*peer)
        };
        self.outbox.is_empty() && self.feeds.iter().all(&mut waits) && any
    }

    /// The next write for any stream that takes one: streams take turns.
    pub(super) fn build_write(&mut self, now: Time) -> Option<Transmit> {
        let has_word = |(stream, link): &(StreamId, &Link)| self.has_word(*stream, link);
        let streams: Vec<_> = self.links.ring(self.last_served).filter(has_word).map(|(stream, _)| stream).collect();
        for stream in streams {
            let bytes = self.build(now, stream);
            if !bytes.is_empty() {
                self.last_served = stream;
                self.stats.stream_bytes_sent += bytes.len() as u64;
                return Some(Transmit::Write { stream, bytes: bytes.into() });
            }
        }
        None
    }

    /// Whether there may be anything to say on a stream. Mostly there is not, and this is asked far more often than frames are
    /// built.
    fn has_word(&self, stream: StreamId, link: &Link) -> bool {
        let waits = |peer: MemberId| {
            let has_work = self.feeds.get(&peer).is_some_and(Feed::has_work) || self.messages.waits(peer);
            has_work && self.links.current(peer) == Some(stream)
        };
        !link.blocked && (link.owes.anything() || link.greeted().is_some_and(waits))
    }

    /// Everything that is to be said on a stream now, up to about one full frame.
    fn build(&mut self, now: Time, stream: StreamId) -> Vec<u8> {
        let up = self.links.peer(stream);
        let known = self.links.get_mut(stream).and_then(|link| link.peer);
        let fresh = known.and_then(|peer| self.feeds.get(&peer)).is_none_or(Feed::is_fresh);
        let current = self.links.is_current(stream);
        let Some(link) = self.links.get_mut(stream).filter(|link| !link.blocked) else { return Vec::new() };
        let mut writer = FrameWriter::new(self.cluster).within(self.config.frame_max);
        let clock = self.clock.last();
        let (applied, version) = (link.applied, link.version);
        // Until both sides have greeted nothing else may be said.
        let later = if up.is_none() { Owes { hello: false, ..link.owes } } else { Owes::default() };
        let owes = core::mem::replace(&mut link.owes, later);
        if owes.hello {
            let word = Word { state: self.told_state(), clock, config: &self.config, payload: &self.payload };
            let beat = self.membership.beat(now, word, false);
            let hello = Hello { fresh, copies: self.config.copies.code(), beat };
            match self.speaks_next() {
                true => writer.frame(Kind::Hello, &(hello, BeatMore::default())),
                false => writer.frame(Kind::Hello, &hello),
            }
        }
        let Some(peer) = up else { return writer.into_bytes() };
        writer.speak(version);
        if owes.next && self.speaks_next() {
            writer.frame_of_bytes(Kind::Next, &[]);
        }
        if let Some(nonce) = owes.ping {
            writer.frame(Kind::Ping, &Ping { nonce });
        }
        if let Some(nonce) = owes.pong {
            writer.frame(Kind::Pong, &Ping { nonce });
        }
        let mut asks = false;
        let is_whole = self.sums_are_ready(peer);
        if let Some(feed) = self.feeds.get_mut(&peer).filter(|_| current) {
            let source = Source {
                now,
                me: self.id,
                change: self.change,
                round: self.rounds.round(),
                sessions: &self.sessions,
                ownership: &self.ownership,
                joiners: &self.joiners,
                relocation: &self.relocation,
                quorum: &self.quorum,
                map: &self.map,
                digests: is_whole.then_some(&self.digests),
                placement: &self.placement,
                unit: self.config.unit,
            };
            if feed.has_work() {
                self.stats.deltas_sent += source.build_feed(peer, feed, &mut writer, clock, &mut self.traffic);
            }
            asks = feed.has_questions();
        }
        if owes.ack && asks {
            // Who hears the acknowledgement must have heard the questions: it relies on the receiver having all it needs.
            if let Some(link) = self.links.get_mut(stream) {
                link.owes.ack = true;
            }
        } else if owes.ack {
            let ack = Ack { number: applied, clock };
            match NEXT <= version {
                true => writer.frame(Kind::Ack, &(ack, AckMore::default())),
                false => writer.frame(Kind::Ack, &ack),
            }
        }
        if current {
            self.write_messages(peer, &mut writer);
        }
        writer.into_bytes()
    }
}

/// Where the content of a feed frame is looked up.
pub(super) struct Source<'a> {
    pub(super) now: Time,
    pub(super) me: MemberId,
    pub(super) change: Change,
    pub(super) round: u64,
    pub(super) sessions: &'a Sessions,
    pub(super) ownership: &'a Ownership,
    pub(super) joiners: &'a Joiners,
    pub(super) relocation: &'a Relocation,
    pub(super) quorum: &'a Quorum,
    pub(super) map: &'a SharedMap,
    /// None if they are not whole at present.
    pub(super) digests: Option<&'a Digests>,
    pub(super) placement: &'a Placement,
    pub(super) unit: Unit,
}

impl Source<'_> {
    /// Builds one frame; returns how many deltas it carries.
    fn build_feed(
        &self,
        peer: MemberId,
        feed: &mut Feed,
        writer: &mut FrameWriter,
        clock: u64,
        traffic: &mut Traffic,
    ) -> u64 {
        let start = writer.start(Kind::Feed);
        writer.put(&FeedHead { number: feed.next_number(), clock });
        let empty = writer.frame_bytes(start);
        let mut frame =
            Building { writer, start, target: FRAME_TARGET, carried: Vec::new(), deltas: 0, traffic, in_parts: false };
        self.add_parts(feed, &mut frame);
        self.add_notes(peer, feed, &mut frame);
        if frame.has_room() {
            let written = (&mut *frame.writer, start);
            write_entries((self.now, self.map, self.change), feed, written, FRAME_TARGET / 2, &mut frame.carried);
        }
        while frame.has_room() {
            let Some((key, lack)) = feed.next_lacking() else { break };
            if self.sessions.record(&key).is_some() && self.sessions.is_linked(&key) {
                if !self.add_linked(feed, key, &mut frame) {
                    break;
                }
            } else if self.add_delta(feed, key, lack, &mut frame) {
                feed.take_lacking(key);
            } else {
                break;
            }
        }
        self.add_walk(feed, &mut frame);
        let Building { carried, deltas, .. } = frame;
        if writer.frame_bytes(start) == empty && feed.walk().is_none() {
            // The walk found nothing to feed to its end.
            writer.bytes().truncate(start);
            return 0;
        }
        writer.finish(start);
        feed.mark_sent(carried);
        deltas
    }

    /// Goes on with a session that travels in parts.
    fn add_parts(&self, feed: &mut Feed, frame: &mut Building<'_>) {
        if let Some(parts) = feed.take_parts() {
            self.add_part(feed, parts, frame);
        }
    }

    /// Adds what a peer lacks of a session and of those that are linked with it: a link goes with what has moved along it,
    /// in one frame, and before it. `false` if the frame has no room for them.
    fn add_linked(&self, feed: &mut Feed, key: SessionKey, frame: &mut Building<'_>) -> bool {
        let (length, carried, deltas) = (frame.writer.bytes().len(), frame.carried.len(), frame.deltas);
        let mut added = Vec::new();
        for key in self.sessions.linked(key) {
            let Some(lack) = feed.lacking(&key).filter(|_| !frame.in_parts) else { continue };
            if self.add_delta(feed, key, lack, frame) {
                feed.take_lacking(key);
                added.push((key, lack));
            } else if !added.is_empty() && 0 < carried {
                // Together in the next frame. If that has no room either, one after the other.
                frame.writer.bytes().truncate(length);
                frame.carried.truncate(carried);
                frame.deltas = deltas;
                added.into_iter().for_each(|(key, lack)| feed.lack_again(key, lack));
                return false;
            } else {
                return false;
            }
        }
        true
    }

    /// Adds what a peer lacks of a session, or that nothing is held of it; `false` if the frame has no room for it.
    fn add_delta(&self, feed: &mut Feed, key: SessionKey, lack: Lack, frame: &mut Building<'_>) -> bool {
        let purpose = Carried::Changes(key, lack, self.change);
        let Some(session) = self.sessions.record(&key) else {
            frame.items().missing(key);
            frame.carried.push(purpose);
            return true;
        };
        let whole = self.unit == Unit::WholeSession && session.has_changed_since(lack.from);
        let registers = Registers {
            from: if whole { Change::default() } else { lack.from },
            skip: 0,
            verify: lack.verify,
            partial: self.sessions.is_partial(&key),
        };
        self.add_session(feed, (ItemKind::Delta, key), registers, purpose, frame)
    }

    /// Adds the copy that a peer has asked for; `false` if the frame has no room for it.
    pub(super) fn add_found(&self, feed: &mut Feed, key: SessionKey, frame: &mut Building<'_>) -> bool {
        let purpose = Carried::Note(Note::Found(key));
        if self.sessions.record(&key).is_none() {
            frame.items().missing(key);
            frame.carried.push(purpose);
            return true;
        }
        let registers = Registers { partial: self.sessions.is_partial(&key), ..Registers::default() };
        self.add_session(feed, (ItemKind::Found, key), registers, purpose, frame)
    }

    fn add_session(
        &self,
        feed: &mut Feed,
        (kind, key): (ItemKind, SessionKey),
        registers: Registers,
        purpose: Carried,
        frame: &mut Building<'_>,
    ) -> bool {
        let Some(session) = self.sessions.record(&key) else { return true };
        let remaining = self.sessions.remaining(self.now, &key);
        let delta = DeltaWriter { key, session, registers, remaining, now: self.now };
        match frame.delta(kind, &delta) {
            Written::Whole => {
                frame.carried.push(purpose);
                true
            }
            Written::Part(skip) => {
                let (session, registers) = (session.clone(), Registers { skip, ..registers });
                feed.keep_parts(Parts { key, session, kind, registers, remaining, purpose });
                true
            }
            Written::Nothing => false,
        }
    }

    fn add_part(&self, feed: &mut Feed, parts: Parts, frame: &mut Building<'_>) {
        let Parts { key, kind, registers, remaining, purpose, .. } = parts;
        let delta = DeltaWriter { key, session: &parts.session, registers, remaining, now: self.now };
        match frame.delta(kind, &delta) {
            Written::Whole => {
                frame.in_parts = false;
                frame.carried.push(purpose);
            }
            Written::Part(skip) => feed.keep_parts(Parts { registers: Registers { skip, ..registers }, ..parts }),
            Written::Nothing => feed.keep_parts(parts),
        }
    }

    /// Goes on with the walk over the table.
    fn add_walk(&self, feed: &mut Feed, frame: &mut Building<'_>) {
        let Some((walk, cursor)) = feed.walk() else { return };
        for (looked, (key, session)) in self.sessions.records_after(cursor).enumerate() {
            if !frame.has_room() || WALK_MAX < looked {
                return;
            }
            let fed = match walk {
                Walk::Owned => session.owner() == Some(self.me) && (session.is_live() || !Bug::NoEnds.is_planted()),
                Walk::All => session.is_live() || !Bug::NoEnds.is_planted(),
            };
            if fed && self.sessions.is_linked(key) {
                // With the links that lead here: see above.
                for key in self.sessions.ancestors(*key).into_iter().chain([*key]) {
                    feed.lack(self.now, key, Change::default());
                }
                feed.walked_to(*key);
                if !self.add_linked(feed, *key, frame) {
                    return;
                }
                continue;
            }
            if fed {
                if !self.add_delta(feed, *key, Lack::default(), frame) {
                    return;
                }
                feed.take_lacking(*key);
            }
            feed.walked_to(*key);
        }
        if !frame.has_room() {
            return;
        }
        feed.end_walk();
    }
}

/// Sessions of others that one frame's walk passes by at the most.
const WALK_MAX: usize = 16 << 10;
