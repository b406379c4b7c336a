//! Commits that write what is there.

use super::Sessions;
use crate::{
    delta::{Delta, Start},
    key::SessionKey,
    member::MemberId,
    time::Time,
};

impl Sessions {
    /// Whether a session of this member shows all that a commit writes already, as this member wrote it: then it holds
    /// nothing new for anybody who has what this member wrote.
    pub(crate) fn has_already(&self, now: Time, me: MemberId, key: &SessionKey, delta: &Delta) -> bool {
        if delta.start != Start::FromWhatIsThere || delta.lifetime.is_some() {
            return false;
        }
        // What differs is the most frequent answer, so it is asked for first.
        self.table.get(key).is_some_and(|entry| {
            delta.changes.iter().all(|(name, value)| entry.session.has_own(name, value.as_ref()))
                && entry.session.owner() == Some(me)
                && !entry.partial
                && !entry.left_over
                && self.is_there(now, key)
        })
    }
}
