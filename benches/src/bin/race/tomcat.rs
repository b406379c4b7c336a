//! Tomcat's cluster, by a rig that is not part of this project: a folder with `run.sh`, which takes names of workloads, and
//! writes a line of JSON for each measurement into the file that `HL_OUT` names.

use std::{
    env, fs, io,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::cells::{Figure, Unit};

/// How it is called in the table.
pub(crate) const NAME: &str = "Tomcat";

/// What is used of a line.
#[derive(Debug, Deserialize)]
struct Line {
    w: String,
    mgr: Option<String>,
    nodes: Option<u32>,
    opts: Option<u32>,
    size: Option<u32>,
    threads: Option<u32>,
    rate_applied: Option<f64>,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    stale_copies: Option<u32>,
    sessions: Option<u32>,
    n2_start_ms: Option<f64>,
    n2_copies: Option<u32>,
    heap_alone: Option<f64>,
}

/// One round of the rig: the rates of `DeltaManager`, each taken for so many seconds, and if it is the first round the transfer
/// to a member that joins, for which the rig waits minutes in vain.
pub(crate) fn run(folder: &Path, seconds: u32, round: u32) -> io::Result<Vec<(String, Figure)>> {
    let out = env::temp_dir().join(format!("heirloom-race-{}.jsonl", std::process::id()));
    let mut command = Command::new(folder.join("run.sh"));
    let workloads: &[&str] = if round == 1 { &["w1", "w4"] } else { &["w1"] };
    command.args(workloads).env("HL_OUT", &out).env("HL_REPS", "1").env("HL_SECS", seconds.to_string());
    command.env("HL_WARM", "5");
    command.env("HL_MGR", "delta").env("HL_NODES", "2 3 4").env("HL_COUNTS", "10000 100000").env("HL_QUIET", "0");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let text = fs::read_to_string(&out);
    // It is in the folder for temporary files.
    let _stays = fs::remove_file(&out);
    if !status.success() {
        return Err(io::Error::other(format!("{} ended with {status}", folder.join("run.sh").display())));
    }
    let lines = text?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Line>>();
    Ok(lines.iter().flat_map(Line::figures).collect())
}

impl Line {
    /// The cells that it belongs to.
    fn figures(&self) -> Vec<(String, Figure)> {
        if self.mgr.as_deref() != Some("delta") {
            return Vec::new();
        }
        match self.w.as_str() {
            "w1" => self.rate().into_iter().collect(),
            "w4" => self.join(),
            _ => Vec::new(),
        }
    }

    fn rate(&self) -> Option<(String, Figure)> {
        let (nodes, opts, size, threads) = (self.nodes?, self.opts?, self.size?, self.threads?);
        let cell = match (nodes, opts, size, threads) {
            (2, 6, 1024, 1) => "write 1 KiB, one copy, 1 caller".to_owned(),
            (2, 6, 1024, 2) => "write 1 KiB, one copy, 2 callers".into(),
            (2, 6, 100, 2) => "write 100 B, one copy, 2 callers".into(),
            (2, 6, 102_400, 2) => "write 100 KiB, one copy, 2 callers".into(),
            // The rig has no more than two callers.
            (3 | 4, 6, 1024, 2) => format!("write 1 KiB, a copy on each of {nodes} members, 16 callers"),
            (2, 8, 1024, 2) => "asynchronous writes of 1 KiB until applied, 32 sessions".into(),
            _ => return None,
        };
        let number = self.rate_applied?;
        let times = match (opts, self.p50_us, self.p99_us, self.stale_copies) {
            (6, Some(p50), Some(p99), _) => format!(", p50 {p50:.1}µs, p99 {p99:.1}µs"),
            (8, _, _, Some(stale)) => format!(", {stale} of 32 copies stale"),
            _ => String::new(),
        };
        let callers = if 2 < nodes { ", 2 callers" } else { "" };
        Some((
            cell,
            Figure { number, text: format!("{number:.0}/s{times}{callers}"), unit: Unit::PerSecond, time: None },
        ))
    }

    fn join(&self) -> Vec<(String, Figure)> {
        let (Some(sessions), Some(start), Some(copies)) = (self.sessions, self.n2_start_ms, self.n2_copies) else {
            return Vec::new();
        };
        let lacking = if copies < sessions { format!(", {copies} have arrived") } else { String::new() };
        let join = Figure { number: start, text: format!("{start:.0} ms{lacking}"), unit: Unit::Millis, time: None };
        let mut figures = vec![(format!("join to {sessions} sessions of 1 KiB"), join)];
        if let (100_000, Some(heap)) = (sessions, self.heap_alone) {
            let bytes = heap - 1024.0;
            let memory = Figure { number: bytes, text: format!("{bytes:.0} B of heap"), unit: Unit::Bytes, time: None };
            figures.push(("memory of a session of 1 KiB beyond it, each member".into(), memory));
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_rig_belong_to_cells_of_the_race() {
        let lines = [
            r#"{"w": "w1", "mgr": "delta", "nodes": 2, "opts": 6, "size": 1024, "threads": 1, "rate_in": 2024,
                "rate_applied": 2024, "p50_us": 81.261, "p99_us": 7097.902, "stale_copies": 0, "other_cpu": 0.63}"#,
            r#"{"w": "w1", "mgr": "delta", "nodes": 2, "opts": 8, "size": 1024, "threads": 2, "rate_applied": 37732,
                "p50_us": 3.835, "p99_us": 6.42, "stale_copies": 31}"#,
            r#"{"w": "w4", "mgr": "delta", "opts": 8, "sessions": 100000, "n2_start_ms": 7269, "n2_copies": 0, "heap_alone": 2060}"#,
            r#"{"w": "w1", "mgr": "backup", "nodes": 2, "opts": 8, "size": 1024, "threads": 2, "rate_applied": 1}"#,
        ];
        let lines = lines.map(|line| serde_json::from_str::<Line>(line).expect("the rig writes such lines"));
        let told: Vec<_> = lines.iter().flat_map(Line::figures).map(|(cell, figure)| (cell, figure.text)).collect();
        let cells: Vec<_> = crate::cells::all().iter().map(|cell| cell.name().to_owned()).collect();
        assert!(told.iter().all(|(cell, _)| cells.contains(cell)), "{told:?}");
        let texts: Vec<_> = told.into_iter().map(|(_, text)| text).collect();
        let expected = [
            "2024/s, p50 81.3µs, p99 7097.9µs",
            "37732/s, 31 of 32 copies stale",
            "7269 ms, 0 have arrived",
            "1036 B of heap",
        ];
        assert_eq!(texts, expected);
    }
}
