//! What the demonstration comes to.

use core::time::Duration;
use std::collections::BTreeSet;

use indicatif::HumanCount;
use serde::Serialize;

use super::{
    readback::Found,
    screen::{Screen, Tone, time},
    traffic::Tally,
};

/// Everything that was counted and timed.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    nodes: u8,
    sessions: u32,
    value_bytes: u32,
    pub(super) writes: Tally,
    /// How long the writers wrote.
    pub(super) wrote_for: Duration,
    /// From the kill until the last survivor did not list the dead one any more.
    pub(super) detected: Duration,
    /// How many sessions were copied again, as the dead one had held them.
    pub(super) copied: u64,
    /// From the start of the replacement until it said that it is ready.
    pub(super) joined: Duration,
    values: u64,
    read_for: Duration,
    lost: BTreeSet<u32>,
    wrong: BTreeSet<u32>,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Object {
    nodes: u8,
    sessions: u32,
    value_bytes: u32,
    acknowledged: u64,
    lost: usize,
    wrong: usize,
    detect_ms: f64,
    join_ms: f64,
    written_per_s: u64,
    read_per_s: u64,
}

impl Summary {
    /// Of a demonstration that begins.
    pub(super) fn new(nodes: u8, sessions: u32, value_bytes: u32) -> Self {
        Self { nodes, sessions, value_bytes, ..Self::default() }
    }

    /// Takes in what was read.
    pub(super) fn add(&mut self, found: Found) {
        self.values += found.values;
        self.read_for += found.elapsed;
        self.lost.extend(found.lost);
        self.wrong.extend(found.wrong);
    }

    /// What is wrong with it.
    pub(super) fn complaint(&self) -> Option<String> {
        let (lost, wrong) = (self.lost.len(), self.wrong.len());
        let is_good = lost == 0 && wrong == 0;
        (!is_good).then(|| format!("of the acknowledged sessions {lost} were lost and {wrong} wrong"))
    }

    /// As one line of JSON.
    pub(super) fn json(&self) -> String {
        let object = Object {
            nodes: self.nodes,
            sessions: self.sessions,
            value_bytes: self.value_bytes,
            acknowledged: self.writes.acknowledged,
            lost: self.lost.len(),
            wrong: self.wrong.len(),
            detect_ms: milliseconds(self.detected),
            join_ms: milliseconds(self.joined),
            written_per_s: per_second(self.writes.acknowledged, self.wrote_for),
            read_per_s: per_second(self.values, self.read_for),
        };
        serde_json::to_string(&object).expect("numbers can be written as JSON")
    }

    /// As a table.
    pub(super) fn show(&self, screen: &Screen) {
        let tone = |count| if count == 0 { Tone::Good } else { Tone::Bad };
        let bad = |sessions: &BTreeSet<u32>| screen.toned(tone(sessions.len()), sessions.len());
        let (writes, attempted) = (HumanCount(self.writes.acknowledged), HumanCount(self.writes.attempted));
        let written = HumanCount(per_second(self.writes.acknowledged, self.wrote_for));
        let read = HumanCount(per_second(self.values, self.read_for));
        let copied = match self.copied {
            0 => "no session, as every survivor had all".into(),
            copied => format!("{} sessions, as one of their copies was on the killed node", HumanCount(copied)),
        };
        let rows = [
            ("written", format!("{writes} of {attempted} writes acknowledged, {written} a second")),
            ("read back", format!("{} values, {read} a second", HumanCount(self.values))),
            ("death seen", format!("by everybody {} after the kill", time(self.detected))),
            ("copied again", copied),
            ("replaced", format!("with everything {} after the start", time(self.joined))),
            ("result", format!("lost {}, wrong {}", bad(&self.lost), bad(&self.wrong))),
        ];
        screen.line("");
        for (label, text) in rows {
            screen.line(&format!("  {label:12}  {text}"));
        }
    }
}

/// How many that is in a second.
pub(super) fn per_second(count: u64, elapsed: Duration) -> u64 {
    let nanos = elapsed.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// With one digit behind the point.
fn milliseconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_its_ten_members_and_no_other() {
        let writes = Tally { attempted: 50, acknowledged: 40, ..Tally::default() };
        let mut summary = Summary {
            nodes: 3,
            sessions: 10,
            value_bytes: 100,
            writes,
            wrote_for: Duration::from_millis(500),
            detected: Duration::from_micros(21_340),
            joined: Duration::from_millis(600),
            ..Summary::default()
        };
        let elapsed = Duration::from_secs(2);
        summary.add(Found { values: 30, elapsed, lost: [1].into(), wrong: [1, 2].into(), ..Found::default() });
        summary.add(Found { values: 30, elapsed, lost: [1].into(), ..Found::default() });
        let expected = r#"{"nodes":3,"sessions":10,"value_bytes":100,"acknowledged":40,"lost":1,"wrong":2,"#.to_owned()
            + r#""detect_ms":21.3,"join_ms":600.0,"written_per_s":80,"read_per_s":15}"#;
        assert_eq!(summary.json(), expected);
        let complaint = "of the acknowledged sessions 1 were lost and 2 wrong";
        assert_eq!(summary.complaint().as_deref(), Some(complaint));
    }
}
