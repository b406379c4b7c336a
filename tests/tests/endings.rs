//! However a driver ends, its sockets are closed, whoever waits is answered, and no thread or task is left.
//!
//! One test in a process of its own: it counts threads and open files.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use heirloom_core::{Delta, Durability};
use heirloom_runtime::{CommitFailed, Handle, Poller};
use heirloom_smol::Driver;
use heirloom_tests::{Driven, Lab, Member, introduce};
use smol::{Executor, future};

#[test]
fn nothing_is_left_of_a_driver_however_it_ends() {
    // async-io has a thread of its own, and pollers, from the first use on.
    leave(Driven::BySmol);
    let before = Left::now();
    for driven in [Driven::ByThread, Driven::BySmol] {
        leave(driven);
        assert_eq!(Left::now(), before, "after leaving, {driven:?}");
        drop_handles(driven);
        assert_eq!(Left::now(), before, "after the handles were dropped, {driven:?}");
    }
    drop_future();
    assert_eq!(Left::now(), before, "after the future was dropped");
    drop_task();
    assert_eq!(Left::now(), before, "after the task was dropped");
    drop_driver_of_threads();
    assert_eq!(Left::now(), before, "after the driver for threads was dropped");
}

#[derive(Debug, PartialEq, Eq)]
struct Left {
    threads: usize,
    files: usize,
}

impl Left {
    fn now() -> Self {
        let count = |folder| fs::read_dir(folder).unwrap().count();
        Self { threads: count("/proc/self/task"), files: count("/proc/self/fd") }
    }
}

fn leave(driven: Driven) {
    let [a, b] = pair(driven);
    let waits = a.handle.commit(a.handle.key(0, b"s").unwrap(), Delta::new().set("n", "1"), Durability::One);
    let (left_a, left_b) = (a.handle.leave(), b.handle.leave());
    left_a.wait();
    left_b.wait();
    // The receipt, or that the other has left first: but an answer.
    let _answered = waits.wait();
    for member in [a, b] {
        let address = member.handle.address();
        member.stop();
        assert_closed(address);
    }
}

fn drop_handles(driven: Driven) {
    let [a, b] = pair(driven);
    a.stop();
    b.stop();
}

/// The future is dropped between two polls; a commit waits.
fn drop_future() {
    let lab = Lab::default();
    let (driver, handle) =
        Driver::new(lab.settings(), lab.config(), Arc::new(Poller::new().unwrap())).expect("it can start on loopback");
    handle.start_alone();
    let waits = smol::block_on(future::or(
        async {
            driver.run().await.unwrap();
            None
        },
        async { Some(commit_that_waits(&handle).await) },
    ));
    assert_ends(waits.expect("the driver goes on while it is polled"), &handle);
}

fn drop_task() {
    let lab = Lab::default();
    let executor = Executor::new();
    let (handle, task) = heirloom_smol::spawn(&executor, lab.settings(), lab.config()).unwrap();
    handle.start_alone();
    let waits = smol::block_on(executor.run(commit_that_waits(&handle)));
    drop(task);
    // A task that is dropped is cancelled where its executor runs.
    while executor.try_tick() {}
    assert_ends(waits, &handle);
    assert!(executor.is_empty());
}

fn drop_driver_of_threads() {
    let lab = Lab::default();
    let poller = Arc::new(Poller::new().unwrap());
    let (mut driver, handle) = heirloom_std::Driver::new(lab.settings(), lab.config(), poller).unwrap();
    driver.turn(&[]).unwrap();
    let left = handle.leave();
    drop(driver);
    left.wait();
    assert_closed(handle.address());
}

/// Waits until the node is ready, and leaves a question to it that it has no time to answer.
async fn commit_that_waits(handle: &Handle) -> heirloom_runtime::Left {
    while handle.state() != heirloom_core::MemberState::Ready {
        handle.next_event().await.expect("the driver goes on");
    }
    let key = handle.key(0, b"s").unwrap();
    handle.commit(key, Delta::new().set("n", "1"), Durability::Local).await.unwrap();
    handle.leave()
}

fn assert_ends(waits: heirloom_runtime::Left, handle: &Handle) {
    waits.wait();
    let key = handle.key(0, b"s").unwrap();
    let refused = handle.commit(key, Delta::new(), Durability::Local).wait();
    assert!(matches!(refused, Err(CommitFailed::Gone | CommitFailed::Refused(_))), "{refused:?}");
    while handle.next_event().wait().is_some() {}
    assert_closed(handle.address());
}

fn assert_closed(address: SocketAddr) {
    assert!(TcpStream::connect(address).is_err(), "nobody listens at {address}");
}

fn pair(driven: Driven) -> [Member; 2] {
    let lab = Lab::default();
    let members = [(); 2].map(|()| lab.start_driven(driven, lab.settings(), lab.config()));
    introduce(&members);
    members.iter().for_each(|member| drop(member.await_ready(1)));
    members
}
