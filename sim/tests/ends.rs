//! How sessions end, as scripts that are told for each way in which sessions are copied (P3, P4).

use core::time::Duration;

use heirloom_core::{Durability, EndCause, Event, Lifetime, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Setup, Start, clients::key};

const SECOND: Duration = Duration::from_secs(1);
/// How long a session may be unused in these scripts.
const IDLE: Duration = Duration::from_secs(10);
/// What is left of it where it is used, a tenth of it, in which uses travel, and a second.
const LATE: Duration = Duration::from_secs(3);

#[test]
fn expiry_on_the_owner() {
    Scenario::in_each_mode("expiry on the owner", 4, idle, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        story.commit(0, all(session));
        story.run_for(IDLE - SECOND);
        assert!(story.shows(0, session));
        gone_within(&mut story, session, LATE);
        assert!(ended(&story, 0, session));
    });
}

#[test]
fn expiry_on_a_copys_use() {
    Scenario::in_each_mode("expiry on a copy's use", 4, idle, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        let write = story.commit(0, all(session));
        for _ in 0..12 {
            story.run_for(IDLE - SECOND * 2);
            story.touch(1, session);
            story.keeps(write);
        }
        story.run_for(IDLE - SECOND);
        assert!(story.shows(0, session) && story.shows(1, session), "it was used on the copy");
        gone_within(&mut story, session, LATE);
    });
}

/// Who holds no copy uses it too.
#[test]
fn expiry_on_a_bystanders_use() {
    Scenario::in_each_mode("expiry on a bystander's use", 4, idle, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        let write = story.commit(0, all(session));
        for _ in 0..12 {
            story.run_for(IDLE - SECOND * 2);
            story.touch(3, session);
            story.keeps(write);
        }
        story.run_for(IDLE + LATE);
        assert!((0..4).all(|host| !story.shows(host, session)));
    });
}

#[test]
fn expiry_after_a_crash() {
    for power_off in [false, true] {
        Scenario::in_each_mode("expiry after a crash", 5, idle, |mut story| {
            let session = story.key_on(&[0, 1, 2]);
            let write = story.commit(0, all(session));
            story.run_for(SECOND * 3);
            story.touch(0, session);
            story.run_for(SECOND);
            story.act(match power_off {
                true => Action::PowerOff(HostId(0)),
                false => Action::Kill(HostId(0), LastBytes::Lost),
            });
            story.run_for(IDLE - SECOND * 3);
            assert!(story.holds(1, write), "it was used {:?} ago", IDLE - SECOND * 2);
            // The use that the dead one made was on its way for a tenth of the idle time at most.
            gone_within(&mut story, session, LATE + SECOND * 3);
        });
    }
}

#[test]
fn expiry_under_clock_skew_of_minutes() {
    for sign in [1, -1] {
        Scenario::before_each_mode("clock skew", 3, idle, |mut story| {
            for host in 0..3 {
                story.act(Action::StepWall(HostId(host), sign * i64::from(host) * 300_000));
            }
            story.start_all();
            let sessions = [0, 1, 2].map(key);
            let writes = [0, 1, 2].map(|host| story.commit(host, all(sessions[usize::from(host)])));
            story.quiet();
            for _ in 0..5 {
                story.run_for(IDLE - SECOND * 2);
                (0..3).for_each(|host| story.touch((host + 1) % 3, sessions[usize::from(host)]));
                writes.iter().for_each(|write| story.keeps(*write));
            }
            story.run_for(IDLE - SECOND);
            writes.iter().for_each(|write| story.keeps(*write));
            story.run_for(LATE);
            for session in sessions {
                assert!((0..3).all(|host| !story.shows(host, session)));
            }
        });
    }
}

