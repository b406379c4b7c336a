//! What is raced: each cell is one workload, and tells one number of each contestant.

use std::{
    hint::black_box,
    io,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    load::{self, Load, Rate},
    processes::Process,
    resp::{Client, Reply},
    servers::{Caller, Cluster, Contestant, Copies, id},
    trip,
};

/// A cell is broken off after so long.
const AT_MOST: Duration = Duration::from_secs(60);

/// One workload.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    name: String,
    kind: Kind,
    /// Whether callers and members share one processor.
    pinned: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Rate {
        members: usize,
        copies: Copies,
        load: Load,
    },
    Trip,
    /// Of many at a time, by keys that were hashed before: a reading of the clock would be a good part of it.
    Read,
    /// The hashing alone.
    Hash,
    Join {
        sessions: u32,
    },
    Failover,
    Memory,
}

/// What a contestant did.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What is compared.
    pub(crate) number: f64,
    pub(crate) text: String,
    pub(crate) unit: Unit,
    /// A time beside it: the middle one of the answers, or that of a join from the first frame.
    pub(crate) time: Option<Duration>,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Millis,
    Bytes,
}

const LOAD: Load = Load { callers: 1, sessions: 1_000, bytes: 1024, pipeline: 1, reads: false, applied: false };

// The cells that targets are set for, where their names are not made of numbers.
pub(crate) const TRIP: &str = "a bare TCP round trip of 1 KiB and 16 B";
pub(crate) const PINNED_TRIP: &str = "a bare TCP round trip of 1 KiB and 16 B, all on one core";
pub(crate) const ONE_CALLER: &str = "write 1 KiB, one copy, 1 caller";
pub(crate) const PINNED_CALLER: &str = "write 1 KiB, one copy, 1 caller, all on one core";
pub(crate) const READ: &str = "read 1 KiB by a key that is known, 1 caller";
pub(crate) const FAILOVER: &str = "failover: the next write after a kill, 1,000 sessions";

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Cell> {
    let free = |name: &str, kind| Cell { name: name.to_owned(), kind, pinned: false };
    let one = Kind::Rate { members: 2, copies: Copies::One, load: LOAD };
    let mut cells = vec![free(TRIP, Kind::Trip), free(ONE_CALLER, one)];
    cells.push(Cell { pinned: true, ..free(PINNED_TRIP, Kind::Trip) });
    cells.push(Cell { pinned: true, ..free(PINNED_CALLER, one) });
    let mut rate = |name: String, members, copies, load| cells.push(free(&name, Kind::Rate { members, copies, load }));
    for callers in [2, 16] {
        let name = format!("write 1 KiB, one copy, {}", counted(callers, "caller"));
        rate(name, 2, Copies::One, Load { callers, ..LOAD });
    }
    for (bytes, text) in [(100, "100 B"), (100 << 10, "100 KiB")] {
        rate(
            format!("write {text}, one copy, 2 callers"),
            2,
            Copies::One,
            Load { callers: 2, bytes, sessions: 100, ..LOAD },
        );
    }
    for members in [3, 4] {
        let name = format!("write 1 KiB, a copy on each of {members} members, 16 callers");
        rate(name, members, Copies::All, Load { callers: 16, ..LOAD });
    }
    for sessions in [32, 100_000] {
        let name = format!("asynchronous writes of 1 KiB until applied, {sessions} sessions");
        rate(name, 2, Copies::None, Load { callers: 2, sessions, pipeline: 64, applied: true, ..LOAD });
    }
    for callers in [1, 16] {
        let name = format!("read 1 KiB, {}", counted(callers, "caller"));
        rate(name, 2, Copies::One, Load { callers, reads: true, ..LOAD });
    }
    cells.push(free(READ, Kind::Read));
    cells.push(free("hash an id of 8 bytes to its key, 1 caller", Kind::Hash));
    for sessions in [10_000, 100_000] {
        cells.push(free(&format!("join to {sessions} sessions of 1 KiB"), Kind::Join { sessions }));
    }
    cells.push(free(FAILOVER, Kind::Failover));
    cells.push(free("memory of a session of 1 KiB beyond it, each member", Kind::Memory));
    cells
}

fn counted(callers: u32, what: &str) -> String {
    format!("{callers} {what}{}", if callers == 1 { "" } else { "s" })
}

