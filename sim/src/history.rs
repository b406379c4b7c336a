//! What clients did and what they were told: the plain model that oracles judge against.
//!
//! Every commit that was tried has a serial number, and every value that it sets begins with that number. So whatever a
//! member shows, the history knows who wrote it, and what its writer had seen before: of two writes, the one that the
//! other's writer had seen is the older, and of two that did not see each other either may win.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heirloom_core::{CommitId, Lifetime, MemberId, Node, Outcome, Session, SessionKey};

use crate::{
    ask::{Ask, Attribute, Serial, Start},
    clock::Moment,
    cluster::Cluster,
    evictions::Evictions,
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
    /// Its place among the attempts of its session.
    place: usize,
    /// What its writer had seen of the session.
    past: Past,
}

/// A set of attempts of one session, by their places.
#[derive(Clone, Debug, Default)]
struct Past(Vec<u64>);

impl Past {
    fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
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
    /// Where sessions went whose ids were changed.
    moves: BTreeSet<(SessionKey, SessionKey)>,
    evictions: Evictions,
    last: u64,
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

    /// A member took a commit; `shown` is what it showed of the session just before.
    pub fn handle_commit(
        &mut self,
        at: Moment,
        (host, life): (HostId, MemberId),
        (serial, ask): (Serial, Ask),
        id: CommitId,
        shown: &Shown,
    ) {
        self.moves.extend(ask.moves_to.map(|to| (ask.key, to)));
        let story = self.stories.entry(ask.key).or_default();
        let mut before = story.seen.get(&life).cloned().unwrap_or_default();
        // What has waited for others may have been overtaken by what its member saw and did meanwhile.
        let has_waited = serial.0 <= self.last;
        self.last = self.last.max(serial.0);
        let mut past = if has_waited { Past::default() } else { before.clone() };
        for seen in shown.values().filter_map(|serial| self.attempts.get(serial)) {
            past.insert(seen.place);
            past.extend(&seen.past);
        }
        let origins = shown.values().filter_map(|serial| self.attempts.get(serial)).map(|before| before.origin);
        let origin = origins.min().filter(|_| ask.start == Start::There).unwrap_or(at);
        let place = story.attempts.len();
        before.extend(&past);
        before.insert(place);
        story.seen.insert(life, before);
        story.attempts.push(serial);
        let shown = shown.values().copied().chain([serial]).collect();
        story.uses.push(Use { at, life, shown, is_held: true });
        self.pending.insert((life, id), serial);
        let told = Told::Pending;
        self.attempts.insert(serial, Attempt { serial, ask, host, life, at, told, origin, place, past });
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
        attempt.told = match outcome {
            Outcome::Durable(receipt) => Told::Durable(now, receipt.members.clone()),
            Outcome::NotDurable { .. } => Told::NotDurable,
        };
        Some(serial)
    }

    /// A process is no more: what it had in flight is unknown.
    pub fn handle_death(&mut self, life: MemberId) {
        let lost: Vec<_> = self.pending.keys().copied().filter(|(of, _)| *of == life).collect();
        for key in lost {
            if let Some(attempt) = self.pending.remove(&key).and_then(|serial| self.attempts.get_mut(&serial)) {
                attempt.told = Told::Unknown;
            }
        }
    }

    /// The sessions that were ended to make room.
    pub const fn evictions_mut(&mut self) -> &mut Evictions {
        &mut self.evictions
    }

    /// The keys that what was written to a session may be found under, its own included.
    pub fn places(&self, key: SessionKey) -> BTreeSet<SessionKey> {
        let mut places = BTreeSet::from([key]);
        loop {
            let next = self.moves.iter().filter(|(from, to)| places.contains(from) && !places.contains(to));
            let next: Vec<_> = next.map(|(_, to)| *to).collect();
            if next.is_empty() {
                return places;
            }
            places.extend(next);
        }
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
        let earlier = self.attempts.get(&earlier).filter(|earlier| earlier.ask.key == later.ask.key);
        earlier.is_some_and(|earlier| later.past.contains(earlier.place))
    }

    /// What a node lacks of a commit: `None` when it holds it, or something that may have come after it.
    pub fn lack(&self, cluster: &Cluster, node: &Node, attempt: &Attempt) -> Option<String> {
        self.lack_in(cluster, &held(node, &attempt.ask.key), attempt)
    }

