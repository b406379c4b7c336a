//! Two versions of the protocol at once, as processes: all nodes of a cluster are replaced one by one by ones of the next
//! version and back, while clients write, and nothing that was acknowledged is lost.
//!
//! `HEIRLOOM_NEXT` names a program that was built with `--cfg heirloom_next`; without it the same program is told to speak
//! the next version.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::{BTreeMap, HashMap},
    env,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process, file};
use redis::{Commands as _, FromRedisValue as _};

/// A program, and what it must be told to speak its version.
struct Version {
    number: u64,
    program: PathBuf,
    flags: Vec<String>,
}

impl Version {
    fn present() -> Self {
        let settings = file("[cluster]\njoin_for = \"100ms\"\nversion_max = 1\n");
        Self { number: 1, program: env!("CARGO_BIN_EXE_heirloom").into(), flags: vec![config(settings)] }
    }

    fn next() -> Self {
        match env::var_os("HEIRLOOM_NEXT") {
            Some(program) => Self { number: 2, program: program.into(), flags: Vec::new() },
            None => {
                let settings = file("[cluster]\nversion_max = 2\n");
                Self { number: 2, flags: vec![config(settings)], ..Self::present() }
            }
        }
    }

    fn flags(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).chain(["--durability=one"]).collect()
    }
}

fn config(path: PathBuf) -> String {
    format!("--config={}", path.display())
}

#[test]
fn nothing_is_lost_when_all_nodes_are_replaced_by_the_next_version_and_back() {
    let (present, next) = (Version::present(), Version::next());
    let mut nodes = vec![Process::first_of(&present.program, &present.flags())];
    for _ in 0..2 {
        nodes.push(nodes[0].join_as(&present.program, &present.flags()));
    }
    let clients = Clients::default();
    clients.send_to(&nodes);
    thread::scope(|scope| {
        let _ended = EndWith(&clients.is_over);
        let clients = &clients;
        (0..2).for_each(|writer| drop(scope.spawn(move || clients.write(writer))));
        for version in [&next, &present] {
            for _ in 0..nodes.len() {
                clients.wait_for_some();
                let joined = nodes.last().expect("some are there").join_as(&version.program, &version.flags());
                let mut replaced = nodes.remove(0);
                nodes.push(joined);
                clients.send_to(&nodes);
                replaced.signal("-TERM");
                replaced.wait();
            }
            clients.wait_for_some();
            let spoken: Vec<u64> = nodes.iter().flat_map(|node| protocols(node, nodes.len())).collect();
            assert_eq!(spoken, vec![version.number; nodes.len() * nodes.len()]);
        }
    });
    let acknowledged = clients.acknowledged.into_inner().expect("no writer panics");
    for node in &nodes {
        let mut client = node.client();
        let keys: Vec<&String> = acknowledged.keys().collect();
        let found: Vec<Option<u64>> = client.mget(keys).expect("it answers");
        let lost =
            acknowledged.iter().zip(found).filter(|((_, number), found)| found.is_none_or(|found| found < **number));
        let lost: Vec<_> = lost.collect();
        assert!(lost.is_empty(), "{} of {} are lost: {:?}", lost.len(), acknowledged.len(), lost.first());
    }
}

/// What a node speaks with each member that it lists, itself included, once it lists so many.
fn protocols(node: &Process, members: usize) -> Vec<u64> {
    let mut client = node.client_of_three();
    let end = Instant::now() + PATIENCE;
    loop {
        let rows: Vec<HashMap<String, redis::Value>> =
            redis::cmd("HEIRLOOM.MEMBERS").query(&mut client).expect("it answers");
        if rows.len() == members {
            let spoken = rows.into_iter().map(|mut row| row.remove("protocol").expect("each row has it"));
            return spoken.map(|value| u64::from_redis_value(value).expect("it is a number")).collect();
        }
        assert!(Instant::now() < end, "{} members", rows.len());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Clients that write to whatever nodes there are, until it is over.
#[derive(Default)]
struct Clients {
    nodes: Mutex<Vec<SocketAddr>>,
    acknowledged: Mutex<BTreeMap<String, u64>>,
    is_over: AtomicBool,
}

impl Clients {
    fn send_to(&self, nodes: &[Process]) {
        *self.nodes.lock().expect("no writer panics") = nodes.iter().map(|node| node.listen).collect();
    }

    /// Until each node that is there has had its share of writes that were acknowledged.
    fn wait_for_some(&self) {
        let count = || self.acknowledged.lock().expect("no writer panics").len();
        let (before, end) = (count(), Instant::now() + PATIENCE);
        while count() < before + 50 {
            assert!(Instant::now() < end, "writes are acknowledged");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Writes each of its keys twice, through two nodes, the second time when the first is acknowledged or has failed.
    fn write(&self, writer: usize) {
        let mut connections: HashMap<SocketAddr, redis::Connection> = HashMap::new();
        for number in 0_u64.. {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let nodes = self.nodes.lock().expect("no writer panics").clone();
            let node = nodes[usize::try_from(number).expect("few") % nodes.len()];
            let open = || redis::Client::open(format!("redis://{node}/")).and_then(|client| client.get_connection());
            let client = match connections.entry(node) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(place) => match open() {
                    Ok(client) => place.insert(client),
                    // It has just ended.
                    Err(_) => continue,
                },
            };
            let key = format!("{writer}:{}", number / 2);
            if client.set::<_, _, ()>(&key, number).is_ok() {
                let mut acknowledged = self.acknowledged.lock().expect("no writer panics");
                let newest = acknowledged.entry(key).or_default();
                *newest = number.max(*newest);
            } else {
                connections.remove(&node);
            }
        }
    }
}

/// Writers end with the test, however it ends.
struct EndWith<'a>(&'a AtomicBool);

impl Drop for EndWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
