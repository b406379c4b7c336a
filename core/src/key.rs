//! How a session is known inside the cluster: by a keyed hash of its id.

use core::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

/// The name of a session inside the cluster.
///
/// A session's id is a bearer secret: whoever knows it is the user. So the id stays on the member that was given it,
/// and what travels, is kept in memory and appears in logs is this one-way hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionKey(pub [u8; 16]);

/// As its bytes: of one number the comparison is two instructions, and a search in a table of sessions is mostly comparisons.
impl Ord for SessionKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for SessionKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// Turns session ids into keys: BLAKE3 in keyed mode, cut to 16 bytes, the key derived from the cluster's name.
#[derive(Clone)]
pub struct KeyMaker {
    key: [u8; 32],
}

impl KeyMaker {
    /// The key maker of the cluster of this name; all its members make the same keys.
    pub fn new(cluster_name: &str) -> Self {
        Self { key: blake3::derive_key("heirloom 2026-11 session keys", cluster_name.as_bytes()) }
    }

    /// The key of the session with this id in the numbered space (spaces keep equal ids apart).
    pub fn key(&self, space: u32, id: &[u8]) -> SessionKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&space.to_le_bytes());
        hasher.update(id);
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        SessionKey(key)
    }
}

impl fmt::Debug for KeyMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaker(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_their_bytes(one: [u8; 16], other: [u8; 16]) {
            prop_assert_eq!(SessionKey(one).cmp(&SessionKey(other)), one.cmp(&other));
        }
    }

    #[test]
    fn keys_depend_on_cluster_space_and_id() {
        let (a, b) = (KeyMaker::new("a"), KeyMaker::new("b"));
        assert_eq!(a.key(0, b"s1"), KeyMaker::new("a").key(0, b"s1"));
        assert_ne!(a.key(0, b"s1"), b.key(0, b"s1"));
        assert_ne!(a.key(0, b"s1"), a.key(1, b"s1"));
        assert_ne!(a.key(0, b"s1"), a.key(0, b"s2"));
    }
}
