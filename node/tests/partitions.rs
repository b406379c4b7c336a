//! What the user of a node sees of a partition where the lesser side pauses, with real processes.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/switch.rs"]
mod switch;

use std::{
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process, file};
use redis::{Commands as _, RedisResult};

const FAST: &str = "[cluster]\nfrequency = \"100ms\"\ndrop_time = \"1s\"\nprobe_time = \"500ms\"\njoin_for = \"1s\"\n\
     search_max = \"500ms\"\n";

/// Of three nodes two are killed, and started again where they were.
#[test]
fn a_node_that_has_lost_its_majority_answers_reads_and_refuses_writes_until_it_has_one_again() {
    let config = format!("--config={}", file(FAST).display());
    let flags = ["--partition=pause", &config];
    let first = Process::first_of(program(), &flags);
    let others = [first.join(&flags), first.join(&flags)];
    let mut client = first.client();
    client.set::<_, _, ()>("a", 1).expect("it serves");
    assert_eq!((&*info(&mut client, "partition"), &*info(&mut client, "majority")), ("pause", "yes"));
    let places = others.each_ref().map(|other| format!("--bind={}", other.bind));
    for mut other in others {
        other.signal("-KILL");
        other.wait();
    }
    await_until("it pauses", || info(&mut client, "paused") == "yes");
    let refused = client.set::<_, _, ()>("a", 2).expect_err("it has paused");
    assert_eq!(refused.code(), Some("CLUSTERDOWN"), "{refused}");
    // The others may have agreed on the death of the first before the second died.
    let why = info(&mut client, "minority");
    assert!(why.starts_with("only 1 of ") && why.ends_with(" members are seen, which is no majority"), "{why}");
    assert_eq!(client.get("a"), Ok(1));
    let _again = places.map(|bind| first.join(&[&flags[..], &[&bind]].concat()));
    await_until("it goes on", || client.set::<_, _, ()>("a", 3).is_ok());
    assert_eq!((&*info(&mut client, "paused"), client.get("a")), ("no", Ok(3)));
}

#[test]
fn an_operator_lets_the_last_of_two_go_on() {
    let config = format!("--config={}", file(FAST).display());
    let flags = ["--partition=pause", &config];
    let first = Process::first_of(program(), &flags);
    let mut other = first.join(&flags);
    let mut client = first.client();
    other.signal("-KILL");
    other.wait();
    await_until("it pauses", || info(&mut client, "paused") == "yes");
    let said: String = redis::cmd("HEIRLOOM.RESUME").query(&mut client).expect("it answers");
    assert_eq!(said, "OK");
    client.set::<_, _, ()>("a", 1).expect("it takes writes");
}

/// Each node on a host of its own. This needs Linux, root and `ip` and `tc`; elsewhere a line says that it was skipped.
#[cfg(target_os = "linux")]
#[test]
fn the_lesser_side_of_a_cut_network_refuses_writes_and_has_those_of_the_other_when_it_heals() {
    use switch::{Family, Switch};
    let Some(switch) = Switch::new(3) else { return };
    let config = format!("--config={}", file(FAST).display());
    let start = |host: usize| {
        let address = |port: u16| format!("{}:{port}", Family::V4.bracketed(host));
        let (listen, bind) = (format!("--listen={}", address(6379)), format!("--bind={}", address(4000)));
        let group = format!("--multicast={}", Family::V4.group(switch.interface(host)));
        let name = format!("--cluster-name={}", switch.name());
        let flags = ["--insecure", "--partition=pause", "--members-min=2", &listen, &bind, &group, &name, &config];
        let node = Process::start_on(&["ip", "netns", "exec", &switch.host(host)], &flags);
        switch.enter(host, move || {
            let client = redis::Client::open(format!("redis://{}/", node.listen)).expect("the address is one");
            let connection = client.get_connection().expect("the node lets clients in");
            (node, connection)
        })
    };
    // The first one waits for the second before it serves.
    let mut started: Vec<_> = thread::scope(|scope| {
        let nodes: Vec<_> = (0..3).map(|host| scope.spawn(move || start(host))).collect();
        nodes.into_iter().map(|node| node.join().expect("it starts")).collect()
    });
    for (_, client) in &mut started {
        await_until("all see each other", || info(client, "members") == "2");
    }
    let write = |client: &mut redis::Connection, value: u64| -> RedisResult<()> { client.set("a", value) };
    write(&mut started[2].1, 1).expect("it serves");
    switch.cut(2);
    await_until("the lesser side pauses", || info(&mut started[2].1, "paused") == "yes");
    let refused = write(&mut started[2].1, 2).expect_err("it has paused");
    assert_eq!(refused.code(), Some("CLUSTERDOWN"), "{refused}");
    assert_eq!(started[2].1.get("a"), Ok(1), "it can be read");
    await_until("the others know", || info(&mut started[0].1, "members") == "1");
    write(&mut started[0].1, 3).expect("the greater side serves");
    switch.heal(2);
    await_until("it goes on", || info(&mut started[2].1, "paused") == "no");
    await_until("it has what the others wrote", || started[2].1.get("a") == Ok(3));
    write(&mut started[2].1, 4).expect("it takes writes");
}

fn program() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_heirloom"))
}

/// A line of what a node tells of itself.
fn info(client: &mut redis::Connection, name: &str) -> String {
    let text: String = redis::cmd("INFO").arg("heirloom").query(client).expect("it answers");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
}

fn await_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it takes too long until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
