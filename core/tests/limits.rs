//! Members that hold as much as they may: what they refuse, what they end to make room, and what they leave to others.

mod net;

use std::{collections::BTreeSet, time::Duration};

use heirloom_core::{
    ATTRIBUTE_OVERHEAD, CommitError, Config, Copies, Delta, Durability, EndCause, Event, Limit, SESSION_OVERHEAD,
    SessionKey, WhenFull,
};
use net::Net;

const SHORT: Duration = Duration::from_millis(20);
/// How long members wait for others to make room.
const PATIENCE: Duration = Duration::from_secs(1);

fn key(number: u8) -> SessionKey {
    SessionKey([number; 16])
}

fn evicting(sessions_max: usize) -> impl Fn(usize, &mut Config) {
    move |_, config| (config.sessions_max, config.when_full) = (sessions_max, WhenFull::Evict)
}

fn cluster(count: usize, copies: Copies, change: impl Fn(usize, &mut Config)) -> Net {
    let idle = |n, config: &mut Config| {
        config.idle = Duration::from_secs(600);
        change(n, config);
    };
    let mut net = Net::configured(vec![copies; count], idle);
    (0..count).for_each(|n| net.start(n));
    net.run(Duration::from_secs(8));
    net
}

fn try_commit(net: &mut Net, n: usize, number: u8, delta: Delta) -> Result<(), CommitError> {
    net.nodes[n].commit(net.now, key(number), delta, Durability::Local).map(|_| ())
}

/// Creates a session, and writes it again, so that it is not the first to go.
fn write(net: &mut Net, n: usize, number: u8) {
    create(net, n, number);
    try_commit(net, n, number, Delta::new().set("user", "b")).expect("it has its place");
}

fn create(net: &mut Net, n: usize, number: u8) {
    try_commit(net, n, number, Delta::new().set("user", "a")).expect("there is room, or is made");
    net.run(SHORT);
}

fn held(net: &Net, n: usize) -> BTreeSet<u8> {
    let live = net.nodes[n].records().filter(|(_, session)| session.is_live());
    live.map(|(key, _)| key.0[0]).collect()
}

fn evictions(net: &Net) -> u64 {
    net.nodes.iter().map(|node| node.stats().evictions).sum()
}

#[test]
fn what_sessions_take_is_their_names_and_values_and_a_stated_overhead() {
    let mut net = cluster(2, Copies::Everywhere, |_, _| ());
    let both = |net: &Net| [net.nodes[0].memory(), net.nodes[1].memory()];
    try_commit(&mut net, 0, 1, Delta::new().set("user", "alice").set("cart", "3")).expect("there is room");
    net.run(SHORT);
    assert_eq!(both(&net), [SESSION_OVERHEAD + 2 * ATTRIBUTE_OVERHEAD + 14; 2]);
    try_commit(&mut net, 1, 1, Delta::new().remove("cart").set("user", "bob")).expect("there is room");
    net.run(SHORT);
    assert_eq!(both(&net), [SESSION_OVERHEAD + 2 * ATTRIBUTE_OVERHEAD + 11; 2], "a removal is remembered");
    try_commit(&mut net, 0, 1, Delta::end()).expect("it is there");
    net.run(SHORT);
    assert_eq!(both(&net), [0; 2], "ends have a limit of their own");
    write(&mut net, 0, 2);
    assert_eq!(net.nodes[1].memory(), SESSION_OVERHEAD + ATTRIBUTE_OVERHEAD + 5);
    net.run(Duration::from_secs(700));
    assert_eq!(both(&net), [0; 2], "it has expired");
}

#[test]
fn a_full_member_refuses_what_creates_or_grows_and_nothing_else() {
    let memory = 3 * (SESSION_OVERHEAD + ATTRIBUTE_OVERHEAD + 5);
    let mut net = cluster(2, Copies::Everywhere, |_, config| config.memory_max = memory);
    (1..=3).for_each(|number| create(&mut net, usize::from(number % 2), number));
    let full = Err(CommitError::Full { limit: Limit::Memory, max: memory });
    for n in 0..2 {
        assert_eq!(net.nodes[n].memory(), memory);
        assert_eq!(try_commit(&mut net, n, 9, Delta::new().set("user", "a")), full);
        assert_eq!(try_commit(&mut net, n, 1, Delta::new().set("user", "ab")), full);
        assert_eq!(try_commit(&mut net, n, 1, Delta::anew().set("user", "ab")), full);
        assert_eq!(try_commit(&mut net, n, 1, Delta::new().set("user", "c")), Ok(()));
        assert_eq!(try_commit(&mut net, n, 1, Delta::anew().set("user", "d")), Ok(()));
        net.run(SHORT);
    }
    let change = net.nodes[0].change_id(net.now, key(1), key(4), Durability::Local);
    change.expect("it takes nothing more");
    net.run(SHORT);
    assert_eq!([net.nodes[0].memory(), net.nodes[1].memory()], [memory; 2]);
    try_commit(&mut net, 1, 2, Delta::end()).expect("it is there");
    net.run(SHORT);
    assert_eq!(try_commit(&mut net, 0, 9, Delta::new().set("user", "a")), Ok(()));
    assert_eq!(evictions(&net), 0);
    assert_eq!(net.nodes[0].ended(&key(2)), Some(EndCause::Ended));
}

