//! The digest of a session: what two copies compare instead of themselves.

use super::Session;
use crate::{stamp::Stamp, wire::Held};

impl Session {
    /// The digest and the epoch.
    pub(crate) fn held(&self) -> Option<Held> {
        self.head().map(|life| Held { digest: self.digest(), counter: life.counter, owner: life.owner })
    }

    /// A hash of all content, who owns it left out: equal on copies that need nothing of each other.
    pub fn digest(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        let stamp = |hasher: &mut blake3::Hasher, stamp: Stamp| {
            hasher.update(&stamp.clock.to_le_bytes());
            hasher.update(&stamp.writer.0.to_le_bytes());
        };
        let floor = self.ends().floor().map(|end| (1, end));
        for (kind, end) in floor.into_iter().chain(self.ends().burials().iter().map(|end| (2, *end))) {
            stamp(&mut hasher, end.at);
            hasher.update(&[kind, end.cause as u8]);
        }
        for life in &self.lives {
            stamp(&mut hasher, life.birth);
            hasher.update(&[u8::from(!self.lasts(life))]);
        }
        for link in self.moves().links() {
            stamp(&mut hasher, link.at);
            hasher.update(&link.to.map_or([0; 16], |to| to.0));
            link.births.iter().for_each(|birth| stamp(&mut hasher, *birth));
        }
        for birth in self.moves().dead() {
            stamp(&mut hasher, *birth);
            hasher.update(&[3]);
        }
        for register in &self.lifetimes {
            stamp(&mut hasher, register.birth);
            stamp(&mut hasher, register.stamp);
        }
        for attribute in &self.attributes {
            // A stamp is made once, so it stands for the value.
            stamp(&mut hasher, attribute.birth);
            stamp(&mut hasher, attribute.stamp);
            hasher.update(&[u8::from(attribute.value.is_some())]);
            hasher.update(&attribute.name.len().to_le_bytes()[..4]);
            hasher.update(&attribute.name);
        }
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(digest)
    }
}
