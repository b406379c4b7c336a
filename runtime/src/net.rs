//! The sockets at work: what is ready goes into the node, what the node wants goes out.
//!
//! Nothing here blocks, and nothing here knows what the bytes mean. Streams are read fairly: each that is ready gets a
//! share of one budget in a turn, and what is left over is reported again by the poller.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
};

use bytes::Bytes;
use heirloom_core::{CloseCause, StreamId, Time, Transmit};

use crate::{
    closing::Closing,
    poller::{Interest, Poller, Ready},
    recorded::Recorded,
    settings::{Settings, StartError},
    sockets::{Sent, Sockets},
    stats::DriverStats,
    stream::{Phase, Side, Stream, Written, cause},
};

/// From here on the numbers that are added to a poller belong to the driver; all below are its owner's.
pub const DRIVER_TOKENS: u64 = 1 << 63;

pub(crate) const LISTENER: u64 = DRIVER_TOKENS;
pub(crate) const DATAGRAMS: u64 = DRIVER_TOKENS + 1;
pub(crate) const GROUP: u64 = DRIVER_TOKENS + 2;
pub(crate) const OTHER: u64 = DRIVER_TOKENS + 3;
/// Streams come from here on, by their number in the node.
const STREAMS: u64 = DRIVER_TOKENS + 16;

/// Datagrams that are taken of one socket in one turn.
const DATAGRAMS_MAX: usize = 64;
/// Streams that are accepted in one turn.
const ACCEPTS_MAX: usize = 64;
/// Bytes that are read of all streams in one turn, beside one buffer each.
const BUDGET: usize = 1 << 20;
/// What everything is read into: more than the longest datagram.
const BUFFER: usize = 64 << 10;
/// How long a stream that is being closed may take to write its rest and to hear that the other side closes.
const CLOSE_FOR: Duration = Duration::from_secs(2);
/// How long no stream is accepted after the system could not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sockets of a node and its streams.
#[derive(Debug)]
pub(crate) struct Net {
    poller: Arc<Poller>,
    sockets: Sockets,
    streams: BTreeMap<StreamId, Stream>,
    /// Those that are being closed, by when they are given up.
    closing: VecDeque<(Time, StreamId)>,
    /// How many of the streams others opened.
    accepted: usize,
    accepted_max: usize,
    /// When to accept again, after the system could not.
    accept_at: Option<Time>,
    buffer: Box<[u8]>,
    stats: DriverStats,
}

impl Net {
    /// Adds open sockets to the poller.
    ///
    /// # Errors
    ///
    /// Those of the poller.
    pub(crate) fn new(settings: &Settings, sockets: Sockets, poller: Arc<Poller>) -> Result<Self, StartError> {
        let address = sockets.address;
        sockets.add_to(&poller).map_err(|source| StartError::Poller { address, source })?;
        let stats = DriverStats { receive_buffer: sockets.receive_buffer, ..DriverStats::default() };
        Ok(Self {
            poller,
            sockets,
            streams: BTreeMap::new(),
            closing: VecDeque::new(),
            accepted: 0,
            accepted_max: settings.accepted_max,
            accept_at: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            stats,
        })
    }

    /// Deals with what is ready.
    pub(crate) fn handle_ready(&mut self, node: &mut Recorded, now: Time, ready: &[Ready]) {
        let streams = ready.iter().filter(|ready| STREAMS <= ready.token).count();
        let share = BUDGET / streams.max(1);
        for ready in ready {
            match ready.token {
                LISTENER => self.accept(node, now),
                DATAGRAMS | GROUP | OTHER => self.receive(node, now, ready.token),
                token if STREAMS <= token => {
                    let stream = StreamId(token - STREAMS);
                    if ready.writable {
                        self.handle_writable(node, now, stream);
                    }
                    if ready.readable {
                        self.handle_readable(node, now, stream, share);
                    }
                }
                _ => {}
            }
        }
    }

