//! P2 with real processes: no acknowledged write is lost while fewer members crash than it had copies.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use process::{PATIENCE, Process};
use redis::Commands as _;

#[test]
fn what_was_acknowledged_is_on_each_survivor_of_a_killed_node() {
    let first = Process::first(&["--durability=one"]);
    let second = first.join(&["--durability=one"]);
    let mut third = second.join(&["--durability=one"]);
    let is_over = &AtomicBool::new(false);
    let acknowledged: BTreeMap<String, u64> = thread::scope(|scope| {
        let writers: Vec<_> = [&first, &second, &third]
            .into_iter()
            .enumerate()
            .flat_map(|(at, node)| (0..2).map(move |writer| (at * 2 + writer, node.client())))
            .map(|(writer, client)| scope.spawn(move || write(writer, client, is_over)))
            .collect();
        thread::sleep(Duration::from_millis(700));
        third.signal("-KILL");
        thread::sleep(Duration::from_millis(700));
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer ends")).collect()
    });
    third.wait();
    assert!(300 < acknowledged.len(), "there was traffic: {}", acknowledged.len());
    for survivor in [&first, &second] {
        let mut client = survivor.client();
        let end = Instant::now() + PATIENCE;
        loop {
            let lost = lacking(&mut client, &acknowledged);
            if lost.is_empty() {
                break;
            }
            assert!(Instant::now() < end, "{} of {} are lost: {:?}", lost.len(), acknowledged.len(), lost.first());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Writes each key twice until it is told to end or its node is dead; tells what was acknowledged last.
fn write(writer: usize, mut client: redis::Connection, is_over: &AtomicBool) -> BTreeMap<String, u64> {
    let mut acknowledged = BTreeMap::new();
    for number in 0_u64.. {
        let key = format!("{writer}:{}", number / 2);
        if is_over.load(Ordering::Relaxed) || client.set::<_, _, ()>(&key, number).is_err() {
            break;
        }
        acknowledged.insert(key, number);
    }
    acknowledged
}

/// The keys whose value is older than what was acknowledged.
fn lacking(client: &mut redis::Connection, acknowledged: &BTreeMap<String, u64>) -> Vec<String> {
    let keys: Vec<_> = acknowledged.keys().collect();
    let found: Vec<Option<u64>> = client.mget(keys).expect("a survivor answers");
    // A write that was not acknowledged may have happened all the same.
    let lost = acknowledged.iter().zip(found).filter(|((_, number), found)| found.is_none_or(|found| found < **number));
    lost.map(|((key, _), _)| key.clone()).collect()
}
