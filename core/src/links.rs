//! The streams to other members: which are open, whose they are, and what has arrived of the next frame.
//!
//! A stream counts once both sides have greeted. Between two members there is one *current* stream: a newer one takes
//! its place, unless both were opened at the same moment; then the one that the lower id opened stays.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use crate::{
    io::{StreamId, Transmit},
    key::SessionKey,
    member::MemberId,
    protocol,
    session::Session,
    time::Time,
};

#[derive(Clone, Debug)]
pub(crate) struct Links {
    me: MemberId,
    greet_for: Duration,
    streams: BTreeMap<StreamId, Link>,
    current: BTreeMap<MemberId, StreamId>,
    next: u64,
}

/// One stream.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Whom it was opened to, or who has greeted.
    pub(crate) peer: Option<MemberId>,
    dialed: bool,
    /// It was dialed and is open.
    opened: bool,
    phase: Phase,
    /// What both sides speak, once they have greeted.
    pub(crate) version: u8,
    /// The driver holds the rest of a write.
    pub(crate) blocked: bool,
    /// What has arrived of the next frame.
    pub(crate) input: Vec<u8>,
    pub(crate) owes: Owes,
    /// The last feed frame that has arrived, and the last that is applied.
    pub(crate) received: u64,
    pub(crate) applied: u64,
    /// This node has slept since it last knew to have read all that was there.
    behind: Option<Behind>,
    /// A session of which more parts must come; `true` if it was asked for by a fetch.
    pub(crate) parts: Option<((bool, SessionKey), Session)>,
}

/// What is to be said on a stream beside the feed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owes {
    pub(crate) hello: bool,
    pub(crate) ack: bool,
    /// A word of the next version.
    pub(crate) next: bool,
    pub(crate) ping: Option<u64>,
    pub(crate) pong: Option<u64>,
}

impl Link {
    /// The peer, once both sides have greeted.
    pub(crate) fn greeted(&self) -> Option<MemberId> {
        self.peer.filter(|_| matches!(self.phase, Phase::Up(_)))
    }
}

impl Owes {
    pub(crate) const fn anything(&self) -> bool {
        self.hello || self.ack || self.next || self.ping.is_some() || self.pong.is_some()
    }
}

/// What arrives before the answer to this question may have waited all the time from one instant to the other.
#[derive(Clone, Copy, Debug)]
struct Behind {
    nonce: u64,
    since: Time,
    until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is being opened, or the other side has not greeted.
    Starting(Time),
    /// Both sides have greeted, at that time.
    Up(Time),
}

/// What became of a stream on which the other side has greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greeted {
    /// It is the current one now, in place of this one.
    Current(Option<StreamId>),
    /// Another one opened at the same moment stays the current one.
    Spare,
}

impl Links {
    /// A stream whose other side has not greeted within `greet_for` is closed.
    pub(crate) fn new(me: MemberId, greet_for: Duration) -> Self {
        Self { me, greet_for, streams: BTreeMap::new(), current: BTreeMap::new(), next: 0 }
    }

    /// Opens a stream to a member, unless that is under way.
    pub(crate) fn dial(&mut self, now: Time, peer: MemberId, to: SocketAddr) -> Option<Transmit> {
        let starting = |link: &Link| link.dialed && link.peer == Some(peer) && matches!(link.phase, Phase::Starting(_));
        if self.streams.values().any(starting) {
            return None;
        }
        let stream = self.add(now, Some(peer), true);
        Some(Transmit::Open { stream, to })
    }

    pub(crate) fn accept(&mut self, now: Time) -> StreamId {
        self.add(now, None, false)
    }

    /// A stream that was dialed is open: greet.
    pub(crate) fn handle_opened(&mut self, stream: StreamId) {
        if let Some(link) = self.streams.get_mut(&stream) {
            link.opened = true;
            link.owes.hello = true;
        }
    }

