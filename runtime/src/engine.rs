//! What stands behind the lock: the node, its sockets, and those who wait for it.

use core::{fmt, net::SocketAddr, task::Waker, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use heirloom_core::{
    AtLeast, CommitError, CommitId, Delta, Demand, Event, Fetch, FetchId, Fetched, Node, Outcome, Purpose, SessionKey,
    SessionVersion, Time,
};

use crate::{
    alarm::{Alarm, Sleep},
    clock::Clock,
    completion::{Completer, completion},
    fetch::{FetchFailed, Fetching, Found},
    net::Net,
    poller::Ready,
    published::{Published, Table},
};

/// How much is sent in one go, so that a turn has an end.
const TURN_MAX: usize = 1024;
/// After how many bytes written to streams a turn of the driver ends.
const TURN_BYTES: u64 = 4 << 20;
/// The same for a caller: while somebody joins it is not the one to carry all sessions over.
const CALLER_BYTES: u64 = 256 << 10;
/// How often the node hears what the wall clock says.
const WALL_EVERY: Duration = Duration::from_secs(1);

/// What is asked of the node by those who do not wait for the lock.
#[derive(Debug)]
pub(crate) enum Command {
    Commit { key: SessionKey, delta: Delta, demand: Demand, completer: Completer<Committed> },
    ChangeId { old: SessionKey, new: SessionKey, demand: Demand, completer: Completer<Committed> },
    Touch(SessionKey),
    SetPeers(Vec<SocketAddr>),
    StartAlone,
    Leave(Completer<()>),
}

/// How a commit ended, or why it was refused.
pub(crate) type Committed = Result<Outcome, CommitError>;

/// Everything behind the lock.
#[derive(Debug)]
pub(crate) struct Inside {
    /// `None` once the driver has stopped.
    pub(crate) engine: Option<Engine>,
    /// Events that were taken from the node and not read yet.
    events: VecDeque<Event>,
    events_max: usize,
    readers: Vec<Waker>,
}

/// The node at work.
pub(crate) struct Engine {
    pub(crate) node: Node,
    pub(crate) net: Net,
    commits: BTreeMap<CommitId, Completer<Committed>>,
    fetches: BTreeMap<FetchId, Completer<Fetched>>,
    leavers: Vec<Completer<()>>,
    leaving: Leaving,
    wall_at: Time,
    /// Nothing is sent before the driver's next turn.
    corked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    Yes,
    Done,
}

/// Who is to be told what, once the lock is let go. A thread that is woken wants it soon.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Told {
    commits: Vec<(Completer<Committed>, Committed)>,
    fetches: Vec<(Completer<Fetched>, Fetched)>,
    leavers: Vec<Completer<()>>,
    readers: Vec<Waker>,
    /// The driver has to come: there is more to send, or an earlier deadline.
    pub(crate) wake_driver: bool,
}

impl Told {
    pub(crate) fn tell(self) {
        for (completer, committed) in self.commits {
            completer.complete(committed);
        }
        for (completer, fetched) in self.fetches {
            completer.complete(fetched);
        }
        for completer in self.leavers {
            completer.complete(());
        }
        self.readers.into_iter().for_each(Waker::wake);
    }
}

/// What was asked of the node.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) fetching: Fetching,
    /// The driver has to come and send the question.
    pub(crate) wake_driver: bool,
}

impl Asked {
    fn known(answer: Result<Found, FetchFailed>) -> Self {
        Self { fetching: Fetching::known(answer), wake_driver: false }
    }
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
    pub(crate) fn new(node: Node, net: Net, events_max: usize) -> Self {
        let engine = Engine {
            node,
            net,
            commits: BTreeMap::new(),
            fetches: BTreeMap::new(),
            leavers: Vec::new(),
            leaving: Leaving::No,
            wall_at: Time::ZERO,
            corked: false,
        };
        Self { engine: Some(engine), events: VecDeque::new(), events_max, readers: Vec::new() }
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
        let more = !engine.corked && engine.flush(now, CALLER_BYTES);
        let due = engine.finish(table, told);
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
        let due = engine.finish(table, &mut told);
        let at = alarm.arm(due.map_or(engine.wall_at, |at| at.min(engine.wall_at)));
        self.collect(table, &mut told);
        (told, Turned { at: if more { now } else { at }, left: self.has_left() })
    }

    /// The next event; else the waker is woken when there is one. The end is `Err`.
    pub(crate) fn poll_event(&mut self, waker: Option<&Waker>) -> Result<Option<Event>, Ended> {
        let next = self.events.pop_front();
        let next = next.or_else(|| self.engine.as_mut().and_then(Engine::poll_event));
        if next.is_some() {
            return Ok(next);
        }
        if self.engine.is_none() {
            return Err(Ended);
        }
        if let Some(waker) = waker.filter(|&new| self.readers.iter().all(|old| !old.will_wake(new))) {
            self.readers.push(waker.clone());
        }
        Ok(None)
    }

