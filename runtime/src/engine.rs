//! What stands behind the lock: the node, its sockets, and those who wait for it.

mod fetching;
mod told;

use core::{fmt, net::SocketAddr, task::Waker, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heirloom_core::{
    AtRisk, CommitError, CommitId, Delta, Demand, Event, FetchId, Fetched, MemberId, Message, MessageError, Outcome,
    SessionKey, Time,
};

pub(crate) use self::{fetching::Asked, told::Told};
use crate::{
    alarm::{Alarm, Sleep},
    clock::Clock,
    completion::Completer,
    net::Net,
    outlet::Outlet,
    poller::Ready,
    published::{Live, Table},
    recorded::Recorded,
};

/// How much is sent in one go, so that a turn has an end.
const TURN_MAX: usize = 1024;
/// After how many bytes written to streams a turn of the driver ends.
const TURN_BYTES: u64 = 4 << 20;
/// The same for a caller: while somebody joins it is not the one to carry all sessions over.
const CALLER_BYTES: u64 = 256 << 10;
/// A caller sends nothing itself while so many frames are unacknowledged. What comes back brings the driver, and that sends
/// what all callers have committed meanwhile in one go: a write for each of them would take longer than all else they do.
const FRAMES_AHEAD: usize = 2;
/// Of so many callers that wait, one frame is enough: the others gain more by going together than they lose by waiting.
const MANY: usize = 4;
/// How long it waits at the most for the driver, if nothing comes back.
const PUT_OFF_MAX: Duration = Duration::from_millis(1);
/// How often the node hears what the wall clock says.
const WALL_EVERY: Duration = Duration::from_secs(1);

/// What is asked of the node by those who do not wait for the lock.
#[derive(Debug)]
pub(crate) enum Command {
    Commit { key: SessionKey, delta: Delta, demand: Demand, completer: Completer<Committed> },
    ChangeId { old: SessionKey, new: SessionKey, demand: Demand, completer: Completer<Committed> },
    MapSet { name: Bytes, value: Bytes, demand: Demand, completer: Completer<Committed> },
    MapRemove { name: Bytes, demand: Demand, completer: Completer<Committed> },
    Touch(SessionKey),
    SetPeers(Vec<SocketAddr>),
    StartAlone,
    Resume,
    Leave(Completer<AtRisk>),
    Drain(Duration, Completer<AtRisk>),
}

/// How a commit ended, or why it was refused.
pub(crate) type Committed = Result<Outcome, CommitError>;

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct Inside {
    /// `None` once the driver has stopped.
    pub(crate) engine: Option<Engine>,
    events: Outlet<Event>,
    events_max: usize,
    messages: Outlet<Message>,
}

/// The node at work.
pub(crate) struct Engine {
    pub(crate) node: Recorded,
    pub(crate) net: Net,
    commits: BTreeMap<CommitId, Completer<Committed>>,
    fetches: BTreeMap<FetchId, Completer<Fetched>>,
    leavers: Vec<Completer<AtRisk>>,
    leaving: Leaving,
    wall_at: Time,
    /// The last change of the shared map that was published.
    map_change: u64,
    /// Nothing is sent before the driver's next turn.
    corked: bool,
    /// A caller has left the sending to the driver since its last turn.
    put_off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Yes,
    /// With this at risk.
    Done(AtRisk),
}

/// What a turn of the driver came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    /// When the next one is due.
    pub(crate) at: Time,
    /// The node has left the cluster.
    pub(crate) left: bool,
}

impl Inside {
    pub(crate) fn new(node: Recorded, net: Net, events_max: usize) -> Self {
        let engine = Engine {
            node,
            net,
            commits: BTreeMap::new(),
            fetches: BTreeMap::new(),
            leavers: Vec::new(),
            leaving: Leaving::No,
            wall_at: Time::ZERO,
            map_change: 0,
            corked: false,
            put_off: false,
        };
        Self { engine: Some(engine), events: Outlet::default(), events_max, messages: Outlet::default() }
    }

    /// What a caller does when it goes in.
    pub(crate) fn serve(
        &mut self,
        commands: &mut VecDeque<Command>,
        now: Time,
        table: &Table,
        alarm: &Alarm,
        told: &mut Told,
    ) {
        let Some(engine) = &mut self.engine else { return commands.clear() };
        engine.net.stats_mut().turns_of_callers += 1;
        commands.drain(..).for_each(|command| engine.run(now, command, told));
        engine.publish(table);
        let puts_off = !engine.corked && engine.node.may_put_off(engine.frames_ahead());
        let more = !engine.corked && !puts_off && engine.flush(now, CALLER_BYTES);
        let due = engine.finish(table, told);
        engine.put_off |= puts_off;
        let due = if puts_off { Some(earlier(due, now + PUT_OFF_MAX)) } else { due };
        // Who corks takes a turn without having slept.
        let late = !engine.corked && due.is_some_and(|at| alarm.advance(at) == Sleep::TooLong);
        self.collect(table, told);
        told.wake_driver |= more || late || self.has_left();
    }

