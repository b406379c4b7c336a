//! Stamps as they stand in a delta: writers as places in a table, readings of the clock as differences from a base.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{member::MemberId, session::Session, stamp::Stamp};

/// A stamp relative to its delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    /// From the base, wrapping.
    pub(super) clock: i64,
    /// A place in the table of members.
    pub(super) writer: u16,
}

/// The members that a delta names, and the base of its clock readings.
pub(super) struct Table {
    pub(super) base: u64,
    pub(super) members: Vec<MemberId>,
}

impl Table {
    pub(super) fn new(session: &Session) -> Self {
        let base = session.lives.last().map_or(0, |life| life.birth.clock);
        let mut table = Self { base, members: Vec::new() };
        for life in &session.lives {
            table.add(life.birth.writer);
            table.add(life.owner);
        }
        for end in session.ends().floor().iter().chain(session.ends().burials()) {
            table.add(end.at.writer);
        }
        for link in session.moves().links() {
            table.add(link.at.writer);
            link.births.iter().for_each(|birth| table.add(birth.writer));
        }
        for register in &session.lifetimes {
            table.add(register.birth.writer);
            table.add(register.stamp.writer);
        }
        table
    }

    pub(super) fn add(&mut self, member: MemberId) {
        if !self.members.contains(&member) {
            self.members.push(member);
        }
    }

    pub(super) fn place(&self, member: MemberId) -> u16 {
        let place = self.members.iter().position(|other| *other == member).expect("every writer was added");
        u16::try_from(place).expect("a delta names fewer members")
    }

    pub(super) fn at(&self, stamp: Stamp) -> At {
        At { clock: stamp.clock.wrapping_sub(self.base).cast_signed(), writer: self.place(stamp.writer) }
    }
}
