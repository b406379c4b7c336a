//! The limits that a commit is held to.

use alloc::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    config::{Config, LIFETIME_MAX},
    delta::{CommitError, Delta, Start},
    session::{Lifetime, Session},
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    attribute_bytes_max: usize,
    session_bytes_max: usize,
    attributes_max: usize,
    sessions_max: usize,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            attribute_bytes_max: config.attribute_bytes_max,
            session_bytes_max: config.session_bytes_max,
            attributes_max: config.attributes_max,
            sessions_max: config.sessions_max,
        }
    }

    /// Checks a delta against the session that it changes, if it goes on from one. `there` says whether there is one,
    /// and `live` how many there are.
    pub(crate) fn check(
        &self,
        delta: &Delta,
        old: Option<&alloc::sync::Arc<Session>>,
        there: bool,
        live: usize,
    ) -> Result<(), CommitError> {
        if matches!(delta.start, Start::End(_)) {
            return if there { Ok(()) } else { Err(CommitError::NoSession) };
        }
        if delta.lifetime.is_some_and(is_too_long) {
            return Err(CommitError::LifetimeTooLong);
        }
        if !there && self.sessions_max <= live {
            return Err(CommitError::TooManySessions { max: self.sessions_max });
        }
        let (mut attributes, mut total) = old.map_or((0, 0), |session| (session.registers(), session.bytes()));
        let mut seen = BTreeSet::new();
        for (name, value) in delta.changes.iter().rev() {
            let bytes = name.len() + value.as_ref().map_or(0, Bytes::len);
            if self.attribute_bytes_max < bytes {
                return Err(CommitError::AttributeTooLarge { bytes, max: self.attribute_bytes_max });
            }
            // The last change of a name counts.
            if 1 < delta.changes.len() && !seen.insert(name) {
                continue;
            }
            total += bytes;
            match old.and_then(|session| session.register_bytes(name)) {
                Some(before) => total -= before,
                None => attributes += 1,
            }
        }
        if self.attributes_max < attributes {
            return Err(CommitError::TooManyAttributes { attributes, max: self.attributes_max });
        }
        if self.session_bytes_max < total {
            return Err(CommitError::SessionTooLarge { bytes: total, max: self.session_bytes_max });
        }
        Ok(())
    }
}

fn is_too_long(lifetime: Lifetime) -> bool {
    match lifetime {
        Lifetime::Idle(length) | Lifetime::Fixed(length) => LIFETIME_MAX < length,
        Lifetime::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use alloc::{sync::Arc, vec};

    use super::*;
    use crate::{
        life::Life,
        member::MemberId,
        session::{Change, Content, Incoming},
        stamp::Stamp,
    };

    fn limits() -> Limits {
        Limits { attribute_bytes_max: 10, session_bytes_max: 15, attributes_max: 2, sessions_max: 3 }
    }

    fn with_attribute(name: &[u8], value: &[u8]) -> Arc<Session> {
        let mut session = Session::default();
        let birth = Stamp { clock: 1, writer: MemberId(1) };
        session.merge_life(Life { birth, counter: 1, owner: MemberId(1), expired: 0 });
        let (name, value) = (Content::Slice(name), Some(Content::Slice(value)));
        session.merge_attribute(Incoming { name, birth, stamp: birth, value, changed: Change(1) });
        Arc::new(session)
    }

    #[test]
    fn an_attribute_counts_with_its_name_and_replaces_what_it_had() {
        let old = with_attribute(b"a", b"123456789");
        let full = Delta::new().set("a", "abcdefghi").set("b", "1234");
        assert_eq!(limits().check(&full, Some(&old), true, 1), Ok(()));
        let more = Delta::new().set("b", "123456");
        assert_eq!(
            limits().check(&more, Some(&old), true, 1),
            Err(CommitError::SessionTooLarge { bytes: 17, max: 15 })
        );
        let long = Delta::new().set("b", vec![0; 10]);
        assert_eq!(limits().check(&long, None, false, 1), Err(CommitError::AttributeTooLarge { bytes: 11, max: 10 }));
    }

    #[test]
    fn removed_attributes_count_and_repeated_ones_once() {
        let three = Delta::new().set("a", "1").remove("b").set("c", "1");
        let refused = Err(CommitError::TooManyAttributes { attributes: 3, max: 2 });
        assert_eq!(limits().check(&three, None, false, 0), refused);
        let twice = Delta::new().set("a", "1").set("a", "2").set("b", "1");
        assert_eq!(limits().check(&twice, None, false, 0), Ok(()));
    }

    #[test]
    fn a_new_session_needs_a_place_and_an_end_needs_a_session() {
        let refused = Err(CommitError::TooManySessions { max: 3 });
        assert_eq!(limits().check(&Delta::new(), None, false, 3), refused);
        assert_eq!(limits().check(&Delta::anew(), None, true, 3), Ok(()));
        assert_eq!(limits().check(&Delta::end(), None, false, 3), Err(CommitError::NoSession));
        let endless = Delta::new().lifetime(Lifetime::Idle(LIFETIME_MAX * 2));
        assert_eq!(limits().check(&endless, None, true, 0), Err(CommitError::LifetimeTooLong));
    }
}
