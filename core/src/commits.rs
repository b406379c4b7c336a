//! When a commit is durable, or cannot be any more.
//!
//! A commit is known by the session (or the entry of the shared map) it changed and the number of its change. An acknowledgement counts for it only when
//! the acknowledged frame carried that change (P2): frames say which changes of which session they carried, and no
//! comparison of change numbers alone takes the place of that. Who must hold a copy is told when it starts and whenever
//! that changes; only their word counts.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};

use crate::{
    delta::{CommitId, Durability, Outcome, Receipt},
    key::SessionKey,
    member::MemberId,
    planted::Bug,
    session::Change,
    stamp::Stamp,
    time::Time,
};

/// Who waits for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiting<K = SessionKey> {
    /// The application, for as much as it asked, and no longer than it asked.
    Application(Durability, Option<Time>),
    /// The commit of this key with the same change, of which this is the other half.
    Link(K),
    /// The end of an expiry, of these births up to these counters: once all that must hold it have applied it, they are dead
    /// for good.
    Burial(Expired),
}

/// A burial that may take place.
pub(crate) type Burial<K = SessionKey> = (K, Expired);

type Expired = Arc<[(Stamp, u32)]>;

/// Commits of what is known by such a key.
#[derive(Clone, Debug)]
pub(crate) struct Commits<K = SessionKey> {
    in_flight: BTreeMap<Id<K>, Commit<K>>,
    deadlines: BTreeSet<(Time, Id<K>)>,
    outcomes: VecDeque<(CommitId, Outcome)>,
    burials: VecDeque<Burial<K>>,
    application: usize,
}

type Id<K> = (K, Change);

#[derive(Clone, Debug)]
struct Commit<K> {
    waiting: Waiting<K>,
    /// Who must hold it.
    others: Arc<Others>,
    /// Which of them have applied it, in the order of their acknowledgements.
    have: Vec<MemberId>,
    /// The key under which there is another half: what the session had before its id was changed. Who must hold both counts
    /// once it has both.
    link: Option<K>,
}

/// Other members, of the view or of those that must hold a session: all, and those that are ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    pub(crate) all: BTreeSet<MemberId>,
    pub(crate) ready: BTreeSet<MemberId>,
}

impl<K> Default for Commits<K> {
    fn default() -> Self {
        Self {
            in_flight: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            outcomes: VecDeque::new(),
            burials: VecDeque::new(),
            application: 0,
        }
    }
}

impl<K: Copy + Ord> Commits<K> {
    /// Starts to count, for a session that these others must hold.
    pub(crate) fn start(&mut self, key: K, change: Change, waiting: Waiting<K>, others: Arc<Others>) {
        let id = (key, change);
        self.insert(id, Commit { waiting, others, have: Vec::new(), link: None });
        self.judge(id);
    }

    /// The same, of what all of them have acknowledged before.
    pub(crate) fn start_acked(&mut self, key: K, change: Change, waiting: Waiting<K>, others: Arc<Others>) {
        let id = (key, change);
        let have = others.ready.iter().copied().collect();
        self.insert(id, Commit { waiting, others, have, link: None });
        self.judge(id);
    }

    /// Starts to count an id change, for the others that must hold the old key and those that must hold the new one: it is
    /// done when both are.
    pub(crate) fn start_move(
        &mut self,
        (old, change): (K, Change),
        new: K,
        (durability, deadline): (Durability, Option<Time>),
        others: (Arc<Others>, Arc<Others>),
    ) {
        let commit = |waiting, others, link| Commit { waiting, others, have: Vec::new(), link };
        self.insert((old, change), commit(Waiting::Link(new), others.0, None));
        self.insert((new, change), commit(Waiting::Application(durability, deadline), others.1, Some(old)));
        self.judge((old, change));
        self.judge((new, change));
    }

    /// A member has applied the changes of a session from `from` to `to`.
    pub(crate) fn handle_ack(&mut self, key: K, from: Change, to: Change, member: MemberId) {
        let mut touched = Vec::new();
        for (id, commit) in self.in_flight.range_mut((key, from)..=(key, to)) {
            if commit.others.all.contains(&member) && !commit.have.contains(&member) {
                commit.have.push(member);
                touched.push(*id);
            }
        }
        for id in touched {
            self.judge(id);
        }
    }

