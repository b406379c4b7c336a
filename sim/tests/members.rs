//! Who is in the view, and when (P9), as scripts.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{AtRisk, Config, Durability, Event, ReadyCause, RemovalCause};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Weather, clients::key};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ten_that_start_together_see_nine_others_and_one_is_the_first() {
    let mut story = Scenario::ready("ten at once", 10);
    story.run_for(SECOND);
    for host in 0..10 {
        let expected: BTreeSet<_> = (0..10).filter(|other| *other != host).map(HostId).collect();
        assert_eq!(story.lists(host), expected);
    }
    let is_first = |event: &Event| *event == Event::Ready(ReadyCause::FirstMember);
    let first = (0..10).filter(|host| story.events(*host).any(|(_, event)| is_first(event))).count();
    assert_eq!(first, 1);
}

#[test]
fn who_announces_itself_but_answers_on_no_stream_is_never_listed() {
    let mut story = Scenario::new("no stream", 2);
    story.act_both(Action::Hold, 0, 1);
    story.act(Action::Start(HostId(0)));
    story.act(Action::Start(HostId(1)));
    story.run_for(SECOND * 20);
    for host in 0..2 {
        assert!(!story.events(host).any(|(_, event)| matches!(event, Event::MemberAdded(_))));
    }
}

#[test]
fn who_sends_no_beats_but_answers_probes_stays() {
    let mut story = Scenario::ready("mute", 3);
    story.act(Action::Mute(HostId(1), HostId(0)));
    story.act(Action::Mute(HostId(1), HostId(2)));
    story.run_for(SECOND * 30);
    assert!(!removed(&story, 0) && !removed(&story, 2));
    assert_eq!(story.lists(0).len(), 2);
}

#[test]
fn a_killed_process_is_out_of_all_views_at_once() {
    for last in [LastBytes::Delivered, LastBytes::Lost] {
        let mut story = Scenario::ready("killed", 4);
        story.act(Action::Kill(HostId(1), last));
        let took = story.run_until("nobody lists it", SECOND, |sim| nobody_lists(sim, 1));
        assert!(took <= Duration::from_millis(200), "{took:?}");
    }
}

#[test]
fn a_silent_host_is_out_of_all_views_when_its_time_is_over() {
    let mut story = Scenario::ready("silent", 4);
    story.act(Action::PowerOff(HostId(1)));
    let Config { drop_time, probe_time, frequency, .. } = Config::default();
    let took = story.run_until("nobody lists it", SECOND * 10, |sim| nobody_lists(sim, 1));
    assert!(drop_time + probe_time - frequency <= took, "{took:?}");
    assert!(took <= drop_time + probe_time + frequency, "{took:?}");
    story.quiet();
}

#[test]
fn who_leaves_is_seen_to_leave() {
    let mut story = Scenario::ready("leave", 3);
    let write = story.commit(1, Ask::set(key(1), 0, Durability::Local));
    story.act(Action::Leave(HostId(1)));
    story.run_until("nobody lists it", SECOND, |sim| nobody_lists(sim, 1));
    for host in [0, 2] {
        let left = |event: &Event| matches!(event, Event::MemberRemoved(_, RemovalCause::Left));
        assert!(story.events(host).any(|(_, event)| left(event)));
        assert!(story.holds(host, write), "what it wrote was handed over");
    }
    assert!(story.events(1).any(|(_, event)| *event == Event::Left { at_risk: AtRisk::default() }));
    story.quiet();
}

#[test]
fn groups_that_started_apart_merge_and_keep_the_writes_of_both() {
    let mut story = Scenario::new("two groups", 4);
    for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        story.act_both(Action::Cut, one, other);
    }
    (0..4).for_each(|host| story.act(Action::Start(HostId(host))));
    story.run_for(SECOND * 8);
    assert!((0..4).all(|host| story.is_ready(host)));
    let left = [0, 1].map(|host| story.commit(host, Ask::set(key(1), 0, Durability::All)));
    story.run_for(SECOND);
    let right = story.commit(2, Ask::set(key(1), 1, Durability::All));
    story.run_for(SECOND);
    assert!(story.is_durable(left[0]) && story.is_durable(left[1]) && story.is_durable(right));
    story.heal();
    for host in 0..4 {
        assert!(story.holds(host, left[1]) && story.holds(host, right), "n{host}");
    }
}