    /// The other side has greeted, and this is the version that both speak. `None` if that may not be: it has greeted before, or is not who was dialed.
    pub(crate) fn handle_greeted(
        &mut self,
        now: Time,
        stream: StreamId,
        peer: MemberId,
        version: u8,
    ) -> Option<Greeted> {
        let me = self.me;
        let greet_for = self.greet_for;
        let prefers = |link: &Link| link.dialed == (me < peer);
        let link = self.streams.get(&stream)?;
        if !matches!(link.phase, Phase::Starting(_)) || link.peer.is_some_and(|expected| expected != peer) {
            return None;
        }
        let newer_wins = prefers(link);
        let before = self.current.get(&peer).copied();
        let young = before.and_then(|stream| self.streams.get(&stream)).is_some_and(|link| match link.phase {
            Phase::Up(since) => prefers(link) && now.since(since) < greet_for,
            Phase::Starting(_) => false,
        });
        let link = self.streams.get_mut(&stream)?;
        link.peer = Some(peer);
        link.phase = Phase::Up(now);
        link.version = version;
        link.owes.hello |= !link.dialed;
        link.owes.next = true;
        if young && !newer_wins {
            return Some(Greeted::Spare);
        }
        self.current.insert(peer, stream);
        Some(Greeted::Current(before))
    }

    /// This node slept: what arrives on any stream may have waited `since` then, until the other side has answered.
    pub(crate) fn handle_slept(&mut self, now: Time, since: Time, late: Duration, nonce: u64) {
        for link in self.streams.values_mut() {
            let since = link.behind.map_or(since, |behind| behind.since);
            link.behind = Some(Behind { nonce, since, until: now });
            link.owes.ping = Some(nonce);
            if let Phase::Starting(until) = &mut link.phase {
                *until = *until + late;
            }
        }
    }

    /// The other side has answered.
    pub(crate) fn handle_pong(&mut self, stream: StreamId, nonce: u64) {
        if let Some(link) = self.streams.get_mut(&stream) {
            link.behind = link.behind.filter(|behind| behind.nonce != nonce);
        }
    }

    /// Asks the other side whether it lives.
    pub(crate) fn ping(&mut self, peer: MemberId, nonce: u64) {
        for link in self.streams.values_mut().filter(|link| link.peer == Some(peer)) {
            link.owes.ping = Some(nonce);
            if let Some(behind) = &mut link.behind {
                behind.nonce = nonce;
            }
        }
    }

    /// A stream is gone. Tells whose current one it was, or whom it was being opened to.
    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<Gone> {
        let link = self.streams.remove(&stream)?;
        let peer = link.peer?;
        if self.current.get(&peer) == Some(&stream) {
            self.current.remove(&peer);
            return Some(Gone::Current(peer));
        }
        let linked = self.current.contains_key(&peer);
        let gone = if link.opened { Gone::Refused(peer) } else { Gone::Dialed(peer) };
        (link.dialed && !linked && matches!(link.phase, Phase::Starting(_))).then_some(gone)
    }

    /// All streams to a member.
    pub(crate) fn streams_of(&self, peer: MemberId) -> Vec<StreamId> {
        self.streams.iter().filter(|(_, link)| link.peer == Some(peer)).map(|(stream, _)| *stream).collect()
    }

    /// Takes one stream whose other side has not greeted in time.
    pub(crate) fn poll_late(&mut self, now: Time) -> Option<StreamId> {
        let late = |link: &Link| matches!(link.phase, Phase::Starting(until) if until <= now);
        self.streams.iter().find(|(_, link)| late(link)).map(|(stream, _)| *stream)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let starting = self.streams.values().filter_map(|link| match link.phase {
            Phase::Starting(until) => Some(until),
            Phase::Up(_) => None,
        });
        starting.min()
    }

    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Link> {
        self.streams.get_mut(&stream)
    }

    pub(crate) fn is_current(&self, stream: StreamId) -> bool {
        let peer = self.streams.get(&stream).and_then(|link| link.peer);
        peer.is_some_and(|peer| self.current.get(&peer) == Some(&stream))
    }

    /// The current stream to a member.
    pub(crate) fn current(&self, peer: MemberId) -> Option<StreamId> {
        self.current.get(&peer).copied()
    }

    /// How long what arrives on this stream may have waited because this node slept.
    pub(crate) fn lag(&self, stream: StreamId) -> Duration {
        let behind = self.streams.get(&stream).and_then(|link| link.behind);
        behind.map_or(Duration::ZERO, |behind| behind.until.since(behind.since))
    }