    /// The driver has stopped: takes the engine out. What is dropped with it is answered `Gone`. The events that were
    /// not read stay, unless a panic has left the node in a state that is not to be asked for anything.
    pub(crate) fn stop(&mut self, broken: bool) -> (Option<Engine>, Vec<Waker>) {
        let mut engine = self.engine.take();
        while let Some(event) = engine.as_mut().filter(|_| !broken).and_then(Engine::poll_event) {
            push(&mut self.events, event, self.events_max);
        }
        (engine, core::mem::take(&mut self.readers))
    }

    /// Looks at the events of the node if somebody waits for one.
    ///
    /// They stay in the node as long as nobody does: it knows which may become one. A node that leaves is looked at
    /// each time, or the event that ends it would wait for a reader.
    fn collect(&mut self, table: &Table, told: &mut Told) {
        let Some(engine) = &mut self.engine else { return };
        table.publish_state(engine.node.state());
        if engine.leaving != Leaving::No {
            while let Some(event) = engine.poll_event() {
                push(&mut self.events, event, self.events_max);
            }
            if engine.leaving == Leaving::Done {
                told.leavers.append(&mut engine.leavers);
            }
        } else if !self.readers.is_empty() && self.events.is_empty() {
            self.events.extend(engine.poll_event());
        }
        if !self.events.is_empty() {
            told.readers.append(&mut self.readers);
        }
    }

    fn has_left(&self) -> bool {
        self.engine.as_ref().is_none_or(|engine| engine.leaving == Leaving::Done)
    }
}

/// The driver has stopped and every event is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

/// A reader that falls behind while the node leaves loses events as it would in the node. The last one, which says that
/// the node has left, always stays.
fn push(events: &mut VecDeque<Event>, event: Event, events_max: usize) {
    if events_max <= events.len() {
        events.pop_back();
        if events.back() != Some(&Event::Lagged) {
            events.pop_back();
            events.push_back(Event::Lagged);
        }
    }
    events.push_back(event);
}

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
            Command::Touch(key) => self.node.touch(now, &key),
            Command::SetPeers(peers) => self.node.set_peers(now, peers),
            Command::StartAlone => self.node.start_alone(now),
            Command::Leave(completer) if self.leaving == Leaving::Done => told.leavers.push(completer),
            Command::Leave(completer) => {
                self.leavers.push(completer);
                if self.leaving == Leaving::No {
                    self.leaving = Leaving::Yes;
                    self.node.leave(now);
                }
            }
        }
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
            table.publish(key, session.map(|session| (session.clone(), self.node.deadline(&key))));
        }
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

    /// Asks the node for a session.
    pub(crate) fn fetch(&mut self, now: Time, key: SessionKey, purpose: Purpose) -> Asked {
        match self.node.fetch(now, key, purpose) {
            Ok(Fetch::Here) => Asked::known(Ok(Found::Here)),
            Ok(Fetch::Asked(fetch)) => self.await_answer(fetch),
            Err(error) => Asked::known(Err(error.into())),
        }
    }

    /// Asks the node for a session that is not older than that.
    pub(crate) fn session_at_least(&mut self, now: Time, key: &SessionKey, floor: &SessionVersion) -> Asked {
        match self.node.session_at_least(now, key, floor) {
            Ok(AtLeast::Here(session)) => {
                Asked::known(Ok(Found::Copy(Published::new(session, self.node.deadline(key)))))
            }
            Ok(AtLeast::Ended(cause)) => Asked::known(Ok(Found::Ended(cause))),
            Ok(AtLeast::Asked(fetch)) => self.await_answer(fetch),
            Ok(AtLeast::Stale { have, want }) => Asked::known(Err(FetchFailed::Stale { have, want })),
            Err(error) => Asked::known(Err(error.into())),
        }
    }

    fn await_answer(&mut self, fetch: FetchId) -> Asked {
        let (completer, waiter) = completion();
        let before = self.fetches.insert(fetch, completer);
        assert!(before.is_none(), "a fetch has a number of its own");
        Asked { fetching: Fetching::asked(waiter), wake_driver: !self.corked }
    }

    /// From here on what is committed waits for the driver's next turn.
    pub(crate) fn cork(&mut self) {
        self.corked = true;
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.node.poll_event()?;
        if event == Event::Left {
            self.leaving = Leaving::Done;
        }
        Some(event)
    }
}
