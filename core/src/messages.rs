//! Messages of the application: what waits to be sent to each member, and what has come and waits to be read.
//!
//! They go to members of the view, at most once and in order. Nothing of the replication waits for them: each member has
//! a queue of its own, and a full one refuses or drops.

use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::{config::Config, member::MemberId};

/// A message of the application of another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub from: MemberId,
    /// What it says.
    pub bytes: Bytes,
}

/// A message that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The member is not in the view of this one.
    #[error("the member is not in the view")]
    NotInView,
    /// It is longer than `message_bytes_max`.
    #[error("the message has {bytes} bytes, more than message_bytes_max ({max})")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// `messages_max` messages to that member wait already.
    #[error("messages_max ({max}) messages to the member wait already")]
    QueueFull {
        /// The limit.
        max: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Messages {
    messages_max: usize,
    bytes_max: usize,
    /// What waits for room on the stream to each member of the view.
    outbound: BTreeMap<MemberId, VecDeque<Bytes>>,
    inbound: VecDeque<Message>,
}

impl Messages {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            messages_max: config.messages_max,
            bytes_max: config.message_bytes_max,
            outbound: BTreeMap::new(),
            inbound: VecDeque::new(),
        }
    }

    /// A member is in the view.
    pub(crate) fn handle_added(&mut self, member: MemberId) {
        self.outbound.entry(member).or_default();
    }

    /// A member is no longer in the view; tells how many messages to it are lost.
    pub(crate) fn handle_removed(&mut self, member: MemberId) -> usize {
        self.outbound.remove(&member).map_or(0, |queue| queue.len())
    }

    /// This member has left.
    pub(crate) fn clear(&mut self) {
        self.outbound.clear();
    }

    pub(crate) fn send(&mut self, to: MemberId, bytes: Bytes) -> Result<(), MessageError> {
        self.check_length(&bytes)?;
        let queue = self.outbound.get_mut(&to).ok_or(MessageError::NotInView)?;
        if self.messages_max <= queue.len() {
            return Err(MessageError::QueueFull { max: self.messages_max });
        }
        queue.push_back(bytes);
        Ok(())
    }

    /// Sends to every member of the view; tells to how many, and to how many it was dropped because their queues are full.
    pub(crate) fn send_to_all(&mut self, bytes: &Bytes) -> Result<(usize, usize), MessageError> {
        self.check_length(bytes)?;
        let mut sent = 0;
        for queue in self.outbound.values_mut().filter(|queue| queue.len() < self.messages_max) {
            queue.push_back(bytes.clone());
            sent += 1;
        }
        Ok((sent, self.outbound.len() - sent))
    }

    /// Whether anything waits for room on the stream to a member.
    pub(crate) fn waits(&self, to: MemberId) -> bool {
        self.outbound.get(&to).is_some_and(|queue| !queue.is_empty())
    }

    /// The next message to a member.
    pub(crate) fn take_next(&mut self, to: MemberId) -> Option<Bytes> {
        self.outbound.get_mut(&to)?.pop_front()
    }

    /// A message has come; tells whether it is kept for the reader.
    pub(crate) fn handle_message(&mut self, from: MemberId, body: &[u8]) -> bool {
        let keeps =
            self.inbound.len() < self.messages_max && body.len() <= self.bytes_max && self.outbound.contains_key(&from);
        if keeps {
            self.inbound.push_back(Message { from, bytes: Bytes::copy_from_slice(body) });
        }
        keeps
    }

    pub(crate) fn poll_message(&mut self) -> Option<Message> {
        self.inbound.pop_front()
    }

    fn check_length(&self, bytes: &Bytes) -> Result<(), MessageError> {
        if self.bytes_max < bytes.len() {
            return Err(MessageError::TooLarge { bytes: bytes.len(), max: self.bytes_max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn messages() -> Messages {
        let mut messages = Messages::new(&Config { messages_max: 2, message_bytes_max: 4, ..Config::default() });
        messages.handle_added(A);
        messages
    }

    #[test]
    fn messages_to_a_member_keep_their_order() {
        let mut messages = messages();
        assert_eq!(messages.send(A, "1".into()), Ok(()));
        assert_eq!(messages.send_to_all(&"2".into()), Ok((1, 0)));
        assert_eq!(messages.take_next(A).as_deref(), Some(&b"1"[..]));
        assert_eq!(messages.take_next(A).as_deref(), Some(&b"2"[..]));
        assert_eq!(messages.take_next(A), None);
    }

    #[test]
    fn who_is_not_in_the_view_gets_nothing() {
        let mut messages = messages();
        assert_eq!(messages.send(B, "1".into()), Err(MessageError::NotInView));
        messages.handle_added(B);
        assert_eq!(messages.send(B, "1".into()), Ok(()));
        assert_eq!(messages.handle_removed(B), 1);
        assert_eq!(messages.take_next(B), None);
        assert_eq!(messages.send(B, "2".into()), Err(MessageError::NotInView));
    }

    /// P7: a member that takes nothing costs its own queue and nobody else's messages.
    #[test]
    fn a_full_queue_refuses_one_message_and_drops_one_to_all() {
        let mut messages = messages();
        messages.handle_added(B);
        assert_eq!(messages.send(A, "1".into()), Ok(()));
        assert_eq!(messages.send(A, "2".into()), Ok(()));
        assert_eq!(messages.send(A, "3".into()), Err(MessageError::QueueFull { max: 2 }));
        assert_eq!(messages.send_to_all(&"4".into()), Ok((1, 1)));
        assert_eq!(messages.take_next(B).as_deref(), Some(&b"4"[..]));
        assert_eq!(messages.send(A, "too long".into()), Err(MessageError::TooLarge { bytes: 8, max: 4 }));
        assert_eq!(messages.send_to_all(&"too long".into()), Err(MessageError::TooLarge { bytes: 8, max: 4 }));
    }

    /// P7: what is not read has a bound.
    #[test]
    fn what_comes_is_kept_up_to_a_bound() {
        let mut messages = messages();
        assert!(messages.handle_message(A, b"1"));
        assert!(!messages.handle_message(A, b"too long"));
        assert!(!messages.handle_message(B, b"2"));
        assert!(messages.handle_message(A, b"2"));
        assert!(!messages.handle_message(A, b"3"));
        assert_eq!(messages.poll_message(), Some(Message { from: A, bytes: "1".into() }));
        assert!(messages.handle_message(A, b"4"));
        assert_eq!(messages.poll_message(), Some(Message { from: A, bytes: "2".into() }));
        assert_eq!(messages.poll_message(), Some(Message { from: A, bytes: "4".into() }));
        assert_eq!(messages.poll_message(), None);
    }
}
