//! The loop of the node: one thread drives the member and serves its clients.
//!
//! In each round the clients that are ready are served, then the driver has its turn, so that all writes of the round
//! travel together; then everybody is sent what is theirs. There is no other thread between a client and the member.

use core::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    io::{self, Write as _},
    net::TcpListener,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use heirloom_core::{AtRisk, Event, MemberId, MemberState, ReadyCause};
use heirloom_runtime::{DRIVER_TOKENS, Interest, Left, NextEvent, Poller, Ready, RecordState};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    low_level::pipe,
};
use tracing::{debug, info, warn};

use crate::{
    client::{Desk, Scratch},
    clients::Clients,
    commands::{Counters, Program},
    driver::Driver,
    options::{Failure, Options},
    peers::Peers,
    resp::Limits,
    store::{Local, Store as _},
    wakes::Wakes,
};

/// What stands beside the values of a session in the request or the reply that carries them all.
const FRAMING_BYTES: usize = 1 << 20;
/// How long clients have to take their last replies when the node has left.
const GOODBYE: Duration = Duration::from_millis(500);

// The tokens of the program; `clients` has those from zero on.
const SIGNALS: u64 = 1;
const EVENTS: u64 = 2;
const LEFT: u64 = 3;

/// A node that serves.
struct Server {
    driver: Driver,
    wakes: Arc<Wakes>,
    desk: Desk<Local>,
    clients: Clients<Local>,
    peers: Peers,
    signals: UnixStream,
    events: (NextEvent, Waker),
    drain_for: Duration,
    leaving: Option<(Left, Waker)>,
    /// Whether there is a record that goes on, as far as was told.
    records: bool,
}

/// Runs a node until it has left its cluster.
///
/// # Errors
///
/// When it cannot start, or cannot go on, or has left with something that nobody else has.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let runtime = options.runtime;
    let server = Server::start(options)?;
    let left = runtime.block_on(server.serve());
    let at_risk = left.map_err(|error| Failure::Start(format!("the node cannot go on: {error}")))?;
    if at_risk.is_none() { Ok(()) } else { Err(Failure::Lost(at_risk)) }
}

impl Server {
    fn start(options: Options) -> Result<Self, Failure> {
        let failed = |what: &'static str| move |error: io::Error| Failure::Start(format!("{what}: {error}"));
        raise_open_files(options.clients_max);
        let listener = TcpListener::bind(options.listen)
            .map_err(|error| Failure::Start(format!("cannot listen on {}: {error}", options.listen)))?;
        let listen = listener.local_addr().map_err(failed("cannot listen"))?;
        let poller = Arc::new(Poller::new().map_err(failed("cannot wait for sockets"))?);
        let signals = signals(&poller).map_err(failed("cannot take signals"))?;
        let config = options.config;
        let program = Program {
            name: config.name.clone(),
            cluster_name: config.cluster_name.clone(),
            listen,
            started: Instant::now(),
            idle: config.idle,
            copies: config.copies,
            memory_max: config.memory_max,
            when_full: config.when_full,
            partition: config.partition,
            host: config.host.clone(),
            zone: config.zone.clone(),
            domain: config.domain.clone(),
            payload: config.payload.clone(),
            weight: config.weight,
            version_max: config.version_max,
            durability: options.durability,
            drain_for: options.drain_for,
            clients_max: options.clients_max,
            reply_bytes_max: config.session_bytes_max.saturating_mul(2).saturating_add(FRAMING_BYTES),
            counters: Counters::default(),
        };
        let limits = Limits {
            argument_bytes_max: config.attribute_bytes_max,
            request_bytes_max: config.session_bytes_max.saturating_add(FRAMING_BYTES),
        };
        let record = options.settings.record.as_ref().map(|record| record.path.display().to_string());
        let (driver, handle) = Driver::new(options.runtime, options.settings, config, poller.clone())
            .map_err(|error| Failure::Start(error.to_string()))?;
        let peers = Peers::new(options.peers, poller.clone()).map_err(failed("cannot look up peers"))?;
        let wakes = Wakes::new(poller.clone());
        let clients = Clients::new(listener, poller.clone(), wakes.clone(), limits).map_err(failed("cannot listen"))?;
        let events = (handle.next_event(), wakes.waker(EVENTS));
        let store = Local::new(handle, options.durability, options.commit_for);
        info!(id = %store.id(), bind = %store.address(), %listen, "the node has started");
        let records = record.is_some();
        if let Some(file) = record {
            warn!(file, "all that comes to this node is recorded");
        }
        let desk = Desk { store, program, scratch: Scratch::new() };
        Ok(Self {
            driver,
            wakes,
            desk,
            clients,
            peers,
            signals,
            events,
            drain_for: options.drain_for,
            leaving: None,
            records,
        })
    }

