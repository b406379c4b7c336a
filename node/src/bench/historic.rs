//! What an article of 2004 measured of the replication of sessions in Tomcat 5, with nodes of this program: two clients with
//! a session each, light ones of a hundred attributes of 1 KB and heavy ones of a single attribute of 100 KB.
//!
//! A request reads its session, makes a new value for one attribute and commits it. *Asynchronous* requests wait for no copy;
//! *synchronous* ones wait for one, and the clients take turns, as they did with a single socket; *pooled* ones wait for
//! one at the same time.

use core::{fmt, time::Duration};
use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use bytes::Bytes;
use heirloom_core::{Copies, Delta, Durability, SessionKey, Unit};
use heirloom_runtime::Handle;

use super::{cluster::Cluster, figures::Times};
use crate::{
    local::{Failed, within},
    options::Failure,
};

/// What can be set about it.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// How many requests each of the two clients makes, 1 to 1000000
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    #[arg(default_value_t = 1000, value_parser = within(1_u32..=1_000_000))]
    iterations: u32,
    /// How many milliseconds a client waits before each request in the two rows with a delay, 0 to 60000; 0 leaves them out.
    /// They have 100 requests of each client, or --iterations if that is less
    #[arg(long, value_name = "MILLISECONDS", allow_negative_numbers = true)]
    #[arg(default_value_t = 1000, value_parser = within(0_u32..=60_000))]
    delay: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Light,
    Heavy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Asynchronous,
    Synchronous,
    Pooled,
}

/// What one row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    load: Load,
    unit: Unit,
    mode: Mode,
    delay: Duration,
    iterations: u32,
}

/// What one row tells.
#[derive(Clone, Debug, Default)]
struct Row {
    response: Duration,
    request: Duration,
    overhead: Duration,
    replication: Duration,
    bytes_per_ms: f64,
    bytes_per_request: f64,
}

const CLIENTS: u32 = 2;
/// How many requests the time of replication is taken of.
const PROBES: u32 = 100;
const DELAYED_ITERATIONS: u32 = 100;
/// A copy that shows nothing for so long is lost.
const SHOWS_WITHIN: Duration = Duration::from_secs(10);

const WORDS: &str = "\
response     mean response time: from the beginning of a request until the client may go on
request      mean request time: the part of it that the node needs by itself, to read the session and make the new value
overhead     cluster overhead time: the rest of it, the commit with all that it waits for
replication  replication time: of further requests, one at a time, from the commit until the copy shows the new value; the mean
bytes/ms     bytes that the writer has sent to the copy, by the milliseconds until the copy had everything; delays count
bytes/req    the same bytes by the requests
Times are in milliseconds.
";

/// Measures and prints.
///
/// # Errors
///
/// When the nodes cannot be started, or one refuses a write.
pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let failed = |Failed(why)| Failure::Start(why);
    let mut out = io::stdout();
    // Whoever asked may have gone; what was printed until something fails stays.
    let mut print = |text: &str| drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    print(&format!("heirloom bench historic: {CLIENTS} clients with {} requests each\n\n{WORDS}\n", flags.iterations));
    print("| load | sends | mode | delay | response | request | overhead | replication | bytes/ms | bytes/req |\n");
    print("|---|---|---|---|---|---|---|---|---|---|\n");
    let mut rows = Vec::new();
    for unit in [Unit::WholeSession, Unit::Delta] {
        let cluster = Cluster::inside(2, Copies::Everywhere, Durability::One, unit).map_err(failed)?;
        for cell in cells(flags, unit) {
            let row = measure(&cluster, cell).map_err(failed)?;
            print(&format!("| {cell} | {row} |\n"));
            rows.push((cell, row));
        }
    }
    print(&format!("\nWhat the article concludes:\n{}", conclusions(&rows)));
    Ok(())
}

fn cells(flags: &Flags, unit: Unit) -> Vec<Cell> {
    let modes = [Mode::Asynchronous, Mode::Synchronous, Mode::Pooled];
    let cell = move |load, mode| Cell { load, unit, mode, delay: Duration::ZERO, iterations: flags.iterations };
    let mut cells: Vec<_> =
        [Load::Light, Load::Heavy].into_iter().flat_map(|load| modes.map(|mode| cell(load, mode))).collect();
    if unit == Unit::Delta && flags.delay != 0 {
        let delay = Duration::from_millis(flags.delay.into());
        let iterations = flags.iterations.min(DELAYED_ITERATIONS);
        let delayed = |mode| Cell { delay, iterations, ..cell(Load::Light, mode) };
        cells.extend([Mode::Synchronous, Mode::Asynchronous].map(delayed));
    }
    cells
}

