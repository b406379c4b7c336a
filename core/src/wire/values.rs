//! Where the values of applications are in a frame, for whoever writes down what travels and must not keep them.

use alloc::vec::Vec;
use core::ops::Range;

use super::{
    Kind,
    blob::Blob,
    delta::{Head, Register},
    frame::{self, parts, split},
    item::{ItemKind, value_in_entry},
    message::{FeedHead, read_head},
};

/// How many bytes stand before a frame in a stream: its length.
pub const STREAM_PREFIX: usize = 4;

/// How long the first frame in the bytes of a stream is, with its prefix; `None` if it is not whole.
pub fn frame_in(bytes: &[u8]) -> Option<usize> {
    split(bytes, usize::MAX).ok().flatten().map(|(_, length)| length)
}

/// Where the values are in a whole frame, without a prefix; `None` if it cannot be read.
pub fn values_of(frame: &[u8]) -> Option<Vec<Range<usize>>> {
    let (kind, body) = parts(frame)?;
    let start = frame::HEADER;
    match kind {
        Kind::Message => Some(core::iter::once(start..start + body.len()).collect()),
        Kind::Feed => {
            let (FeedHead { .. }, all) = read_head(body).ok()?;
            let end = start + body.len();
            let mut found = Vec::new();
            let mut rest = all;
            while let Some((&kind, behind)) = rest.split_first() {
                let (length, behind): (u32, _) = postcard::take_from_bytes(behind).ok()?;
                let (item, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
                rest = behind;
                // Places are counted from where an item ends, as it borrows from the frame.
                let item_start = end - rest.len() - item.len();
                found.extend(in_item(kind, item)?.into_iter().map(|at| item_start + at.start..item_start + at.end));
            }
            Some(found)
        }
        Kind::Beat
        | Kind::Probe
        | Kind::Alive
        | Kind::Declared
        | Kind::Bye
        | Kind::Relay
        | Kind::Relayed
        | Kind::Hello
        | Kind::Ack
        | Kind::Ping
        | Kind::Pong
        | Kind::Next => Some(Vec::new()),
    }
}

/// Makes the checksum of a frame right for what is in it now.
pub fn renew_checksum(frame: &mut [u8]) {
    if let Some((covered, checksum)) = frame.split_last_chunk_mut::<{ frame::CHECKSUM_BYTES }>() {
        *checksum = frame::CHECKSUM.checksum(covered).to_le_bytes();
    }
}

fn in_item(kind: u8, item: &[u8]) -> Option<Vec<Range<usize>>> {
    // What is not known may be all values.
    let Some(kind) = ItemKind::ALL.into_iter().find(|known| *known as u8 == kind) else {
        return Some(core::iter::once(0..item.len()).collect());
    };
    match kind {
        ItemKind::Delta | ItemKind::Found => {
            let (Head { .. }, mut rest) = postcard::take_from_bytes(item).ok()?;
            let mut found = Vec::new();
            while !rest.is_empty() {
                let (register, behind): (Register<'_>, _) = postcard::take_from_bytes(rest).ok()?;
                rest = behind;
                // The value is the last of a register.
                let end = item.len() - rest.len();
                found.extend(register.value.map(|Blob(value)| end - value.len()..end));
            }
            Some(found)
        }
        ItemKind::Entry => value_in_entry(item),
        ItemKind::Missing
        | ItemKind::Use
        | ItemKind::Ask
        | ItemKind::Answer
        | ItemKind::Offer
        | ItemKind::Offered
        | ItemKind::Pull
        | ItemKind::Round
        | ItemKind::Done
        | ItemKind::Fetch
        | ItemKind::Release
        | ItemKind::Map
        | ItemKind::Leaving
        | ItemKind::Views
        | ItemKind::Digest
        | ItemKind::Sums
        | ItemKind::Listing => Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        map::Brought,
        member::MemberId,
        stamp::Stamp,
        wire::{ClusterTag, FrameWriter, ItemWriter, open},
    };

    #[test]
    fn values_are_found_and_may_be_replaced() {
        let cluster = ClusterTag::new("heirloom");
        let mut frames = FrameWriter::new(cluster);
        let start = frames.start(Kind::Feed);
        frames.put(&FeedHead { number: 1, clock: 2 });
        let stamp = Stamp { clock: 1, writer: MemberId(3) };
        let entry = Brought { name: b"name", stamp, value: Some(b"secret"), remaining: core::time::Duration::ZERO };
        ItemWriter(frames.bytes()).pull(crate::SessionKey([7; 16]));
        ItemWriter(frames.bytes()).entry(&entry);
        ItemWriter(frames.bytes()).entry(&Brought { value: None, ..entry });
        frames.finish(start);
        frames.frame_of_bytes(Kind::Message, b"hello");
        let stream = frames.into_bytes();
        let first = frame_in(&stream).unwrap();
        let mut frame = stream[STREAM_PREFIX..first].to_vec();
        let found = values_of(&frame).unwrap();
        assert_eq!(found.iter().map(|at| &frame[at.clone()]).collect::<Vec<_>>(), [b"secret"]);
        frame[found[0].clone()].copy_from_slice(b"xxxxxx");
        assert_eq!(open(&frame, cluster), Err(crate::FrameError::Checksum));
        renew_checksum(&mut frame);
        assert!(open(&frame, cluster).is_ok());
        let message = &stream[first + STREAM_PREFIX..];
        assert_eq!(values_of(message).unwrap().iter().map(|at| &message[at.clone()]).collect::<Vec<_>>(), [b"hello"]);
        assert!(values_of(&frame[..frame.len() - 5]).is_none() && values_of(b"").is_none());
        assert_eq!(frame_in(&stream[..first - 1]), None);
    }
}
