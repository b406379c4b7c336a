//! Two domains on one network: nodes see those of the other, and share no session with them.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process};
use redis::{Commands as _, Connection, cmd};

#[test]
fn two_domains_see_each_other_and_share_no_session() {
    let shop = Process::first(&["--domain=shop", "--name=shop1"]);
    let peer = format!("--peer={}", shop.bind);
    // The first of its domain starts alone, though a ready member of another is there.
    let mut desk = Process::first(&["--domain=desk", "--name=desk1", &peer]);
    assert_eq!(desk.cause, "first-member");
    let second = shop.join(&["--domain=shop", "--name=shop2"]);
    let mut clients = [&shop, &second, &desk].map(Process::client_of_three);
    let expected = [("shop1", "shop"), ("shop2", "shop"), ("desk1", "desk")];
    let expected = expected.map(|(name, domain)| (name.to_owned(), domain.to_owned())).into();
    for client in &mut clients {
        eventually("each sees all", || domains(client) == expected);
        assert_eq!(info(client, "members"), if info(client, "name") == "desk1" { "0" } else { "1" });
    }
    // The same id is a session of its own in each.
    clients[0].set::<_, _, ()>("session", "alice").unwrap();
    clients[2].set::<_, _, ()>("session", "bob").unwrap();
    assert_eq!(clients[1].get::<_, String>("session").unwrap(), "alice");
    clients[2].del::<_, ()>("session").unwrap();
    assert_eq!(clients[1].get::<_, String>("session").unwrap(), "alice");
    assert_eq!(info(&mut clients[2], "sessions"), "0");

    desk.signal("-KILL");
    desk.wait();
    eventually("it is missed", || domains(&mut clients[0]).len() == 2);
    assert_eq!(clients[1].get::<_, String>("session").unwrap(), "alice");
}

/// The domain of each node that one sees, itself included.
fn domains(client: &mut Connection) -> BTreeMap<String, String> {
    let rows: Vec<BTreeMap<String, redis::Value>> = cmd("HEIRLOOM.MEMBERS").query(client).expect("it answers");
    let text = |row: &BTreeMap<String, redis::Value>, field: &str| {
        redis::from_redis_value::<String>(row[field].clone()).expect("it is text")
    };
    rows.iter().map(|row| (text(row, "name"), text(row, "domain"))).collect()
}

fn info(client: &mut Connection, field: &str) -> String {
    let all: String = cmd("INFO").arg("heirloom").query(client).expect("it answers");
    let line = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{field} in {all}")).to_owned()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not yet: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
