//! Nodes with addresses of IPv4 and of IPv6 are one cluster, and tell each other what they were told to.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process};
use redis::{Commands as _, Connection, Value, cmd};

#[test]
fn nodes_of_both_families_share_sessions_and_tell_their_payloads() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let six = ["--bind=[::1]:0", "--listen=[::1]:0"];
    for (first, second) in [("std", "smol"), ("smol", "std")] {
        let (first, second) = (format!("--runtime={first}"), format!("--runtime={second}"));
        let old = Process::first(&[&six[..], &[&first, "--payload=rack 6"]].concat());
        let new = old.join(&[&second, "--payload=rack 4"]);
        assert!(old.bind.is_ipv6() && old.listen.is_ipv6() && new.bind.is_ipv4());
        let mut clients = [old.client_of_three(), new.client_of_three()];
        let expected = [(old.bind.to_string(), "rack 6"), (new.bind.to_string(), "rack 4")];
        let expected: BTreeMap<_, _> = expected.map(|(address, payload)| (address, payload.to_owned())).into();
        for client in &mut clients {
            eventually("each sees both", || payloads(client) == expected);
        }
        clients[0].set::<_, _, ()>("of six", "alice").expect("it has a copy");
        clients[1].set::<_, _, ()>("of four", "bob").expect("it has a copy");
        assert_eq!(clients[1].get::<_, String>("of six").expect("it is there"), "alice");
        assert_eq!(clients[0].get::<_, String>("of four").expect("it is there"), "bob");
    }
}

/// The payload of each node that one sees, itself included, by its address.
fn payloads(client: &mut Connection) -> BTreeMap<String, String> {
    let rows: Vec<BTreeMap<String, Value>> = cmd("HEIRLOOM.MEMBERS").query(client).expect("it answers");
    let text = |row: &BTreeMap<String, Value>, field: &str| {
        redis::from_redis_value::<String>(row[field].clone()).expect("it is text")
    };
    rows.iter().map(|row| (text(row, "address"), text(row, "payload"))).collect()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not yet: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
