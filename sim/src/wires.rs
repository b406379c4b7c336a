//! Wires that carry only so much at a time, and hold only so much that waits for them.
//!
//! What is sent takes its length on the wire, one thing after the other: a large one delays what comes after it. A datagram
//! that finds no room to wait is lost. A stream sends no more than leaves half of the room to others; the rest waits with its
//! sender. Nothing is drawn here: what is lost, and when all else arrives, follows from what was sent.

use core::{cell::RefCell, fmt, time::Duration};
use std::collections::BTreeMap;

use crate::{chance::nanos, clock::Moment, net::HostId};

/// A wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// All that a host sends goes through it.
    Host(HostId),
    /// What one host sends to another one goes through it.
    Way(HostId, HostId),
}

impl Wire {
    /// The hosts at its ends, the sender first.
    pub(crate) fn hosts_mut(&mut self) -> Vec<&mut HostId> {
        match self {
            Self::Host(host) => vec![host],
            Self::Way(from, to) => vec![from, to],
        }
    }

    /// The wires on the way from one host to another.
    const fn between(from: HostId, to: HostId) -> [Self; 2] {
        [Self::Host(from), Self::Way(from, to)]
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Way(from, to) => write!(f, "{from}>{to}"),
        }
    }
}

/// What a wire carries in a second if nothing is said of it but how much may wait.
const USUAL_RATE: u64 = 10_000_000;
/// How much may wait if nothing is said of it: what passes in an eighth of a second, and a few datagrams.
const USUAL_ROOM: u64 = 1500;
/// The longest piece of a stream on such a wire.
const PIECE_MAX: u64 = 1400;
const SECOND: u64 = 1_000_000_000;

/// All wires that have a limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires(RefCell<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    /// How many bytes they carry in a second.
    rates: BTreeMap<Wire, u64>,
    /// How many bytes may wait for them.
    rooms: BTreeMap<Wire, u64>,
    /// When all that was sent through them has passed.
    free_at: BTreeMap<Wire, Moment>,
    /// The longest time that a datagram ever waited, and passed.
    waited_max: Duration,
}

#[derive(Clone, Copy)]
struct Limit {
    rate: u64,
    room: u64,
}

impl Wires {
    /// From now on a wire carries so many bytes in a second; zero ends it.
    pub(crate) fn narrow(&mut self, wire: Wire, rate: u64) {
        let inner = self.0.get_mut();
        inner.rates.insert(wire, rate);
        inner.rates.retain(|_, rate| 0 < *rate);
        inner.handle_limit(wire);
    }

    /// From now on so many bytes may wait for a wire; zero ends it.
    pub(crate) fn confine(&mut self, wire: Wire, room: u64) {
        let inner = self.0.get_mut();
        inner.rooms.insert(wire, room);
        inner.rooms.retain(|_, room| 0 < *room);
        inner.handle_limit(wire);
    }

    /// A datagram has passed all wires on its way after so long.
    pub(crate) fn handle_passed(&self, waited: Duration) {
        let inner = &mut *self.0.borrow_mut();
        inner.waited_max = inner.waited_max.max(waited);
    }

    /// The longest time that a datagram ever waited.
    pub(crate) fn waited_max(&self) -> Duration {
        self.0.borrow().waited_max
    }

    /// Whether anything between two hosts has a limit.
    pub(crate) fn is_limited(&self, from: HostId, to: HostId) -> bool {
        let inner = self.0.borrow();
        Wire::between(from, to).into_iter().any(|wire| inner.limit(wire).is_some())
    }

    /// When a datagram has passed a wire; `None` if it finds no room.
    pub(crate) fn pass(&self, at: Moment, wire: Wire, length: usize) -> Option<Moment> {
        let inner = &mut *self.0.borrow_mut();
        let Some(limit) = inner.limit(wire) else { return Some(at) };
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        if limit.room < inner.waiting(at, wire, limit).saturating_add(length) {
            return None;
        }
        Some(inner.send(at, wire, limit, length))
    }

    /// When a piece of a stream has passed all wires on its way.
    pub(crate) fn carry(&self, now: Moment, from: HostId, to: HostId, length: usize) -> Moment {
        let inner = &mut *self.0.borrow_mut();
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        Wire::between(from, to).into_iter().fold(now, |at, wire| match inner.limit(wire) {
            Some(limit) => inner.send(at, wire, limit, length),
            None => at,
        })
    }

    /// When a stream may send its next piece.
    pub(crate) fn open_at(&self, now: Moment, from: HostId, to: HostId) -> Moment {
        let inner = self.0.borrow();
        let open_at = |wire| {
            let limit = inner.limit(wire)?;
            let free_at = inner.free_at.get(&wire).copied()?;
            Some(free_at - limit.time(limit.room / 4))
        };
        Wire::between(from, to).into_iter().filter_map(open_at).max().map_or(now, |at| at.max(now))
    }

