//! What an application holds: the way to a node from any thread.

mod cluster;
mod counts;

use core::{net::SocketAddr, task::Waker, time::Duration};
use std::{collections::VecDeque, sync::Arc};

use heirloom_core::{
    AtRisk, CommitError, Copies, Delta, Demand, EndCause, Event, Handover, KeyMaker, Member, MemberId, MemberState,
    Message, Minority, Node, Purpose, SessionKey, SessionVersion, Stats, Time,
};

pub use self::cluster::SendFailed;
use crate::{
    alarm::{Alarm, Sleep},
    clock::Clock,
    commit::Commit,
    completion::completion,
    engine::{Asked, Command, Ended, Engine, Inside, Told},
    events::{Left, NextEvent},
    fetch::{FetchFailed, Fetching, Found},
    mailbox::{self, Door, Untaken},
    poller::Poller,
    published::{Published, Table, Use},
    stats::DriverStats,
    sync::{AtomicBool, Ordering},
};

/// A node, from any thread. Clones are the same node; when the last one is dropped its driver stops.
///
/// Reading takes no message to the driver and copies no value. What is asked of the node is done by the caller itself
/// if the node's lock is free, and else left to whoever holds it: a call never waits for the network. (Calls that only
/// the node can answer, like `members`, wait for the lock, not longer than one turn.)
#[derive(Clone, Debug)]
pub struct Handle {
    presence: Arc<Presence>,
}

