//! What a commit takes with each driver, for each durability: three members in this process, over loopback.
//!
//! `drivers [SECONDS [ROUNDS]]`: each cell is measured for so long (2), so often (3), in turns, as a machine that others use
//! is quick at one time and slow at another; of the rounds the middle one is told.

use core::time::Duration;
use std::{env, thread, time::Instant};

use bytes::Bytes;
use heirloom_core::{Delta, Durability};
use heirloom_runtime::Handle;
use heirloom_tests::{Driven, Lab, Member, introduce};

const DRIVERS: [(&str, Driven); 2] = [("std", Driven::ByThread), ("smol", Driven::BySmol)];
const DURABILITIES: [(&str, Durability); 4] = [
    ("`Local`", Durability::Local),
    ("`One`", Durability::One),
    ("`Majority`", Durability::Majority),
    ("`All`", Durability::All),
];
const CALLERS: [usize; 2] = [1, 16];
const SESSIONS: u32 = 1_000;
const VALUE: [u8; 100] = [b'x'; 100];

/// What one measurement gave.
#[derive(Clone, Copy, Debug)]
struct Figure {
    /// Commits in a second.
    rate: f64,
    /// The middle one took so long.
    p50: Duration,
    /// One in a hundred took longer.
    p99: Duration,
}

fn main() {
    let told = |at: usize, otherwise: u32| env::args().nth(at).map_or(Ok(otherwise), |text| text.parse());
    let (Ok(seconds), Ok(rounds @ 1..)) = (told(1, 2), told(2, 3)) else {
        eprintln!("drivers [SECONDS [ROUNDS]]");
        std::process::exit(2);
    };
    let clusters = DRIVERS.map(|(_, driven)| cluster(driven));
    println!("| durability | callers | driver | commits/s | p50 | p99 |\n|---|---|---|---|---|---|");
    for (durability_name, durability) in DURABILITIES {
        for callers in CALLERS {
            let mut figures = DRIVERS.map(|_| Vec::new());
            for _ in 0..rounds {
                for (figures, members) in figures.iter_mut().zip(&clusters) {
                    figures.push(measure(&members[0].handle, durability, callers, Duration::from_secs(seconds.into())));
                }
            }
            for ((driver, _), mut figures) in DRIVERS.into_iter().zip(figures) {
                figures.sort_by(|one, other| one.rate.total_cmp(&other.rate));
                let Figure { rate, p50, p99 } = figures[figures.len() / 2];
                println!("| {durability_name} | {callers} | {driver} | {rate:.0} | {p50:.1?} | {p99:.1?} |");
            }
        }
    }
    clusters.into_iter().flatten().for_each(Member::stop);
}

fn cluster(driven: Driven) -> Vec<Member> {
    let lab = Lab::default();
    let members: Vec<_> = (0..3).map(|_| lab.start_driven(driven, lab.settings(), lab.config())).collect();
    introduce(&members);
    members.iter().for_each(|member| drop(member.await_ready(2)));
    members
}

/// So many callers, each of which waits for its commit and makes the next one.
fn measure(handle: &Handle, durability: Durability, callers: usize, length: Duration) -> Figure {
    let began = Instant::now();
    let callers = (0_u32..).take(callers).map(|caller| {
        let handle = handle.clone();
        thread::spawn(move || call(&handle, caller, durability, began + length))
    });
    let callers: Vec<_> = callers.collect();
    let mut took: Vec<Duration> =
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller does not panic")).collect();
    let elapsed = began.elapsed();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    Figure { rate: took.len() as f64 / elapsed.as_secs_f64(), p50: at(50), p99: at(99) }
}

fn call(handle: &Handle, caller: u32, durability: Durability, until: Instant) -> Vec<Duration> {
    let name = Bytes::from_static(b"user");
    let mut took = Vec::new();
    for number in 0.. {
        let asked = Instant::now();
        if until <= asked && !took.is_empty() {
            break;
        }
        let session = (caller * 7919 + number) % SESSIONS;
        let key = handle.key(0, &session.to_le_bytes()).expect("it is short");
        // Another one each time: what is there already is not sent.
        let mut value = VALUE;
        value[..4].copy_from_slice(&number.to_le_bytes());
        let delta = Delta::new().set(name.clone(), Bytes::copy_from_slice(&value));
        handle.commit(key, delta, durability).wait().expect("the member runs and has room");
        took.push(asked.elapsed());
    }
    took
}
