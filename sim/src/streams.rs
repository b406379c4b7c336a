//! Streams on their way: reliable, in order, bounded, and broken now and then.
//!
//! Each direction of a stream is a pipe with room for so many bytes. What a pipe does not take stays with the sender's
//! driver. A pipe behind a cut, a hold or a sleeping reader stands still; when it stands still behind a cut for too long
//! the stream breaks at both ends.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heirloom_core::CloseCause;

use crate::{
    chance::{Draws, Purpose},
    clock::Moment,
    net::{Arrival, HostId, LastBytes, Presence, Scene},
    pipe::Pipe,
};

mod flow;

/// How long a host tries to open a stream when nothing answers.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How often it tries.
const CONNECT_AGAIN: Duration = Duration::from_millis(200);

/// One end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    link: u64,
    end: usize,
}

impl Connection {
    /// The end of who it is connected with.
    pub(crate) const fn other(self) -> Self {
        Self { link: self.link, end: 1 - self.end }
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is on its way, or lost with a stream whose end the writer does not know yet.
    All,
    /// The rest stays with the driver.
    Part,
    /// The stream is not open yet: nobody may write to it.
    NotOpen,
    /// A rest of an earlier write is still there: nobody may write before it is taken.
    Blocked,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    links: BTreeMap<u64, Link>,
    opened: u64,
    opened_between: BTreeMap<(HostId, HostId), u64>,
    /// How many pieces were poured into streams in each direction.
    poured: BTreeMap<(HostId, HostId), u64>,
    due: BTreeMap<(Moment, u64), Due>,
    sequence: u64,
    /// What waits for a sleeping process.
    kept: BTreeMap<HostId, Vec<Due>>,
    ready: VecDeque<(HostId, Arrival)>,
    /// How many pieces were sent through wires that have a limit.
    served: u64,
    /// When one of these may be free for another piece.
    wires_at: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    /// The request reaches the other host.
    Connect {
        link: u64,
        since: Moment,
    },
    Accepted(Connection),
    Opened(Connection),
    /// The pipe that this end writes to may have something for its reader.
    Pipe(Connection),
    Writable(Connection),
    Closed(Connection, CloseCause),
    /// A wire may be free for the next piece of a stream.
    Wires,
    /// The link may have stood still for too long.
    Stalled {
        link: u64,
        since: Moment,
    },
}

#[derive(Clone, Debug)]
struct Link {
    /// How many this opener has opened to this acceptor before and with it.
    number: u64,
    ends: [End; 2],
    is_open: bool,
    stalled: Option<Moment>,
}

#[derive(Clone, Debug)]
struct End {
    host: HostId,
    /// The process at this end knows the stream.
    is_known: bool,
    pipe: Pipe,
}

impl Streams {
    /// Paths or processes have changed.
    pub(crate) fn handle_change(&mut self, scene: &Scene<'_>) {
        let mut due = Vec::new();
        for (&link, state) in &mut self.links {
            let hosts = state.hosts();
            if !scene.paths.is_stalled(hosts[0], hosts[1]) {
                state.stalled = None;
            } else if state.stalled.is_none() {
                state.stalled = Some(scene.now);
                due.push((scene.now + scene.weather.stall_max, Due::Stalled { link, since: scene.now }));
            }
            for end in [0, 1] {
                let pipe = &mut state.ends[end].pipe;
                if pipe.waits && scene.paths.carries_streams(hosts[end], hosts[1 - end]) {
                    pipe.waits = false;
                    due.push((scene.now, Due::Pipe(Connection { link, end })));
                }
            }
        }
        let awake = |host: &HostId| scene.paths.presence(*host) == Presence::Up;
        let awake: Vec<_> = self.kept.keys().copied().filter(awake).collect();
        for host in awake {
            due.extend(self.kept.remove(&host).into_iter().flatten().map(|kept| (scene.now, kept)));
        }
        due.into_iter().for_each(|(at, due)| self.push(at, due));
        self.serve(scene);
    }

    /// The process of a host is no more: its host closes its streams.
    pub(crate) fn handle_exit(&mut self, scene: &Scene<'_>, host: HostId, last: LastBytes) {
        self.kept.remove(&host);
        let mut due = Vec::new();
        for (&link, state) in &mut self.links {
            for end in [0, 1] {
                let connection = Connection { link, end };
                if state.ends[end].host != host || !state.ends[end].is_known {
                    continue;
                }
                let mut draws = state.draws(scene, end);
                let pipe = &mut state.ends[end].pipe;
                pipe.rest = None;
                if last == LastBytes::Lost {
                    pipe.clear();
                }
                let cause = if draws.per_mille(500) { CloseCause::Broken } else { CloseCause::Closed };
                due.push((pipe.end(scene, &mut draws, cause), Due::Pipe(connection)));
                state.ends[end].is_known = false;
            }
        }
        due.into_iter().for_each(|(at, due)| self.push(at, due));
        self.forget_unknown();
    }

