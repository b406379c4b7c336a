//! Id changes in races, as scripts that are told for each way in which sessions are copied. 12 of the traces that broke
//! simpler rules: nothing is lost, there is one target, and a logout wins.

use core::time::Duration;

use heirloom_core::{Durability, EndCause, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Start, clients::key};

const OLD: SessionKey = SessionKey([0x0d; 16]);

#[test]
fn id_change_with_deltas_in_flight() {
    for (writer, mover) in [(0, 1), (1, 0), (0, 0), (2, 3), (3, 1)] {
        Scenario::in_each_mode(
            "deltas in flight",
            4,
            |_| (),
            |mut story| {
                let before = story.commit(writer, set(0));
                story.quiet();
                for other in (0..4).filter(|other| *other != writer) {
                    story.act(Action::Hold(HostId(writer), HostId(other)));
                }
                let late = writer_holds(&story, writer).then(|| story.commit(writer, set(1)));
                story.run_for(millis(5));
                let moved = story.commit(mover, Ask::change_id(OLD, key(7), Durability::Local));
                story.run_for(millis(20));
                story.heal();
                assert!(story.sim().told(moved).is_some());
                let kept = late.into_iter().chain([before]);
                kept.for_each(|write| story.keeps(write));
                assert!((0..4).all(|host| !story.shows(host, OLD)));
                moved_everywhere(&story);
            },
        );
    }
}

/// A member that has not heard of the change writes to the old key, while the other holds its word back.
#[test]
fn a_late_write_to_the_old_id_goes_along() {
    Scenario::in_each_mode(
        "a late write",
        4,
        |_| (),
        |mut story| {
            let session = story.key_on(&[0, 1, 2, 3]);
            let before = story.commit(0, Ask::set(session, 0, Durability::All));
            story.quiet();
            story.act(Action::Hold(HostId(0), HostId(1)));
            story.commit(0, Ask::change_id(session, key(7), Durability::Local));
            story.run_for(millis(5));
            let late = story.commit(1, Ask::set(session, 1, Durability::One));
            story.run_for(millis(5));
            story.heal();
            [before, late].iter().for_each(|write| story.keeps(*write));
            assert!((0..4).all(|host| !story.shows(host, session)));
        },
    );
}

#[test]
fn of_two_id_changes_at_once_one_wins_and_nothing_is_lost() {
    for hosts in [[0, 1], [1, 0], [0, 3], [3, 2]] {
        Scenario::in_each_mode(
            "two changes",
            4,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2, 3]);
                let before = story.commit(0, Ask::set(session, 0, Durability::All));
                story.quiet();
                for (host, new) in hosts.into_iter().zip([7, 8]) {
                    story.commit(host, Ask::change_id(session, key(new), Durability::One));
                }
                story.quiet();
                story.keeps(before);
                let shown = |key: SessionKey| (0..4).any(|host| story.shows(host, key));
                assert!(!shown(session));
                assert!(shown(key(7)) != shown(key(8)), "there is one target");
            },
        );
    }
}

#[test]
fn a_logout_that_races_an_id_change_wins() {
    for (mover, leaver) in [(0, 1), (1, 0), (0, 3), (3, 0)] {
        Scenario::in_each_mode(
            "a logout",
            4,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2, 3]);
                story.commit(0, Ask::set(session, 0, Durability::All));
                story.quiet();
                story.commit(mover, Ask::change_id(session, key(7), Durability::One));
                let end = story.commit(leaver, Ask::end(session, Durability::One));
                story.quiet();
                let shown = |key: SessionKey| (0..4).any(|host| story.shows(host, key));
                assert!(!shown(session));
                // Who asks others first may be told that it has moved: then there is nothing to end.
                assert!(story.sim().told(end).is_none() || !shown(key(7)));
            },
        );
    }
}

#[test]
fn an_id_change_survives_the_death_of_its_member() {
    for victim in [0, 1] {
        Scenario::in_each_mode(
            "a death",
            5,
            |_| (),
            |mut story| {
                let session = story.key_on(&[0, 1, 2]);
                let before = story.commit(0, Ask::set(session, 0, Durability::All));
                story.quiet();
                let moved = story.commit(0, Ask::change_id(session, key(7), Durability::All));
                story.run_for(millis(50));
                assert!(story.is_durable(moved));
                story.act(Action::Kill(HostId(victim), LastBytes::Lost));
                story.quiet();
                story.keeps(before);
                let shown = |key: SessionKey| (0..5).any(|host| story.shows(host, key));
                assert!(shown(key(7)) && !shown(session));
            },
        );
    }
}

/// Seed 83 with backups. A member that need not hold the old key starts a session there, which expires: then the end of the
/// old key is that of the id change again, and its copy goes.
#[test]
fn a_burial_over_an_id_change_leaves_no_copy_behind() {
    Scenario::in_each_mode(
        "a burial",
        5,
        |setup| setup.config.idle = Duration::from_secs(3),
        |mut story| {
            let session = story.key_on(&[0, 1, 2]);
            story.commit(0, Ask::set(session, 0, Durability::All));
            story.quiet();
            story.commit(0, Ask::change_id(session, key(7), Durability::All));
            story.quiet();
            story.commit(4, Ask::set(session, 1, Durability::All));
            story.run_for(Duration::from_secs(8));
            story.quiet();
        },
    );
}

/// Seed 909 with backups. Who was cut off creates the old sessions anew, which ends what has moved: those who must hold the new
/// keys hear of it, whether or not they hold the old ones.
#[test]
fn an_end_that_goes_along_reaches_all_who_must_hold_the_new_key() {
    Scenario::in_each_mode(
        "a late end",
        6,
        |_| (),
        |mut story| {
            let sessions: Vec<_> = (0..12).map(|number| (key(20 + number), key(40 + number))).collect();
            for (old, _) in &sessions {
                story.commit(0, Ask::set(*old, 0, Durability::All));
            }
            story.quiet();
            (0..5).for_each(|host| story.act_both(Action::Cut, host, 5));
            story.run_for(Duration::from_secs(8));
            for (old, new) in &sessions {
                story.commit(5, Ask { start: Start::Anew, ..Ask::set(*old, 1, Durability::Local) });
                story.commit(0, Ask::change_id(*old, *new, Durability::One));
            }
            story.run_for(Duration::from_secs(1));
            story.heal();
        },
    );
}

fn writer_holds(story: &Scenario, host: u16) -> bool {
    story.shows(host, OLD)
}

/// Who still remembers the old key says that it has moved.
fn moved_everywhere(story: &Scenario) {
    for (_, process) in story.sim().cluster().running() {
        let cause = process.node.ended(&OLD);
        assert!(cause.is_none_or(|cause| cause == EndCause::Moved), "{cause:?}");
    }
}

fn set(attribute: u8) -> Ask {
    Ask::set(OLD, attribute, Durability::All)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