    /// The peer of a stream on which both sides have greeted.
    pub(crate) fn peer(&self, stream: StreamId) -> Option<MemberId> {
        self.streams.get(&stream)?.greeted()
    }

    /// What is spoken on a stream.
    pub(crate) fn version(&self, stream: StreamId) -> u8 {
        self.streams.get(&stream).map_or(protocol::FIRST, |link| link.version)
    }

    /// All streams, those after this one first.
    pub(crate) fn ring(&self, after: StreamId) -> impl Iterator<Item = (StreamId, &Link)> {
        let (later, earlier) = (self.streams.range(StreamId(after.0 + 1)..), self.streams.range(..=after));
        later.chain(earlier).map(|(stream, link)| (*stream, link))
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }

    fn add(&mut self, now: Time, peer: Option<MemberId>, dialed: bool) -> StreamId {
        self.next += 1;
        let stream = StreamId(self.next);
        let link = Link {
            peer,
            dialed,
            opened: false,
            phase: Phase::Starting(now + self.greet_for),
            version: protocol::FIRST,
            blocked: false,
            input: Vec::new(),
            owes: Owes::default(),
            received: 0,
            applied: 0,
            behind: None,
            parts: None,
        };
        self.streams.insert(stream, link);
        stream
    }
}

/// A stream that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It was the current one of this member.
    Current(MemberId),
    /// It was being opened to this member, to which there is none.
    Dialed(MemberId),
    /// The same, and it was open: one of the two refused the greeting of the other.
    Refused(MemberId),
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: MemberId = MemberId(2);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn linked() -> (Links, StreamId) {
        let mut links = Links::new(MemberId(1), Duration::from_secs(1));
        let stream = links.accept(at(0));
        assert_eq!(links.handle_greeted(at(0), stream, PEER, 1), Some(Greeted::Current(None)));
        (links, stream)
    }

    /// Takes the question that a stream owes.
    fn asked(links: &mut Links, stream: StreamId) -> Option<u64> {
        links.get_mut(stream).and_then(|link| link.owes.ping.take())
    }

    #[test]
    fn what_comes_before_the_answer_may_have_waited_for_as_long_as_this_node_slept() {
        let (mut links, stream) = linked();
        assert_eq!(links.lag(stream), Duration::ZERO);
        links.handle_slept(at(10), at(3), Duration::from_secs(6), 77);
        assert_eq!((asked(&mut links, stream), links.lag(stream)), (Some(77), Duration::from_secs(7)));
        links.handle_pong(stream, 5);
        assert_eq!(links.lag(stream), Duration::from_secs(7));
        links.handle_pong(stream, 77);
        assert_eq!(links.lag(stream), Duration::ZERO);
    }

    #[test]
    fn who_sleeps_again_before_the_answer_counts_from_the_first_time() {
        let (mut links, stream) = linked();
        links.handle_slept(at(10), at(3), Duration::from_secs(6), 77);
        links.handle_slept(at(20), at(11), Duration::from_secs(8), 78);
        links.handle_pong(stream, 77);
        assert_eq!(links.lag(stream), Duration::from_secs(17));
        links.handle_pong(stream, 78);
        assert_eq!(links.lag(stream), Duration::ZERO);
    }

    /// The question of a probe takes the place of one that was not sent yet, and its answer comes behind just as much.
    #[test]
    fn the_answer_to_a_later_question_is_as_good() {
        let (mut links, stream) = linked();
        links.handle_slept(at(10), at(3), Duration::from_secs(6), 77);
        links.ping(PEER, 78);
        assert_eq!(asked(&mut links, stream), Some(78));
        links.handle_pong(stream, 78);
        assert_eq!(links.lag(stream), Duration::ZERO);
    }

    #[test]
    fn a_stream_that_was_being_opened_has_its_time_when_this_node_wakes() {
        let mut links = Links::new(MemberId(1), Duration::from_secs(1));
        let stream = links.accept(at(0));
        links.handle_slept(at(10), at(0), Duration::from_secs(10), 77);
        assert_eq!(links.poll_late(at(10)), None);
        assert_eq!(links.poll_late(at(11)), Some(stream));
    }
}