impl Cell {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it makes sense for somebody.
    pub(crate) fn is_for(&self, contestant: Contestant) -> bool {
        match self.kind {
            // Alone there is one member, whatever is asked for.
            Kind::Rate { load, .. } => contestant != Contestant::RedisAlone || !load.applied,
            Kind::Join { .. } | Kind::Failover => matches!(contestant, Contestant::Node | Contestant::RedisReplica),
            Kind::Memory => contestant != Contestant::Library,
            // It stands in the first column, for comparison.
            Kind::Trip => contestant == Contestant::Library,
            // The others have no keys of their own.
            Kind::Read | Kind::Hash => contestant == Contestant::Library,
        }
    }

    /// Runs it, unless it takes too long.
    pub(crate) fn run(&self, contestant: Contestant, seconds: u32) -> io::Result<Figure> {
        let (cell, (done, result)) = (self.clone(), mpsc::channel());
        // What takes longer goes on beside the next cell until it fails; its processes end with it.
        thread::spawn(move || drop(done.send(cell.measure(contestant, Duration::from_secs(seconds.into())))));
        let late = |_| Err(io::Error::other(format!("it takes longer than {} s", AT_MOST.as_secs())));
        result.recv_timeout(AT_MOST).unwrap_or_else(late)
    }

    fn measure(&self, contestant: Contestant, length: Duration) -> io::Result<Figure> {
        if self.pinned {
            // This thread is the cell's own, and whatever it starts stays there too.
            let mut first = CpuSet::new();
            first.set(0);
            sched_setaffinity(None, &first)?;
        }
        match self.kind {
            Kind::Rate { members, copies, load } => rate(contestant, members, copies, load, length),
            Kind::Trip => trip::measure(length),
            Kind::Read => read(length),
            Kind::Hash => hash(length),
            Kind::Join { sessions } => join(contestant, sessions),
            Kind::Failover => failover(contestant),
            Kind::Memory => memory(contestant),
        }
    }
}

fn rate(contestant: Contestant, members: usize, copies: Copies, load: Load, length: Duration) -> io::Result<Figure> {
    let (members, copies) = if contestant == Contestant::RedisAlone { (1, Copies::None) } else { (members, copies) };
    let cluster = Cluster::start(contestant, members, copies)?;
    load::fill(&cluster, load.sessions, load.bytes)?;
    // The first part of a second is not the machine's best.
    load::load(&cluster, load, Duration::from_millis(300))?;
    let Rate { per_second, p50, p99 } = load::load(&cluster, load, length)?;
    let times = if load.pipeline == 1 { format!(", p50 {p50:.1?}, p99 {p99:.1?}") } else { String::new() };
    let text = format!("{per_second:.0}/s{times}");
    Ok(Figure { number: per_second, text, unit: Unit::PerSecond, time: Some(p50) })
}

/// What one call of these takes, by many in a row.
fn each(length: Duration, mut call: impl FnMut(usize)) -> Figure {
    const AT_ONCE: usize = 1_000;
    let (mut times, began) = (0, Instant::now());
    while began.elapsed() < length {
        (0..AT_ONCE).for_each(|at| call(times + at));
        times += AT_ONCE;
    }
    let per_second = times as f64 / began.elapsed().as_secs_f64();
    Figure {
        number: per_second,
        text: format!("{per_second:.0}/s, {:.1} ns each", 1e9 / per_second),
        unit: Unit::PerSecond,
        time: None,
    }
}

fn read(length: Duration) -> io::Result<Figure> {
    let cluster = Cluster::start(Contestant::Library, 2, Copies::One)?;
    load::fill(&cluster, LOAD.sessions, LOAD.bytes)?;
    let Caller::Library { handle, .. } = cluster.caller()? else {
        return Err(io::Error::other("it is in this process"));
    };
    let keys = (0..LOAD.sessions).map(|session| handle.key(0, &session.to_le_bytes()));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    Ok(each(length, |at| assert!(black_box(handle.session(&keys[at % keys.len()])).is_some(), "it was written")))
}

fn hash(length: Duration) -> io::Result<Figure> {
    let cluster = Cluster::start(Contestant::Library, 1, Copies::None)?;
    let Caller::Library { handle, .. } = cluster.caller()? else {
        return Err(io::Error::other("it is in this process"));
    };
    Ok(each(length, |at| assert!(black_box(handle.key(0, &at.to_le_bytes())).is_ok(), "the id is short")))
}

