//! The form of everything that travels. `docs/wire.md` describes it for a second implementation.
//!
//! A *frame* is a header (version, kind, cluster), a postcard body and a CRC-32C over both. A datagram is one frame; a
//! stream is frames, each behind its length. Length fields never size an allocation: what is decoded borrows from what
//! has arrived.

mod blob;
mod delta;
mod frame;
#[cfg(test)]
mod golden;
mod item;
pub mod kinds;
#[cfg(test)]
mod laws;
mod listing;
mod message;
mod next;
mod room;
mod table;
pub(crate) mod values;

pub(crate) use blob::Blob;
pub(crate) use delta::{DeltaReader, DeltaWriter, Registers};
pub(crate) use frame::{FEED_ROOM, Frame, FrameWriter, Kind, open, split};
pub(crate) use item::{ENTRY_ROOM, Held, ID_ROOM, ITEM_ROOM, Item, ItemKind, ItemWriter, Items, LIST_ROOM, NOTE_ROOM};
pub(crate) use listing::{LISTING_ROOM, Listing, SUMS_ROOM};
pub(crate) use message::{
    Ack, Alive, Beat, BeatHead, CLOCK_MAX, Declared, FeedHead, Hello, HelloHead, Ping, Probe, Relay, Relayed, read,
    read_head, read_known,
};
pub(crate) use next::{AckMore, BeatMore};

/// The longest datagram: it must fit a packet of any sensible network.
pub(crate) const DATAGRAM_MAX: usize = 1200;

/// Keeps clusters apart on a shared network: the first bytes of a hash of the cluster's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterTag(pub(crate) [u8; 4]);

impl ClusterTag {
    pub(crate) fn new(cluster_name: &str) -> Self {
        let hash = blake3::derive_key("heirloom 2026-11 cluster tag", cluster_name.as_bytes());
        Self([hash[0], hash[1], hash[2], hash[3]])
    }
}