    /// A host is off: what its processes could not write yet goes with it.
    pub(crate) fn handle_off(&mut self, host: HostId) {
        let ends = self.links.values_mut().flat_map(|link| &mut link.ends);
        ends.filter(|end| end.host == host).for_each(|end| end.pipe.forget_unsent());
    }

    pub(crate) fn break_between(&mut self, now: Moment, one: HostId, other: HostId) {
        let pairs = [[one, other], [other, one]];
        let broken = self.links.iter().filter(|(_, link)| pairs.contains(&link.hosts()));
        let broken: Vec<_> = broken.map(|(link, _)| *link).collect();
        broken.into_iter().for_each(|link| self.break_link(now, link));
    }

    pub(crate) fn open(&mut self, scene: &Scene<'_>, from: HostId, to: HostId) -> Connection {
        self.opened += 1;
        let number = self.opened_between.entry((from, to)).or_default();
        *number += 1;
        let connection = Connection { link: self.opened, end: 0 };
        let opener = End { host: from, is_known: true, pipe: Pipe::default() };
        let acceptor = End { host: to, is_known: false, pipe: Pipe::default() };
        let link = Link { number: *number, ends: [opener, acceptor], is_open: false, stalled: None };
        let delay = scene.weather.delay(&mut link.draws(scene, 0));
        self.links.insert(connection.link, link);
        let at = (scene.now + delay).rounded_up(scene.weather.quantum);
        self.push(at, Due::Connect { link: connection.link, since: scene.now });
        connection
    }

    pub(crate) fn write(&mut self, scene: &Scene<'_>, connection: Connection, bytes: Bytes) -> Taken {
        let Some(link) = self.links.get_mut(&connection.link) else { return Taken::All };
        if !link.is_open {
            return Taken::NotOpen;
        }
        let [one, other] = link.hosts();
        let pipe = &mut link.ends[connection.end].pipe;
        if pipe.rest.is_some() {
            return Taken::Blocked;
        }
        if scene.paths.swallows(one, other) {
            return Taken::All;
        }
        pipe.rest = Some(bytes);
        self.pour(scene, connection);
        let link = self.links.get(&connection.link);
        match link.and_then(|link| link.ends[connection.end].pipe.rest.as_ref()) {
            Some(_) => Taken::Part,
            None => Taken::All,
        }
    }

    pub(crate) fn close(&mut self, scene: &Scene<'_>, connection: Connection) {
        let Some(link) = self.links.get_mut(&connection.link) else { return };
        let mut draws = link.draws(scene, connection.end);
        let end = &mut link.ends[connection.end];
        end.is_known = false;
        let at = end.pipe.end(scene, &mut draws, CloseCause::Closed);
        self.push(at, Due::Pipe(connection));
        self.forget_unknown();
    }

