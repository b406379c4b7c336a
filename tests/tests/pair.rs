//! Two members over real sockets: what a driver and a handle promise to those who use them.
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::time::Duration;
use std::{net::UdpSocket, sync::Arc, thread, time::Instant};

use bytes::Bytes;
use heirloom_core::{
    AtRisk, CommitError, Delta, Durability, EndCause, Event, Lifetime, MemberState, ReadyCause, RemovalCause,
    SessionVersion,
};
use heirloom_runtime::{CommitFailed, DRIVER_TOKENS, Handle, Interest, Poller};
use heirloom_std::Driver;
use heirloom_tests::{Driven, LONG, Lab, Member, await_event, await_until, block_on, introduce, turn_until};

/// Tests that hold whatever drives the two members.
macro_rules! on_each_mix {
    ($($test:ident),+ $(,)?) => {
        mod threads {
            $(#[test] fn $test() { super::$test(super::pair([Driven::ByThread, Driven::ByThread])); })+
            use heirloom_tests::Driven;
        }
        mod smol {
            $(#[test] fn $test() { super::$test(super::pair([Driven::BySmol, Driven::BySmol])); })+
            use heirloom_tests::Driven;
        }
        mod mixed {
            $(#[test] fn $test() { super::$test(super::pair([Driven::ByThread, Driven::BySmol])); })+
            use heirloom_tests::Driven;
        }
    };
}

on_each_mix! {
    a_durable_commit_is_readable_on_the_member_that_its_receipt_names,
    a_commit_can_be_awaited_in_a_task,
    commits_of_many_threads_are_all_answered_and_none_is_lost,
    a_member_that_leaves_is_removed_as_such_and_its_driver_ends,
    a_member_whose_handles_are_dropped_is_gone_at_once,
    a_fixed_lifetime_ends_for_readers_when_it_ends,
    a_session_lives_for_its_idle_time_after_the_last_read,
    of_writers_that_compare_and_set_one_wins_each_round,
}

fn a_durable_commit_is_readable_on_the_member_that_its_receipt_names([a, b]: [Member; 2]) {
    for number in 0..200_u32 {
        let key = a.handle.key(0, &number.to_le_bytes()).unwrap();
        let value = Bytes::from(format!("alice {number}"));
        let commit = a.handle.commit(key, Delta::new().set("user", value.clone()), Durability::One);
        assert_eq!(commit.wait().unwrap().members, [b.handle.id()]);
        let there = b.handle.peek(&key).expect("an acknowledged change is published");
        assert_eq!(there.attribute(b"user"), Some(&value));
    }
    assert_eq!((a.handle.sessions(), b.handle.sessions()), (200, 200));
    a.stop();
    b.stop();
}

fn a_commit_can_be_awaited_in_a_task([a, b]: [Member; 2]) {
    let key = b.handle.key(7, b"s1").unwrap();
    let receipt = block_on(b.handle.commit(key, Delta::new().set("n", "1"), Durability::All));
    assert_eq!(receipt.unwrap().members, [a.handle.id()]);
    let read = a.handle.session(&key).unwrap();
    assert_eq!(read.attribute(b"n").map(|value| &value[..]), Some(&b"1"[..]));
    assert_eq!(read.owner(), Some(b.handle.id()));
    a.stop();
    b.stop();
}

fn commits_of_many_threads_are_all_answered_and_none_is_lost([a, b]: [Member; 2]) {
    const THREADS: u32 = 4;
    const EACH: u32 = 250;
    let (from_a, b_id) = (&a.handle, b.handle.id());
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                let key = from_a.key(0, &number.to_le_bytes()).unwrap();
                for count in 0..EACH {
                    let durability = if count % 10 == 9 { Durability::One } else { Durability::Local };
                    let commit = from_a.commit(key, Delta::new().set("count", count.to_string()), durability);
                    let members = commit.wait().unwrap().members;
                    let seen = from_a.peek(&key).expect("an answered commit can be read");
                    assert_eq!(seen.attribute(b"count"), Some(&Bytes::from(count.to_string())));
                    assert!(durability == Durability::Local || members == [b_id]);
                }
            });
        }
    });
    for number in 0..THREADS {
        let key = b.handle.key(0, &number.to_le_bytes()).unwrap();
        let there = b.handle.peek(&key).unwrap();
        assert_eq!(there.attribute(b"count"), Some(&Bytes::from((EACH - 1).to_string())));
    }
    a.stop();
    b.stop();
}