fn measure(cluster: &Cluster, cell: Cell) -> Result<Row, Failed> {
    let (Some(writer), Some(copy)) =
        (cluster.writer().handle(), cluster.copies().first().and_then(|site| site.handle()))
    else {
        return Err(Failed("two nodes of this process are needed".into()));
    };
    let clients: Vec<_> = (0..CLIENTS).map(|client| Client::new(writer, cell, client)).collect::<Result<_, _>>()?;
    let turns = Mutex::new(());
    let before = writer.stats().stream_bytes_sent;
    let began = Instant::now();
    let ended = thread::scope(|scope| {
        let turns = &turns;
        let call = |mut client: Client| scope.spawn(move || client.call(turns).map(|()| client));
        let calling: Vec<_> = clients.into_iter().map(call).collect();
        let join = |calling: thread::ScopedJoinHandle<'_, _>| calling.join().expect("a client does not panic");
        calling.into_iter().map(join).collect::<Result<Vec<_>, Failed>>()
    })?;
    ended.iter().try_for_each(|client| client.await_on(copy).map(drop))?;
    let elapsed = began.elapsed();
    let sent = writer.stats().stream_bytes_sent - before;
    let (mut responses, mut requests, mut overheads) = (Times::default(), Times::default(), Times::default());
    for client in &ended {
        responses.add(&client.responses);
        requests.add(&client.requests);
        overheads.add(&client.overheads);
    }
    let mut replications = Times::default();
    if let Some(mut client) = ended.into_iter().next() {
        for _ in 0..PROBES.min(cell.iterations) {
            replications.record(client.probe(copy)?);
        }
    }
    Ok(Row {
        response: responses.mean(),
        request: requests.mean(),
        overhead: overheads.mean(),
        replication: replications.mean(),
        bytes_per_ms: sent as f64 / (elapsed.as_secs_f64() * 1000.0),
        bytes_per_request: sent as f64 / responses.count().max(1) as f64,
    })
}

/// One of the clients, with its session.
struct Client {
    cell: Cell,
    handle: Handle,
    key: SessionKey,
    /// Of the last request.
    number: u64,
    responses: Times,
    requests: Times,
    overheads: Times,
}

impl Client {
    /// Makes the session, and waits until the copy has it.
    fn new(handle: &Handle, cell: Cell, client: u32) -> Result<Self, Failed> {
        let id = format!("historic:{:?}:{:?}:{:?}:{client}", cell.load, cell.mode, cell.delay);
        let key = handle.key(0, id.as_bytes()).map_err(|error| Failed(error.to_string()))?;
        let (attributes, bytes) = cell.load.shape();
        let attributes = (0..attributes).map(|attribute| (name(attribute), Bytes::from(vec![b'x'; bytes])));
        let delta = attributes.fold(Delta::new(), |delta, (name, value)| delta.set(name, value));
        handle.commit(key, delta, Durability::One).wait().map_err(|error| Failed(error.to_string()))?;
        let (responses, requests, overheads) = <(Times, Times, Times)>::default();
        Ok(Self { cell, handle: handle.clone(), key, number: 0, responses, requests, overheads })
    }

    /// Makes all requests.
    fn call(&mut self, turns: &Mutex<()>) -> Result<(), Failed> {
        for _ in 0..self.cell.iterations {
            thread::sleep(self.cell.delay);
            let began = Instant::now();
            let delta = self.request()?;
            let requested = began.elapsed();
            match self.cell.mode {
                Mode::Asynchronous => self.commit(delta, Durability::Local)?,
                Mode::Synchronous => {
                    let turn = turns.lock().unwrap_or_else(PoisonError::into_inner);
                    self.commit(delta, Durability::One)?;
                    drop(turn);
                }
                Mode::Pooled => self.commit(delta, Durability::One)?,
            }
            let responded = began.elapsed();
            self.responses.record(responded);
            self.requests.record(requested);
            self.overheads.record(responded - requested);
        }
        Ok(())
    }

    /// What the node does by itself: the attributes have their turn.
    fn request(&mut self) -> Result<Delta, Failed> {
        self.number += 1;
        let (attributes, _) = self.cell.load.shape();
        let name = name(u32::try_from(self.number % u64::from(attributes)).unwrap_or_default());
        let session = self.handle.session(&self.key).ok_or_else(|| Failed("a session is gone".into()))?;
        let before = session.attribute(name.as_bytes()).ok_or_else(|| Failed("an attribute is gone".into()))?;
        let mut value = before.to_vec();
        super::line::renumber(&mut value, self.number);
        Ok(Delta::new().set(name, Bytes::from(value)))
    }

    fn commit(&self, delta: Delta, durability: Durability) -> Result<(), Failed> {
        let committed = self.handle.commit(self.key, delta, durability).wait();
        committed.map(drop).map_err(|error| Failed(format!("a write was refused: {error}")))
    }