#[test]
fn expiry_under_clock_steps_of_hours() {
    for step in [10_800_000, -10_800_000] {
        Scenario::in_each_mode("clock steps", 3, idle, |mut story| {
            let session = story.key_on(&[0, 1, 2]);
            let mut write = story.commit(0, all(session));
            for round in 0..6 {
                story.run_for(IDLE - SECOND * 2);
                story.keeps(write);
                story.act(Action::StepWall(HostId(round % 3), step));
                match round % 2 {
                    0 => story.touch(round % 2, session),
                    _ => write = story.commit(round % 2, all(session)),
                }
            }
            story.run_for(IDLE - SECOND);
            assert!(story.shows(1, session));
            gone_within(&mut story, session, LATE);
        });
    }
}

/// Who was apart, and hears of a session for the first time when it has expired, does not bring it back.
#[test]
fn what_expired_while_a_member_was_apart_stays_so() {
    Scenario::in_each_mode("expired meanwhile", 4, idle, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        (1..4).for_each(|other| story.act_both(Action::Cut, 0, other));
        story.run_for(SECOND * 6);
        story.commit(1, all(session));
        story.run_for(IDLE + LATE);
        assert!((0..4).all(|host| !story.shows(host, session)));
        (1..4).for_each(|other| story.act_both(Action::Mend, 0, other));
        for _ in 0..50 {
            story.run_for(SECOND / 10);
            assert!((0..4).all(|host| !story.shows(host, session)));
        }
    });
}

/// What a stopped process finds in its buffers when it wakes says nothing of how long a session lives on by then.
#[test]
fn a_sleeper_brings_back_nothing_that_expired_while_it_slept() {
    for idle in [SECOND * 3, SECOND * 8] {
        let change = |setup: &mut Setup| setup.config.idle = idle;
        Scenario::in_each_mode("expired while one slept", 4, change, |mut story| {
            let session = story.key_on(&[0, 1, 2]);
            story.act(Action::Pause(HostId(0)));
            story.run_for(SECOND);
            story.commit(1, all(session));
            story.run_for(idle + LATE + SECOND * 2);
            assert!((1..4).all(|host| !story.shows(host, session)), "it has expired");
            story.act(Action::Resume(HostId(0)));
            for _ in 0..50 {
                story.run_for(SECOND / 10);
                assert!((1..4).all(|host| !story.shows(host, session)));
            }
            assert!(!story.shows(0, session));
            assert!(story.events(0).any(|(_, event)| matches!(event, Event::Slept(_))));
        });
    }
}

/// What arrives after the other side has answered is as good as ever.
#[test]
fn who_slept_takes_what_comes_later_at_its_word() {
    Scenario::in_each_mode("awake again", 4, idle, |mut story| {
        let session = story.key_on(&[0, 1, 2]);
        story.act(Action::Pause(HostId(0)));
        story.run_for(SECOND * 3);
        story.act(Action::Resume(HostId(0)));
        story.run_for(SECOND);
        story.commit(1, all(session));
        let said = story.sim().now();
        story.run_for(SECOND);
        let host = story.sim().cluster().host(HostId(0));
        let deadline = host.process.as_ref().and_then(|process| process.node.deadline(&session));
        assert!(deadline.is_some_and(|deadline| host.clock.time(said + IDLE) <= deadline), "{deadline:?}");
    });
}

/// What ended while a member was away for longer than ends are remembered does not come back with it, and what it has that
/// is younger lives, and what the others know: whomever it meets first.
#[test]
fn a_rejoin_after_longer_than_ended_for() {
    [None, Some(1), Some(2), Some(3)].into_iter().for_each(rejoin_late);
}