#[test]
fn a_large_session_crosses_a_stream_that_blocks() {
    let lab = Lab::default();
    let a = lab.start(lab.settings(), lab.config());
    let (mut driver, b) = Driver::new(lab.settings(), lab.config(), Arc::new(Poller::new().unwrap())).unwrap();
    a.handle.set_peers(vec![b.address()]);
    b.set_peers(vec![a.handle.address()]);
    turn_until(&mut driver, || is_ready(&a.handle) && is_ready(&b));
    let key = a.handle.key(0, b"large").unwrap();
    let value = |number: u8| Bytes::from(vec![number; 1_000_000]);
    // Nobody reads at the other end meanwhile.
    for number in 0..14 {
        let commit = a.handle.commit(key, Delta::new().set(vec![number], value(number)), Durability::Local);
        assert!(commit.wait().is_ok());
    }
    let mut last = a.handle.commit(key, Delta::new().set("last", "1"), Durability::One);
    assert_eq!(last.try_now(), None);
    assert_ne!(a.handle.driver_stats().writes_blocked, 0, "{:?}", a.handle.driver_stats());
    let mut result = None;
    turn_until(&mut driver, || {
        result = last.try_now();
        result.is_some()
    });
    assert_eq!(result.unwrap().unwrap().members, [b.id()]);
    let there = b.peek(&key).unwrap();
    for number in 0..14 {
        assert_eq!(there.attribute(&[number]), Some(&value(number)));
    }
    assert_eq!(b.driver_stats().bytes_read, a.handle.driver_stats().bytes_written, "nothing is sent twice or lost");
    driver.finish();
    a.stop();
}

fn a_member_that_leaves_is_removed_as_such_and_its_driver_ends([a, b]: [Member; 2]) {
    let key = a.handle.key(0, b"s1").unwrap();
    assert!(a.handle.commit(key, Delta::new().set("n", "1"), Durability::Local).wait().is_ok());
    let id = a.handle.id();
    a.handle.leave().wait();
    let last = a.handle.commit(key, Delta::new().set("n", "2"), Durability::Local).wait();
    assert!(
        matches!(last, Err(CommitFailed::Gone | CommitFailed::Refused(CommitError::Leaving))),
        "a member that has left takes nothing: {last:?}"
    );
    let removed = |event: &Event| matches!(event, Event::MemberRemoved(..));
    assert_eq!(await_event(&b.handle, removed).last(), Some(&Event::MemberRemoved(id, RemovalCause::Left)));
    let there = b.handle.peek(&key).expect("what it had is handed over");
    assert_eq!(there.attribute(b"n").map(|value| &value[..]), Some(&b"1"[..]));
    a.thread.join().unwrap().unwrap();
    assert_eq!(a.handle.state(), MemberState::Leaving);
    assert_eq!(
        last_event(&a.handle),
        Some(Event::Left { at_risk: AtRisk::default() }),
        "events can be read to the end"
    );
    assert_eq!(a.handle.members(), []);
    assert_eq!(a.handle.sessions(), 0);
    a.handle.leave().wait();
    b.stop();
}

fn a_member_whose_handles_are_dropped_is_gone_at_once([a, b]: [Member; 2]) {
    let id = a.handle.id();
    let before = Instant::now();
    a.stop();
    let events = await_event(&b.handle, |event| matches!(event, Event::MemberRemoved(..)));
    assert!(
        matches!(events.last(), Some(&Event::MemberRemoved(gone, RemovalCause::Refused)) if gone == id),
        "{events:?}"
    );
    println!("gone after {:?}", before.elapsed());
    b.stop();
}

#[test]
fn whoever_waits_when_the_driver_stops_hears_that_it_is_gone() {
    let lab = Lab::default();
    let a = lab.start(lab.settings(), lab.config());
    let poller = Arc::new(Poller::new().unwrap());
    let (mut driver, b) = Driver::new(lab.settings(), lab.config(), poller).unwrap();
    a.handle.set_peers(vec![b.address()]);
    b.set_peers(vec![a.handle.address()]);
    turn_until(&mut driver, || is_ready(&a.handle) && is_ready(&b));
    // From here on nobody drives the other one, so nothing is acknowledged.
    let key = a.handle.key(0, b"s1").unwrap();
    let commit = a.handle.commit(key, Delta::new().set("n", "1"), Durability::One);
    let Member { handle, thread } = a;
    drop(handle);
    thread.join().unwrap().unwrap();
    assert_eq!(commit.wait(), Err(CommitFailed::Gone));
    drop(driver);
    assert_eq!(b.commit(key, Delta::new(), Durability::Local).wait(), Err(CommitFailed::Gone));
    while let Some(event) = b.next_event().wait() {
        assert!(!matches!(event, Event::Left { .. }), "it has not left, it has stopped");
    }
}

