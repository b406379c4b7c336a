//! The table: what each session is now on this node.
//!
//! Beside the replicated state of a session an entry keeps what is this node's own business: until when the session
//! lives by the local clock, and who was told of its uses when. What other machines keep of each session stands here too, so
//! that it is found with the session; it is theirs, and means nothing here.

mod besides;
mod copies;
mod deadlines;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod model;
mod moves;
mod news;
mod room;
mod sums;
mod table;
mod unchanged;

use alloc::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};
use core::{ops::Bound, time::Duration};

pub use self::copies::Damage;
use self::{besides::Besides, room::Counted, sums::Unsummed, table::Table};
pub(crate) use self::{
    moves::{Moved, Moving},
    room::Room,
};
use crate::{
    delta::{CommitError, Delta, Start},
    digest::Summed,
    expiry::Armed,
    key::SessionKey,
    life::{End, EndCause, Expired, Life},
    limits::{Limits, Load, There},
    member::MemberId,
    session::{Change, Content, Incoming, Lifetime, LifetimeRegister, Session},
    stamp::Stamp,
    time::Time,
    wire::DeltaReader,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    table: Table,
    room: Room,
    /// Changed since a reader last looked.
    changed: BTreeSet<SessionKey>,
    /// None where nothing is summed.
    unsummed: Option<Unsummed>,
    /// What must go on to other keys.
    moved: VecDeque<Moved>,
    /// The links of all records: to which key, from which.
    links: BTreeSet<(SessionKey, SessionKey)>,
    besides: Besides,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    session: Arc<Session>,
    /// When it ends unless it is used: the end of a fixed lifetime, or the last known use plus the idle time.
    deadline: Option<Time>,
    /// The last use by a client of this node.
    used: Option<Time>,
    /// When others were last told of a use.
    told: Time,
    /// Changes came before the session that they belong to: what is here is not all of it.
    partial: bool,
    /// This node need not hold it: it waits to be released, and is not served.
    left_over: bool,
    /// It waits to be summed.
    unsummed: bool,
    summed: Option<Summed>,
    counted: Counted,
    /// When it is looked at.
    armed: Armed,
}

/// Who commits, and with what.
pub(crate) struct Writing {
    pub(crate) now: Time,
    pub(crate) me: MemberId,
    /// Above every stamp heard; a commit may use this one and, for what it creates, the next.
    pub(crate) stamps: (Stamp, Stamp),
    pub(crate) change: Change,
    /// The lifetime of a new session.
    pub(crate) lifetime: Lifetime,
    /// The greatest age of a new session.
    pub(crate) max_age: Option<Duration>,
    /// Others may hold a session of which this node knows nothing.
    pub(crate) blind: bool,
    pub(crate) makes_room: MakesRoom,
}

/// Which sessions are ended to make room for a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MakesRoom {
    #[default]
    No,
    /// Of this member alone: others make none.
    Own,
    All,
}

/// What comes along with the content of a delta.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    /// It is all that its sender's copy holds, and that copy was complete.
    pub(crate) whole: bool,
    /// When it ends unless it is used.
    pub(crate) until: Option<Time>,
}

/// What a commit or a merge did to a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) changed: bool,
    /// Another owned it before.
    pub(crate) replaced: Option<MemberId>,
    /// It was there and is not any more.
    pub(crate) ended: Option<EndCause>,
    /// This birth has expired although, by what is known here, its time is not over.
    pub(crate) early: Option<Stamp>,
}

