//! What clients did and what they were told: the plain model that oracles judge against.
//!
//! Every commit that was tried has a serial number, and every value that it sets begins with that number. So whatever a
//! member shows, the history knows who wrote it, and what its writer had seen before: of two writes, the one that the
//! other's writer had seen is the older, and of two that did not see each other either may win.

mod lacks;
mod moves;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{CommitId, EndCause, MemberId, Node, Outcome, Session, SessionKey, SessionVersion};

use crate::{
    ask::{Ask, Attribute, Serial, Start},
    clock::Moment,
    evictions::Evictions,
    mail::Mail,
    names::Names,
    net::HostId,
};

/// What the client of a commit knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Pending,
    /// It is done, at that moment, and these have it besides the writer.
    Durable(Moment, Vec<MemberId>),
    /// It is applied, by fewer than were asked for.
    NotDurable,
    /// Its member died first: it may have happened or not.
    Unknown,
}

impl Told {
    pub(crate) fn of(now: Moment, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Durable(receipt) => Self::Durable(now, receipt.members.clone()),
            Outcome::NotDurable { .. } => Self::NotDurable,
        }
    }
}

/// A commit that a member took.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its number.
    pub serial: Serial,
    /// What was asked for.
    pub ask: Ask,
    /// Where.
    pub host: HostId,
    /// By which life.
    pub life: MemberId,
    /// When.
    pub at: Moment,
    /// What its client knows.
    pub told: Told,
    /// When the session that it changed was created, as far as its writer saw.
    pub origin: Moment,
    /// What its writer was shown of the session.
    shown: BTreeSet<Serial>,
    /// What created the session that it changed, as far as its writer was shown: itself if it was shown nothing.
    roots: BTreeSet<Serial>,
    /// Its writer was told that the session which was there has moved.
    is_after_move: bool,
    /// What its member had of the session once it had ended it, if it is an end.
    left: Option<SessionVersion>,
    /// What its writer had seen of the session.
    past: Past,
}

/// A set of attempts.
#[derive(Clone, Debug, Default)]
struct Past(Vec<u64>);

impl Past {
    fn contains(&self, serial: Serial) -> bool {
        let (word, bit) = Self::place(serial);
        self.0.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }

