//! The turn of a driver, taken for each process of a cluster exactly as a real driver takes it.

use core::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use heirloom_core::{Event, FrameError, Node, StreamId, Time, Transmit};

use crate::{
    clock::Moment,
    cluster::{Cluster, Fact, What},
    datagrams::DATAGRAM_END,
    host::Process,
    net::{Arrival, HostId, LastBytes, Presence},
    streams::Taken,
    violation::{Promise, Violation},
};

/// How much a node may send in one turn.
const TURN_MAX: u32 = 256;
/// More turns of one node at one moment, to which nothing came, mean that it spins.
const WAKES_AT_ONCE_MAX: u32 = 1000;
/// After how many inputs the whole state of a node is walked: in a debug build after each. What is wrong there stays wrong, so
/// others miss nothing for long, and all nodes are walked whenever the cluster is judged.
const WALK_EVERY: u64 = if cfg!(debug_assertions) { 1 } else { 256 };
/// How often a driver reads the wall clock.
const WALL_EVERY: Duration = Duration::from_secs(5);

impl Cluster {
    pub(crate) fn deliver(&mut self, host: HostId, arrival: Arrival) {
        self.note_arrival(host, &arrival);
        self.trail.note(self.now, host, &arrival);
        self.lookout.handle_arrival(host, &arrival);
        let Some(process) = &self.hosts[host.index()].process else { return };
        let named = |connection| process.names.get(&connection).copied();
        match arrival {
            Arrival::Datagram { from, bytes } => {
                let result = self.input(host, |node, time| node.handle_datagram(time, from.address(), &bytes));
                self.count_refused(result);
            }
            Arrival::SendFailed { to } => {
                self.input(host, |node, time| node.handle_send_failed(time, to.address()));
            }
            Arrival::Accepted { connection, from } => {
                let stream = self.input(host, |node, time| node.handle_accepted(time, from.address()));
                if let (Some(stream), Some(process)) = (stream, &mut self.hosts[host.index()].process) {
                    process.name(stream, connection);
                }
            }
            Arrival::Opened { connection } => {
                if let Some(stream) = named(connection) {
                    self.input(host, |node, time| node.handle_opened(time, stream));
                }
            }
            Arrival::Bytes { connection, bytes } => {
                if let Some(stream) = named(connection) {
                    let result = self.input(host, |node, time| node.handle_stream(time, stream, &bytes));
                    self.count_refused(result);
                }
            }
            Arrival::Writable { connection } => {
                if let Some(stream) = named(connection) {
                    self.input(host, |node, time| node.handle_writable(time, stream));
                }
            }
            Arrival::Closed { connection, cause } => {
                if let Some(stream) = named(connection) {
                    self.input(host, |node, time| node.handle_closed(time, stream, cause));
                    if let Some(process) = &mut self.hosts[host.index()].process {
                        process.forget_stream(stream);
                    }
                }
            }
        }
    }

    fn count_refused(&mut self, result: Option<Result<(), FrameError>>) {
        self.counts.refused += u64::from(matches!(result, Some(Err(_))));
    }

    /// One input of a node, and now and then the check of its state.
    pub(crate) fn input<T>(&mut self, host: HostId, input: impl FnOnce(&mut Node, Time) -> T) -> Option<T> {
        let place = &mut self.hosts[host.index()];
        let time = place.clock.time(self.now);
        let process = place.process.as_mut()?;
        self.counts.inputs += 1;
        let output = input(&mut process.node, time);
        self.walk_now_and_then(host);
        Some(output)
    }

    fn walk_now_and_then(&self, host: HostId) {
        if self.counts.inputs.is_multiple_of(WALK_EVERY)
            && let Some(process) = self.process(host)
        {
            process.node.check();
        }
    }

    /// The turn of a process that nothing came to but its own deadline.
    pub(crate) fn wake(&mut self, host: HostId) -> Result<(), Violation> {
        let now = self.now;
        let turns = self.hosts[host.index()].process.as_mut().map_or(0, |process| process.count_wake(now));
        Violation::unless(turns <= WAKES_AT_ONCE_MAX, Promise::Calm, now, || format!("{host} spins: {turns} turns"))?;
        self.turn(host)
    }

    /// The turn of a driver.
    pub(crate) fn turn(&mut self, host: HostId) -> Result<(), Violation> {
        let now = self.now;
        let place = &mut self.hosts[host.index()];
        let (time, wall) = (place.clock.time(now), place.clock.wall(now));
        let Some(process) = place.process.as_mut().filter(|process| !process.is_asleep) else { return Ok(()) };
        if process.wall_at <= now {
            process.wall_at = now + WALL_EVERY;
            self.input(host, |node, time| node.handle_wall(time, wall));
        }
        if self.deadline(host).is_some_and(|at| at <= time) {
            self.input(host, |node, time| node.handle_timeout(time));
            let kept = self.deadline(host).is_none_or(|at| time < at);
            Violation::unless(kept, Promise::Turn, now, || {
                format!("{host} has a deadline in the past after its timeout")
            })?;
        }
        let mut is_drained = false;
        for _ in 0..TURN_MAX {
            let process = self.hosts[host.index()].process.as_mut();
            let Some(transmit) = process.and_then(|process| process.node.poll_transmit(time)) else {
                is_drained = true;
                break;
            };
            self.submit(host, transmit)?;
        }
        self.walk_now_and_then(host);
        let has_left = self.hear(host)?;
        if has_left {
            self.stop(host, Presence::Down, LastBytes::Delivered);
        }
        self.arm(host, is_drained);
        self.look(host);
        Ok(())
    }