    /// A turn of the driver; the order is that of every driver.
    pub(crate) fn turn(
        &mut self,
        commands: &mut VecDeque<Command>,
        ready: &[Ready],
        now: Time,
        table: &Table,
        alarm: &Alarm,
    ) -> (Told, Turned) {
        let mut told = Told::default();
        let Some(engine) = &mut self.engine else {
            commands.clear();
            return (told, Turned { at: now, left: true });
        };
        engine.net.stats_mut().turns += 1;
        engine.net.stats_mut().record = engine.node.record();
        engine.corked = false;
        if engine.wall_at <= now {
            engine.node.handle_wall(now, Clock::wall());
            engine.wall_at = now + WALL_EVERY;
        }
        engine.net.handle_timeout(now);
        engine.net.handle_ready(&mut engine.node, now, ready);
        commands.drain(..).for_each(|command| engine.run(now, command, &mut told));
        while let Some(key) = alarm.poll_use(now) {
            if table.note_told(&key, now) {
                engine.node.touch(now, &key);
            }
        }
        if engine.node.poll_timeout().is_some_and(|at| at <= now) {
            engine.node.handle_timeout(now);
        }
        engine.publish(table);
        let more = engine.flush(now, TURN_BYTES);
        let mut at = earlier(engine.finish(table, &mut told), engine.wall_at);
        if core::mem::take(&mut engine.put_off) {
            // It will be so again: who puts off sending then finds this driver awake soon enough.
            at = at.min(now + PUT_OFF_MAX);
        }
        let at = alarm.arm(at);
        self.collect(table, &mut told);
        (told, Turned { at: if more { now } else { at }, left: self.has_left() })
    }

    /// The next event; else the waker is woken when there is one. The end is `Err`.
    pub(crate) fn poll_event(&mut self, waker: Option<&Waker>) -> Result<Option<Event>, Ended> {
        let Self { engine, events, .. } = self;
        let next = events.poll(waker, || engine.as_mut().and_then(Engine::poll_event));
        if next.is_none() && engine.is_none() { Err(Ended) } else { Ok(next) }
    }

    /// The next message of the application of another member. As [`Self::poll_event`].
    pub(crate) fn poll_message(&mut self, waker: Option<&Waker>) -> Result<Option<Message>, Ended> {
        let Self { engine, messages, .. } = self;
        let next = messages.poll(waker, || engine.as_mut().and_then(|engine| engine.node.poll_message()));
        if next.is_none() && engine.is_none() { Err(Ended) } else { Ok(next) }
    }

    /// The driver has stopped: takes the engine out. What is dropped with it is answered `Gone`. What was not read stays,
    /// unless a panic has left the node in a state that is not to be asked for anything.
    pub(crate) fn stop(&mut self, broken: bool) -> (Option<Engine>, Vec<Waker>) {
        let mut engine = self.engine.take();
        if let Some(engine) = engine.as_mut().filter(|_| !broken) {
            while let Some(event) = engine.poll_event() {
                self.events.keep(event, self.events_max);
            }
            self.messages.keep_all(core::iter::from_fn(|| engine.node.poll_message()));
        }
        let mut readers = Vec::new();
        self.events.take_readers(&mut readers);
        self.messages.take_readers(&mut readers);
        (engine, readers)
    }

    /// Looks at what the node has to tell if somebody waits for it.
    ///
    /// Events stay in the node as long as nobody does: it knows which may become one. A node that leaves is looked at
    /// each time, or the event that ends it would wait for a reader.
    fn collect(&mut self, table: &Table, told: &mut Told) {
        let Some(engine) = &mut self.engine else { return };
        table.publish_state(engine.node.state());
        if engine.leaving != Leaving::No {
            while let Some(event) = engine.poll_event() {
                self.events.keep(event, self.events_max);
            }
            if let Leaving::Done(at_risk) = engine.leaving {
                told.leavers.extend(engine.leavers.drain(..).map(|completer| (completer, at_risk)));
            }
        }
        self.events.offer(&mut told.readers, || engine.poll_event());
        self.messages.offer(&mut told.readers, || engine.node.poll_message());
    }

    fn has_left(&self) -> bool {
        self.engine.as_ref().is_none_or(|engine| matches!(engine.leaving, Leaving::Done(_)))
    }
}

fn earlier(due: Option<Time>, at: Time) -> Time {
    due.map_or(at, |due| due.min(at))
}

/// The driver has stopped and every event is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("id", &self.node.id()).field("leaving", &self.leaving).finish_non_exhaustive()
    }
}