    fn insert(&mut self, serial: Serial) {
        let (word, bit) = Self::place(serial);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    fn remove(&mut self, serial: Serial) {
        let (word, bit) = Self::place(serial);
        self.0.iter_mut().skip(word).take(1).for_each(|word| *word &= !(1 << bit));
    }

    fn place(serial: Serial) -> (usize, u64) {
        (usize::try_from(serial.0 / 64).expect("a run has few commits"), serial.0 % 64)
    }

    fn extend(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

/// A use of a session that some member showed.
#[derive(Clone, Debug)]
pub struct Use {
    /// When.
    pub at: Moment,
    /// By which life.
    pub life: MemberId,
    /// What the member showed then.
    pub shown: BTreeSet<Serial>,
    /// Whether the member held the session, or looked at a copy that others sent it.
    pub is_held: bool,
}

/// All that was tried and done with one session.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The commits that were tried.
    pub attempts: Vec<Serial>,
    /// The uses.
    pub uses: Vec<Use>,
    /// Per life, what it had seen and done.
    seen: BTreeMap<MemberId, Past>,
}

/// What clients did and were told.
#[derive(Clone, Debug, Default)]
pub struct History {
    attempts: BTreeMap<Serial, Attempt>,
    stories: BTreeMap<SessionKey, Story>,
    pending: BTreeMap<(MemberId, CommitId), Serial>,
    /// The id changes, in the order in which members took them.
    moves: Vec<Serial>,
    /// From which key to which what was written may have gone.
    ways: BTreeSet<(SessionKey, SessionKey)>,
    /// For each key that an id change has linked with others: all that are linked with it, itself included.
    kin: BTreeMap<SessionKey, BTreeSet<SessionKey>>,
    evictions: Evictions,
    names: Names,
    mail: Mail,
    last: u64,
    /// What became of each action of a client that is a commit, in their order: its number if a member was there to try it.
    asked: Vec<Option<Serial>>,
}

impl History {
    /// The number of the next commit that is tried.
    pub const fn next_serial(&self) -> Serial {
        Serial(self.last + 1)
    }

    /// Keeps the number of the next commit for one that waits.
    pub const fn reserve(&mut self) {
        self.last += 1;
    }

    /// A client has acted.
    pub(crate) fn handle_asked(&mut self, serial: Option<Serial>) {
        self.asked.push(serial);
    }

    /// The number of what the client whose commit was asked for as this one has tried, if a member was there.
    pub(crate) fn asked(&self, order: usize) -> Option<Serial> {
        self.asked.get(order).copied().flatten()
    }

    /// A member took a commit; `there` is what it showed of the session just before.
    pub fn handle_commit(
        &mut self,
        at: Moment,
        (host, life): (HostId, MemberId),
        (serial, ask): (Serial, Ask),
        id: CommitId,
        there: &There,
    ) {
        let story = self.stories.entry(ask.key).or_default();
        let mut before = story.seen.get(&life).cloned().unwrap_or_default();
        // What has waited for others may have been overtaken by what its member saw and did meanwhile.
        let has_waited = serial.0 <= self.last;
        self.last = self.last.max(serial.0);
        let is_linked = self.kin.contains_key(&ask.key);
        let mut past = if has_waited || is_linked { Past::default() } else { before.clone() };
        let shown: BTreeSet<Serial> = there.shown.values().copied().collect();
        let mut roots = BTreeSet::new();
        let mut origin = at;
        let goes_on = ask.start == Start::There || ask.moves_to.is_some();
        for seen in shown.iter().filter_map(|serial| self.attempts.get(serial)) {
            past.insert(seen.serial);
            past.extend(&seen.past);
            roots.extend(&seen.roots);
            if goes_on {
                origin = origin.min(seen.origin);
            }
        }
        if is_linked && !has_waited {
            // Of what its member has seen, what has gone to another key is no past of what is there now.
            let is_of_it = |old: &&Attempt| before.contains(old.serial) && old.roots.is_subset(&roots);
            self.attempts.values().filter(is_of_it).for_each(|old| past.insert(old.serial));
        }
        if ask.start != Start::There && ask.moves_to.is_none() {
            // An end is not meant for what its member shows under another key: it knew that this had moved.
            there.elsewhere.difference(&shown).for_each(|moved| past.remove(*moved));
        }
        if roots.is_empty() || ask.start == Start::Anew {
            roots = BTreeSet::from([serial]);
        }
        before.extend(&past);
        before.insert(serial);
        let used = Use { at, life, shown: shown.iter().copied().chain([serial]).collect(), is_held: true };
        if let Some(new) = ask.moves_to {
            self.note_move(serial, (ask.key, new), &used, &before);
        }
        let story = self.stories.entry(ask.key).or_default();
        story.seen.insert(life, before);
        story.attempts.push(serial);
        story.uses.push(used);
        self.pending.insert((life, id), serial);
        let (told, is_after_move, left) = (Told::Pending, there.has_moved, there.left.clone());
        let attempt = Attempt { serial, ask, host, life, at, told, origin, shown, roots, is_after_move, left, past };
        self.attempts.insert(serial, attempt);
    }

    /// A client used a session that its member showed.
    pub fn handle_use(&mut self, at: Moment, life: MemberId, key: SessionKey, shown: &Shown, is_held: bool) {
        let shown = shown.values().copied().collect();
        self.stories.entry(key).or_default().uses.push(Use { at, life, shown, is_held });
    }

    /// A commit has ended; `None` when no such commit is in flight.
    pub fn handle_outcome(&mut self, now: Moment, life: MemberId, id: CommitId, outcome: &Outcome) -> Option<Serial> {
        let serial = self.pending.remove(&(life, id))?;
        let attempt = self.attempts.get_mut(&serial)?;
        attempt.told = Told::of(now, outcome);
        Some(serial)
    }

    /// A process is no more: what it had in flight is unknown.
    pub fn handle_death(&mut self, life: MemberId) {
        self.names.handle_death(life);
        let lost: Vec<_> = self.pending.keys().copied().filter(|(of, _)| *of == life).collect();
        for key in lost {
            if let Some(attempt) = self.pending.remove(&key).and_then(|serial| self.attempts.get_mut(&serial)) {
                attempt.told = Told::Unknown;
            }
        }
    }

    /// What was written to the shared map.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// What was written to the shared map.
    pub const fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Messages of the application.
    pub const fn mail(&self) -> &Mail {
        &self.mail
    }

    /// Messages of the application.
    pub const fn mail_mut(&mut self) -> &mut Mail {
        &mut self.mail
    }

    /// The sessions that were ended to make room.
    pub const fn evictions_mut(&mut self) -> &mut Evictions {
        &mut self.evictions
    }

    /// Every commit that was tried.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values()
    }

    /// One of them.
    pub fn attempt(&self, serial: Serial) -> Option<&Attempt> {
        self.attempts.get(&serial)
    }

    /// The sessions that clients know.
    pub fn stories(&self) -> impl Iterator<Item = (&SessionKey, &Story)> {
        self.stories.iter()
    }

    /// What was done with one of them.
    pub fn story(&self, key: &SessionKey) -> Option<&Story> {
        self.stories.get(key)
    }

    /// The commits in flight.
    pub fn pending(&self) -> impl Iterator<Item = &Attempt> {
        self.pending.values().filter_map(|serial| self.attempts.get(serial))
    }

    /// Whether the writer of `later` had seen `earlier`: then no copy may prefer `earlier`.
    pub fn is_before(&self, earlier: Serial, later: &Attempt) -> bool {
        later.past.contains(earlier)
    }
}

/// What a node shows of a session: which commit wrote each attribute.
pub type Shown = BTreeMap<Attribute, Serial>;

/// What a member told of a session just before it took a commit.
#[derive(Clone, Debug, Default)]
pub struct There {
    /// What it showed.
    pub shown: Shown,
    /// It said that the session has moved.
    pub has_moved: bool,
    /// What it had of the session once it had ended it, if it has.
    pub left: Option<SessionVersion>,
    /// What it showed under keys that an id may have been changed to, or from.
    pub elsewhere: BTreeSet<Serial>,
}

impl There {
    /// What it told of a session with this key, of which others have or had these.
    pub(crate) fn at(node: &Node, key: &SessionKey, kin: &BTreeSet<SessionKey>) -> Self {
        let has_moved = node.session(key).is_none() && node.ended(key) == Some(EndCause::Moved);
        let elsewhere = kin.iter().filter(|other| *other != key).flat_map(|other| shown(node, other).into_values());
        Self { shown: shown(node, key), has_moved, left: None, elsewhere: elsewhere.collect() }
    }
}

/// What a node shows of a session.
pub fn shown(node: &Node, key: &SessionKey) -> Shown {
    node.session(key).map(|session| shown_in(session)).unwrap_or_default()
}

/// What a node holds of a session that lives, whether it may serve it or not.
pub(crate) fn held(node: &Node, key: &SessionKey) -> Shown {
    node.record(key).filter(|session| session.is_live()).map(|session| shown_in(session)).unwrap_or_default()
}

/// What a copy of a session shows.
pub fn shown_in(session: &Session) -> Shown {
    let known = session.attributes().filter_map(|(name, value)| {
        let serial = value.get(..8)?.try_into().ok()?;
        Some((Attribute::named(name)?, Serial(u64::from_le_bytes(serial))))
    });
    known.collect()
}

/// A length as the fastest clocks may measure it.
pub(crate) fn shortened(length: Duration) -> Duration {
    length - length / 400
}

/// A length as the slowest clocks may measure it.
pub(crate) fn lengthened(length: Duration) -> Duration {
    length + length / 400
}
