//! What clients and the network do to a session, as scripts that are told for each way in which sessions are copied.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Config, Durability, Event, SessionKey};
use heirloom_sim::{Action, Ask, Attribute, Discovery, HostId, Scenario, Weather, clients::key};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn reordered_repeated_and_delayed_frames() {
    let weather = Weather {
        delay_max: millis(50),
        delay_tail: millis(300),
        repeat: 400,
        reorder: true,
        piece_max: 37,
        ..Weather::calm()
    };
    let change = |setup: &mut heirloom_sim::Setup| setup.weather = weather.clone();
    Scenario::in_each_mode("reordered, repeated, delayed", 4, change, |mut story| {
        let mut writes = Vec::new();
        for step in 0..200_u64 {
            writes.push(story.commit((step % 4) as u16, all(key(step % 7), (step % 5) as u8)));
            story.run_for(millis(step % 31));
        }
        story.quiet();
        assert!(writes.iter().all(|write| story.is_durable(*write)));
        // Who must fetch a session first may take a write later than others take a later one.
        let attempts = story.sim().history().attempts();
        let mut latest = BTreeMap::new();
        for attempt in attempts {
            let place =
                latest.entry((attempt.ask.key, attempt.ask.sets.clone())).or_insert((attempt.at, attempt.serial));
            *place = (attempt.at, attempt.serial).max(*place);
        }
        assert_eq!(latest.len(), 35);
        latest.values().for_each(|(_, write)| story.keeps(*write));
        assert!((0..4).all(|host| !removed(&story, host)));
    });
}

#[test]
fn the_same_session_written_on_two_members_at_once() {
    for hosts in [[0, 1], [1, 0], [0, 3], [3, 2]] {
        Scenario::in_each_mode(
            "written on two",
            4,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2, 3]);
                let before = story.commit(0, all(session, 0));
                story.quiet();
                for _ in 0..20 {
                    let writes = [(hosts[0], 1), (hosts[1], 2)].map(|(host, at)| story.commit(host, all(session, at)));
                    story.run_for(millis(3));
                    assert!(writes.iter().all(|write| story.is_durable(*write)));
                }
                let last = [(hosts[0], 1), (hosts[1], 2)].map(|(host, at)| story.commit(host, all(session, at)));
                story.quiet();
                last.iter().chain([&before]).for_each(|write| story.keeps(*write));
            },
        );
    }
}

#[test]
fn the_same_session_created_on_two_members_at_once() {
    for hosts in [[0, 1], [1, 2], [0, 3], [3, 2]] {
        Scenario::in_each_mode(
            "created on two",
            4,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2, 3]);
                let writes = [(hosts[0], 0), (hosts[1], 1)].map(|(host, at)| story.commit(host, all(session, at)));
                story.quiet();
                assert!(writes.iter().all(|write| story.is_durable(*write)));
                writes.iter().for_each(|write| story.keeps(*write));
            },
        );
    }
}

/// A value that is too large is refused with the commit that it came in: nothing of that is done, nothing else is lost.
#[test]
fn a_bad_attribute() {
    let change = |setup: &mut heirloom_sim::Setup| {
        setup.config.attribute_bytes_max = 1000;
        setup.config.session_bytes_max = 2500;
        setup.config.attributes_max = 4;
    };
    Scenario::in_each_mode("a bad attribute", 3, change, |mut story| {
        let good = story.commit(0, all(key(1), 0));
        let bad = Ask { bytes: 1001, sets: attributes(&[1, 2]), ..all(key(1), 1) };
        (0..3).for_each(|host| story.refused(host, bad.clone()));
        story.refused(0, Ask { sets: attributes(&[0, 1, 2, 3, 4]), ..all(key(2), 0) });
        story.refused(1, Ask { bytes: 900, sets: attributes(&[1, 2, 3]), ..all(key(1), 1) });
        let next = story.commit(1, Ask { sets: attributes(&[1, 2]), ..all(key(1), 1) });
        story.quiet();
        assert!(story.is_durable(good) && story.is_durable(next));
        [good, next].iter().for_each(|write| story.keeps(*write));
        assert!((0..3).all(|host| !story.shows(host, key(2))));
    });
}

/// Its kernel takes what is sent, its node does not answer: a commit that needs it ends when it is out of the view.
#[test]
fn a_hung_peer() {
    Scenario::in_each_mode(
        "a hung peer",
        3,
        |_| (),
        |mut story| {
            let session = story.key_on(&[0, 1, 2]);
            story.commit(0, all(session, 2));
            story.quiet();
            story.act(Action::Pause(HostId(1)));
            let quick = story.commit(0, Ask::set(session, 0, Durability::Local));
            let patient = story.commit(0, all(session, 1));
            assert!(story.is_durable(quick));
            let Config { drop_time, probe_time, frequency, .. } = Config::default();
            let took = story.run_until("the commit ends", SECOND * 10, |sim| sim.history().pending().next().is_none());
            assert!(took <= drop_time + probe_time + frequency, "{took:?}");
            assert!(!story.lists(0).contains(&HostId(1)) && !story.lists(2).contains(&HostId(1)));
            story.act(Action::Resume(HostId(1)));
            story.quiet();
            [quick, patient].iter().for_each(|write| story.keeps(*write));
        },
    );
}