    async fn serve(mut self) -> io::Result<AtRisk> {
        let (mut ready, mut woken) = (Vec::new(), vec![EVENTS]);
        let at_risk = loop {
            self.handle_woken(&mut woken);
            if let Some(at_risk) = self.has_left() {
                break at_risk;
            }
            self.clients.flush(&self.desk);
            self.driver.wait(&mut ready, self.timeout()).await?;
            self.driver.cork();
            if self.handle_ready(&ready) {
                self.leave();
            }
            self.driver.turn(&ready)?;
            self.look_at_record();
            self.wakes.take(&mut woken);
        };
        self.say_goodbye(&mut ready).await?;
        self.driver.finish().await;
        Ok(at_risk)
    }

    fn timeout(&self) -> Option<Duration> {
        [self.driver.timeout(), self.clients.timeout(&self.desk)].into_iter().flatten().min()
    }

    /// Serves who is ready. Tells whether the node is to leave.
    fn handle_ready(&mut self, ready: &[Ready]) -> bool {
        self.clients.handle_pause();
        let mut leaves = self.clients.handle_round(&mut self.desk);
        for &ready in ready.iter().filter(|ready| ready.token < DRIVER_TOKENS) {
            match ready.token {
                SIGNALS => leaves |= self.has_signal(),
                _ => leaves |= self.clients.handle_ready(&mut self.desk, ready),
            }
        }
        if let Some(peers) = self.peers.poll() {
            self.desk.store.handle().set_peers(peers);
        }
        leaves
    }

    fn handle_woken(&mut self, woken: &mut Vec<u64>) {
        for token in woken.drain(..) {
            match token {
                EVENTS => self.handle_events(),
                LEFT => {}
                _ => self.clients.handle_wake(token),
            }
        }
    }

    fn handle_events(&mut self) {
        let (next, waker) = &mut self.events;
        while let Poll::Ready(Some(event)) = Pin::new(&mut *next).poll(&mut Context::from_waker(waker)) {
            *next = self.desk.store.handle().next_event();
            self.desk.store.handle_change();
            report(&event, &self.desk);
        }
    }

    /// Tells once that the record has ended.
    fn look_at_record(&mut self) {
        if !self.records {
            return;
        }
        match self.desk.store.handle().driver_stats().record {
            RecordState::On(_) => return,
            RecordState::Off => {}
            RecordState::Full(bytes) => warn!(bytes, "the record is as long as it may get: it has ended"),
            RecordState::Failed(bytes) => warn!(bytes, "the record cannot be written: it has ended"),
        }
        self.records = false;
    }

    fn leave(&mut self) {
        if self.leaving.is_none() {
            info!("the node hands over and leaves the cluster");
            self.leaving = Some((self.desk.store.handle().drain(self.drain_for), self.wakes.waker(LEFT)));
            self.desk.store.handle_change();
        }
    }

    /// What was at risk when the node had left.
    fn has_left(&mut self) -> Option<AtRisk> {
        let (left, waker) = self.leaving.as_mut()?;
        match Pin::new(left).poll(&mut Context::from_waker(waker)) {
            Poll::Ready(at_risk) => Some(at_risk.unwrap_or_default()),
            Poll::Pending => None,
        }
    }

    fn has_signal(&self) -> bool {
        let mut bytes = [0; 16];
        let read = rustix::io::read(&self.signals, &mut bytes);
        read.is_ok_and(|len| 0 < len)
    }

    /// Clients get the replies to what they have asked; those that do not read them are not waited for.
    async fn say_goodbye(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        let end = Instant::now() + GOODBYE;
        while !self.clients.close(&self.desk) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.driver.wait(ready, Some(left.min(Duration::from_millis(10)))).await?;
        }
        info!("the node has left the cluster");
        Ok(())
    }
}

