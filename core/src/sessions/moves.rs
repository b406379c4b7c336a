//! Id changes: what is held of a session goes from one key to another.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

use super::{Brought, Effect, Entry, Sessions};
use crate::{
    delta::CommitError,
    key::SessionKey,
    life::{EndCause, Life},
    member::MemberId,
    planted::Bug,
    session::{BIRTHS_MAX, LINKS_MAX, Lifetime, Link, Session},
    stamp::Stamp,
    time::Time,
};

/// How often what moves goes on at the most. Only links in a circle are longer: what is on its way there stays hidden.
pub(super) const HOPS_MAX: u32 = 32;

/// Who changes a session's id.
pub(crate) struct Moving {
    pub(crate) now: Time,
    pub(crate) me: MemberId,
    /// Above every stamp heard.
    pub(crate) stamp: Stamp,
}

/// What has moved from one key to another, as a record of just that.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) from: SessionKey,
    pub(crate) to: SessionKey,
    pub(crate) session: Session,
    /// When it ends unless it is used.
    pub(super) until: Option<Time>,
    pub(super) hops: u32,
}

impl Sessions {
    /// Moves a session from `old` to `new`: what is there, of all births that are known here. Tells what became of the
    /// old key.
    pub(crate) fn change_id(
        &mut self,
        moving: &Moving,
        old: SessionKey,
        new: SessionKey,
    ) -> Result<Effect, CommitError> {
        let Moving { now, me, stamp } = *moving;
        let session = self.record(&old).filter(|_| self.is_there(now, &old)).ok_or(CommitError::NoSession)?;
        let births = self.births_at(&old, session);
        let room = self.record(&new).is_none_or(|target| target.has_room_for(&births));
        let full = LINKS_MAX <= session.moves().links().len() || BIRTHS_MAX < births.len();
        if old == new || !room || full {
            return Err(CommitError::TargetTaken);
        }
        let replaced = session.owner().filter(|owner| *owner != me);
        let until = self.deadline(&old);
        let entry = self.table.get_or_insert(old, Entry::default);
        let session = Arc::make_mut(&mut entry.session);
        if let Some(life) = session.head().copied() {
            let counter = life.counter + u32::from(life.owner != me);
            session.merge_life(Life { counter, owner: me, ..life });
        }
        session.add_link(Link { at: stamp, to: Some(new), births });
        entry.deadline = None;
        self.note(old, true, None);
        self.send_on(old, until, 0);
        // The new key before the caller sees anything: the rest goes to others that the session had before.
        let (first, rest): (Vec<_>, _) =
            core::mem::take(&mut self.moved).into_iter().partition(|moved| moved.to == new);
        self.moved = rest.into();
        for moved in first {
            self.apply_moved(now, &moved);
        }
        if let Some(entry) = self.table.get_mut(&new) {
            // An id change is a use.
            if let Some(Lifetime::Idle(idle)) = entry.session.lifetime() {
                entry.deadline = Some(now + idle);
            }
            (entry.used, entry.told) = (Some(now), now);
            (entry.partial, entry.left_over) = (false, false);
        }
        self.reckon(new, Some(now));
        Ok(Effect { changed: true, replaced, ended: Some(EndCause::Moved), early: None })
    }

    /// Something that must go on to another key.
    pub(crate) fn poll_moved(&mut self) -> Option<Moved> {
        self.moved.pop_front()
    }

    pub(super) fn forget_links(&mut self, key: &SessionKey, session: &Session) {
        for to in session.moves().links().iter().filter_map(|link| link.to) {
            self.links.remove(&(to, *key));
        }
    }