    /// One more request: how long after its commit the copy shows it.
    fn probe(&mut self, copy: &Handle) -> Result<Duration, Failed> {
        let delta = self.request()?;
        let began = Instant::now();
        let commit = self.handle.commit(self.key, delta, Durability::One);
        self.await_on(copy)?;
        let elapsed = began.elapsed();
        commit.wait().map_err(|error| Failed(format!("a write was refused: {error}")))?;
        Ok(elapsed)
    }

    /// Waits until a copy shows the last request.
    fn await_on(&self, copy: &Handle) -> Result<(), Failed> {
        let (attributes, _) = self.cell.load.shape();
        let name = name(u32::try_from(self.number % u64::from(attributes)).unwrap_or_default());
        let began = Instant::now();
        while began.elapsed() < SHOWS_WITHIN {
            let session = copy.peek(&self.key);
            let value = session.as_ref().and_then(|session| session.attribute(name.as_bytes()));
            if value.is_some_and(|value| value.starts_with(&self.number.to_le_bytes())) {
                return Ok(());
            }
            thread::yield_now();
        }
        Err(Failed("the copy does not come to have what was written".into()))
    }
}

impl Load {
    /// How many attributes, and their bytes.
    fn shape(self) -> (u32, usize) {
        match self {
            Self::Light => (100, 1_000),
            Self::Heavy => (1, 100_000),
        }
    }
}

fn name(attribute: u32) -> String {
    format!("a{attribute}")
}

/// Each of the article's conclusions, and whether it is seen.
fn conclusions(rows: &[(Cell, Row)]) -> String {
    let mean = |load, unit, mode| {
        let is_meant =
            |cell: &Cell| (cell.load, cell.unit, cell.mode, cell.delay) == (load, unit, mode, Duration::ZERO);
        rows.iter().find(|(cell, _)| is_meant(cell)).map_or(f64::NAN, |(_, row)| row.response.as_secs_f64())
    };
    let light = |unit, mode| mean(Load::Light, unit, mode);
    let saved = 1.0 - light(Unit::Delta, Mode::Synchronous) / light(Unit::WholeSession, Mode::Synchronous);
    let small = mean(Load::Heavy, Unit::Delta, Mode::Synchronous) / light(Unit::Delta, Mode::Synchronous);
    let pooled = light(Unit::Delta, Mode::Synchronous) / light(Unit::Delta, Mode::Pooled);
    let mark = |is_seen| if is_seen { "seen" } else { "not seen here" };
    [
        (
            0.3 <= saved,
            format!(
                "deltas take 30 to 50 % less time than whole sessions: {:.0} % (light, synchronous)",
                saved * 100.0
            ),
        ),
        (
            2.0 <= small,
            format!("small attributes are 2 to 3 times faster than a large one: {small:.1} times (delta, synchronous)"),
        ),
        (3.0 <= pooled, format!("pooled is about 4 times faster than synchronous: {pooled:.1} times (light, delta)")),
    ]
    .map(|(is_seen, text)| format!("- {}: {text}\n", mark(is_seen)))
    .concat()
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = match self.load {
            Load::Light => "light",
            Load::Heavy => "heavy",
        };
        let unit = match self.unit {
            Unit::Delta => "delta",
            Unit::WholeSession => "whole session",
        };
        let mode = match self.mode {
            Mode::Asynchronous => "asynchronous",
            Mode::Synchronous => "synchronous",
            Mode::Pooled => "pooled",
        };
        write!(f, "{load} | {unit} | {mode} | {}", self.delay.as_millis())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = [self.response, self.request, self.overhead, self.replication].map(|time| time.as_secs_f64() * 1e3);
        let [response, request, overhead, replication] = times;
        write!(f, "{response:.3} | {request:.3} | {overhead:.3} | {replication:.3}")?;
        write!(f, " | {:.0} | {:.0}", self.bytes_per_ms, self.bytes_per_request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_article_concludes_is_told_by_the_rows() {
        let cell = |load, unit, mode| Cell { load, unit, mode, delay: Duration::ZERO, iterations: 1 };
        let row = |micros| Row { response: Duration::from_micros(micros), ..Row::default() };
        let rows = [
            (cell(Load::Light, Unit::WholeSession, Mode::Synchronous), row(100)),
            (cell(Load::Light, Unit::Delta, Mode::Synchronous), row(60)),
            (cell(Load::Heavy, Unit::Delta, Mode::Synchronous), row(150)),
            (cell(Load::Light, Unit::Delta, Mode::Pooled), row(40)),
        ];
        let told = conclusions(&rows);
        let marks: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("- ")?.split(':').next()).collect();
        assert_eq!(marks, ["seen", "seen", "not seen here"], "{told}");
        assert!(told.contains("40 %") && told.contains("2.5 times") && told.contains("1.5 times"), "{told}");
    }
}
