//! The sessions as readers see them: a table beside the node that any thread reads without a word to the loop.
//!
//! It is written under the node's lock, at the end of whatever changed the node, so it only ever goes forward; and
//! before any commit is answered, so whoever got an answer reads what was answered. A reader holds a lock of one of
//! [`SHARDS`] parts for as long as it takes to clone an `Arc`.

mod map;

use core::{
    hash::{BuildHasher, Hasher},
    ops::Deref,
    time::Duration,
};
use std::{collections::HashMap, sync::Arc};

use heirloom_core::{Lifetime, MemberId, MemberState, Session, SessionKey, Time};

use self::map::PublishedMap;
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, RwLock, read, write};

/// A session as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    session: Arc<Session>,
    deadline: Option<Time>,
}

impl Published {
    /// A session that ends then if it is not used any more; `None` is never.
    pub fn new(session: Arc<Session>, deadline: Option<Time>) -> Self {
        Self { session, deadline }
    }

    /// When it ends if it is not used any more, on the clock of `Handle::now`; `None` is never.
    pub fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// How much of its life is left if it is not used any more; `None` is for ever.
    pub fn remaining(&self, now: Time) -> Option<Duration> {
        self.deadline.map(|at| at.since(now))
    }

    /// The session, to keep.
    pub fn share(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }
}

impl Deref for Published {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A session that lives, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) session: Arc<Session>,
    /// When it ends if it is not used any more.
    pub(crate) deadline: Option<Time>,
    /// When it ends however much it is used.
    pub(crate) ends_by: Option<Time>,
}

/// What a read means for the idle time of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nothing, or a use that is told at this very time is already on its way.
    Known,
    /// The node is to be told now.
    Tell,
    /// The node is to be told then.
    TellAt(Time),
}

const SHARDS: usize = 64;

/// The table, with what else readers may ask at any time.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Box<[RwLock<Shard>]>,
    me: MemberId,
    sessions: AtomicUsize,
    /// How many of them this member owns.
    owned: AtomicUsize,
    received: AtomicU64,
    /// 0, 1 and 2 in the order of `STATES`.
    state: AtomicU8,
    pub(crate) map: PublishedMap,
}

const STATES: [MemberState; 3] = [MemberState::Joining, MemberState::Ready, MemberState::Leaving];

type Shard = HashMap<SessionKey, Entry, KeyHashing>;

