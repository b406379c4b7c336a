//! All clients of the node, and the socket that they come to.
//!
//! A round serves who is ready; when the driver has had its turn, everybody who was served, or one of whose writes is
//! decided, is sent what is theirs. Nobody else is looked at.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use heirloom_core::Time;
use heirloom_runtime::{Interest, Poller, Ready};
use tracing::{debug, warn};

use crate::{
    client::{Client, Desk, Served},
    resp::Limits,
    store::Store,
    wakes::Wakes,
};

/// The token of the socket that clients come to. Those of the clients are above the tokens of the program.
pub(crate) const LISTENER: u64 = 0;
const FIRST_CLIENT: u64 = 1 << 10;

/// How many clients are let in in one round.
const ACCEPTS_MAX: usize = 64;
/// How long nobody is let in when the process has no more open files.
const PAUSE: Duration = Duration::from_millis(200);

/// The clients.
pub(crate) struct Clients<S: Store> {
    listener: TcpListener,
    poller: Arc<Poller>,
    wakes: Arc<Wakes>,
    limits: Limits,
    all: BTreeMap<u64, Client<S>>,
    next: u64,
    // Those that were served in this round, and those that have more for the next.
    served: Vec<u64>,
    more: Vec<u64>,
    /// Those that wait for a moment.
    waiting: BTreeMap<u64, Time>,
    is_paused: bool,
}

impl<S: Store> Clients<S> {
    /// Lets clients in.
    ///
    /// # Errors
    ///
    /// Those of the sockets.
    pub(crate) fn new(
        listener: TcpListener,
        poller: Arc<Poller>,
        wakes: Arc<Wakes>,
        limits: Limits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        poller.add(&listener, LISTENER, Interest::Readable)?;
        Ok(Self {
            listener,
            poller,
            wakes,
            limits,
            all: BTreeMap::new(),
            next: FIRST_CLIENT,
            served: Vec::new(),
            more: Vec::new(),
            waiting: BTreeMap::new(),
            is_paused: false,
        })
    }

    /// Something is ready that is not the driver's. Tells whether a client has asked the node to leave.
    pub(crate) fn handle_ready(&mut self, desk: &mut Desk<S>, ready: Ready) -> bool {
        if ready.token == LISTENER {
            self.accept(desk);
            return false;
        }
        let Some(client) = self.all.get_mut(&ready.token) else { return false };
        self.served.push(ready.token);
        ready.readable && client.handle_readable(desk) == Served::Shutdown
    }

    /// Serves those that had more in the last round, and those that have waited long enough. Tells whether a client has asked the node to leave.
    pub(crate) fn handle_round(&mut self, desk: &mut Desk<S>) -> bool {
        if !self.waiting.is_empty() {
            let now = desk.store.now();
            self.served.extend(self.waiting.iter().filter(|(_, at)| **at <= now).map(|(token, _)| token));
        }
        let mut leaves = false;
        for token in core::mem::take(&mut self.more) {
            let Some(client) = self.all.get_mut(&token) else { continue };
            self.served.push(token);
            leaves |= client.serve(desk) == Served::Shutdown;
        }
        leaves
    }

    /// A write of this client is decided.
    pub(crate) fn handle_wake(&mut self, token: u64) {
        self.served.push(token);
    }

    /// Sends what everybody has coming.
    pub(crate) fn flush(&mut self, desk: &Desk<S>) {
        let mut served = core::mem::take(&mut self.served);
        served.sort_unstable();
        served.dedup();
        for token in served.drain(..) {
            let Some(client) = self.all.get_mut(&token) else { continue };
            client.settle(desk);
            client.flush();
            if client.is_over() {
                self.remove(desk, token);
                continue;
            }
            match client.poll_timeout() {
                Some(at) => drop(self.waiting.insert(token, at)),
                None => drop(self.waiting.remove(&token)),
            }
            if client.can_go_on() {
                self.more.push(token);
            }
            if let Some(interest) = client.poll_interest()
                && let Err(error) = self.poller.modify(client.socket(), token, interest)
            {
                warn!(%error, "a client is dropped: it cannot be waited for");
                self.remove(desk, token);
            }
        }
        self.served = served;
    }

    /// Takes no more clients and no more commands. Tells whether all replies are on their way.
    pub(crate) fn close(&mut self, desk: &Desk<S>) -> bool {
        self.served.extend(self.all.keys());
        self.all.values_mut().for_each(Client::close);
        self.flush(desk);
        self.all.is_empty()
    }

    /// How long may be waited for something to be ready; `None` for ever.
    pub(crate) fn timeout(&self, desk: &Desk<S>) -> Option<Duration> {
        if !self.more.is_empty() {
            return Some(Duration::ZERO);
        }
        let pause = self.is_paused.then_some(PAUSE);
        let first = self.waiting.values().min().map(|at| at.since(desk.store.now()));
        pause.into_iter().chain(first).min()
    }

    /// Lets clients in again after a pause.
    pub(crate) fn handle_pause(&mut self) {
        if self.is_paused {
            self.is_paused = self.poller.add(&self.listener, LISTENER, Interest::Readable).is_err();
        }
    }

    fn accept(&mut self, desk: &Desk<S>) {
        for _ in 0..ACCEPTS_MAX {
            match self.listener.accept() {
                Ok((socket, address)) => self.admit(desk, socket, address),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    // Mostly too many open files: the client stays in the queue of the kernel, and would be told of at
                    // once again.
                    warn!(%error, "no client can be let in for a moment");
                    self.is_paused = self.poller.delete(&self.listener).is_ok();
                    return;
                }
            }
        }
    }

    fn admit(&mut self, desk: &Desk<S>, mut socket: TcpStream, address: SocketAddr) {
        let counters = &desk.program.counters;
        if desk.program.clients_max <= self.all.len() {
            counters.refused.set(counters.refused.get() + 1);
            // It is gone whether it hears this or not; the socket is new, so it has room.
            let _unheard =
                socket.set_nonblocking(true).and_then(|()| socket.write(b"-ERR max number of clients reached\r\n"));
            return;
        }
        let token = self.next;
        let waker = self.wakes.waker(token);
        let client = Client::new(socket, address, token - FIRST_CLIENT + 1, self.limits, waker).and_then(|client| {
            self.poller.add(client.socket(), token, Interest::Readable)?;
            Ok(client)
        });
        match client {
            Ok(client) => {
                self.next += 1;
                self.all.insert(token, client);
                counters.connections.set(counters.connections.get() + 1);
                counters.clients.set(self.all.len());
            }
            Err(error) => debug!(%error, "a client was gone before it was let in"),
        }
    }

    fn remove(&mut self, desk: &Desk<S>, token: u64) {
        let Some(client) = self.all.remove(&token) else { return };
        self.waiting.remove(&token);
        // Closing the socket takes it out of the poller too, but only where no copy of it is left.
        let _gone = self.poller.delete(client.socket());
        desk.program.counters.clients.set(self.all.len());
    }
}