    /// The longest piece of a stream on this way.
    pub(crate) fn piece_max(&self, from: HostId, to: HostId) -> usize {
        let inner = self.0.borrow();
        let limits = Wire::between(from, to).into_iter().filter_map(|wire| inner.limit(wire));
        let longest = limits.map(|limit| (limit.room / 4).clamp(1, PIECE_MAX)).min();
        longest.and_then(|longest| usize::try_from(longest).ok()).unwrap_or(usize::MAX)
    }

    /// How much a sender's socket holds of a stream, if that has a limit.
    pub(crate) fn socket_room(&self, from: HostId, to: HostId) -> usize {
        let inner = self.0.borrow();
        let rooms = Wire::between(from, to).into_iter().filter_map(|wire| inner.rooms.get(&wire).copied());
        rooms.min().and_then(|room| usize::try_from(room).ok()).unwrap_or(usize::MAX)
    }
}

impl Inner {
    fn limit(&self, wire: Wire) -> Option<Limit> {
        let (rate, room) = (self.rates.get(&wire).copied(), self.rooms.get(&wire).copied());
        if rate.is_none() && room.is_none() {
            return None;
        }
        let rate = rate.unwrap_or(USUAL_RATE);
        Some(Limit { rate, room: room.unwrap_or((rate / 8).max(USUAL_ROOM)) })
    }

    fn handle_limit(&mut self, wire: Wire) {
        if self.limit(wire).is_none() {
            // What waits for it arrives when it would have; what comes after does not wait.
            self.free_at.remove(&wire);
        }
    }

    /// How many bytes wait for a wire.
    fn waiting(&self, at: Moment, wire: Wire, limit: Limit) -> u64 {
        let free_at = self.free_at.get(&wire).copied().unwrap_or_default();
        let bytes = u128::from(nanos(free_at.since(at))) * u128::from(limit.rate) / u128::from(SECOND);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn send(&mut self, at: Moment, wire: Wire, limit: Limit, length: u64) -> Moment {
        let free_at = self.free_at.entry(wire).or_default();
        *free_at = at.max(*free_at) + limit.time(length);
        *free_at
    }
}

impl Limit {
    /// How long so many bytes take.
    fn time(self, length: u64) -> Duration {
        let nanos = u128::from(length) * u128::from(SECOND) / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        chance::Chance,
        net::{Arrival, Net, Presence},
        record::Way,
        streams::{Connection, Taken},
        weather::Weather,
    };

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);
    const C: HostId = HostId(2);

    #[test]
    fn a_large_frame_delays_what_is_behind_it() {
        let mut net = net();
        net.wires_mut().narrow(Wire::Host(A), 10_000);
        net.send(Moment::ZERO, A, B, &datagram(1000));
        net.send(Moment::ZERO, A, C, &datagram(100));
        net.send(Moment::ZERO, B, A, &datagram(100));
        let came: Vec<(HostId, u64)> = arrivals(&mut net).into_iter().map(|(at, host, _)| (host, millis(at))).collect();
        assert_eq!(came, [(A, 0), (B, 100), (C, 110)]);
    }

    #[test]
    fn a_full_queue_loses_a_datagram_and_never_a_byte_of_a_stream() {
        let mut net = net();
        let at_a = open(&mut net);
        net.wires_mut().narrow(Wire::Way(A, B), 10_000);
        net.wires_mut().confine(Wire::Way(A, B), 1000);
        let frame: Vec<u8> = (0..20_000).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        assert_eq!(net.write(Moment::ZERO, at_a, frame.clone().into()), Taken::Part);
        for length in [400, 600, 100] {
            net.send(Moment::ZERO, A, B, &datagram(length));
        }
        assert_eq!(net.take_crowded_out(), [(A, B, Way::Datagram)], "600 bytes found no room, and 100 did");
        let (mut bytes, mut last_at, mut is_told) = (Vec::new(), Moment::ZERO, false);
        for (at, _, arrival) in arrivals(&mut net) {
            is_told |= arrival == Arrival::Writable { connection: at_a };
            if let Arrival::Bytes { bytes: piece, .. } = arrival {
                bytes.extend_from_slice(&piece);
                last_at = at;
            }
        }
        assert!(bytes == frame && is_told && net.take_crowded_out().is_empty());
        assert!((2000..2200).contains(&millis(last_at)), "{last_at}");
    }

