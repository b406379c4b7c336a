//! Hides values: equal ones stay equal, different ones different, and each as long as it was.

use heirloom_core::recording::{STREAM_PREFIX, frame_in, renew_checksum, values_of};

/// Shorter values are permuted: so few bytes have too few hashes for all to be different.
const SHORT: usize = 16;
/// Enough for each byte to depend on all others.
const ROUNDS: u8 = 4;
/// What of a frame tells nothing of values: its prefix and its header.
const HEAD: usize = STREAM_PREFIX + 6;

/// Hides values with a key.
#[derive(Clone)]
pub(crate) struct Hider {
    key: [u8; 32],
}

impl core::fmt::Debug for Hider {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Hider").finish_non_exhaustive()
    }
}

impl Hider {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Hides one value.
    pub(crate) fn value(&self, value: &mut [u8]) {
        if SHORT <= value.len() {
            let mut hash = blake3::Hasher::new_keyed(&self.key);
            hash.update(value);
            hash.finalize_xof().fill(value);
            return;
        }
        for round in 0..ROUNDS {
            for at in 0..value.len() {
                // What the byte is combined with does not depend on it, so this can be undone: nothing gets equal.
                let mut hash = blake3::Hasher::new_keyed(&self.key);
                hash.update(&[
                    round,
                    u8::try_from(at).unwrap_or(u8::MAX),
                    u8::try_from(value.len()).unwrap_or(u8::MAX),
                ]);
                hash.update(&value[..at]).update(&value[at + 1..]);
                value[at] ^= hash.finalize().as_bytes()[0];
            }
        }
    }

    /// Hides the values in the frames of a stream, whole ones, each behind its length.
    pub(crate) fn frames(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut at = 0;
        while let Some(length) = frame_in(&bytes[at..]) {
            self.frame(&mut bytes[at + STREAM_PREFIX..at + length]);
            at += length;
        }
        self.rest(&mut bytes[at..]);
        bytes
    }

    fn frame(&self, frame: &mut [u8]) {
        match values_of(frame) {
            Some(values) if values.is_empty() => {}
            Some(values) => {
                let was_right = is_right(frame);
                values.into_iter().for_each(|at| self.value(&mut frame[at]));
                if was_right {
                    renew_checksum(frame);
                }
            }
            // Nobody can read it, so nobody knows what in it is a value.
            None => self.value(frame.get_mut(HEAD - STREAM_PREFIX..).unwrap_or_default()),
        }
    }

    /// Hides what is no whole frame.
    pub(crate) fn rest(&self, bytes: &mut [u8]) {
        self.value(bytes.get_mut(HEAD..).unwrap_or_default());
    }
}

/// Whether the checksum of a frame is right.
fn is_right(frame: &[u8]) -> bool {
    let mut copy = frame.to_vec();
    renew_checksum(&mut copy);
    copy == frame
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_values_stay_different() {
        let hider = Hider::new([7; 32]);
        let hidden = (0..=u8::MAX).flat_map(|one| (0..=u8::MAX).map(move |other| [one, other]));
        let hidden: BTreeSet<[u8; 2]> = hidden
            .map(|mut value| {
                hider.value(&mut value);
                value
            })
            .collect();
        assert_eq!(hidden.len(), 1 << 16);
    }

    proptest! {
        #[test]
        fn a_value_stays_as_long_as_it_was_and_equal_to_itself(value: Vec<u8>, key: [u8; 32]) {
            let hider = Hider::new(key);
            let (mut one, mut other) = (value.clone(), value.clone());
            hider.value(&mut one);
            hider.value(&mut other);
            prop_assert_eq!(one.len(), value.len());
            prop_assert_eq!(one, other);
        }
    }
}