impl Table {
    pub(crate) fn new(me: MemberId) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::default())).collect();
        let (sessions, owned) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (received, state) = (AtomicU64::new(0), AtomicU8::new(0));
        Self { shards, me, sessions, owned, received, state, map: PublishedMap::new() }
    }

    /// Puts the state of a session in the place of the one before; `None` takes it away.
    pub(crate) fn publish(&self, key: SessionKey, state: Option<Live>) {
        let mut shard = write(self.shard(&key));
        let Some(Live { session, deadline, ends_by }) = state else {
            let gone = shard.remove(&key);
            // The value may be the last one of a large session: it is not freed with the lock in hand.
            drop(shard);
            if let Some(gone) = gone {
                self.sessions.fetch_sub(1, Ordering::Relaxed);
                self.owned.fetch_sub(self.owns(&gone.published), Ordering::Relaxed);
            }
            return;
        };
        let published = Published { session, deadline };
        self.owned.fetch_add(self.owns(&published), Ordering::Relaxed);
        match shard.get_mut(&key) {
            Some(entry) => {
                entry.ends_by = ends_by;
                let before = core::mem::replace(&mut entry.published, published);
                drop(shard);
                self.owned.fetch_sub(self.owns(&before), Ordering::Relaxed);
                drop(before);
            }
            None => {
                self.received.fetch_add(u64::from(self.owns(&published) == 0), Ordering::Relaxed);
                let (quiet_until, later) = (AtomicU64::new(0), AtomicBool::new(false));
                shard.insert(key, Entry { published, ends_by, quiet_until, later });
                self.sessions.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A session, unless its fixed lifetime has passed or it has reached its greatest age.
    pub(crate) fn peek(&self, key: &SessionKey, now: Time) -> Option<Published> {
        let shard = read(self.shard(key));
        shard.get(key).filter(|entry| !entry.is_over(now)).map(|entry| entry.published.clone())
    }

    /// The same, and what this use means. Who is answered `Tell` or `TellAt` must do so.
    pub(crate) fn read(&self, key: &SessionKey, now: Time) -> Option<(Published, Use)> {
        let shard = read(self.shard(key));
        let entry = shard.get(key).filter(|entry| !entry.is_over(now))?;
        Some((entry.published.clone(), entry.note_use(now)))
    }

    /// A use that was to be told later is told now. Answers whether there still is such a session.
    pub(crate) fn note_told(&self, key: &SessionKey, now: Time) -> bool {
        let shard = read(self.shard(key));
        let Some(entry) = shard.get(key) else { return false };
        entry.note_told(now);
        true
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn owned(&self) -> usize {
        self.owned.load(Ordering::Relaxed)
    }

    /// How often a copy of a session came that was not here before.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn publish_state(&self, state: MemberState) {
        let state = match state {
            MemberState::Joining => 0,
            MemberState::Ready => 1,
            MemberState::Leaving => 2,
        };
        self.state.store(state, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> MemberState {
        STATES[usize::from(self.state.load(Ordering::Relaxed))]
    }

    /// Takes everything away.
    pub(crate) fn clear(&self) {
        self.map.clear();
        for shard in &self.shards {
            let gone = core::mem::take(&mut *write(shard));
            self.sessions.fetch_sub(gone.len(), Ordering::Relaxed);
            let owned = gone.values().map(|entry| self.owns(&entry.published)).sum();
            self.owned.fetch_sub(owned, Ordering::Relaxed);
        }
    }

    /// One if this member owns it.
    fn owns(&self, published: &Published) -> usize {
        usize::from(published.owner() == Some(self.me))
    }

    fn shard(&self, key: &SessionKey) -> &RwLock<Shard> {
        &self.shards[usize::from(key.0[0]) % SHARDS]
    }
}

#[derive(Debug)]
struct Entry {
    published: Published,
    /// Only this end is certain here: another member may have seen a use that moves an idle one.
    ends_by: Option<Time>,
    /// A use before this time is not told at once, in nanoseconds of [`Time`].
    quiet_until: AtomicU64,
    /// A use is kept to be told at `quiet_until`.
    later: AtomicBool,
}

impl Entry {
    fn is_over(&self, now: Time) -> bool {
        self.ends_by.is_some_and(|at| at <= now)
    }

    fn note_use(&self, now: Time) -> Use {
        let quiet_until = self.quiet_until.load(Ordering::Acquire);
        if now.as_nanos() < quiet_until {
            // Most reads end here, having written nothing that other readers share.
            if self.later.load(Ordering::Relaxed) || self.later.swap(true, Ordering::Relaxed) {
                return Use::Known;
            }
            return Use::TellAt(Time::from_nanos(quiet_until));
        }
        let Some(next) = self.next(now) else { return Use::Known };
        match self.quiet_until.compare_exchange(quiet_until, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Use::Tell,
            Err(_) => Use::Known,
        }
    }

    /// A reader between the two stores is told to tell once more, which does no harm; in the other order its use would
    /// be lost.
    fn note_told(&self, now: Time) {
        self.later.store(false, Ordering::Release);
        if let Some(next) = self.next(now) {
            self.quiet_until.store(next, Ordering::Release);
        }
    }

    /// When the next use after one at `now` is told at once; `None` if uses do not matter.
    fn next(&self, now: Time) -> Option<u64> {
        match self.published.session.lifetime() {
            Some(Lifetime::Idle(idle)) => Some((now + idle / 10).as_nanos()),
            Some(Lifetime::Fixed(_) | Lifetime::Never) | None => None,
        }
    }
}

/// A key is a hash already: eight of its bytes that do not choose the shard.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHashing;

impl BuildHasher for KeyHashing {
    type Hasher = KeyHash;

    fn build_hasher(&self) -> KeyHash {
        KeyHash(0)
    }
}

#[derive(Debug)]
struct KeyHash(u64);

impl Hasher for KeyHash {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    /// The length that comes before the bytes is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use heirloom_core::{Config, Delta, Durability, Node};

    use super::*;

    const KEY: SessionKey = SessionKey([7; 16]);
    const ME: MemberId = MemberId(1);

    #[test]
    fn what_was_published_last_is_read() {
        let table = Table::new(ME);
        assert_eq!(table.peek(&KEY, at(0)), None);
        let session = Arc::new(Session::default());
        table.publish(KEY, live(&session, Some(at(9)), None));
        table.publish(SessionKey([8; 16]), live(&session, None, None));
        let seen = table.peek(&KEY, at(5)).unwrap();
        assert!(Arc::ptr_eq(&seen.share(), &session), "a read copies nothing");
        assert_eq!(seen.deadline(), Some(at(9)));
        assert_eq!(seen.remaining(at(5)), Some(Duration::from_nanos(4)));
        assert_eq!(table.sessions(), 2);
        table.publish(KEY, None);
        table.publish(KEY, None);
        assert_eq!((table.peek(&KEY, at(5)), table.sessions()), (None, 1));
        table.clear();
        assert_eq!(table.sessions(), 0);
    }

    #[test]
    fn sessions_are_counted_by_who_owns_them() {
        let table = Table::new(ME);
        let [mine, others] = [ME, MemberId(2)].map(|owner| {
            let address = "127.0.0.1:4000".parse().unwrap();
            let mut node = Node::new(owner, address, Config::default(), 1, at(0)).unwrap();
            node.start_alone(at(0));
            node.commit(at(0), KEY, Delta::new().set("a", "b"), Durability::Local).unwrap();
            node.session(&KEY).unwrap().clone()
        });
        let counts = || (table.sessions(), table.owned());
        let received = || table.received();
        table.publish(KEY, live(&mine, None, None));
        table.publish(KEY, live(&mine, None, None));
        assert_eq!(counts(), (1, 1));
        table.publish(KEY, live(&others, None, None));
        assert_eq!(counts(), (1, 0));
        table.publish(KEY, live(&mine, None, None));
        table.publish(KEY, None);
        assert_eq!((counts(), received()), ((0, 0), 0));
        table.publish(KEY, live(&others, None, None));
        assert_eq!((counts(), received()), ((1, 0), 1));
        table.publish(KEY, live(&mine, None, None));
        table.clear();
        assert_eq!(counts(), (0, 0));
    }

    #[test]
    fn every_state_can_be_published() {
        let table = Table::new(ME);
        for state in STATES {
            table.publish_state(state);
            assert_eq!(table.state(), state);
        }
    }

    #[test]
    fn keys_that_differ_in_one_byte_are_kept_apart() {
        let table = Table::new(ME);
        for place in 0..16 {
            let mut key = KEY;
            key.0[place] = 0;
            table.publish(key, live(&Arc::default(), Some(at(u64::try_from(place).unwrap())), None));
        }
        for place in 0..16 {
            let mut key = KEY;
            key.0[place] = 0;
            let seen = table.peek(&key, at(0)).unwrap();
            assert_eq!(seen.deadline(), Some(at(u64::try_from(place).unwrap())));
        }
    }

    #[test]
    fn a_use_of_a_session_without_an_idle_time_tells_nothing() {
        let table = Table::new(ME);
        table.publish(KEY, live(&Arc::default(), None, None));
        assert_eq!(table.read(&KEY, at(5)).unwrap().1, Use::Known);
        assert!(table.note_told(&KEY, at(5)));
        assert!(!table.note_told(&SessionKey([9; 16]), at(5)));
    }

    #[test]
    fn what_ends_however_much_it_is_used_is_not_read_after_that() {
        let table = Table::new(ME);
        table.publish(KEY, live(&Arc::default(), Some(at(3)), Some(at(9))));
        assert!(
            table.peek(&KEY, at(8)).is_some(),
            "a use that this member does not know of may have moved an idle end"
        );
        assert_eq!((table.peek(&KEY, at(9)), table.read(&KEY, at(9))), (None, None));
    }

    fn live(session: &Arc<Session>, deadline: Option<Time>, ends_by: Option<Time>) -> Option<Live> {
        Some(Live { session: Arc::clone(session), deadline, ends_by })
    }

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }
}
