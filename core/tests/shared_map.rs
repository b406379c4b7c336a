//! The shared map: every member holds it, however sessions are copied.

mod net;

use std::time::Duration;

use heirloom_core::{
    CommitError, Config, Copies, Delta, Durability, Event, MemberId, MemberState, Outcome, ReadyCause,
};
use net::Net;

const MODES: [Copies; 3] = [Copies::Everywhere, Copies::Backups(1), Copies::Nowhere];
const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_one_member_sets_all_have_and_are_told_of() {
    for copies in MODES {
        let mut net = started(4, copies);
        let set = net.nodes[1].map_set(net.now, "motd", "hello", Durability::All).expect("there is room");
        net.run(MILLI * 5);
        let Some((id, Outcome::Durable(mut receipt))) = net.nodes[1].poll_outcome() else { panic!("{copies:?}") };
        receipt.members.sort();
        assert_eq!((id, receipt.members), (set, [1, 3, 4].map(MemberId).into()), "{copies:?}");
        assert!((0..4).all(|n| get(&net, n, "motd").as_deref() == Some("hello")), "{copies:?}");
        let told: Vec<_> = (0..4).map(|n| changed(&mut net, n)).collect();
        assert_eq!(told, [vec!["motd"], vec![], vec!["motd"], vec!["motd"]]);
        net.nodes[2].map_remove(net.now, "motd", Durability::Local).expect("it is there");
        net.run(MILLI * 5);
        assert!((0..4).all(|n| net.nodes[n].map_iter().count() == 0), "{copies:?}");
        assert_eq!((changed(&mut net, 0), changed(&mut net, 2)), (vec!["motd".into()], vec![]));
    }
}

#[test]
fn the_later_of_two_writes_wins_on_all_members() {
    let mut net = started(3, Copies::Backups(1));
    for n in [2, 0, 1] {
        net.nodes[n].map_set(net.now, "a", format!("{n}"), Durability::One).expect("there is room");
        net.nodes[n].map_set(net.now, format!("of {n}"), "", Durability::One).expect("there is room");
    }
    net.run(MILLI * 10);
    let maps: Vec<_> = (0..3).map(|n| net.nodes[n].map_iter().collect::<Vec<_>>()).collect();
    assert_eq!((maps[0].len(), &maps[0], &maps[0]), (4, &maps[1], &maps[2]));
    let last = get(&net, 0, "a").expect("it was set");
    net.nodes[0].map_set(net.now, "a", "later", Durability::Local).expect("there is room");
    net.run(MILLI * 5);
    assert!((0..3).all(|n| get(&net, n, "a").as_deref() == Some("later")), "after {last}");
    assert!((0..3).all(|n| net.nodes[n].stats().maps_sent == 0), "nothing is repaired where nothing was lost");
}

/// P5.
#[test]
fn a_joining_member_has_it_before_it_is_ready() {
    for copies in MODES {
        let mut net = Net::with(vec![copies; 3]);
        (0..2).for_each(|n| net.start(n));
        net.run(SECOND * 6);
        for number in 0..500 {
            let (name, value) = (format!("name {number}"), "x".repeat(1000));
            net.nodes[number % 2].map_set(net.now, name, value, Durability::Local).expect("there is room");
        }
        // When the others say that they are there.
        net.run(MILLI * 500);
        net.nodes[0].map_remove(net.now, "name 7", Durability::Local).expect("it is there");
        net.start(2);
        while net.nodes[2].state() != MemberState::Ready {
            net.run(MILLI);
        }
        assert!(net.events(2).contains(&Event::Ready(ReadyCause::Joined)), "{copies:?}");
        assert!(net.nodes[2].map_iter().eq(net.nodes[0].map_iter()), "{copies:?}");
        assert_eq!(net.nodes[2].map_iter().count(), 499);
    }
}

/// P2: its writer dies in the middle of the fan-out, and who has the write brings it to the others.
#[test]
fn a_write_that_one_other_has_survives_its_writer() {
    for copies in MODES {
        let mut net = started(4, copies);
        net.nodes[0].map_set(net.now, "a", "1", Durability::One).expect("there is room");
        net.run_alone(0, 2);
        assert_eq!((get(&net, 1, "a"), get(&net, 2, "a").as_deref()), (None, Some("1")));
        net.kill(0);
        net.run(MILLI * 50);
        assert!((1..4).all(|n| get(&net, n, "a").as_deref() == Some("1")), "{copies:?}");
    }
}

#[test]
fn members_that_were_apart_have_what_either_wrote() {
    for copies in MODES {
        let mut net = started(3, copies);
        net.nodes[0].map_set(net.now, "gone", "1", Durability::Local).expect("there is room");
        net.run(MILLI * 5);
        net.kill(2);
        net.run(SECOND * 6);
        net.nodes[0].map_set(net.now, "a", "of the two", Durability::Local).expect("there is room");
        net.nodes[1].map_remove(net.now, "gone", Durability::Local).expect("it is there");
        net.nodes[2].map_set(net.now, "b", "of the one", Durability::Local).expect("there is room");
        net.start(2);
        net.run(SECOND * 10);
        for n in 0..3 {
            let names: Vec<_> = net.nodes[n].map_iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(names, ["a", "b"], "{copies:?}, {n}");
        }
    }
}

