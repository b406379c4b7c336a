//! What a measurement comes to, as a table and as JSON.

use core::{fmt::Write as _, time::Duration};
use std::thread;

use serde::Serialize;

use super::{
    Front, Plan,
    figures::{Times, per_second},
    load::{Results, Used},
    processor,
};

/// The figures. These are the fields of the object of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    front: &'static str,
    nodes: usize,
    copies: Option<String>,
    durability: Option<String>,
    callers: u32,
    pipeline: u32,
    sessions: u32,
    attributes: u32,
    value_bytes: u32,
    read_share: u32,
    seconds: f64,
    commits_per_s: f64,
    /// Counted until the copies had everything.
    applied_per_s: Option<f64>,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    reads_per_s: f64,
    read_p50_us: f64,
    read_p99_us: f64,
    wire_bytes_per_commit: Option<f64>,
    wire_bytes_per_commit_all: Option<f64>,
    registers_per_commit: Option<f64>,
    lag_p50_us: Option<f64>,
    lag_p99_us: Option<f64>,
    lags: Vec<Lag>,
    cpu_us_per_commit_writer: Option<f64>,
    cpu_us_per_commit_copy: Option<f64>,
    refused: u64,
    refusal: Option<String>,
    lost: u64,
    events: Vec<Seen>,
    processors: usize,
    load: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Lag {
    node: String,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

#[derive(Debug, Serialize)]
struct Seen {
    at_s: f64,
    what: String,
}

impl Summary {
    pub(super) fn new(plan: &Plan, results: &Results) -> Self {
        let tally = &results.tally;
        let (writes, reads) = (&tally.writes, &tally.reads);
        let commits = writes.count();
        let each = |used: u64| round(used as f64 / commits.max(1) as f64);
        let all =
            results.copies.iter().chain([&results.writer]).map(|used| Some((*used)?.wire_bytes)).sum::<Option<u64>>();
        let used = |used: Option<Used>| Some(round(micros(used?.processor?) / commits.max(1) as f64));
        let of_copies: Vec<f64> = results.copies.iter().filter_map(|copy| used(*copy)).collect();
        let is_known = |_: &&Plan| plan.at.is_empty();
        let mut lags = Times::default();
        results.lags.iter().for_each(|(_, times)| lags.add(times));
        let lag = |percent| (0 < lags.count()).then(|| micros(lags.percentile(percent)));
        Self {
            front: match plan.front {
                Front::Redis => "redis",
                Front::Handle => "handle",
            },
            nodes: results.copies.len() + 1,
            copies: Some(plan).filter(is_known).map(|plan| plan.copies.to_string()),
            durability: Some(plan).filter(is_known).map(|plan| plan.durability.text.clone()),
            callers: plan.callers,
            pipeline: plan.pipeline,
            sessions: plan.sessions,
            attributes: plan.attributes,
            value_bytes: plan.value_bytes,
            read_share: plan.read_share,
            seconds: round(results.called_for.as_secs_f64()),
            commits_per_s: round(per_second(commits, results.called_for)),
            applied_per_s: results.applied_for.map(|length| round(per_second(commits, length))),
            p50_us: micros(writes.percentile(50.0)),
            p90_us: micros(writes.percentile(90.0)),
            p99_us: micros(writes.percentile(99.0)),
            p999_us: micros(writes.percentile(99.9)),
            max_us: micros(writes.max()),
            reads_per_s: round(per_second(reads.count(), results.called_for)),
            read_p50_us: micros(reads.percentile(50.0)),
            read_p99_us: micros(reads.percentile(99.0)),
            wire_bytes_per_commit: results.writer.map(|used| each(used.wire_bytes)),
            wire_bytes_per_commit_all: all.map(each),
            registers_per_commit: results.writer.map(|used| each(used.registers)),
            lag_p50_us: lag(50.0),
            lag_p99_us: lag(99.0),
            lags: results.lags.iter().map(|(node, times)| Lag::new(node, times)).collect(),
            cpu_us_per_commit_writer: used(results.writer),
            cpu_us_per_commit_copy: (!of_copies.is_empty())
                .then(|| of_copies.iter().sum::<f64>() / of_copies.len() as f64),
            refused: tally.refused,
            refusal: tally.refusal.clone(),
            lost: results.lost,
            events: results
                .events
                .iter()
                .map(|event| Seen { at_s: round(event.at.as_secs_f64()), what: event.what.clone() })
                .collect(),
            processors: thread::available_parallelism().map_or(1, usize::from),
            load: processor::load(),
        }
    }

    /// What was measured, on one line.
    pub(super) fn title(&self) -> String {
        let mut title = format!("heirloom bench: {} nodes, front {}", self.nodes, self.front);
        if let (Some(copies), Some(durability)) = (&self.copies, &self.durability) {
            title += &format!(", copies {copies}, durability {durability}");
        }
        let plural = if self.attributes == 1 { "" } else { "s" };
        title
            + &format!(
                ", {} callers x {}, {} sessions of {} attribute{plural} of {} bytes, {} % reads",
                self.callers, self.pipeline, self.sessions, self.attributes, self.value_bytes, self.read_share
            )
    }

    /// As one line of JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers can be written as JSON")
    }

    /// As a table.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![self.commits()];
        if let Some(applied) = self.applied_per_s {
            rows.push((
                "applied",
                format!("{applied:.0}/s, counted until the others had told that they have everything"),
            ));
        }
        if 0.0 < self.reads_per_s {
            let (p50, p99) = (self.read_p50_us, self.read_p99_us);
            rows.push(("reads", format!("{:.0}/s: p50 {p50:.1} us, p99 {p99:.1} us", self.reads_per_s)));
        }
        if let (Some(wire), Some(all), Some(registers)) =
            (self.wire_bytes_per_commit, self.wire_bytes_per_commit_all, self.registers_per_commit)
        {
            let by_writer = format!("{wire:.1} bytes and {registers:.2} registers by the writer");
            rows.push(("sent", format!("a commit: {by_writer}, {all:.1} bytes by all")));
        }
        for Lag { node, p50_us, p99_us, max_us } in &self.lags {
            let times = format!("{node}: p50 {p50_us:.1} us, p99 {p99_us:.1} us, max {max_us:.1} us");
            rows.push(("lag", format!("{times}, from the call of a commit until a read there shows it")));
        }
        if let (Some(writer), Some(copy)) = (self.cpu_us_per_commit_writer, self.cpu_us_per_commit_copy) {
            let whose = if self.front == "handle" { "on the writer, callers included" } else { "on the writer" };
            rows.push(("processor", format!("a commit: {writer:.2} us {whose}, {copy:.2} us on a copy")));
        }
        rows.extend(self.events.iter().map(|Seen { at_s, what }| ("view", format!("{what} after {at_s:.2} s"))));
        if let Some(refusal) = &self.refusal {
            rows.push(("refused", format!("{}, the last one with {refusal:?}", self.refused)));
        }
        rows.push(("lost", format!("{} of what was acknowledged", self.lost)));
        let load = self.load.map(|load| format!(", load {load:.1}")).unwrap_or_default();
        rows.push(("machine", format!("{} processors{load}", self.processors)));
        let mut text = self.title() + "\n";
        for (label, row) in rows {
            writeln!(text, "  {label:10}  {row}").expect("a string takes what is written");
        }
        text
    }

    fn commits(&self) -> (&'static str, String) {
        let Self { commits_per_s, p50_us, p90_us, p99_us, p999_us, max_us, .. } = self;
        let row = format!(
            "{commits_per_s:.0}/s: p50 {p50_us:.1} us, p90 {p90_us:.1} us, p99 {p99_us:.1} us, p99.9 {p999_us:.1} us, max {max_us:.1} us"
        );
        ("commits", row)
    }
}

impl Lag {
    fn new(node: &str, times: &Times) -> Self {
        let [p50_us, p99_us] = [50.0, 99.0].map(|percent| micros(times.percentile(percent)));
        Self { node: node.into(), p50_us, p99_us, max_us: micros(times.max()) }
    }
}

fn micros(length: Duration) -> f64 {
    round(length.as_secs_f64() * 1e6)
}

/// To a thousandth: more digits say nothing.
fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
