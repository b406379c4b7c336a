//! The demonstration, run as people run it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

#[test]
fn nothing_acknowledged_is_lost_and_no_process_is_left() {
    check("multicast", &[], &["--nodes", "3"]);
}

#[test]
fn with_one_backup_among_five_nothing_is_lost_either() {
    check("backups", &[], &["--nodes", "5", "--copies", "backups:1"]);
}

#[test]
fn it_works_where_there_is_no_multicast() {
    check("addresses", &[("HEIRLOOM_DEMO_MULTICAST", "off")], &["--nodes", "3"]);
}

#[test]
fn what_is_not_allowed_is_refused_on_one_line() {
    let wrong = [
        ("--durability", "bad", "one"),
        ("--copies", "nowhere", "backups:1 to backups:8"),
        ("--nodes", "1", "from 2 to 9"),
        ("--nodes", "10", "from 2 to 9"),
        ("--sessions", "0", "from 10 to 1000000"),
        ("--sessions", "-1", "from 10 to 1000000"),
        ("--value-bytes", "x", "from 32 to 1000000"),
        ("--value-bytes", "31", "from 32 to 1000000"),
    ];
    for (flag, value, allowed) in wrong {
        let output = demo("wrong").args([flag, value]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(flag) && said.contains(allowed) && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_signal_ends_the_nodes_too() {
    for (signal, number) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = demo(signal).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.find(|line| line.contains("are started")).unwrap();
        // A process that has only just started does not show its environment yet.
        let until = Instant::now() + Duration::from_secs(10);
        while processes(signal).len() != 4 {
            assert!(Instant::now() < until, "the demonstration and three nodes run");
        }
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(number));
        assert_eq!(processes(signal), [0; 0]);
    }
}

fn check(mark: &str, environment: &[(&str, &str)], flags: &[&str]) {
    let mut demo = demo(mark);
    demo.args(["--sessions", "300", "--value-bytes", "100", "--json"]).args(flags).envs(environment.iter().copied());
    let output = demo.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let nodes: u32 = flags[1].parse().unwrap();
    let object: Value = serde_json::from_str(&said).unwrap();
    for (name, number) in [("nodes", nodes), ("sessions", 300), ("value_bytes", 100), ("lost", 0), ("wrong", 0)] {
        assert_eq!(object[name], number, "{said}");
    }
    for name in ["acknowledged", "detect_ms", "join_ms", "written_per_s", "read_per_s"] {
        assert!(object[name].as_f64().is_some_and(|number| 0.0 < number), "{said}");
    }
    assert_eq!(object.as_object().unwrap().len(), 10);
    assert_eq!(processes(mark), [0; 0]);
}

/// A demonstration whose processes can be told by a mark in their environment.
fn demo(mark: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
    command.arg("demo").env("DEMO_MARK", marked(mark));
    command
}

/// The processes that have this mark.
fn processes(mark: &str) -> Vec<u32> {
    let variable = format!("DEMO_MARK={}", marked(mark));
    let has_mark = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(has_mark).collect()
}

fn marked(mark: &str) -> String {
    format!("{mark}-{}", process::id())
}
