//! What arrives: datagrams, and the frames of streams.

use core::net::SocketAddr;

use super::{Leaving, Node};
use crate::{
    feed::{Carried, Note},
    io::{Event, FrameError, StreamId, Transmit},
    key::SessionKey,
    links::Greeted,
    member::{MemberId, MemberState},
    planted::Bug,
    protocol::NEXT,
    time::Time,
    wire::{self, Ack, AckMore, Declared, FeedHead, Frame, Item, Items, Kind, Ping},
};

/// A clock this far ahead of this node's wall clock is reported.
const CLOCK_AHEAD_MILLIS: u64 = 60_000;

impl Node {
    pub(super) fn receive_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) -> Result<(), FrameError> {
        if self.leaving == Leaving::Left {
            return Ok(());
        }
        let frame = wire::open(bytes, self.cluster)?;
        self.check_version(from, frame)?;
        let Frame { kind, body, .. } = frame;
        match kind {
            Kind::Beat => {
                let beat = self.read_beat(body)?;
                if beat.domain == self.config.domain {
                    self.hear_clock(now, beat.from, beat.clock)?;
                }
                self.membership.handle_beat(now, &beat);
            }
            Kind::Probe => self.receive_probe(from, wire::read_known(body)?),
            Kind::Alive => self.receive_alive(now, wire::read_known(body)?),
            Kind::Relay => self.receive_relay(now, wire::read_known(body)?),
            Kind::Relayed => self.receive_relayed(now, wire::read_known(body)?),
            Kind::Declared => {
                let declared: Declared = wire::read_known(body)?;
                if declared.to == self.id {
                    self.membership.handle_declared(now, from, declared.incarnation);
                }
            }
            Kind::Bye => {
                let member: MemberId = wire::read_known(body)?;
                self.membership.handle_bye(now, member);
            }
            Kind::Hello | Kind::Feed | Kind::Ack | Kind::Ping | Kind::Pong | Kind::Message | Kind::Next => {
                return Err(FrameError::Unexpected);
            }
        }
        Ok(())
    }

    pub(super) fn receive_stream(&mut self, now: Time, stream: StreamId, bytes: &[u8]) -> Result<(), FrameError> {
        let link = self.links.get_mut(stream).ok_or(FrameError::NoStream)?;
        let mut kept = core::mem::take(&mut link.input);
        let arrived = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept
        };
        let mut rest = arrived;
        while let Some((frame, taken)) = wire::split(rest, self.config.frame_max)? {
            rest = &rest[taken..];
            match wire::open(frame, self.cluster) {
                Ok(Frame { kind: Kind::Next, .. }) if !self.speaks_next() => self.stats.kinds_unknown += 1,
                Ok(frame) => self.receive_frame(now, stream, frame)?,
                Err(FrameError::Kind) => self.stats.kinds_unknown += 1,
                Err(error) => return Err(error),
            }
            if self.links.get_mut(stream).is_none() {
                return Ok(());
            }
        }
        if let Some(link) = self.links.get_mut(stream) {
            let used = arrived.len() - rest.len();
            if kept.is_empty() {
                link.input.extend_from_slice(rest);
            } else {
                kept.drain(..used);
                link.input = kept;
            }
        }
        Ok(())
    }

    fn receive_frame(&mut self, now: Time, stream: StreamId, frame: Frame<'_>) -> Result<(), FrameError> {
        if frame.kind == Kind::Hello {
            return self.receive_hello(now, stream, frame.body);
        }
        let peer = self.links.peer(stream).ok_or(FrameError::Unexpected)?;
        if frame.version != self.links.version(stream) {
            return Err(FrameError::Version);
        }
        self.membership.handle_life(now, peer);
        if let Some(feed) = self.feeds.get_mut(&peer) {
            // Who sends anything else has heard the greeting.
            feed.handle_known();
        }
        match frame.kind {
            Kind::Feed => self.receive_feed(now, stream, peer, frame.body),
            Kind::Ack => {
                let ack: Ack = match NEXT <= frame.version {
                    true => wire::read::<(Ack, AckMore)>(frame.body)?.0,
                    false => wire::read(frame.body)?,
                };
                self.hear_clock(now, peer, ack.clock)?;
                if self.links.is_current(stream) {
                    self.receive_ack(peer, ack.number)?;
                }
                Ok(())
            }
            Kind::Ping => {
                let ping: Ping = wire::read(frame.body)?;
                if let Some(link) = self.links.get_mut(stream) {
                    link.owes.pong = Some(ping.nonce);
                }
                Ok(())
            }
            Kind::Message => {
                self.receive_message(stream, peer, frame.body);
                Ok(())
            }
            Kind::Pong => {
                let pong: Ping = wire::read(frame.body)?;
                self.links.handle_pong(stream, pong.nonce);
                Ok(())
            }
            Kind::Next => Ok(()),
            Kind::Bye => {
                let _: MemberId = wire::read(frame.body)?;
                self.membership.handle_bye(now, peer);
                Ok(())
            }
            Kind::Beat | Kind::Probe | Kind::Alive | Kind::Declared | Kind::Relay | Kind::Relayed | Kind::Hello => {
                Err(FrameError::Unexpected)
            }
        }
    }

    fn receive_hello(&mut self, now: Time, stream: StreamId, body: &[u8]) -> Result<(), FrameError> {
        let (hello, version) = self.read_hello(body)?;
        if hello.beat.domain != self.config.domain {
            return Err(FrameError::Domain);
        }
        self.hear_clock(now, hello.beat.from, hello.beat.clock)?;
        let expected = self.links.get_mut(stream).and_then(|link| link.peer);
        if expected.is_some_and(|expected| expected != hello.beat.from) || self.leaving == Leaving::Left {
            return Err(FrameError::Unexpected);
        }
        if hello.copies != self.config.copies.code() {
            self.membership.handle_mismatched(&hello.beat);
            return Err(FrameError::Copies);
        }
        if !self.membership.handle_hello(now, &hello.beat) {
            return Err(FrameError::Unexpected);
        }
        self.membership.note_version(hello.beat.from, version);
        if hello.fresh {
            self.handle_forgotten(now, hello.beat.from);
        }
        // What follows the greeting in the same bytes must find the feed.
        self.handle_view_changes(now);
        match self.links.handle_greeted(now, stream, hello.beat.from, version).ok_or(FrameError::Unexpected)? {
            Greeted::Current(Some(before)) => {
                if let Some(feed) = self.feeds.get_mut(&hello.beat.from) {
                    feed.handle_broken();
                }
                self.links.remove(before);
                self.outbox.push_back(Transmit::Close { stream: before });
            }
            Greeted::Current(None) => {}
            Greeted::Spare => {
                self.links.remove(stream);
                self.outbox.push_back(Transmit::Close { stream });
            }
        }
        Ok(())
    }

    /// A member had removed this one: it may have forgotten ends meanwhile, and that it was asked for word.
    fn handle_forgotten(&mut self, now: Time, peer: MemberId) {
        self.feed_map(peer);
        self.tell_views_to(peer);
        let everywhere = self.is_everywhere();
        let Some(feed) = self.feeds.get_mut(&peer) else { return };
        if self.state == MemberState::Joining {
            if self.rounds.handle_forgotten(peer) {
                feed.note(Note::Round);
            }
        } else if everywhere {
            feed.walk_all();
            self.replaced = true;
        } else {
            self.relocation.handle_placement(now, self.placement.without(peer));
        }
    }

    fn receive_feed(&mut self, now: Time, stream: StreamId, peer: MemberId, body: &[u8]) -> Result<(), FrameError> {
        let (head, items): (FeedHead, _) = wire::read_head(body)?;
        self.hear_clock(now, peer, head.clock)?;
        let link = self.links.get_mut(stream).ok_or(FrameError::NoStream)?;
        if head.number != link.received + 1 {
            return Err(FrameError::Unexpected);
        }
        // The whole frame is checked before anything of it is applied.
        let mut unknown = 0;
        for item in Items::new(items, head.clock) {
            match item? {
                Some(Item::Delta(delta)) => self.check_delta(&delta)?,
                Some(Item::Entry(entry)) => self.check_entry(&entry)?,
                Some(_) => {}
                None => unknown += 1,
            }
        }
        self.stats.kinds_unknown += unknown;
        for item in Items::new(items, head.clock) {
            if let Ok(Some(item)) = item {
                self.receive_item(now, stream, peer, item)?;
            }
        }
        if let Some(link) = self.links.get_mut(stream) {
            link.received = head.number;
            if link.parts.is_none() {
                link.applied = head.number;
                link.owes.ack = true;
            }
        }
        Ok(())
    }

    fn receive_item(&mut self, now: Time, stream: StreamId, peer: MemberId, item: Item<'_>) -> Result<(), FrameError> {
        // How long a session lives on counts from when that was said, or from before.
        let said = now - self.links.lag(stream);
        match item {
            Item::Delta(delta) => return self.receive_delta(now, (stream, said), peer, &delta),
            Item::Found(delta) => return self.receive_found((stream, said), peer, &delta),
            Item::Fetch(key) => {
                if self.owns(&key) {
                    self.fetches.handle_lent(now, key, now + self.config.fetch_for);
                }
                if let Some(feed) = self.feeds.get_mut(&peer) {
                    feed.note(Note::Found(key));
                }
            }
            Item::Release(key, digest) => self.receive_release(peer, key, digest),
            Item::Entry(entry) => self.receive_entry(now, peer, entry),
            Item::Leaving => self.membership.handle_leaving(peer),
            Item::Views(views) => {
                if self.feeds.contains_key(&peer) {
                    self.quorum.handle_word(peer, views);
                }
            }
            Item::Map(digest, asks) => self.receive_map(peer, digest, asks),
            Item::Digest(view, root) => self.receive_digest(now, peer, view, root),
            Item::Sums(view, sums) => self.receive_sums(now, peer, view, &sums),
            Item::Listing(listing) => self.receive_listing(now, peer, listing),
            Item::Missing(key) => self.receive_missing(now, peer, key),
            Item::Use(key, remaining) => {
                if self.sessions.use_elsewhere(said, &key, remaining) && self.owns(&key) {
                    self.note_holders(&key, Note::Use(key), Some(peer));
                }
            }
            Item::Ask(key) => {
                if let Some(feed) = self.feeds.get_mut(&peer) {
                    feed.note(Note::Answer(key));
                }
            }
            Item::Answer(key, remaining) => {
                if let Some(remaining) = remaining {
                    self.sessions.use_elsewhere(said, &key, remaining);
                }
                self.expiry.handle_answer(key, peer);
            }
            Item::Offer(key, held) => self.receive_offer(now, peer, key, held),
            Item::Offered(dead, asks) => {
                self.ownership.handle_offered(now, peer, &dead, &self.others.all, self.id);
                if asks
                    && self.ownership.has_offered()
                    && let Some(feed) = self.feeds.get_mut(&peer)
                {
                    feed.note(Note::OfferedBefore);
                }
            }
            Item::Pull(key) => self.receive_pull(now, peer, key),
            Item::Round(round) => self.joiners.handle_round(peer, round),
            Item::Done(round, view, settled) => self.rounds.handle_done(peer, round, view, settled),
        }
        Ok(())
    }

    fn receive_ack(&mut self, peer: MemberId, number: u64) -> Result<(), FrameError> {
        let Some(feed) = self.feeds.get_mut(&peer) else { return Ok(()) };
        if feed.next_number() <= number {
            return Err(FrameError::Unexpected);
        }
        for carried in feed.handle_ack(number) {
            match carried {
                Carried::Changes(key, lack, to) => {
                    self.commits.handle_ack(key, lack.from, to, peer);
                    self.note_shared(&key, peer);
                    self.release(key);
                }
                Carried::Entry(id, from, to) => self.map_commits.handle_ack(id, from, to, peer),
                Carried::Note(Note::Leaving) => self.replaced = true,
                Carried::Note(Note::Offer(key)) => self.note_shared(&key, peer),
                Carried::Note(Note::Release(key)) => self.relocation.end_offer(&key, peer),
                Carried::Note(_) => {}
            }
        }
        Ok(())
    }

    fn hear_clock(&mut self, now: Time, member: MemberId, clock: u64) -> Result<(), FrameError> {
        if wire::CLOCK_MAX < clock {
            return Err(FrameError::Body);
        }
        if Bug::DeafClock.is_planted() {
            return Ok(());
        }
        let ahead = self.clock.handle_clock(now, clock);
        if ahead < CLOCK_AHEAD_MILLIS {
            self.ahead.remove(&member);
        } else if self.ahead.len() < self.config.members_max && self.ahead.insert(member) {
            self.raise(Event::ClockAhead(member, ahead));
        }
        Ok(())
    }

    pub(super) fn owns(&self, key: &SessionKey) -> bool {
        self.sessions.record(key).is_some_and(|session| session.owner() == Some(self.id))
    }
}
