//! What a command waits for before it runs: word of every session that its keys name.
//!
//! Where not every member holds every session, others may have to be asked. A command runs once nothing is awaited any
//! more, in one step with a last look at what is here; so it runs on what is here then, or on copies that were brought for
//! it alone. A word that a session is here does not last, so after any wait it is asked for again.

use core::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};
use std::collections::BTreeMap;

use heirloom_core::{EndCause, SessionKey};
use heirloom_runtime::{FetchFailed, Found, Published};

use crate::{
    commands::{Answer, Refusal},
    replies::refusal_text,
};

/// The most keys of one command, where others may have to be asked for each.
const KEYS_MAX: usize = 4096;
/// How often sessions may be gone again while others are awaited.
const ROUNDS_MAX: usize = 8;
/// What a client hears that may try again at once, word for word as Redis begins it.
const LATE: &str = "TRYAGAIN members that may have the session have not answered in time";

/// The questions of one command. `F` is a question on its way.
#[derive(Debug)]
pub(crate) struct Fetches<F> {
    waiting: Vec<(SessionKey, F)>,
    rounds: usize,
    bytes_max: usize,
    brought: Brought,
}

/// What others have of a session: a copy, or none, and perhaps the cause of its end.
pub(crate) type Elsewhere = Result<Published, Option<EndCause>>;

/// What was brought for one command.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// Copies, and where there is none, why, if that is known. What is not named here is as it is in the store.
    others: BTreeMap<SessionKey, Elsewhere>,
    bytes: usize,
    /// Nothing was asked: what is here need not be all there is.
    is_blind: bool,
    refused: Option<Refusal>,
}

impl<F: Future<Output = Result<Found, FetchFailed>> + Unpin> Fetches<F> {
    /// Nothing is asked yet. The copies that are brought may have this many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { waiting: Vec::new(), rounds: 0, bytes_max, brought: Brought::default() }
    }

    /// Takes the answers that have come; `context` is woken when there is another. Tells whether none is awaited.
    pub(crate) fn settle(&mut self, context: &mut Context<'_>) -> bool {
        let mut waiting = mem::take(&mut self.waiting);
        waiting.retain_mut(|(key, question)| match Pin::new(question).poll(context) {
            Poll::Pending => true,
            Poll::Ready(found) => {
                self.handle_found(*key, found);
                false
            }
        });
        if self.brought.refused.is_none() {
            // One error is the reply to the whole command, and the rest of the answers is of no use.
            self.waiting = waiting;
        }
        self.waiting.is_empty()
    }

    /// Asks for whatever is not known of these sessions, once no answer is awaited. Tells whether the command can run:
    /// there is word of all of them, or it is refused.
    pub(crate) fn ask(
        &mut self,
        context: &mut Context<'_>,
        keys: impl Iterator<Item = Result<SessionKey, Refusal>>,
        mut fetch: impl FnMut(SessionKey) -> F,
    ) -> bool {
        for (at, key) in keys.enumerate() {
            match key {
                _ if self.brought.refused.is_some() => break,
                Err(refusal) => self.refuse(refusal),
                Ok(_) if KEYS_MAX <= at => self.refuse(format!("ERR the command has more than {KEYS_MAX} keys").into()),
                Ok(key) if self.brought.others.contains_key(&key) => {}
                Ok(key) => {
                    let mut question = fetch(key);
                    match Pin::new(&mut question).poll(context) {
                        Poll::Pending => self.waiting.push((key, question)),
                        Poll::Ready(found) => self.handle_found(key, found),
                    }
                }
            }
        }
        if self.waiting.is_empty() || self.brought.refused.is_some() {
            return true;
        }
        self.rounds += 1;
        if ROUNDS_MAX < self.rounds {
            self.refuse(LATE.into());
        }
        self.brought.refused.is_some()
    }

    /// Asks nothing: for a command that does not look at what there is.
    pub(crate) fn skip(&mut self) {
        self.brought.is_blind = true;
    }

    /// What the command runs on.
    pub(crate) fn into_brought(self) -> Brought {
        self.brought
    }

    fn handle_found(&mut self, key: SessionKey, found: Result<Found, FetchFailed>) {
        let brought = &mut self.brought;
        match found {
            Ok(Found::Here) => {}
            Ok(Found::Nowhere) => drop(brought.others.insert(key, Err(None))),
            Ok(Found::Ended(cause)) => drop(brought.others.insert(key, Err(Some(cause)))),
            Ok(Found::Copy(session)) => {
                brought.bytes += session.bytes();
                brought.others.insert(key, Ok(session));
                if self.bytes_max < brought.bytes {
                    self.refuse(format!("ERR the sessions have more than {} bytes", self.bytes_max).into());
                }
            }
            Err(FetchFailed::Late | FetchFailed::Stale { .. }) => self.refuse(LATE.into()),
            Err(FetchFailed::Refused(error)) => self.refuse(refusal_text(&error).into()),
            Err(FetchFailed::Gone) => self.refuse("ERR the node has stopped".into()),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.brought.refused.get_or_insert(refusal);
    }
}

impl Brought {
    /// What others have of a session, if it is not to be looked for in the store.
    pub(crate) fn get(&self, key: &SessionKey) -> Option<&Elsewhere> {
        if self.is_blind { Some(&Err(None)) } else { self.others.get(key) }
    }

    /// Refuses the command if it is to be.
    pub(crate) fn allow(&mut self) -> Answer {
        self.refused.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use core::{cell::RefCell, task::Waker};
    use std::{collections::VecDeque, rc::Rc};

    use heirloom_core::{CommitError, Config, Delta, Durability, MemberId, Node, Time};

    use super::*;

    type Answered = Result<Found, FetchFailed>;

    /// A question that the test answers.
    #[derive(Clone, Default)]
    struct Later(Rc<RefCell<Option<Answered>>>);

    impl Future for Later {
        type Output = Answered;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answered> {
            self.0.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)
        }
    }

