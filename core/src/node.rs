//! One member of a cluster: routes between the machines, and decides nothing itself.

mod adopt;
mod advance;
mod building;
mod check;
mod copies;
mod damage;
mod digests;
mod ends;
mod fetching;
#[cfg(test)]
mod hostile;
mod leaving;
#[cfg(test)]
mod lost;
mod map;
mod merge;
mod messages;
mod moves;
mod notes;
mod parted;
mod probes;
mod reads;
mod receive;
mod release;
mod room;
mod send;
mod verbs;
mod versions;
mod wake;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use self::leaving::Leaving;
use crate::{
    commits::{Commits, Others},
    config::{Config, ConfigError},
    copies::Copies,
    delta::{CommitId, Outcome},
    digest::Digests,
    expiry::{Expiry, Ledger},
    feed::Feed,
    fetch::{FetchId, Fetched, Fetches},
    io::{CloseCause, Event, FrameError, StreamId, Transmit},
    join::{Joiners, Rounds},
    key::SessionKey,
    limits::{Limits, WhenFull},
    links::Links,
    map::{EntryId, SharedMap},
    member::{MemberId, MemberState},
    membership::Membership,
    messages::{Message, Messages},
    ownership::Ownership,
    placement::Placement,
    pressure::Pressure,
    quorum::{Minority, Quorum},
    relays::Relays,
    relocation::Relocation,
    risk::Risk,
    rng::Rng,
    session::Change,
    sessions::{Room, Sessions},
    stamp::HybridClock,
    stats::Stats,
    time::{Time, Wall},
    traffic::Traffic,
    wire::ClusterTag,
};

/// One member of a cluster.
///
/// It is driven from outside: see the crate's documentation for the turn that every driver takes. After any call that
/// returns an error the node is as it was before.
#[derive(Clone, Debug)]
pub struct Node {
    id: MemberId,
    config: Config,
    limits: Limits,
    cluster: ClusterTag,
    /// The newest time seen: an older `now` counts as this one.
    now: Time,
    /// When it was last found to have slept, or started.
    woken: Time,
    /// When to see again whether this node may start alone.
    first_at: Time,
    state: MemberState,
    leaving: Leaving,
    clock: HybridClock,
    rng: Rng,
    membership: Membership,
    links: Links,
    feeds: BTreeMap<MemberId, Feed>,
    others: Arc<Others>,
    sessions: Sessions,
    pressure: Pressure,
    expiry: Expiry,
    ledger: Ledger,
    ownership: Ownership,
    placement: Placement,
    relays: Relays,
    relocation: Relocation,
    fetches: Fetches,
    digests: Digests,
    rounds: Rounds,
    joiners: Joiners,
    commits: Commits,
    messages: Messages,
    /// What others are told of this member for its application.
    payload: Bytes,
    map: SharedMap,
    map_commits: Commits<EntryId>,
    quorum: Quorum,
    /// Why this member sees too few others.
    minority: Option<Minority>,
    risk: Risk,
    /// Who must hold what has changed since it was last seen what is at risk.
    replaced: bool,
    /// Members that went away.
    breaks: BTreeMap<MemberId, Break>,
    /// Members whose clocks are reported to be far ahead.
    ahead: BTreeSet<MemberId>,
    change: Change,
    outbox: VecDeque<Transmit>,
    last_served: StreamId,
    events: VecDeque<Event>,
    stats: Stats,
    traffic: Traffic,
}

/// What is remembered of a member that went away.
#[derive(Clone, Copy, Debug)]
struct Break {
    /// A time at which it was still heard.
    since: Time,
    /// The reading of this node's clock when it was removed.
    clock: u64,
    /// It, or another that only it had met, may be serving on the other side of a broken network.
    lurking: bool,
    /// It has come back, later than ends are remembered.
    too_long: bool,
}

