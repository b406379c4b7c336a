//! What two members share besides sessions, over real sockets: the map, and messages of the application.
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::time::Duration;
use std::{thread, time::Instant};

use bytes::Bytes;
use heirloom_core::{CommitError, Config, Durability, Event, MessageError};
use heirloom_runtime::{CommitFailed, SendFailed};
use heirloom_tests::{Driven, LONG, Lab, Member, await_event, block_on, introduce};

const MIXES: [[Driven; 2]; 3] =
    [[Driven::ByThread, Driven::ByThread], [Driven::BySmol, Driven::BySmol], [Driven::ByThread, Driven::BySmol]];

#[test]
fn what_one_sets_in_the_map_the_other_reads_and_is_told_of() {
    for mix in MIXES {
        let [a, b] = pair(mix, |config| config);
        for number in 0..100_u32 {
            let (name, value) = (Bytes::from(format!("name {}", number % 10)), Bytes::from(number.to_string()));
            let receipt = a.handle.map_set(name.clone(), value.clone(), Durability::One).wait().unwrap();
            assert_eq!(receipt.members, [b.handle.id()]);
            assert_eq!([a.handle.map_get(&name), b.handle.map_get(&name)], [Some(value.clone()), Some(value)]);
        }
        await_event(&b.handle, |event| *event == Event::MapChanged("name 9".into()));
        let before = b.handle.map();
        assert!(block_on(b.handle.map_remove("name 3", Durability::All)).is_ok());
        assert_eq!((a.handle.map_get(b"name 3"), a.handle.map().len(), before.len()), (None, 9, 10));
        assert_eq!(a.handle.map(), b.handle.map());
        let missing = a.handle.map_remove("name 3", Durability::Local).wait();
        assert_eq!(missing, Err(CommitFailed::Refused(CommitError::NoEntry)));
        a.stop();
        b.handle.leave().wait();
        b.thread.join().unwrap().unwrap();
        assert_eq!(b.handle.map_set("late", "1", Durability::Local).wait(), Err(CommitFailed::Gone));
        assert_eq!(b.handle.map().len(), 0);
    }
}

#[test]
fn messages_come_in_order_to_a_reader_that_waits() {
    const COUNT: u32 = 500;
    for mix in MIXES {
        // Room for all of them: a reader that is too slow for a moment loses none.
        let [a, b] = pair(mix, |config| Config { messages_max: 1024, ..config });
        let reader = {
            let b = b.handle.clone();
            thread::spawn(move || (0..COUNT).map(|_| b.next_message().wait().unwrap()).collect::<Vec<_>>())
        };
        for number in 0..COUNT {
            assert_eq!(a.handle.send(b.handle.id(), number.to_string()), Ok(()));
        }
        let read = reader.join().unwrap();
        assert!(read.iter().all(|message| message.from == a.handle.id()));
        assert!(read.iter().zip(0..).all(|(message, number): (_, u32)| message.bytes == number.to_string()));
        assert_eq!(b.handle.send_to_all("to all"), Ok(1));
        assert_eq!(block_on(a.handle.next_message()).map(|message| message.bytes), Some("to all".into()));
        assert_eq!(a.handle.next_message().try_now(), None);
        assert_eq!(a.handle.next_message().wait_for(Duration::ZERO), None);
        let unknown = SendFailed::Refused(MessageError::NotInView);
        assert_eq!(a.handle.send(a.handle.id(), "to itself"), Err(unknown));
        a.stop();
        let waits = b.handle.next_message();
        b.handle.leave().wait();
        assert_eq!(waits.wait(), None, "who waits is told of the end");
        b.thread.join().unwrap().unwrap();
        assert_eq!(b.handle.send_to_all("late"), Err(SendFailed::Gone));
    }
}

/// P7.
#[test]
fn what_nobody_reads_is_bounded_and_counted() {
    let [a, b] = pair(MIXES[0], |config| Config { messages_max: 8, ..config });
    let mut sent = 0;
    spin_until(|| {
        sent += u64::from(a.handle.send(b.handle.id(), "unread").is_ok());
        64 <= sent
    });
    spin_until(|| {
        let stats = b.handle.stats();
        stats.messages_received + stats.messages_dropped == sent
    });
    let kept = core::iter::from_fn(|| b.handle.next_message().try_now()).count();
    assert_eq!((kept, b.handle.stats().messages_dropped), (8, sent - 8));
    a.stop();
    b.stop();
}

/// No event tells of messages.
fn spin_until(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "it takes too long");
        thread::yield_now();
    }
}

fn pair(drivers: [Driven; 2], change: impl Fn(Config) -> Config) -> [Member; 2] {
    let lab = Lab::default();
    let members = drivers.map(|driven| lab.start_driven(driven, lab.settings(), change(lab.config())));
    introduce(&members);
    members.iter().for_each(|member| drop(member.await_ready(1)));
    members
}
