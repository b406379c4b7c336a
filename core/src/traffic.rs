//! Which attributes take the most room on the wire, by their names.
//!
//! There may be any number of names, so not each has a count. A name without one takes over that of the name with the fewest
//! bytes, and goes on from there: the algorithm "space saving" of Metwally, Agrawal and El Abbadi (*Efficient Computation of
//! Frequent and Top-k Elements in Data Streams*, 2005). Always true: a name that takes more than one part in [`NAMES_MAX`]
//! of all bytes has a count; no count is too low, and none is too high by more than what it took over.

use alloc::vec::Vec;
use core::cmp::Reverse;

use bytes::Bytes;

/// What an attribute has taken on the wire, under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeTraffic {
    /// The name; of a long one the first 64 bytes, which it shares with others that begin so.
    pub name: Bytes,
    /// Bytes of names and values that were sent, to all members together: at most `over` more than it really was.
    pub bytes: u64,
    /// How much of `bytes` may be of other names: those whose place this one took.
    pub over: u64,
    /// Deltas that have carried it since it has its place.
    pub deltas: u64,
}

/// So many names are counted.
const NAMES_MAX: usize = 32;
/// So much of a name is kept.
const NAME_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// In the order of names.
    counts: Vec<AttributeTraffic>,
    registers: u64,
}

impl Traffic {
    /// A delta carries an attribute, with name and value of so many bytes.
    pub(crate) fn count(&mut self, name: &[u8], bytes: usize) {
        let name = &name[..name.len().min(NAME_MAX)];
        let bytes = bytes as u64;
        self.registers += 1;
        match self.counts.binary_search_by(|count| count.name[..].cmp(name)) {
            Ok(at) => {
                let count = &mut self.counts[at];
                (count.bytes, count.deltas) = (count.bytes + bytes, count.deltas + 1);
            }
            Err(_) => {
                let over = if self.counts.len() < NAMES_MAX { 0 } else { self.take_least() };
                let name = Bytes::copy_from_slice(name);
                let at = self.counts.partition_point(|count| count.name < name);
                self.counts.insert(at, AttributeTraffic { name, bytes: over + bytes, over, deltas: 1 });
            }
        }
    }

    /// How many attributes deltas have carried, whatever their names.
    pub(crate) fn registers(&self) -> u64 {
        self.registers
    }

    /// Those that are counted, the most bytes first.
    pub(crate) fn top(&self) -> Vec<AttributeTraffic> {
        let mut top = self.counts.clone();
        top.sort_by(|one, other| (Reverse(one.bytes), &one.name).cmp(&(Reverse(other.bytes), &other.name)));
        top
    }

    /// Gives the place of the name with the fewest bytes away, and tells what it had.
    fn take_least(&mut self) -> u64 {
        let least = self.counts.iter().enumerate().min_by_key(|(_, count)| count.bytes).map(|(at, _)| at);
        least.map_or(0, |at| self.counts.remove(at).bytes)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, format};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_long_as_all_have_a_place_counts_are_exact_and_the_most_bytes_come_first() {
        let mut traffic = Traffic::default();
        for (name, bytes) in [("a", 5), ("b", 30), ("a", 6), ("c", 11)] {
            traffic.count(name.as_bytes(), bytes);
        }
        let told: Vec<_> = traffic.top().into_iter().map(|top| (top.name, top.bytes, top.over, top.deltas)).collect();
        let expected = [("b", 30, 0, 1), ("a", 11, 0, 2), ("c", 11, 0, 1)];
        assert_eq!(told, expected.map(|(name, bytes, over, deltas)| (Bytes::from(name), bytes, over, deltas)));
        assert_eq!(traffic.registers(), 4);
    }

    #[test]
    fn a_long_name_is_cut_and_takes_no_more_room() {
        let mut traffic = Traffic::default();
        traffic.count(&[b'x'; 100_000], 100_000);
        traffic.count(&[b'x'; 65], 65);
        let [top] = &traffic.top()[..] else { panic!("they begin alike") };
        assert_eq!((top.name.len(), top.bytes, top.deltas), (NAME_MAX, 100_065, 2));
    }

    proptest! {
        #[test]
        fn whoever_takes_more_than_its_part_is_counted_and_no_count_is_off_by_more_than_it_says(
            sent in prop::collection::vec((0..200_u32, 1..1000_usize), 0..2000),
            hot in 0..200_u32,
        ) {
            let (mut traffic, mut exact) = (Traffic::default(), BTreeMap::<Bytes, u64>::new());
            for (place, (name, bytes)) in sent.into_iter().enumerate() {
                let name = if place.is_multiple_of(8) { hot } else { name };
                let name = format!("{name}");
                traffic.count(name.as_bytes(), bytes);
                *exact.entry(Bytes::from(name)).or_default() += bytes as u64;
            }
            let (top, all) = (traffic.top(), exact.values().sum::<u64>());
            prop_assert!(top.len() <= NAMES_MAX);
            prop_assert_eq!(top.iter().map(|top| top.bytes).sum::<u64>(), all, "nothing is lost or counted twice");
            for count in &top {
                let really = exact[&count.name];
                prop_assert!(count.bytes - count.over <= really && really <= count.bytes);
            }
            for (name, bytes) in exact.iter().filter(|(_, bytes)| all < **bytes * NAMES_MAX as u64) {
                prop_assert!(top.iter().any(|count| count.name == name), "{:?} took {} of {}", name, bytes, all);
            }
        }
    }
}
