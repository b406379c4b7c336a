//! What clients ask for: commits that the oracles can recognise in whatever a member shows.

use core::time::Duration;
use std::collections::BTreeSet;

use bytes::Bytes;
use heirloom_core::{Delta, Demand, Durability, Lifetime, SessionKey};

/// The number of a commit that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(pub u64);

/// The number of an attribute of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute(pub u8);

impl Attribute {
    pub(crate) fn name(self) -> Bytes {
        Bytes::copy_from_slice(&[b'a', self.0])
    }

    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        match name {
            [b'a', number] => Some(Self(*number)),
            _ => None,
        }
    }
}

/// How a commit begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From what is there.
    There,
    /// From nothing: what is there ends.
    Anew,
    /// It is an end.
    End,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of which session.
    pub key: SessionKey,
    /// How it begins.
    pub start: Start,
    /// The key that the session gets instead: its id is changed.
    pub moves_to: Option<SessionKey>,
    /// What it sets.
    pub sets: BTreeSet<Attribute>,
    /// What it removes.
    pub removes: BTreeSet<Attribute>,
    /// What it says of the lifetime.
    pub lifetime: Option<Lifetime>,
    /// The length of each value.
    pub bytes: usize,
    /// How durable it shall be.
    pub durability: Durability,
    /// How long it may take until it is.
    pub within: Option<Duration>,
}

impl Ask {
    /// Sets one attribute of a session to a short value.
    pub fn set(key: SessionKey, attribute: u8, durability: Durability) -> Self {
        let sets = BTreeSet::from([Attribute(attribute)]);
        let (start, removes) = (Start::There, BTreeSet::new());
        Self { key, start, moves_to: None, sets, removes, lifetime: None, bytes: 16, durability, within: None }
    }

    /// Ends a session.
    pub fn end(key: SessionKey, durability: Durability) -> Self {
        Self { start: Start::End, sets: BTreeSet::new(), ..Self::set(key, 0, durability) }
    }

    /// Changes the id of a session: for the old key that is an end.
    pub fn change_id(old: SessionKey, new: SessionKey, durability: Durability) -> Self {
        Self { moves_to: Some(new), ..Self::end(old, durability) }
    }

    /// The bytes of the largest attribute that it sets, its name included; zero if it sets none.
    pub(crate) fn largest(&self) -> usize {
        let value = self.bytes.max(size_of::<u64>());
        self.sets.iter().map(|attribute| attribute.name().len() + value).max().unwrap_or(0)
    }

    pub(crate) fn demand(&self) -> Demand {
        Demand { durability: self.durability, within: self.within }
    }

    pub(crate) fn delta(&self, serial: Serial) -> Delta {
        let mut delta = match self.start {
            Start::There => Delta::new(),
            Start::Anew => Delta::anew(),
            Start::End => return Delta::end(),
        };
        let mut value = serial.0.to_le_bytes().to_vec();
        value.resize(self.bytes.max(value.len()), b'.');
        let value = Bytes::from(value);
        for attribute in &self.sets {
            delta = delta.set(attribute.name(), value.clone());
        }
        for attribute in &self.removes {
            delta = delta.remove(attribute.name());
        }
        match self.lifetime {
            Some(lifetime) => delta.lifetime(lifetime),
            None => delta,
        }
    }
}