    pub(crate) fn poll_arrival(&mut self, scene: &Scene<'_>) -> Option<(HostId, Arrival)> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Some(arrival);
            }
            let entry = self.due.first_entry().filter(|entry| entry.key().0 <= scene.now)?;
            let due = entry.remove();
            match self.reader(due).filter(|host| scene.paths.presence(*host) == Presence::Asleep) {
                Some(sleeper) => self.kept.entry(sleeper).or_default().push(due),
                None => self.handle_due(scene, due),
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        if !self.ready.is_empty() {
            return Some(Moment::ZERO);
        }
        self.due.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Whose process must be awake to see this.
    fn reader(&self, due: Due) -> Option<HostId> {
        let connection = match due {
            Due::Connect { .. } | Due::Wires | Due::Stalled { .. } => return None,
            Due::Accepted(at) | Due::Opened(at) | Due::Writable(at) | Due::Closed(at, _) => at,
            Due::Pipe(writer) => writer.other(),
        };
        self.links.get(&connection.link).map(|link| link.ends[connection.end].host)
    }

    fn handle_due(&mut self, scene: &Scene<'_>, due: Due) {
        match due {
            Due::Connect { link, since } => self.handle_connect(scene, link, since),
            Due::Accepted(connection) => {
                if let Some(from) = self.links.get(&connection.link).map(|link| link.ends[0].host) {
                    self.tell(connection, Arrival::Accepted { connection, from });
                }
            }
            Due::Opened(connection) => self.tell(connection, Arrival::Opened { connection }),
            Due::Writable(connection) => self.tell(connection, Arrival::Writable { connection }),
            Due::Pipe(writer) => self.handle_pipe(scene, writer),
            Due::Wires => {
                self.wires_at = self.wires_at.filter(|at| scene.now < *at);
                self.serve(scene);
            }
            Due::Closed(connection, cause) => self.tell_closed(connection, cause),
            Due::Stalled { link, since } => {
                if self.links.get(&link).is_some_and(|link| link.stalled == Some(since)) {
                    self.break_link(scene.now, link);
                }
            }
        }
    }

    fn handle_connect(&mut self, scene: &Scene<'_>, id: u64, since: Moment) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let [from, to] = link.hosts();
        let opener = Connection { link: id, end: 0 };
        let back_at = scene.now + scene.weather.delay(&mut link.draws(scene, 1));
        let is_reached = scene.paths.carries_streams(from, to) && scene.paths.carries_streams(to, from);
        match scene.paths.presence(to) {
            Presence::Down if is_reached => self.push(back_at, Due::Closed(opener, CloseCause::Refused)),
            Presence::Up | Presence::Asleep if is_reached && scene.paths.swallows(from, to) => {
                link.is_open = true;
                self.push(back_at, Due::Opened(opener));
            }
            Presence::Up | Presence::Asleep if is_reached => {
                link.is_open = true;
                link.ends[1].is_known = true;
                link.ends[1].pipe.last_at = back_at;
                self.push(scene.now, Due::Accepted(opener.other()));
                self.push(back_at, Due::Opened(opener));
            }
            Presence::Up | Presence::Asleep | Presence::Down | Presence::Off => {
                if CONNECT_MAX <= scene.now.since(since) {
                    self.push(scene.now, Due::Closed(opener, CloseCause::Broken));
                } else {
                    self.push(scene.now + CONNECT_AGAIN, Due::Connect { link: id, since });
                }
            }
        }
    }

    fn break_link(&mut self, now: Moment, link: u64) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.ends.iter_mut().for_each(|end| end.pipe.clear());
        for end in [0, 1] {
            self.push(now, Due::Closed(Connection { link, end }, CloseCause::Broken));
        }
    }

    fn tell(&mut self, connection: Connection, arrival: Arrival) {
        let link = self.links.get(&connection.link);
        if let Some(end) = link.map(|link| &link.ends[connection.end]).filter(|end| end.is_known) {
            self.ready.push_back((end.host, arrival));
        }
    }

    fn tell_closed(&mut self, connection: Connection, cause: CloseCause) {
        self.tell(connection, Arrival::Closed { connection, cause });
        if let Some(link) = self.links.get_mut(&connection.link) {
            link.ends[connection.end].is_known = false;
        }
        self.forget_unknown();
    }

    fn forget_unknown(&mut self) {
        let is_needed = |link: &Link| link.ends.iter().any(|end| end.is_known);
        self.links.retain(|_, link| is_needed(link));
    }

    fn push(&mut self, at: Moment, due: Due) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), due);
    }
}

impl Link {
    const fn hosts(&self) -> [HostId; 2] {
        [self.ends[0].host, self.ends[1].host]
    }

    /// The chance of the next thing that happens to the pipe of this end.
    fn draws(&self, scene: &Scene<'_>, end: usize) -> Draws {
        let way = self.ends[end].host.word() << 16 | self.ends[1 - end].host.word();
        scene.chance.draws(Purpose::Stream, way, self.number, self.ends[end].pipe.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chance::Chance, net::Net, weather::Weather};

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);

    #[test]
    fn bytes_arrive_in_order_however_they_are_cut() {
        let (mut net, at_a, at_b) = open(Weather { piece_max: 7, ..Weather::calm() });
        let sent: Vec<u8> = (0..200).collect();
        sent.chunks(50).for_each(|chunk| {
            assert_eq!(net.write(Moment::ZERO, at_a, Bytes::copy_from_slice(chunk)), Taken::All);
        });
        assert_eq!(received(&mut net, at_b), sent);
    }

    #[test]
    fn a_full_stream_keeps_the_rest_and_says_when_it_is_taken() {
        let (mut net, at_a, at_b) = open(Weather { stream_room: 10, ..Weather::calm() });
        assert_eq!(net.write(Moment::ZERO, at_a, Bytes::from_static(&[7; 25])), Taken::Part);
        assert_eq!(net.write(Moment::ZERO, at_a, Bytes::from_static(&[7])), Taken::Blocked);
        let mut bytes = 0;
        let mut told = false;
        while let Some((_, arrival)) = next(&mut net) {
            bytes += if let Arrival::Bytes { bytes, .. } = &arrival { bytes.len() } else { 0 };
            told |= arrival == Arrival::Writable { connection: at_a };
        }
        assert_eq!((bytes, told), (25, true));
        assert_eq!(net.write(Moment::ZERO, at_b, Bytes::from_static(&[1])), Taken::All);
    }

