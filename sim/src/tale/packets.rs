//! What happens to single packets, whatever the weather is.

use super::words::{Names, split};
use crate::{
    choices::{Packet, Twist},
    record::Way,
    stored::forms::{read_number, read_time, show_time},
};

const PACKETS: &str = "lose, repeat or damage datagram 17 from a to b; lose, repeat or damage multicast 17 from a to b; delay datagram 17 from a to b by \
    200 ms; delay piece 4 from a to b by 200 ms (of the streams in this direction)";

/// Reads what happens to a packet.
pub(super) fn packet(names: &Names, text: &str) -> Result<(Packet, Twist), String> {
    let words = split(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let wrong = || format!("`{text}` says nothing of a packet: {PACKETS}");
    let [verb, what, number, "from", from, "to", to, how @ ..] = &words[..] else { return Err(wrong()) };
    let twist = match (*verb, how) {
        ("lose", []) => Twist::Lost,
        ("repeat", []) => Twist::Twice,
        ("damage", []) => Twist::Corrupt,
        ("delay", ["by", length]) => Twist::Late(read_time(length)?),
        _ => return Err(wrong()),
    };
    let way = match (*what, twist) {
        ("datagram", _) => Way::Datagram,
        ("multicast", _) => Way::Group,
        ("piece", Twist::Late(_)) => Way::Stream,
        _ => return Err(wrong()),
    };
    let (from, to) = (names.host(from)?, names.host(to)?);
    Ok((Packet { from, to, way, number: read_number(number, 1, u64::MAX)? }, twist))
}

/// Writes what happens to a packet.
pub(super) fn show(names: &Names, packet: Packet, twist: Twist) -> String {
    let (verb, how) = match twist {
        Twist::Lost => ("lose", String::new()),
        Twist::Late(late) => ("delay", format!(" by {}", show_time(late))),
        Twist::Twice => ("repeat", String::new()),
        Twist::Corrupt => ("damage", String::new()),
    };
    let what = match packet.way {
        Way::Datagram => "datagram",
        Way::Group => "multicast",
        Way::Stream => "piece",
    };
    format!("{verb} {what} {} from {} to {}{how}", packet.number, names.of(packet.from), names.of(packet.to))
}
