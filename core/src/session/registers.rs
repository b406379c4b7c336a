//! The registers of a session, and what they are made of.

use bytes::Bytes;

use super::{Lifetime, Session};
use crate::{stamp::Stamp, time::Time};

/// A place in the order of a node's own changes. It never travels; zero marks what others brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change(pub(crate) u64);

impl Change {
    /// The number of a register that replaces one of this number: one that others still lack keeps its place, or a peer
    /// could acknowledge a frame in which neither was.
    pub(crate) fn kept(self, new: Self) -> Self {
        if new == Self::default() { self } else { new }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LifetimeRegister {
    pub(crate) birth: Stamp,
    pub(crate) stamp: Stamp,
    pub(crate) lifetime: Lifetime,
    /// When the session reaches its greatest age, if it has one. That is set at the birth, and what is left of it travels.
    /// It is no part of what is compared: a word of it is late by the time that it was on its way, so of two the earlier holds.
    pub(crate) until: Option<Time>,
    pub(crate) changed: Change,
}

#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: Bytes,
    pub(crate) birth: Stamp,
    pub(crate) stamp: Stamp,
    /// `None` is a removal: it must outlive what it removed.
    pub(crate) value: Option<Bytes>,
    pub(crate) changed: Change,
}

impl Attribute {
    pub(crate) fn bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Whether it was written after the creation that it belongs to: a creation has one stamp for all that it writes.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.stamp != self.birth
    }
}

/// A value on its way into a session: copied only if it wins.
#[derive(Clone, Debug)]
pub(crate) enum Content<'a> {
    Slice(&'a [u8]),
    Held(&'a Bytes),
    /// Nobody else has it yet: it needs no count of who does.
    Own(Bytes),
}

impl Content<'_> {
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Slice(slice) => Bytes::copy_from_slice(slice),
            Self::Held(bytes) => bytes.clone(),
            Self::Own(bytes) => bytes,
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Slice(slice) => slice,
            Self::Held(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

/// A register on its way into a session.
#[derive(Clone, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) name: Content<'a>,
    pub(crate) birth: Stamp,
    pub(crate) stamp: Stamp,
    /// `None` is a removal.
    pub(crate) value: Option<Content<'a>>,
    pub(crate) changed: Change,
}

impl<'a> From<&'a Attribute> for Incoming<'a> {
    fn from(attribute: &'a Attribute) -> Self {
        let Attribute { name, birth, stamp, value, changed } = attribute;
        let value = value.as_ref().map(Content::Held);
        Self { name: Content::Held(name), birth: *birth, stamp: *stamp, value, changed: *changed }
    }
}

impl Session {
    /// Whether any register is of that change of this node or of a later one.
    pub(crate) fn has_changed_since(&self, change: Change) -> bool {
        self.changes().any(|changed| change <= changed)
    }

    /// Whether all registers are at or above a change.
    pub(crate) fn is_unchanged_before(&self, change: Change) -> bool {
        self.changes().all(|changed| change <= changed)
    }

    /// The oldest change among the registers that this node wrote itself.
    pub(crate) fn oldest_change(&self) -> Option<Change> {
        self.changes().filter(|change| *change != Change::default()).min()
    }

    /// The oldest and the newest change among the registers that this node wrote itself.
    pub(crate) fn own_changes(&self) -> Option<(Change, Change)> {
        let newest = self.changes().max()?;
        Some((self.oldest_change()?, newest))
    }

    /// Whether this value of a name is what counts, as this node wrote it in the birth that heads the session; or, of a
    /// removal, whether there is nothing under this name.
    pub(crate) fn has_own(&self, name: &[u8], value: Option<&Bytes>) -> bool {
        let Some(head) = self.head() else { return false };
        match self.find(name, head.birth) {
            Ok(at) => {
                let attribute = &self.attributes[at];
                attribute.changed != Change::default() && attribute.value.as_ref() == value
            }
            Err(_) => value.is_none() && self.shown(name).is_none(),
        }
    }

    fn changes(&self) -> impl Iterator<Item = Change> {
        let lifetimes = self.lifetimes.iter().map(|register| register.changed);
        lifetimes.chain(self.attributes.iter().map(|attribute| attribute.changed))
    }
}
