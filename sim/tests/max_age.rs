//! The greatest age of a session: however much it is used, it ends that long after its creation, on all members (P4).

use core::time::Duration;

use heirloom_core::{Durability, EndCause, Event, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Setup, clients::key};

const SECOND: Duration = Duration::from_secs(1);
const MAX_AGE: Duration = Duration::from_secs(30);
/// How long it may take until all members have heard of the end.
const LATE: Duration = Duration::from_secs(2);

#[test]
fn who_is_used_all_the_time_ends_at_its_greatest_age() {
    Scenario::in_each_mode("max age", 4, aged, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        let write = story.commit(0, all(session));
        for second in 1..30 {
            story.run_for(SECOND);
            story.touch(second % 4, session);
            story.keeps(write);
        }
        story.commit(1, all(session));
        gone_within(&mut story, session, SECOND + LATE);
        ended_by_age(&story, session);
        // A write of now creates another, which lives for as long again.
        let again = story.commit(2, Ask::set(session, 1, Durability::All));
        story.run_for(SECOND * 9);
        story.keeps(again);
    });
}

#[test]
fn an_idle_session_ends_before_its_greatest_age() {
    Scenario::in_each_mode("idle before max age", 4, aged, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        story.commit(0, all(session));
        gone_within(&mut story, session, SECOND * 10 + LATE);
        story.run_for(SECOND);
        let ends: Vec<_> = (0..4).map(|host| causes(&story, host, session)).collect();
        assert!(ends.iter().flatten().all(|cause| *cause == EndCause::Idle) && !ends[0].is_empty(), "{ends:?}");
    });
}

/// Neither a new owner nor the death of the old one gives it more time.
#[test]
fn whoever_adopts_a_session_keeps_its_greatest_age() {
    Scenario::in_each_mode("max age of an adopted session", 4, aged, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        let write = story.commit(0, all(session));
        for second in 1..30 {
            story.run_for(SECOND);
            if second == 20 {
                story.act(Action::Kill(HostId(0), LastBytes::Lost));
            }
            story.touch(1 + second % 2, session);
            assert!((1..4).any(|host| story.holds(host, write)));
        }
        gone_within(&mut story, session, SECOND + LATE);
        ended_by_age(&story, session);
    });
}

/// A member that joins counts down what is left, not the whole of it, and no step of a wall clock changes that.
#[test]
fn who_joins_late_and_whose_clock_steps_end_it_in_time() {
    Scenario::before_each_mode("max age and clocks", 4, aged, |mut story| {
        story.act(Action::StepWall(HostId(1), 3_600_000));
        (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
        story.run_for(SECOND * 6);
        let session = key(1);
        let write = story.commit(0, all(session));
        for second in 1..30 {
            story.run_for(SECOND);
            match second {
                10 => story.act(Action::Start(HostId(3))),
                15 => story.act(Action::StepWall(HostId(0), -7_200_000)),
                _ => story.touch(second % 3, session),
            }
            story.keeps(write);
        }
        // Who joined late takes it over, and the last one that was there from the beginning dies.
        story.commit(3, Ask::set(session, 1, Durability::All));
        gone_within(&mut story, session, SECOND + LATE);
        ended_by_age(&story, session);
    });
}

/// Found by seed 2: what lay in the buffers of a member that slept was not said before it slept, so no age is counted from there.
#[test]
fn who_slept_counts_no_age_from_before_it_slept() {
    Scenario::in_each_mode("max age of what came while one slept", 4, aged, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        story.act(Action::Pause(HostId(0)));
        story.run_for(SECOND);
        let write = story.commit(1, all(session));
        let created = story.sim().now();
        story.run_for(SECOND * 2);
        story.act(Action::Resume(HostId(0)));
        story.run_for(SECOND);
        assert!(story.holds(0, write), "what was sent to it has arrived");
        let host = story.sim().cluster().host(HostId(0));
        let end = host.process.as_ref().and_then(|process| process.node.ends_by(&session));
        // What is left of an age travels in whole milliseconds.
        assert!(end.is_some_and(|end| host.clock.time(created + MAX_AGE) <= end + SECOND / 1000), "{end:?}");
    });
}

/// Both sides of a split end it, each by its own clock, and what was used on either does not come back.
#[test]
fn both_sides_of_a_split_end_it_in_time() {
    Scenario::in_each_mode("max age in a split", 4, aged, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        story.commit(0, all(session));
        story.run_for(SECOND * 5);
        for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            story.act_both(Action::Cut, one, other);
        }
        for second in 1..25 {
            story.run_for(SECOND);
            story.touch(0, session);
            story.touch(2, session);
            if second == 12 {
                story.commit(0, Ask::set(session, 1, Durability::Local));
                // Where nobody on that side holds a copy, a write there would create another session.
                if story.shows(2, session) {
                    story.commit(2, Ask::set(session, 2, Durability::Local));
                }
            }
        }
        gone_within(&mut story, session, SECOND + LATE);
        story.heal();
        for _ in 0..50 {
            story.run_for(SECOND / 10);
            assert!((0..4).all(|host| !story.shows(host, session)));
        }
    });
}

fn gone_within(story: &mut Scenario, session: SessionKey, most: Duration) {
    story.run_for(most);
    let left: Vec<_> = (0..4).filter(|host| story.shows(*host, session)).collect();
    assert!(left.is_empty(), "it is left on {left:?} with {:?}", story.copies());
}

/// Everybody who tells of the end tells of this cause.
fn ended_by_age(story: &Scenario, session: SessionKey) {
    let told: Vec<_> = (0..4).flat_map(|host| causes(story, host, session)).collect();
    assert!(!told.is_empty() && told.iter().all(|cause| *cause == EndCause::MaxAge), "{told:?}");
}

/// The causes with which a member told of its end.
fn causes(story: &Scenario, host: u16, session: SessionKey) -> Vec<EndCause> {
    let ends = story.events(host).filter_map(|(_, event)| {
        let Event::SessionEnded(key, cause) = event else { return None };
        (*key == session).then_some(*cause)
    });
    ends.collect()
}

fn aged(setup: &mut Setup) {
    setup.config.idle = SECOND * 10;
    setup.config.max_age = MAX_AGE;
}

fn all(key: SessionKey) -> Ask {
    Ask::set(key, 0, Durability::All)
}
