//! Messages of the application: what was sent by whom to whom, and what has come. They come at most once, in the order of
//! sending, with the id of who sent them.

use std::collections::BTreeMap;

use heirloom_core::{MemberId, Message};

/// All messages of a run; each says its number.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    sent: BTreeMap<u64, Letter>,
    /// The last that a life has got of another.
    last: BTreeMap<(MemberId, MemberId), u64>,
    received: u64,
}

#[derive(Clone, Copy, Debug)]
struct Letter {
    from: MemberId,
    /// One member; everybody if none is named.
    to: Option<MemberId>,
}

impl Mail {
    /// The bytes of the next message.
    pub fn next_message(&self) -> [u8; 8] {
        self.next_number().to_le_bytes()
    }

    /// The next message is sent.
    pub fn handle_sent(&mut self, from: MemberId, to: Option<MemberId>) {
        self.sent.insert(self.next_number(), Letter { from, to });
    }

    /// A message has come.
    ///
    /// # Errors
    ///
    /// What it must not be.
    pub fn handle_message(&mut self, to: MemberId, message: &Message) -> Result<(), String> {
        let number = message.bytes[..].try_into().ok().map(u64::from_le_bytes);
        let Some((number, letter)) = number.and_then(|number| Some((number, *self.sent.get(&number)?))) else {
            return Err(format!("{to} gets {message:?}, which nobody has sent"));
        };
        if letter.from != message.from || letter.to.is_some_and(|meant| meant != to) {
            return Err(format!("{to} gets {number} of {}, which is {letter:?}", message.from));
        }
        let last = self.last.insert((to, message.from), number);
        if last.is_some_and(|last| number <= last) {
            return Err(format!("{to} gets {number} of {} after {last:?}", message.from));
        }
        self.received += 1;
        Ok(())
    }

    /// How many have come.
    pub const fn received(&self) -> u64 {
        self.received
    }

    fn next_number(&self) -> u64 {
        self.sent.last_key_value().map_or(1, |(last, _)| last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: MemberId = MemberId(1);
    const OTHER: MemberId = MemberId(2);

    #[test]
    fn a_message_comes_at_most_once_in_order_and_to_whom_it_is_meant() {
        let mut mail = Mail::default();
        let messages: Vec<Message> = (0..3)
            .map(|_| {
                let bytes = mail.next_message().to_vec().into();
                mail.handle_sent(ONE, Some(OTHER));
                Message { from: ONE, bytes }
            })
            .collect();
        assert_eq!(mail.handle_message(OTHER, &messages[1]), Ok(()));
        assert!(mail.handle_message(OTHER, &messages[1]).is_err(), "it comes again");
        assert!(mail.handle_message(OTHER, &messages[0]).is_err(), "it comes late");
        assert!(mail.handle_message(ONE, &messages[2]).is_err(), "it is not meant for that one");
        assert!(mail.handle_message(OTHER, &Message { from: OTHER, bytes: messages[2].bytes.clone() }).is_err());
        assert_eq!(mail.handle_message(OTHER, &messages[2]), Ok(()));
        assert!(mail.handle_message(OTHER, &Message { from: ONE, bytes: vec![9; 8].into() }).is_err());
        assert_eq!(mail.received(), 2);
    }
}