#[test]
fn a_thread_can_drive_a_node_and_serve_its_clients() {
    let lab = Lab::default();
    let b = lab.start(lab.settings(), lab.config());
    let poller = Arc::new(Poller::new().unwrap());
    let (mut driver, a) = Driver::new(lab.settings(), lab.config(), Arc::clone(&poller)).unwrap();
    a.set_peers(vec![b.handle.address()]);
    b.handle.set_peers(vec![a.address()]);
    turn_until(&mut driver, || is_ready(&a) && is_ready(&b.handle));

    let service = UdpSocket::bind("127.0.0.1:0").unwrap();
    service.set_nonblocking(true).unwrap();
    poller.add(&service, 3, Interest::Readable).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..10_u8 {
        client.send_to(&[number], service.local_addr().unwrap()).unwrap();
    }
    let written = || (a.stats().stream_bytes_sent, a.driver_stats().bytes_written);
    let mut commits = Vec::new();
    let mut answered = 0;
    let mut ready = Vec::new();
    while answered < 10 {
        poller.wait(&mut ready, driver.timeout()).unwrap();
        driver.cork();
        let before = written();
        let mut buffer = [0; 8];
        while let Ok(1) = service.recv(&mut buffer) {
            assert!(ready.iter().any(|ready| ready.token == 3 && ready.token < DRIVER_TOKENS));
            let key = a.key(0, &buffer[..1]).unwrap();
            commits.push(a.commit(key, Delta::new().set("n", "1"), Durability::One));
            assert!(a.peek(&key).is_some(), "it is readable before it is sent");
        }
        assert_eq!(written(), before, "nothing is sent while corked");
        driver.turn(&ready).unwrap();
        commits.retain_mut(|commit| {
            let Some(result) = commit.try_now() else { return true };
            assert_eq!(result.unwrap().members, [b.handle.id()]);
            answered += 1;
            false
        });
    }
    let mut left = a.leave();
    turn_until(&mut driver, || left.wait_for(Duration::ZERO).is_some());
    driver.turn(&[]).unwrap();
    assert!(driver.is_over());
    driver.finish();
    b.stop();
}

fn a_fixed_lifetime_ends_for_readers_when_it_ends([a, b]: [Member; 2]) {
    let key = a.handle.key(0, b"s1").unwrap();
    let delta = Delta::new().set("n", "1").lifetime(Lifetime::Fixed(Duration::from_secs(1)));
    assert!(a.handle.commit(key, delta, Durability::One).wait().is_ok());
    let handles = [&a.handle, &b.handle];
    let deadlines = handles.map(|handle| {
        let seen = handle.session(&key).expect("it has not ended yet");
        assert!(seen.remaining(handle.now()).unwrap() <= Duration::from_secs(1));
        seen.deadline().unwrap()
    });
    for (handle, deadline) in handles.into_iter().zip(deadlines) {
        while handle.now() < deadline {
            thread::sleep(deadline.since(handle.now()));
        }
        assert_eq!(handle.session(&key), None);
        assert_eq!(handle.peek(&key), None);
    }
    await_until(&a.handle, || a.handle.ended(&key) == Some(EndCause::MaxAge));
    a.stop();
    b.stop();
}

/// P4: a use that is not told at once is told later.
fn a_session_lives_for_its_idle_time_after_the_last_read([a, b]: [Member; 2]) {
    let idle = Duration::from_millis(1_500);
    let key = a.handle.key(0, b"s1").unwrap();
    let delta = Delta::new().set("n", "1").lifetime(Lifetime::Idle(idle));
    assert!(a.handle.commit(key, delta, Durability::One).wait().is_ok());
    let mut last = b.handle.now();
    // For longer than the idle time, now and then, and at the end twice within a tenth of it.
    for pause in [400, 400, 400, 400, 400, 60] {
        let until = b.handle.now() + Duration::from_millis(pause);
        while b.handle.now() < until {
            let event = b.handle.next_event().wait_for(until.since(b.handle.now()));
            assert!(!matches!(event, Some(None | Some(Event::SessionEnded(..)))), "{event:?}");
        }
        last = b.handle.now();
        assert!(b.handle.session(&key).is_some(), "it is used");
    }
    await_event(&b.handle, |event| *event == Event::SessionEnded(key, EndCause::Idle));
    let lived = b.handle.now().since(last);
    assert!(idle <= lived, "it has lived for {lived:?} only");
    assert_eq!(b.handle.session(&key), None);
    a.stop();
    b.stop();
}

