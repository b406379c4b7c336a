//! A network that damages what it carries, and links that are worse in one direction than in the other.

use core::time::Duration;

use heirloom_core::{Durability, RemovalCause};
use heirloom_sim::{Action, Ask, HostId, Scenario, Weather, clients::key};

/// P7: a damaged frame is refused and counted, and nothing else comes of it: what was written is there.
#[test]
fn damaged_datagrams_are_refused_and_change_nothing() {
    Scenario::in_each_mode(
        "noise",
        4,
        |_| (),
        |mut story| {
            story.act(Action::Weather(Weather { corrupt: 300, truncate: 200, ..Weather::calm() }));
            let mut writes = Vec::new();
            for round in 0..60 {
                writes.push(story.commit(round % 4, Ask::set(key(u64::from(round % 7)), 0, Durability::Local)));
                story.run_for(Duration::from_millis(50));
            }
            assert!(20 < story.sim().cluster().counts().refused);
            story.heal();
            story.quiet();
            let last = writes.last().expect("there are some");
            story.keeps(*last);
        },
    );
}

/// P9: nobody is removed for a link that loses most datagrams in one direction, or is slow in one.
#[test]
fn a_link_that_is_bad_in_one_direction_evicts_nobody() {
    Scenario::in_each_mode(
        "bad link",
        3,
        |_| (),
        |mut story| {
            story.act(Action::Thin(HostId(0), HostId(1), 900));
            story.act(Action::Lag(HostId(2), HostId(1), Duration::from_millis(300)));
            story.run_for(Duration::from_secs(30));
            let write = story.commit(2, Ask::set(key(1), 0, Durability::All));
            story.run_for(Duration::from_secs(2));
            assert!(story.is_durable(write));
            let is_removal = |event: &heirloom_core::Event| {
                matches!(event, heirloom_core::Event::MemberRemoved(_, RemovalCause::Silent | RemovalCause::Broken))
            };
            assert!((0..3).all(|host| !story.events(host).any(|(_, event)| is_removal(event))));
        },
    );
}

/// What the switch loses reaches nobody: members that know each other's addresses do without it.
#[test]
fn members_find_each_other_though_the_switch_loses_what_is_for_the_group() {
    let mut story = Scenario::with("switch", 3, |setup| setup.weather.switch_loss = 1000);
    story.start_all();
    assert!((0..3).all(|host| story.lists(host).len() == 2));
}
