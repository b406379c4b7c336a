//! The measurements, run as people run them, for a second each.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{self, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

#[path = "support/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use support::Process;

/// The fields that scripts may lean on.
const FIELDS: [&str; 7] =
    ["commits_per_s", "reads_per_s", "p50_us", "p99_us", "wire_bytes_per_commit", "registers_per_commit", "lag_p99_us"];

#[test]
fn nodes_as_processes_are_measured_and_none_is_left() {
    let told = measure("redis", &["--copies", "backups:1", "--nodes", "3", "--attributes", "3"]);
    assert_eq!((&told["nodes"], &told["front"]), (&Value::from(3), &Value::from("redis")), "{told}");
    assert!(told["cpu_us_per_commit_writer"].as_f64().is_some_and(|micros| 0.0 < micros), "{told}");
}

#[test]
fn nodes_in_the_process_are_measured_and_drawn() {
    let file = std::env::temp_dir().join(format!("heirloom-bench-{}.svg", process::id()));
    let told = measure("handle", &["--front", "handle", "--pipeline", "4", "--plot", file.to_str().unwrap()]);
    assert_eq!((&told["nodes"], &told["front"]), (&Value::from(2), &Value::from("handle")), "{told}");
    let drawn = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert_eq!(drawn.matches("<polyline").count(), 4, "commits and reads, by percentile and by time");
}

#[test]
fn nodes_that_run_already_are_measured_until_the_first_is_gone() {
    let first = Process::first(&[]);
    let second = first.join(&[]);
    let addresses = [first.listen.to_string(), second.listen.to_string()];
    let at = ["--at", &addresses[0], "--at", &addresses[1], "--json"];
    let whole = bench("at", &[&at[..], &["--seconds", "1"]].concat()).output().unwrap();
    assert!(whole.status.success(), "{whole:?}");
    let broken = bench("at", &[&at[..], &["--seconds", "60"]].concat());
    let broken = thread::spawn(move || { broken }.output().unwrap());
    // All sessions are there, and the callers call.
    let mut client = first.client();
    let before = commits(&mut client);
    let until = Instant::now() + Duration::from_secs(30);
    while commits(&mut client) < before + 3_000 {
        assert!(Instant::now() < until, "the callers write");
    }
    first.signal("-KILL");
    let broken = broken.join().unwrap();
    let told: Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert!(told["commits_per_s"].as_f64().is_some_and(|rate| 0.0 < rate), "{told}");
    assert_eq!((&told["lost"], &told["wire_bytes_per_commit"]), (&Value::from(0), &Value::Null), "{told}");
    refused(&broken, "breaks off");
}

#[test]
fn what_cannot_be_is_refused_on_one_line() {
    for (flags, said) in [
        (&["--callers", "0"][..], "from 1 to 256"),
        (&["--seconds", "-1"], "from 1 to 3600"),
        (&["--value-bytes", "7"], "from 8 to 1000000"),
        (&["--read-share", "101"], "from 0 to 100"),
        (&["--durability", "some"], "copies:N"),
        (&["--copies", "backups:9"], "backups:1 to backups:8"),
        (&["--callers", "9", "--sessions", "8"], "--sessions"),
        (&["--attributes", "1000", "--sessions", "5000"], "4000000"),
        (&["--pipeline", "1024", "--value-bytes", "1000000"], "16777216"),
        (&["--front", "handle", "--at", "127.0.0.1:1"], "--front redis"),
        (&["--at", "127.0.0.1:1"], "cannot be reached"),
        (&["--plot", "/no/such/folder/plot.svg"], "/no/such/folder/plot.svg"),
        (&["historic", "--iterations", "0"], "from 1 to 1000000"),
    ] {
        let output = bench("wrong", flags).output().unwrap();
        assert!(output.stdout.is_empty(), "{output:?}");
        refused(&output, said);
    }
}

#[test]
fn what_is_no_node_of_this_version_is_refused() {
    for (info, said) in [("redis_version:7.2.4\r\n", "no node of heirloom"), ("heirloom_version:0.0.1\r\n", "0.0.1")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let other = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _asked = stream.read(&mut [0; 100]).unwrap();
            write!(stream, "${}\r\n{info}\r\n", info.len()).unwrap();
        });
        refused(&bench("wrong", &["--at", &address]).output().unwrap(), said);
        other.join().unwrap();
    }
}

#[test]
fn a_signal_ends_the_nodes_too() {
    let mut child = bench("signal", &["--seconds", "60"]).stdout(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while processes("signal").len() != 3 {
        assert!(Instant::now() < until, "the measurement and two nodes run");
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes("signal"), [0; 0]);
}

#[test]
fn the_article_is_repeated_in_one_table() {
    let output = bench("historic", &["historic", "--iterations", "20", "--delay", "1"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<_> = said.lines().filter(|line| line.starts_with("| light") || line.starts_with("| heavy")).collect();
    assert_eq!(rows.len(), 14, "{said}");
    assert!(rows.iter().all(|row| row.split('|').count() == 12 && !row.contains("NaN")), "{said}");
    for defined in
        ["mean response time:", "mean request time:", "overhead time:", "replication time:", "bytes/ms ", "bytes/req "]
    {
        assert_eq!(said.matches(defined).count(), if defined.ends_with(' ') { 2 } else { 1 }, "{defined} in {said}");
    }
    assert_eq!(
        said.lines().filter(|line| line.starts_with("- seen:") || line.starts_with("- not seen here:")).count(),
        3
    );
}

/// Measures for a second, with reads, and checks what is told.
fn measure(mark: &str, flags: &[&str]) -> Value {
    let common = ["--seconds", "1", "--read-share", "20", "--value-bytes", "100", "--callers", "3", "--json"];
    let output = bench(mark, &[&common[..], flags].concat()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_str(&said).unwrap();
    for field in FIELDS {
        assert!(told[field].as_f64().is_some_and(|number| 0.0 < number), "{field} in {said}");
    }
    assert_eq!((&told["lost"], &told["refused"]), (&Value::from(0), &Value::from(0)), "{said}");
    assert_eq!(processes(mark), [0; 0]);
    told
}

fn refused(output: &Output, said: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(said) && error.lines().count() == 1, "{said} in {error}");
}

fn commits(client: &mut redis::Connection) -> u64 {
    let info: String = redis::cmd("INFO").arg("heirloom").query(client).unwrap();
    let commits = info.lines().find_map(|line| line.strip_prefix("commits:")).unwrap();
    commits.parse().unwrap()
}

/// The measurement, marked so that it and the nodes it starts are found.
fn bench(mark: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
    command.arg("bench").args(flags).env(MARK, marked(mark));
    command
}

const MARK: &str = "BENCH_MARK";

fn marked(mark: &str) -> String {
    format!("{}-{mark}", process::id())
}

/// The processes with this mark.
fn processes(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={}", marked(mark));
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_marked = |process: &u32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    all.filter(is_marked).collect()
}