    /// Who must hold what may have changed, with the view: every commit in flight is counted again. Answers which members
    /// must be brought which change, because they did not have to hold it before.
    #[must_use]
    pub(crate) fn handle_view(&mut self, mut others: impl FnMut(&K) -> Arc<Others>) -> Vec<(MemberId, K, Change)> {
        let mut lacking = Vec::new();
        if Bug::NoRecount.is_planted() {
            return lacking;
        }
        let all: Vec<_> = self.in_flight.keys().copied().collect();
        for (key, change) in all {
            let Some(commit) = self.in_flight.get_mut(&(key, change)) else { continue };
            let before = core::mem::replace(&mut commit.others, others(&key));
            let now = &commit.others.all;
            // Who need not hold it any more may drop it.
            commit.have.retain(|member| now.contains(member));
            lacking.extend(now.difference(&before.all).map(|&member| (member, key, change)));
            self.judge((key, change));
        }
        lacking
    }

    /// What commits of one key have written, with change numbers in this range, has got another key, which these others must
    /// hold, and so has what an id change has moved to it: they are counted there from now on. Who has acknowledged the old one has
    /// applied it, and finds it under the new one when it hears of the change. What was written under the old one may have
    /// ended something there: that half goes on to be counted. Answers who must be brought which change.
    #[must_use]
    pub(crate) fn handle_moved(
        &mut self,
        (old, new): (K, K),
        written: Option<(Change, Change)>,
        others: &Arc<Others>,
    ) -> Vec<(MemberId, Change)> {
        let moves = |(id, commit): &(&Id<K>, &Commit<K>)| {
            let is_written = written.is_some_and(|(from, to)| from <= id.1 && id.1 <= to);
            let is_of_it = is_written || commit.link.is_some();
            is_of_it && matches!(commit.waiting, Waiting::Application(..))
        };
        let all = self.in_flight.range((old, Change::default())..=(old, Change(u64::MAX)));
        let moved: Vec<Id<K>> = all.filter(moves).map(|(id, _)| *id).collect();
        let mut lacking = Vec::new();
        for id in moved {
            let next = (new, id.1);
            // Back under the key of its other half, which counts the same members.
            if self.in_flight.contains_key(&next) {
                continue;
            }
            let Some(mut commit) = self.in_flight.remove(&id) else { continue };
            if commit.link.is_none() {
                commit.link = Some(old);
                self.in_flight.insert(id, Commit { waiting: Waiting::Link(new), link: None, ..commit.clone() });
            }
            commit.others = others.clone();
            commit.have.retain(|member| others.all.contains(member));
            lacking.extend(others.all.iter().filter(|other| !commit.have.contains(other)).map(|other| (*other, id.1)));
            if let Some(at) = commit.waiting.deadline() {
                self.deadlines.remove(&(at, id));
                self.deadlines.insert((at, next));
            }
            if let Some(half) = commit.link.and_then(|first| self.in_flight.get_mut(&(first, id.1)))
                && let Waiting::Link(target) = &mut half.waiting
            {
                *target = new;
            }
            self.in_flight.insert(next, commit);
            self.judge(next);
        }
        lacking
    }

    /// Ends the commits whose deadline has come.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        while let Some(&(at, id)) = self.deadlines.first()
            && at <= now
        {
            self.end_short(id, true);
        }
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<(CommitId, Outcome)> {
        self.outcomes.pop_front()
    }