#[test]
fn loss_of_half_of_all_datagrams_evicts_nobody() {
    for seed in 0..3 {
        let mut story = Scenario::with("half is lost", 5, |setup| {
            setup.seed = seed;
            setup.weather = Weather { loss: 500, multicast_loss: 500, ..Weather::calm() };
        });
        story.start_all();
        story.run_for(SECOND * 100);
        assert!((0..5).all(|host| !removed(&story, host)));
    }
}

#[test]
fn a_sleeper_doubts_itself_and_comes_back_in_the_same_life() {
    let mut story = Scenario::ready("sleeper", 3);
    let write = story.commit(1, Ask::set(key(1), 0, Durability::All));
    story.act(Action::Pause(HostId(1)));
    story.run_for(SECOND * 8);
    assert!(!story.lists(0).contains(&HostId(1)));
    story.act(Action::Resume(HostId(1)));
    story.quiet();
    assert!(!removed(&story, 1), "it was asleep, the others were not silent");
    assert!((0..3).all(|host| story.holds(host, write)));
}

/// Whatever others have made of its silence, it knows that it was the one who slept.
#[test]
fn who_slept_suspects_and_evicts_nobody() {
    let Config { drop_time, frequency, .. } = Config::default();
    for length in [drop_time * 2 / 3, drop_time + frequency, SECOND * 8, SECOND * 60] {
        let mut story = Scenario::ready("slept", 4);
        let before = story.events(1).count();
        story.act(Action::Pause(HostId(1)));
        story.run_for(length);
        story.act(Action::Resume(HostId(1)));
        story.quiet();
        story.run_for(SECOND * 10);
        let events: Vec<_> = story.events(1).skip(before).map(|(_, event)| event).collect();
        let doubts = |event: &Event| matches!(event, Event::MemberSuspect(..) | Event::MemberRemoved(..));
        assert!(!events.iter().any(|event| doubts(event)), "{length:?}: {events:?}");
        let slept = |event: &&Event| if let Event::Slept(length) = event { Some(*length) } else { None };
        let slept: Vec<_> = events.iter().filter_map(slept).collect();
        assert!(matches!(slept[..], [told] if told <= length && length <= told + frequency), "{length:?}: {slept:?}");
        assert_eq!(story.sim().cluster().process(HostId(1)).map(|process| process.node.stats().sleeps), Some(1));
    }
}

/// Who doubts itself finds the dead all the same.
#[test]
fn who_died_while_a_member_slept_is_out_of_its_view_in_time() {
    let Config { drop_time, probe_time, frequency, .. } = Config::default();
    for (end, most) in [
        (Action::Kill(HostId(2), LastBytes::Lost), Duration::from_millis(200)),
        (Action::PowerOff(HostId(2)), drop_time + probe_time + frequency),
    ] {
        let mut story = Scenario::ready("died meanwhile", 4);
        story.act(Action::Pause(HostId(1)));
        story.run_for(SECOND * 2);
        story.act(end);
        story.run_for(SECOND * 6);
        story.act(Action::Resume(HostId(1)));
        story.run_until("nobody lists it", most, |sim| nobody_lists(sim, 2));
        story.quiet();
    }
}

#[test]
fn a_process_that_starts_again_takes_the_place_of_its_former_life() {
    let mut story = Scenario::ready("again", 3);
    story.act(Action::PowerOff(HostId(1)));
    story.run_for(SECOND);
    story.act(Action::Start(HostId(1)));
    story.run_until("the new life is there", SECOND * 2, |sim| {
        let life = sim.cluster().process(HostId(1)).map(|process| process.life);
        sim.cluster().running().filter(|(host, _)| *host != HostId(1)).all(|(_, process)| {
            process.node.members().count() == 2 && process.node.members().any(|member| Some(member.id) == life)
        })
    });
    story.quiet();
}

fn nobody_lists(sim: &heirloom_sim::Sim, host: u16) -> bool {
    let address = HostId(host).address();
    sim.cluster().running().all(|(_, process)| process.node.members().all(|member| member.address != address))
}

fn removed(story: &Scenario, host: u16) -> bool {
    story.events(host).any(|(_, event)| matches!(event, Event::MemberRemoved(..)))
}
