//! What one peer lacks, and what is on its way to it.
//!
//! There is no queue of messages. For each session that the peer lacks something of, the feed remembers its oldest
//! unsent change; for the other things a peer must be told it remembers that they must be told. The frame is built when
//! there is room for it. So a slow peer costs nothing but gets fewer, larger deltas, and a joiner is a peer that lacks
//! everything: live deltas, catch-up after a broken stream and state transfer are one mechanism.
//!
//! Always true: a session that the peer lacks a change of is in `lacking`, in a frame in flight, or ahead of the walk.

mod flight;
mod owed;

use alloc::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    vec::Vec,
};
use core::{ops::Bound, time::Duration};

use self::flight::Flight;
use crate::{
    key::SessionKey,
    map::EntryId,
    planted::Bug,
    session::{Change, Session},
    time::Time,
    wire::{ItemKind, Registers},
};

/// Something to tell a peer once. Its content is looked up when the frame is built. The order is that of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Note {
    /// First, because an acknowledgement goes behind the questions that what it acknowledges has raised.
    Pull(SessionKey),
    /// This member is leaving.
    Leaving,
    /// Whom this member takes to be there. Before what makes a joiner ready.
    Views,
    Round,
    Use(SessionKey),
    /// A use of what this member does not hold.
    UseElsewhere(SessionKey),
    Ask(SessionKey),
    Answer(SessionKey),
    Fetch(SessionKey),
    Found(SessionKey),
    Offer(SessionKey),
    Release(SessionKey),
    /// After all offers.
    Offered,
    /// The same again, for who has asked.
    OfferedBefore,
    Done,
    /// What this member's shared map is, in short.
    Map,
    /// The same, for who has another.
    MapBack,
    /// What this member owns and the peer must hold, in short. This and what follows from it is said when all else is, so it
    /// stands last.
    Digest,
    /// The sums of what the peer owns.
    Sums,
    /// What this member owns of one bucket, from a key on.
    Listing(SessionKey),
}

impl Note {
    /// Whether it is about what both sides hold: it says something only if all else is said.
    pub(crate) fn compares(self) -> bool {
        Self::Digest <= self
    }
}

/// What a frame in flight carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// The changes of a session up to this one.
    Changes(SessionKey, Lack, Change),
    /// The same of an entry of the shared map, from the oldest to this one.
    Entry(EntryId, Change, Change),
    Note(Note),
}

/// What a peer lacks of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lack {
    /// Its oldest change that the peer lacks; it lacks all later ones too.
    pub(crate) from: Change,
    /// Since when the peer lacks something of it.
    pub(crate) since: Time,
    /// The peer is to see whether it then holds the same as this node.
    pub(crate) verify: bool,
}

/// Which sessions a walk over the whole table feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Those that this node owns: others feed the rest.
    Owned,
    /// All: the peer was apart from this node.
    All,
}

/// A session that is travelling in parts.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) key: SessionKey,
    pub(crate) session: Arc<Session>,
    pub(crate) kind: ItemKind,
    pub(crate) registers: Registers,
    pub(crate) remaining: Option<Duration>,
    /// What ends when the last part is acknowledged.
    pub(crate) purpose: Carried,
}

/// Frames in flight to one peer at the most; past it the peer gets nothing new until it acknowledges.
const FLIGHT_MAX: usize = 256;

