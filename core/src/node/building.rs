//! A feed frame while it is built.

use alloc::vec::Vec;

use crate::{
    feed::Carried,
    traffic::Traffic,
    wire::{self, DeltaWriter, FrameWriter, ItemKind, ItemWriter},
};

/// A session longer than this travels in parts.
const PART_TARGET: usize = 256 << 10;

/// A frame that is being built.
pub(super) struct Building<'a> {
    pub(super) writer: &'a mut FrameWriter,
    pub(super) start: usize,
    pub(super) target: usize,
    pub(super) carried: Vec<Carried>,
    pub(super) deltas: u64,
    pub(super) traffic: &'a mut Traffic,
    /// A session has begun to travel in parts: nothing goes behind it in this frame.
    pub(super) in_parts: bool,
}

pub(super) enum Written {
    Whole,
    Part(usize),
    Nothing,
}

impl Building<'_> {
    /// Whether another item goes into the frame, if it is no longer than the short ones.
    pub(super) fn has_room(&self) -> bool {
        self.has_room_for(wire::NOTE_ROOM)
    }

    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        !self.in_parts && self.writer.frame_bytes(self.start) < self.target && bytes <= self.writer.room(self.start)
    }

    /// Whether all that it carries is word that is looked up anew if it is lost.
    pub(super) fn is_bare(&self) -> bool {
        self.carried.iter().all(|carried| matches!(carried, Carried::Note(_)))
    }

    pub(super) fn items(&mut self) -> ItemWriter<'_> {
        ItemWriter(self.writer.bytes())
    }

    pub(super) fn delta(&mut self, kind: ItemKind, delta: &DeltaWriter<'_>) -> Written {
        let room = self.writer.room(self.start).saturating_sub(wire::ITEM_ROOM);
        let written = self.items().write(kind, |bytes| delta.write(bytes, PART_TARGET, room));
        if let Ok(until) = written {
            delta.part(until).for_each(|attribute| self.traffic.count(&attribute.name, attribute.bytes()));
        }
        match written {
            Ok(None) => {
                self.deltas += 1;
                Written::Whole
            }
            Ok(Some(skip)) => {
                self.in_parts = true;
                Written::Part(skip)
            }
            Err(_) => {
                self.in_parts = true;
                Written::Nothing
            }
        }
    }
}
