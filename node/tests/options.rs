//! How the program is called, and what it says when it is called in a wrong way.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{net::TcpListener, process::Output};

use process::{Process, file, run};

/// Arguments, variables of the environment, and what the line must name.
type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn a_wrong_value_is_one_line_and_code_two() {
    let unknown = file("nosuch = 1\n");
    let unknown_in_cluster = file("[cluster]\nnosuch = 1\n");
    let out_of_range = file("[cluster]\ndrop_time = \"1ms\"\n");
    let rows: [Row; 13] = [
        (&[], &[], "requires a subcommand"),
        (&["nosuch"], &[], "nosuch"),
        (&["node", "--nosuch"], &[], "--nosuch"),
        (&["node", "--listen", "x"], &[], "--listen"),
        (&["node", "--durability", "two"], &[], "local, one, majority, all or copies:N"),
        (&["node"], &[("HEIRLOOM_IDLE", "x")], "HEIRLOOM_IDLE"),
        (&["node"], &[("HEIRLOOM_DRAIN_FOR", "x")], "HEIRLOOM_DRAIN_FOR"),
        (&["node", "--listen", "0.0.0.0:0"], &[], "--insecure"),
        (&["node", "--bind", "0.0.0.0:0"], &[], "--insecure"),
        (&["node", "--config", "/nosuch.toml"], &[], "/nosuch.toml"),
        (&["node", "--config", unknown.to_str().unwrap()], &[], "nosuch"),
        (&["node", "--config", unknown_in_cluster.to_str().unwrap()], &[], "nosuch"),
        (&["node", "--config", out_of_range.to_str().unwrap()], &[], "drop_time: must be 1s to 1h"),
    ];
    for (arguments, environment, named) in rows {
        let output = run(arguments, environment);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let line = one_line(&output);
        assert!(line.contains(named), "{named} in {line}");
    }
}

#[test]
fn a_taken_port_is_one_line_and_code_one() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["node", "--listen", &address, "--bind", "127.0.0.1:0", "--multicast=off"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(one_line(&output).contains(&address));
}

#[test]
fn help_and_version_are_no_failures() {
    let output = run(&["node", "--help"], &[]);
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--name",
        "--cluster-name",
        "--listen",
        "--bind",
        "--advertise",
        "--multicast",
        "--interface",
        "--peer",
        "--durability",
        "--copies",
        "--unit",
        "--host-label",
        "--zone",
        "--domain",
        "--weight",
        "--sessions-max",
        "--memory-max",
        "--when-full",
        "--commit-for",
        "--drain-for",
        "--idle",
        "--clients-max",
        "--insecure",
        "--record",
        "--record-limit",
        "--record-values",
        "--config",
        "[cluster]",
        "HEIRLOOM_",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    assert!(run(&["--version"], &[]).status.success());
    assert!(run(&["--help"], &[]).status.success());
}

#[test]
fn a_taken_port_of_the_cluster_is_passed_over() {
    let first = Process::first(&[]);
    let bind = format!("--bind={}", first.bind);
    let second = first.join(&[&bind]);
    assert_ne!(first.bind, second.bind);
}

#[test]
fn a_node_leaves_when_it_is_asked_to() {
    let mut first = Process::first(&[]);
    let mut second = first.join(&[]);
    first.signal("-TERM");
    assert_eq!(first.wait().code(), Some(0));
    let mut client = second.client();
    let _unanswered = redis::cmd("SHUTDOWN").exec(&mut client).expect_err("the answer is the end");
    assert_eq!(second.wait().code(), Some(0));
}

fn one_line(output: &Output) -> String {
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr.clone()).expect("it is text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}
