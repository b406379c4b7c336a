//! What comes by streams, until it is whole frames: only then it is known what in it is a value.

use std::collections::BTreeMap;

use heirloom_core::recording::frame_in;

use crate::hide::Hider;

/// The bytes of each stream that are no whole frame yet.
#[derive(Debug, Default)]
pub(crate) struct Streams(BTreeMap<u64, Vec<u8>>);

impl Streams {
    /// Bytes came: answers those that can be written down now, in the order in which they came.
    pub(crate) fn take(&mut self, stream: u64, bytes: &[u8], hider: &Hider) -> Vec<u8> {
        let waiting = self.0.entry(stream).or_default();
        waiting.extend_from_slice(bytes);
        let mut whole = 0;
        while let Some(length) = frame_in(&waiting[whole..]) {
            whole += length;
        }
        let rest = waiting.split_off(whole);
        let frames = core::mem::replace(waiting, rest);
        if frames.is_empty() { frames } else { hider.frames(&frames) }
    }

    /// Nothing more comes by a stream: answers what there was of a frame that never came.
    pub(crate) fn end(&mut self, stream: u64, hider: &Hider) -> Vec<u8> {
        let mut rest = self.0.remove(&stream).unwrap_or_default();
        hider.rest(&mut rest);
        rest
    }

    /// The streams that have a part of a frame.
    pub(crate) fn open(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }
}