    /// Gives up what took too long.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        while self.closing.front().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, stream)) = self.closing.pop_front() {
                self.remove(stream);
            }
        }
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
            // If this fails nothing is accepted any more, and others see that.
            let _ = self.poller.modify(&self.sockets.listener, LISTENER, Interest::Readable);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let closing = self.closing.front().map(|&(at, _)| at);
        [closing, self.accept_at].into_iter().flatten().min()
    }

    /// Does what the node wants.
    pub(crate) fn submit(&mut self, node: &mut Recorded, now: Time, transmit: Transmit) {
        match transmit {
            Transmit::Datagram { to, bytes } => self.send(node, now, to, &bytes),
            Transmit::Multicast { bytes } => self.send_to_group(&bytes),
            Transmit::Open { stream, to } => self.open(node, now, stream, to),
            Transmit::Write { stream, bytes } => self.write(node, now, stream, bytes),
            Transmit::Close { stream } => self.close(now, stream),
        }
    }

    pub(crate) fn stats(&self) -> DriverStats {
        DriverStats { streams: self.streams.len(), ..self.stats }
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.stats.bytes_written
    }

    pub(crate) fn stats_mut(&mut self) -> &mut DriverStats {
        &mut self.stats
    }

    /// Closes everything but the streams, which are closed by what this answers.
    ///
    /// # Errors
    ///
    /// If there is nothing to wait for them with. They are closed.
    pub(crate) fn close_all(mut self) -> io::Result<Closing> {
        let streams = core::mem::take(&mut self.streams);
        for stream in streams.values() {
            let _ = self.poller.delete(&stream.socket);
        }
        // The listener goes first: who sees its stream end and asks here is refused, and knows that nobody is there.
        drop(self);
        Closing::new(streams, CLOSE_FOR)
    }

    fn accept(&mut self, node: &mut Recorded, now: Time) {
        for _ in 0..ACCEPTS_MAX {
            let (socket, from) = match self.sockets.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_passing(&error) => continue,
                Err(_) => return self.pause_accepting(now),
            };
            if self.accepted_max <= self.accepted {
                self.stats.streams_refused += 1;
                continue;
            }
            let Ok(stream) = Stream::accepted(socket) else { continue };
            let id = node.handle_accepted(now, from);
            self.stats.streams_accepted += 1;
            if self.insert(id, stream).is_err() {
                self.lose(node, now, id, CloseCause::Broken);
            }
        }
    }

    /// The poller would report the listener at once and for ever.
    fn pause_accepting(&mut self, now: Time) {
        self.stats.accepts_failed += 1;
        self.accept_at = Some(now + ACCEPT_PAUSE);
        let _ = self.poller.modify(&self.sockets.listener, LISTENER, Interest::Nothing);
    }

    fn receive(&mut self, node: &mut Recorded, now: Time, token: u64) {
        let socket = self.sockets.receiver(token);
        for _ in 0..DATAGRAMS_MAX {
            let (length, from) = match socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if is_passing(&error) => continue,
                Err(_) => return,
            };
            self.stats.datagrams_received += 1;
            if let Err(error) = node.handle_datagram(now, from, &self.buffer[..length]) {
                self.stats.frame_errors.count(error);
            }
        }
    }

    fn send(&mut self, node: &mut Recorded, now: Time, to: SocketAddr, bytes: &[u8]) {
        match self.sockets.send(to, bytes) {
            Sent::Yes => self.stats.datagrams_sent += 1,
            Sent::NoRoom => self.stats.datagrams_dropped += 1,
            Sent::Failed => {
                self.stats.datagrams_failed += 1;
                node.handle_send_failed(now, to);
            }
        }
    }

    fn send_to_group(&mut self, bytes: &[u8]) {
        match self.sockets.send_to_group(bytes) {
            Some(Sent::Yes) => self.stats.datagrams_sent += 1,
            Some(Sent::NoRoom) => self.stats.datagrams_dropped += 1,
            Some(Sent::Failed) => self.stats.multicasts_failed += 1,
            None => {}
        }
    }

    fn open(&mut self, node: &mut Recorded, now: Time, stream: StreamId, to: SocketAddr) {
        let opened = Stream::open(to).and_then(|opening| self.insert(stream, opening));
        if let Err(error) = opened {
            self.stats.opens_failed += 1;
            self.lose(node, now, stream, cause(&error));
        }
    }

    fn write(&mut self, node: &mut Recorded, now: Time, id: StreamId, bytes: Bytes) {
        // It may have been lost after the node asked for this.
        let Some(stream) = self.streams.get_mut(&id) else { return };
        assert!(stream.phase == Phase::Open, "the node writes to streams that are open");
        let length = bytes.len();
        match stream.write(bytes) {
            Ok(Written::All) => self.count_written(length),
            Ok(Written::Part) => {
                let rest = stream.rest();
                self.count_written(length - rest);
                self.stats.writes_blocked += 1;
                node.handle_blocked(now, id);
                self.renew(node, now, id);
            }
            Err(error) => self.lose(node, now, id, cause(&error)),
        }
    }

    fn close(&mut self, now: Time, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let was = core::mem::replace(&mut stream.phase, Phase::Closing);
        assert!(was != Phase::Closing, "the node closes a stream once");
        let ended = stream.rest() != 0 || stream.end().is_ok();
        if was == Phase::Opening || !ended {
            self.remove(id);
            return;
        }
        self.closing.push_back((now + CLOSE_FOR, id));
    }

    fn handle_writable(&mut self, node: &mut Recorded, now: Time, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let before = stream.rest();
        let written = match stream.phase {
            Phase::Opening => return self.handle_opened(node, now, id),
            Phase::Open | Phase::Closing if before == 0 => return,
            Phase::Open | Phase::Closing => stream.write_rest(),
        };
        let (phase, rest) = (stream.phase, stream.rest());
        self.count_written(before - rest);
        match (written, phase) {
            (Ok(Written::Part), _) => {}
            (Ok(Written::All), Phase::Closing) => match self.streams.get(&id).map(Stream::end) {
                Some(Ok(())) => self.renew(node, now, id),
                Some(Err(_)) | None => self.remove(id),
            },
            (Ok(Written::All), Phase::Opening | Phase::Open) => {
                self.renew(node, now, id);
                if self.streams.contains_key(&id) {
                    node.handle_writable(now, id);
                }
            }
            (Err(error), _) => self.lose(node, now, id, cause(&error)),
        }
    }

    fn handle_opened(&mut self, node: &mut Recorded, now: Time, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let failed = stream.socket.take_error().unwrap_or_else(Some);
        if let Some(error) = failed.or_else(|| stream.socket.peer_addr().err()) {
            self.stats.opens_failed += 1;
            return self.lose(node, now, id, cause(&error));
        }
        stream.phase = Phase::Open;
        self.stats.streams_opened += 1;
        self.renew(node, now, id);
        if self.streams.contains_key(&id) {
            node.handle_opened(now, id);
        }
    }

    fn handle_readable(&mut self, node: &mut Recorded, now: Time, id: StreamId, share: usize) {
        let mut read = 0;
        while read <= share {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            let phase = stream.phase;
            let length = match (phase, stream.read(&mut self.buffer)) {
                (Phase::Opening, _) | (_, Ok(None)) => return,
                (_, Ok(Some(0))) => return self.lose(node, now, id, CloseCause::Closed),
                (_, Ok(Some(length))) => length,
                (_, Err(error)) => return self.lose(node, now, id, cause(&error)),
            };
            read += length;
            self.stats.bytes_read += u64::try_from(length).unwrap_or(u64::MAX);
            if phase == Phase::Open
                && let Err(error) = node.handle_stream(now, id, &self.buffer[..length])
            {
                // The node may want it closed: that comes first.
                self.stats.frame_errors.count(error);
                return;
            }
            if length < self.buffer.len() {
                return;
            }
        }
    }

    /// A stream is over, and the node does not know yet.
    fn lose(&mut self, node: &mut Recorded, now: Time, id: StreamId, cause: CloseCause) {
        let known = self.streams.get(&id).is_none_or(|stream| stream.phase != Phase::Closing);
        self.remove(id);
        if known {
            node.handle_closed(now, id, cause);
        }
    }

    fn insert(&mut self, id: StreamId, stream: Stream) -> io::Result<()> {
        self.poller.add(&stream.socket, token(id), stream.interest())?;
        self.accepted += usize::from(stream.side == Side::There);
        let before = self.streams.insert(id, stream);
        assert!(before.is_none(), "a node names each stream anew");
        Ok(())
    }

    /// Tells the poller what a stream waits for now.
    fn renew(&mut self, node: &mut Recorded, now: Time, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else { return };
        if let Err(error) = self.poller.modify(&stream.socket, token(id), stream.interest()) {
            self.lose(node, now, id, cause(&error));
        }
    }

    fn remove(&mut self, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        let _ = self.poller.delete(&stream.socket);
        self.accepted -= usize::from(stream.side == Side::There);
    }

    fn count_written(&mut self, bytes: usize) {
        self.stats.bytes_written += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}

impl Drop for Net {
    /// A poller may hold on to sockets that are not taken out of it.
    fn drop(&mut self) {
        self.sockets.remove_from(&self.poller);
        for stream in self.streams.values() {
            let _ = self.poller.delete(&stream.socket);
        }
    }
}

fn token(id: StreamId) -> u64 {
    assert!(id.0 < DRIVER_TOKENS - 16, "a node numbers its streams from the bottom");
    STREAMS + id.0
}

/// Errors of one connection or call, after which the next may succeed at once.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}
