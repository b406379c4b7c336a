//! The node on either runtime: the same answers, one cluster, and no thread for a client.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{io::Write as _, net::TcpStream, thread, time::Instant};

use process::{Process, exchange};
use redis::Commands as _;

const RUNTIMES: [&str; 2] = ["--runtime=std", "--runtime=smol"];
const IDLE: usize = 1_000;
const BUSY: usize = 200;
const REQUESTS: usize = 20;

#[test]
fn nodes_on_each_runtime_are_one_cluster_that_loses_nothing_when_one_is_killed() {
    for [ours, theirs] in [RUNTIMES, [RUNTIMES[1], RUNTIMES[0]], [RUNTIMES[1]; 2]] {
        let first = Process::first(&[ours, "--durability=one"]);
        let mut second = first.join(&[theirs, "--durability=one"]);
        let (mut here, mut there) = (first.client(), second.client());
        for number in 0..100 {
            there.set::<_, _, ()>(format!("k{number}"), number).expect("one other member has it");
        }
        for number in 0..100 {
            assert_eq!(here.get::<_, i32>(format!("k{number}")), Ok(number));
        }
        second.signal("-KILL");
        second.wait();
        for number in 0..100 {
            assert_eq!(here.get::<_, i32>(format!("k{number}")), Ok(number), "{ours} after {theirs} was killed");
        }
    }
}

#[test]
fn a_node_leaves_when_it_is_told_to_on_each_runtime() {
    for runtime in RUNTIMES {
        let mut node = Process::first(&[runtime]);
        node.signal("-TERM");
        assert!(node.wait().success(), "{runtime}");
    }
}

#[test]
fn a_thousand_idle_and_two_hundred_busy_clients_are_served_without_a_thread_for_each() {
    let ping = b"PING\r\n";
    for runtime in RUNTIMES {
        let node = Process::first(&[runtime]);
        let (threads, memory) = (node.threads(), node.memory());
        let mut idle: Vec<TcpStream> = (0..IDLE).map(|_| node.connect()).collect();
        // Each of them is in, and then says nothing.
        idle.iter_mut().for_each(|stream| assert_eq!(exchange(stream, ping, 7), "+PONG\r\n"));
        let before = Instant::now();
        thread::scope(|scope| {
            for client in 0..BUSY {
                let mut stream = node.connect();
                scope.spawn(move || {
                    for number in 0..REQUESTS {
                        let set = format!("SET c{client} {number:04}\r\n");
                        assert_eq!(exchange(&mut stream, set.as_bytes(), 5), "+OK\r\n");
                        let get = format!("GET c{client}\r\n");
                        assert_eq!(exchange(&mut stream, get.as_bytes(), 10), format!("$4\r\n{number:04}\r\n"));
                    }
                    stream.write_all(b"QUIT\r\n").expect("it is open");
                });
            }
        });
        let rate = (2 * BUSY * REQUESTS) as f64 / before.elapsed().as_secs_f64();
        let grown = node.memory().saturating_sub(memory);
        println!("{runtime}: {} threads, {rate:.0} requests a second, {grown} bytes more", node.threads());
        assert_eq!(node.threads(), threads, "{runtime}");
        assert!(grown < 64 << 20, "{grown} bytes more with {runtime}");
        idle.iter_mut().for_each(|stream| assert_eq!(exchange(stream, ping, 7), "+PONG\r\n"));
    }
}
