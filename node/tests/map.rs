//! The shared map through the Redis front of several nodes.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process};
use redis::{Connection, cmd};

#[test]
fn what_one_node_sets_every_node_has_though_sessions_have_few_copies() {
    for flags in [vec![], vec!["--copies=backups:1"], vec!["--copies=nowhere", "--runtime=smol"]] {
        let flags = [flags, vec!["--durability=all"]].concat();
        let first = Process::first(&flags);
        let mut others = [first.join(&flags), first.join(&flags)];
        let mut clients = [&first, &others[0], &others[1]].map(Process::client_of_three);
        assert_eq!(set(&mut clients[0], "motd", "hello"), "OK");
        // Its copies were waited for, so it is there at once.
        for client in &mut clients {
            assert_eq!(all(client), [("motd".to_owned(), "hello".to_owned())].into());
        }
        assert_eq!(set(&mut clients[2], "motd", "bye"), "OK");
        assert_eq!(get(&mut clients[1], "motd").as_deref(), Some("bye"));
        // Who joins has it before it serves.
        let late = first.join(&flags);
        let mut plain = late.client();
        assert_eq!(get(&mut plain, "motd").as_deref(), Some("bye"));
        assert_eq!(all(&mut plain).len(), 1);
        others[1].signal("-KILL");
        others[1].wait();
        eventually("it is missed", || {
            cmd("WAIT").arg(3).arg(1).query::<u64>(&mut clients[0]).expect("it answers") == 2
        });
        let removed: u64 = cmd("HEIRLOOM.MAP").arg("DEL").arg("motd").query(&mut clients[1]).expect("it answers");
        assert_eq!((removed, get(&mut clients[0], "motd"), get(&mut plain, "motd")), (1, None, None));
    }
}

fn set(client: &mut Connection, name: &str, value: &str) -> String {
    cmd("HEIRLOOM.MAP").arg("SET").arg(name).arg(value).query(client).expect("there is room")
}

fn get(client: &mut Connection, name: &str) -> Option<String> {
    cmd("HEIRLOOM.MAP").arg("GET").arg(name).query(client).expect("it answers")
}

fn all(client: &mut Connection) -> BTreeMap<String, String> {
    cmd("HEIRLOOM.MAP").arg("ALL").query(client).expect("it answers")
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not yet: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
