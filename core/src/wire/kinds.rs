//! The names of what travels, for whoever watches a cluster and counts what it has seen.

use alloc::vec::Vec;

use super::{
    Kind,
    frame::{parts, split},
    item::{ItemKind, items},
    message::{FeedHead, read_head},
};
use crate::key::SessionKey;

/// Every name that [`of`] tells.
pub fn all() -> Vec<&'static str> {
    let frames = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Next).map(frame_name);
    frames.chain(ItemKind::ALL.into_iter().map(item_name)).collect()
}

/// The names of the frames and items in what a member sends: one datagram, or one write to a stream.
pub fn of(bytes: &[u8], is_stream: bool) -> Vec<&'static str> {
    with_sessions(bytes, is_stream).into_iter().map(|(name, _)| name).collect()
}

/// The same, and for each item the session that it is about, if it is about one.
pub fn with_sessions(bytes: &[u8], is_stream: bool) -> Vec<(&'static str, Option<SessionKey>)> {
    let mut names = Vec::new();
    if !is_stream {
        add(bytes, &mut names);
        return names;
    }
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = split(rest, usize::MAX) {
        add(frame, &mut names);
        rest = &rest[length..];
    }
    names
}

fn add(frame: &[u8], names: &mut Vec<(&'static str, Option<SessionKey>)>) {
    let Some((kind, body)) = parts(frame) else { return };
    names.push((frame_name(kind), None));
    if kind == Kind::Feed
        && let Ok((FeedHead { .. }, body)) = read_head(body)
    {
        names.extend(items(body).map(|(kind, body)| (item_name(kind), session(kind, body))));
    }
}

/// An item that is about a session begins with its key.
fn session(kind: ItemKind, body: &[u8]) -> Option<SessionKey> {
    match kind {
        ItemKind::Delta
        | ItemKind::Missing
        | ItemKind::Use
        | ItemKind::Ask
        | ItemKind::Answer
        | ItemKind::Offer
        | ItemKind::Pull
        | ItemKind::Fetch
        | ItemKind::Found
        | ItemKind::Release => body.first_chunk().copied().map(SessionKey),
        ItemKind::Offered
        | ItemKind::Round
        | ItemKind::Done
        | ItemKind::Entry
        | ItemKind::Map
        | ItemKind::Leaving
        | ItemKind::Views
        | ItemKind::Digest
        | ItemKind::Sums
        | ItemKind::Listing => None,
    }
}

impl ItemKind {
    /// All of them, by their numbers.
    pub(crate) const ALL: [Self; 20] = [
        Self::Delta,
        Self::Missing,
        Self::Use,
        Self::Ask,
        Self::Answer,
        Self::Offer,
        Self::Offered,
        Self::Pull,
        Self::Round,
        Self::Done,
        Self::Fetch,
        Self::Found,
        Self::Release,
        Self::Entry,
        Self::Map,
        Self::Leaving,
        Self::Views,
        Self::Digest,
        Self::Sums,
        Self::Listing,
    ];
}

fn frame_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Beat => "beat",
        Kind::Probe => "probe",
        Kind::Alive => "alive",
        Kind::Declared => "declared",
        Kind::Bye => "bye",
        Kind::Relay => "relay",
        Kind::Relayed => "relayed",
        Kind::Hello => "hello",
        Kind::Feed => "feed",
        Kind::Ack => "ack",
        Kind::Ping => "ping",
        Kind::Pong => "pong",
        Kind::Message => "message",
        Kind::Next => "next",
    }
}

fn item_name(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Delta => "feed: delta",
        ItemKind::Missing => "feed: missing",
        ItemKind::Use => "feed: use",
        ItemKind::Ask => "feed: ask",
        ItemKind::Answer => "feed: answer",
        ItemKind::Offer => "feed: offer",
        ItemKind::Offered => "feed: offered",
        ItemKind::Pull => "feed: pull",
        ItemKind::Round => "feed: round",
        ItemKind::Done => "feed: done",
        ItemKind::Fetch => "feed: fetch",
        ItemKind::Found => "feed: found",
        ItemKind::Release => "feed: release",
        ItemKind::Entry => "feed: entry",
        ItemKind::Map => "feed: map",
        ItemKind::Leaving => "feed: leaving",
        ItemKind::Views => "feed: views",
        ItemKind::Digest => "feed: digest",
        ItemKind::Sums => "feed: sums",
        ItemKind::Listing => "feed: listing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ClusterTag, FrameWriter, ItemWriter, Ping};

    #[test]
    fn frames_and_the_items_in_them_are_named() {
        let mut frames = FrameWriter::new(ClusterTag::new("heirloom"));
        frames.frame(Kind::Ping, &Ping { nonce: 7 });
        let start = frames.start(Kind::Feed);
        frames.put(&FeedHead { number: 1, clock: 2 });
        ItemWriter(frames.bytes()).pull(SessionKey([7; 16]));
        frames.finish(start);
        let stream = frames.into_bytes();
        assert_eq!(of(&stream, true), ["ping", "feed", "feed: pull"]);
        let pull = ("feed: pull", Some(SessionKey([7; 16])));
        assert_eq!(with_sessions(&stream, true), [("ping", None), ("feed", None), pull]);
        assert_eq!(of(&stream[..stream.len() - 1], true), ["ping"]);
        let datagram = FrameWriter::new(ClusterTag::new("heirloom")).datagram(Kind::Probe, &());
        assert_eq!(of(&datagram, false), ["probe"]);
        assert!(of(b"", false).is_empty() && of(b"nonsense", true).is_empty());
    }
}