impl Sessions {
    /// Makes the changes of a commit.
    pub(crate) fn commit(
        &mut self,
        writing: &Writing,
        key: SessionKey,
        delta: Delta,
        limits: &Limits,
    ) -> Result<Effect, CommitError> {
        let there = self.is_there(writing.now, &key);
        delta.check_conditions(self.record(&key).filter(|_| there).map(Arc::as_ref))?;
        limits.check(&delta, self.there(writing, &key, there))?;
        let entry = self.table.get_or_insert(key, Entry::default);
        let before = (entry.session.is_live(), entry.session.owner());
        entry.left_over = false;
        entry.partial &= delta.start == Start::FromWhatIsThere;
        let session = Arc::make_mut(&mut entry.session);
        let Writing { now, me, stamps: (first, second), change, blind, .. } = *writing;
        let ends = match delta.start {
            Start::End(cause) => Some(cause),
            // Also what has expired: it might yet be voided.
            Start::Anew if blind || session.is_unburied() => Some(EndCause::Replaced),
            Start::Anew | Start::FromWhatIsThere => None,
        };
        let aged = delta.start == Start::FromWhatIsThere && !there && before.0;
        if let Some(life) = session.head().copied().filter(|_| before.0) {
            let counter = life.counter + u32::from(life.owner != me);
            session.merge_life(Life { counter, owner: me, ..life });
        }
        if let Some(cause) = ends {
            session.end(End { at: first, cause });
        } else if aged {
            session.bury(&session.movable(), EndCause::MaxAge);
        }
        if !matches!(delta.start, Start::End(_)) {
            let creates = ends.is_some() || !there;
            if creates {
                session.bury_oldest();
                session.merge_life(Life { birth: second, counter: 1, owner: me, expired: Expired::NEVER });
            }
            let birth = session.head().map_or(second, |life| life.birth);
            let stamp = second;
            let lifetime = delta.lifetime.or(creates.then_some(writing.lifetime));
            if let Some(lifetime) = lifetime {
                let until = match creates {
                    true => delta.max_age.or(writing.max_age).map(|length| now + length),
                    false => session.age_until(),
                };
                session.merge_lifetime(LifetimeRegister { birth, stamp, lifetime, until, changed: change });
                entry.deadline = None;
            }
            for (name, value) in delta.changes.into_iter().rev() {
                let (name, value) = (Content::Own(name), value.map(Content::Own));
                session.merge_attribute(Incoming { name, birth, stamp, value, changed: change });
            }
            entry.deadline = match entry.session.lifetime() {
                Some(Lifetime::Idle(idle)) => Some(now + idle),
                Some(Lifetime::Fixed(length)) => entry.deadline.or(Some(now + length)),
                Some(Lifetime::Never) | None => None,
            };
            (entry.used, entry.told) = (Some(now), now);
            self.use_besides(now, &key);
        }
        let entry = self.table.get_or_insert(key, Entry::default);
        let replaced = before.1.filter(|owner| before.0 && *owner != me);
        let ended = ends.filter(|_| before.0 && !entry.session.is_live());
        self.send_on(key, None, 0);
        self.note(key, before.0, Some(now));
        Ok(Effect { changed: true, replaced, ended, early: None })
    }

