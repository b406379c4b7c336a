//! A door to pieces of the core whose cost is measured alone. It is no part of the interface, and there only with the feature
//! `fuzz`.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{fmt, time::Duration};

use crate::{
    digest::{Digests, Holders, Resummed, Summed},
    key::SessionKey,
    member::MemberId,
    session::Session,
    time::Time,
    wire::{DeltaReader, DeltaWriter, Registers},
};

/// Longer than any delta here.
const ROOM: usize = 1 << 24;

/// Writes all of a session as a delta.
///
/// # Panics
///
/// The delta is longer than 16 MiB.
pub fn encode(key: SessionKey, session: &Session, bytes: &mut Vec<u8>) {
    let registers = Registers::default();
    let delta = DeltaWriter { key, session, registers, remaining: Some(Duration::from_secs(1800)), now: Time::ZERO };
    assert!(delta.write(bytes, ROOM, ROOM).is_ok(), "there is room");
}

/// Reads a delta and merges it into a session that has nothing.
///
/// # Panics
///
/// It is none.
pub fn decode(bytes: &[u8]) {
    let delta = DeltaReader::read(bytes, u64::MAX).expect("it was written by `encode`");
    let mut session = Session::default();
    assert!(delta.merge_into(&mut session, Time::ZERO), "it brings something");
}

/// The sums of a member that owns all and shares it with everybody.
pub struct Summing {
    digests: Digests,
    summed: BTreeMap<SessionKey, Summed>,
}

impl Default for Summing {
    fn default() -> Self {
        let digests = Digests::new(ME, Duration::from_secs(5), Duration::from_secs(1), Time::ZERO);
        Self { digests, summed: BTreeMap::new() }
    }
}

impl Summing {
    /// A session is now what has this digest.
    pub fn change(&mut self, key: SessionKey, digest: u64) {
        let now = Summed::new(&key, digest, ME);
        let changed = Resummed { key, before: self.summed.insert(key, now), now: Some(now) };
        self.digests.handle_changed(changed, |_| Holders::All);
    }
}

impl fmt::Debug for Summing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summing").finish_non_exhaustive()
    }
}

const ME: MemberId = MemberId(1);
