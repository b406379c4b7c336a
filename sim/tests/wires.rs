//! Wires that carry little and hold little, and streams that bring nothing: what is slow is not dead, and what a stream has
//! taken has not arrived (P2, P5, P9).

use core::time::Duration;

use heirloom_core::{Durability, Event, RemovalCause};
use heirloom_sim::{Action, Ask, HostId, Scenario, Stored, Tale, Wire, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// A joiner is fed for seconds over a wire that beats go through, too.
#[test]
fn a_transfer_over_a_narrow_wire_is_no_silence() {
    Scenario::before_each_mode(
        "thin join",
        3,
        |_| (),
        |mut story| {
            let start = |host| Action::Start(HostId(host));
            [0, 1].into_iter().for_each(|host| story.act(start(host)));
            story.run_for(SECOND * 5);
            let long = |number| Ask { bytes: 60_000, ..Ask::set(key(number), 0, Durability::One) };
            let written: Vec<_> = (0..3).map(|number| story.commit(0, long(number))).collect();
            story.quiet();
            story.act(Action::Narrow(Wire::Host(HostId(0)), 20_000));
            story.act(start(2));
            story.run_for(SECOND * 20);
            assert!(story.is_ready(2));
            let suspects = |host| story.events(host).any(|(_, event)| matches!(event, Event::MemberSuspect(..)));
            assert!(!(0..3).any(suspects));
            story.heal();
            written.iter().for_each(|write| story.keeps(*write));
        },
    );
}

/// Nothing comes of a member, neither in streams, which hold, nor in datagrams: it is asked, removed, and its sessions go on.
#[test]
fn who_is_silent_in_streams_that_hold_is_suspected_and_replaced() {
    Scenario::in_each_mode(
        "black hole",
        3,
        |_| (),
        |mut story| {
            let before = story.commit(2, Ask::set(key(1), 0, Durability::All));
            story.run_for(SECOND);
            for other in [0, 1] {
                story.act(Action::Swallow(HostId(2), HostId(other)));
                story.act_both(Action::Mute, 2, other);
            }
            story.run_for(SECOND * 6);
            let silent = |(_, event): (_, &Event)| matches!(event, Event::MemberRemoved(_, RemovalCause::Silent));
            assert!([0, 1].into_iter().all(|host| story.events(host).any(silent)));
            assert!(!story.lists(0).contains(&HostId(2)));
            let meanwhile = story.commit(0, Ask::set(key(1), 1, Durability::One));
            story.run_for(SECOND);
            assert!(story.is_durable(meanwhile));
            story.heal();
            [before, meanwhile].into_iter().for_each(|write| story.keeps(write));
        },
    );
}

/// What a stream has taken counts only when it is acknowledged, so a write waits for as long as streams bring nothing.
#[test]
fn what_a_stream_swallows_is_sent_again() {
    Scenario::in_each_mode(
        "swallowed",
        2,
        |_| (),
        |mut story| {
            story.commit(0, Ask::set(key(1), 0, Durability::One));
            story.run_for(SECOND);
            story.act(Action::Swallow(HostId(0), HostId(1)));
            let write = story.commit(0, Ask::set(key(1), 1, Durability::One));
            story.run_for(SECOND * 8);
            assert!(!story.is_durable(write) && story.lists(0).contains(&HostId(1)), "beats pass");
            story.act(Action::Spare(HostId(1), HostId(0)));
            story.run_for(SECOND);
            assert!(story.is_durable(write));
            story.heal();
            story.keeps(write);
        },
    );
}

/// A queue with room for one beat loses what a member sends to several at once.
#[test]
fn what_finds_no_room_is_lost_and_told_as_that() {
    let plan = "heirloom-sim 1\nseed 1\nhosts 4\nhealed 16s\nplain\ndiscovery peers\nfault 0s start n0\nfault 0s start n1\n\
        fault 0s start n2\nfault 0s start n3\nfault 8s room n0 120\nfault 12s narrow n0>n1 20000\n";
    let plan = plan.parse::<Stored>().expect("it can be read").plan;
    let (trial, record) = heirloom_sim::Record::of(&plan);
    assert!(trial.result.is_ok(), "{:?}", trial.result);
    let lost = |name: &str| heirloom_sim::stats(&record).lines().any(|line| line.contains(name));
    assert!(lost("no room"));
    let (mut crowded_out, mut others) = (0, 0);
    for (at, message) in record.messages().filter(|(_, message)| message.fate.is_lost()) {
        let is_crowded_out = message.fate == heirloom_sim::record::Fate::NoRoom;
        crowded_out += u32::from(is_crowded_out);
        others += u32::from(!is_crowded_out && SECOND * 8 < at.since(heirloom_sim::Moment::ZERO));
        assert!(!is_crowded_out || message.from == HostId(0));
    }
    assert!(10 < crowded_out && others < 5, "{crowded_out} {others}");
}

#[test]
fn a_plan_and_a_story_say_the_same_of_wires() {
    let story = "version = 1\nabout = 'wires'\nmembers = ['a', 'b', 'c']\nuntil = '20 s'\ntimeline = [\n\
        'from 6 s to 8 s narrow from a to b to 20 kB/s',\n'at 9 s narrow the wire of a, c to 3000 B/s',\n\
        'from 10 s to 11 s limit the queue of b to 3 kB',\n'at 12 s limit the queue between a and b to 500 B',\n\
        'from 13 s to 14 s swallow streams between a and b',\n'at 15 s swallow streams from b to c',\n'at 16 s spare streams between b and c',\n]\n";
    let plan = Tale::read("mine.toml", story).expect("it can be read").plan().clone();
    let (stored, _) = Stored::of(plan.clone());
    let text = stored.to_string();
    for line in [
        "6s narrow n0>n1 20000",
        "8s narrow n0>n1 0",
        "9s narrow n0 3000",
        "9s narrow n2 3000",
        "10s room n1 3000",
        "11s room n1 0",
        "12s room n0>n1 500",
        "12s room n1>n0 500",
        "13s swallow n0>n1",
        "14s spare n0>n1",
        "15s swallow n1>n2",
        "16s spare n1>n2",
    ] {
        assert!(text.contains(&format!("fault {line}\n")), "{line} is not in {text}");
    }
    assert_eq!(text.parse::<Stored>().expect("it can be read").plan, plan);
    for wrong in [
        "narrow from a to b to 20",
        "narrow a to 20 kB/s",
        "limit the queue of d to 3 kB",
        "limit the queue of a to 3 kB/s",
    ] {
        let story = format!("version = 1\nabout = 'wires'\nmembers = ['a', 'b']\ntimeline = ['at 6 s {wrong}']\n");
        assert!(Tale::read("mine.toml", &story).is_err(), "{wrong}");
    }
}
