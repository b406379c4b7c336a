//! Questions to the node for sessions that others may have.

use heirloom_core::{AtLeast, Fetch, FetchId, Purpose, SessionKey, SessionVersion, Time};

use super::Engine;
use crate::{
    completion::completion,
    fetch::{FetchFailed, Fetching, Found},
    published::Published,
};

/// What was asked of the node.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) fetching: Fetching,
    /// The driver has to come and send the question.
    pub(crate) wake_driver: bool,
}

impl Asked {
    fn known(answer: Result<Found, FetchFailed>) -> Self {
        Self { fetching: Fetching::known(answer), wake_driver: false }
    }
}

impl Engine {
    /// Asks the node for a session.
    pub(crate) fn fetch(&mut self, now: Time, key: SessionKey, purpose: Purpose) -> Asked {
        match self.node.fetch(now, key, purpose) {
            Ok(Fetch::Here) => Asked::known(Ok(Found::Here)),
            Ok(Fetch::Asked(fetch)) => self.await_answer(fetch),
            Err(error) => Asked::known(Err(error.into())),
        }
    }

    /// Asks the node for a session that is not older than that.
    pub(crate) fn session_at_least(&mut self, now: Time, key: &SessionKey, floor: &SessionVersion) -> Asked {
        match self.node.session_at_least(now, key, floor) {
            Ok(AtLeast::Here(session)) => {
                Asked::known(Ok(Found::Copy(Published::new(session, self.node.deadline(key)))))
            }
            Ok(AtLeast::Ended(cause)) => Asked::known(Ok(Found::Ended(cause))),
            Ok(AtLeast::Asked(fetch)) => self.await_answer(fetch),
            Ok(AtLeast::Stale { have, want }) => Asked::known(Err(FetchFailed::Stale { have, want })),
            Err(error) => Asked::known(Err(error.into())),
        }
    }

    fn await_answer(&mut self, fetch: FetchId) -> Asked {
        let (completer, waiter) = completion();
        let before = self.fetches.insert(fetch, completer);
        assert!(before.is_none(), "a fetch has a number of its own");
        Asked { fetching: Fetching::asked(waiter), wake_driver: !self.corked }
    }
}