#[test]
fn never_written_sessions_go_first_and_then_the_least_recently_used() {
    let mut net = cluster(1, Copies::Everywhere, evicting(5));
    for number in 1..=3 {
        write(&mut net, 0, number);
        net.run(Duration::from_secs(2));
    }
    (4..=5).for_each(|number| create(&mut net, 0, number));
    net.run(Duration::from_secs(100));
    net.nodes[0].touch(net.now, &key(1));
    create(&mut net, 0, 6);
    assert_eq!(held(&net, 0), [1, 2, 3, 5, 6].into());
    try_commit(&mut net, 0, 6, Delta::new().set("user", "b")).expect("it has its place");
    create(&mut net, 0, 7);
    assert_eq!(held(&net, 0), [1, 2, 3, 6, 7].into());
    try_commit(&mut net, 0, 7, Delta::new().set("user", "b")).expect("it has its place");
    create(&mut net, 0, 8);
    assert_eq!(held(&net, 0), [1, 3, 6, 7, 8].into(), "the second was used least recently, and the first was used");
    assert_eq!(net.nodes[0].ended(&key(2)), Some(EndCause::Evicted));
    assert!(net.events(0).contains(&Event::SessionEnded(key(2), EndCause::Evicted)));
    assert_eq!((evictions(&net), net.nodes[0].sessions()), (3, 5));
}

/// However many there are of them, who never writes costs nobody else a session.
#[test]
fn a_flood_of_sessions_that_are_never_written_ends_only_these() {
    for copies in [Copies::Everywhere, Copies::Backups(1)] {
        let mut net = cluster(3, copies, evicting(20));
        (1..=10).for_each(|number| write(&mut net, usize::from(number % 3), number));
        net.run(Duration::from_secs(5));
        for number in 30..=250 {
            create(&mut net, usize::from(number % 3), number);
        }
        let written: BTreeSet<u8> = (1..=10).collect();
        for number in written {
            let ended = net.nodes.iter().find_map(|node| node.ended(&key(number)));
            assert_eq!(ended, None, "{number} with {copies:?}");
        }
        if copies == Copies::Everywhere {
            assert_eq!(evictions(&net), 211, "as many as were too many");
        } else {
            // Who has no room for the copies of others ends its share of them, and waits for these in between.
            net.run(PATIENCE * 10);
        }
        assert!(net.nodes.iter().all(|node| node.sessions() <= 20), "{copies:?}");
    }
}

/// A sixteenth of the room is for those that were not written yet: who has just come has time to.
#[test]
fn newcomers_live_until_others_have_come() {
    let mut net = cluster(1, Copies::Everywhere, evicting(64));
    (1..=64).for_each(|number| write(&mut net, 0, number));
    net.run(Duration::from_secs(5));
    for number in 101..=200_u8 {
        create(&mut net, 0, number);
        let newest: BTreeSet<u8> = (number.saturating_sub(3).max(101)..=number).collect();
        assert!(held(&net, 0).is_superset(&newest), "{number}");
    }
    assert_eq!(held(&net, 0).iter().filter(|number| **number <= 64).count(), 60);
    assert_eq!(net.nodes[0].sessions(), 64);
}

/// Each member has the same limit, so all are over it at once: the owner of the coldest ends it, whoever needs the room.
#[test]
fn who_owns_what_goes_ends_it_and_nobody_ends_another_for_it() {
    let mut net = cluster(3, Copies::Everywhere, evicting(9));
    for number in 1..=9 {
        write(&mut net, usize::from(number % 2), number);
        net.run(Duration::from_secs(2));
    }
    for number in 10..=15 {
        write(&mut net, 2, number);
        net.run(Duration::from_secs(2));
        let expected: BTreeSet<u8> = (number - 8..=number).collect();
        for n in 0..3 {
            assert_eq!(held(&net, n), expected, "{n}");
        }
    }
    assert_eq!(evictions(&net), 6);
    assert_eq!(net.nodes[2].stats().evictions, 0, "its own were the last used");
}

#[test]
fn members_that_create_at_once_end_no_more_than_is_too_much_and_one_each() {
    let mut net = cluster(3, Copies::Everywhere, evicting(30));
    (1..=30).for_each(|number| write(&mut net, usize::from(number % 3), number));
    net.run(Duration::from_secs(5));
    for round in 0..20_u8 {
        net.hold();
        for n in 0..3_u8 {
            let delta = Delta::new().set("user", "a");
            try_commit(&mut net, n.into(), 40 + round * 3 + n, delta).expect("room is made");
        }
        net.run(SHORT);
        net.release();
        net.run(SHORT);
    }
    net.run(PATIENCE * 3);
    assert!((0..3).all(|n| held(&net, n) == held(&net, 0)));
    assert!((60..60 + 3).contains(&evictions(&net)), "{} for 60", evictions(&net));
    assert!((28..=30).contains(&net.nodes[0].sessions()));
}