    /// What is missing of a commit in what somebody shows of its session.
    pub fn lack_in(&self, cluster: &Cluster, shown: &Shown, attempt: &Attempt) -> Option<String> {
        if attempt.ask.start != Start::There
            && let Some(old) = shown.values().find(|old| self.is_before(**old, attempt))
        {
            return Some(format!("still shows #{}, which it ended", old.0));
        }
        let changes = attempt.ask.sets.iter().map(|set| (set, true));
        let changes = changes.chain(attempt.ask.removes.iter().map(|removed| (removed, false)));
        for (attribute, is_set) in changes {
            match shown.get(attribute) {
                Some(found) if *found == attempt.serial || !self.is_before(*found, attempt) => {}
                Some(found) if self.has_outlived(cluster, *found, attempt) => {}
                Some(found) => return Some(format!("a{} shows the older #{}", attribute.0, found.0)),
                None if !is_set || self.may_be_gone(cluster, attempt, *attribute) => {}
                None => return Some(format!("a{} is not there", attribute.0)),
            }
        }
        None
    }

    /// Whether a copy surely has what a commit did, or something that came after it: what is not there may have been taken
    /// away, or have never come.
    pub fn has(&self, cluster: &Cluster, session: &Session, attempt: &Attempt) -> bool {
        // What has ended may have ended before.
        let is_due = session.is_live() || attempt.ask.start == Start::End;
        let shown = shown_in(session);
        // What neither writer had seen of the other may win here and expire there.
        let is_later = |found: &Serial| {
            let later = self.attempts.get(found);
            *found == attempt.serial || later.is_some_and(|later| self.is_before(attempt.serial, later))
        };
        let is_there = is_due && attempt.ask.sets.iter().all(|set| shown.get(set).is_some_and(is_later));
        is_there && self.lack_in(cluster, &shown, attempt).is_none()
    }

    /// Whether a session may have expired since a commit, or was ended to make room. Only uses of processes that still run keep it alive: nobody else
    /// has to know of a use.
    pub fn may_have_expired(&self, cluster: &Cluster, attempt: &Attempt) -> bool {
        let Some(story) = self.stories.get(&attempt.ask.key) else { return true };
        if self.evictions.may_have_ended(attempt) {
            return true;
        }
        let now = cluster.now();
        let asked = story.attempts.iter().filter_map(|serial| self.attempts.get(serial));
        if asked.clone().any(|other| match other.ask.lifetime {
            Some(Lifetime::Fixed(ttl)) => shortened(ttl) <= now.since(other.at),
            Some(Lifetime::Idle(_) | Lifetime::Never) | None => false,
        }) {
            return true;
        }
        let Some(idle) = self.shortest_idle(cluster, &attempt.ask.key).map(shortened) else { return false };
        // A late write on a session that was idle for its time dies with it, so what was before counts too.
        let concerns = |usage: &&Use| {
            let mut shown = usage.shown.iter().filter_map(|serial| self.attempts.get(serial));
            shown.any(|shown| {
                let is_of_same_birth = shown.origin == attempt.origin && self.is_before(shown.serial, attempt);
                let is_later = || self.is_before(attempt.serial, shown) && !self.is_anew(story, shown, attempt, idle);
                shown.serial == attempt.serial || is_of_same_birth || is_later()
            })
        };
        let uses = story.uses.iter().filter(|usage| attempt.origin <= usage.at).filter(concerns);
        // Who looks at a copy of others tells them, and keeps no note of it.
        let known = |usage: &&Use| usage.is_held && cluster.living(usage.life).is_some();
        let counted = uses.filter(known).map(|usage| usage.at);
        let mut moments: Vec<_> = [attempt.origin, attempt.at].into_iter().chain(counted).collect();
        moments.sort_unstable();
        moments.push(now);
        moments.windows(2).any(|pair| idle <= pair[1].since(pair[0]))
    }