impl Parts {
    fn is_change(&self) -> bool {
        matches!(self.purpose, Carried::Changes(..))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Feed {
    /// The oldest unsent change of each session, and the same the other way round.
    lacking: BTreeMap<SessionKey, Lack>,
    order: BTreeSet<(Change, SessionKey)>,
    notes: BTreeSet<Note>,
    /// The oldest unsent change of each entry of the shared map. They take turns.
    entries: BTreeMap<EntryId, Change>,
    last_entry: EntryId,
    walk: Option<(Walk, Option<SessionKey>)>,
    parts: Option<Parts>,
    in_flight: Flight,
    /// Sessions of which the peer was owed nothing until now, since this was last asked for.
    news: Vec<SessionKey>,
    /// The peer has not acknowledged that this member is leaving.
    unheard: bool,
    /// Of this stream.
    sent: u64,
    /// The peer has heard that this is a feed from the beginning.
    known: bool,
}

impl Feed {
    pub(crate) fn new(walk: Option<Walk>) -> Self {
        Self { walk: walk.map(|walk| (walk, None)), ..Self::default() }
    }

    /// The peer lacks this change of a session and all later ones of it.
    pub(crate) fn lack(&mut self, now: Time, key: SessionKey, change: Change) {
        self.lack_more(key, Lack { from: change, since: now, verify: false });
    }

    /// The peer lacks a change of a session, and is to see whether it then holds the same as this node.
    pub(crate) fn lack_verified(&mut self, now: Time, key: SessionKey, change: Change) {
        self.lack_more(key, Lack { from: change, since: now, verify: true });
    }

    /// What the peer lacks of a session was not sent after all.
    pub(crate) fn lack_again(&mut self, key: SessionKey, lack: Lack) {
        self.lack_more(key, lack);
    }

    fn lack_more(&mut self, key: SessionKey, more: Lack) {
        match self.lacking.entry(key) {
            Entry::Vacant(place) => {
                place.insert(more);
                self.order.insert((more.from, key));
                self.news.push(key);
            }
            Entry::Occupied(mut place) => {
                let before = *place.get();
                let from = before.from.min(more.from);
                place.insert(Lack { from, since: before.since.min(more.since), verify: before.verify || more.verify });
                // A later change, the most frequent one, leaves it where it is.
                if from != before.from {
                    self.order.remove(&(before.from, key));
                    self.order.insert((from, key));
                }
            }
        }
    }

    /// The peer lacks this change of an entry of the shared map.
    pub(crate) fn lack_entry(&mut self, id: EntryId, change: Change) {
        let oldest = self.entries.entry(id).or_insert(change);
        *oldest = change.min(*oldest);
    }

    /// The peer may lack anything.
    pub(crate) fn walk_all(&mut self) {
        self.walk = Some((Walk::All, None));
    }

    pub(crate) fn note(&mut self, note: Note) {
        if let Note::Offer(key) = note {
            self.news.push(key);
        }
        self.unheard |= note == Note::Leaving;
        self.notes.insert(note);
    }

    pub(crate) fn drop_note(&mut self, note: Note) {
        self.notes.remove(&note);
    }

    /// Somebody else owns a session now; a walk over what this node owns must not pass it by.
    pub(crate) fn handle_yield(&mut self, now: Time, key: SessionKey) {
        if let Some((Walk::Owned, cursor)) = self.walk
            && cursor < Some(key)
        {
            self.lack(now, key, Change::default());
        }
    }

    /// The stream is gone: what was on its way may not have arrived.
    pub(crate) fn handle_broken(&mut self) {
        for carried in self.in_flight.take() {
            if !Bug::SentIsHad.is_planted() {
                self.carry_back(carried);
            }
        }
        if let Some(parts) = self.parts.take() {
            self.carry_back(parts.purpose);
        }
        self.sent = 0;
    }

    /// The peer has heard the greeting that says that it is new here.
    pub(crate) fn handle_known(&mut self) {
        self.known = true;
    }

    /// Everything up to this frame is applied: answers what that carried.
    pub(crate) fn handle_ack(&mut self, number: u64) -> Vec<Carried> {
        let acked = self.in_flight.land(number);
        self.unheard &= !acked.contains(&Carried::Note(Note::Leaving));
        acked
    }

    /// Whether a frame can be built now that would carry anything.
    pub(crate) fn has_work(&self) -> bool {
        // Questions go past the window: two members must not wait for each other's acknowledgements to ask them.
        let room = self.in_flight.frames() < FLIGHT_MAX || self.parts.is_some() || self.has_questions();
        let work = !self.notes.is_empty() || !self.lacking.is_empty() || !self.entries.is_empty();
        let work = work || self.walk.is_some() || self.parts.is_some();
        room && work
    }

    /// Whether what is unsent loses nothing by waiting for an acknowledgement: so many frames are unacknowledged. A question
    /// does not wait.
    pub(crate) fn may_wait(&self, frames: usize) -> bool {
        frames <= self.in_flight.frames() && !self.has_questions()
    }

    /// Whether a question is unsent that something from the peer has raised.
    pub(crate) fn has_questions(&self) -> bool {
        matches!(self.notes.first(), Some(Note::Pull(_)))
    }

    /// Whether the peer must be told that it is new here.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.known
    }

    /// The number of the frame that is being built.
    pub(crate) fn next_number(&self) -> u64 {
        self.sent + 1
    }

    /// A frame was built.
    pub(crate) fn mark_sent(&mut self, carried: Vec<Carried>) {
        self.sent += 1;
        self.in_flight.start(self.sent, carried);
    }

    pub(crate) fn take_parts(&mut self) -> Option<Parts> {
        self.parts.take()
    }

    pub(crate) fn keep_parts(&mut self, parts: Parts) {
        assert!(self.parts.is_none(), "one session at a time travels in parts");
        self.parts = Some(parts);
    }

    pub(crate) fn next_note(&self) -> Option<Note> {
        self.notes.first().copied()
    }

    /// The session whose unsent change is the oldest.
    pub(crate) fn next_lacking(&self) -> Option<(SessionKey, Lack)> {
        let (_, key) = self.order.first()?;
        self.lacking.get(key).map(|lack| (*key, *lack))
    }

    /// What the peer lacks of a session that was not sent.
    pub(crate) fn lacking(&self, key: &SessionKey) -> Option<Lack> {
        self.lacking.get(key).copied()
    }

    pub(crate) fn take_lacking(&mut self, key: SessionKey) {
        if let Some(lack) = self.lacking.remove(&key) {
            self.order.remove(&(lack.from, key));
        }
    }

    /// Whether something of a session is unsent.
    pub(crate) fn lacks(&self, key: &SessionKey) -> bool {
        self.lacking.contains_key(key)
    }

    /// The entry of the shared map whose turn it is, and its oldest unsent change.
    pub(crate) fn next_entry(&self) -> Option<(EntryId, Change)> {
        let later = self.entries.range((Bound::Excluded(self.last_entry), Bound::Unbounded)).next();
        later.or_else(|| self.entries.first_key_value()).map(|(id, change)| (*id, *change))
    }

    pub(crate) fn take_entry(&mut self, id: EntryId) {
        self.entries.remove(&id);
        self.last_entry = id;
    }

    /// Where the walk stands: what it feeds, and after which key.
    pub(crate) fn walk(&self) -> Option<(Walk, Option<SessionKey>)> {
        self.walk
    }

    pub(crate) fn walked_to(&mut self, key: SessionKey) {
        if let Some((_, cursor)) = &mut self.walk {
            *cursor = Some(key);
        }
    }

    pub(crate) fn end_walk(&mut self) {
        self.walk = None;
    }

    /// Everything that was there to send has been acknowledged, word of it aside.
    pub(crate) fn is_drained(&self) -> bool {
        self.lacking.is_empty()
            && self.entries.is_empty()
            && self.walk.is_none()
            && self.parts.is_none()
            && self.in_flight.carried().all(|carried| matches!(carried, Carried::Note(_)))
    }

    /// Whether all that there is to say is about what both sides hold, and everything else is acknowledged.
    pub(crate) fn is_comparing(&self) -> bool {
        self.notes.first().is_some_and(|note| note.compares()) && self.is_drained()
    }

    /// Whether nothing at all is to be sent or on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_drained() && self.notes.is_empty() && self.in_flight.frames() == 0
    }