    /// Queues what does not stay in a record.
    pub(super) fn send_on(&mut self, key: SessionKey, until: Option<Time>, hops: u32) {
        let Some(session) = self.record(&key).filter(|session| !session.moves().is_empty()) else { return };
        if Bug::NoForwarding.is_planted() {
            return;
        }
        let sources = self.sources(key);
        let brought = sources.iter().filter_map(|from| self.record(from)).flat_map(|from| from.moves().links());
        let back = brought.filter(|link| link.to == Some(key)).flat_map(|link| session.answers(link));
        let back: Vec<_> = back.collect();
        let away = session.moves().links().iter().filter_map(|link| Some((link.to?, link.clone())));
        let away: Vec<_> = away.collect();
        let Some(entry) = self.table.get_mut(&key) else { return };
        let session = Arc::make_mut(&mut entry.session);
        back.into_iter().for_each(|link| {
            session.add_link(link);
        });
        let mut moved = session.take_moved(key);
        self.reckon(key, None);
        for (to, link) in away {
            self.links.insert((to, key));
            for link in self.record(&to).map_or(Vec::new(), |target| target.answers(&link)) {
                moved.entry(to).or_default().add_link(link);
            }
        }
        moved.iter().for_each(|(to, session)| self.besides.handle_moved(key, *to, session));
        let moved = moved.into_iter().map(|(to, session)| Moved { from: key, to, session, until, hops });
        self.moved.extend(moved);
    }

    /// Merges what has moved into the record of the key that it has moved to.
    pub(crate) fn apply_moved(&mut self, now: Time, moved: &Moved) -> Effect {
        let brought = Brought { whole: false, until: moved.until };
        self.merge(now, moved.to, brought, moved.hops + 1, |session| session.merge_own(&moved.session))
    }

    /// The key that a session which has moved has now.
    pub(crate) fn moved_to(&self, key: &SessionKey) -> Option<SessionKey> {
        let next = |key: SessionKey| self.record(&key).filter(|session| !session.is_live())?.target();
        let mut target = next(*key)?;
        for _ in 0..HOPS_MAX {
            match next(target) {
                Some(next) => target = next,
                None => break,
            }
        }
        Some(target)
    }

    pub(crate) fn is_linked(&self, key: &SessionKey) -> bool {
        !self.links.is_empty()
            && (self.record(key).is_some_and(|session| !session.moves().is_empty()) || !self.sources(*key).is_empty())
    }

    /// A key with those that are linked with it, each after those that its session comes from.
    pub(crate) fn linked(&self, key: SessionKey) -> Vec<SessionKey> {
        let mut all = self.ancestors(key);
        all.push(key);
        let targets = |key: SessionKey| {
            let links = self.record(&key).map_or(&[][..], |session| session.moves().links());
            links.iter().filter_map(|link| link.to).collect()
        };
        all.extend(self.reach(key, targets).into_iter().skip(1));
        let mut seen = BTreeSet::new();
        all.into_iter().filter(|key| seen.insert(*key)).collect()
    }

    /// The births of a session: those that are here, and those that are known to have moved here.
    fn births_at(&self, key: &SessionKey, session: &Session) -> Vec<Stamp> {
        let links =
            self.sources(*key).into_iter().filter_map(|from| self.record(&from)).flat_map(|from| from.moves().links());
        let moved = links.filter(|link| link.to == Some(*key)).flat_map(|link| &link.births).copied();
        let here = moved.filter(|birth| session.is_here(*birth));
        let births: BTreeSet<_> = session.movable().into_iter().chain(here).collect();
        births.into_iter().collect()
    }

    /// The keys that a session has had before, the older ones first.
    pub(crate) fn ancestors(&self, key: SessionKey) -> Vec<SessionKey> {
        let mut all = self.reach(key, |key| self.sources(key));
        all.reverse();
        all.pop();
        all
    }

    /// The keys that have links to this one.
    fn sources(&self, key: SessionKey) -> Vec<SessionKey> {
        let all = (key, SessionKey([0; 16]))..=(key, SessionKey([u8::MAX; 16]));
        self.links.range(all).map(|(_, from)| *from).collect()
    }

    /// What can be reached from a key, itself first, nearer ones before farther ones.
    fn reach(&self, key: SessionKey, next: impl Fn(SessionKey) -> Vec<SessionKey>) -> Vec<SessionKey> {
        let mut all = Vec::from([key]);
        let mut at = 0;
        while at < all.len() && all.len() < LINKED_MAX {
            for key in next(all[at]) {
                if !all.contains(&key) {
                    all.push(key);
                }
            }
            at += 1;
        }
        all
    }
}

/// Linked keys that are looked at together at the most.
const LINKED_MAX: usize = 32;
