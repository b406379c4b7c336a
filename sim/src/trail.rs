//! What each host has heard since a moment, in short: members that heard the same at the same moments are the same.

use core::fmt::{self, Debug, Write};
use std::collections::BTreeMap;

use crate::{chance::mix, clock::Moment, net::HostId};

/// What hosts have heard, if somebody wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    heard: Option<BTreeMap<HostId, u64>>,
    count: u64,
}

impl Trail {
    /// Notes from now on what hosts hear.
    pub(crate) fn begin(&mut self) {
        self.heard = Some(BTreeMap::new());
    }

    /// A host hears something.
    pub(crate) fn note(&mut self, now: Moment, host: HostId, what: &impl Debug) {
        if let Some(heard) = &mut self.heard {
            let digest = heard.entry(host).or_default();
            *digest = mix(*digest ^ digest_of(&(now, what)));
            self.count += 1;
        }
    }

    /// All that a host has heard, in short.
    pub(crate) fn heard(&self, host: HostId) -> u64 {
        self.heard.as_ref().and_then(|heard| heard.get(&host)).copied().unwrap_or(0)
    }

    /// How many things were heard.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}

/// A hash of a thing as it is written for whoever debugs it.
pub(crate) fn digest_of(what: &impl Debug) -> u64 {
    let mut digest = Digest(0);
    // It takes everything.
    let _ = write!(digest, "{what:?}");
    digest.0
}

struct Digest(u64);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = mix(self.0.rotate_left(5) ^ u64::from_le_bytes(word));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_heard_the_same_at_the_same_moment_are_alike() {
        let mut trail = Trail::default();
        trail.begin();
        [HostId(0), HostId(1)].into_iter().for_each(|host| trail.note(Moment::ZERO, host, &"a word"));
        assert_eq!(trail.heard(HostId(0)), trail.heard(HostId(1)));
        trail.note(Moment::ZERO, HostId(1), &"another");
        assert_ne!(trail.heard(HostId(0)), trail.heard(HostId(1)));
        assert_eq!(trail.count(), 3);
    }
}
