//! How members rank for a session: weighted rendezvous hashing (Thaler and Ravishankar, 1998), in integers.
//!
//! Each member draws a number u between 0 and 1 by a hash of the session's key and its id. The one with the smallest
//! -log2(u) / weight ranks highest: so a member ranks highest for a share of the sessions in proportion to its weight, and
//! how two members rank does not depend on a third (the logarithmic method of Schindelhauer and Schomaker, "Weighted
//! distributed hash tables", 2005). All members compute the same, bit by bit: `docs/wire.md` says it for others.

use core::cmp::Reverse;

use crate::{key::SessionKey, member::MemberId, rng::mix};

/// Where a member stands for one session: the least ranks highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    distance: u64,
    hash: Reverse<u64>,
    pub(crate) id: MemberId,
}

impl Rank {
    /// Below every member.
    pub(crate) const NONE: Self = Self { distance: u64::MAX, hash: Reverse(0), id: MemberId(u64::MAX) };
}

/// Draws the numbers of members for one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranking {
    key: [u64; 2],
}

impl Ranking {
    pub(crate) fn new(key: &SessionKey) -> Self {
        let key = [0, 8].map(|at| {
            let mut half = [0; 8];
            half.copy_from_slice(&key.0[at..at + 8]);
            u64::from_le_bytes(half)
        });
        Self { key }
    }

    /// The rank of a member among others of whatever weights.
    pub(crate) fn weighted(self, id: MemberId, weight: u16) -> Rank {
        let rank = self.even(id);
        let Reverse(hash) = rank.hash;
        Rank { distance: (((64 << FRACTION) - log2(hash)) << SPREAD) / u64::from(weight.max(1)), ..rank }
    }

    /// The rank of a member among others of the same weight: they stand in the same order without the logarithm.
    pub(crate) fn even(self, id: MemberId) -> Rank {
        let [low, high] = self.key;
        Rank { distance: 0, hash: Reverse(mix(mix(low ^ id.0) ^ high)), id }
    }
}

/// The bits behind the point of a logarithm.
const FRACTION: u32 = 32;

/// A distance is spread over the word before it is divided, so that little is cut off.
const SPREAD: u32 = 25;
const _: () = assert!((64 << FRACTION) << SPREAD <= 1_u64 << 63);

/// The binary logarithm, that of 0 taken as that of 1; it never falls, and is at most 0.0000028 too small.
fn log2(value: u64) -> u64 {
    let value = value.max(1);
    let whole = value.ilog2();
    let fraction = (value << (63 - whole)) << 1;
    let [step, ..] = fraction.to_be_bytes();
    let (from, to) = (LOGARITHMS[usize::from(step)], LOGARITHMS[usize::from(step) + 1]);
    let beyond = (fraction << 8) >> 32;
    (u64::from(whole) << FRACTION) + from + (((to - from) * beyond) >> 32)
}

/// The logarithms of 1 to 2 in steps of 1/256, cut off behind the last bit.
static LOGARITHMS: [u64; 257] = logarithms();

const fn logarithms() -> [u64; 257] {
    let mut table = [0; 257];
    let (mut at, mut start) = (0, 1 << 63);
    while at < 256 {
        // A square has twice the logarithm: whether it reaches 2 is the next bit.
        let (mut value, mut bits): (u128, u32) = (start, 0);
        while bits < FRACTION {
            let square = value * value;
            let bit = square >> 127;
            value = square >> (63 + bit);
            table[at] = (table[at] << 1) | if bit == 1 { 1 } else { 0 };
            bits += 1;
        }
        at += 1;
        start += 1 << 55;
    }
    table[256] = 1 << FRACTION;
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: u64 = 1 << FRACTION;
    /// 0.0000028.
    const ERROR: u64 = 12_026;

    #[test]
    fn logarithms_are_as_known() {
        for power in 0..64_u32 {
            assert_eq!(log2(1 << power), u64::from(power) * ONE);
        }
        assert_eq!(log2(0), 0);
        // In steps of 1/256 they are exact: of 1.5, of 1.25 and of 511/256.
        assert_eq!(log2(3), ONE + 2_512_394_809);
        assert_eq!(log2(5), 2 * ONE + 1_382_670_639);
        assert_eq!(log2(511), 9 * ONE - 12_114_038);
        // Between two steps they are too small; most so in the middle of the first, where this is 1 + 1/512.
        assert_eq!(log2(513), 9 * ONE + 12_078_627);
        let known = [
            (513, 9 * ONE + 12_090_399),
            (1_000_003, 85_605_453_752),
            (123_456_789_012_345_678, 243_854_429_537),
            (u64::MAX, 64 * ONE),
        ];
        for (value, logarithm) in known {
            assert!(log2(value) <= logarithm && logarithm <= log2(value) + ERROR, "{value}: {}", log2(value));
        }
    }

    /// Computed by `docs/wire.md` alone: members of another make must place copies like this one.
    #[test]
    fn distances_are_as_the_wire_s_description_says() {
        let ranking = Ranking::new(&SessionKey(*b"a session's key."));
        for (id, weight, hash, distance) in [
            (0x0123_4567_89ab_cdef, 100, 0x3dea_d03c_cff9_d3da, 2_951_091_958_400_942),
            (0xfedc_ba98_7654_3210, 100, 0x3e73_293a_3958_277d, 2_933_283_851_264_327),
            (0x0123_4567_89ab_cdef, 1000, 0x3dea_d03c_cff9_d3da, 295_109_195_840_094),
            (0xfedc_ba98_7654_3210, 7, 0x3e73_293a_3958_277d, 41_904_055_018_061_824),
        ] {
            let id = MemberId(id);
            assert_eq!(ranking.weighted(id, weight), Rank { distance, hash: Reverse(hash), id });
        }
    }

    proptest! {
        #[test]
        fn a_logarithm_never_falls(value in any::<u64>(), zeros in 0..64_u32, more in prop_oneof![0..300_u64, any::<u64>()]) {
            let value = value >> zeros;
            prop_assert!(log2(value) <= log2(value.saturating_add(more)));
        }

        /// Of a product it is the sum.
        #[test]
        fn a_logarithm_is_one(one in 1..=u64::from(u32::MAX), other in 1..=u64::from(u32::MAX)) {
            let (product, sum) = (log2(one * other), log2(one) + log2(other));
            prop_assert!(product.abs_diff(sum) <= 2 * ERROR);
        }

        /// So members of the same weight may be compared either way, whoever else there is.
        #[test]
        fn equal_weights_rank_like_the_plain_hash(
            key in any::<[u8; 16]>(), ids in any::<[u64; 2]>(), weight in 1..=1000_u16,
        ) {
            let ranking = Ranking::new(&SessionKey(key));
            let [one, other] = ids.map(|id| ranking.even(MemberId(id)));
            let [weighted_one, weighted_other] = ids.map(|id| ranking.weighted(MemberId(id), weight));
            prop_assert_eq!(one.cmp(&other), weighted_one.cmp(&weighted_other));
        }

        #[test]
        fn a_greater_weight_never_ranks_lower(key in any::<[u8; 16]>(), id in any::<u64>(), weight in 1..1000_u16) {
            let ranking = Ranking::new(&SessionKey(key));
            prop_assert!(ranking.weighted(MemberId(id), weight + 1) <= ranking.weighted(MemberId(id), weight));
        }
    }
}
