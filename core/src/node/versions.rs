//! Two versions of the protocol at once: what is spoken with whom.

use core::net::SocketAddr;

use super::Node;
use crate::{
    io::FrameError,
    protocol::{NEXT, Versions},
    wire::{self, Beat, BeatHead, BeatMore, Frame, Hello, HelloHead, Kind},
};

impl Node {
    /// Refuses a datagram that this node cannot read, and notes a member with which it cannot speak.
    pub(super) fn check_version(&mut self, from: SocketAddr, frame: Frame<'_>) -> Result<(), FrameError> {
        let ours = self.config.versions();
        if frame.kind == Kind::Beat {
            // In whatever version it is written: this much of it can be read.
            let BeatHead { versions: theirs, from: member } = wire::read_known(frame.body)?;
            if ours.common(theirs).is_none() {
                self.membership.handle_incompatible(member, from, theirs);
                return Err(FrameError::Version);
            }
        }
        let written = Versions { first: frame.version, last: frame.version };
        ours.common(written).map(|_| ()).ok_or(FrameError::Version)
    }

    pub(super) fn read_beat<'a>(&self, body: &'a [u8]) -> Result<Beat<'a>, FrameError> {
        let (beat, more): (Beat<'_>, _) = wire::read_head(body)?;
        self.check_more(beat, more)
    }

    /// A greeting, and what this node and its sender speak.
    pub(super) fn read_hello<'a>(&self, body: &'a [u8]) -> Result<(Hello<'a>, u8), FrameError> {
        let HelloHead { beat: BeatHead { versions: theirs, .. }, .. } = wire::read_known(body)?;
        let version = self.config.versions().common(theirs).ok_or(FrameError::Version)?;
        let (hello, more): (Hello<'_>, _) = wire::read_head(body)?;
        let beat = self.check_more(hello.beat, more)?;
        Ok((Hello { beat, ..hello }, version))
    }

    /// Checks a beat, and what stands behind it as far as this node knows of it.
    fn check_more<'a>(&self, beat: Beat<'a>, more: &[u8]) -> Result<Beat<'a>, FrameError> {
        if self.speaks_next() && NEXT <= beat.versions.last {
            let BeatMore { word: _ } = wire::read_known(more)?;
        }
        beat.check()?;
        Ok(beat)
    }

    pub(super) fn speaks_next(&self) -> bool {
        NEXT <= self.config.version_max
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{
        config::Config,
        copies::Copies,
        io::{Event, StreamId},
        key::SessionKey,
        member::{MemberId, MemberState},
        time::Time,
        wire::{Blob, ClusterTag, FeedHead, FrameWriter, ItemWriter, Ping},
    };

    const PEER: MemberId = MemberId(9);
    const NOW: Time = Time::ZERO;

    fn address() -> SocketAddr {
        ([127, 0, 0, 1], 4001).into()
    }

    fn node() -> Node {
        let me = ([127, 0, 0, 1], 4000).into();
        let mut node = Node::new(MemberId(5), me, Config { version_max: 1, ..Config::default() }, 1, NOW)
            .expect("the config is valid");
        node.start_alone(NOW);
        while node.poll_event().is_some() {}
        node
    }

    fn beat(first: u8, last: u8) -> Beat<'static> {
        Beat {
            versions: Versions { first, last },
            from: PEER,
            incarnation: 0,
            sequence: 1,
            state: MemberState::Ready,
            clock: 0,
            age_millis: 0,
            address: address(),
            name: "",
            weight: 100,
            host: "",
            zone: "",
            domain: "",
            others: Vec::new(),
            direct: true,
            payload: Blob(b""),
        }
    }

    fn writer(version: u8) -> FrameWriter {
        let mut writer = FrameWriter::new(ClusterTag::new("heirloom"));
        writer.speak(version);
        writer
    }

    /// A stream on which a member has greeted that speaks these versions.
    fn greeted(node: &mut Node, first: u8, last: u8) -> StreamId {
        let stream = node.handle_accepted(NOW, address());
        let mut hello = writer(first);
        let copies = Copies::Everywhere.code();
        hello.frame(Kind::Hello, &(Hello { fresh: true, copies, beat: beat(first, last) }, "and more"));
        assert_eq!(node.handle_stream(NOW, stream, &hello.into_bytes()), Ok(()));
        stream
    }

    #[test]
    fn a_later_version_is_spoken_with_as_far_as_both_know() {
        let mut node = node();
        let more = writer(1).datagram(Kind::Beat, &(beat(1, 7), "and more"));
        assert_eq!(node.handle_datagram(NOW, address(), &more), Ok(()));
        greeted(&mut node, 1, 7);
        let spoken: Vec<_> = node.members().map(|member| (member.id, member.version)).collect();
        assert_eq!(spoken, [(PEER, 1)]);
        assert_eq!((node.stats().frames_refused, node.stats().kinds_unknown), (0, 0));
    }

    #[test]
    fn who_speaks_no_common_version_is_told_of_once_and_not_listed() {
        let mut node = node();
        // What stands behind the head is of a form that nobody here knows.
        let strange = writer(3).datagram(Kind::Beat, &(beat(3, 5).versions, PEER, "strange"));
        for _ in 0..3 {
            assert_eq!(node.handle_datagram(NOW, address(), &strange), Err(FrameError::Version));
        }
        let (theirs, ours) = (Versions { first: 3, last: 5 }, Versions { first: 1, last: 1 });
        let told = Event::Incompatible { member: PEER, address: address(), theirs, ours };
        assert_eq!(node.poll_event(), Some(told));
        assert_eq!(node.poll_event(), None);
        let stream = node.handle_accepted(NOW, address());
        let mut hello = writer(3);
        hello.frame(Kind::Hello, &(true, 255_u8, theirs, PEER, "strange"));
        assert_eq!(node.handle_stream(NOW, stream, &hello.into_bytes()), Err(FrameError::Version));
        assert_eq!((node.members().count(), node.stats().frames_refused), (0, 4));
    }

    #[test]
    fn kinds_that_are_not_known_are_skipped_and_counted() {
        let mut node = node();
        let mut strange = writer(1).datagram(Kind::Bye, &PEER);
        strange[1] = 99;
        let length = strange.len() - 4;
        let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&strange[..length]);
        strange[length..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(node.handle_datagram(NOW, address(), &strange), Err(FrameError::Kind));
        let stream = greeted(&mut node, 1, 1);
        let mut frames = writer(1);
        frames.frame_of_bytes(Kind::Next, b"a kind of the next version");
        let start = frames.start(Kind::Feed);
        frames.put(&FeedHead { number: 1, clock: 0 });
        frames.bytes().extend_from_slice(&[200, 3, 1, 2, 3]);
        ItemWriter(frames.bytes()).pull(SessionKey([1; 16]));
        frames.finish(start);
        assert_eq!(node.handle_stream(NOW, stream, &frames.into_bytes()), Ok(()));
        assert_eq!((node.stats().kinds_unknown, node.stats().frames_refused), (3, 0));
        assert_eq!(node.members().count(), 1);
    }

    #[test]
    fn nothing_else_is_spoken_on_a_stream_than_what_was_agreed() {
        let mut node = node();
        let stream = greeted(&mut node, 1, 2);
        let mut ping = writer(2);
        ping.frame(Kind::Ping, &Ping { nonce: 1 });
        assert_eq!(node.handle_stream(NOW, stream, &ping.into_bytes()), Err(FrameError::Version));
    }
}
