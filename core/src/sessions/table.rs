//! The entries of the table, found by key.
//!
//! Whatever happens to a session looks its entry up many times, so the last one that was found is looked at first. The order of
//! the keys stands apart from the entries: a search goes through keys alone, and an entry never moves. Always true: each key has a
//! place of its own, and what stands there has this key; a place that nobody has is free.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{
    ops::RangeBounds,
    sync::atomic::{AtomicU32, Ordering},
};

use super::Entry;
use crate::key::SessionKey;

/// Entries by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    places: BTreeMap<SessionKey, Place>,
    /// In parts of equal size, so that none is ever copied.
    parts: Vec<Vec<Slot>>,
    free: Vec<Place>,
    last: Last,
}

/// Where an entry stands: a short number, as the order has one for each session.
#[derive(Clone, Copy, Debug)]
struct Place(u32);

#[derive(Clone, Debug)]
struct Slot {
    key: SessionKey,
    /// `None` where the place is free.
    entry: Option<Entry>,
}

/// The place that was found last: a guess that is checked. Readers of one node may share it.
#[derive(Debug, Default)]
struct Last(AtomicU32);

const PART: usize = 64;

impl Table {
    pub(super) fn get(&self, key: &SessionKey) -> Option<&Entry> {
        self.slot(self.place(key)?)?.entry.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut Entry> {
        let place = self.place(key)?;
        let (part, at) = place.split();
        self.parts.get_mut(part)?.get_mut(at)?.entry.as_mut()
    }

    /// The entry of a key; makes one if there is none.
    pub(super) fn get_or_insert(&mut self, key: SessionKey, make: impl FnOnce() -> Entry) -> &mut Entry {
        let place = self.place(&key).unwrap_or_else(|| self.insert(key, make()));
        let (part, at) = place.split();
        self.parts[part][at].entry.as_mut().expect("a key has an entry at its place")
    }

    pub(super) fn remove(&mut self, key: &SessionKey) -> Option<Entry> {
        let place = self.places.remove(key)?;
        self.free.push(place);
        let (part, at) = place.split();
        self.parts[part][at].entry.take()
    }

    /// All entries, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Entry)> {
        self.range(..)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.iter().map(|(_, entry)| entry)
    }

    /// Those with keys in a range, in their order.
    pub(super) fn range(&self, keys: impl RangeBounds<SessionKey>) -> impl Iterator<Item = (&SessionKey, &Entry)> {
        self.places.range(keys).filter_map(|(key, place)| Some((key, self.slot(*place)?.entry.as_ref()?)))
    }

    fn insert(&mut self, key: SessionKey, entry: Entry) -> Place {
        let slot = Slot { key, entry: Some(entry) };
        let place = match self.free.pop() {
            Some(place) => {
                let (part, at) = place.split();
                self.parts[part][at] = slot;
                place
            }
            None => {
                if self.parts.last().is_none_or(|part| part.len() == PART) {
                    self.parts.push(Vec::with_capacity(PART));
                }
                let before = (self.parts.len() - 1) * PART;
                let part = self.parts.last_mut().expect("there is a part that is not full");
                part.push(slot);
                Place::new(before + part.len() - 1)
            }
        };
        self.places.insert(key, place);
        self.last.set(place);
        place
    }

    fn place(&self, key: &SessionKey) -> Option<Place> {
        let last = self.last.get();
        if self.slot(last).is_some_and(|slot| slot.key == *key && slot.entry.is_some()) {
            return Some(last);
        }
        let place = *self.places.get(key)?;
        self.last.set(place);
        Some(place)
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let (part, at) = place.split();
        self.parts.get(part)?.get(at)
    }
}

impl Place {
    fn new(number: usize) -> Self {
        Self(u32::try_from(number).expect("more sessions than that have no room"))
    }

    /// The part, and where in it.
    fn split(self) -> (usize, usize) {
        let number = usize::try_from(self.0).expect("it was made of one");
        (number / PART, number % PART)
    }
}

impl Last {
    fn get(&self) -> Place {
        Place(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, place: Place) {
        self.0.store(place.0, Ordering::Relaxed);
    }
}

impl Clone for Last {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.get().0))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        session::{Attribute, Session},
        time::Time,
    };

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in prop::collection::vec((0..3_u8, 0..200_u8, any::<u64>()), 0..600)) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for (step, key, number) in steps {
                let (key, at) = (SessionKey([key; 16]), Time::from_nanos(number));
                match step {
                    0 => {
                        table.get_or_insert(key, || entry(at));
                        map.entry(key).or_insert(at);
                    }
                    1 => prop_assert_eq!(table.remove(&key).map(|entry| entry.told), map.remove(&key)),
                    _ => {
                        if let Some(entry) = table.get_mut(&key) {
                            entry.told = at;
                        }
                        map.entry(key).and_modify(|told| *told = at);
                    }
                }
                prop_assert_eq!(table.get(&key).map(|entry| entry.told), map.get(&key).copied());
            }
            let told: Vec<_> = table.iter().map(|(key, entry)| (*key, entry.told)).collect();
            prop_assert_eq!(told, map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_place_of_one_that_is_gone_is_anothers_and_not_its_own() {
        let [a, b] = [1, 2].map(|byte| SessionKey([byte; 16]));
        let mut table = Table::default();
        table.get_or_insert(a, || entry(Time::from_nanos(1)));
        table.remove(&a);
        assert!(table.get(&a).is_none());
        table.get_or_insert(b, || entry(Time::from_nanos(2)));
        assert!(table.get(&a).is_none());
        let told: Vec<_> = table.values().map(|entry| entry.told).collect();
        assert_eq!((told, table.parts.len()), (vec![Time::from_nanos(2)], 1));
    }

    /// What of each session is not its attributes: a field more costs this in every session there is.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_session_takes_no_more_than_this() {
        assert_eq!((size_of::<Slot>(), size_of::<Session>(), size_of::<Attribute>()), (104, 168, 104));
    }

    fn entry(told: Time) -> Entry {
        Entry { told, ..Entry::default() }
    }
}
