//! When a commit is durable, or cannot be any more.
//!
//! A commit is known by the session it changed and the number of its change. An acknowledgement counts for it only when
//! the acknowledged frame carried that change (P2): frames say which changes of which session they carried, and no
//! comparison of change numbers alone takes the place of that.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use crate::{
    delta::{CommitId, Durability, Outcome, Receipt},
    key::SessionKey,
    member::MemberId,
    session::Change,
    stamp::Stamp,
};

/// Who waits for a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The application, for as much as it asked.
    Application(Durability),
    /// The end of an expiry: once every member has applied it, what was born up to here is dead for good.
    Burial(Stamp),
}

/// A burial that may take place.
pub(crate) type Burial = (SessionKey, Stamp);

#[derive(Clone, Debug, Default)]
pub(crate) struct Commits {
    in_flight: BTreeMap<(SessionKey, Change), Commit>,
    outcomes: VecDeque<(CommitId, Outcome)>,
    burials: VecDeque<Burial>,
    application: usize,
}

#[derive(Clone, Debug)]
struct Commit {
    waiting: Waiting,
    /// Who has applied it.
    have: Vec<MemberId>,
}

/// The other members of the view: all, and those that are ready.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    pub(crate) all: BTreeSet<MemberId>,
    pub(crate) ready: BTreeSet<MemberId>,
}

impl Commits {
    pub(crate) fn start(&mut self, key: SessionKey, change: Change, waiting: Waiting, others: &Others) {
        let before = self.in_flight.insert((key, change), Commit { waiting, have: Vec::new() });
        assert!(before.is_none(), "a change has one commit");
        self.application += usize::from(matches!(waiting, Waiting::Application(_)));
        self.judge((key, change), others);
    }

    /// A member has applied the changes of a session from `from` to `to`.
    pub(crate) fn handle_ack(&mut self, key: SessionKey, from: Change, to: Change, member: MemberId, others: &Others) {
        let mut touched = Vec::new();
        for (id, commit) in self.in_flight.range_mut((key, from)..=(key, to)) {
            if !commit.have.contains(&member) {
                commit.have.push(member);
                touched.push(*id);
            }
        }
        for id in touched {
            self.judge(id, others);
        }
    }

    /// The view has changed: every commit in flight is counted again.
    pub(crate) fn handle_view(&mut self, others: &Others) {
        let all: Vec<_> = self.in_flight.keys().copied().collect();
        for id in all {
            self.judge(id, others);
        }
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<(CommitId, Outcome)> {
        self.outcomes.pop_front()
    }

    pub(crate) fn poll_burial(&mut self) -> Option<Burial> {
        self.burials.pop_front()
    }

    /// Commits of the application in flight, and outcomes that it has not fetched.
    pub(crate) fn len(&self) -> usize {
        self.application + self.outcomes.len()
    }

    fn judge(&mut self, id: (SessionKey, Change), others: &Others) {
        let Some(commit) = self.in_flight.get_mut(&id) else { return };
        let outcome = match commit.waiting {
            Waiting::Application(durability) => {
                commit.have.retain(|member| others.all.contains(member));
                let counted = commit.have.iter().filter(|member| others.ready.contains(member));
                let members: Vec<_> = counted.copied().collect();
                // Nothing becomes durable because nobody is left to ask.
                let want = match durability {
                    Durability::Local => 0,
                    Durability::One => 1,
                    Durability::All => others.ready.len().max(1),
                };
                if want <= members.len() {
                    Some(Outcome::Durable(Receipt { members }))
                } else if others.ready.len() < want {
                    Some(Outcome::NotDurable { have: members, want })
                } else {
                    None
                }
            }
            Waiting::Burial(at) => {
                if others.all.iter().all(|member| commit.have.contains(member)) {
                    self.in_flight.remove(&id);
                    self.burials.push_back((id.0, at));
                }
                return;
            }
        };
        if let Some(outcome) = outcome {
            self.in_flight.remove(&id);
            self.application -= 1;
            self.outcomes.push_back((CommitId(id.1.0), outcome));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SessionKey = SessionKey([1; 16]);
    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn others(ready: &[MemberId], joining: &[MemberId]) -> Others {
        Others { all: ready.iter().chain(joining).copied().collect(), ready: ready.iter().copied().collect() }
    }

    fn durable(members: &[MemberId]) -> Option<(CommitId, Outcome)> {
        Some((CommitId(5), Outcome::Durable(Receipt { members: members.to_vec() })))
    }

    fn started(durability: Durability, others: &Others) -> Commits {
        let mut commits = Commits::default();
        commits.start(KEY, Change(5), Waiting::Application(durability), others);
        commits
    }

    #[test]
    fn only_a_frame_that_carried_the_change_counts() {
        let others = others(&[A], &[]);
        let mut commits = started(Durability::One, &others);
        commits.handle_ack(KEY, Change(1), Change(4), A, &others);
        commits.handle_ack(KEY, Change(6), Change(9), A, &others);
        assert_eq!(commits.poll_outcome(), None);
        commits.handle_ack(KEY, Change(5), Change(9), A, &others);
        assert_eq!(commits.poll_outcome(), durable(&[A]));
    }

    #[test]
    fn a_joining_member_does_not_count_until_it_is_ready() {
        let joining = others(&[B], &[A]);
        let mut commits = started(Durability::One, &joining);
        commits.handle_ack(KEY, Change(5), Change(5), A, &joining);
        assert_eq!(commits.poll_outcome(), None);
        commits.handle_view(&others(&[A, B], &[]));
        assert_eq!(commits.poll_outcome(), durable(&[A]));
    }

    #[test]
    fn too_few_left_is_said_at_once() {
        let mut commits = started(Durability::All, &others(&[A], &[]));
        commits.handle_view(&others(&[], &[]));
        let outcome = Outcome::NotDurable { have: Vec::new(), want: 1 };
        assert_eq!(commits.poll_outcome(), Some((CommitId(5), outcome)));
        assert_eq!(commits.len(), 0);
    }

    #[test]
    fn a_removed_member_is_taken_out_of_the_count() {
        let both = others(&[A, B], &[]);
        let mut commits = started(Durability::All, &both);
        commits.handle_ack(KEY, Change(5), Change(5), A, &both);
        assert_eq!(commits.poll_outcome(), None);
        commits.handle_view(&others(&[A], &[]));
        assert_eq!(commits.poll_outcome(), durable(&[A]));
    }

    #[test]
    fn a_burial_waits_for_every_member() {
        let both = others(&[A], &[B]);
        let at = Stamp { clock: 1, writer: A };
        let mut commits = Commits::default();
        commits.start(KEY, Change(5), Waiting::Burial(at), &both);
        commits.handle_ack(KEY, Change(5), Change(5), A, &both);
        assert_eq!(commits.poll_burial(), None);
        commits.handle_ack(KEY, Change(5), Change(5), B, &both);
        assert_eq!(commits.poll_burial(), Some((KEY, at)));
    }
}
