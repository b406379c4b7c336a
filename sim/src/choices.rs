//! Who decides what happens to a packet: the seed, a plan that says it of this one, or a walk through all that may happen.
//!
//! Every decision of a run is an answer to one question: which of so many, for this thing and its number? What nobody else
//! decides the seed does ([`Chance`]), and a fuzzer's bytes may come before it ([`Draws::chosen_by`]). Packets are known by
//! their link and their number there, so what is said of one stays said of it when another goes.
//!
//! [`Chance`]: crate::chance::Chance
//! [`Draws::chosen_by`]: crate::chance::Draws::chosen_by

use core::{fmt, time::Duration};
use std::{cell::RefCell, collections::BTreeMap};

use crate::{net::HostId, record::Way, walk::Walk};

/// A packet of a run: the first of a link has number 1. Of streams it is a piece, and all streams of one direction count as
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// Who sends it.
    pub from: HostId,
    /// Who is to get it.
    pub to: HostId,
    /// How it travels.
    pub way: Way,
    /// Its number on that link.
    pub number: u64,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, way, number } = self;
        match way {
            Way::Datagram => write!(f, "{from}>{to} {number}"),
            Way::Group => write!(f, "{from}>{to} group {number}"),
            Way::Stream => write!(f, "{from}>{to} stream {number}"),
        }
    }
}

/// What happens to one packet, whatever the weather is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// It is lost.
    Lost,
    /// It takes so much longer, and others overtake it; in a stream, what comes after it waits for it.
    Late(Duration),
    /// It arrives twice.
    Twice,
    /// A bit of it flips.
    Corrupt,
}

/// Decides about single packets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices(RefCell<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    /// What a plan says, until it has happened.
    said: BTreeMap<Packet, Twist>,
    is_over: bool,
    walk: Option<Walk>,
    /// What has happened and is not in the ledger yet.
    struck: Vec<(Packet, Twist)>,
    /// What the weather has done, if somebody wants to know.
    noted: Option<BTreeMap<Packet, Twist>>,
}

impl Choices {
    /// Lets a plan say what happens to these.
    pub(crate) fn say(&self, said: &BTreeMap<Packet, Twist>) {
        self.0.borrow_mut().said.clone_from(said);
    }

    /// Lets a walk decide about packets from now on.
    pub(crate) fn begin_walk(&self, walk: Walk) {
        self.0.borrow_mut().walk = Some(walk);
    }

    /// The walk, to ask it for something else.
    pub(crate) fn walking<T>(&self, ask: impl FnOnce(&mut Walk) -> T) -> Option<T> {
        self.0.borrow_mut().walk.as_mut().map(ask)
    }

    /// The walk is over: the weather decides again.
    pub(crate) fn end_walk(&self) -> Option<Walk> {
        self.0.borrow_mut().walk.take()
    }

    /// Notes from now on what the weather does to single packets.
    pub(crate) fn note(&self) {
        self.0.borrow_mut().noted = Some(BTreeMap::new());
    }

    /// What the weather has done to single packets.
    pub(crate) fn noted(&self) -> BTreeMap<Packet, Twist> {
        self.0.borrow().noted.clone().unwrap_or_default()
    }

    /// All faults are over: what was not said of any packet until now is said of none.
    pub(crate) fn end(&self) {
        self.0.borrow_mut().is_over = true;
    }

    /// What happens to a packet that is sent now; `None` if the weather decides. Nobody has to choose about one that will reach
    /// nobody.
    pub(crate) fn twist(&self, packet: Packet, is_reached: bool) -> Option<Twist> {
        let inner = &mut *self.0.borrow_mut();
        if inner.is_over || inner.said.is_empty() && inner.walk.is_none() {
            return None;
        }
        let walked = inner.walk.as_mut().filter(|_| is_reached).and_then(|walk| walk.twist(packet));
        let twist = inner.said.remove(&packet).or(walked)?;
        inner.struck.push((packet, twist));
        Some(twist)
    }

    /// The weather has done this to a packet.
    pub(crate) fn handle_weather(&self, packet: Packet, twist: Twist) {
        let inner = &mut *self.0.borrow_mut();
        if let Some(noted) = inner.noted.as_mut().filter(|_| !inner.is_over) {
            noted.insert(packet, twist);
        }
    }

    /// The next packet that something happened to.
    pub(crate) fn poll_struck(&self) -> Option<(Packet, Twist)> {
        self.0.borrow_mut().struck.pop()
    }

    /// What a plan says of packets that nobody has sent.
    pub(crate) fn unmet(&self) -> Vec<Packet> {
        self.0.borrow().said.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_packet_happens_once_and_what_nobody_sent_is_told() {
        let packet = |number| Packet { from: HostId(0), to: HostId(1), way: Way::Datagram, number };
        let choices = Choices::default();
        choices.say(&BTreeMap::from([(packet(1), Twist::Lost), (packet(2), Twist::Twice)]));
        assert_eq!(choices.twist(packet(1), true), Some(Twist::Lost));
        assert_eq!((choices.twist(packet(1), true), choices.twist(packet(3), true)), (None, None));
        assert_eq!(choices.poll_struck(), Some((packet(1), Twist::Lost)));
        assert_eq!(choices.unmet(), [packet(2)]);
    }
}