impl Node {
    /// A member that starts its life now.
    ///
    /// `id` must be random and new; `address` is where others reach this member by stream and by datagram; `seed` is all
    /// the entropy that the node has.
    ///
    /// # Errors
    ///
    /// The first setting of `config` that is out of its range.
    pub fn new(id: MemberId, address: SocketAddr, config: Config, seed: u64, now: Time) -> Result<Self, ConfigError> {
        config.check()?;
        let room = if config.when_full == WhenFull::Evict { Room::ordered(id) } else { Room::default() };
        let is_shared = config.copies != Copies::Nowhere;
        let every = if is_shared { config.digest_every } else { Duration::ZERO };
        let digests = Digests::new(id, every, config.drop_time, now);
        Ok(Self {
            id,
            limits: Limits::new(&config),
            cluster: ClusterTag::new(&config.cluster_name),
            now,
            woken: now,
            first_at: now + config.join_for,
            state: MemberState::Joining,
            leaving: Leaving::No,
            clock: HybridClock::default(),
            rng: Rng::new(seed),
            membership: Membership::new(id, address, &config, seed, now),
            links: Links::new(id, config.probe_time),
            feeds: BTreeMap::new(),
            others: Arc::default(),
            sessions: Sessions::with(room, digests.is_on()),
            pressure: Pressure::default(),
            expiry: Expiry::default(),
            ledger: Ledger::default(),
            ownership: Ownership::default(),
            placement: Placement::new(config.copies, Vec::new(), Vec::new()),
            relays: Relays::new(config.probe_time),
            relocation: Relocation::default(),
            fetches: Fetches::default(),
            digests,
            rounds: Rounds::default(),
            joiners: Joiners::default(),
            commits: Commits::default(),
            messages: Messages::new(&config),
            payload: Bytes::copy_from_slice(config.payload.as_bytes()),
            map: SharedMap::new(&config),
            map_commits: Commits::default(),
            quorum: Quorum::default(),
            minority: None,
            risk: Risk::default(),
            replaced: false,
            breaks: BTreeMap::new(),
            ahead: BTreeSet::new(),
            change: Change::default(),
            outbox: VecDeque::new(),
            last_served: StreamId(0),
            events: VecDeque::new(),
            stats: Stats::default(),
            traffic: Traffic::default(),
            config,
        })
    }

    /// Whether there is a group that `Transmit::Multicast` reaches; there is one unless this says otherwise.
    pub fn set_group(&mut self, group: bool) {
        self.membership.beats().set_group(group);
    }