    pub(crate) fn poll_burial(&mut self) -> Option<Burial<K>> {
        self.burials.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Commits of the application in flight, and outcomes that it has not fetched.
    pub(crate) fn len(&self) -> usize {
        self.application + self.outcomes.len()
    }

    fn insert(&mut self, id: Id<K>, commit: Commit<K>) {
        let waiting = commit.waiting.clone();
        let before = self.in_flight.insert(id, commit);
        assert!(before.is_none(), "a change has one commit");
        self.application += usize::from(matches!(waiting, Waiting::Application(..)));
        self.deadlines.extend(waiting.deadline().map(|at| (at, id)));
    }

    fn judge(&mut self, id: Id<K>) {
        let Some(commit) = self.in_flight.get(&id) else { return };
        match &commit.waiting {
            &Waiting::Application(durability, _) => {
                let half = self.half(commit, id.1);
                let halves = || [Some(commit), half].into_iter().flatten();
                if halves().any(|each| each.others.ready.len() < each.want(durability)) {
                    self.end_short(id, false);
                } else if commit.want(durability) <= commit.counted(half).count()
                    && half.is_none_or(|half| half.want(durability) <= half.counted(None).count())
                {
                    let (receipt, _) = self.take(id);
                    self.outcomes.push_back((CommitId(id.1.0), Outcome::Durable(receipt)));
                }
            }
            &Waiting::Link(new) => self.judge((new, id.1)),
            Waiting::Burial(expired) => {
                if commit.others.all.iter().all(|member| commit.have.contains(member)) {
                    self.burials.push_back((id.0, expired.clone()));
                    self.in_flight.remove(&id);
                }
            }
        }
    }

    /// What a commit waits for under the key that its session had before.
    fn half(&self, commit: &Commit<K>, change: Change) -> Option<&Commit<K>> {
        commit.link.and_then(|old| self.in_flight.get(&(old, change)))
    }

    fn end_short(&mut self, id: Id<K>, late: bool) {
        let (Receipt { members: have, missing }, want) = self.take(id);
        self.outcomes.push_back((CommitId(id.1.0), Outcome::NotDurable { have, missing, want, late }));
    }

    /// Takes a commit of the application out, with how many others it wanted.
    fn take(&mut self, id: Id<K>) -> (Receipt, usize) {
        let commit = self.in_flight.remove(&id).expect("what ends is in flight");
        let Waiting::Application(durability, deadline) = commit.waiting else {
            unreachable!("only a commit of the application has a deadline and an outcome");
        };
        let half = commit.link.and_then(|old| self.in_flight.remove(&(old, id.1)));
        self.application -= 1;
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, id));
        }
        let members: Vec<_> = commit.counted(half.as_ref()).collect();
        let missing = commit.others.ready.iter().filter(|member| !members.contains(member)).copied().collect();
        (Receipt { members, missing }, durability.others(commit.others.ready.len()))
    }
}

impl<K> Waiting<K> {
    fn deadline(&self) -> Option<Time> {
        match *self {
            Self::Application(_, deadline) => deadline,
            Self::Burial(_) | Self::Link(_) => None,
        }
    }
}

impl<K> Commit<K> {
    /// Whose word counts: who must hold the other half too has that as well.
    fn counted<'a>(&'a self, half: Option<&'a Self>) -> impl Iterator<Item = MemberId> {
        let lacks_half = move |member: &MemberId| {
            half.is_some_and(|half| half.others.all.contains(member) && !half.have.contains(member))
        };
        let counts = move |member: &&MemberId| self.others.ready.contains(member) && !lacks_half(member);
        self.have.iter().filter(counts).copied()
    }

    /// How many others must have applied it.
    fn want(&self, durability: Durability) -> usize {
        let ready = self.others.ready.len();
        let want = durability.others(ready);
        if Bug::DurableAlone.is_planted() { want.min(ready) } else { want }
    }
}

impl Durability {
    /// How many others must have applied a commit when so many are ready of those that must hold it. Nothing becomes
    /// durable because nobody is left to ask.
    fn others(self, ready: usize) -> usize {
        match self {
            Self::Local => 0,
            Self::One => 1,
            Self::Copies(copies) => copies.into(),
            // The writer is one of them.
            Self::Majority => ready.div_ceil(2).max(1),
            Self::All => ready.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};
    use core::time::Duration;

    use super::*;

    const KEY: SessionKey = SessionKey([1; 16]);
    const CHANGE: Change = Change(5);
    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);
    const C: MemberId = MemberId(3);
    const D: MemberId = MemberId(4);