    /// What a commit is held against.
    fn there(&self, writing: &Writing, key: &SessionKey, there: bool) -> There<'_> {
        let session = self.record(key).filter(|_| there).map(Arc::as_ref);
        let spare = match writing.makes_room {
            MakesRoom::No => Load::NONE,
            MakesRoom::Own => self.owned_but(key),
            MakesRoom::All => self.load_but(key),
        };
        There { session, load: self.load(), spare }
    }

    /// Merges what another member brought.
    pub(crate) fn apply(&mut self, now: Time, delta: &DeltaReader<'_>, brought: Brought) -> Effect {
        let effect = self.merge(now, delta.key(), brought, 0, |session| delta.merge_into(session, now));
        self.see_what_lasts(now, delta.key(), brought, effect, || {
            let mut said = Session::default();
            delta.merge_into(&mut said, now);
            said.lasting()
        })
    }

    /// Merges a session that came in parts.
    pub(crate) fn apply_whole(&mut self, now: Time, key: SessionKey, whole: &Session, brought: Brought) -> Effect {
        let effect = self.merge(now, key, brought, 0, |session| session.merge(whole));
        self.see_what_lasts(now, key, brought, effect, || whole.lasting())
    }

    fn merge(
        &mut self,
        now: Time,
        key: SessionKey,
        brought: Brought,
        hops: u32,
        merge: impl FnOnce(&mut Session) -> bool,
    ) -> Effect {
        let entry = self.table.get_or_insert(key, || Entry { partial: true, ..Entry::default() });
        let before = entry.before();
        let Brought { whole, until } = brought;
        entry.partial &= !whole;
        let changed = merge(Arc::make_mut(&mut entry.session));
        if changed && hops < moves::HOPS_MAX {
            let own = before.deadline.filter(|_| before.live);
            self.send_on(key, own.max(until), hops);
        }
        let entry = self.table.get_or_insert(key, Entry::default);
        entry.deadline = entry.deadline_after(now, &before, until);
        let mut effect = Effect {
            changed,
            replaced: before.owner.filter(|owner| Some(*owner) != entry.session.owner()),
            ended: entry.session.ended().filter(|_| before.live),
            early: entry.expired_early(now, &before),
        };
        let used = entry.used_by(now, changed);
        let lasted = before.lasted().filter(|_| 1 < entry.session.lives.len());
        self.note(key, before.live, used);
        if let Some((birth, until)) = lasted {
            self.note_beside(key, birth, until);
        }
        effect.early = effect.early.or(self.expired_early_beside(now, &key));
        effect
    }

    /// Takes a session over: its next epoch, by `me`. What had expired stays expired.
    pub(crate) fn take_over(&mut self, key: SessionKey, me: MemberId) {
        let Some(entry) = self.table.get_mut(&key) else { return };
        self.changed.insert(key);
        entry.left_over = false;
        let session = Arc::make_mut(&mut entry.session);
        if let Some(life) = session.head().copied() {
            let counter = life.counter + 1;
            let expired = match life.is_over() {
                true => Expired { counter, ..life.expired },
                false => life.expired,
            };
            session.merge_life(Life { counter, owner: me, expired, ..life });
        }
        self.reckon(key, None);
    }

    /// Takes back a birth that its owner expired too early.
    pub(crate) fn revive(&mut self, now: Time, key: SessionKey, birth: Stamp, me: MemberId) {
        let Some(entry) = self.table.get_mut(&key) else { return };
        let live = entry.session.is_live();
        entry.left_over = false;
        let session = Arc::make_mut(&mut entry.session);
        if let Some(life) = session.life(birth).copied() {
            let counter = life.counter.max(life.expired.counter) + 1;
            session.merge_life(Life { counter, owner: me, ..life });
        }
        entry.deadline = entry.deadline_again(now);
        self.note(key, live, None);
    }

    /// Expires a session: hides what is there, of all births that are known here.
    pub(crate) fn expire(&mut self, now: Time, key: SessionKey) -> Option<EndCause> {
        let entry = self.table.get_mut(&key)?;
        let live = entry.session.is_live();
        let by_age = entry.session.age_until().is_some_and(|until| until <= now);
        let session = Arc::make_mut(&mut entry.session);
        let births = session.movable();
        for birth in &births {
            let life = *session.life(*birth).expect("what may move is there");
            session.merge_life(Life { expired: Expired { counter: life.counter, by_age }, ..life });
        }
        let cause = session.expiry_cause();
        self.note(key, live, None);
        (!births.is_empty()).then_some(cause)
    }

    /// Ends these births for good.
    pub(crate) fn bury(&mut self, key: SessionKey, births: &[Stamp], cause: EndCause) -> Effect {
        let Some(entry) = self.table.get_mut(&key) else { return Effect::default() };
        let live = entry.session.is_live();
        let changed = Arc::make_mut(&mut entry.session).bury(births, cause);
        let ended = entry.session.ended().filter(|_| live);
        self.send_on(key, None, 0);
        self.note(key, live, None);
        Effect { changed, replaced: None, ended, early: None }
    }

    /// Births that come back from the dead: only their end is kept.
    pub(crate) fn refuse(&mut self, key: SessionKey, births: &[Stamp], me: MemberId) {
        let entry = self.table.get_or_insert(key, Entry::default);
        let live = entry.session.is_live();
        let session = Arc::make_mut(&mut entry.session);
        for birth in births {
            session.merge_life(Life { birth: *birth, counter: 1, owner: me, expired: Expired::NEVER });
        }
        session.bury(births, EndCause::Forgotten);
        self.note(key, live, None);
    }

    /// A client of this node used a session. Tells whether that is news for others: a tenth of the idle time has passed
    /// since they were told, or how long it lives has not come here yet.
    pub(crate) fn use_here(&mut self, now: Time, key: &SessionKey) -> bool {
        self.use_besides(now, key);
        let Some(entry) = self.table.get_mut(key) else { return false };
        let idle = match entry.session.lifetime() {
            Some(Lifetime::Idle(idle)) => idle,
            // It moves no end.
            Some(Lifetime::Fixed(_) | Lifetime::Never) => {
                self.reckon(*key, Some(now));
                return false;
            }
            None => return entry.session.is_live(),
        };
        entry.used = Some(now);
        entry.deadline = entry.deadline.max(Some(now + idle));
        self.changed.insert(*key);
        let news = entry.told + tenth(idle) <= now;
        if news {
            entry.told = now;
            self.reckon(*key, Some(now));
        }
        news
    }

    /// Another member told of a use at that time. Tells whether the others should hear of it.
    pub(crate) fn use_elsewhere(&mut self, at: Time, key: &SessionKey, remaining: Duration) -> bool {
        let key = self.moved_to(key).unwrap_or(*key);
        let Some(entry) = self.table.get_mut(&key) else { return false };
        let Some(Lifetime::Idle(idle)) = entry.session.lifetime() else { return false };
        entry.deadline = entry.deadline.max(Some(at + remaining.min(idle)));
        self.changed.insert(key);
        let news = entry.told + tenth(idle) <= at;
        if news {
            entry.told = at;
        }
        let used = entry.used_by(at, false);
        self.reckon(key, used);
        news
    }

    pub(crate) fn forget(&mut self, key: &SessionKey) {
        if let Some(entry) = self.table.remove(key) {
            assert!(!entry.session.is_live(), "only an end is forgotten");
            self.reckon_out(*key, &entry);
            self.forget_links(key, &entry.session);
            self.besides.forget(key);
        }
    }

    /// What is held of a session, whether it lives or not.
    pub(crate) fn record(&self, key: &SessionKey) -> Option<&Arc<Session>> {
        self.table.get(key).map(|entry| &entry.session)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> {
        self.table.iter().map(|(key, entry)| (key, &entry.session))
    }

    pub(crate) fn records_after(
        &self,
        after: Option<SessionKey>,
    ) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.table.range((from, Bound::Unbounded)).map(|(key, entry)| (key, &entry.session))
    }

    pub(crate) fn live(&self) -> usize {
        self.load().sessions
    }

    /// Whether `me` owns a session that has expired, but is not dead for good yet.
    pub(crate) fn awaits_burial(&self, key: &SessionKey, me: MemberId) -> bool {
        let head = self.record(key).filter(|session| session.is_unburied()).and_then(|session| session.head());
        head.is_some_and(|life| life.owner == me && life.is_over())
    }

    /// Keeps what is counted and the list of the changed. `used` is the last use, if that is news.
    fn note(&mut self, key: SessionKey, lived: bool, used: Option<Time>) {
        self.reckon(key, used);
        if lived || self.table.get(&key).is_some_and(|entry| entry.session.is_live()) {
            self.changed.insert(key);
        }
    }

    /// Asserts what is true between calls.
    pub(crate) fn check_table(&self) {
        self.check_room();
        self.check_besides();
    }
}

/// Uses are told when a tenth of the idle time has passed since the last word of one.
pub(crate) fn tenth(idle: Duration) -> Duration {
    idle / 10
}
