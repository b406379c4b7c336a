//! Frames: the header and the checksum around a body.

use alloc::vec::Vec;

use serde::Serialize;

use super::ClusterTag;
use crate::{io::FrameError, protocol};

/// CRC-32C (Castagnoli), as in iSCSI, RFC 3720.
pub(super) const CHECKSUM: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

pub(super) const HEADER: usize = 6;
pub(super) const CHECKSUM_BYTES: usize = 4;
const LENGTH: usize = 4;

/// A feed frame, but for its items.
pub(crate) const FEED_ROOM: usize = HEADER + 2 * 10 + CHECKSUM_BYTES;

/// What a frame is. New kinds are appended; unknown ones are skipped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Datagram: a sign of life.
    Beat = 1,
    /// Datagram: asks a suspect whether it lives.
    Probe = 2,
    /// Datagram: answers a probe.
    Alive = 3,
    /// Datagram: tells a member that it was declared dead.
    Declared = 4,
    /// Datagram and stream: the sender has left.
    Bye = 5,
    /// Datagram: asks a member to probe another.
    Relay = 6,
    /// Datagram: the one that was to be probed has answered.
    Relayed = 7,
    /// Stream: who is there; the first frame in each direction.
    Hello = 16,
    /// Stream: numbered items.
    Feed = 17,
    /// Stream: which number is applied.
    Ack = 18,
    /// Stream: asks whether the node lives.
    Ping = 19,
    /// Stream: answers a ping.
    Pong = 20,
    /// Stream: a message of the application.
    Message = 21,
    /// Stream: says nothing. Only the next version knows it, so that two versions at once can be tested.
    Next = 255,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Beat,
        Self::Probe,
        Self::Alive,
        Self::Declared,
        Self::Bye,
        Self::Relay,
        Self::Relayed,
        Self::Hello,
        Self::Feed,
        Self::Ack,
        Self::Ping,
        Self::Pong,
        Self::Message,
        Self::Next,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame whose cluster and checksum are right: only its body may be parsed, and that only by who speaks its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) version: u8,
    pub(crate) kind: Kind,
    pub(crate) body: &'a [u8],
}

/// Checks a frame.
pub(crate) fn open(bytes: &[u8], cluster: ClusterTag) -> Result<Frame<'_>, FrameError> {
    let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(FrameError::Cut)?;
    let (header, body) = covered.split_first_chunk::<HEADER>().ok_or(FrameError::Cut)?;
    let [version, kind, tag @ ..] = *header;
    if tag != cluster.0 {
        return Err(FrameError::Cluster);
    }
    if CHECKSUM.checksum(covered) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Checksum);
    }
    let kind = Kind::from_byte(kind).ok_or(FrameError::Kind)?;
    Ok(Frame { version, kind, body })
}

/// The kind and the body of a frame, whoever wrote it and whether it is right or not.
pub(super) fn parts(bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let (covered, _) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let ([_, kind, ..], body) = covered.split_first_chunk::<HEADER>()?;
    Some((Kind::from_byte(*kind)?, body))
}

/// Splits the first frame off the bytes of a stream; `None` when more must arrive.
pub(crate) fn split(bytes: &[u8], frame_max: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| FrameError::TooLong)?;
    if frame_max < length {
        return Err(FrameError::TooLong);
    }
    Ok(rest.get(..length).map(|frame| (frame, LENGTH + length)))
}

/// Writes frames one behind the other into one buffer.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    cluster: ClusterTag,
    version: u8,
    /// The longest frame that a receiver takes.
    frame_max: usize,
    bytes: Vec<u8>,
}

impl FrameWriter {
    /// Writes what anybody can read: in the oldest version that this build speaks.
    pub(crate) fn new(cluster: ClusterTag) -> Self {
        Self { cluster, version: protocol::FIRST, frame_max: usize::MAX, bytes: Vec::new() }
    }

    /// No frame may be longer than that.
    pub(crate) fn within(self, frame_max: usize) -> Self {
        Self { frame_max, ..self }
    }

    /// What follows is for a member with which this one speaks that version.
    pub(crate) fn speak(&mut self, version: u8) {
        self.version = version;
    }

    /// The frame of a datagram.
    pub(crate) fn datagram(mut self, kind: Kind, body: &impl Serialize) -> Vec<u8> {
        self.header(kind);
        self.put(body);
        self.checksum(0);
        self.bytes
    }

    /// A frame of a stream, behind its length.
    pub(crate) fn frame(&mut self, kind: Kind, body: &impl Serialize) {
        let start = self.start(kind);
        self.put(body);
        self.finish(start);
    }

    /// A frame of a stream whose body is these bytes.
    pub(crate) fn frame_of_bytes(&mut self, kind: Kind, body: &[u8]) {
        let start = self.start(kind);
        self.bytes.extend_from_slice(body);
        self.finish(start);
    }

    /// Starts a frame of a stream whose body is written piece by piece.
    pub(crate) fn start(&mut self, kind: Kind) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH]);
        self.header(kind);
        start
    }

    pub(crate) fn put(&mut self, body: &impl Serialize) {
        let bytes = core::mem::take(&mut self.bytes);
        self.bytes = postcard::to_extend(body, bytes).expect("a vector takes all that is written");
    }

    pub(crate) fn finish(&mut self, start: usize) {
        self.checksum(start + LENGTH);
        let length = self.bytes.len() - start - LENGTH;
        assert!(length <= self.frame_max, "no frame is longer than its receiver takes");
        let length = u32::try_from(length).expect("frame_max is below 4 GiB");
        self.bytes[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
    }

    /// How long the frame that started there is by now, its checksum included and its length field not.
    pub(crate) fn frame_bytes(&self, start: usize) -> usize {
        self.bytes.len() - start - LENGTH + CHECKSUM_BYTES
    }

    /// How many bytes the frame that started there has room for yet.
    pub(crate) fn room(&self, start: usize) -> usize {
        self.frame_max.saturating_sub(self.frame_bytes(start))
    }

    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn header(&mut self, kind: Kind) {
        self.bytes.extend_from_slice(&[self.version, kind as u8]);
        self.bytes.extend_from_slice(&self.cluster.0);
    }

    fn checksum(&mut self, from: usize) {
        let checksum = CHECKSUM.checksum(&self.bytes[from..]);
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
    }
}
