//! What heirloom is meant to reach on two shared cores, and what a race has seen of it.

use std::{process::Command, time::Duration};

use crate::{
    cells::{FAILOVER, Figure, ONE_CALLER, PINNED_CALLER, PINNED_TRIP, READ, TRIP},
    report::Results,
    servers::Contestant,
};

/// One of them.
#[derive(Clone, Debug)]
struct Target {
    what: String,
    bound: Bound,
    /// In the unit of the bound; nothing if it was not measured.
    seen: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
}

/// The lines of the table; none for what was not measured.
pub(crate) fn rows(results: &Results) -> Vec<String> {
    let all = [rates(results), through_redis(results), moments(results), sizes()].concat();
    all.iter().filter_map(Target::row).collect()
}

fn rates(results: &Results) -> Vec<Target> {
    let library = |cell: &str| results.middle(cell, &Contestant::Library.to_string());
    let trips = |write, trip| ratio(library(write).and_then(micros), library(trip).and_then(micros));
    let rate = |cell: &str| library(cell).map(|figure| figure.number);
    let applied = |sessions: u32| rate(&format!("asynchronous writes of 1 KiB until applied, {sessions} sessions"));
    let most = |what: &str, bound, unit, seen| Target { what: what.into(), bound: Bound::AtMost(bound, unit), seen };
    let least = |what: &str, bound, unit, seen| Target { what: what.into(), bound: Bound::AtLeast(bound, unit), seen };
    vec![
        most("a commit with one copy, one caller, p50", 2.0, "bare trips", trips(ONE_CALLER, TRIP)),
        most("the same, all on one core", 2.0, "bare trips", trips(PINNED_CALLER, PINNED_TRIP)),
        least("commits with one copy, 16 callers", 150_000.0, "/s", rate("write 1 KiB, one copy, 16 callers")),
        least("asynchronous until applied, 32 sessions", 500_000.0, "/s", applied(32)),
        least("asynchronous until applied, 100,000 sessions", 500_000.0, "/s", applied(100_000)),
        least(
            "a copy on each of three members, 16 callers",
            80_000.0,
            "/s",
            rate("write 1 KiB, a copy on each of 3 members, 16 callers"),
        ),
        most("a read by a known key", 100.0, "ns", rate(READ).map(|rate| 1e9 / rate)),
    ]
}

fn through_redis(results: &Results) -> Vec<Target> {
    let by = |cell: &str, who: Contestant| results.middle(cell, &who.to_string()).map(|figure| figure.number);
    let mut targets = Vec::new();
    for (verb, cell, least) in [("SET with one copy", "write 1 KiB, one copy", 1.2), ("GET", "read 1 KiB", 1.0)] {
        for (callers, connections) in [("1 caller", "one connection"), ("16 callers", "16 connections")] {
            let cell = format!("{cell}, {callers}");
            let seen = ratio(by(&cell, Contestant::Node), by(&cell, Contestant::RedisReplica));
            let what = format!("{verb} through Redis' protocol, {connections}");
            targets.push(Target { what, bound: Bound::AtLeast(least, "times Redis with a replica"), seen });
        }
    }
    targets
}

fn moments(results: &Results) -> Vec<Target> {
    let node = |cell: &str| results.middle(cell, &Contestant::Node.to_string());
    let join = node("join to 100000 sessions of 1 KiB").and_then(micros).map(|micros| micros / 1000.0);
    let served = node(FAILOVER).map(|figure| figure.number);
    let most = |what: &str, bound, seen| Target { what: what.into(), bound: Bound::AtMost(bound, "ms"), seen };
    vec![
        most("100,000 sessions of 1 KiB joined, from the first frame", 1000.0, join),
        most("the next request is served after a kill", 20.0, served),
    ]
}

/// What does not depend on time is counted by other programs of this crate.
fn sizes() -> Vec<Target> {
    let bytes = counted(&["copies", "--", "bytes"], "| 2, everywhere |", 0);
    let memory = |place| counted(&["memory", "--", "20000"], "| 1 | 100 B |", place);
    let most = |what: &str, bound, seen| Target { what: what.into(), bound: Bound::AtMost(bound, "B"), seen };
    vec![
        most("of the writer on the wire, for a commit of 100 B", 150.0, bytes),
        most("memory of a session beyond its payload, owner", 256.0, memory(0)),
        most("memory of a session beyond its payload, copy", 256.0, memory(1)),
        most("memory of a session beyond its payload, others", 0.0, memory(2)),
    ]
}

/// The number that begins a field, so many after this beginning of a line that a program prints.
fn counted(program: &[&str], line: &str, place: usize) -> Option<f64> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--release", "--package", "heirloom-benches", "--bin"]).args(program);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rest = text.lines().find_map(|found| found.strip_prefix(line))?;
    rest.split('|').nth(place)?.split_whitespace().next()?.parse().ok()
}

fn micros(figure: &Figure) -> Option<f64> {
    figure.time.map(|time: Duration| time.as_secs_f64() * 1e6)
}

fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).map(|(one, other)| one / other)
}

impl Target {
    fn row(&self) -> Option<String> {
        let seen = self.seen?;
        let (word, bound, unit, is_met) = match self.bound {
            Bound::AtLeast(bound, unit) => ("at least", bound, unit, bound <= seen),
            Bound::AtMost(bound, unit) => ("at most", bound, unit, seen <= bound),
        };
        let ratio = if bound == 0.0 { String::new() } else { format!(" ({:.2})", seen / bound) };
        let number = |number: f64| if 1000.0 <= number { format!("{number:.0}") } else { short(number) };
        let is_met = if is_met { "yes" } else { "no" };
        let (bound, seen) = (number(bound), number(seen));
        Some(format!("| {} | {word} {bound} {unit} | {seen}{ratio} | {is_met} |", self.what))
    }
}

/// With no more digits than say something.
fn short(number: f64) -> String {
    let text = if 10.0 <= number { format!("{number:.1}") } else { format!("{number:.2}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Unit;

    #[test]
    fn a_target_is_met_or_missed_by_what_the_rounds_have_shown() {
        let rate = |number, time| Figure { number, text: String::new(), unit: Unit::PerSecond, time };
        let mut results = Results::default();
        let library = Contestant::Library.to_string();
        results.add(TRIP, library.clone(), Ok(rate(20_000.0, Some(Duration::from_micros(50)))));
        results.add(ONE_CALLER, library.clone(), Ok(rate(15_000.0, Some(Duration::from_micros(75)))));
        results.add("write 1 KiB, one copy, 16 callers", library, Ok(rate(75_000.0, None)));
        let rows: Vec<_> = rates(&results).iter().filter_map(Target::row).collect();
        let expected = [
            "| a commit with one copy, one caller, p50 | at most 2 bare trips | 1.5 (0.75) | yes |",
            "| commits with one copy, 16 callers | at least 150000 /s | 75000 (0.50) | no |",
        ];
        assert_eq!(rows, expected);
    }
}