/// Tells people what has happened; whoever started the program waits for the line that it is ready.
fn report(event: &Event, desk: &Desk<Local>) {
    let Event::Ready(cause) = event else {
        log(event, &desk.store);
        return;
    };
    let cause = match cause {
        ReadyCause::FirstMember => "first-member",
        ReadyCause::Joined => "joined",
    };
    let (store, program) = (&desk.store, &desk.program);
    let (id, bind) = (store.id(), store.address());
    let line = format!("ready name={} id={id} listen={} bind={bind} cause={cause}", program.name, program.listen);
    // Whoever started the program may have gone.
    let _unheard = writeln!(io::stdout(), "{line}");
    assert!(store.state() != MemberState::Joining, "a node that says it is ready serves");
}

/// Tells operators of the members, and who looks for faults of everything else.
fn log(event: &Event, store: &Local) {
    let member =
        |id: MemberId| match store.members().into_iter().chain(store.neighbors()).find(|member| member.id == id) {
            Some(member) => format!("{} {} ({id})", member.name, member.address),
            None => id.to_string(),
        };
    match event {
        Event::Ready(_) => {}
        Event::MemberAdded(id) => info!(member = member(*id), "a member came into the view"),
        Event::MemberReady(id) => info!(member = member(*id), "a member is ready"),
        Event::MemberSuspect(id, cause) => warn!(member = member(*id), ?cause, "a member is suspected: it is probed"),
        Event::MemberCleared(id) => info!(member = member(*id), "a suspected member has answered"),
        Event::MemberRemoved(id, cause) => warn!(member = %id, ?cause, "a member is no longer in the view"),
        Event::MemberPayload(id) => debug!(member = member(*id), "what a member says of itself has changed"),
        Event::NeighborAdded(id) => info!(member = member(*id), "a member of another domain is there"),
        Event::NeighborRemoved(id, cause) => info!(member = %id, ?cause, "a member of another domain is gone"),
        Event::Seeking(address, cause) => {
            info!(%address, ?cause, "no member is there: it is looked for again and again")
        }
        Event::Found(address, id) => info!(%address, member = %id, "a member that was looked for is there"),
        Event::Paused(minority) => warn!("writes are refused until more members are seen: {minority}"),
        Event::Resumed => info!("enough members are seen: writes are taken again"),
        Event::MajorityLost(minority) => warn!("others may serve on the other side of a partition: {minority}"),
        Event::MajorityRegained => info!("enough members are seen again"),
        Event::Mismatched(id, address) => {
            warn!(member = %id, %address, "a member has another setting of copies: it stays out of the view");
        }
        Event::Incompatible { member, address, theirs, ours } => {
            warn!(%member, %address, %theirs, %ours, "a member shares no version of the protocol: it stays out of the view");
        }
        Event::Settled(id) => info!(member = %id, "the sessions of a removed member have owners and copies again"),
        Event::SessionEnded(key, cause) => debug!(%key, ?cause, "a session ended"),
        Event::MapChanged(name) => debug!(name = %name.escape_ascii(), "the shared map was changed elsewhere"),
        Event::ClockAhead(id, millis) => warn!(member = member(*id), millis, "the clock of a member is far ahead"),
        Event::Overfull(limit) => warn!("more is held here than {limit} allows: copies of other members' sessions"),
        Event::Repaired(key, id, difference) => {
            warn!(%key, member = member(*id), ?difference, "a copy was not what its owner has: both bring what they hold");
        }
        Event::Slept(length) => warn!(?length, "this node was not run for so long: others may have removed it"),
        Event::EndsForgotten => warn!("ended_max is reached: the oldest end was forgotten early"),
        Event::Left { at_risk } if at_risk.is_none() => info!("this node has handed over and left"),
        Event::Left { at_risk: AtRisk { sessions, entries } } => {
            warn!(sessions, entries, "this node has left, and no other member had all of these");
        }
        Event::Lagged => debug!("events were lost: look at everything again"),
    }
}

/// The first signal asks the node to leave; a second one ends the program wherever it is.
fn signals(poller: &Poller) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 128 + signal, is_second.clone())?;
        flag::register(signal, is_second.clone())?;
        pipe::register(signal, theirs.try_clone()?)?;
    }
    poller.add(&ours, SIGNALS, Interest::Readable)?;
    Ok(ours)
}

/// Every client needs an open file, and the members some more.
fn raise_open_files(clients_max: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let wanted = u64::try_from(clients_max).unwrap_or(u64::MAX).saturating_add(1024);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < allowed) {
        // With fewer, further clients wait until one has gone.
        let _kept = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    }
}
