//! A record of a node that was killed runs again, and what was changed in it since is told.

#[allow(dead_code, reason = "each test uses a part of it")] // The same file serves several tests.
#[path = "support/process.rs"]
mod process;

use std::{fs, path::PathBuf, thread, time::Duration};

use heirloom_record::{BadRecord, Ending, replay};
use process::Process;
use redis::Commands as _;

const SECRET: &str = "a value that nobody else should read";

/// Two members of which the second is recorded, some traffic on both, and the end of the second.
fn recorded(name: &str, flags: &[&str]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}.record", std::process::id()));
    let record = format!("--record={}", path.display());
    let first = Process::first(&[]);
    let (mut before, mut number) = (first.client(), 0);
    before.set::<_, _, ()>("before", SECRET).expect("it is written");
    let mut second = first.join(&[flags, &[&record]].concat());
    for client in [&mut first.client(), &mut second.client()] {
        for _ in 0..30 {
            number += 1;
            client.set::<_, _, ()>(format!("s{}", number % 7), format!("{SECRET} {number}")).expect("it is written");
            client.hset::<_, _, _, ()>(format!("h{}", number % 3), "field", number % 5).expect("it is written");
            let _there: Option<String> = client.get(format!("s{}", number % 5)).expect("it is read");
        }
        client.del::<_, ()>("s3").expect("it is deleted");
    }
    thread::sleep(Duration::from_millis(700));
    second.signal("-KILL");
    second.wait();
    fs::read(path).expect("there is a record")
}

fn has(record: &[u8], text: &str) -> bool {
    record.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_record_of_a_killed_node_runs_again_and_is_the_same_without_its_values() {
    let record = recorded("hidden", &[]);
    let replayed = replay(&record).expect("it can be read");
    assert_eq!(replayed.difference, None);
    assert!(matches!(replayed.ending, Ending::Died | Ending::Cut(_) | Ending::Unfinished), "{:?}", replayed.ending);
    assert!(200 < replayed.inputs && 50 < replayed.sent, "{} inputs, {} sent", replayed.inputs, replayed.sent);
    assert!(!has(&record, SECRET) && !has(&record, "nobody else"));

    let mut damaged = record.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 4;
    let told = replay(&damaged).expect_err("a bit has flipped");
    let BadRecord::Damaged { at: block, length } = told else { panic!("{told}") };
    let at = u64::try_from(at).expect("it is short");
    assert!((block..block + length).contains(&at), "{told}");

    let cut = replay(&record[..record.len() / 2]).expect("what is there can be read");
    assert_eq!(cut.difference, None);
    assert!(cut.inputs < replayed.inputs);

    let mut newer = record.clone();
    newer["heirloom record ".len()] = b'9';
    let told = replay(&newer).expect_err("it has another version").to_string();
    assert_eq!(told, "this record has version 9, and version 1 is what is read here");
}

#[test]
fn values_stand_in_a_record_if_that_is_asked_for_and_it_ends_when_it_is_full() {
    let record = recorded("values", &["--record-values"]);
    let replayed = replay(&record).expect("it can be read");
    assert_eq!((replayed.difference, replayed.header.has_values), (None, true));
    assert!(has(&record, SECRET));

    let record = recorded("full", &["--record-limit=20kb"]);
    let replayed = replay(&record).expect("it can be read");
    assert_eq!((replayed.difference, replayed.ending), (None, Ending::Full));
    assert!(record.len() < 21 << 10, "{} bytes", record.len());
}