impl Engine {
    fn run(&mut self, now: Time, command: Command, told: &mut Told) {
        match command {
            Command::Commit { key, delta, demand, completer } => {
                let commit = self.node.commit(now, key, delta, demand);
                self.await_outcome(commit, completer, told);
            }
            Command::ChangeId { old, new, demand, completer } => {
                let commit = self.node.change_id(now, old, new, demand);
                self.await_outcome(commit, completer, told);
            }
            Command::MapSet { name, value, demand, completer } => {
                let commit = self.node.map_set(now, name, value, demand);
                self.await_outcome(commit, completer, told);
            }
            Command::MapRemove { name, demand, completer } => {
                let commit = self.node.map_remove(now, name, demand);
                self.await_outcome(commit, completer, told);
            }
            Command::Touch(key) => self.node.touch(now, &key),
            Command::SetPeers(peers) => self.node.set_peers(now, peers),
            Command::StartAlone => self.node.start_alone(now),
            Command::Resume => self.node.resume(now),
            Command::Leave(completer) => {
                if self.await_end(completer, told) {
                    self.node.leave(now);
                }
            }
            Command::Drain(within, completer) => {
                if self.await_end(completer, told) {
                    self.node.drain(now, within);
                }
            }
        }
    }

    /// Tells whether the node is still there to leave.
    fn await_end(&mut self, completer: Completer<AtRisk>, told: &mut Told) -> bool {
        if let Leaving::Done(at_risk) = self.leaving {
            told.leavers.push((completer, at_risk));
            return false;
        }
        self.leavers.push(completer);
        self.leaving = Leaving::Yes;
        true
    }

    fn await_outcome(
        &mut self,
        commit: Result<CommitId, CommitError>,
        completer: Completer<Committed>,
        told: &mut Told,
    ) {
        match commit {
            Ok(commit) => {
                let before = self.commits.insert(commit, completer);
                assert!(before.is_none(), "a commit has a number of its own");
            }
            Err(error) => told.commits.push((completer, Err(error))),
        }
    }

    fn frames_ahead(&self) -> usize {
        if self.commits.len() < MANY { FRAMES_AHEAD } else { 1 }
    }

    /// Sends, and answers whether there may be more.
    fn flush(&mut self, now: Time, bytes_max: u64) -> bool {
        let until = self.net.bytes_written() + bytes_max;
        for _ in 0..TURN_MAX {
            let Some(transmit) = self.node.poll_transmit(now) else { return false };
            self.net.submit(&mut self.node, now, transmit);
            if until <= self.net.bytes_written() {
                break;
            }
        }
        true
    }

    /// Makes what has changed readable. That comes before anything is sent: who acknowledges a change to another member
    /// has it for its own readers.
    fn publish(&mut self, table: &Table) {
        while let Some(key) = self.node.poll_changed() {
            // Also what may not be served from here: that changes with the view, and a fetch tells it.
            let session = self.node.held(&key);
            let state = session.map(|session| Live {
                session: session.clone(),
                deadline: self.node.deadline(&key),
                ends_by: self.node.ends_by(&key),
            });
            table.publish(key, state);
        }
        let changes = self.node.map_changes(self.map_change);
        self.map_change = table.map.publish(changes).unwrap_or(self.map_change);
    }

    /// Takes the commits that have ended and the answers to fetches; who hears of one reads what it did. Answers when the
    /// next turn is due, asked last as sending may set a deadline.
    fn finish(&mut self, table: &Table, told: &mut Told) -> Option<Time> {
        self.publish(table);
        while let Some((commit, outcome)) = self.node.poll_outcome() {
            let completer = self.commits.remove(&commit).expect("a commit ends once");
            told.commits.push((completer, Ok(outcome)));
        }
        while let Some((fetch, fetched)) = self.node.poll_fetched() {
            let completer = self.fetches.remove(&fetch).expect("a fetch has one answer");
            told.fetches.push((completer, fetched));
        }
        [self.node.poll_timeout(), self.net.poll_timeout()].into_iter().flatten().min()
    }

    /// From here on what is committed waits for the driver's next turn.
    pub(crate) fn cork(&mut self) {
        self.corked = true;
    }

    /// Sends a message to one member, or to all, and answers to how many; and whether the driver has to come for it.
    pub(crate) fn send(&mut self, to: Option<MemberId>, message: Bytes) -> Result<(usize, bool), MessageError> {
        let sent = match to {
            Some(to) => self.node.send(to, message).map(|()| 1)?,
            None => self.node.send_to_all(message)?,
        };
        Ok((sent, !self.corked))
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.node.poll_event()?;
        if let Event::Left { at_risk } = event {
            self.leaving = Leaving::Done(at_risk);
        }
        Some(event)
    }
}
