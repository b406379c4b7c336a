//! What a copy lacks of what a client wrote, and what excuses it.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Lifetime, Node, Session, SessionKey};

use super::{Attempt, History, Shown, Use, held, shortened, shown_in};
use crate::{
    ask::{Attribute, Serial, Start},
    clock::Moment,
    cluster::Cluster,
};

impl History {
    /// What a node lacks of a commit: `None` when it holds it, or something that may have come after it, under one of the
    /// keys that it may be found under; and under none what it ended.
    pub fn lack(&self, cluster: &Cluster, node: &Node, attempt: &Attempt) -> Option<String> {
        let places: Vec<_> = self.places(attempt.ask.key).into_iter().map(|key| (key, held(node, &key))).collect();
        // Of an id change those count who must hold the new key, whatever they have of the old one: who that is depends on the
        // view, and who need not hold it may have a copy left over.
        let kept = places.iter().filter(|_| attempt.ask.moves_to.is_none());
        let kept = kept.into_iter().find_map(|(key, shown)| self.kept(*key, shown, attempt));
        kept.or_else(|| self.missing_in_all(cluster, places.iter().map(|(_, shown)| shown), attempt))
    }

    /// What is missing of a commit in what somebody shows of its session under one key.
    pub fn lack_in(&self, cluster: &Cluster, (key, shown): (SessionKey, &Shown), attempt: &Attempt) -> Option<String> {
        self.kept(key, shown, attempt).or_else(|| self.missing(cluster, shown, attempt))
    }

    /// What is shown under a key although a commit has ended it, or given it another key.
    pub fn kept(&self, key: SessionKey, shown: &Shown, attempt: &Attempt) -> Option<String> {
        if attempt.ask.start == Start::There {
            return None;
        }
        if attempt.ask.moves_to.is_some() {
            let has_gone = key == attempt.ask.key && !self.is_moved_to(key);
            let old = shown.values().find(|old| has_gone && attempt.shown.contains(old))?;
            return Some(format!("{key} still shows #{}, which has moved", old.0));
        }
        let old = shown.values().find(|old| self.is_before(**old, attempt))?;
        Some(format!("{key} still shows #{}, which it ended", old.0))
    }