    fn others(ready: &[MemberId], joining: &[MemberId]) -> Arc<Others> {
        let all = ready.iter().chain(joining).copied().collect();
        Arc::new(Others { all, ready: ready.iter().copied().collect() })
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn durable(members: &[MemberId], missing: &[MemberId]) -> Option<Outcome> {
        Some(Outcome::Durable(Receipt { members: members.to_vec(), missing: missing.to_vec() }))
    }

    fn short(have: &[MemberId], missing: &[MemberId], want: usize) -> Option<Outcome> {
        Some(Outcome::NotDurable { have: have.to_vec(), missing: missing.to_vec(), want, late: false })
    }

    fn started(durability: Durability, ready: &[MemberId]) -> Commits {
        let mut commits = Commits::default();
        commits.start(KEY, CHANGE, Waiting::Application(durability, None), others(ready, &[]));
        commits
    }

    fn ack(commits: &mut Commits, member: MemberId) -> Option<Outcome> {
        commits.handle_ack(KEY, CHANGE, CHANGE, member);
        outcome(commits)
    }

    fn view(commits: &mut Commits, others: &Arc<Others>) -> Option<Outcome> {
        let _fed = commits.handle_view(|_| others.clone());
        outcome(commits)
    }

    fn outcome(commits: &mut Commits) -> Option<Outcome> {
        let (id, outcome) = commits.poll_outcome()?;
        assert_eq!(id, CommitId(CHANGE.0));
        assert_eq!(commits.poll_outcome(), None, "there is one outcome");
        assert_eq!(commits.len(), 0);
        Some(outcome)
    }

    #[test]
    fn what_gets_another_key_counts_who_must_hold_that() {
        let new = SessionKey([2; 16]);
        let mut commits = Commits::default();
        let waiting = Waiting::Application(Durability::All, Some(at(2)));
        commits.start(KEY, CHANGE, waiting, others(&[A, B], &[]));
        commits.handle_ack(KEY, CHANGE, CHANGE, B);
        let lacking = commits.handle_moved((KEY, new), Some((CHANGE, CHANGE)), &others(&[B, C], &[]));
        assert_eq!(lacking, [(C, CHANGE)]);
        commits.handle_ack(KEY, CHANGE, CHANGE, A);
        assert_eq!((commits.poll_outcome(), commits.poll_timeout()), (None, Some(at(2))));
        commits.handle_ack(new, CHANGE, CHANGE, C);
        assert_eq!(commits.poll_outcome().map(|(_, outcome)| outcome), durable(&[B, C], &[]));
        assert_eq!(commits.poll_timeout(), None);
    }

    #[test]
    fn what_gets_another_key_is_done_when_what_it_has_ended_under_the_old_one_is() {
        let new = SessionKey([2; 16]);
        let mut commits = Commits::default();
        let waiting = Waiting::Application(Durability::Copies(2), None);
        commits.start(KEY, CHANGE, waiting, others(&[A, B, C], &[]));
        commits.handle_ack(KEY, CHANGE, CHANGE, A);
        let lacking = commits.handle_moved((KEY, new), Some((CHANGE, CHANGE)), &others(&[A, B, D], &[]));
        assert_eq!(lacking, [(B, CHANGE), (D, CHANGE)]);
        commits.handle_ack(new, CHANGE, CHANGE, B);
        assert_eq!(commits.poll_outcome(), None, "B may still show under the old key what this ended");
        commits.handle_ack(KEY, CHANGE, CHANGE, B);
        assert_eq!(outcome(&mut commits), durable(&[A, B], &[D]));
        assert_eq!(commits.in_flight.len(), 0);
    }

    #[test]
    fn an_id_change_that_loses_counts_who_must_hold_the_winner_s_key() {
        let (lost, won) = (SessionKey([2; 16]), SessionKey([3; 16]));
        let mut commits = Commits::default();
        let who = (others(&[A], &[]), others(&[A], &[]));
        commits.start_move((KEY, CHANGE), lost, (Durability::All, None), who);
        let lacking = commits.handle_moved((lost, won), None, &others(&[A, B], &[]));
        assert_eq!(lacking, [(A, CHANGE), (B, CHANGE)]);
        commits.handle_ack(KEY, CHANGE, CHANGE, A);
        commits.handle_ack(won, CHANGE, CHANGE, A);
        assert_eq!(commits.poll_outcome(), None);
        commits.handle_ack(won, CHANGE, CHANGE, B);
        assert_eq!(outcome(&mut commits), durable(&[A, B], &[]));
    }

    #[test]
    fn only_a_frame_that_carried_the_change_counts() {
        let mut commits = started(Durability::One, &[A]);
        commits.handle_ack(KEY, Change(1), Change(4), A);
        commits.handle_ack(KEY, Change(6), Change(9), A);
        assert_eq!(commits.poll_outcome(), None);
        commits.handle_ack(KEY, Change(5), Change(9), A);
        assert_eq!(outcome(&mut commits), durable(&[A], &[]));
    }

    #[test]
    fn each_level_wants_so_many_of_those_that_must_hold_it() {
        let all = [A, B, C, D];
        let levels = [
            (Durability::Local, [0, 0, 0, 0, 0]),
            (Durability::One, [1, 1, 1, 1, 1]),
            (Durability::Copies(0), [0, 0, 0, 0, 0]),
            (Durability::Copies(2), [2, 2, 2, 2, 2]),
            (Durability::All, [1, 1, 2, 3, 4]),
            // Of one to five members, the writer included: more than half, and never nobody else.
            (Durability::Majority, [1, 1, 1, 2, 2]),
        ];
        for (durability, wants) in levels {
            for (count, want) in wants.into_iter().enumerate() {
                let (ready, context) = (&all[..count], format!("{durability:?} of {count} others"));
                let mut commits = started(durability, ready);
                if count < want {
                    assert_eq!(outcome(&mut commits), short(&[], ready, want), "{context}");
                    continue;
                }
                for member in &ready[..want] {
                    assert_eq!(outcome(&mut commits), None, "{context}");
                    commits.handle_ack(KEY, CHANGE, CHANGE, *member);
                }
                assert_eq!(outcome(&mut commits), durable(&ready[..want], &ready[want..]), "{context}");
            }
        }
    }

    #[test]
    fn a_majority_follows_the_view() {
        let mut commits = started(Durability::Majority, &[A, B, C, D]);
        assert_eq!(ack(&mut commits, A), None);
        assert_eq!(view(&mut commits, &others(&[A, B, C], &[])), None);
        assert_eq!(view(&mut commits, &others(&[A, B], &[])), durable(&[A], &[B]));
    }

    #[test]
    fn a_joining_member_does_not_count_until_it_is_ready() {
        let mut commits = Commits::default();
        commits.start(KEY, CHANGE, Waiting::Application(Durability::One, None), others(&[B], &[A]));
        assert_eq!(ack(&mut commits, A), None);
        assert_eq!(view(&mut commits, &others(&[A, B], &[])), durable(&[A], &[B]));
    }

    #[test]
    fn a_new_ready_member_is_one_of_all() {
        let mut commits = started(Durability::All, &[A]);
        assert_eq!(commits.handle_view(|_| others(&[A, B], &[])), [(B, KEY, CHANGE)], "it must be brought there");
        assert_eq!(commits.handle_view(|_| others(&[A, B], &[])), []);
        assert_eq!(ack(&mut commits, A), None);
        assert_eq!(ack(&mut commits, B), durable(&[A, B], &[]));
    }

    #[test]
    fn too_few_left_is_said_at_once() {
        let mut commits = started(Durability::All, &[A]);
        assert_eq!(view(&mut commits, &others(&[], &[])), short(&[], &[], 1));
        let mut commits = started(Durability::Copies(2), &[A, B]);
        assert_eq!(ack(&mut commits, A), None);
        assert_eq!(view(&mut commits, &others(&[A], &[])), short(&[A], &[], 2));
        let mut commits = started(Durability::Majority, &[A, B]);
        assert_eq!(view(&mut commits, &others(&[], &[])), short(&[], &[], 1));
    }

    #[test]
    fn a_removed_member_is_taken_out_of_the_count() {
        let mut commits = started(Durability::All, &[A, B]);
        assert_eq!(ack(&mut commits, A), None);
        assert_eq!(view(&mut commits, &others(&[A], &[])), durable(&[A], &[]));
    }

    #[test]
    fn who_need_not_hold_it_does_not_count_and_what_it_said_before_is_void() {
        let mut commits = started(Durability::Copies(2), &[A, B]);
        assert_eq!(ack(&mut commits, C), None);
        assert_eq!(ack(&mut commits, A), None);
        assert_eq!(view(&mut commits, &others(&[B, C], &[])), None);
        assert_eq!(ack(&mut commits, B), None);
        assert_eq!(commits.handle_view(|_| others(&[A, B], &[])), [(A, KEY, CHANGE)], "it may have dropped its copy");
        assert_eq!(outcome(&mut commits), None);
        assert_eq!(ack(&mut commits, A), durable(&[B, A], &[]));
    }

    #[test]
    fn each_session_is_counted_by_those_that_must_hold_it() {
        let other = SessionKey([2; 16]);
        let mut commits = started(Durability::All, &[A, B]);
        commits.start(other, Change(6), Waiting::Application(Durability::All, None), others(&[A, B], &[]));
        commits.handle_ack(KEY, CHANGE, CHANGE, A);
        commits.handle_ack(other, Change(6), Change(6), A);
        let view = |key: &SessionKey| if *key == KEY { others(&[A], &[]) } else { others(&[A, C], &[]) };
        assert_eq!(commits.handle_view(view), [(C, other, Change(6))]);
        assert_eq!(outcome_of(&mut commits), Some((CommitId(5), durable(&[A], &[]))));
        assert_eq!(outcome_of(&mut commits), None);
    }

    #[test]
    fn a_deadline_ends_a_commit_and_says_who_is_late() {
        let mut commits = Commits::default();
        for (change, deadline) in [(5, Some(at(2))), (6, None), (7, Some(at(1)))] {
            let waiting = Waiting::Application(Durability::All, deadline);
            commits.start(KEY, Change(change), waiting, others(&[A, B], &[C]));
        }
        commits.handle_ack(KEY, Change(5), Change(7), A);
        assert_eq!(commits.poll_timeout(), Some(at(1)));
        commits.handle_timeout(at(1));
        let late = Outcome::NotDurable { have: vec![A], missing: vec![B], want: 2, late: true };
        assert_eq!(outcome_of(&mut commits), Some((CommitId(7), Some(late))));
        assert_eq!(commits.poll_timeout(), Some(at(2)));
        commits.handle_ack(KEY, Change(5), Change(7), B);
        assert_eq!(outcome_of(&mut commits), Some((CommitId(5), durable(&[A, B], &[]))));
        assert_eq!(outcome_of(&mut commits), Some((CommitId(6), durable(&[A, B], &[]))));
        assert_eq!(commits.poll_timeout(), None, "what has ended has no deadline");
        commits.handle_timeout(at(3));
        assert_eq!((outcome_of(&mut commits), commits.len()), (None, 0));
    }

    #[test]
    fn an_id_change_is_done_when_both_keys_are() {
        const NEW: SessionKey = SessionKey([2; 16]);
        let (old, new) = (others(&[A], &[]), others(&[A, B], &[]));
        let mut commits = Commits::default();
        commits.start_move((KEY, Change(5)), NEW, (Durability::One, None), (old.clone(), new.clone()));
        commits.handle_ack(NEW, Change(0), Change(5), B);
        assert_eq!(commits.poll_outcome(), None);
        commits.handle_ack(KEY, Change(5), Change(5), A);
        assert!(
            matches!(commits.poll_outcome(), Some((CommitId(5), Outcome::Durable(receipt))) if receipt.members == [B])
        );
        commits.start_move((KEY, Change(6)), NEW, (Durability::One, None), (old, new.clone()));
        let lacking = commits.handle_view(|key| if *key == KEY { others(&[], &[]) } else { new.clone() });
        assert!(lacking.is_empty());
        assert!(matches!(commits.poll_outcome(), Some((CommitId(6), Outcome::NotDurable { late: false, .. }))));
        assert_eq!((commits.len(), commits.in_flight.len()), (0, 0));
    }

    #[test]
    fn a_burial_waits_for_every_member_that_must_hold_it() {
        let expired: Expired = [(Stamp { clock: 1, writer: A }, 1)].into();
        let mut commits = Commits::default();
        commits.start(KEY, CHANGE, Waiting::Burial(expired.clone()), others(&[A], &[B]));
        commits.handle_ack(KEY, CHANGE, CHANGE, A);
        assert_eq!(commits.poll_burial(), None);
        commits.handle_ack(KEY, CHANGE, CHANGE, B);
        assert_eq!(commits.poll_burial(), Some((KEY, expired)));
        assert_eq!(commits.len(), 0);
    }

    fn outcome_of(commits: &mut Commits) -> Option<(CommitId, Option<Outcome>)> {
        commits.poll_outcome().map(|(id, outcome)| (id, Some(outcome)))
    }
}