/// A member that reads nothing costs others no memory, however much is written meanwhile.
#[test]
fn a_slow_peer_with_bounded_memory() {
    let change = |setup: &mut heirloom_sim::Setup| setup.weather.stream_room = 16 << 10;
    Scenario::in_each_mode("a slow peer", 3, change, |mut story| {
        let sessions: Vec<SessionKey> = (0..20).map(key).collect();
        for session in &sessions {
            story.commit(0, Ask { bytes: 400, sets: attributes(&[0, 1, 2, 3, 4]), ..all(*session, 0) });
        }
        story.quiet();
        story.act(Action::Hold(HostId(0), HostId(1)));
        story.act(Action::Hold(HostId(2), HostId(1)));
        let mut weigh = |rounds: u64| {
            for (step, session) in (0..rounds).flat_map(|step| sessions.iter().map(move |session| (step, session))) {
                let ask = Ask { bytes: 400, ..Ask::set(*session, (step % 5) as u8, Durability::Local) };
                story.commit(0, ask);
                story.run_for(Duration::from_micros(200));
            }
            (story.weight(0), story.weight(2))
        };
        let few = weigh(20);
        let many = weigh(200);
        assert!(many.0 < few.0 * 5 / 4 && many.1 < few.1 * 5 / 4, "{few:?}, then {many:?}");
        let last = story.commit(0, Ask::set(sessions[3], 0, Durability::Local));
        story.heal();
        story.keeps(last);
    });
}

/// Two members do not reach each other, all others reach both.
#[test]
fn views_that_differ() {
    for pair in [[0, 1], [1, 2], [0, 3], [2, 3]] {
        Scenario::in_each_mode(
            "views that differ",
            5,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2, 3, 4]);
                let mut last = vec![story.commit(0, all(session, 0))];
                story.quiet();
                story.act_both(Action::Cut, pair[0], pair[1]);
                for step in 0..30_u8 {
                    story.run_for(millis(500));
                    let host = pair[usize::from(step % 2)];
                    last.push(story.commit(host, Ask::set(session, 1 + step % 2, Durability::One)));
                    story.commit(4, Ask::set(key(u64::from(step)), 0, Durability::One));
                }
                story.heal();
                [last[0], last[29], last[30]].iter().for_each(|write| story.keeps(*write));
            },
        );
    }
}

#[test]
fn a_member_asleep_for_a_minute_wakes_as_a_stale_owner() {
    for wakes_busy in [false, true] {
        Scenario::in_each_mode(
            "a stale owner",
            4,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2]);
                let before = story.commit(0, Ask { sets: attributes(&[0, 1]), ..all(session, 0) });
                story.quiet();
                story.act(Action::Pause(HostId(0)));
                story.run_for(SECOND * 30);
                let meanwhile = story.commit(1, all(session, 1));
                story.run_for(SECOND * 30);
                assert!(story.is_durable(meanwhile));
                story.act(Action::Resume(HostId(0)));
                let stale = wakes_busy.then(|| story.commit(0, all(session, 2)));
                story.quiet();
                [before, meanwhile].iter().for_each(|write| story.keeps(*write));
                stale.iter().for_each(|write| story.keeps(*write));
            },
        );
    }
}

#[test]
fn multicast_loss_of_50_percent_evicts_nobody_in_ten_minutes() {
    lose_multicast(500);
}

#[test]
fn multicast_loss_of_70_percent_evicts_nobody_in_ten_minutes() {
    lose_multicast(700);
}

fn lose_multicast(multicast_loss: u64) {
    for (seed, discovery) in [(0, Discovery::Group), (1, Discovery::Both)] {
        let change = |setup: &mut heirloom_sim::Setup| {
            (setup.seed, setup.discovery) = (seed, discovery);
            setup.weather = Weather { multicast_loss, ..Weather::calm() };
        };
        Scenario::in_each_mode("multicast is lost", 5, change, |mut story| {
            let write = story.commit(0, all(key(1), 0));
            story.run_for(SECOND * 600);
            assert!((0..5).all(|host| !removed(&story, host)));
            assert!(story.is_durable(write));
        });
    }
}

fn removed(story: &Scenario, host: u16) -> bool {
    story.events(host).any(|(_, event)| matches!(event, Event::MemberRemoved(..)))
}

fn attributes(numbers: &[u8]) -> BTreeSet<Attribute> {
    numbers.iter().copied().map(Attribute).collect()
}

fn all(key: SessionKey, attribute: u8) -> Ask {
    Ask::set(key, attribute, Durability::All)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