    fn carry_back(&mut self, carried: Carried) {
        match carried {
            Carried::Changes(key, lack, _) => self.lack_more(key, lack),
            Carried::Entry(id, from, _) => self.lack_entry(id, from),
            Carried::Note(note) => self.note(note),
        }
    }

    /// Asserts what is true between calls.
    pub(crate) fn check(&self) {
        assert!(self.lacking.len() == self.order.len(), "a session that the peer lacks has one place in the order");
        assert!(self.in_flight.frames() <= FLIGHT_MAX + 4096, "only a session in parts goes past the window");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: SessionKey = SessionKey([1; 16]);
    const T: SessionKey = SessionKey([2; 16]);
    const T0: Time = Time::ZERO;

    fn send(feed: &mut Feed, key: SessionKey, to: u64) {
        let lack = feed.lacking[&key];
        feed.take_lacking(key);
        feed.mark_sent(alloc::vec![Carried::Changes(key, lack, Change(to))]);
    }

    fn from(change: u64) -> Lack {
        Lack { from: Change(change), since: T0, verify: false }
    }

    #[test]
    fn a_hot_session_keeps_the_place_of_its_oldest_unsent_change() {
        let mut feed = Feed::default();
        feed.lack(T0, S, Change(1));
        feed.lack(T0, T, Change(2));
        feed.lack(T0, S, Change(3));
        assert_eq!(feed.next_lacking(), Some((S, from(1))));
        send(&mut feed, S, 3);
        assert_eq!(feed.next_lacking(), Some((T, from(2))));
    }

    /// A broken stream takes the first write of `T` with it; a later frame with only the second must not count for it.
    #[test]
    fn a_broken_stream_makes_its_frames_unsent_from_their_oldest_change() {
        let mut feed = Feed::default();
        feed.lack(T0, T, Change(1));
        send(&mut feed, T, 1);
        feed.lack(T0, S, Change(2));
        feed.lack(T0, T, Change(3));
        feed.handle_broken();
        assert_eq!(feed.next_lacking(), Some((T, from(1))));
        send(&mut feed, T, 3);
        assert_eq!(feed.handle_ack(1), [Carried::Changes(T, from(1), Change(3))]);
        assert!(!feed.has_acked(Change(2)));
        assert!(feed.has_acked(Change(1)));
    }

    #[test]
    fn a_peer_lags_since_its_oldest_change_that_it_has_not_acknowledged() {
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut feed = Feed::default();
        assert_eq!(feed.lags_since(), None);
        feed.lack(at(1), S, Change(1));
        feed.lack(at(2), S, Change(2));
        feed.lack(at(3), T, Change(3));
        assert_eq!(feed.lags_since(), Some(at(1)));
        send(&mut feed, S, 2);
        assert_eq!(feed.lags_since(), Some(at(1)), "it is on its way");
        feed.handle_ack(1);
        assert_eq!(feed.lags_since(), Some(at(3)));
        send(&mut feed, T, 3);
        feed.lack(at(4), S, Change::default());
        feed.handle_broken();
        assert_eq!(feed.lags_since(), Some(at(3)), "behind a session that goes whole");
    }

    #[test]
    fn a_session_yielded_ahead_of_the_walk_is_fed_all_the_same() {
        let mut feed = Feed::new(Some(Walk::Owned));
        feed.walked_to(S);
        feed.handle_yield(T0, S);
        assert_eq!(feed.next_lacking(), None);
        feed.handle_yield(T0, T);
        assert_eq!(feed.next_lacking(), Some((T, from(0))));
    }

    #[test]
    fn entries_of_the_shared_map_take_turns_and_come_back_from_a_broken_stream() {
        let (mut feed, [one, two]) = (Feed::default(), [EntryId(1), EntryId(2)]);
        feed.lack_entry(one, Change(3));
        feed.lack_entry(two, Change(4));
        assert_eq!(feed.next_entry(), Some((one, Change(3))));
        feed.take_entry(one);
        feed.mark_sent(alloc::vec![Carried::Entry(one, Change(3), Change(4))]);
        feed.lack_entry(one, Change(5));
        assert_eq!(feed.next_entry(), Some((two, Change(4))), "one that changes all the time keeps no other waiting");
        feed.take_entry(two);
        assert!(!feed.is_entry_outstanding(two) && feed.is_entry_outstanding(one));
        assert_eq!(feed.next_entry(), Some((one, Change(5))));
        feed.handle_broken();
        assert_eq!(feed.next_entry(), Some((one, Change(3))), "a later frame counts for the write before");
        assert!(feed.has_work() && !feed.is_drained());
        feed.take_entry(one);
        feed.mark_sent(alloc::vec![Carried::Entry(one, Change(3), Change(5))]);
        assert!(feed.is_entry_outstanding(one) && !feed.is_drained());
        feed.handle_ack(1);
        assert!(!feed.is_entry_outstanding(one) && feed.is_empty());
    }

    #[test]
    fn what_is_to_be_verified_stays_so_until_it_is_acknowledged() {
        let mut feed = Feed::default();
        feed.lack_verified(T0, S, Change(2));
        feed.lack(T0, S, Change(1));
        let lack = Lack { from: Change(1), since: T0, verify: true };
        assert_eq!(feed.next_lacking(), Some((S, lack)));
        send(&mut feed, S, 2);
        feed.handle_broken();
        assert_eq!(feed.next_lacking(), Some((S, lack)));
    }

    #[test]
    fn a_full_window_waits_for_an_acknowledgement() {
        let mut feed = Feed::default();
        for number in 1..=256 {
            feed.lack(T0, S, Change(number));
            assert!(feed.has_work());
            send(&mut feed, S, number);
        }
        feed.lack(T0, S, Change(300));
        assert!(!feed.has_work());
        feed.note(Note::Pull(T));
        assert!(feed.has_work());
        feed.drop_note(Note::Pull(T));
        feed.handle_ack(1);
        assert!(feed.has_work());
    }

    #[test]
    fn what_is_unsent_may_wait_while_enough_is_on_its_way_and_a_question_never() {
        let mut feed = Feed::default();
        assert!(!feed.may_wait(1));
        feed.lack(T0, S, Change(1));
        send(&mut feed, S, 1);
        assert!(feed.may_wait(1) && !feed.may_wait(2));
        feed.note(Note::Pull(T));
        assert!(!feed.may_wait(1));
        feed.drop_note(Note::Pull(T));
        feed.handle_ack(1);
        assert!(!feed.may_wait(1));
    }
}
