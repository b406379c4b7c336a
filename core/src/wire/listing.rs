//! The items by which two members compare what both of them hold.

use alloc::vec::Vec;
use core::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::item::{ITEM_ROOM, ItemKind, ItemWriter};
use crate::{
    digest::{self, BUCKETS, LISTED_MAX, Sums},
    io::FrameError,
    key::SessionKey,
};

/// What sums take: the view, and the numbers.
pub(crate) const SUMS_ROOM: usize = ITEM_ROOM + 8 + 8 * BUCKETS;

/// The longest list: three numbers, two keys, how long it is, and keys and hashes.
pub(crate) const LISTING_ROOM: usize = ITEM_ROOM + 3 * 8 + 16 + 17 + 5 + LISTED_MAX * (16 + 8);

/// A number that takes eight bytes, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fixed(#[serde(with = "postcard::fixint::le")] pub(crate) u64);

/// What the sender owns and the receiver must hold, in one bucket from one key on and up to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// The sender's view, in short.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) view: u64,
    /// The sender's number for the bucket.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) ours: u64,
    /// The number that the receiver had for it: if it has another one by now, the list comes too late.
    #[serde(with = "postcard::fixint::le")]
    pub(crate) theirs: u64,
    /// All from this key on,
    pub(crate) from: SessionKey,
    /// and before that one, or to the end of the bucket.
    pub(crate) until: Option<SessionKey>,
    /// Keys and hashes, ascending.
    #[serde(with = "fixed_hashes")]
    pub(crate) listed: Vec<(SessionKey, u64)>,
}

impl Listing {
    /// Refuses one that is too long, out of order or beyond its bounds.
    pub(crate) fn check(self) -> Result<Self, FrameError> {
        let last = digest::last(digest::bucket(&self.from));
        let is_within = |key: &SessionKey| self.from <= *key && self.until.map_or(*key <= last, |until| *key < until);
        let fits = self.listed.len() <= LISTED_MAX
            && self.until.is_none_or(|until| until <= last)
            && self.listed.is_sorted_by(|one, other| one.0 < other.0)
            && self.listed.iter().all(|(key, _)| is_within(key));
        if fits { Ok(self) } else { Err(FrameError::Body) }
    }
}

mod fixed_hashes {
    use alloc::vec::Vec;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Fixed, SessionKey};

    pub(super) fn serialize<S: Serializer>(listed: &[(SessionKey, u64)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(listed.iter().map(|(key, hash)| (key, Fixed(*hash))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(SessionKey, u64)>, D::Error> {
        let listed = Vec::<(SessionKey, Fixed)>::deserialize(deserializer)?;
        Ok(listed.into_iter().map(|(key, Fixed(hash))| (key, hash)).collect())
    }
}

impl ItemWriter<'_> {
    pub(crate) fn digest(&mut self, view: u64, root: u64) {
        self.put(ItemKind::Digest, &(Fixed(view), Fixed(root)));
    }

    pub(crate) fn sums(&mut self, view: u64, numbers: &[u64; BUCKETS]) {
        let Ok(()) = self.write(ItemKind::Sums, |bytes| write_sums(bytes, view, numbers));
    }

    pub(crate) fn listing(&mut self, listing: &Listing) {
        self.put(ItemKind::Listing, listing);
    }
}

/// The view and 256 numbers, eight bytes each.
fn write_sums(bytes: &mut Vec<u8>, view: u64, numbers: &[u64; BUCKETS]) -> Result<(), Infallible> {
    bytes.extend_from_slice(&view.to_le_bytes());
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    Ok(())
}

pub(super) fn read_sums(body: &[u8]) -> Result<(u64, Sums), FrameError> {
    let (words, rest) = body.as_chunks::<8>();
    let Some((view, words)) = words.split_first().filter(|(_, words)| rest.is_empty() && words.len() == BUCKETS) else {
        return Err(FrameError::Body);
    };
    let mut numbers = [0; BUCKETS];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = u64::from_le_bytes(*word);
    }
    Ok((u64::from_le_bytes(*view), Sums::new(numbers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(listed: Vec<(SessionKey, u64)>) -> Listing {
        Listing { view: 1, ours: 2, theirs: 3, from: digest::first(7), until: None, listed }
    }

    fn key(bucket: u8, number: u16) -> SessionKey {
        let mut key = digest::first(bucket);
        key.0[1..3].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// P7.
    #[test]
    fn a_list_that_is_too_long_out_of_order_or_beyond_its_bounds_is_refused() {
        let many = |count| (0..count).map(|number| (key(7, number), 0)).collect();
        let most = u16::try_from(LISTED_MAX).expect("it is small");
        assert!(listing(many(most)).check().is_ok());
        assert!(listing(many(most + 1)).check().is_err());
        assert!(listing([(key(7, 2), 0), (key(7, 1), 0)].into()).check().is_err());
        assert!(listing([(key(7, 2), 0), (key(7, 2), 0)].into()).check().is_err());
        assert!(listing([(key(8, 0), 0)].into()).check().is_err());
        let until = Some(key(7, 5));
        assert!(Listing { until, ..listing([(key(7, 4), 0)].into()) }.check().is_ok());
        assert!(Listing { until, ..listing([(key(7, 5), 0)].into()) }.check().is_err());
        assert!(Listing { until: Some(key(8, 1)), ..listing(Vec::new()) }.check().is_err());
    }

    #[test]
    fn sums_of_another_length_are_refused() {
        let mut bytes = Vec::new();
        let Ok(()) = write_sums(&mut bytes, 1, &[5; BUCKETS]);
        assert_eq!(read_sums(&bytes), Ok((1, Sums::new([5; BUCKETS]))));
        assert!(read_sums(&bytes[..bytes.len() - 1]).is_err());
        assert!(read_sums(&bytes[..8]).is_err());
        bytes.extend([0; 8]);
        assert!(read_sums(&bytes).is_err());
    }
}
