//! A node that is taken out: it serves while it hands over, and its exit status tells whether anything was at risk.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process, file};
use redis::Commands as _;

const SESSIONS: usize = 200;

#[test]
fn a_drained_node_ends_with_zero_when_another_has_what_only_it_had() {
    let first = Process::first(&[]);
    let mut second = first.join(&["--durability=local"]);
    let mut client = second.client();
    for number in 0..SESSIONS {
        client.set::<_, _, ()>(format!("k{number}"), number).expect("it serves");
    }
    let told = drain(&mut client);
    assert_eq!((&*told["serving"], &*told["ends_in_ms"]), ("yes", "20000"), "{told:?}");
    assert_eq!(second.wait().code(), Some(0));
    let keys: Vec<_> = (0..SESSIONS).map(|number| format!("k{number}")).collect();
    let found: Vec<Option<usize>> = first.client().mget(keys).expect("it serves");
    assert!(found.into_iter().eq((0..SESSIONS).map(Some)), "the other has all");
}

#[test]
fn a_node_that_is_terminated_serves_and_ends_within_its_time_and_says_that_something_was_at_risk() {
    let patient = file("[cluster]\ndrop_time = \"1h\"\n");
    let patient = format!("--config={}", patient.display());
    let first = Process::first(&[]);
    let mut second = first.join(&["--durability=local", "--drain-for=3s", &patient]);
    let mut client = second.client();
    // It takes nothing more, and nobody else is there.
    first.signal("-STOP");
    client.set::<_, _, ()>("a", 1).expect("it serves");
    assert_eq!(info(&mut client, "sessions_at_risk"), "1");
    second.signal("-TERM");
    let (began, end) = (Instant::now(), Instant::now() + PATIENCE);
    while info(&mut client, "state") != "draining" {
        assert!(Instant::now() < end, "it drains");
        thread::sleep(Duration::from_millis(1));
    }
    client.set::<_, _, ()>("b", 1).expect("it serves while it drains");
    let told = drain(&mut client);
    assert_eq!((&*told["state"], &*told["serving"], &*told["sessions_at_risk"]), ("draining", "yes", "2"), "{told:?}");
    let ends_in: u64 = told["ends_in_ms"].parse().expect("it is a number");
    assert!(ends_in <= 3000 && told["remaining"] != "0", "{told:?}");
    assert_eq!(second.wait().code(), Some(3));
    assert!(Duration::from_secs(2) < began.elapsed(), "it has waited for the other");
}

#[test]
fn the_last_node_does_not_wait_for_others_and_says_what_is_at_risk() {
    let mut last = Process::first(&["--drain-for=1h"]);
    let mut client = last.client();
    client.set::<_, _, ()>("a", 1).expect("it serves");
    last.signal("-TERM");
    assert_eq!(last.wait().code(), Some(3));
}

/// Asks for the end of a node, or how far it is.
fn drain(client: &mut redis::Connection) -> BTreeMap<String, String> {
    redis::cmd("HEIRLOOM.DRAIN").query(client).expect("it answers at once")
}

/// A line of what a node tells of itself.
fn info(client: &mut redis::Connection, name: &str) -> String {
    let text: String = redis::cmd("INFO").arg("heirloom").query(client).expect("it answers");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
}
