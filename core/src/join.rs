//! When a joiner has received everything, and when a member has fed a joiner everything.
//!
//! A joiner is fed by all members at once (P5). It asks each for word in a numbered *round*; a member says `Done` when
//! the joiner has acknowledged all that this member had for it. A round is full when everybody that any of them sees has
//! said so or is dead and settled by all. Only after a full round does everyone know the joiner, so it takes two. A death
//! voids what was said before.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{member::MemberId, planted::Bug};

/// The joiner's side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    round: u64,
    running: bool,
    full: u32,
    done: BTreeMap<MemberId, Done>,
}

#[derive(Clone, Debug)]
struct Done {
    view: Vec<MemberId>,
    settled: Vec<MemberId>,
}

/// What the joiner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    /// Everybody is to be asked in a new round.
    Ask,
    /// It holds everything.
    Complete,
}

const ROUNDS: u32 = 2;

impl Rounds {
    /// There is a ready member, so there is something to receive; tells whether that is news.
    pub(crate) fn start(&mut self) -> bool {
        let news = !self.running;
        if news {
            self.restart();
            self.running = true;
        }
        news
    }

    /// A death voids what was said before. Tells whether everybody is to be asked again.
    pub(crate) fn handle_removed(&mut self, ready_left: bool) -> bool {
        let running = self.running;
        self.restart();
        self.running = running && ready_left;
        self.running
    }

    pub(crate) fn handle_done(&mut self, from: MemberId, round: u64, view: Vec<MemberId>, settled: Vec<MemberId>) {
        if self.running && round == self.round {
            self.done.insert(from, Done { view, settled });
        }
    }

    /// A member has forgotten this joiner and come back: what it said before is void. Tells whether it is to be asked.
    pub(crate) fn handle_forgotten(&mut self, member: MemberId) -> bool {
        self.done.remove(&member);
        self.running
    }

    pub(crate) fn poll(&mut self, me: MemberId, view: &BTreeSet<MemberId>) -> Progress {
        if !self.running || self.done.is_empty() {
            return Progress::Waiting;
        }
        if Bug::FirstDone.is_planted() {
            return Progress::Complete;
        }
        let settled = |member: &MemberId| self.done.values().all(|done| done.settled.contains(member));
        let mut seen_by_others = self.done.values().flat_map(|done| &done.view);
        // Whom this joiner sees is alive, whatever others have settled.
        if !view.iter().all(|member| self.done.contains_key(member))
            || !seen_by_others.all(|member| *member == me || self.done.contains_key(member) || settled(member))
        {
            return Progress::Waiting;
        }
        self.full += 1;
        if self.full == ROUNDS {
            return Progress::Complete;
        }
        self.round += 1;
        self.done.clear();
        Progress::Ask
    }

    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    fn restart(&mut self) {
        self.round += 1;
        self.full = 0;
        self.done.clear();
    }
}

/// The other side: which joiners wait for word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joiners {
    asked: BTreeMap<MemberId, Asked>,
}

#[derive(Clone, Debug)]
struct Asked {
    round: u64,
    answered: bool,
    /// What was last said, as it was then: what has fallen to this node since is not fed yet.
    said: Option<Said>,
}

/// Word that a joiner has everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// In which round.
    pub(crate) round: u64,
    /// Who has to say so too: the view, and the dead of whose sessions something may still fall to this node. Where others
    /// list one of these, it says so itself; else this node has everything of it in the end, and says so again.
    pub(crate) view: Vec<MemberId>,
    /// The dead of whose sessions it has everything.
    pub(crate) settled: Vec<MemberId>,
}

impl Joiners {
    pub(crate) fn handle_round(&mut self, from: MemberId, round: u64) {
        self.asked.insert(from, Asked { round, answered: false, said: None });
    }

    /// A joiner is ready or gone.
    pub(crate) fn handle_over(&mut self, member: MemberId) {
        self.asked.remove(&member);
    }

    /// A death voids what was said before, and when all that the dead have left is taken more can be said.
    pub(crate) fn say_again(&mut self) {
        self.asked.values_mut().for_each(|asked| asked.answered = false);
    }

    /// A joiner that waits for word and has everything.
    pub(crate) fn waiting(&self, has_everything: impl Fn(MemberId) -> bool) -> Option<MemberId> {
        let waits = self.asked.iter().find(|(member, asked)| !asked.answered && has_everything(**member));
        waits.map(|(member, _)| *member)
    }

    /// The joiner is told so.
    pub(crate) fn say_done(&mut self, member: MemberId, view: Vec<MemberId>, settled: Vec<MemberId>) {
        if let Some(asked) = self.asked.get_mut(&member) {
            asked.said = Some(Said { round: asked.round, view, settled });
            asked.answered = true;
        }
    }

    /// What a joiner is told.
    pub(crate) fn said(&self, member: MemberId) -> Option<Said> {
        self.asked.get(&member).and_then(|asked| asked.said.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MemberId = MemberId(1);
    const A: MemberId = MemberId(2);
    const B: MemberId = MemberId(3);

    #[test]
    fn it_takes_two_full_rounds_of_everybody_that_anybody_sees() {
        let (mut rounds, view) = (Rounds::default(), [A].into());
        assert!(rounds.start());
        rounds.handle_done(A, 1, alloc::vec![B, ME], Vec::new());
        assert_eq!(rounds.poll(ME, &view), Progress::Waiting);
        rounds.handle_done(B, 1, alloc::vec![A, ME], Vec::new());
        assert_eq!(rounds.poll(ME, &view), Progress::Ask);
        rounds.handle_done(A, 1, Vec::new(), Vec::new());
        assert_eq!(rounds.poll(ME, &view), Progress::Waiting);
        rounds.handle_done(A, 2, Vec::new(), alloc::vec![B]);
        assert_eq!(rounds.poll(ME, &view), Progress::Complete);
    }

    #[test]
    fn who_is_dead_for_another_but_seen_here_must_say_so_too() {
        let (mut rounds, view) = (Rounds::default(), [A, B].into());
        rounds.start();
        rounds.handle_done(A, 1, alloc::vec![ME], alloc::vec![B]);
        assert_eq!(rounds.poll(ME, &view), Progress::Waiting);
        rounds.handle_done(B, 1, alloc::vec![A, ME], Vec::new());
        assert_eq!(rounds.poll(ME, &view), Progress::Ask);
    }

    #[test]
    fn a_death_voids_what_was_said() {
        let (mut rounds, view) = (Rounds::default(), [A].into());
        rounds.start();
        rounds.handle_done(A, 1, Vec::new(), Vec::new());
        assert_eq!(rounds.poll(ME, &view), Progress::Ask);
        assert!(rounds.handle_removed(true));
        rounds.handle_done(A, 3, Vec::new(), Vec::new());
        assert_eq!(rounds.poll(ME, &view), Progress::Ask);
    }

    #[test]
    fn a_joiner_is_told_once_and_again_after_a_death() {
        let mut joiners = Joiners::default();
        joiners.handle_round(A, 7);
        assert_eq!(joiners.waiting(|_| false), None);
        assert_eq!(joiners.waiting(|_| true), Some(A));
        joiners.say_done(A, alloc::vec![A, B], Vec::new());
        assert_eq!(joiners.waiting(|_| true), None);
        joiners.say_again();
        assert_eq!(joiners.waiting(|_| true), Some(A));
        assert_eq!(joiners.said(A), Some(Said { round: 7, view: alloc::vec![A, B], settled: Vec::new() }));
    }
}