/// From the start of the process until it has everything and serves; of a node also from the first feed frame, that is, from
/// when it is first seen to hold a session.
fn join(contestant: Contestant, sessions: u32) -> io::Result<Figure> {
    let mut cluster = Cluster::start(contestant, 1, Copies::None)?;
    load::fill(&cluster, sessions, 1024)?;
    let began = Instant::now();
    cluster.add(Copies::None)?;
    let joiner = &cluster.processes()[1];
    let mut from_first = None;
    match contestant {
        Contestant::RedisAlone | Contestant::RedisReplica => {
            joiner.await_info("replication", "master_link_status", |status| status == "up")?;
            let has = has(joiner, sessions - 1)?;
            if !has {
                return Err(io::Error::other("the replica is up and lacks a session"));
            }
        }
        Contestant::Node | Contestant::Library => {
            joiner.await_info("heirloom", "sessions", |held| held != "0")?;
            let fed = Instant::now();
            joiner.await_info("heirloom", "state", |state| state == "ready")?;
            joiner.await_info("heirloom", "sessions", |held| held == sessions.to_string())?;
            from_first = Some(fed.elapsed());
        }
    }
    let more = from_first.map(|time| format!(", {:.1} ms from the first frame", time.as_secs_f64() * 1000.0));
    Ok(Figure { time: from_first, ..millis(began.elapsed(), more.unwrap_or_default()) })
}

/// Kills the member that is written through in the middle of writes; tells when the other one takes a write, and how much of
/// what was acknowledged it lacks.
fn failover(contestant: Contestant) -> io::Result<Figure> {
    const SESSIONS: u32 = 1_000;
    let mut cluster = Cluster::start(contestant, 2, Copies::One)?;
    load::fill(&cluster, SESSIONS, 1024)?;
    let mut caller = cluster.caller()?;
    let mut acknowledged = vec![0_u64; 1_000];
    let value = |number: u64| [&number.to_le_bytes()[..], &[b'k'; 1016]].concat();
    for number in 1..=5_000 {
        let session = u32::try_from(number % u64::from(SESSIONS)).unwrap_or_default();
        caller.write(session, &value(number));
        caller.send()?;
        caller.written()?;
        acknowledged[usize::try_from(session).unwrap_or_default()] = number;
    }
    let processes = cluster.processes();
    let survivor = processes[1].address;
    processes[0].kill()?;
    let began = Instant::now();
    let mut client = Client::connect(survivor)?;
    if contestant == Contestant::RedisReplica {
        // Somebody has to make it a master: an operator, or Sentinel, which first waits for its `down-after-milliseconds`.
        client.ask(&[b"REPLICAOF", b"NO", b"ONE"])?;
    }
    while !matches!(client.ask(&[b"SET", id(0).as_bytes(), &value(9_999)])?, Reply::Simple) {
        if AT_MOST < began.elapsed() {
            return Err(io::Error::other("no write is served"));
        }
    }
    let served = began.elapsed();
    let mut lost = 0;
    for (session, number) in (0_u32..).zip(&acknowledged).skip(1) {
        let Reply::Bulk(bytes) = client.ask(&[b"GET", id(session).as_bytes()])? else {
            lost += 1;
            continue;
        };
        let found = bytes.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
        lost += u32::from(found < *number);
    }
    Ok(millis(served, format!(", {lost} lost")))
}

/// What processes have more when they hold many sessions, beyond the values.
fn memory(contestant: Contestant) -> io::Result<Figure> {
    const SESSIONS: u32 = 100_000;
    let members = if contestant == Contestant::RedisAlone { 1 } else { 2 };
    let copies = if members == 1 { Copies::None } else { Copies::One };
    let mut cluster = Cluster::start(contestant, members, copies)?;
    let before: Vec<_> = cluster.processes().iter().map(Process::memory).collect();
    load::fill(&cluster, SESSIONS, 1024)?;
    let each = cluster.processes().iter().map(Process::memory).zip(before).filter_map(|(after, before)| {
        let bytes = after?.saturating_sub(before?) as f64 / f64::from(SESSIONS);
        Some(bytes - 1024.0)
    });
    let each: Vec<f64> = each.collect();
    let first = each.first().copied().ok_or_else(|| io::Error::other("nothing is known of its memory"))?;
    let text: Vec<_> = each.iter().map(|bytes| format!("{bytes:.0} B")).collect();
    Ok(Figure { number: first, text: text.join(" and "), unit: Unit::Bytes, time: None })
}

fn millis(length: Duration, more: String) -> Figure {
    let number = length.as_secs_f64() * 1000.0;
    Figure { number, text: format!("{number:.1} ms{more}"), unit: Unit::Millis, time: None }
}

fn has(process: &Process, session: u32) -> io::Result<bool> {
    let mut client = Client::connect(process.address)?;
    Ok(matches!(client.ask(&[b"GET", id(session).as_bytes()])?, Reply::Bulk(_)))
}