/// What was removed while a member was away does not come back with it, also when that is forgotten.
#[test]
fn a_member_that_was_away_for_too_long_brings_nothing_back() {
    let mut net = started(2, Copies::Everywhere);
    for name in ["gone", "kept"] {
        net.nodes[0].map_set(net.now, name, "1", Durability::Local).expect("there is room");
    }
    net.run(MILLI * 5);
    net.kill(1);
    net.run(SECOND * 6);
    net.nodes[0].map_remove(net.now, "gone", Durability::Local).expect("it is there");
    net.run(SECOND * 70);
    assert_eq!(net.nodes[0].map_remove(net.now, "gone", Durability::Local), Err(CommitError::NoEntry));
    net.nodes[1].map_set(net.now, "new", "1", Durability::Local).expect("there is room");
    net.start(1);
    net.run(SECOND * 10);
    for n in 0..2 {
        let names: Vec<_> = net.nodes[n].map_iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, ["kept", "new"], "{n}");
    }
    assert_eq!(net.nodes[0].stats().entries_refused, 1);
}

#[test]
fn it_has_bounds_and_only_a_member_that_serves_takes_writes() {
    let config = Config { map_entries_max: 2, map_bytes_max: 20, attribute_bytes_max: 12, ..Config::default() };
    let mut net = Net::of([config]);
    net.start(0);
    let refused = net.nodes[0].map_set(net.now, "a", "1", Durability::Local);
    assert_eq!(refused, Err(CommitError::NotReady));
    net.run(SECOND * 6);
    let mut set = |name: &'static str, value: &'static str| {
        let now = net.now;
        net.nodes[0].map_set(now, name, value, Durability::Local).err()
    };
    assert_eq!(set("a", "123456789012"), Some(CommitError::AttributeTooLarge { bytes: 13, max: 12 }));
    assert_eq!((set("a", "12345678901"), set("b", "1")), (None, None));
    assert_eq!(set("c", "1"), Some(CommitError::TooManyEntries { max: 2 }));
    assert_eq!(set("b", "123456789"), Some(CommitError::MapTooLarge { bytes: 22, max: 20 }));
    net.nodes[0].map_remove(net.now, "a", Durability::Local).expect("it is there");
    let refused = net.nodes[0].map_set(net.now, "c", "1", Durability::Local);
    assert_eq!(refused, Err(CommitError::TooManyEntries { max: 2 }), "a removal is remembered");
    net.run(Config::default().ended_for + SECOND);
    net.nodes[0].map_set(net.now, "c", "1", Durability::Local).expect("it is forgotten");
}

/// P1, P2: six that were alone have each filled the map. What is told to be on others is there, however much that is.
#[test]
fn what_is_acknowledged_is_there_however_much_others_have_brought() {
    let config = Config { map_entries_max: 2, map_bytes_max: 20, ..Config::default() };
    let mut net = Net::of(vec![config; 6]);
    for n in 0..6 {
        let now = net.now;
        net.nodes[n].start_alone(now);
        for name in ["a", "b"] {
            let (name, value) = (format!("{name} of {n}"), format!("{n}"));
            net.nodes[n].map_set(now, name, value, Durability::Local).expect("there is room");
        }
    }
    (0..6).for_each(|n| net.start(n));
    while net.nodes[0].members().count() < 5 {
        net.run(MILLI);
    }
    let told = net.nodes[0].map_set(net.now, "a of 0", "2", Durability::All).expect("it takes no more than before");
    let all = net.outcomes(0, SECOND).into_iter().filter(|(_, (id, outcome))| {
        let Outcome::Durable(receipt) = outcome else { return false };
        *id == told && receipt.members.len() == 5
    });
    assert_eq!(all.count(), 1);
    for n in 0..6 {
        assert_eq!(get(&net, n, "a of 0").as_deref(), Some("2"), "{n}");
        assert_eq!(net.nodes[n].map_iter().count(), 12, "{n}");
        let more = net.nodes[n].map_set(net.now, "c", "1", Durability::All);
        assert_eq!(more, Err(CommitError::TooManyEntries { max: 2 }));
    }
}

/// A member that does not answer costs a write its deadline, as with sessions.
#[test]
fn a_hung_member_costs_a_write_its_deadline() {
    let mut net = started(3, Copies::Everywhere);
    net.hang(2);
    let late = net.nodes[0].map_set(net.now, "a", "1", Durability::All.within(SECOND)).expect("there is room");
    let outcomes = net.outcomes(0, SECOND * 2);
    let short = Outcome::NotDurable { have: vec![MemberId(2)], missing: vec![MemberId(3)], want: 2, late: true };
    assert_eq!(outcomes.into_iter().map(|(_, told)| told).collect::<Vec<_>>(), [(late, short)]);
    let write = net.commit(0, Delta::new().set("user", "alice"), Durability::One);
    net.run(MILLI * 5);
    assert!(matches!(net.nodes[0].poll_outcome(), Some((id, Outcome::Durable(_))) if id == write));
}

fn started(count: usize, copies: Copies) -> Net {
    let mut net = Net::with(vec![copies; count]);
    (0..count).for_each(|n| net.start(n));
    net.run(SECOND * 6);
    (0..count).for_each(|n| net.events(n).clear());
    net
}

fn get(net: &Net, n: usize, name: &str) -> Option<String> {
    net.nodes[n].map_get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// The names that a member was told of.
fn changed(net: &mut Net, n: usize) -> Vec<String> {
    let told = net.events(n).into_iter().filter_map(|event| {
        let Event::MapChanged(name) = event else { return None };
        Some(String::from_utf8_lossy(&name).into_owned())
    });
    told.collect()
}
