//! How a Redis value lies in a session.
//!
//! A hash is a session whose attributes are its fields, under their own names: what a Rust server writes with a driver, a
//! Redis client reads, and the other way round. A string is a session with one attribute without a name. So that the
//! two cannot be confused, a field without a name, or one that begins with a zero byte, has a zero byte put before its
//! name.

use std::borrow::Cow;

use bytes::Bytes;
use heirloom_core::Session;

/// The name of the attribute that a string is.
pub(crate) const TEXT: &[u8] = b"";

/// What stands before the name of a field that could be confused.
const ESCAPE: u8 = 0;

/// What a key holds, in the words of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: no session, or one without attributes, which Redis does not know.
    Absent,
    /// A string.
    Text,
    /// A hash.
    Hash,
}

impl Kind {
    /// What this session is. One that was made a string and a hash at once, by two members, is a string.
    pub(crate) fn of(session: Option<&Session>) -> Self {
        let Some(session) = session else { return Self::Absent };
        match session.attributes().next() {
            None => Self::Absent,
            // The name of a string is the least of all.
            Some((name, _)) if name.is_empty() => Self::Text,
            Some(_) => Self::Hash,
        }
    }

    /// As `TYPE` answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Absent => "none",
            Self::Text => "string",
            Self::Hash => "hash",
        }
    }
}

/// The attribute of a field.
pub(crate) fn attribute(field: &[u8]) -> Cow<'_, [u8]> {
    match field.first() {
        None | Some(&ESCAPE) => Cow::Owned([&[ESCAPE], field].concat()),
        Some(_) => Cow::Borrowed(field),
    }
}

/// The field of an attribute; `None` for that of a string.
pub(crate) fn field(attribute: &[u8]) -> Option<&[u8]> {
    match attribute.split_first() {
        None => None,
        Some((&ESCAPE, field)) => Some(field),
        Some(_) => Some(attribute),
    }
}

/// The fields of a hash with their values.
pub(crate) fn fields(session: &Session) -> impl Iterator<Item = (&[u8], &Bytes)> {
    session.attributes().filter_map(|(name, value)| Some((field(name)?, value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_field_has_an_attribute_of_its_own_and_none_is_the_string(
            a in prop::collection::vec(0_u8..3, 0..5),
            b in prop::collection::vec(0_u8..3, 0..5),
        ) {
            let (of_a, of_b) = (attribute(&a), attribute(&b));
            prop_assert_eq!(field(&of_a), Some(&a[..]));
            prop_assert_ne!(&*of_a, TEXT);
            prop_assert_eq!(of_a == of_b, a == b);
        }
    }
}
