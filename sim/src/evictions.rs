//! Who told when that a session was ended to make room: a write that met such an end may be gone.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{MemberId, SessionKey};

use crate::{clock::Moment, history::Attempt};

/// The sessions that were ended to make room, as members told of it.
#[derive(Clone, Debug, Default)]
pub struct Evictions {
    told: BTreeMap<SessionKey, Vec<Word>>,
    /// Who holds that a session was ended to make room.
    held: BTreeSet<(MemberId, SessionKey)>,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    at: Moment,
    life: MemberId,
}

impl Evictions {
    /// A member tells that a session was ended to make room, by itself or by another.
    pub fn handle_word(&mut self, at: Moment, life: MemberId, key: SessionKey) {
        self.told.entry(key).or_default().push(Word { at, life });
    }

    /// What a member holds of a session has changed: by now it says that this was ended to make room, or does not.
    pub fn handle_state(&mut self, at: Moment, life: MemberId, key: SessionKey, is_evicted: bool) {
        if !is_evicted {
            self.held.remove(&(life, key));
        } else if self.held.insert((life, key)) {
            self.handle_word(at, life, key);
        }
    }

    /// Whether what a commit wrote may have been ended to make room under this key: since then, or before by somebody of
    /// whom its writer had not heard.
    pub fn may_have_ended(&self, key: &SessionKey, attempt: &Attempt) -> bool {
        let told = self.told.get(key).map_or(&[][..], Vec::as_slice);
        let Some(last) = told.iter().max_by_key(|word| word.at) else { return false };
        // Who tells it first need not be its owner any more: only the writer's own word says that it knew.
        attempt.at <= last.at || last.life != attempt.life
    }
}
