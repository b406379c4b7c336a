//! Five nodes on five hosts, each a network namespace with a wire of its own to one switch, while the worst happens to
//! hosts and wires: nothing that was acknowledged is lost, and afterwards all see each other.
//!
//! This needs Linux, root and `ip` and `tc` (iproute2); elsewhere a line says that it was skipped.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;
#[path = "support/switch.rs"]
mod switch;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process, file};
use redis::Commands as _;
use switch::{Family, Switch};

const HOSTS: usize = 5;

#[test]
fn nodes_on_threads_lose_nothing_on_a_bad_network_of_ipv4() {
    endure(Family::V4, "--runtime=std");
}

#[test]
fn nodes_on_threads_lose_nothing_on_a_bad_network_of_ipv6() {
    endure(Family::V6, "--runtime=std");
}

#[test]
fn nodes_on_smol_lose_nothing_on_a_bad_network_of_ipv4() {
    endure(Family::V4, "--runtime=smol");
}

#[test]
fn nodes_on_smol_lose_nothing_on_a_bad_network_of_ipv6() {
    endure(Family::V6, "--runtime=smol");
}

/// What a client was told that others have: the last number of each key.
type Acknowledged = BTreeMap<String, u64>;

fn endure(family: Family, runtime: &'static str) {
    let Some(switch) = Switch::new(HOSTS) else { return };
    let lab = &Lab { switch, family, runtime };
    let nodes: Vec<Mutex<Process>> = (0..HOSTS).map(|host| Mutex::new(lab.start(host))).collect();
    let nodes = &nodes[..];
    lab.await_views(nodes, &[HOSTS; HOSTS]);
    let is_over = &AtomicBool::new(false);
    let acknowledged: Vec<Acknowledged> = thread::scope(|scope| {
        let writers: Vec<_> = (0..HOSTS).map(|host| scope.spawn(move || lab.write(host, nodes, is_over))).collect();
        // Also when something fails: those who write would go on for ever.
        let _ends = Ends(is_over);
        lab.worsen(nodes);
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("a writer ends")).collect()
    });
    lab.await_views(nodes, &[HOSTS; HOSTS]);
    let counts: Vec<usize> = acknowledged.iter().map(BTreeMap::len).collect();
    println!("{family:?} {runtime}: sessions acknowledged at each host: {counts:?}");
    assert!(counts.iter().all(|count| 20 < *count), "there was traffic everywhere: {counts:?}");
    let acknowledged: Acknowledged = acknowledged.into_iter().flatten().collect();
    for host in 0..HOSTS {
        let mut client = lab.client(host, nodes).expect("it lets clients in");
        await_until("nothing is lost", || lacking(&mut client, &acknowledged).is_empty());
    }
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The hosts, and how nodes run there.
struct Lab {
    switch: Switch,
    family: Family,
    runtime: &'static str,
}

