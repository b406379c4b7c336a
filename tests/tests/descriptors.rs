//! Strangers open streams and say nothing until the process has no file left to open: members keep their streams, what
//! cannot be accepted is counted, and afterwards all is as before.
//!
//! One test in a process of its own: it lowers the limit of open files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::time::Duration;
use std::{fs, net::TcpStream, thread, time::Instant};

use heirloom_core::{Delta, Durability, Event};
use heirloom_tests::{Driven, LONG, Lab, Member, await_stats, introduce};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that may be open besides those of the members.
const ROOM: u64 = 100;

#[test]
fn silent_streams_up_to_the_limit_of_open_files_hold_up_nobody() {
    for driven in [Driven::ByThread, Driven::BySmol] {
        let lab = Lab::default();
        let members = [(); 2].map(|()| lab.start_driven(driven, lab.settings(), lab.config()));
        introduce(&members);
        members.iter().for_each(|member| drop(member.await_ready(1)));
        let [a, b] = &members;
        let usual = getrlimit(Resource::Nofile);
        let open = u64::try_from(fs::read_dir("/proc/self/fd").unwrap().count()).unwrap();
        setrlimit(Resource::Nofile, Rlimit { current: Some(open + ROOM), ..usual }).unwrap();
        // Both ends are files of this process.
        let mut silent = Vec::new();
        let until = Instant::now() + LONG;
        while a.handle.driver_stats().accepts_failed == 0 {
            assert!(Instant::now() < until, "{driven:?}: {:?}", a.handle.driver_stats());
            match TcpStream::connect(a.handle.address()) {
                Ok(stream) => silent.push(stream),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        let turns = a.handle.driver_stats().turns;
        for number in 0..20 {
            let key = a.handle.key(0, b"s").unwrap();
            let commit = a.handle.commit(key, Delta::new().set("n", format!("{number}")), Durability::All);
            assert_eq!(commit.wait().unwrap().members, [b.handle.id()], "{driven:?}");
        }
        // Who cannot accept does not try all the time.
        assert!(a.handle.driver_stats().turns - turns < 5000, "{driven:?}: {:?}", a.handle.driver_stats());
        drop(silent);
        setrlimit(Resource::Nofile, usual).unwrap();
        await_stats(&a.handle, |stats| stats.streams <= 1);
        let lost = |event: &Event| matches!(event, Event::MemberRemoved(..) | Event::MemberSuspect(..));
        assert!(!core::iter::from_fn(|| a.handle.next_event().try_now()).any(|event| lost(&event)), "{driven:?}");
        members.into_iter().for_each(Member::stop);
    }
}