/// An id of a session that is longer than `id_bytes_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of the session has {bytes} bytes, more than id_bytes_max ({max})")]
pub struct IdTooLong {
    /// Its bytes.
    pub bytes: usize,
    /// The limit.
    pub max: usize,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { presence: Arc::new(Presence { shared }) }
    }

    /// Which life of the member this is.
    pub fn id(&self) -> MemberId {
        self.shared().id
    }

    /// The address that the node is bound to.
    pub fn address(&self) -> SocketAddr {
        self.shared().address
    }

    /// The key of the session with this id in the numbered space.
    ///
    /// # Errors
    ///
    /// If the id is longer than `id_bytes_max`.
    pub fn key(&self, space: u32, id: &[u8]) -> Result<SessionKey, IdTooLong> {
        let max = self.shared().id_bytes_max;
        if max < id.len() {
            return Err(IdTooLong { bytes: id.len(), max });
        }
        Ok(self.shared().keys.key(space, id))
    }

    /// Reads a session, which is a use of it; `None` if there is none, its fixed lifetime has passed or it has
    /// reached its greatest age.
    ///
    /// Where not every member holds every session, [`fetch`](Self::fetch) first.
    /// What this member has committed is there once the call or, if another held the lock, the commit has ended.
    /// Of many uses of one session one in a tenth of its idle time is told to the node, and none is lost.
    pub fn session(&self, key: &SessionKey) -> Option<Published> {
        let shared = self.shared();
        let (published, told) = shared.table.read(key, self.now())?;
        match told {
            Use::Known => {}
            // A reader does none of the work of others.
            Use::Tell => {
                if let Ok(left) = shared.door.leave(Command::Touch(*key)) {
                    shared.call_driver(left);
                }
            }
            Use::TellAt(at) => {
                if shared.alarm.use_later(at, *key) == Sleep::TooLong {
                    shared.poller.notify();
                }
            }
        }
        Some(published)
    }

    /// Reads a session without using it.
    pub fn peek(&self, key: &SessionKey) -> Option<Published> {
        self.shared().table.peek(key, self.now())
    }

    /// Commits changes of a session, for as many copies as are demanded, within a deadline or without one. It never
    /// waits for the network: await the result for that.
    pub fn commit(&self, key: SessionKey, delta: Delta, demand: impl Into<Demand>) -> Commit {
        let (completer, waiter) = completion();
        let shared = self.shared();
        let left = shared.pass(Command::Commit { key, delta, demand: demand.into(), completer });
        if let Err(Untaken::Full(Command::Commit { completer, .. })) = left {
            completer.complete(Err(CommitError::TooManyCommits { max: shared.commits_max }));
        }
        Commit::new(waiter)
    }

    /// Gives a session another key in one step: for whoever looks at any member, the old one has ended and the new one is
    /// there. It is refused with [`CommitError::TargetTaken`] if the new one is in use: then copy the session instead.
    pub fn change_id(&self, old: SessionKey, new: SessionKey, demand: impl Into<Demand>) -> Commit {
        let (completer, waiter) = completion();
        let shared = self.shared();
        let left = shared.pass(Command::ChangeId { old, new, demand: demand.into(), completer });
        if let Err(Untaken::Full(Command::ChangeId { completer, .. })) = left {
            completer.complete(Err(CommitError::TooManyCommits { max: shared.commits_max }));
        }
        Commit::new(waiter)
    }

    /// Makes sure that a session can be looked at or changed here. Where all members hold it, or only one, it can; else others may
    /// have to be asked, and the answer is to be awaited. The answer is for now: fetch again before each look or change.
    /// What is created anew needs no fetch.
    pub fn fetch(&self, key: SessionKey, purpose: Purpose) -> Fetching {
        let shared = self.shared();
        if matches!(shared.copies, Copies::Everywhere | Copies::Nowhere) {
            return Fetching::known(match shared.table.state() {
                MemberState::Ready => Ok(Found::Here),
                MemberState::Joining => Err(CommitError::NotReady.into()),
                MemberState::Leaving => Err(CommitError::Leaving.into()),
            });
        }
        shared.ask(|engine| engine.fetch(self.now(), key, purpose))
    }

    /// A session that is not older than what the caller has seen of it elsewhere, by its version: a copy to look at. Others
    /// are asked if what is here is older. It is no use of the session.
    pub fn session_at_least(&self, key: &SessionKey, floor: &SessionVersion) -> Fetching {
        self.shared().ask(|engine| engine.session_at_least(self.now(), key, floor))
    }

    /// Which members hold a copy of a session, by the configuration.
    pub fn copies(&self) -> Copies {
        self.shared().copies
    }

    /// Who must hold a copy of a session in the view of this node, itself included; none after the driver has stopped.
    pub fn holders(&self, key: &SessionKey) -> Vec<MemberId> {
        self.shared().look(|node| node.holders(key)).unwrap_or_default()
    }

    /// Uses a session: renews its idle time.
    pub fn touch(&self, key: SessionKey) {
        self.shared().pass_always(Command::Touch(key));
    }

    /// Whether the node receives the sessions, serves, or leaves. After the driver has stopped, what it was last.
    pub fn state(&self) -> MemberState {
        self.shared().table.state()
    }

    /// The other members of the view, the oldest ready one first; none after the driver has stopped.
    pub fn members(&self) -> Vec<Member> {
        self.shared().look(|node| node.members().cloned().collect()).unwrap_or_default()
    }

    /// Members of other domains on the same network, which are seen and not fed, domain by domain; none after the driver has
    /// stopped.
    pub fn neighbors(&self) -> Vec<Member> {
        self.shared().look(|node| node.neighbors().cloned().collect()).unwrap_or_default()
    }

    /// What the node has counted; nothing after the driver has stopped.
    pub fn stats(&self) -> Stats {
        self.shared().look(|node| node.stats()).unwrap_or_default()
    }

    /// What the driver has counted; nothing after it has stopped.
    pub fn driver_stats(&self) -> DriverStats {
        self.shared().look_at_engine(|engine| engine.net.stats()).unwrap_or_default()
    }

    /// How many sessions live here.
    pub fn sessions(&self) -> usize {
        self.shared().table.sessions()
    }

    /// How many bytes the sessions that are held here count, as [`Node::memory`] has it; nothing after the driver has
    /// stopped.
    pub fn memory(&self) -> usize {
        self.shared().look(Node::memory).unwrap_or_default()
    }

    /// How many of the sessions that live here this member owns; of the others it holds copies.
    pub fn sessions_owned(&self) -> usize {
        self.shared().table.owned()
    }

    /// How often a copy of another's session came here that was not here before.
    pub fn copies_received(&self) -> u64 {
        self.shared().table.received()
    }

    /// Whether the sessions of everybody who is gone have owners and copies again, as far as this member is concerned.
    pub fn is_settled(&self) -> bool {
        self.shared().look(Node::is_settled).unwrap_or(true)
    }

    /// Why a session is gone, as long as the node remembers.
    pub fn ended(&self, key: &SessionKey) -> Option<EndCause> {
        self.shared().look(|node| node.ended(key)).flatten()
    }

    /// The key that a session has now whose id was changed, as long as the node remembers.
    pub fn moved(&self, key: &SessionKey) -> Option<SessionKey> {
        self.shared().look(|node| node.moved(key)).flatten()
    }

    /// Addresses to send signs of life to, besides the group. They replace those given before.
    pub fn set_peers(&self, peers: Vec<SocketAddr>) {
        self.shared().pass_always(Command::SetPeers(peers));
    }

    /// Nobody else can be there: the node is ready at once instead of looking for others first.
    pub fn start_alone(&self) {
        self.shared().pass_always(Command::StartAlone);
    }

    /// Why the node sees too few others, whether it goes on or has paused; `None` if it sees enough.
    pub fn minority(&self) -> Option<Minority> {
        self.shared().look(Node::minority).flatten()
    }

    /// Why the node refuses writes; `None` if it does not.
    pub fn paused(&self) -> Option<Minority> {
        self.shared().look(Node::paused).flatten()
    }

    /// Who is missing is gone for good, an operator says: the node needs no majority of them any more.
    pub fn resume(&self) {
        self.shared().pass_always(Command::Resume);
    }

    /// The next event. All handles share one stream of events.
    pub fn next_event(&self) -> NextEvent {
        NextEvent::new(self.clone())
    }

    /// Leaves the cluster: the node takes no more commits, hands over what others lack, at most for `leave_for`, and then its
    /// driver stops. The result tells what nobody else had.
    pub fn leave(&self) -> Left {
        let (completer, waiter) = completion();
        self.shared().pass_always(Command::Leave(completer));
        Left::new(waiter, self.clone())
    }

    /// Leaves the cluster within a time, and serves until the others have what they lack.
    pub fn drain(&self, within: Duration) -> Left {
        let (completer, waiter) = completion();
        self.shared().pass_always(Command::Drain(within, completer));
        Left::new(waiter, self.clone())
    }

    /// How far the node is with leaving; `None` if it does not leave, or has left.
    pub fn handover(&self) -> Option<Handover> {
        self.shared().look(Node::handover).flatten()
    }

    /// What would be lost with this member alone; nothing after the driver has stopped.
    pub fn at_risk(&self) -> AtRisk {
        self.shared().look(Node::at_risk).unwrap_or_default()
    }

    /// How many sessions would lose something with this member alone; none after the driver has stopped.
    pub fn sessions_at_risk(&self) -> usize {
        self.at_risk().sessions
    }

    /// The present on the clock of the node's deadlines.
    pub fn now(&self) -> Time {
        self.shared().clock.now()
    }

    pub(crate) fn poll_event(&self, waker: Option<&Waker>) -> Result<Option<Event>, Ended> {
        self.shared().door.look(|inside| inside.poll_event(waker)).unwrap_or(Err(Ended))
    }

    pub(crate) fn poll_message(&self, waker: Option<&Waker>) -> Result<Option<Message>, Ended> {
        self.shared().door.look(|inside| inside.poll_message(waker)).unwrap_or(Err(Ended))
    }

    fn shared(&self) -> &Shared {
        &self.presence.shared
    }
}

