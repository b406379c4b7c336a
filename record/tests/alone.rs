//! A node alone, recorded by hand: it is the same again, and another build is found out.

use core::time::Duration;
use std::{fs, path::PathBuf};

use heirloom_core::{
    Config, Delta, Demand, Durability, MemberId, Node, SessionKey, Time, Transmit, recording::delta_bytes,
};
use heirloom_record::{Answer, Ending, Input, Recorder, Recording, State, replay};

const KEY: SessionKey = SessionKey([7; 16]);

/// Records a node that starts alone and commits once. After so many things that it sent it sends something else.
fn recorded(name: &str, other_after: usize) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}.record", std::process::id()));
    let address = "127.0.0.1:4000".parse().expect("an address");
    let (config, mut now) = (Config::default(), Time::ZERO);
    let recording = Recording { path: path.clone(), bytes_max: 1 << 20, values: false };
    let (id, seed) = (MemberId(5), 9);
    let mut recorder =
        Recorder::start(&recording, (id, address), (&config, seed, now), [3; 32]).expect("it is written");
    let mut node = Node::new(id, address, config, seed, now).expect("the defaults");
    let (mut sent, mut is_asked) = (0, false);
    for _ in 0..40 {
        recorder.note(Some(now), Input::Timeout);
        node.handle_timeout(now);
        if !is_asked && Time::ZERO + Duration::from_secs(5) < now {
            is_asked = true;
            let delta = Delta::new().set("user", "alice");
            let (told, demand) = (delta_bytes(&delta, |value| recorder.hide(value)), Demand::from(Durability::Local));
            let answer = node.commit(now, KEY, delta, demand);
            assert!(answer.is_ok(), "{answer:?}");
            recorder.note(Some(now), Input::Commit(KEY.0, told, demand.into(), Answer::of(&answer)));
        }
        loop {
            let transmit = node.poll_transmit(now);
            sent += usize::from(transmit.is_some());
            let other = Transmit::Multicast { bytes: "something else".into() };
            recorder.note_sends(now, if sent == other_after { Some(&other) } else { transmit.as_ref() });
            if transmit.is_none() {
                break;
            }
        }
        now = node.poll_timeout().expect("a member has beats to send").max(now);
    }
    assert!(matches!(recorder.state(), State::On(_)));
    drop(recorder);
    fs::read(path).expect("it was written")
}

#[test]
fn the_same_build_does_the_same() {
    let record = recorded("same", usize::MAX);
    let replayed = replay(&record).expect("it can be read");
    assert_eq!((replayed.difference, replayed.ending), (None, Ending::Over));
    assert_eq!((replayed.inputs, replayed.header.seed), (41, 9));
    assert!(!record.windows(5).any(|part| part == b"alice"));
}

#[test]
fn another_build_is_found_out_with_the_first_thing_that_it_does() {
    let replayed = replay(&recorded("other", 7)).expect("it can be read");
    assert_eq!(replayed.sent, 7);
    let told = replayed.difference.expect("it differs").to_string();
    assert!(told.contains("(something is due): then it was a datagram of 14 bytes to the group ("), "{told}");
    assert!(
        told.contains(", now it is a datagram of ") && !told.contains("now it is a datagram of 14 bytes"),
        "{told}"
    );
}

#[test]
fn what_is_no_record_is_told() {
    assert_eq!(replay(b"heirloom-sim 1\n").expect_err("a plan").to_string(), "this is no record of a node");
    let record = recorded("short", usize::MAX);
    assert!(replay(&record[..40]).expect_err("its beginning").to_string().contains("says what cannot be"));
}
