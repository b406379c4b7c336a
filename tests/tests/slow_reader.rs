//! A peer that reads nothing holds up nobody, and what waits for it takes no room beyond what is stored anyway.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::time::Duration;
use std::{fs, sync::Arc, thread, time::Instant};

use bytes::Bytes;
use heirloom_core::{Config, Delta, Durability, MemberState};
use heirloom_runtime::{Handle, Poller};
use heirloom_std::Driver;
use heirloom_tests::{Driven, Lab, introduce, turn_until};

const SESSIONS: u32 = 200;
const VALUE: usize = 32 << 10;
/// What the process may grow by meanwhile: the kernel's buffers do not count, and frames under way are bounded.
const GROWTH_MAX: usize = 48 << 20;

/// How long the peer reads nothing, in seconds: `HEIRLOOM_SLOW_FOR`, or 10.
fn length() -> Duration {
    let told = std::env::var("HEIRLOOM_SLOW_FOR").ok().and_then(|told| told.parse().ok());
    Duration::from_secs(told.unwrap_or(10))
}

/// One test, as it measures the memory of the process.
#[test]
fn a_peer_that_reads_nothing_holds_up_nobody_and_is_equal_soon_after() {
    for driven in [Driven::ByThread, Driven::BySmol] {
        slow_reader(driven);
    }
}

fn slow_reader(driven: Driven) {
    let lab = Lab::default();
    // It must not be removed meanwhile.
    let config = Config { drop_time: length() + Duration::from_secs(60), ..lab.config() };
    let members = [(); 2].map(|()| lab.start_driven(driven, lab.settings(), config.clone()));
    let (mut driver, slow) = Driver::new(lab.settings(), config, Arc::new(Poller::new().unwrap())).unwrap();
    introduce(&members);
    slow.set_peers(members.iter().map(|member| member.handle.address()).collect());
    let is_ready = |handle: &Handle| {
        let ready = handle.members().iter().filter(|member| member.state == MemberState::Ready).count();
        handle.state() == MemberState::Ready && ready == 2
    };
    let [writer, other] = &members;
    turn_until(&mut driver, || [&writer.handle, &other.handle, &slow].into_iter().all(is_ready));

    let (until, mut round, mut written) = (Instant::now() + length(), 0_u32, 0);
    let mut after_first = None;
    let mut slowest = Duration::ZERO;
    while Instant::now() < until {
        for number in 0..SESSIONS {
            let before = Instant::now();
            let receipt = write(&writer.handle, number, round, Durability::One).wait().unwrap();
            assert_eq!(receipt.members, [other.handle.id()]);
            slowest = slowest.max(before.elapsed());
            written += VALUE;
        }
        round += 1;
        let grown = resident().saturating_sub(*after_first.get_or_insert_with(resident));
        assert!(grown < GROWTH_MAX, "{grown} bytes more after {written} were written");
    }
    println!("{driven:?}: {round} rounds, {} MB written, slowest commit {slowest:?}", written >> 20);
    assert!(2 < round && slow.sessions() <= SESSIONS as usize);

    let drives = thread::spawn(move || driver.run());
    let before = Instant::now();
    let receipt = write(&writer.handle, SESSIONS, round, Durability::All).wait().unwrap();
    assert_eq!(receipt.members.len(), 2);
    println!("{driven:?}: equal {:?} after it reads again", before.elapsed());
    for number in 0..SESSIONS {
        let session = slow.peek(&key(&slow, number)).expect("it holds every session");
        assert_eq!(session.attribute(b"v"), Some(&value(round - 1)), "of session {number}");
    }
    drop(slow);
    drives.join().unwrap().unwrap();
    members.into_iter().for_each(heirloom_tests::Member::stop);
}

fn write(handle: &Handle, number: u32, round: u32, durability: Durability) -> heirloom_runtime::Commit {
    handle.commit(key(handle, number), Delta::new().set("v", value(round)), durability)
}

fn key(handle: &Handle, number: u32) -> heirloom_core::SessionKey {
    handle.key(0, &number.to_le_bytes()).unwrap()
}

fn value(round: u32) -> Bytes {
    round.to_le_bytes().repeat(VALUE / 4).into()
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}
