//! The clients: they write every session several times, each time through another node, and kill one in the middle.
//!
//! There is a writer for each node. Nobody else writes its share of the sessions, so the versions of a session have an
//! order. In each round a writer goes on to the next node; one whose node is dead goes on with another, and tries again
//! what was not answered.

use core::{net::SocketAddr, ops::Range};
use std::{
    io,
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};

use indicatif::ProgressBar;

use super::model::{self, Written};
use crate::local::{
    children::{ChildId, Children},
    client::{Client, Reply},
};

/// How often each session is written.
pub(super) const ROUNDS: u32 = 4;
/// The round in the middle of which a node is killed.
const KILL_ROUND: u32 = 2;
/// How many writes are sent together.
const BATCH_MAX: usize = 32;
/// How many bytes are sent together, if that is less.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// What all writers know.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Where the nodes are.
    pub(super) addresses: &'a [SocketAddr],
    pub(super) value_bytes: usize,
    /// Which of the nodes is killed.
    pub(super) victim: usize,
    pub(super) bar: &'a ProgressBar,
}

/// Kills a node.
#[derive(Debug)]
pub(super) struct Strike<'a> {
    pub(super) children: &'a Children,
    pub(super) child: ChildId,
    pub(super) killed: Sender<Instant>,
}

/// What has come of writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) attempted: u64,
    pub(super) acknowledged: u64,
    /// Answered with an error.
    pub(super) refused: u64,
    /// One of the errors.
    pub(super) error: Option<String>,
}

/// Writes a share of the sessions.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    plan: &'a Plan<'a>,
    /// Which of the writers it is.
    at: usize,
    /// The number of its first session.
    first: u32,
    sessions: &'a mut [Written],
    /// The connection to each node, as long as that lives.
    lines: Vec<Line>,
    strike: Option<Strike<'a>>,
    tally: Tally,
}

#[derive(Debug)]
enum Line {
    Unused,
    Open(Client),
    Gone,
}

/// One writer for each node, with its share of the sessions, and when the node was killed.
pub(super) fn writers<'a>(
    plan: &'a Plan<'a>,
    mut sessions: &'a mut [Written],
    children: &'a Children,
    child: ChildId,
) -> (Vec<Writer<'a>>, Receiver<Instant>) {
    let (killed, was_killed) = mpsc::channel();
    let nodes = plan.addresses.len();
    let mut strike = Some(Strike { children, child, killed });
    let mut first = 0;
    let writers = (0..nodes).map(|at| {
        let share = sessions.len() / (nodes - at);
        let (own, others) = core::mem::take(&mut sessions).split_at_mut(share);
        sessions = others;
        let strike = if home(at, KILL_ROUND, nodes) == plan.victim { strike.take() } else { None };
        let unused = (0..nodes).map(|_| Line::Unused).collect();
        let writer = Writer { plan, at, first, sessions: own, lines: unused, strike, tally: Tally::default() };
        first += number(share);
        writer
    });
    (writers.collect(), was_killed)
}

impl Writer<'_> {
    /// Writes each session of the share as often as it is to be written.
    pub(super) fn run(mut self) -> Tally {
        let batch = (BATCH_BYTES_MAX / self.plan.value_bytes).clamp(1, BATCH_MAX);
        let middle = self.sessions.len() / 2;
        for round in 0..ROUNDS {
            let home = home(self.at, round, self.lines.len());
            for start in (0..self.sessions.len()).step_by(batch) {
                let batch = start..self.sessions.len().min(start + batch);
                let is_middle = batch.contains(&middle) && round == KILL_ROUND;
                let strike = if is_middle { self.strike.take() } else { None };
                self.write(home, batch, strike);
            }
        }
        self.tally
    }

    /// Writes some sessions through this node, or through others if it is gone.
    fn write(&mut self, home: usize, mut batch: Range<usize>, mut strike: Option<Strike<'_>>) {
        let nodes = self.lines.len();
        for node in (0..nodes).map(|step| (home + step) % nodes) {
            if !matches!(self.lines[node], Line::Gone) {
                match self.exchange(node, &mut batch, strike.take()) {
                    Ok(()) => return,
                    Err(_) => self.lines[node] = Line::Gone,
                }
            }
        }
    }

    /// Writes some sessions through a node. Those that it answers are taken from the batch.
    fn exchange(&mut self, node: usize, batch: &mut Range<usize>, strike: Option<Strike<'_>>) -> io::Result<()> {
        let client = match &mut self.lines[node] {
            Line::Open(client) => client,
            line @ (Line::Unused | Line::Gone) => {
                *line = Line::Open(Client::connect(self.plan.addresses[node])?);
                return self.exchange(node, batch, strike);
            }
        };
        for at in batch.clone() {
            let session = self.first + number(at);
            let (key, version) = (model::key(session), self.sessions[at].attempt());
            let value = model::value(session, version, self.plan.value_bytes);
            client.push([b"SET", &key[..], &value].into_iter());
            self.tally.attempted += 1;
        }
        let sent = client.send();
        if let Some(strike) = strike {
            strike.now();
        }
        sent?;
        for at in batch.clone() {
            let reply = client.reply()?;
            if reply == Reply::Simple("OK".into()) {
                self.sessions[at].acknowledge();
                self.tally.acknowledged += 1;
            } else if let Reply::Error(error) = reply {
                self.tally.refused += 1;
                self.tally.error = Some(error);
            } else {
                return Err(reply.unexpected("SET"));
            }
            batch.start = at + 1;
            self.plan.bar.inc(1);
        }
        Ok(())
    }
}

impl Strike<'_> {
    fn now(self) {
        let at = Instant::now();
        // If it could not be killed it is still listed, which is told.
        let _alive = self.children.kill(self.child);
        let _unheard = self.killed.send(at);
    }
}

impl Tally {
    /// How many were sent to a node that broke off before it answered.
    pub(super) fn unanswered(&self) -> u64 {
        self.attempted - self.acknowledged - self.refused
    }

    /// Takes another one in.
    pub(super) fn add(&mut self, other: Self) {
        self.attempted += other.attempted;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.error = self.error.take().or(other.error);
    }
}

/// The node that a writer uses in a round.
fn home(writer: usize, round: u32, nodes: usize) -> usize {
    (writer + usize::try_from(round).unwrap_or_default()) % nodes
}

/// As there are at most a million sessions.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a session has a number of 32 bits")
}
