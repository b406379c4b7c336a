//! The shared map as readers see it.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::sync::{RwLock, read, write};

/// A copy of the map beside the node, that any thread reads without a word to the loop.
///
/// It is written under the node's lock, before any commit is answered. A reader of all of it gets what is there as it is;
/// only who changes it while somebody still holds that makes a copy.
#[derive(Debug)]
pub(crate) struct PublishedMap(RwLock<Arc<BTreeMap<Bytes, Bytes>>>);

impl PublishedMap {
    pub(crate) fn new() -> Self {
        Self(RwLock::new(Arc::default()))
    }

    /// Makes changes readable, and answers which was the last.
    pub(crate) fn publish<'a>(
        &self,
        changes: impl Iterator<Item = (u64, &'a Bytes, Option<&'a Bytes>)>,
    ) -> Option<u64> {
        let mut changes = changes.peekable();
        // Mostly there is none, and no reader has to wait.
        changes.peek()?;
        let mut map = write(&self.0);
        let map = Arc::make_mut(&mut map);
        changes.fold(None, |_, (change, name, value)| {
            match value {
                Some(value) => map.insert(name.clone(), value.clone()),
                None => map.remove(name),
            };
            Some(change)
        })
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<Bytes> {
        read(&self.0).get(name).cloned()
    }

    pub(crate) fn all(&self) -> Arc<BTreeMap<Bytes, Bytes>> {
        Arc::clone(&read(&self.0))
    }

    pub(crate) fn clear(&self) {
        *write(&self.0) = Arc::default();
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_all_of_it_sees_no_later_change() {
        let map = PublishedMap::new();
        let [a, b] = [Bytes::from("a"), Bytes::from("b")];
        assert_eq!(map.publish([(3, &a, Some(&b)), (5, &b, Some(&a))].into_iter()), Some(5));
        let before = map.all();
        assert_eq!(map.publish([(6, &a, None)].into_iter()), Some(6));
        assert_eq!(map.publish(core::iter::empty()), None);
        assert_eq!((map.get(b"a"), map.get(b"b")), (None, Some(a.clone())));
        assert_eq!((before.len(), before.get(&a), map.all().len()), (2, Some(&b), 1));
        map.clear();
        assert_eq!(map.get(b"b"), None);
    }
}