    impl Later {
        fn answer(&self, found: Answered) {
            *self.0.borrow_mut() = Some(found);
        }
    }

    const A: SessionKey = SessionKey([1; 16]);
    const B: SessionKey = SessionKey([2; 16]);

    #[test]
    fn what_is_here_is_not_waited_for() {
        let mut fetches = Fetches::new(100);
        assert!(ask(&mut fetches, &[A, B], |_| known(Ok(Found::Here))));
        let mut brought = fetches.into_brought();
        assert!(brought.allow().is_ok());
        assert!(brought.get(&A).is_none() && brought.get(&B).is_none());
    }

    #[test]
    fn every_key_is_asked_for_at_once_and_all_are_waited_for() {
        let mut fetches = Fetches::new(100);
        let [a, b] = [Later::default(), Later::default()];
        assert!(!ask(&mut fetches, &[A, B], |key| if key == A { a.clone() } else { b.clone() }));
        b.answer(Ok(Found::Nowhere));
        assert!(!settle(&mut fetches));
        a.answer(Ok(copy()));
        assert!(settle(&mut fetches));
        assert!(ask(&mut fetches, &[A, B], |key| panic!("{key} was brought")));
        let brought = fetches.into_brought();
        assert!(matches!(brought.get(&A), Some(Ok(_))));
        assert_eq!(brought.get(&B), Some(&Err(None)));
    }

    #[test]
    fn a_word_that_a_session_is_here_is_asked_for_again_after_a_wait() {
        let mut fetches = Fetches::new(100);
        let [first, second] = [Later::default(), Later::default()];
        let mut answers = VecDeque::from([known(Ok(Found::Here)), first.clone(), second.clone()]);
        assert!(!ask(&mut fetches, &[A, B], |_| answers.pop_front().expect("two are asked for")));
        first.answer(Ok(Found::Here));
        assert!(settle(&mut fetches));
        // Meanwhile the other has moved on.
        assert!(!ask(&mut fetches, &[A, B], |key| if key == A { second.clone() } else { known(Ok(Found::Here)) }));
        second.answer(Ok(Found::Here));
        assert!(settle(&mut fetches));
        assert!(ask(&mut fetches, &[A, B], |_| known(Ok(Found::Here))));
    }

    #[test]
    fn sessions_that_are_never_all_here_are_given_up() {
        let mut fetches = Fetches::new(100);
        for _ in 0..ROUNDS_MAX {
            let later = Later::default();
            assert!(!ask(&mut fetches, &[A], |_| later.clone()));
            later.answer(Ok(Found::Here));
            assert!(settle(&mut fetches));
        }
        assert!(ask(&mut fetches, &[A], |_| Later::default()));
        assert_eq!(refused(fetches), LATE);
    }

    #[test]
    fn one_error_is_the_end_of_all_waiting() {
        let ends = [
            (FetchFailed::Late, LATE),
            (FetchFailed::Refused(CommitError::Leaving), "LOADING the node is leaving the cluster"),
            (FetchFailed::Gone, "ERR the node has stopped"),
        ];
        for (failed, text) in ends {
            let mut fetches = Fetches::new(100);
            let later = Later::default();
            assert!(!ask(&mut fetches, &[A, B], |key| if key == A { later.clone() } else { Later::default() }));
            later.answer(Err(failed));
            assert!(settle(&mut fetches));
            assert_eq!(refused(fetches), text);
        }
    }

    #[test]
    fn what_a_command_brings_is_bounded() {
        let mut fetches = Fetches::new(0);
        let many = vec![A; KEYS_MAX + 1];
        assert!(ask(&mut fetches, &many, |_| known(Ok(Found::Here))));
        assert_eq!(refused(fetches), "ERR the command has more than 4096 keys");
        let mut fetches = Fetches::new(3);
        assert!(ask(&mut fetches, &[A], |_| known(Ok(copy()))));
        assert_eq!(refused(fetches), "ERR the sessions have more than 3 bytes");
    }

    #[test]
    fn to_who_does_not_look_nothing_is_there() {
        let mut fetches: Fetches<Later> = Fetches::new(100);
        fetches.skip();
        assert_eq!(fetches.into_brought().get(&A), Some(&Err(None)));
    }

    fn ask(fetches: &mut Fetches<Later>, keys: &[SessionKey], fetch: impl FnMut(SessionKey) -> Later) -> bool {
        fetches.ask(&mut Context::from_waker(Waker::noop()), keys.iter().copied().map(Ok), fetch)
    }

    fn settle(fetches: &mut Fetches<Later>) -> bool {
        fetches.settle(&mut Context::from_waker(Waker::noop()))
    }

    /// A session of five bytes.
    fn copy() -> Found {
        let address = "127.0.0.1:4000".parse().expect("an address");
        let mut node =
            Node::new(MemberId(1), address, Config::default(), 1, Time::ZERO).expect("they are the defaults");
        node.start_alone(Time::ZERO);
        node.commit(Time::ZERO, A, Delta::new().set("name", "x"), Durability::Local).expect("it serves");
        Found::Copy(Published::new(node.session(&A).expect("it was written").clone(), None))
    }

    fn known(found: Answered) -> Later {
        let later = Later::default();
        later.answer(found);
        later
    }

    fn refused(fetches: Fetches<Later>) -> String {
        fetches.into_brought().allow().expect_err("it is refused").to_string()
    }
}
