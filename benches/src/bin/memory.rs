//! What a session costs in memory on its owner, on who holds a copy, and on all others.

use std::{alloc::System, time::Duration};

use heirloom_benches::{Net, SETTLES_IN, keys, value};
use heirloom_core::{Copies, Delta, Durability, SessionKey};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MEMBERS: usize = 5;
/// By then all sessions are summed, for the comparison of the members.
const COMPARED_IN: Duration = Duration::from_secs(10);

fn main() {
    let sessions = std::env::args().nth(1).map_or(100_000, |count| count.parse().expect("a number of sessions"));
    println!(
        "{sessions} sessions, {MEMBERS} members, backups:1; bytes of the allocator a session besides its values, and in how many blocks"
    );
    println!();
    println!("| attributes | value | owner | copy | each of the 3 others |");
    println!("|---|---|---|---|---|");
    let all = all_on_two(sessions);
    for (attributes, length) in [(1, 100), (1, 1024), (10, 100), (100, 100)] {
        // As many attributes altogether, but for the first rows.
        let kept = &all[..sessions.min((sessions * 10).div_ceil(attributes))];
        let full = held(kept, attributes, length);
        // What a member takes without sessions is another's.
        let empty = held(&[], attributes, length);
        let payload = attributes * length;
        let row = full.iter().zip(&empty).zip([payload, payload, 0, 0, 0]).map(|((full, empty), payload)| {
            let bytes = full.0.checked_sub(empty.0).expect("a session takes memory") - payload * kept.len();
            let blocks = full.1.checked_sub(empty.1).expect("a session takes blocks");
            format!("{} in {}", per(bytes, kept.len()), per(blocks, kept.len()))
        });
        let row: Vec<_> = row.collect();
        assert!(row[3..].iter().all(|other| *other == row[2]), "the others are alike");
        println!("| {attributes} | {length} B | {} | {} | {} |", row[0], row[1], row[2]);
    }
}

/// Sessions that only the first two members must hold.
fn all_on_two(count: usize) -> Vec<SessionKey> {
    let net = Net::ready(MEMBERS, Copies::Backups(1));
    let first = [0, 1].into();
    keys(count * 12).into_iter().filter(|key| net.holders(key) == first).take(count).collect()
}

/// Bytes and blocks that each member holds when the first one has written these sessions.
fn held(keys: &[SessionKey], attributes: usize, length: usize) -> Vec<(usize, usize)> {
    let mut net = Net::ready(MEMBERS, Copies::Backups(1));
    for (at, key) in keys.iter().enumerate() {
        let names = (0..attributes).map(|name| (format!("user{name}"), value(at, length)));
        let delta = names.fold(Delta::new(), |delta, (name, value)| delta.set(name, value));
        let now = net.now();
        net.node_mut(0).commit(now, *key, delta, Durability::All).expect("the node serves");
        if at % 64 == 63 {
            net.run(Duration::from_millis(1));
        }
    }
    net.run_until_settled(SETTLES_IN);
    net.run(COMPARED_IN);
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
