//! Bytes as choices.

use heirloom_core::{SessionKey, fuzz::Choose};

/// Takes choices from the front of the bytes: one byte where that is enough, so that a change of one byte changes one
/// choice.
pub(crate) struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).expect("a length"))).expect("below a length")
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    pub(crate) fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) + 1 == cases
    }

    /// One of few, so that what is done meets.
    pub(crate) fn key(&mut self) -> SessionKey {
        SessionKey([self.pick(&[0, 1, 2, 3]); 16])
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}

impl Choose for Choices<'_> {
    fn below(&mut self, end: u64) -> u64 {
        let width = match end {
            0 | 1 => return 0,
            2..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        self.take(width).iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) % end
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.index(most + 1);
        self.take(len).to_vec()
    }
}

/// Bytes without a form, always the same (SplitMix64).
pub fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    core::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    })
    .flatten()
}