    /// Whether a write is of a younger session than `attempt`, created where the one of `attempt` had not been used for its
    /// time: what others knew of that one may have been lost on the way.
    fn is_anew(&self, story: &Story, write: &Attempt, attempt: &Attempt, idle: Duration) -> bool {
        if write.origin <= attempt.origin {
            return false;
        }
        let of = |origin: Moment| {
            let attempts = story.attempts.iter().filter_map(|serial| self.attempts.get(serial));
            attempts.filter(move |other| other.origin == origin)
        };
        let Some(creator) = of(write.origin).find(|other| other.at == write.origin) else { return false };
        let older: BTreeSet<Serial> = of(attempt.origin).map(|other| other.serial).collect();
        let there = story.uses.iter().filter(|usage| usage.life == creator.life && usage.at < creator.at);
        let last = there.filter(|usage| !usage.shown.is_disjoint(&older)).map(|usage| usage.at).max();
        last.is_none_or(|last| last + idle <= creator.at)
    }

    /// Whether a session that is older than a commit was used later than that, and the one that was committed to has expired.
    fn has_outlived(&self, cluster: &Cluster, older: Serial, attempt: &Attempt) -> bool {
        let Some(found) = self.attempts.get(&older).filter(|found| found.origin != attempt.origin) else {
            return false;
        };
        let uses = self.stories.get(&attempt.ask.key).into_iter().flat_map(|story| &story.uses);
        let mut later = uses.filter(|usage| attempt.at < usage.at && !usage.shown.contains(&attempt.serial));
        later.any(|usage| usage.shown.contains(&found.serial)) && self.may_have_expired(cluster, attempt)
    }

    /// The shortest idle time that a session may have; `None` when it can not expire for idleness.
    pub fn shortest_idle(&self, cluster: &Cluster, key: &SessionKey) -> Option<Duration> {
        self.idles(cluster, key).min()
    }

    /// The longest time that a session may live without a use; `None` when it may live for ever.
    pub fn longest_life(&self, cluster: &Cluster, key: &SessionKey) -> Option<Duration> {
        let story = self.stories.get(key)?;
        let asked = story.attempts.iter().filter_map(|serial| self.attempts.get(serial));
        let mut longest = Some(cluster.config().idle).filter(|idle| !idle.is_zero())?;
        for lifetime in asked.filter_map(|attempt| attempt.ask.lifetime) {
            match lifetime {
                Lifetime::Never => return None,
                Lifetime::Idle(ttl) | Lifetime::Fixed(ttl) => longest = longest.max(ttl),
            }
        }
        Some(longest)
    }

    fn idles(&self, cluster: &Cluster, key: &SessionKey) -> impl Iterator<Item = Duration> {
        let idle = Some(cluster.config().idle).filter(|idle| !idle.is_zero());
        let story = self.stories.get(key);
        let asked = story.into_iter().flat_map(|story| &story.attempts).filter_map(|serial| self.attempts.get(serial));
        asked.filter_map(move |attempt| match attempt.ask.lifetime {
            Some(Lifetime::Idle(ttl)) => Some(ttl),
            Some(Lifetime::Never | Lifetime::Fixed(_)) => None,
            None => idle,
        })
    }

    /// Whether something else than a loss explains that a value is not there.
    fn may_be_gone(&self, cluster: &Cluster, attempt: &Attempt, attribute: Attribute) -> bool {
        let Some(story) = self.stories.get(&attempt.ask.key) else { return false };
        let mut others = story.attempts.iter().filter_map(|serial| self.attempts.get(serial));
        others.any(|other| {
            let takes_away = other.ask.start != Start::There || other.ask.removes.contains(&attribute);
            other.serial != attempt.serial && takes_away && !self.is_before(other.serial, attempt)
        }) || self.may_have_expired(cluster, attempt)
    }
}

/// What a node holds of a session, an ended one included.
pub(crate) fn record<'a>(node: &'a Node, key: &SessionKey) -> Option<&'a Arc<Session>> {
    node.records().find(|(found, _)| *found == key).map(|(_, session)| session)
}

/// What a node shows of a session: which commit wrote each attribute.
pub type Shown = BTreeMap<Attribute, Serial>;

/// What a node shows of a session.
pub fn shown(node: &Node, key: &SessionKey) -> Shown {
    node.session(key).map(|session| shown_in(session)).unwrap_or_default()
}

/// What a node holds of a session that lives, whether it may serve it or not.
pub(crate) fn held(node: &Node, key: &SessionKey) -> Shown {
    record(node, key).filter(|session| session.is_live()).map(|session| shown_in(session)).unwrap_or_default()
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
