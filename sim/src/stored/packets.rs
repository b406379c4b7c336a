//! The records of single packets: what happens to them, whatever the weather is.

use super::{
    forms::{read_number, read_time, show_time},
    records::Reader,
};
use crate::{
    choices::{Packet, Twist},
    record::Way,
};

const PACKETS: &str = "like `packet n0>n1 17 lost`: lost, late 0.2s, twice or corrupt; `group 17` for what is sent to the \
    group, `stream 4 late 0.2s` for a piece of a stream";

/// Writes what happens to a packet.
pub(crate) fn show(packet: Packet, twist: Twist) -> String {
    match twist {
        Twist::Lost => format!("{packet} lost"),
        Twist::Late(late) => format!("{packet} late {}", show_time(late)),
        Twist::Twice => format!("{packet} twice"),
        Twist::Corrupt => format!("{packet} corrupt"),
    }
}

impl Reader {
    /// What happens to a packet.
    pub(super) fn packet(self, words: &[&str]) -> Result<(Packet, Twist), String> {
        let wrong = || format!("`{}` says nothing of a packet: {PACKETS}", words.join(" "));
        let [link, words @ ..] = words else { return Err(wrong()) };
        let (way, words) = match words {
            ["group", words @ ..] => (Way::Group, words),
            ["stream", words @ ..] => (Way::Stream, words),
            _ => (Way::Datagram, words),
        };
        let [number, words @ ..] = words else { return Err(wrong()) };
        let (from, to) = self.link(link)?;
        let packet = Packet { from, to, way, number: read_number(number, 1, u64::MAX)? };
        let twist = match words {
            ["late", length] => Twist::Late(read_time(length)?),
            ["lost"] => Twist::Lost,
            ["twice"] => Twist::Twice,
            ["corrupt"] => Twist::Corrupt,
            _ => return Err(wrong()),
        };
        match (way, twist) {
            (Way::Stream, Twist::Lost | Twist::Twice | Twist::Corrupt) => {
                Err("a piece of a stream comes once and as it was sent: it may be late".into())
            }
            (Way::Datagram | Way::Group, _) | (Way::Stream, Twist::Late(_)) => Ok((packet, twist)),
        }
    }
}
