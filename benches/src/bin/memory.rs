//! What a session costs in memory on its owner, on who holds a copy, and on all others.

use std::alloc::System;

use heirloom_benches::{Net, keys};
use heirloom_core::{Copies, SessionKey};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MEMBERS: usize = 5;

fn main() {
    let sessions = std::env::args().nth(1).map_or(100_000, |count| count.parse().expect("a number of sessions"));
    println!(
        "{sessions} sessions of one attribute, {MEMBERS} members, backups:1; bytes and blocks of the allocator a session"
    );
    println!();
    println!("| value | owner | copy | each of the 3 others |");
    println!("|---|---|---|---|");
    let kept = all_on_two(sessions);
    let empty = held(&[], 0);
    for length in [100, 1024] {
        let full = held(&kept, length);
        let row = full.iter().zip(&empty).zip([length, length, 0, 0, 0]).map(|((full, empty), payload)| {
            let bytes = full.0.checked_sub(empty.0).expect("a session takes memory") - payload * sessions;
            let blocks = full.1.checked_sub(empty.1).expect("a session takes blocks");
            format!("{} in {}", per(bytes, sessions), per(blocks, sessions))
        });
        let row: Vec<_> = row.collect();
        assert!(row[3..].iter().all(|other| *other == row[2]), "the others are alike");
        println!("| {length} B | {} | {} | {} |", row[0], row[1], row[2]);
    }
}

/// Sessions that only the first two members must hold.
fn all_on_two(count: usize) -> Vec<SessionKey> {
    let net = Net::ready(MEMBERS, Copies::Backups(1));
    let first = [0, 1].into();
    keys(count * 12).into_iter().filter(|key| net.holders(key) == first).take(count).collect()
}

/// Bytes and blocks that each member holds when the first one has written these sessions.
fn held(keys: &[SessionKey], length: usize) -> Vec<(usize, usize)> {
    let mut net = Net::ready(MEMBERS, Copies::Backups(1));
    net.load(keys, length, |_, _, _| 0);
    let counts: Vec<_> = (0..MEMBERS).map(|n| net.node(n).records().count()).collect();
    assert_eq!(counts, [keys.len(), keys.len(), 0, 0, 0], "two hold them");
    let freed = (0..MEMBERS).map(|n| {
        let node = net.take(n);
        let region = Region::new(HEAP);
        drop(node);
        let change = region.change();
        (change.bytes_deallocated, change.deallocations)
    });
    freed.collect()
}

fn per(total: usize, sessions: usize) -> String {
    let tenths = (total * 10 + sessions / 2) / sessions.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
