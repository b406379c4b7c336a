//! A question to other members for a session that need not be here, as its caller holds it.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use heirloom_core::{CommitError, EndCause, Fetched, SessionVersion};

use crate::{
    completion::{Gone, Waiter},
    published::Published,
};

/// A fetch whose answer is awaited: on a thread by [`Fetching::wait`], in a task by `.await`.
///
/// There is exactly one answer, and mostly it is there at once. Dropping this changes nothing but that nobody hears it.
/// Do not block on it in the thread that runs the driver: nobody would bring the answer.
#[derive(Debug)]
#[must_use = "a session may be looked at or changed once the answer says so"]
pub struct Fetching(State);

#[derive(Debug)]
enum State {
    Known(Option<Answer>),
    Asked(Waiter<Fetched>),
}

type Answer = Result<Found, FetchFailed>;

/// What there is of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// What this member holds, or that it holds nothing, is all there is: read it, or commit.
    Here,
    /// Another holds it. This is a copy to look at, which is not kept here.
    Copy(Published),
    /// Those that must hold it know that it has ended. A commit creates it again.
    Ended(EndCause),
    /// No member of the view has it. A commit creates it.
    Nowhere,
}

/// Why it is not known what there is of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFailed {
    /// The node does not serve.
    #[error(transparent)]
    Refused(#[from] CommitError),
    /// Members that may have it have not answered in time.
    #[error("members that may have the session have not answered in time")]
    Late,
    /// Nobody has all of the version that was asked for.
    #[error("no member of the view has heard of all that was seen before")]
    Stale {
        /// What there is, if anything.
        have: Option<SessionVersion>,
        /// What was asked for.
        want: SessionVersion,
    },
    /// The driver has stopped.
    #[error("the node has stopped")]
    Gone,
}

impl Fetching {
    pub(crate) fn known(answer: Answer) -> Self {
        Self(State::Known(Some(answer)))
    }

    pub(crate) fn asked(waiter: Waiter<Fetched>) -> Self {
        Self(State::Asked(waiter))
    }

    /// Blocks until the answer is there.
    ///
    /// # Errors
    ///
    /// Why it is not known what there is.
    ///
    /// # Panics
    ///
    /// If the answer has been taken already.
    pub fn wait(self) -> Result<Found, FetchFailed> {
        match self.0 {
            State::Known(answer) => answer.expect(ONCE),
            State::Asked(mut waiter) => result(waiter.wait()),
        }
    }

    /// Blocks until the answer is there, or gives up waiting after this long.
    ///
    /// # Errors
    ///
    /// Inside, why it is not known what there is.
    ///
    /// # Panics
    ///
    /// If the answer has been taken already.
    pub fn wait_for(&mut self, length: Duration) -> Option<Result<Found, FetchFailed>> {
        match &mut self.0 {
            State::Known(answer) => Some(answer.take().expect(ONCE)),
            State::Asked(waiter) => waiter.wait_for(length).map(result),
        }
    }

    /// The answer if it is there.
    ///
    /// # Errors
    ///
    /// Inside, why it is not known what there is.
    ///
    /// # Panics
    ///
    /// If the answer has been taken already.
    pub fn try_now(&mut self) -> Option<Result<Found, FetchFailed>> {
        match &mut self.0 {
            State::Known(answer) => Some(answer.take().expect(ONCE)),
            State::Asked(waiter) => waiter.try_now().map(result),
        }
    }
}

impl Future for Fetching {
    type Output = Result<Found, FetchFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Known(answer) => Poll::Ready(answer.take().expect(ONCE)),
            State::Asked(waiter) => waiter.poll(context.waker()).map(result),
        }
    }
}

const ONCE: &str = "there is one answer, and it is taken once";

fn result(fetched: Result<Fetched, Gone>) -> Answer {
    match fetched {
        Ok(Fetched::Here) => Ok(Found::Here),
        Ok(Fetched::Copy(session, deadline)) => Ok(match session.ended() {
            None => Found::Copy(Published::new(session, deadline)),
            Some(cause) => Found::Ended(cause),
        }),
        Ok(Fetched::Unknown) => Ok(Found::Nowhere),
        Ok(Fetched::Late) => Err(FetchFailed::Late),
        Ok(Fetched::Stale { have, want }) => Err(FetchFailed::Stale { have, want }),
        Err(Gone) => Err(FetchFailed::Gone),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::Arc;

    use heirloom_core::{Config, Delta, Durability, MemberId, Node, Session, SessionKey, Time};

    use super::*;
    use crate::completion::completion;

    #[test]
    fn every_answer_comes_once_whether_it_was_known_or_asked_for() {
        let deadline = Some(Time::from_nanos(7));
        let [live, ended] = sessions();
        let (have, want) = (None, live.version());
        let answers = [
            (Fetched::Here, Ok(Found::Here)),
            (Fetched::Copy(live.clone(), deadline), Ok(Found::Copy(Published::new(live, deadline)))),
            (Fetched::Copy(ended, None), Ok(Found::Ended(EndCause::Ended))),
            (Fetched::Unknown, Ok(Found::Nowhere)),
            (Fetched::Late, Err(FetchFailed::Late)),
            (Fetched::Stale { have: have.clone(), want: want.clone() }, Err(FetchFailed::Stale { have, want })),
        ];
        for (fetched, wanted) in answers {
            let (completer, waiter) = completion();
            let mut fetching = Fetching::asked(waiter);
            assert_eq!(fetching.try_now(), None);
            completer.complete(fetched);
            assert_eq!(fetching.wait(), wanted);
            assert_eq!(Fetching::known(wanted.clone()).try_now(), Some(wanted));
        }
        let (completer, waiter) = completion();
        drop(completer);
        assert_eq!(Fetching::asked(waiter).wait(), Err(FetchFailed::Gone));
    }

    /// One that lives, and one that was ended.
    fn sessions() -> [Arc<Session>; 2] {
        let (key, address) = (SessionKey([7; 16]), "127.0.0.1:4000".parse().unwrap());
        let mut node = Node::new(MemberId(1), address, Config::default(), 1, Time::ZERO).unwrap();
        node.start_alone(Time::ZERO);
        [Delta::new().set("a", "b"), Delta::end()].map(|delta| {
            node.commit(Time::ZERO, key, delta, Durability::Local).unwrap();
            let (_, session) = node.records().next().unwrap();
            session.clone()
        })
    }
}
