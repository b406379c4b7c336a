//! How far copies lag behind: now and then a value is written through the first node, and one of the others is read until
//! it shows it.

use core::time::Duration;
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use super::{
    Plan,
    cluster::Cluster,
    figures::Times,
    line::{Answer, Line, Place, renumber},
};
use crate::local::Failed;

/// Often enough for a 99th percentile within seconds, and next to nothing for a node.
const EVERY: Duration = Duration::from_millis(10);
/// A copy that shows nothing for so long is not waited for.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);
/// So many sessions are tried until one is found that a node has to hold.
const TRIES: u32 = 64;
/// How long a copy of it may take to come.
const COMES_WITHIN: Duration = Duration::from_millis(20);

/// Writes and looks.
#[derive(Debug)]
pub(super) struct Prober {
    writer: Line,
    copies: Vec<Watched>,
    value: Vec<u8>,
    number: u64,
}

/// A node that is looked at.
#[derive(Debug)]
struct Watched {
    name: String,
    line: Line,
    /// It holds this one.
    place: Place,
    times: Times,
}

impl Prober {
    /// Finds a session for each of the other nodes. One that holds none is left out.
    ///
    /// # Errors
    ///
    /// When a node cannot be reached.
    pub(super) fn new(plan: &Plan, cluster: &Cluster) -> Result<Self, Failed> {
        let mut prober = Self {
            writer: cluster.writer().line()?,
            copies: Vec::new(),
            value: vec![b'p'; usize::try_from(plan.value_bytes).unwrap_or_default()],
            number: 0,
        };
        for site in cluster.copies() {
            let mut line = site.line()?;
            let place = prober.place(plan, &mut line).map_err(|error| site.broken(&error))?;
            if let Some(place) = place {
                prober.copies.push(Watched { name: site.name.clone(), line, place, times: Times::default() });
            }
        }
        Ok(prober)
    }

    fn place(&mut self, plan: &Plan, copy: &mut Line) -> io::Result<Option<Place>> {
        for session in plan.sessions..plan.sessions + TRIES {
            let place = Place { session, attribute: plan.attribute(0) };
            renumber(&mut self.value, self.number);
            self.writer.ask(|line| line.write(place, &self.value))?;
            let began = Instant::now();
            while began.elapsed() < COMES_WITHIN {
                if copy.holds(place)? {
                    return Ok(Some(place));
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(None)
    }

    /// Writes and looks until it is told to stop; tells the times of each node.
    pub(super) fn run(mut self, stop: &AtomicBool) -> Vec<(String, Times)> {
        let mut next = 0;
        while !stop.load(Ordering::Relaxed) && !self.copies.is_empty() {
            let at = next % self.copies.len();
            next += 1;
            if self.probe(at).is_err() {
                // It is gone, or the node that writes is: then the callers tell.
                self.copies.remove(at);
            }
            thread::sleep(EVERY);
        }
        self.copies.into_iter().map(|watched| (watched.name, watched.times)).collect()
    }

    fn probe(&mut self, at: usize) -> io::Result<()> {
        self.number += 1;
        renumber(&mut self.value, self.number);
        let copy = &mut self.copies[at];
        let began = Instant::now();
        self.writer.write(copy.place, &self.value);
        self.writer.send()?;
        loop {
            let shown = copy.line.ask(|line| line.read(copy.place))?;
            let elapsed = began.elapsed();
            let is_there = matches!(shown, Answer::Value(Some(number)) if self.number <= number);
            if is_there || SHOWS_WITHIN < elapsed {
                copy.times.record(elapsed);
                break;
            }
            thread::yield_now();
        }
        self.writer.answer().map(drop)
    }
}