/// A member with less room than others ends what it owns, takes what others bring, says so, and refuses then.
#[test]
fn a_member_with_less_room_ends_only_its_own_and_refuses_nothing_that_others_bring() {
    let mut net = cluster(3, Copies::Everywhere, |n, config| {
        config.when_full = WhenFull::Evict;
        config.sessions_max = if n == 0 { 5 } else { 100 };
    });
    (1..=3).for_each(|number| write(&mut net, 0, number));
    for number in 11..=20 {
        write(&mut net, 1, number);
    }
    net.run(PATIENCE * 10);
    let others: BTreeSet<u8> = (11..=20).collect();
    for n in 0..3 {
        assert_eq!(held(&net, n), others, "{n}");
    }
    assert_eq!((net.nodes[0].stats().evictions, evictions(&net)), (3, 3));
    assert!(net.events(0).contains(&Event::Overfull(Limit::Sessions)));
    let full = Err(CommitError::Full { limit: Limit::Sessions, max: 5 });
    assert_eq!(try_commit(&mut net, 0, 4, Delta::new().set("user", "a")), full);
    assert_eq!(try_commit(&mut net, 0, 11, Delta::new().set("user", "c")), Ok(()));
    assert_eq!(try_commit(&mut net, 1, 4, Delta::new().set("user", "a")), Ok(()));
    // What it has taken over is its own, and goes.
    net.run(PATIENCE * 2);
    assert_eq!(net.nodes[0].ended(&key(11)), Some(EndCause::Evicted));
    // With room again it serves as before.
    for number in 12..=20 {
        try_commit(&mut net, 1, number, Delta::end()).expect("it is there");
    }
    net.run(SHORT);
    assert_eq!(try_commit(&mut net, 0, 5, Delta::new().set("user", "a")), Ok(()));
}

#[test]
fn a_session_that_never_fits_is_refused_whatever_could_be_ended() {
    let mut net = cluster(1, Copies::Everywhere, |_, config| {
        (config.memory_max, config.when_full) = (2000, WhenFull::Evict);
    });
    write(&mut net, 0, 1);
    let full = Err(CommitError::Full { limit: Limit::Memory, max: 2000 });
    assert_eq!(try_commit(&mut net, 0, 2, Delta::new().set("user", vec![0; 2000])), full);
    assert_eq!(held(&net, 0), [1].into());
    assert_eq!(try_commit(&mut net, 0, 2, Delta::new().set("user", vec![0; 1000])), Ok(()));
    assert_eq!(held(&net, 0), [2].into());
}

/// What has expired is kept while a member that vanished may come back with a use, unless its room is needed.
#[test]
fn what_has_expired_goes_before_anything_that_lives() {
    let room = 4 * (SESSION_OVERHEAD + ATTRIBUTE_OVERHEAD + 5);
    let mut net = cluster(2, Copies::Everywhere, |_, config| {
        (config.memory_max, config.when_full) = (room, WhenFull::Evict);
        config.ended_for = Duration::from_secs(3600);
    });
    (1..=2).for_each(|number| write(&mut net, 0, number));
    net.kill(1);
    net.run(Duration::from_secs(700));
    assert_eq!((net.nodes[0].sessions(), net.nodes[0].memory()), (0, room / 2), "it is hidden, not dead");
    (3..=4).for_each(|number| create(&mut net, 0, number));
    assert_eq!(net.nodes[0].ended(&key(1)), Some(EndCause::Idle));
    (5..=6).for_each(|number| create(&mut net, 0, number));
    assert_eq!(held(&net, 0), [3, 4, 5, 6].into());
    assert_eq!((net.nodes[0].ended(&key(1)), net.nodes[0].memory()), (Some(EndCause::Evicted), room));
}

/// P7: with the shortest frames that there may be, the largest attribute and a great many short items still fit.
#[test]
fn no_frame_is_longer_than_its_receiver_takes() {
    for copies in [Copies::Everywhere, Copies::Backups(1)] {
        let mut net = cluster(2, copies, |_, config| {
            (config.attribute_bytes_max, config.frame_max) = (2000, 2000 + (32 << 10));
            (config.message_bytes_max, config.idle) = (1 << 10, Duration::from_secs(1));
        });
        for number in 0..3000_u16 {
            let [low, high] = number.to_le_bytes();
            let mut key = SessionKey([low; 16]);
            key.0[1] = high;
            let value = vec![high; if number % 100 == 0 { 1996 } else { 1 }];
            net.nodes[0]
                .commit(net.now, key, Delta::new().set("user", value), Durability::Local)
                .expect("there is room");
        }
        // All come up at once, so there are more questions than a frame has room for. Each write must be taken.
        net.run(Duration::from_millis(1500));
        assert!((0..2).all(|n| net.nodes[n].records().count() == 3000), "{copies:?}");
        assert!((0..2).all(|n| net.nodes[n].records().all(|(_, session)| !session.is_live())), "{copies:?}");
        assert!((0..2).all(|n| net.nodes[n].stats().frames_refused == 0), "{copies:?}");
    }
}
