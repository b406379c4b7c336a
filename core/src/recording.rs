//! What a recorder of a node's inputs must see of forms that nobody else does: where the values are in what travels, and
//! a delta as bytes. No part of the interface.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    delta::{Condition, Delta, Start},
    life::EndCause,
    session::Lifetime,
    version::{AttributeVersion, SessionVersion},
};

pub use crate::wire::values::{STREAM_PREFIX, frame_in, renew_checksum, values_of};

/// A delta as a record has it.
#[derive(Serialize, Deserialize)]
struct Form {
    start: Option<Option<EndCause>>,
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    lifetime: Option<(u8, Duration)>,
    max_age: Option<Duration>,
    conditions: Vec<ConditionForm>,
}

/// The name of an attribute, or none for the session; and the version that must be there.
type ConditionForm = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A delta as bytes, with its values as `hide` leaves them.
pub fn delta_bytes(delta: &Delta, mut hide: impl FnMut(&mut [u8])) -> Vec<u8> {
    let changes = delta.changes.iter().map(|(name, value)| {
        let mut value = value.as_ref().map(|value| value.to_vec());
        if let Some(value) = &mut value {
            hide(value);
        }
        (name.to_vec(), value)
    });
    let form = Form {
        start: match delta.start {
            Start::FromWhatIsThere => None,
            Start::Anew => Some(None),
            Start::End(cause) => Some(Some(cause)),
        },
        changes: changes.collect(),
        lifetime: delta.lifetime.map(|lifetime| match lifetime {
            Lifetime::Never => (0, Duration::ZERO),
            Lifetime::Idle(length) => (1, length),
            Lifetime::Fixed(length) => (2, length),
        }),
        max_age: delta.max_age,
        conditions: delta
            .conditions
            .iter()
            .map(|condition| match condition {
                Condition::Attribute(name, version) => (Some(name.to_vec()), version.map(AttributeVersion::to_bytes)),
                Condition::Session(version) => (None, version.as_ref().map(SessionVersion::to_bytes)),
            })
            .collect(),
    };
    postcard::to_allocvec(&form).expect("memory takes what is written to it")
}

/// A delta from its bytes; `None` if they are none.
pub fn delta_of(bytes: &[u8]) -> Option<Delta> {
    let (form, rest): (Form, _) = postcard::take_from_bytes(bytes).ok()?;
    let conditions = form.conditions.into_iter().map(|(name, version)| {
        Some(match name {
            Some(name) => {
                let version = version.map(|version| AttributeVersion::from_bytes(&version)).transpose().ok()?;
                Condition::Attribute(name.into(), version)
            }
            None => Condition::Session(version.map(|version| SessionVersion::from_bytes(&version)).transpose().ok()?),
        })
    });
    let lifetime = match form.lifetime {
        None => None,
        Some((0, _)) => Some(Lifetime::Never),
        Some((1, length)) => Some(Lifetime::Idle(length)),
        Some((2, length)) => Some(Lifetime::Fixed(length)),
        Some(_) => return None,
    };
    let delta = Delta {
        start: match form.start {
            None => Start::FromWhatIsThere,
            Some(None) => Start::Anew,
            Some(Some(cause)) => Start::End(cause),
        },
        changes: form.changes.into_iter().map(|(name, value)| (Bytes::from(name), value.map(Bytes::from))).collect(),
        lifetime,
        max_age: form.max_age,
        conditions: conditions.collect::<Option<Vec<Condition>>>()?,
    };
    rest.is_empty().then_some(delta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_read_as_it_was_written_but_for_what_is_hidden() {
        let delta = Delta::anew()
            .set("a", "secret")
            .remove("b")
            .lifetime(Lifetime::Fixed(Duration::from_secs(3)))
            .max_age(Duration::from_secs(9))
            .if_attribute("c", None)
            .if_no_session();
        let bytes = delta_bytes(&delta, |value| value.fill(b'x'));
        let read = delta_of(&bytes).unwrap();
        assert_eq!(read.changes, [(Bytes::from("a"), Some(Bytes::from("xxxxxx"))), (Bytes::from("b"), None)]);
        assert_eq!(delta_bytes(&read, |_| ()), bytes);
        assert_eq!(alloc::format!("{:?}", read.conditions), alloc::format!("{:?}", delta.conditions));
        assert!(delta_of(&bytes[..bytes.len() - 1]).is_none());
    }
}
