//! Five nodes that keep each session on its owner and one backup: any of them serves it, and few of them hold it.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process};
use redis::{Commands as _, Connection, cmd, pipe};

const FLAGS: &[&str] = &["--copies=backups:1", "--durability=all"];
/// The owner, and the two that rank highest.
const HOLDERS_MAX: usize = 3;

#[test]
fn what_is_written_on_one_node_is_read_on_each_and_held_by_few() {
    let nodes = five();
    let mut clients: Vec<_> = nodes.iter().map(Process::client).collect();
    let [text, hash] = ["text", "hash"];
    clients[0].set_ex::<_, _, ()>(text, "1", 1000).unwrap();
    clients[0].hset_multiple::<_, _, _, ()>(hash, &[("f", "2"), ("g", "3")]).unwrap();
    for client in &mut clients {
        assert_eq!(client.get::<_, String>(text).unwrap(), "1");
        let ttl: i64 = client.ttl(text).unwrap();
        assert!((990..=1000).contains(&ttl), "{ttl}");
        let all: BTreeMap<String, u32> = client.hgetall(hash).unwrap();
        assert_eq!(all, BTreeMap::from([("f".into(), 2), ("g".into(), 3)]));
        assert_eq!(client.exists::<_, usize>(&[text, hash, "missing"]).unwrap(), 2);
        let several: Vec<Option<String>> = client.mget(&[text, "missing"]).unwrap();
        assert_eq!(several, [Some("1".into()), None]);
    }
    // To read a session is not to keep it.
    for id in [text, hash] {
        let holding = holding(&mut clients, id);
        assert!((2..=HOLDERS_MAX).contains(&holding.len()), "{id} is held by {holding:?}");
        assert!(holding.contains(&0), "who wrote it owns it");
    }
    let sum: usize = clients.iter_mut().map(|client| number(client, "sessions")).sum();
    assert!((4..=2 * HOLDERS_MAX).contains(&sum), "{sum} copies of two sessions");

    clients[0].del::<_, ()>(text).unwrap();
    clients[4].rename::<_, _, ()>(hash, text).unwrap();
    for client in &mut clients {
        eventually("the session has its new id", || {
            client.exists::<_, usize>(hash).unwrap() == 0 && client.hget::<_, _, u32>(text, "f").unwrap() == 2
        });
    }
}

#[test]
fn bystanders_hold_nothing() {
    let nodes = five();
    let mut clients: Vec<_> = nodes.iter().map(Process::client).collect();
    let mut pipeline = pipe();
    for number in 0..500 {
        pipeline.set(format!("s{number}"), number).ignore();
    }
    pipeline.exec(&mut clients[1]).unwrap();
    let owned = number(&mut clients[1], "sessions_owned");
    assert_eq!(owned, 500);
    let held: Vec<_> = clients.iter_mut().map(|client| number(client, "sessions")).collect();
    // Two of five must hold each; that is 200 of them on each of the others, as chance has it.
    for (at, held) in held.iter().enumerate() {
        let expected = if at == 1 { 500..=500 } else { 100..=300 };
        assert!(expected.contains(held), "{at} holds {held}");
    }
    let sum: usize = held.iter().sum();
    assert!((1000..=1500).contains(&sum), "{held:?}");
}

#[test]
fn whoever_dies_every_session_is_served_by_each_survivor_and_has_its_copies_again() {
    const SESSIONS: u32 = 200;
    let mut nodes = five();
    let mut clients: Vec<_> = nodes.iter().map(Process::client).collect();
    for session in 0..SESSIONS {
        let at = usize::try_from(session).unwrap() % clients.len();
        clients[at].hset::<_, _, _, ()>(format!("s{session}"), "n", 1).unwrap();
    }
    let owner = owner(&mut clients[0], "s3");
    assert_eq!(owner, nodes[3].id, "who wrote it owns it");
    let mut dead = nodes.remove(3);
    clients.remove(3);
    dead.signal("-KILL");
    dead.wait();
    // Nobody waits for the others to notice: each survivor reads and writes all of them at once.
    for (at, client) in clients.iter_mut().enumerate() {
        for session in 0..SESSIONS {
            let id = format!("s{session}");
            let field = format!("by{at}");
            assert_eq!(client.hget::<_, _, u32>(&id, "n").unwrap(), 1, "{id} on {at}");
            client.hset::<_, _, _, ()>(&id, field, at).unwrap();
        }
    }
    for client in &mut clients {
        eventually("every session has its copies again", || word(client, "settled") == "yes");
    }
    for session in 0..SESSIONS {
        let id = format!("s{session}");
        for client in &mut clients {
            let all: BTreeMap<String, String> = client.hgetall(&id).unwrap();
            let fields: Vec<_> = all.keys().map(String::as_str).collect();
            assert_eq!(fields, ["by0", "by1", "by2", "by3", "n"], "{id}");
        }
        let holding = holding(&mut clients, &id);
        assert!((2..=HOLDERS_MAX).contains(&holding.len()), "{id} is held by {holding:?}");
    }
}

fn five() -> Vec<Process> {
    let mut nodes = vec![Process::first(FLAGS)];
    for _ in 1..5 {
        nodes.push(nodes[0].join(FLAGS));
    }
    for node in &nodes {
        let mut client = node.client();
        eventually("all list each other", || {
            let info: String = cmd("INFO").arg("replication").query(&mut client).expect("it answers");
            info.lines().any(|line| line == "connected_slaves:4")
        });
    }
    nodes
}

/// Which of the nodes hold a session, once they agree on who must.
fn holding(clients: &mut [Connection], id: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    eventually("only those hold it that must", || {
        let told: Vec<_> = clients.iter_mut().map(|client| explain(client, id)).collect();
        found = (0..told.len()).filter(|at| text(&told[*at], "state") == "here").collect();
        let versions: BTreeSet<_> = told.iter().map(|told| text(told, "version")).collect();
        versions.len() == 1 && found.len() <= HOLDERS_MAX
    });
    found
}

fn owner(client: &mut Connection, id: &str) -> String {
    text(&explain(client, id), "owner")
}

fn explain(client: &mut Connection, id: &str) -> BTreeMap<String, redis::Value> {
    cmd("HEIRLOOM.EXPLAIN").arg(id).query(client).expect("it answers")
}

fn text(told: &BTreeMap<String, redis::Value>, field: &str) -> String {
    let value = told.get(field).unwrap_or_else(|| panic!("{field} in {told:?}"));
    redis::from_redis_value(value.clone()).expect("it is text")
}

fn number(client: &mut Connection, name: &str) -> usize {
    word(client, name).parse().expect("it is a number")
}

/// What `INFO` says.
fn word(client: &mut Connection, name: &str) -> String {
    let info: String = cmd("INFO").arg("heirloom").query(client).expect("it answers");
    let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("{name} in {info}")).to_owned()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}
