//! All chance of a run: a frozen generator, keyed by what is drawn for.
//!
//! A draw is a function of the seed, of the thing that it decides (a link, a host, a client) and of its number there,
//! and of nothing else. So taking one fault out of a plan leaves the fate of every other packet as it was.

use core::time::Duration;

/// What a series of draws is for: draws of different purposes have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// What a seed makes of the run: members, settings, weather.
    Plan,
    /// Which faults happen and when.
    Faults,
    /// What clients do.
    Clients,
    /// The identity and the seed of one life.
    Life,
    /// The clocks of a host.
    Clock,
    /// The fate of a datagram to one address.
    Unicast,
    /// The fate of a datagram to the group, at one receiver.
    Multicast,
    /// The fate of a stream and its bytes.
    Stream,
    /// Damage on the way.
    Noise,
    /// What the switch loses, and what one bad link does.
    Strain,
}

/// The chance of one run.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

impl Chance {
    /// The chance of the run with this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The draws for the thing `a`, `b` (a link, say) and its `index`-th use.
    pub fn draws(&self, purpose: Purpose, a: u64, b: u64, index: u64) -> Draws {
        let words = [self.seed, u64::from(purpose as u8), a, b, index];
        Draws {
            state: words.into_iter().fold(0, |state, word| mix(state ^ mix(word))),
            choices: Vec::new().into_iter(),
        }
    }
}

/// A series of draws (SplitMix64).
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
    choices: std::vec::IntoIter<u8>,
}

impl Draws {
    /// The same series, except that somebody else chooses the first draws: two bytes are the upper bits of one, which are
    /// those that decide.
    pub fn chosen_by(self, choices: &[u8]) -> Self {
        Self { choices: Vec::from(choices).into_iter(), ..self }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let drawn = mix(self.state);
        match (self.choices.next(), self.choices.next()) {
            (Some(high), Some(low)) => u64::from(u16::from_be_bytes([high, low])) << 48 | drawn >> 16,
            _ => drawn,
        }
    }

    /// A number below `end`; zero when `end` is zero.
    pub fn below(&mut self, end: u64) -> u64 {
        let scaled = (u128::from(self.bits()) * u128::from(end)) >> 64;
        u64::try_from(scaled).expect("a product of two words, cut to its upper word")
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        let end = u64::try_from(len).expect("a length fits into 64 bits");
        usize::try_from(self.below(end)).expect("below a length")
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&mut self, cases: u64) -> bool {
        self.below(1000) < cases
    }

    /// A duration from `least` to `most`.
    pub fn duration(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_nanos(self.between(nanos(least), nanos(most)))
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// The nanoseconds of a duration that occurs in a run.
pub(crate) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).expect("a run takes less than 500 years")
}

/// Spreads every bit of `word` over all bits (the finalizer of SplitMix64).
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// What [`mix`] makes this word of.
pub(crate) const fn unmix(word: u64) -> u64 {
    let word = (word ^ (word >> 31) ^ (word >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    let word = (word ^ (word >> 27) ^ (word >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    word ^ (word >> 30) ^ (word >> 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_frozen() {
        let mut draws = Chance::new(1).draws(Purpose::Plan, 2, 3, 4);
        assert_eq!([draws.bits(), draws.bits()], [FIRST, SECOND]);
    }

    #[test]
    fn what_is_mixed_can_be_told_again() {
        assert!((0..1000).map(mix).all(|word| unmix(mix(word)) == word && mix(unmix(word)) == word));
    }

    #[test]
    fn draws_of_one_link_do_not_depend_on_another() {
        let chance = Chance::new(7);
        let alone = chance.draws(Purpose::Unicast, 0, 1, 5).bits();
        chance.draws(Purpose::Unicast, 1, 0, 5).bits();
        assert_eq!(chance.draws(Purpose::Unicast, 0, 1, 5).bits(), alone);
        assert_ne!(chance.draws(Purpose::Multicast, 0, 1, 5).bits(), alone);
    }

    #[test]
    fn choices_come_first_and_what_is_drawn_after_them_is_as_it_was() {
        let drawn = Chance::new(1).draws(Purpose::Plan, 2, 3, 4);
        let mut chosen = drawn.clone().chosen_by(&[0xff, 0xff, 7]);
        assert_eq!([chosen.below(1000), chosen.bits()], [999, SECOND]);
        assert!(
            !drawn.clone().chosen_by(&[0x80, 0]).per_mille(500) && drawn.clone().chosen_by(&[0x7f, 0]).per_mille(500)
        );
    }

    #[test]
    fn a_number_is_within_its_bounds() {
        let mut draws = Chance::new(1).draws(Purpose::Plan, 0, 0, 0);
        assert!((0..1000).all(|_| (3..=5).contains(&draws.between(3, 5))));
        assert_eq!(draws.below(0), 0);
    }

    const FIRST: u64 = 7_042_661_958_089_829_427;
    const SECOND: u64 = 4_292_721_796_274_961_608;
}