    #[test]
    fn a_stream_leaves_half_of_the_room_to_datagrams() {
        let mut net = net();
        let at_a = open(&mut net);
        net.wires_mut().narrow(Wire::Way(A, B), 10_000);
        net.write(Moment::ZERO, at_a, datagram(1 << 20));
        // The queue holds 1500 bytes.
        net.send(Moment::ZERO, A, B, &datagram(700));
        assert!(net.take_crowded_out().is_empty());
        let is_datagram = |(_, _, arrival): &(Moment, HostId, Arrival)| matches!(arrival, Arrival::Datagram { .. });
        let came = arrivals(&mut net).into_iter().find(is_datagram).map(|(at, ..)| millis(at));
        assert!(came.is_some_and(|after| after < 160), "{came:?}");
    }

    #[test]
    fn two_streams_share_a_wire() {
        let mut net = net();
        let streams = [open(&mut net), open(&mut net)];
        net.wires_mut().narrow(Wire::Host(A), 10_000);
        streams.iter().for_each(|stream| {
            net.write(Moment::ZERO, *stream, datagram(20_000));
        });
        let mut read = [0, 0];
        while read.iter().sum::<usize>() < 20_000 {
            let (_, _, arrival) = next(&mut net).unwrap();
            if let Arrival::Bytes { connection, bytes } = arrival {
                read[usize::from(connection == streams[1].other())] += bytes.len();
            }
        }
        assert!(read.iter().all(|bytes| (9000..11_000).contains(bytes)), "{read:?}");
    }

    #[test]
    fn what_waits_goes_on_when_the_wire_is_wide_again() {
        let mut net = net();
        let at_a = open(&mut net);
        net.wires_mut().narrow(Wire::Way(A, B), 1000);
        net.write(Moment::ZERO, at_a, datagram(60_000));
        let later = Moment::ZERO + Duration::from_secs(1);
        let before: usize = core::iter::from_fn(|| net.poll_arrival(later)).map(|(_, arrival)| length(&arrival)).sum();
        assert!((700..1000).contains(&before), "{before}");
        net.widen(later, |wires| wires.narrow(Wire::Way(A, B), 0));
        let came = arrivals(&mut net);
        assert_eq!(before + came.iter().map(|(.., arrival)| length(arrival)).sum::<usize>(), 60_000);
        assert!(came.iter().all(|(at, ..)| millis(*at) < 2600), "{:?}", came.last());
    }

    #[test]
    fn streams_that_swallow_open_and_take_all_and_break_in_the_end() {
        let mut net = net();
        let old = open(&mut net);
        net.write(Moment::ZERO, old, datagram(10));
        net.swallow(Moment::ZERO, A, B);
        let new = net.open(Moment::ZERO, B, A);
        assert!(matches!(next(&mut net), Some((_, B, Arrival::Opened { connection })) if connection == new));
        for stream in [old, old.other(), new] {
            assert_eq!(net.write(Moment::ZERO, stream, datagram(5 << 20)), Taken::All);
        }
        assert_eq!(next(&mut net), None, "nobody hears of it, not even who would have accepted");
        let later = Moment::ZERO + Duration::from_secs(60);
        net.spare(later, A, B);
        let broken: Vec<Connection> = core::iter::from_fn(|| net.poll_arrival(later))
            .filter_map(
                |(_, arrival)| if let Arrival::Closed { connection, .. } = arrival { Some(connection) } else { None },
            )
            .collect();
        assert_eq!(broken, [old, old.other(), new]);
    }

    fn datagram(length: usize) -> Bytes {
        vec![0; length].into()
    }

    fn length(arrival: &Arrival) -> usize {
        if let Arrival::Bytes { bytes, .. } = arrival { bytes.len() } else { 0 }
    }

    fn millis(at: Moment) -> u64 {
        at.as_nanos() / 1_000_000
    }

    fn net() -> Net {
        let mut net = Net::new(Chance::new(1), Weather::calm());
        [A, B, C].into_iter().for_each(|host| net.handle_presence(Moment::ZERO, host, Presence::Up));
        net
    }

    fn open(net: &mut Net) -> Connection {
        let connection = net.open(Moment::ZERO, A, B);
        assert!(matches!(next(net), Some((_, B, Arrival::Accepted { .. }))));
        assert!(matches!(next(net), Some((_, A, Arrival::Opened { .. }))));
        connection
    }

    fn next(net: &mut Net) -> Option<(Moment, HostId, Arrival)> {
        while let Some(at) = net.poll_timeout() {
            if let Some((host, arrival)) = net.poll_arrival(at) {
                return Some((at, host, arrival));
            }
        }
        None
    }

    fn arrivals(net: &mut Net) -> Vec<(Moment, HostId, Arrival)> {
        core::iter::from_fn(|| next(net)).collect()
    }
}
