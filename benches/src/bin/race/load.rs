//! Callers that write or read, each waiting for its answers, until the time is over.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::servers::{Caller, Cluster};

/// What callers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) callers: u32,
    pub(crate) sessions: u32,
    pub(crate) bytes: usize,
    /// How many requests are made before their answers are waited for.
    pub(crate) pipeline: u32,
    pub(crate) reads: bool,
    /// Whether the time counts until the copies have everything.
    pub(crate) applied: bool,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Writes every session once, and waits until the copies have them.
pub(crate) fn fill(cluster: &Cluster, sessions: u32, bytes: usize) -> io::Result<()> {
    let mut caller = cluster.caller()?;
    let batch = u32::try_from((1 << 20) / bytes.max(1)).unwrap_or(1).clamp(1, 256);
    let value = vec![b'f'; bytes];
    let mut first = 0;
    while first < sessions {
        let end = sessions.min(first + batch);
        (first..end).for_each(|session| caller.write(session, &value));
        caller.send()?;
        (first..end).try_for_each(|_| caller.written())?;
        first = end;
    }
    cluster.await_applied()
}

/// Loads a cluster whose sessions are there.
pub(crate) fn load(cluster: &Cluster, load: Load, length: Duration) -> io::Result<Rate> {
    let callers: Vec<Caller> = (0..load.callers).map(|_| cluster.caller()).collect::<io::Result<_>>()?;
    let began = Instant::now();
    let took = thread::scope(|scope| {
        let numbered = (0_u32..).zip(callers);
        let running: Vec<_> =
            numbered.map(|(at, caller)| scope.spawn(move || call(caller, at, load, began + length))).collect();
        running
            .into_iter()
            .map(|caller| caller.join().expect("a caller does not panic"))
            .collect::<io::Result<Vec<_>>>()
    })?;
    if load.applied {
        cluster.await_applied()?;
    }
    let elapsed = began.elapsed();
    let mut took: Vec<Duration> = took.into_iter().flatten().collect();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
    Ok(Rate { per_second: took.len() as f64 / elapsed.as_secs_f64(), p50: at(50), p99: at(99) })
}

fn call(mut caller: Caller, first: u32, load: Load, until: Instant) -> io::Result<Vec<Duration>> {
    let (mut took, mut asked) = (Vec::new(), Vec::new());
    let mut value = vec![b'x'; load.bytes];
    let mut session = first;
    let mut number = u64::from(first) << 40;
    while Instant::now() < until {
        for _ in 0..load.pipeline {
            session = (session + load.callers) % load.sessions;
            asked.push(Instant::now());
            if load.reads {
                caller.read(session);
            } else {
                // Another one each time: what is there already is not sent.
                number += 1;
                value[..8].copy_from_slice(&number.to_le_bytes());
                caller.write(session, &value);
            }
        }
        caller.send()?;
        for at in asked.drain(..) {
            if load.reads {
                caller.was_read()?
            } else {
                caller.written()?
            }
            took.push(at.elapsed());
        }
    }
    Ok(took)
}
