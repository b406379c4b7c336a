//! The bodies of all frames but the feed's.

use alloc::vec::Vec;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use crate::{
    config::{LABEL_MAX, PAYLOAD_MAX, WEIGHT_MAX},
    io::FrameError,
    member::{MemberId, MemberState},
    protocol::Versions,
};

/// A sign of life, and all that a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat<'a> {
    /// What the sender speaks. This and who it is stand first in every version of the protocol: see [`BeatHead`].
    pub(crate) versions: Versions,
    pub(crate) from: MemberId,
    /// Counts the refutations of this life.
    pub(crate) incarnation: u32,
    /// Rises with every beat of a life: an old one that arrives late is no sign of life.
    pub(crate) sequence: u64,
    pub(crate) state: MemberState,
    pub(crate) clock: u64,
    pub(crate) age_millis: u64,
    pub(crate) address: SocketAddr,
    #[serde(borrow)]
    pub(crate) name: &'a str,
    /// How many copies it holds, measured by others.
    pub(crate) weight: u16,
    /// The machine that it runs on; empty if that is not known.
    pub(crate) host: &'a str,
    /// What fails together with its machine; empty if that is not known.
    pub(crate) zone: &'a str,
    /// Only members of the same one are fed.
    pub(crate) domain: &'a str,
    /// Some of the members that the sender sees, so that members which only know it find each other.
    pub(crate) others: Vec<SocketAddr>,
    /// It was sent to one address, and the sender wants beats at its own in return.
    pub(crate) direct: bool,
    /// What its application lets others know.
    pub(crate) payload: Blob<'a>,
}

/// What a beat begins with in every version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BeatHead {
    pub(crate) versions: Versions,
    pub(crate) from: MemberId,
}

impl Beat<'_> {
    /// Refuses a text that is too long, and a weight that is none.
    pub(crate) fn check(&self) -> Result<(), FrameError> {
        let short = [self.name, self.host, self.zone, self.domain].iter().all(|text| text.len() <= LABEL_MAX);
        let short = short && self.payload.0.len() <= PAYLOAD_MAX;
        if short && (1..=WEIGHT_MAX).contains(&self.weight) { Ok(()) } else { Err(FrameError::Body) }
    }
}

/// Asks a suspect whether it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) nonce: u64,
}

/// Answers a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alive {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) nonce: u64,
}

/// Asks a member to probe another, and to pass the answer on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relay {
    pub(crate) from: MemberId,
    pub(crate) suspect: MemberId,
    pub(crate) nonce: u64,
}

/// The node of a member has answered the sender, which probed it for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relayed {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) suspect: MemberId,
    pub(crate) nonce: u64,
}

/// Tells a member that the sender has removed this incarnation of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub(crate) from: MemberId,
    pub(crate) to: MemberId,
    pub(crate) incarnation: u32,
}

/// The first frame on a stream, in each direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello<'a> {
    /// The sender did not have the receiver in its view before this stream: if the receiver had the sender in its own, it
    /// must not rely on what it sent before.
    pub(crate) fresh: bool,
    /// How the sender places copies: [`Copies::code`](crate::Copies::code).
    pub(crate) copies: u8,
    #[serde(borrow)]
    pub(crate) beat: Beat<'a>,
}

/// What a greeting begins with in every version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HelloHead {
    pub(crate) fresh: bool,
    pub(crate) copies: u8,
    pub(crate) beat: BeatHead,
}

/// What a feed frame starts with; items follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedHead {
    /// The first frame of a stream is 1.
    pub(crate) number: u64,
    pub(crate) clock: u64,
}

/// Everything up to this frame is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    pub(crate) number: u64,
    pub(crate) clock: u64,
}

/// Asks over a stream whether the node lives, and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping {
    pub(crate) nonce: u64,
}

/// Readings of a hybrid clock beyond this are refused: it is the year 2255, and counting up from it cannot overflow.
pub(crate) const CLOCK_MAX: u64 = 1 << 63;

/// Reads a body to its last byte.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(FrameError::Body),
    }
}

/// Reads a body of which later versions may know more: what follows is theirs.
pub(crate) fn read_known<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    read_head(body).map(|(message, _)| message)
}

/// Reads what a body starts with; the rest is what follows.
pub(crate) fn read_head<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, &'a [u8]), FrameError> {
    postcard::take_from_bytes(body).map_err(|_| FrameError::Body)
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec};
    use core::net::Ipv6Addr;

    use super::*;
    use crate::{
        beats::OTHERS_MAX,
        wire::{ClusterTag, DATAGRAM_MAX, FrameWriter, Kind},
    };

    fn largest(label: &str) -> Beat<'_> {
        let address = SocketAddr::from((Ipv6Addr::from([255; 16]), u16::MAX));
        Beat {
            versions: Versions { first: u8::MAX, last: u8::MAX },
            from: MemberId(u64::MAX),
            incarnation: u32::MAX,
            sequence: u64::MAX,
            state: MemberState::Leaving,
            clock: u64::MAX,
            age_millis: u64::MAX,
            address,
            name: label,
            weight: WEIGHT_MAX,
            host: label,
            zone: label,
            domain: label,
            others: vec![address; OTHERS_MAX],
            direct: true,
            payload: Blob(&[0xff; PAYLOAD_MAX]),
        }
    }

    #[test]
    fn the_largest_beat_fits_a_datagram() {
        let label: String = ['x'; LABEL_MAX].iter().collect();
        let beat = largest(&label);
        assert_eq!(beat.check(), Ok(()));
        let bytes = FrameWriter::new(ClusterTag::new("heirloom")).datagram(Kind::Beat, &beat);
        assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes", bytes.len());
    }

    /// P7: what a peer says is held to the limits of its own settings.
    #[test]
    fn a_beat_past_the_limits_is_refused() {
        let label: String = ['x'; LABEL_MAX + 1].iter().collect();
        let fits = largest("");
        for wrong in [
            Beat { weight: 0, ..fits.clone() },
            Beat { weight: WEIGHT_MAX + 1, ..fits.clone() },
            Beat { name: &label, ..fits.clone() },
            Beat { host: &label, ..fits.clone() },
            Beat { zone: &label, ..fits.clone() },
            Beat { domain: &label, ..fits.clone() },
            Beat { payload: Blob(&[0; PAYLOAD_MAX + 1]), ..fits.clone() },
        ] {
            assert_eq!(wrong.check(), Err(FrameError::Body), "{wrong:?}");
        }
    }
}