    #[test]
    fn nobody_listens_and_the_opener_is_told() {
        let mut net = net(Weather::calm());
        net.handle_exit(Moment::ZERO, B, Presence::Down, LastBytes::Lost);
        let connection = net.open(Moment::ZERO, A, B);
        let cause = CloseCause::Refused;
        assert_eq!(next(&mut net), Some((A, Arrival::Closed { connection, cause })));
    }

    #[test]
    fn what_a_killed_process_wrote_still_arrives_before_the_end() {
        let (mut net, at_a, at_b) = open(Weather::calm());
        net.write(Moment::ZERO, at_a, Bytes::from_static(b"last"));
        net.handle_exit(Moment::ZERO, A, Presence::Down, LastBytes::Delivered);
        assert!(matches!(next(&mut net), Some((B, Arrival::Bytes { .. }))));
        assert!(matches!(next(&mut net), Some((B, Arrival::Closed { connection, .. })) if connection == at_b));
    }

    #[test]
    fn what_a_host_could_not_write_before_it_was_off_never_arrives() {
        let (mut net, at_a, at_b) = open(Weather { stream_room: 3, ..Weather::calm() });
        net.write(Moment::ZERO, at_a, Bytes::from_static(b"cut off"));
        net.handle_exit(Moment::ZERO, A, Presence::Off, LastBytes::Lost);
        assert_eq!(received(&mut net, at_b), b"cut");
    }

    #[test]
    fn a_short_cut_delays_and_a_long_one_breaks() {
        for (mended_after, is_broken) in [(1, false), (20, true)] {
            let (mut net, at_a, at_b) = open(Weather::calm());
            net.cut(Moment::ZERO, A, B);
            net.write(Moment::ZERO, at_a, Bytes::from_static(b"late"));
            let mended_at = Moment::ZERO + Duration::from_secs(mended_after);
            let before = core::iter::from_fn(|| net.poll_arrival(mended_at)).count();
            assert_eq!(before, if is_broken { 2 } else { 0 }, "both ends are told");
            net.mend(mended_at, A, B);
            assert_eq!(received(&mut net, at_b).is_empty(), is_broken);
        }
    }

    #[test]
    fn a_close_comes_after_what_was_written() {
        let (mut net, at_a, at_b) = open(Weather { stream_room: 3, ..Weather::calm() });
        net.write(Moment::ZERO, at_a, Bytes::from_static(b"goodbye"));
        net.close(Moment::ZERO, at_a);
        assert_eq!(received(&mut net, at_b), b"goodbye");
    }

    #[test]
    fn a_sleeper_accepts_when_it_wakes() {
        let mut net = net(Weather::calm());
        net.handle_presence(Moment::ZERO, B, Presence::Asleep);
        let connection = net.open(Moment::ZERO, A, B);
        assert_eq!(next(&mut net), Some((A, Arrival::Opened { connection })));
        net.handle_presence(Moment::ZERO, B, Presence::Up);
        assert!(matches!(next(&mut net), Some((B, Arrival::Accepted { from: A, .. }))));
    }

    fn net(weather: Weather) -> Net {
        let mut net = Net::new(Chance::new(1), weather);
        net.handle_presence(Moment::ZERO, A, Presence::Up);
        net.handle_presence(Moment::ZERO, B, Presence::Up);
        net
    }

    fn open(weather: Weather) -> (Net, Connection, Connection) {
        let mut net = net(weather);
        let at_a = net.open(Moment::ZERO, A, B);
        assert!(matches!(next(&mut net), Some((B, Arrival::Accepted { .. }))));
        assert_eq!(next(&mut net), Some((A, Arrival::Opened { connection: at_a })));
        (net, at_a, at_a.other())
    }

    fn next(net: &mut Net) -> Option<(HostId, Arrival)> {
        while let Some(at) = net.poll_timeout() {
            let arrival = net.poll_arrival(at);
            if arrival.is_some() {
                return arrival;
            }
        }
        None
    }

    fn received(net: &mut Net, at: Connection) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((_, arrival)) = next(net) {
            if let Arrival::Bytes { connection, bytes } = arrival {
                assert_eq!(connection, at);
                all.extend_from_slice(&bytes);
            }
        }
        all
    }
}
