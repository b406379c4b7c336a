//! Messages of the application, on their way to others and from them.

use bytes::Bytes;

use super::Node;
use crate::{
    io::StreamId,
    member::MemberId,
    messages::MessageError,
    wire::{FrameWriter, Kind},
};

/// So many bytes of messages go into one write at the most: what members lack of each other comes in between.
const WRITE_TARGET: usize = 64 << 10;

impl Node {
    /// Sends a message to the application of a member of the view, whatever its state.
    ///
    /// It comes at most once, in the order of sending, and not at all if the stream to the member breaks on the way or
    /// the member leaves the view: who needs more builds it on top. It goes behind what the member lacks of sessions.
    ///
    /// # Errors
    ///
    /// The message is not sent.
    pub fn send(&mut self, to: MemberId, message: impl Into<Bytes>) -> Result<(), MessageError> {
        self.messages.send(to, message.into())
    }

    /// Sends a message to the applications of all other members of the view; answers to how many. For a member to which
    /// `messages_max` messages wait already it is dropped and counted. As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The message is sent to nobody.
    pub fn send_to_all(&mut self, message: impl Into<Bytes>) -> Result<usize, MessageError> {
        let (sent, dropped) = self.messages.send_to_all(&message.into())?;
        self.stats.messages_dropped += dropped as u64;
        Ok(sent)
    }

    /// Only what comes on the current stream counts: so an older one cannot overtake.
    pub(super) fn receive_message(&mut self, stream: StreamId, peer: MemberId, body: &[u8]) {
        if self.links.is_current(stream) && self.messages.handle_message(peer, body) {
            self.stats.messages_received += 1;
        } else {
            self.stats.messages_dropped += 1;
        }
    }

    pub(super) fn write_messages(&mut self, to: MemberId, writer: &mut FrameWriter) {
        let until = writer.bytes().len() + WRITE_TARGET;
        while writer.bytes().len() < until
            && let Some(message) = self.messages.take_next(to)
        {
            writer.frame_of_bytes(Kind::Message, &message);
            self.stats.messages_sent += 1;
        }
    }
}
