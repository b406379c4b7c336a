//! Who told when that a session was ended to make room: a write that met such an end may be gone.

use std::collections::BTreeMap;

use heirloom_core::{MemberId, SessionKey};

use crate::{clock::Moment, history::Attempt};

/// The sessions that were ended to make room, as members told of it.
#[derive(Clone, Debug, Default)]
pub struct Evictions {
    told: BTreeMap<SessionKey, Vec<Word>>,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    at: Moment,
    life: MemberId,
    /// It is of the member that ended the session.
    is_first: bool,
}

impl Evictions {
    /// A member tells that a session was ended to make room, by itself or by another.
    pub fn handle_word(&mut self, at: Moment, life: MemberId, key: SessionKey, is_first: bool) {
        self.told.entry(key).or_default().push(Word { at, life, is_first });
    }

    /// Whether what a commit wrote may have been ended to make room under this key: since then, or before by somebody of
    /// whom its writer had not heard.
    pub fn may_have_ended(&self, key: &SessionKey, attempt: &Attempt) -> bool {
        let told = self.told.get(key).map_or(&[][..], Vec::as_slice);
        let Some(last) = told.iter().filter(|word| word.is_first).map(|word| word.at).max() else { return false };
        let had_heard = |word: &Word| word.life == attempt.life && last <= word.at && word.at < attempt.at;
        told.iter().any(|word| attempt.at <= word.at) || !told.iter().any(had_heard)
    }
}