/// What comes of conditions and deadlines comes through the handle.
fn of_writers_that_compare_and_set_one_wins_each_round([a, b]: [Member; 2]) {
    let key = a.handle.key(0, b"s1").unwrap();
    let made = a.handle.commit(key, Delta::new().if_no_session().set("n", vec![0]), Durability::All).wait();
    assert_eq!(made.unwrap().members, [b.handle.id()]);
    let writer = |handle: Handle| {
        thread::spawn(move || {
            let mut won = 0_u8;
            while won < 50 {
                let read = handle.peek(&key).unwrap();
                let next = read.attribute(b"n").unwrap()[0] + 1;
                let delta = Delta::new().if_attribute("n", read.attribute_version(b"n")).set("n", vec![next]);
                match handle.commit(key, delta, Durability::One.within(LONG)).wait() {
                    Ok(_) => won += 1,
                    Err(CommitFailed::Refused(CommitError::Conflict(_))) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        })
    };
    // On one member: there it is judged.
    let writers = [0; 3].map(|_| writer(a.handle.clone()));
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(a.handle.peek(&key).unwrap().attribute(b"n").map(|value| &value[..]), Some(&[150][..]));
    let seen = SessionVersion::from_bytes(&b.handle.peek(&key).unwrap().version().to_bytes()).unwrap();
    assert!(b.handle.commit(key, Delta::end().if_session(seen), Durability::One).wait().is_ok());
    a.stop();
    b.stop();
}

#[test]
fn a_node_that_is_told_so_starts_alone() {
    let lab = Lab::default();
    let config = heirloom_core::Config { join_for: Duration::from_secs(3_000), ..lab.config() };
    let a = lab.start(lab.settings(), config);
    let key = a.handle.key(0, b"s1").unwrap();
    let early = a.handle.commit(key, Delta::new().set("n", "1"), Durability::Local).wait();
    assert_eq!(early, Err(CommitFailed::Refused(CommitError::NotReady)));
    a.handle.start_alone();
    assert_eq!(a.await_ready(0), []);
    assert_eq!(a.handle.next_event().wait(), Some(Event::Ready(ReadyCause::FirstMember)));
    let alone = a.handle.commit(key, Delta::new().set("n", "1"), Durability::One).wait();
    assert_eq!(alone, Err(CommitFailed::NotDurable { have: vec![], missing: vec![], want: 1, late: false }));
    assert!(a.handle.peek(&key).is_some(), "the change itself stays");
    assert!(a.handle.key(0, &[0; 513]).is_err());
    a.stop();
}

#[test]
fn a_reader_on_another_thread_gets_each_event_once() {
    let lab = Lab::default();
    let members: Vec<_> = (0..2).map(|_| lab.start(lab.settings(), lab.config())).collect();
    let handle = members[0].handle.clone();
    let reader = thread::spawn(move || {
        let mut events = Vec::new();
        block_on(async {
            while let Some(event) = handle.next_event().await {
                events.push(event);
            }
        });
        events
    });
    introduce(&members);
    let [a, b] = <[Member; 2]>::try_from(members).unwrap();
    b.await_ready(1);
    a.handle.leave().wait();
    a.thread.join().unwrap().unwrap();
    let events = reader.join().unwrap();
    assert_eq!(events.last(), Some(&Event::Left { at_risk: AtRisk::default() }));
    for event in &events {
        assert_eq!(events.iter().filter(|other| *other == event).count(), 1, "{event:?} in {events:?}");
    }
    b.stop();
}

fn pair(drivers: [Driven; 2]) -> [Member; 2] {
    let lab = Lab::default();
    let members = drivers.map(|driven| lab.start_driven(driven, lab.settings(), lab.config()));
    introduce(&members);
    members.iter().for_each(|member| drop(member.await_ready(1)));
    members
}

/// With the other one.
fn is_ready(handle: &Handle) -> bool {
    let members = handle.members();
    handle.state() == MemberState::Ready && members.iter().any(|member| member.state == MemberState::Ready)
}

fn last_event(handle: &Handle) -> Option<Event> {
    std::iter::from_fn(|| handle.next_event().try_now()).last()
}