/// What the handles share with the driver.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: MemberId,
    pub(crate) copies: Copies,
    pub(crate) address: SocketAddr,
    pub(crate) keys: KeyMaker,
    pub(crate) id_bytes_max: usize,
    pub(crate) commits_max: usize,
    pub(crate) clock: Clock,
    pub(crate) poller: Arc<Poller>,
    pub(crate) door: Door<Inside, Command>,
    pub(crate) table: Table,
    pub(crate) alarm: Alarm,
    /// The last handle is dropped.
    pub(crate) abandoned: AtomicBool,
}

impl Shared {
    /// A command that may be refused if too many wait.
    #[expect(
        clippy::result_large_err,
        reason = "what is refused comes back whole; a box for each would cost every one"
    )]
    fn pass(&self, command: Command) -> Result<(), Untaken<Command>> {
        let serve = |inside: &mut Inside, commands: &mut VecDeque<Command>, told: &mut Told| {
            inside.serve(commands, self.clock.now(), &self.table, &self.alarm, told);
        };
        self.call_driver(self.door.pass(command, serve, |told| self.tell(told))?);
        Ok(())
    }

    /// A command of which there are few. One that meets a closed door is dropped, and whoever waits for it hears so.
    fn pass_always(&self, command: Command) {
        let serve = |inside: &mut Inside, commands: &mut VecDeque<Command>, told: &mut Told| {
            inside.serve(commands, self.clock.now(), &self.table, &self.alarm, told);
        };
        if let Ok(left) = self.door.pass_always(command, serve, |told| self.tell(told)) {
            self.call_driver(left);
        }
    }

    fn tell(&self, told: Told) {
        if told.wake_driver {
            self.poller.notify();
        }
        told.tell();
    }

    fn call_driver(&self, left: mailbox::Left) {
        if left == mailbox::Left::ForDriver {
            self.poller.notify();
        }
    }

    fn ask(&self, ask: impl FnOnce(&mut Engine) -> Asked) -> Fetching {
        match self.look_at_engine(ask) {
            None => Fetching::known(Err(FetchFailed::Gone)),
            Some(Asked { fetching, wake_driver }) => {
                if wake_driver {
                    self.poller.notify();
                }
                fetching
            }
        }
    }

    fn look<R>(&self, look: impl FnOnce(&Node) -> R) -> Option<R> {
        self.look_at_engine(|engine| look(&engine.node))
    }

    /// `None` after the driver has stopped.
    pub(crate) fn look_at_engine<R>(&self, look: impl FnOnce(&mut Engine) -> R) -> Option<R> {
        self.door.look(|inside| inside.engine.as_mut().map(look)).ok().flatten()
    }
}

/// That somebody still holds a handle.
#[derive(Debug)]
struct Presence {
    shared: Arc<Shared>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::Release);
        self.shared.poller.notify();
    }
}
