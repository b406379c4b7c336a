//! The callers, and what they measure.

use core::time::Duration;
use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use super::{
    Plan,
    cluster::{Cluster, State},
    events::{self, Event},
    figures::{Pace, Times},
    lag::Prober,
    line::{Answer, Line, Place, renumber},
    lost::{self, Acknowledged},
};
use crate::local::Failed;

/// How often the view of the first node is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the copies may need until they have everything.
const CATCH_UP_FOR: Duration = Duration::from_secs(30);
/// How much is written at once before the measurement.
const BATCH_BYTES_MAX: usize = 1 << 18;
const BATCH_MAX: usize = 64;

/// A measurement that may begin: every session is there.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    callers: Vec<Caller<'a>>,
    prober: Prober,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    /// How long the callers called.
    pub(super) called_for: Duration,
    /// From their first call until the first node had heard from all others that they have everything; `None` if it did not.
    pub(super) applied_for: Option<Duration>,
    pub(super) tally: Tally,
    /// How far each of the other nodes lagged behind.
    pub(super) lags: Vec<(String, Times)>,
    pub(super) events: Vec<Event>,
    /// `None` of a node that is gone.
    pub(super) writer: Option<Used>,
    pub(super) copies: Vec<Option<Used>>,
    pub(super) lost: u64,
}

/// What callers have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) writes: Times,
    pub(super) reads: Times,
    pub(super) commits: Pace,
    pub(super) looks: Pace,
    pub(super) refused: u64,
    pub(super) refusal: Option<String>,
}

/// What a node has used meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) wire_bytes: u64,
    pub(super) registers: u64,
    pub(super) processor: Option<Duration>,
}

/// One caller, with its share of the sessions.
struct Caller<'a> {
    plan: &'a Plan,
    line: Line,
    /// Which sessions: this one and every one so many later as there are callers.
    first: u32,
    /// Of each attribute of each of them, the number of the last write that was acknowledged.
    acknowledged: Vec<u64>,
    value: Vec<u8>,
    /// Of the last write that was made.
    number: u64,
    /// Which of its attributes comes next.
    turn: usize,
    /// How many hundredths of a read are due.
    reads_due: u32,
    asked: Vec<Asked>,
    tally: Tally,
}

/// A request that has no answer yet.
struct Asked {
    at: Instant,
    /// What is written there; `None` for a read.
    write: Option<(usize, u64)>,
}

impl Plan {
    /// How an attribute is told apart: one that is alone needs no name.
    pub(super) fn attribute(&self, attribute: u32) -> Option<u32> {
        (1 < self.attributes).then_some(attribute)
    }
}

impl<'a> Run<'a> {
    /// Connects the callers and lets each write all of its share once.
    ///
    /// # Errors
    ///
    /// When a node cannot be reached, or refuses a write.
    pub(super) fn new(plan: &'a Plan, cluster: &'a Cluster) -> Result<Self, Failed> {
        let callers = (0..plan.callers).map(|first| Ok(Caller::new(plan, cluster.writer().line()?, first)));
        let mut callers: Vec<_> = callers.collect::<Result<_, Failed>>()?;
        let filled = thread::scope(|scope| {
            let filling: Vec<_> = callers.iter_mut().map(|caller| scope.spawn(|| caller.fill())).collect();
            let join = |filling: thread::ScopedJoinHandle<'_, _>| filling.join().expect("a caller does not panic");
            filling.into_iter().map(join).collect::<io::Result<Vec<()>>>()
        });
        filled.map_err(|error| cluster.writer().broken(&error))?;
        let prober = Prober::new(plan, cluster)?;
        caught_up_by(cluster, Instant::now());
        Ok(Self { plan, cluster, callers, prober })
    }

    /// Measures. What breaks it off is told beside what there was until then.
    pub(super) fn measure(self) -> (Results, Option<Failed>) {
        let before = used(self.cluster);
        let (stop, broken) = (AtomicBool::new(false), Mutex::new(None));
        let length = Duration::from_secs(self.plan.seconds.into());
        let (plan, cluster) = (self.plan, self.cluster);
        let began = Instant::now();
        let mut results = Results::default();
        let mut acknowledged = Vec::new();
        thread::scope(|scope| {
            let (stop, broken) = (&stop, &broken);
            let callers = self.callers.into_iter().map(|mut caller| {
                scope.spawn(move || {
                    if let Err(error) = caller.call(began, length, stop) {
                        broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        stop.store(true, Ordering::Relaxed);
                    }
                    (caller.tally.clone(), caller.acknowledged())
                })
            });
            let callers: Vec<_> = callers.collect();
            let prober = scope.spawn(|| self.prober.run(stop));
            let watch = scope.spawn(|| watch(cluster, began, stop));
            for caller in callers {
                let (tally, mut of_caller) = caller.join().expect("a caller does not panic");
                results.tally.add(tally);
                acknowledged.append(&mut of_caller);
            }
            results.called_for = began.elapsed();
            stop.store(true, Ordering::Relaxed);
            results.lags = prober.join().expect("a prober does not panic");
            results.events = watch.join().expect("a watcher does not panic");
        });
        results.applied_for = caught_up_by(cluster, began);
        let mut used = used(cluster).into_iter().zip(before).map(|(after, before)| Some(after?.since(before?)));
        results.writer = used.next().flatten();
        results.copies = used.collect();
        results.lost = lost::count(plan, cluster, &acknowledged);
        let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
        (results, broken.map(|error| cluster.writer().broken(&error)))
    }
}

