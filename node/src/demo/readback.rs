//! Reads everything back from several nodes at once and compares it with what was written.

use core::{iter, time::Duration};
use std::{collections::BTreeSet, io, thread, time::Instant};

use indicatif::ProgressBar;

use super::model::{self, Verdict, Written};
use crate::local::{
    Failed,
    client::{Client, Reply},
    member::Member,
};

/// How many sessions are asked for at once.
const BATCH_MAX: usize = 64;
/// How many bytes are asked for at once, if that is less.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long to wait before looking again for what was not there.
const AGAIN: Duration = Duration::from_millis(5);

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// How many values were read.
    pub(super) values: u64,
    /// How long that took, from the first to the last.
    pub(super) elapsed: Duration,
    /// The sessions that were acknowledged and are not there, somewhere.
    pub(super) lost: BTreeSet<u32>,
    /// The sessions whose value is not one that may be read, somewhere.
    pub(super) wrong: BTreeSet<u32>,
    /// How many values were not right at first, and until when.
    pub(super) late: u64,
    pub(super) late_for: Duration,
}

impl Found {
    /// Takes in what another node has.
    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.lost.extend(other.lost);
        self.wrong.extend(other.wrong);
        self.late += other.late;
        self.late_for = self.late_for.max(other.late_for);
    }
}

/// Reads all sessions from each of these nodes. What is not right is looked for again until that time.
///
/// # Errors
///
/// When a node does not answer.
pub(super) fn read(
    members: &[&Member],
    sessions: &[Written],
    value_bytes: usize,
    until: Instant,
    bar: &ProgressBar,
) -> Result<Found, Failed> {
    let started = Instant::now();
    let read = |member: &Member| {
        let read = read_one(member, sessions, value_bytes, until, bar);
        read.map_err(|error| Failed(format!("cannot read from node {}: {error}", member.name)))
    };
    let mut found = Found::default();
    thread::scope(|scope| {
        let read = &read;
        let readers: Vec<_> = members.iter().map(|member| scope.spawn(move || read(member))).collect();
        for reader in readers {
            found.add(reader.join().expect("a reader does not panic")?);
        }
        Ok::<_, Failed>(())
    })?;
    found.elapsed = started.elapsed();
    Ok(found)
}

fn read_one(
    member: &Member,
    sessions: &[Written],
    value_bytes: usize,
    until: Instant,
    bar: &ProgressBar,
) -> io::Result<Found> {
    let mut client = Client::connect(member.listen)?;
    let mut found = Found::default();
    let numbers: Vec<u32> = (0_u32..).take(sessions.len()).collect();
    let mut bad = Vec::new();
    let batch = (BATCH_BYTES_MAX / value_bytes).clamp(1, BATCH_MAX);
    for batch in numbers.chunks(batch) {
        bad.extend(judge(&mut client, batch, sessions)?);
        let values = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        found.values += values;
        bar.inc(values);
    }
    let (first, started) = (bad.len(), Instant::now());
    while !bad.is_empty() && Instant::now() < until {
        thread::sleep(AGAIN);
        let again: Vec<u32> = bad.iter().map(|(number, _)| *number).collect();
        bad.clear();
        for batch in again.chunks(batch) {
            bad.extend(judge(&mut client, batch, sessions)?);
        }
        found.late_for = started.elapsed();
    }
    found.late = u64::try_from(first - bad.len()).unwrap_or(u64::MAX);
    for (number, verdict) in bad {
        let sessions = if verdict == Verdict::Lost { &mut found.lost } else { &mut found.wrong };
        sessions.insert(number);
    }
    Ok(found)
}

/// Reads some sessions and tells which are not right.
fn judge(client: &mut Client, numbers: &[u32], sessions: &[Written]) -> io::Result<Vec<(u32, Verdict)>> {
    let keys: Vec<_> = numbers.iter().map(|number| model::key(*number)).collect();
    let mut words = vec![&b"MGET"[..]];
    words.extend(keys.iter().map(Vec::as_slice));
    let reply = client.ask(&words)?;
    let Reply::Array(values) = reply else { return Err(reply.unexpected("MGET")) };
    if values.len() != numbers.len() {
        return Err(Reply::Array(values).unexpected("MGET"));
    }
    let mut bad = Vec::new();
    for (number, value) in iter::zip(numbers, values) {
        let found = if let Reply::Bulk(bytes) = &value { Some(&bytes[..]) } else { None };
        if found.is_none() && value != Reply::Null {
            return Err(value.unexpected("MGET"));
        }
        let session = usize::try_from(*number).ok().and_then(|at| sessions.get(at)).copied().unwrap_or_default();
        let verdict = session.judge(*number, found);
        if verdict != Verdict::Right {
            bad.push((*number, verdict));
        }
    }
    Ok(bad)
}