    fn deadline(&self, host: HostId) -> Option<Time> {
        self.process(host).and_then(Process::deadline)
    }

    /// Takes out all that the node tells its application; true when it has left.
    fn hear(&mut self, host: HostId) -> Result<bool, Violation> {
        let now = self.now;
        let Some(process) = &mut self.hosts[host.index()].process else { return Ok(false) };
        let life = process.life;
        let mut has_left = false;
        let facts = &mut self.facts;
        let mut tell = |what| facts.push_back(Fact { host, life, what });
        while let Some(key) = process.node.poll_changed() {
            process.publish(key);
            tell(What::Changed(key));
        }
        while let Some((id, fetched)) = process.node.poll_fetched() {
            tell(What::Fetched(id, fetched));
        }
        while let Some((id, outcome)) = process.node.poll_outcome() {
            tell(What::Outcome(id, outcome));
        }
        while let Some(message) = process.node.poll_message() {
            tell(What::Message(message));
        }
        while let Some(event) = process.node.poll_event() {
            has_left |= matches!(event, Event::Left { .. });
            let wrong = process.follow(&event);
            Violation::unless(wrong.is_none(), Promise::Agreement, now, || {
                format!("{host}: {}", wrong.unwrap_or_default())
            })?;
            tell(What::Event(event));
        }
        Ok(has_left)
    }

    /// Sets the moment of the next turn.
    fn arm(&mut self, host: HostId, is_drained: bool) {
        let place = &mut self.hosts[host.index()];
        let Some(process) = &mut place.process else { return };
        if let Some(wake) = process.wake.take() {
            self.wakes.remove(&(wake, host));
        }
        let due = process.deadline().map_or(Moment::NEVER, |at| place.clock.moment(at));
        let wake = if is_drained { due.min(process.wall_at).max(self.now) } else { self.now };
        process.wake = Some(wake);
        self.wakes.insert((wake, host));
    }

    fn submit(&mut self, host: HostId, transmit: Transmit) -> Result<(), Violation> {
        let now = self.now;
        self.counts.transmits += 1;
        self.sent.handle(now, host, &transmit);
        self.mark(&transmit);
        let demand =
            |holds: bool, story: String| Violation::unless(holds, Promise::Turn, now, || format!("{host} {story}"));
        match transmit {
            Transmit::Datagram { to, bytes } => {
                demand(bytes.len() < DATAGRAM_END, format!("sends a datagram of {} bytes", bytes.len()))?;
                if let Some(to) = self.known(to) {
                    self.note_datagram(host, to, &bytes);
                    self.net.send(now, host, to, &bytes);
                    self.note_crowded_out(&bytes);
                }
            }
            Transmit::Multicast { bytes } => {
                demand(bytes.len() < DATAGRAM_END, format!("sends a datagram of {} bytes", bytes.len()))?;
                if self.discovery.has_group() {
                    self.note_multicast(host, &bytes);
                    self.net.send_to_group(now, host, &bytes);
                    self.note_crowded_out(&bytes);
                }
            }
            Transmit::Open { stream, to } => {
                let to = self.known(to);
                demand(to.is_some_and(|to| to != host), format!("opens a stream to {to:?}"))?;
                let connection = to.map(|to| self.net.open(now, host, to));
                if let (Some(connection), Some(to)) = (connection, to) {
                    self.note_stream(connection, to);
                }
                if let (Some(connection), Some(process)) = (connection, &mut self.hosts[host.index()].process) {
                    demand(!process.streams.contains_key(&stream), format!("names two streams {stream:?}"))?;
                    process.name(stream, connection);
                }
            }
            Transmit::Write { stream, bytes } => {
                self.counts.writes += 1;
                demand(!bytes.is_empty(), format!("writes nothing to {stream:?}"))?;
                self.write(host, stream, bytes)?;
            }
            Transmit::Close { stream } => {
                let process = self.hosts[host.index()].process.as_mut();
                let connection = process.and_then(|process| process.forget_stream(stream));
                demand(connection.is_some(), format!("closes {stream:?}, which is not there"))?;
                if let Some(connection) = connection {
                    self.net.close(now, connection);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, host: HostId, stream: StreamId, bytes: Bytes) -> Result<(), Violation> {
        let at = self.now;
        let wrong = |story| Err(Violation { promise: Promise::Turn, at, story: format!("{host} {story}") });
        let Some(&connection) = self.process(host).and_then(|process| process.streams.get(&stream)) else {
            return wrong(format!("writes to {stream:?}, which is closed"));
        };
        self.note_write(host, connection, &bytes);
        self.lookout.handle_write(connection, &bytes);
        match self.net.write(self.now, connection, bytes) {
            Taken::All => Ok(()),
            Taken::Part => {
                self.input(host, |node, time| node.handle_blocked(time, stream));
                Ok(())
            }
            Taken::NotOpen => wrong(format!("writes to {stream:?} before it is open")),
            Taken::Blocked => wrong(format!("writes to {stream:?} while it is blocked")),
        }
    }

    fn known(&self, address: SocketAddr) -> Option<HostId> {
        HostId::at(address).filter(|host| host.index() < self.hosts.len())
    }

    fn mark(&self, transmit: &Transmit) {
        match transmit {
            Transmit::Datagram { bytes, .. } | Transmit::Multicast { bytes } => self.marks.sent(bytes, false),
            Transmit::Write { bytes, .. } => self.marks.sent(bytes, true),
            Transmit::Open { .. } | Transmit::Close { .. } => {}
        }
    }
}
