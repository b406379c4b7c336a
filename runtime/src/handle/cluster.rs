//! What concerns the cluster and no session: the shared map, and messages to other applications.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use heirloom_core::{CommitError, Demand, MemberId, MessageError, PayloadTooLong};

use super::Handle;
use crate::{commit::Commit, completion::completion, engine::Command, events::NextMessage, mailbox::Untaken};

impl Handle {
    /// What the shared map has under a name. It is read as sessions are: with no message to the driver, and what this
    /// member has set is there once the call or, if another held the lock, the commit has ended.
    pub fn map_get(&self, name: &[u8]) -> Option<Bytes> {
        self.shared().table.map.get(name)
    }

    /// The whole shared map as it is now. It is not copied; what changes later is not seen in it.
    pub fn map(&self) -> Arc<BTreeMap<Bytes, Bytes>> {
        self.shared().table.map.all()
    }

    /// Sets a name of the shared map, which every member holds, however sessions are copied; durable as a commit is.
    /// Others hear of it by [`Event::MapChanged`](heirloom_core::Event::MapChanged).
    pub fn map_set(&self, name: impl Into<Bytes>, value: impl Into<Bytes>, demand: impl Into<Demand>) -> Commit {
        let (completer, waiter) = completion();
        let (name, value, demand) = (name.into(), value.into(), demand.into());
        self.pass_map(Command::MapSet { name, value, demand, completer });
        Commit::new(waiter)
    }

    /// Removes a name of the shared map. It is refused with [`CommitError::NoEntry`] if there is none.
    pub fn map_remove(&self, name: impl Into<Bytes>, demand: impl Into<Demand>) -> Commit {
        let (completer, waiter) = completion();
        self.pass_map(Command::MapRemove { name: name.into(), demand: demand.into(), completer });
        Commit::new(waiter)
    }

    /// Sends a message to the application of a member of the view. It comes at most once, in the order of sending, and not
    /// at all if the stream to the member breaks on the way or the member leaves.
    ///
    /// # Errors
    ///
    /// The message is not sent.
    pub fn send(&self, to: MemberId, message: impl Into<Bytes>) -> Result<(), SendFailed> {
        self.pass_message(Some(to), message.into()).map(|_| ())
    }

    /// Sends a message to the applications of all other members of the view; answers to how many. For a member to which
    /// `messages_max` messages wait already it is dropped and counted. As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The message is sent to nobody.
    pub fn send_to_all(&self, message: impl Into<Bytes>) -> Result<usize, SendFailed> {
        self.pass_message(None, message.into())
    }

    /// The next message of the application of another member. All handles share one stream of messages.
    pub fn next_message(&self) -> NextMessage {
        NextMessage::new(self.clone())
    }

    /// Lets the others know this of the member: they see it in [`Member::payload`](heirloom_core::Member::payload), and hear of
    /// a change by [`Event::MemberPayload`](heirloom_core::Event::MemberPayload).
    ///
    /// # Errors
    ///
    /// It is too long; the one before stays.
    pub fn set_payload(&self, payload: impl Into<Bytes>) -> Result<(), PayloadTooLong> {
        let (shared, payload) = (self.shared(), payload.into());
        let set = shared.look_at_engine(|engine| engine.node.set_payload(self.now(), payload));
        shared.poller.notify();
        // Nobody is told anything by a node that has stopped.
        set.unwrap_or(Ok(()))
    }

    fn pass_map(&self, command: Command) {
        let shared = self.shared();
        if let Err(Untaken::Full(Command::MapSet { completer, .. } | Command::MapRemove { completer, .. })) =
            shared.pass(command)
        {
            completer.complete(Err(CommitError::TooManyCommits { max: shared.commits_max }));
        }
    }

    fn pass_message(&self, to: Option<MemberId>, message: Bytes) -> Result<usize, SendFailed> {
        let sent = self.shared().look_at_engine(|engine| engine.send(to, message));
        let (sent, wake_driver) = sent.ok_or(SendFailed::Gone)??;
        if wake_driver {
            self.shared().poller.notify();
        }
        Ok(sent)
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailed {
    /// The node does not take it.
    #[error(transparent)]
    Refused(#[from] MessageError),
    /// The driver has stopped.
    #[error("the node has stopped")]
    Gone,
}