fn rejoin_late(first: Option<u16>) {
    Scenario::before_each_mode(
        "a late rejoin",
        4,
        |setup| setup.config.ended_for = SECOND * 6,
        |mut story| {
            story.allow_forgetting();
            story.start_all();
            let session = story.key_on(&[0, 1, 2]);
            let old = story.commit(0, all(session));
            let shared = (100..).map(key).find(|key| [0, 1].iter().all(|host| story.holders(*key).contains(host)));
            let shared = shared.expect("there are many keys");
            let others = [key(77), shared].map(|key| story.commit(1, all(key)));
            story.quiet();
            (1..4).for_each(|other| story.act_both(Action::Cut, 0, other));
            // Before the others notice that it is gone, under a key that they create a session for much later.
            let again = key(600);
            let anew = |key| Ask { start: Start::Anew, ..Ask::set(key, 0, Durability::Local) };
            let unknown = story.commit(0, anew(again));
            story.run_for(SECOND);
            story.commit(1, anew(key(78)));
            story.run_for(SECOND * 5);
            story.commit(1, Ask::end(session, Durability::All));
            let younger = story.commit(0, Ask::set(key(500), 0, Durability::Local));
            story.run_for(SECOND * 26);
            let lifetime = Some(Lifetime::Idle(SECOND));
            story.commit(1, Ask { lifetime, ..Ask::set(again, 1, Durability::Local) });
            story.run_for(SECOND * 4);
            assert!(!story.shows(1, again));
            let known = story.sim().cluster().process(HostId(1)).map(|process| process.node.ended(&session));
            assert_eq!(known, Some(None), "the end is forgotten");
            if let Some(first) = first {
                story.act_both(Action::Mend, 0, first);
                story.run_for(SECOND * 3);
            }
            story.heal();
            [younger, others[0], others[1]].iter().for_each(|write| story.keeps(*write));
            for gone in [old, unknown] {
                assert!((0..4).all(|host| !story.holds(host, gone)), "{gone:?} with {:?}", story.copies());
            }
        },
    );
}

/// A logout that was acknowledged holds against a late write of a member that had not heard of it.
#[test]
fn a_logout_wins_over_a_late_write() {
    Scenario::in_each_mode(
        "a logout wins",
        4,
        |_| (),
        |mut story| {
            let session = story.key_on(&[0, 1, 2]);
            story.commit(0, all(session));
            story.quiet();
            story.act(Action::Hold(HostId(0), HostId(1)));
            let end = story.commit(0, Ask::end(session, Durability::One));
            let late = story.commit(1, all(session));
            story.act(Action::Release(HostId(0), HostId(1)));
            story.quiet();
            assert!(story.sim().told(end).is_some());
            assert!((0..4).all(|host| !story.shows(host, session) && !story.holds(host, late)));
        },
    );
}

/// Two sides that have never met, one of whose clocks is 48 minutes ahead: what that one lets expire, and buries, is not the
/// younger session that the other created under the same key.
#[test]
fn a_burial_takes_no_session_along_that_its_side_never_knew() {
    Scenario::before_each_mode("a burial", 3, idle, |mut story| {
        story.act(Action::StepWall(HostId(1), 2_880_000));
        for other in [0, 2] {
            story.act_both(Action::Cut, 1, other);
        }
        story.act(Action::Start(HostId(1)));
        story.run_for(SECOND * 6);
        let session = key(1);
        story.commit(1, Ask::set(session, 0, Durability::Local));
        story.run_for(IDLE + LATE);
        assert!(!story.shows(1, session));
        // It is there again, and expires once more: the burial of the later birth reaches no further.
        story.commit(1, Ask::set(session, 1, Durability::Local));
        story.run_for(IDLE + LATE);
        assert!(!story.shows(1, session));
        for other in [0, 2] {
            story.act(Action::Start(HostId(other)));
        }
        story.run_for(SECOND * 6);
        let younger = story.commit(0, Ask::set(session, 2, Durability::One));
        story.run_for(SECOND);
        assert!(story.is_durable(younger));
        story.heal();
        story.keeps(younger);
        gone_within(&mut story, session, IDLE + LATE);
    });
}

fn gone_within(story: &mut Scenario, session: SessionKey, most: Duration) {
    story.run_until("it is gone everywhere", most, |sim| {
        sim.cluster().running().all(|(_, process)| process.node.session(&session).is_none())
    });
}

fn ended(story: &Scenario, host: u16, session: SessionKey) -> bool {
    let wanted = Event::SessionEnded(session, EndCause::Idle);
    story.events(host).any(|(_, event)| *event == wanted)
}

fn idle(setup: &mut Setup) {
    setup.config.idle = IDLE;
}

fn all(key: SessionKey) -> Ask {
    Ask::set(key, 0, Durability::All)
}