impl Lab {
    /// All the faults, one after the other.
    fn worsen(&self, nodes: &[Mutex<Process>]) {
        // A process is killed and started again.
        {
            let mut node = nodes[4].lock().expect("nobody failed");
            node.signal("-KILL");
            node.wait();
        }
        self.await_views(nodes, &[4, 4, 4, 4]);
        *nodes[4].lock().expect("nobody failed") = self.start(4);
        self.await_views(nodes, &[HOSTS; HOSTS]);
        // One stops for longer than drop time, and goes on.
        nodes[3].lock().expect("nobody failed").signal("-STOP");
        self.await_views(nodes, &[4, 4, 4]);
        nodes[3].lock().expect("nobody failed").signal("-CONT");
        self.await_views(nodes, &[HOSTS; HOSTS]);
        // A link is cut, and heals.
        self.switch.cut(2);
        self.await_views(nodes, &[4, 4, 1, 4, 4]);
        self.switch.heal(2);
        self.await_views(nodes, &[HOSTS; HOSTS]);
        // One is not heard any more, and hears everybody.
        self.switch.mute(1);
        self.await_views(nodes, &[4, 0, 4, 4, 4]);
        self.switch.unmute(1);
        self.await_views(nodes, &[HOSTS; HOSTS]);
        // Half of all datagrams are lost on their way to each.
        self.switch.lose_half();
        let since = Instant::now();
        let mut seen = 0;
        while since.elapsed() < Duration::from_secs(3) {
            seen = self.view(0, nodes).unwrap_or(seen).max(seen);
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(seen, HOSTS);
        self.switch.lose_nothing();
        self.await_views(nodes, &[HOSTS; HOSTS]);
    }

    fn start(&self, host: usize) -> Process {
        let address = |port| format!("{}:{port}", self.family.bracketed(host));
        let settings = file(
            "[cluster]\nfrequency = \"100ms\"\ndrop_time = \"1s\"\nprobe_time = \"500ms\"\njoin_for = \"1s\"\n\
             search_max = \"500ms\"\n",
        );
        let name = format!("--cluster-name={}", self.switch.name());
        let group = format!("--multicast={}", self.family.group(self.switch.interface(host)));
        let flags = [
            "--insecure",
            self.runtime,
            &name,
            &group,
            &format!("--listen={}", address(6379)),
            &format!("--bind={}", address(4000)),
            "--durability=one",
            &format!("--config={}", settings.display()),
        ];
        Process::start_on(&["ip", "netns", "exec", &self.switch.host(host)], &flags)
    }

    /// A client on the same host as its node.
    fn client(&self, host: usize, nodes: &[Mutex<Process>]) -> Option<redis::Connection> {
        let listen = nodes[host].lock().expect("nobody failed").listen;
        self.switch.enter(host, move || {
            let client = redis::Client::open(format!("redis://{listen}/")).expect("the address is one");
            let client = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
            client.set_read_timeout(Some(Duration::from_secs(3))).expect("it is a socket");
            Some(client)
        })
    }

    /// Writes each key twice, until it is told to end; tells what was acknowledged.
    fn write(&self, host: usize, nodes: &[Mutex<Process>], is_over: &AtomicBool) -> Acknowledged {
        let (mut acknowledged, mut client) = (BTreeMap::new(), None);
        for number in 0_u64.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            // There is to be traffic all the time, and it is not to be the point.
            thread::sleep(Duration::from_millis(5));
            let Some(connected) = client.as_mut() else {
                client = self.client(host, nodes);
                continue;
            };
            let key = format!("{host}:{}", number / 2);
            let written: redis::RedisResult<()> = connected.set(&key, number);
            match written {
                Ok(()) => drop(acknowledged.insert(key, number)),
                // That no other has it is an answer.
                Err(error) if error.code().is_some() => {}
                Err(_) => client = None,
            }
        }
        acknowledged
    }

    /// How many members a node sees, itself included; `None` if it does not answer.
    fn view(&self, host: usize, nodes: &[Mutex<Process>]) -> Option<usize> {
        let rows: Vec<Vec<String>> = redis::cmd("HEIRLOOM.MEMBERS").query(&mut self.client(host, nodes)?).ok()?;
        Some(rows.iter().filter(|row| row.iter().any(|word| word == "ready")).count())
    }

    /// Waits until each node sees so many; of zero nothing is asked.
    fn await_views(&self, nodes: &[Mutex<Process>], views: &[usize]) {
        for (host, wanted) in views.iter().enumerate().filter(|(_, wanted)| 0 < **wanted) {
            await_until("they see each other", || self.view(host, nodes) == Some(*wanted));
        }
    }
}

fn await_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it takes too long until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The keys whose value is older than what was acknowledged.
fn lacking(client: &mut redis::Connection, acknowledged: &Acknowledged) -> Vec<String> {
    let keys: Vec<_> = acknowledged.keys().collect();
    let found: Vec<Option<u64>> = client.mget(keys).expect("it answers");
    let lost = acknowledged.iter().zip(found).filter(|((_, number), found)| found.is_none_or(|found| found < **number));
    lost.map(|((key, _), _)| key.clone()).collect()
}