    /// What is missing under all keys of what a commit set.
    fn missing_in_all<'a>(
        &self,
        cluster: &Cluster,
        places: impl Iterator<Item = &'a Shown>,
        attempt: &Attempt,
    ) -> Option<String> {
        let mut first = None;
        for shown in places {
            let lack = self.missing(cluster, shown, attempt)?;
            first.get_or_insert(lack);
        }
        first
    }

    /// What is missing of what a commit set, or, if it is an id change, of what has moved by it.
    pub fn missing(&self, cluster: &Cluster, shown: &Shown, attempt: &Attempt) -> Option<String> {
        if attempt.ask.moves_to.is_some() {
            let mut moved = attempt.shown.iter().filter_map(|serial| self.attempts.get(serial));
            return moved.find_map(|moved| {
                let lack = self.missing(cluster, shown, moved)?;
                Some(format!("#{}, which has moved: {lack}", moved.serial.0))
            });
        }
        let changes = attempt.ask.sets.iter().map(|set| (set, true));
        let changes = changes.chain(attempt.ask.removes.iter().map(|removed| (removed, false)));
        for (attribute, is_set) in changes {
            match shown.get(attribute).filter(|found| !self.is_another(**found, attempt)) {
                Some(found) if *found == attempt.serial || !self.is_before(*found, attempt) => {}
                Some(found) if self.has_outlived(cluster, *found, attempt) => {}
                Some(found) => return Some(format!("a{} shows the older #{}", attribute.0, found.0)),
                None if !is_set || self.may_be_gone(cluster, attempt, *attribute) => {}
                None => return Some(format!("a{} is not there", attribute.0)),
            }
        }
        None
    }

    /// Whether a copy under one key surely has what a commit did, or something that came after it: what is not there may
    /// have been taken away, or have never come.
    pub fn has(&self, cluster: &Cluster, (key, session): (SessionKey, &Session), attempt: &Attempt) -> bool {
        let shown = shown_in(session);
        // What neither writer had seen of the other may win here and expire there.
        let has = |write: &Attempt, attribute: &Attribute| {
            shown.get(attribute).is_some_and(|found| {
                let later = self.attempts.get(found);
                *found == write.serial || later.is_some_and(|later| self.is_before(write.serial, later))
            })
        };
        let is_there = if attempt.ask.moves_to.is_some() {
            let moved = attempt.shown.iter().filter_map(|serial| self.attempts.get(serial));
            session.is_live() && moved.into_iter().all(|moved| shown.values().any(|found| *found == moved.serial))
        } else {
            // What has ended may have ended before: who has an end has all that its member had then.
            let is_due = match attempt.ask.start {
                Start::End => attempt.left.as_ref().is_some_and(|left| session.version().covers(left)),
                Start::There | Start::Anew => session.is_live(),
            };
            is_due && attempt.ask.sets.iter().all(|set| has(attempt, set))
        };
        is_there && self.lack_in(cluster, (key, &shown), attempt).is_none()
    }

    /// Whether a session may have expired since a commit, or was ended to make room. Only uses of processes that still run
    /// keep it alive: nobody else has to know of a use.
    pub fn may_have_expired(&self, cluster: &Cluster, attempt: &Attempt) -> bool {
        let (key, now) = (attempt.ask.key, cluster.now());
        if self.kin(key).iter().any(|key| self.evictions.may_have_ended(key, attempt)) {
            return true;
        }
        if self.attempts_of(key).any(|other| match other.ask.lifetime {
            Some(Lifetime::Fixed(ttl)) => shortened(ttl) <= now.since(other.at),
            Some(Lifetime::Idle(_) | Lifetime::Never) | None => false,
        }) {
            return true;
        }
        let max_age = cluster.config().max_age;
        // A late write is of a session that is older than it.
        let is_aged = |other: &Attempt| shortened(max_age) <= now.since(other.origin.min(other.at));
        if !max_age.is_zero() && self.attempts_of(key).any(is_aged) {
            return true;
        }
        let Some(idle) = self.shortest_idle(cluster, &key).map(shortened) else { return false };
        // A late write on a session that was idle for its time dies with it, so what was before counts too.
        let concerns = |usage: &&Use| {
            let mut shown = usage.shown.iter().filter_map(|serial| self.attempts.get(serial));
            shown.any(|shown| {
                let is_of_same_birth = shown.origin == attempt.origin && self.is_before(shown.serial, attempt);
                let is_later = || self.is_before(attempt.serial, shown) && !self.is_anew(shown, attempt, idle);
                shown.serial == attempt.serial || is_of_same_birth || is_later()
            })
        };
        let uses = self.uses_of(key).filter(|usage| attempt.origin <= usage.at).filter(concerns);
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
    fn is_anew(&self, write: &Attempt, attempt: &Attempt, idle: Duration) -> bool {
        if write.origin <= attempt.origin {
            return false;
        }
        let of = |origin: Moment| self.attempts_of(attempt.ask.key).filter(move |other| other.origin == origin);
        let Some(creator) = of(write.origin).find(|other| other.at == write.origin) else { return false };
        let older: BTreeSet<Serial> = of(attempt.origin).map(|other| other.serial).collect();
        let there = self.uses_of(attempt.ask.key).filter(|usage| usage.life == creator.life && usage.at < creator.at);
        let last = there.filter(|usage| !usage.shown.is_disjoint(&older)).map(|usage| usage.at).max();
        last.is_none_or(|last| last + idle <= creator.at)
    }

    /// Whether a session that is older than a commit was used later than that, and the one that was committed to has expired;
    /// or that one alone was ended to make room, by a member that had not met the older one.
    fn has_outlived(&self, cluster: &Cluster, older: Serial, attempt: &Attempt) -> bool {
        let Some(found) = self.attempts.get(&older).filter(|found| self.may_be_apart(found, attempt)) else {
            return false;
        };
        if self.kin(attempt.ask.key).iter().any(|key| self.evictions.may_have_ended(key, attempt)) {
            return true;
        }
        let mut later = self
            .uses_of(attempt.ask.key)
            .filter(|usage| attempt.at < usage.at && !usage.shown.contains(&attempt.serial));
        later.any(|usage| usage.shown.contains(&found.serial)) && self.may_have_expired(cluster, attempt)
    }

    /// Whether a commit may belong to another session than an older write under the same key. What two created at once is
    /// shown as one; who writes to that writes to one of the two.
    fn may_be_apart(&self, older: &Attempt, attempt: &Attempt) -> bool {
        let mut shown = attempt.shown.iter().filter_map(|serial| self.attempts.get(serial));
        older.roots != attempt.roots || shown.any(|shown| shown.roots != older.roots)
    }

    /// The shortest idle time that a session may have; `None` when it can not expire for idleness.
    pub fn shortest_idle(&self, cluster: &Cluster, key: &SessionKey) -> Option<Duration> {
        self.idles(cluster, key).min()
    }

    /// The longest time that a session may live without a use; `None` when it may live for ever.
    pub fn longest_life(&self, cluster: &Cluster, key: &SessionKey) -> Option<Duration> {
        let max_age = Some(cluster.config().max_age).filter(|length| !length.is_zero());
        let mut longest = Some(cluster.config().idle).filter(|idle| !idle.is_zero())?;
        for lifetime in self.lifetimes_of(*key).flatten() {
            match lifetime {
                Lifetime::Never => return max_age,
                Lifetime::Idle(ttl) | Lifetime::Fixed(ttl) => longest = longest.max(ttl),
            }
        }
        Some(max_age.map_or(longest, |max_age| longest.min(max_age)))
    }

    fn idles(&self, cluster: &Cluster, key: &SessionKey) -> impl Iterator<Item = Duration> {
        let idle = Some(cluster.config().idle).filter(|idle| !idle.is_zero());
        self.lifetimes_of(*key).filter_map(move |lifetime| match lifetime {
            Some(Lifetime::Idle(ttl)) => Some(ttl),
            Some(Lifetime::Never | Lifetime::Fixed(_)) => None,
            None => idle,
        })
    }

    /// Whether something else than a loss explains that a value is not there.
    fn may_be_gone(&self, cluster: &Cluster, attempt: &Attempt, attribute: Attribute) -> bool {
        self.attempts_of(attempt.ask.key).any(|other| {
            let ends = other.ask.start != Start::There && other.ask.moves_to.is_none();
            let takes_away = ends || other.ask.removes.contains(&attribute);
            let is_unseen = other.serial != attempt.serial && !self.is_before(other.serial, attempt);
            takes_away && is_unseen && !self.is_another(other.serial, attempt)
        }) || self.may_have_expired(cluster, attempt)
    }
}
