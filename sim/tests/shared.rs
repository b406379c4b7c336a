//! The shared map and messages of the application, as scripts. The oracles compare all maps, and see that a message comes at
//! most once, in order and from its sender.

use core::time::Duration;

use heirloom_core::Durability;
use heirloom_sim::{Action, HostId, LastBytes, Name, Scenario};

const SECOND: Duration = Duration::from_secs(1);

fn set(story: &mut Scenario, host: u16, name: u8) {
    story.act(Action::SetName(HostId(host), Name(name), Durability::All));
}

fn remove(story: &mut Scenario, host: u16, name: u8) {
    story.act(Action::RemoveName(HostId(host), Name(name), Durability::All));
}

/// The names that a host shows.
fn names(story: &Scenario, host: u16) -> Vec<u8> {
    let process = story.sim().cluster().process(HostId(host)).expect("it runs");
    process.node.map_iter().map(|(name, _)| name[1]).collect()
}

#[test]
fn a_map_that_was_written_on_both_sides_of_a_split_merges() {
    Scenario::in_each_mode(
        "a split map",
        4,
        |_| (),
        |mut story| {
            (0..3).for_each(|name| set(&mut story, u16::from(name), name));
            story.quiet();
            for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
                story.act_both(Action::Cut, one, other);
            }
            story.run_for(SECOND * 10);
            // One side removes what the other has not touched, and both write one name.
            remove(&mut story, 0, 0);
            set(&mut story, 1, 1);
            set(&mut story, 2, 1);
            set(&mut story, 3, 7);
            story.run_for(SECOND);
            assert_eq!((names(&story, 0), names(&story, 3)), (vec![1, 2], vec![0, 1, 2, 7]));
            story.heal();
            (0..4).for_each(|host| assert_eq!(names(&story, host), [1, 2, 7]));
        },
    );
}

#[test]
fn a_joiner_has_the_map_before_it_is_ready_and_a_removed_name_does_not_come_back() {
    Scenario::in_each_mode(
        "a map and a joiner",
        3,
        |_| (),
        |mut story| {
            (0..5).for_each(|name| set(&mut story, 0, name));
            story.quiet();
            story.act(Action::PowerOff(HostId(2)));
            story.quiet();
            remove(&mut story, 1, 3);
            story.act(Action::Kill(HostId(0), LastBytes::Lost));
            story.act(Action::Start(HostId(2)));
            story.run_until("it is ready", SECOND * 20, |sim| sim.cluster().is_ready(HostId(2)));
            assert_eq!(names(&story, 2), [0, 1, 2, 4]);
            story.act(Action::Start(HostId(0)));
            story.quiet();
            assert_eq!(names(&story, 0), [0, 1, 2, 4]);
        },
    );
}

#[test]
fn in_calm_every_message_comes_and_where_streams_break_none_comes_twice() {
    Scenario::in_each_mode(
        "messages",
        3,
        |_| (),
        |mut story| {
            for round in 0..30 {
                story.act(Action::Send(HostId(round % 3), HostId((round + 1) % 3)));
                story.act(Action::SendToAll(HostId(round % 3)));
            }
            story.run_for(SECOND);
            let received = |story: &Scenario| story.sim().history().mail().received();
            assert_eq!(received(&story), 30 + 60);
            for round in 0..30 {
                story.act(Action::SendToAll(HostId(round % 3)));
                story.act(Action::Break(HostId(0), HostId(1)));
                story.run_for(SECOND / 50);
            }
            story.quiet();
            assert!((90..150).contains(&received(&story)), "{}", received(&story));
        },
    );
}
