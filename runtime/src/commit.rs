//! A commit in flight, as its caller holds it.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use heirloom_core::{CommitError, MemberId, Outcome, Receipt};

use crate::{
    completion::{Gone, Waiter},
    engine::Committed,
};

/// A commit whose outcome is awaited: on a thread by [`Commit::wait`], in a task by `.await`.
///
/// There is exactly one result. Dropping this changes nothing but that nobody hears of it: the commit goes on.
/// Do not block on it in the thread that runs the driver: nobody would bring the result.
#[derive(Debug)]
#[must_use = "a commit is durable only when its result says so"]
pub struct Commit {
    waiter: Waiter<Committed>,
}

impl Commit {
    pub(crate) fn new(waiter: Waiter<Committed>) -> Self {
        Self { waiter }
    }

    /// Blocks until the result is there.
    ///
    /// # Errors
    ///
    /// Why the commit is not durable.
    ///
    /// # Panics
    ///
    /// If the result has been taken already.
    pub fn wait(mut self) -> Result<Receipt, CommitFailed> {
        result(self.waiter.wait())
    }

    /// Blocks until the result is there, or gives up waiting after this long; the commit goes on.
    ///
    /// # Errors
    ///
    /// Inside, why the commit is not durable.
    ///
    /// # Panics
    ///
    /// If the result has been taken already.
    pub fn wait_for(&mut self, length: Duration) -> Option<Result<Receipt, CommitFailed>> {
        self.waiter.wait_for(length).map(result)
    }

    /// The result if it is there.
    ///
    /// # Errors
    ///
    /// Inside, why the commit is not durable.
    ///
    /// # Panics
    ///
    /// If the result has been taken already.
    pub fn try_now(&mut self) -> Option<Result<Receipt, CommitFailed>> {
        self.waiter.try_now().map(result)
    }
}

impl Future for Commit {
    type Output = Result<Receipt, CommitFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.waiter.poll(context.waker()).map(result)
    }
}

/// Why a commit is not durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitFailed {
    /// It was refused, and nothing has changed.
    #[error(transparent)]
    Refused(#[from] CommitError),
    /// Too few members are left that could apply it, or the time is over. The change itself stays.
    #[error("{} other members have it, not {want}{}", have.len(), if *late { ", and the time is over" } else { "" })]
    NotDurable {
        /// Those that have applied it, besides this one.
        have: Vec<MemberId>,
        /// The ready members that must hold it too and have not acknowledged it.
        missing: Vec<MemberId>,
        /// How many were asked for, besides this one.
        want: usize,
        /// Its time was over: the missing ones may still apply it.
        late: bool,
    },
    /// The driver has stopped. Whether anyone has the change is not known.
    #[error("the node has stopped")]
    Gone,
}

fn result(committed: Result<Committed, Gone>) -> Result<Receipt, CommitFailed> {
    match committed {
        Ok(Ok(Outcome::Durable(receipt))) => Ok(receipt),
        Ok(Ok(Outcome::NotDurable { have, missing, want, late })) => {
            Err(CommitFailed::NotDurable { have, missing, want, late })
        }
        Ok(Err(error)) => Err(CommitFailed::Refused(error)),
        Err(Gone) => Err(CommitFailed::Gone),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::completion::completion;

    #[test]
    fn every_way_to_end_has_its_result() {
        let [id, other] = [MemberId(3), MemberId(4)];
        let (have, missing, want, late) = (vec![id], vec![other], 2, true);
        let receipt = Receipt { members: have.clone(), missing: missing.clone() };
        let ends = [
            (Ok(Outcome::Durable(receipt.clone())), Ok(receipt)),
            (
                Ok(Outcome::NotDurable { have: have.clone(), missing: missing.clone(), want, late }),
                Err(CommitFailed::NotDurable { have, missing, want, late }),
            ),
            (Err(CommitError::Leaving), Err(CommitFailed::Refused(CommitError::Leaving))),
        ];
        for (committed, wanted) in ends {
            let (completer, waiter) = completion();
            completer.complete(committed);
            assert_eq!(Commit::new(waiter).wait(), wanted);
        }
        let (completer, waiter) = completion();
        drop(completer);
        assert_eq!(Commit::new(waiter).wait(), Err(CommitFailed::Gone));
    }
}
