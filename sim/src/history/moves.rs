//! Where sessions went whose ids were changed, by what clients did.
//!
//! What was written under one key may be found under any key that an id change leads to from there; which one, and whether
//! two keys show one session, no client can tell. What can be told: of a write that whoever changed the id was shown that
//! the session which is created under the old key afterwards is another one.

use std::collections::BTreeSet;

use heirloom_core::{Lifetime, SessionKey};

use super::{Attempt, History, Past, Use};
use crate::ask::Serial;

impl History {
    /// An id change was taken: what its member had seen of the one key it has seen of the other, and it is a use of both.
    pub(super) fn note_move(
        &mut self,
        serial: Serial,
        (old, new): (SessionKey, SessionKey),
        used: &Use,
        before: &Past,
    ) {
        let story = self.stories.entry(new).or_default();
        story.seen.entry(used.life).or_default().extend(before);
        story.uses.push(used.clone());
        self.moves.push(serial);
        self.open_way((old, new));
        let linked: BTreeSet<SessionKey> = self.kin(old).union(&self.kin(new)).copied().collect();
        for key in &linked {
            self.kin.insert(*key, linked.clone());
        }
    }

    /// The keys that id changes have linked with one, in whatever direction, itself included.
    pub fn kin(&self, key: SessionKey) -> BTreeSet<SessionKey> {
        self.kin.get(&key).cloned().unwrap_or_else(|| BTreeSet::from([key]))
    }

    /// The keys that what was written to a session may be found under, its own included.
    pub fn places(&self, key: SessionKey) -> BTreeSet<SessionKey> {
        let mut places = BTreeSet::from([key]);
        let mut found = Vec::from([key]);
        while let Some(key) = found.pop() {
            let targets = self.ways.iter().filter(|(from, _)| *from == key).map(|(_, to)| *to);
            let fresh: Vec<_> = targets.filter(|target| places.insert(*target)).collect();
            found.extend(fresh);
        }
        places
    }

    /// Of two changes of one id at once either may win: then the other one's target moves on to it.
    fn open_way(&mut self, way: (SessionKey, SessionKey)) {
        let mut fresh = Vec::from([way]);
        while let Some((from, to)) = fresh.pop() {
            if from != to && self.ways.insert((from, to)) {
                let others: Vec<_> = self.ways.iter().filter(|other| other.0 == from).map(|other| other.1).collect();
                fresh.extend(others.into_iter().flat_map(|other| [(to, other), (other, to)]));
            }
        }
    }

    fn moves(&self) -> impl Iterator<Item = &Attempt> {
        self.moves.iter().filter_map(|serial| self.attempts.get(serial))
    }

    /// The id changes away from a key.
    pub fn moves_from(&self, key: SessionKey) -> impl Iterator<Item = &Attempt> {
        self.moves().filter(move |change| change.ask.key == key)
    }

    /// Whether an id change leads to a key.
    pub fn is_moved_to(&self, key: SessionKey) -> bool {
        self.moves().any(|change| change.ask.moves_to == Some(key))
    }

    /// The commits that were tried of a session, under whatever key.
    pub(crate) fn attempts_of(&self, key: SessionKey) -> impl Iterator<Item = &Attempt> {
        let stories = self.kin(key).into_iter().filter_map(|key| self.stories.get(&key));
        stories.flat_map(|story| &story.attempts).filter_map(|serial| self.attempts.get(serial))
    }

    /// The uses of a session, under whatever key.
    pub(crate) fn uses_of(&self, key: SessionKey) -> impl Iterator<Item = &Use> {
        self.kin(key).into_iter().filter_map(|key| self.stories.get(&key)).flat_map(|story| &story.uses)
    }

    /// What its clients asked for as the lifetime of a session, under whatever key; `None` for what the settings say.
    pub(super) fn lifetimes_of(&self, key: SessionKey) -> impl Iterator<Item = Option<Lifetime>> {
        self.attempts_of(key).map(|attempt| attempt.ask.lifetime)
    }

    /// Whether what a commit was of is surely another session than that of an earlier `write`: it was created when that one
    /// had moved, by who was told so, and whoever moved it was shown what the write was of.
    pub(super) fn is_another(&self, later: Serial, write: &Attempt) -> bool {
        let Some(later) = self.attempts.get(&later).filter(|_| !self.moves.is_empty()) else { return false };
        later.roots.iter().filter_map(|root| self.attempts.get(root)).all(|root| {
            let moves = self.moves_from(root.ask.key).filter(|change| change.at <= root.at);
            let mut leading = moves.filter(|change| self.surely_moves(change, write));
            root.is_after_move && !self.is_moved_to(root.ask.key) && leading.next().is_some()
        })
    }

    /// Whether an id change names whatever the session of a write was created by.
    pub(super) fn surely_moves(&self, change: &Attempt, write: &Attempt) -> bool {
        write.roots.is_subset(&change.roots)
    }
}