/// What the nodes have used so far; `None` of one that is gone.
fn used(cluster: &Cluster) -> Vec<Option<Used>> {
    let states = cluster.sites.iter().map(|site| site.look().ok());
    let used = |(state, processor): (Option<State>, _)| {
        state.map(|State { wire_bytes, registers, .. }| Used { wire_bytes, registers, processor })
    };
    states.zip(cluster.processor()).map(used).collect()
}

/// Waits until the first node has heard from all others that they have everything.
fn caught_up_by(cluster: &Cluster, began: Instant) -> Option<Duration> {
    let mut scout = cluster.writer().scout().ok()?;
    let until = Instant::now() + CATCH_UP_FOR;
    while Instant::now() < until {
        if scout.look().ok()?.caught_up {
            return Some(began.elapsed());
        }
        thread::sleep(Duration::from_micros(200));
    }
    None
}

/// Looks at the view of the first node until it is told to stop.
fn watch(cluster: &Cluster, began: Instant, stop: &AtomicBool) -> Vec<Event> {
    let mut events = Vec::new();
    let Ok(mut scout) = cluster.writer().scout() else { return events };
    let mut before = None;
    while !stop.load(Ordering::Relaxed) {
        let Ok(State { view, .. }) = scout.look() else { break };
        let at = began.elapsed();
        if let Some(before) = &before {
            events.extend(events::changes(before, &view).map(|what| Event { at, what }));
        }
        before = Some(view);
        thread::sleep(LOOK_EVERY);
    }
    events
}

impl<'a> Caller<'a> {
    fn new(plan: &'a Plan, line: Line, first: u32) -> Self {
        let sessions = (plan.sessions - first).div_ceil(plan.callers);
        let registers = usize::try_from(sessions * plan.attributes).unwrap_or_default();
        Self {
            plan,
            line,
            first,
            acknowledged: vec![0; registers],
            value: vec![b'x'; usize::try_from(plan.value_bytes).unwrap_or_default()],
            number: 0,
            turn: 0,
            reads_due: 0,
            asked: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Writes all of the share once.
    fn fill(&mut self) -> io::Result<()> {
        let batch = (BATCH_BYTES_MAX / self.value.len()).clamp(1, BATCH_MAX);
        let mut left = self.acknowledged.len();
        while 0 < left {
            let now = batch.min(left);
            (0..now).for_each(|_| self.write());
            self.take(Instant::now())?;
            if let Some(refusal) = self.tally.refusal.take() {
                return Err(io::Error::other(refusal));
            }
            left -= now;
        }
        self.tally = Tally::default();
        Ok(())
    }

    /// Calls until the time is over.
    fn call(&mut self, began: Instant, length: Duration, stop: &AtomicBool) -> io::Result<()> {
        while began.elapsed() < length && !stop.load(Ordering::Relaxed) {
            for _ in 0..self.plan.pipeline {
                self.reads_due += self.plan.read_share;
                if self.reads_due < 100 {
                    self.write();
                } else {
                    self.reads_due -= 100;
                    self.read();
                }
            }
            self.take(began)?;
        }
        Ok(())
    }

    fn write(&mut self) {
        let register = self.next();
        self.number += 1;
        renumber(&mut self.value, self.number);
        self.asked.push(Asked { at: Instant::now(), write: Some((register, self.number)) });
        self.line.write(self.place(register), &self.value);
    }

    fn read(&mut self) {
        let register = self.next();
        self.asked.push(Asked { at: Instant::now(), write: None });
        self.line.read(self.place(register));
    }

    /// Sends what was asked and takes all answers.
    fn take(&mut self, began: Instant) -> io::Result<()> {
        self.line.send()?;
        for Asked { at, write } in self.asked.drain(..) {
            let answer = self.line.answer()?;
            let now = Instant::now();
            let tally = &mut self.tally;
            match (answer, write) {
                (Answer::Written, Some((register, number))) => {
                    self.acknowledged[register] = number;
                    tally.writes.record(now - at);
                    tally.commits.count(now - began);
                }
                (Answer::Value(_), None) => {
                    tally.reads.record(now - at);
                    tally.looks.count(now - began);
                }
                (Answer::Refused(refusal), _) => {
                    tally.refused += 1;
                    tally.refusal = Some(refusal);
                }
                (Answer::Written, None) | (Answer::Value(_), Some(_)) => {
                    return Err(io::Error::other("an answer belongs to another request"));
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> usize {
        let register = self.turn;
        self.turn = (self.turn + 1) % self.acknowledged.len();
        register
    }

    /// Sessions come in turn, each time with another attribute.
    fn place(&self, register: usize) -> Place {
        let register = u32::try_from(register).unwrap_or_default();
        let sessions = u32::try_from(self.acknowledged.len()).unwrap_or_default() / self.plan.attributes;
        let (attribute, session) = (register / sessions, register % sessions);
        let session = self.first + session * self.plan.callers;
        Place { session, attribute: self.plan.attribute(attribute) }
    }

    fn acknowledged(&self) -> Vec<Acknowledged> {
        let numbers = self.acknowledged.iter().enumerate();
        numbers.map(|(register, number)| (self.place(register), *number)).collect()
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.writes.add(&other.writes);
        self.reads.add(&other.reads);
        self.commits.add(&other.commits);
        self.looks.add(&other.looks);
        self.refused += other.refused;
        self.refusal = self.refusal.take().or(other.refusal);
    }
}

impl Used {
    fn since(self, before: Self) -> Self {
        Self {
            wire_bytes: self.wire_bytes.saturating_sub(before.wire_bytes),
            registers: self.registers.saturating_sub(before.registers),
            processor: self.processor.zip(before.processor).map(|(after, before)| after.saturating_sub(before)),
        }
    }
}