    /// A datagram has arrived, sent to this member or to the group.
    ///
    /// # Errors
    ///
    /// The bytes mean nothing here; they were dropped and counted.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) -> Result<(), FrameError> {
        let now = self.moved_to(now);
        let result = self.receive_datagram(now, from, bytes);
        self.count_refused(result);
        self.advance(now);
        result
    }

    /// Another member has opened a stream to this one; the node gives it its name.
    pub fn handle_accepted(&mut self, now: Time, _from: SocketAddr) -> StreamId {
        let now = self.moved_to(now);
        let stream = self.links.accept(now);
        self.check_debug();
        stream
    }

    /// A stream that `Transmit::Open` asked for is open.
    pub fn handle_opened(&mut self, now: Time, stream: StreamId) {
        let now = self.moved_to(now);
        self.links.handle_opened(stream);
        self.advance(now);
    }

    /// Bytes of a stream have arrived, cut anywhere.
    ///
    /// # Errors
    ///
    /// The bytes mean nothing here: they were dropped and counted, and the stream is being closed.
    pub fn handle_stream(&mut self, now: Time, stream: StreamId, bytes: &[u8]) -> Result<(), FrameError> {
        let now = self.moved_to(now);
        let result = self.receive_stream(now, stream, bytes);
        self.count_refused(result);
        if result.is_err() {
            self.close(now, stream, CloseCause::Broken);
        }
        self.advance(now);
        result
    }

    /// A stream was closed by the other side, broke, or could not be opened.
    pub fn handle_closed(&mut self, now: Time, stream: StreamId, cause: CloseCause) {
        let now = self.moved_to(now);
        self.drop_stream(now, stream, cause);
        self.advance(now);
    }

    /// A stream took only a part of a write; the driver keeps the rest.
    pub fn handle_blocked(&mut self, _now: Time, stream: StreamId) {
        if let Some(link) = self.links.get_mut(stream) {
            link.blocked = true;
        }
        self.check_debug();
    }

    /// The rest of the write is written.
    pub fn handle_writable(&mut self, _now: Time, stream: StreamId) {
        if let Some(link) = self.links.get_mut(stream) {
            link.blocked = false;
        }
        self.check_debug();
    }

    /// A datagram could not be sent there.
    pub fn handle_send_failed(&mut self, now: Time, to: SocketAddr) {
        let now = self.moved_to(now);
        self.membership.handle_send_failed(now, to);
        self.advance(now);
    }

    /// A reading of the wall clock. Repeat it now and then; it goes into stamps alone.
    pub fn handle_wall(&mut self, now: Time, wall: Wall) {
        let now = self.moved_to(now);
        self.clock.handle_wall(now, wall);
        self.check_debug();
    }

    /// The time that `poll_timeout` told has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.doubt_itself(now);
        let now = self.moved_to(now);
        for _ in 0..TIMER_ROUNDS {
            self.run_timers(now);
            self.advance(now);
            if self.poll_timeout().is_none_or(|at| now < at) {
                return;
            }
        }
        assert!(self.poll_timeout().is_none_or(|at| now < at), "what was due is done");
    }

    /// The next thing for the driver to do. Ask until there is none, or until the driver has done enough for one turn.
    pub fn poll_transmit(&mut self, now: Time) -> Option<Transmit> {
        let now = self.moved_to(now);
        if let Some(transmit) = self.outbox.pop_front() {
            return Some(transmit);
        }
        let write = self.build_write(now);
        self.check_debug();
        write
    }

    /// The next commit that has ended. None is dropped or merged with another.
    pub fn poll_outcome(&mut self) -> Option<(CommitId, Outcome)> {
        let outcome = self.commits.poll_outcome().or_else(|| self.map_commits.poll_outcome());
        outcome.inspect(|(_, outcome)| self.stats.count(outcome))
    }

    /// The next answer to a [`fetch`](Self::fetch). None is dropped.
    pub fn poll_fetched(&mut self) -> Option<(FetchId, Fetched)> {
        self.fetches.poll_fetched()
    }

    /// The next message of the application of another member. What comes while `messages_max` wait to be read is dropped.
    pub fn poll_message(&mut self) -> Option<Message> {
        self.messages.poll_message()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.map.poll_news().map(Event::MapChanged))
    }

    /// The next session whose state or deadline has changed since it was last named here, for who keeps a table of them
    /// for readers.
    pub fn poll_changed(&mut self) -> Option<SessionKey> {
        self.sessions.poll_changed()
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.leaving == Leaving::Left {
            return None;
        }
        let first = self.first_member_at();
        let pressure = self.pressure.poll_timeout().filter(|_| self.state == MemberState::Ready);
        let machines = [
            self.membership.poll_timeout(),
            self.links.poll_timeout(),
            self.expiry.poll_timeout(),
            self.ledger.poll_timeout(),
            self.ownership.poll_timeout(),
            self.commits.poll_timeout(),
            self.map_commits.poll_timeout(),
            self.map.poll_timeout(),
            self.relocation.poll_timeout(),
            self.fetches.poll_timeout(),
            self.digests.poll_timeout(),
        ];
        machines.into_iter().chain([self.leaving.poll_timeout(), first, pressure]).flatten().min()
    }

    fn count_refused(&mut self, result: Result<(), FrameError>) {
        match result {
            Ok(()) => {}
            Err(FrameError::Kind) => self.stats.kinds_unknown += 1,
            Err(_) => self.stats.frames_refused += 1,
        }
    }

    fn raise(&mut self, event: Event) {
        if self.config.events_max <= self.events.len() + 1 {
            if self.events.back() != Some(&Event::Lagged) {
                self.events.push_back(Event::Lagged);
            }
        } else {
            self.events.push_back(event);
        }
    }

    fn next_change(&mut self) -> Change {
        self.change.0 += 1;
        self.change
    }
}

/// A timer may set another that is due at once, but not for ever.
const TIMER_ROUNDS: usize = 64;
