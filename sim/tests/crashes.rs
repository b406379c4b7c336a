//! Members that die, start and join, as scripts that are told for each way in which sessions are copied (P2, P5, P6).

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Durability, Event, ReadyCause, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Serial, clients::key};

#[test]
fn two_crashes_in_sequence() {
    Scenario::in_each_mode(
        "two crashes in sequence",
        5,
        |_| (),
        |mut story| {
            let writes = write_many(&mut story, 40, 5);
            story.quiet();
            for victim in [0, 1] {
                kill(&mut story, victim);
                story.quiet();
                writes.iter().for_each(|write| story.keeps(*write));
            }
        },
    );
}

/// Two die at once: nothing is lost of what others held as well, and all copies are there again.
#[test]
fn two_crashes_at_once() {
    Scenario::in_each_mode(
        "two crashes at once",
        5,
        |_| (),
        |mut story| {
            let writes = write_many(&mut story, 60, 5);
            story.quiet();
            let spared =
                |(session, _): &(u64, Serial)| !story.holders(key(*session)).is_subset(&BTreeSet::from([0, 1]));
            let spared: Vec<(u64, Serial)> = (0..60).zip(writes).filter(spared).collect();
            assert!(40 < spared.len());
            kill(&mut story, 0);
            kill(&mut story, 1);
            story.quiet();
            spared.iter().for_each(|(_, write)| story.keeps(*write));
        },
    );
}

#[test]
fn two_crashes_at_once_in_the_middle_of_a_fan_out() {
    for victim in [0, 1, 3, 4] {
        Scenario::in_each_mode(
            "two crashes in a fan-out",
            5,
            |_| (),
            |mut story| {
                let session = story.key_on(&[2, 1, 0]);
                story.commit(2, all(session, 1));
                story.quiet();
                for host in [0, 3, 4] {
                    story.act(Action::Hold(HostId(2), HostId(host)));
                }
                let write = story.commit(2, Ask::set(session, 0, Durability::One));
                story.run_for(millis(5));
                assert!(story.is_durable(write) && story.holds(1, write));
                kill(&mut story, 2);
                kill(&mut story, victim);
                story.heal();
                if victim != 1 {
                    story.keeps(write);
                }
            },
        );
    }
}

#[test]
fn a_death_during_a_join() {
    for at in (0..24).map(|step| millis(step * 50)) {
        Scenario::before_each_mode(
            "a death during a join",
            4,
            |_| (),
            |mut story| {
                (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
                story.quiet();
                let writes = write_many(&mut story, 20, 3);
                story.quiet();
                story.act(Action::Start(HostId(3)));
                story.run_for(at);
                kill(&mut story, 0);
                story.quiet();
                assert!(story.is_ready(3));
                writes.iter().for_each(|write| story.keeps(*write));
            },
        );
    }
}

#[test]
fn two_joiners_at_once() {
    join_at_once(2);
}

#[test]
fn ten_joiners_at_once() {
    join_at_once(10);
}

fn join_at_once(joiners: u16) {
    Scenario::before_each_mode(
        "joiners at once",
        joiners + 2,
        |_| (),
        |mut story| {
            (0..2).for_each(|host| story.act(Action::Start(HostId(host))));
            story.quiet();
            let mut writes = write_many(&mut story, 40, 2);
            story.quiet();
            (2..joiners + 2).for_each(|host| story.act(Action::Start(HostId(host))));
            // Clients go on while they join.
            for step in 0..40 {
                story.run_for(millis(40));
                writes.push(story.commit(step % 2, all(key(u64::from(step)), 1)));
            }
            story.quiet();
            assert!((0..joiners + 2).all(|host| story.is_ready(host)));
            writes.iter().skip(40).for_each(|write| story.keeps(*write));
        },
    );
}

#[test]
fn all_members_started_at_the_same_moment() {
    Scenario::in_each_mode(
        "all at once",
        6,
        |_| (),
        |mut story| {
            let is_first = |event: &Event| *event == Event::Ready(ReadyCause::FirstMember);
            let first = (0..6).filter(|host| story.events(*host).any(|(_, event)| is_first(event))).count();
            assert_eq!(first, 1);
            let writes = write_many(&mut story, 12, 6);
            story.quiet();
            writes.iter().for_each(|write| story.keeps(*write));
        },
    );
}

#[test]
fn all_members_started_at_the_same_moment_serve_at_once() {
    Scenario::before_each_mode(
        "all at once, under load",
        5,
        |_| (),
        |mut story| {
            (0..5).for_each(|host| story.act(Action::Start(HostId(host))));
            let mut writes = Vec::new();
            for step in 0..80 {
                story.run_for(millis(100));
                let ready = (0..5_u8).filter(|host| story.is_ready(u16::from(*host)));
                let ready: Vec<u8> = ready.collect();
                writes.extend(ready.into_iter().map(|host| story.commit(host.into(), all(key(step % 9), host))));
            }
            story.quiet();
            assert!(!writes.is_empty());
            writes.iter().rev().take(5).for_each(|write| story.keeps(*write));
        },
    );
}

/// One session after the other, each on the next host.
fn write_many(story: &mut Scenario, sessions: u64, hosts: u16) -> Vec<Serial> {
    let turns = (0..sessions).zip((0..hosts).cycle());
    turns.map(|(session, host)| story.commit(host, all(key(session), 0))).collect()
}

fn kill(story: &mut Scenario, host: u16) {
    story.act(Action::Kill(HostId(host), LastBytes::Lost));
}

fn all(key: SessionKey, attribute: u8) -> Ask {
    Ask::set(key, attribute, Durability::All)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Of a session only what another has written to it arrives, and all who knew how long it lives die: it ends as the settings
/// say, instead of never.
#[test]
fn a_session_whose_lifetime_is_lost_with_all_who_knew_it_ends_all_the_same() {
    let mut story = Scenario::with("a lost lifetime", 3, |setup| setup.config.idle = seconds(8));
    story.start_all();
    story.act(Action::Hold(HostId(0), HostId(2)));
    story.commit(0, Ask::set(key(1), 0, Durability::Local));
    story.run_for(Duration::from_millis(50));
    story.commit(1, Ask::set(key(1), 1, Durability::Local));
    story.run_for(Duration::from_millis(50));
    let on_the_last = |story: &Scenario| {
        let session = story.sim().cluster().process(HostId(2))?.node.session(&key(1))?;
        Some((session.lifetime(), session.attributes().count()))
    };
    assert_eq!(on_the_last(&story), Some((None, 1)), "only the later write has arrived");
    kill(&mut story, 0);
    kill(&mut story, 1);
    story.run_for(seconds(20));
    assert_eq!(on_the_last(&story), None);
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
