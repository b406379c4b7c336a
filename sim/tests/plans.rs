//! The traces that broke simpler rules of replication, as scripts that are told for each way in which sessions are copied.
//! The oracles of a run watch each of them; what a script asserts comes on top. Numbers are those of the list they come from.

use core::time::Duration;

use heirloom_core::{Copies, Durability, EndCause, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Serial, Setup, Start, Weather, clients::key};

/// 1a: both writes of a session reach the others, and neither counts before it is carried. They are under way, or wait in
/// their member for room; the others know the session, or it is new.
#[test]
fn a_session_that_travels_again_brings_both_writes() {
    for (is_new, waits) in [(false, false), (false, true), (true, false), (true, true)] {
        Scenario::in_each_mode("1a", 4, narrow, |mut story| {
            let [s, t] = sessions_on(&story, &[0, 1, 2]);
            if !is_new {
                for session in [s, t] {
                    story.commit(0, set(session, 3));
                }
                story.quiet();
            }
            hold(&mut story, 0, 1);
            if waits {
                fill(&mut story, 0, &[1]);
            }
            let first = [s, t].map(|session| {
                let ask = if is_new { create(&story, session) } else { set(session, 0) };
                story.commit(0, ask)
            });
            let writes = [first[0], first[1], story.commit(0, set(s, 1)), story.commit(0, set(s, 2))];
            story.run_for(millis(50));
            assert!(writes.iter().all(|write| is_taken(&story, *write) && !story.is_durable(*write)));
            release(&mut story, 0, 1);
            story.run_for(millis(50));
            for write in writes {
                assert!(story.is_durable(write));
                story.keeps(write);
            }
        });
    }
}

/// 1b: a frame that a broken stream took with it is not counted by a later one.
#[test]
fn a_write_lost_with_its_stream_is_not_counted_until_it_travels_again() {
    in_each_mode("1b", 4, |mut story| {
        let [s, t] = sessions_on(&story, &[0, 1, 2]);
        hold(&mut story, 0, 1);
        let first = story.commit(0, create(&story, t));
        story.run_for(millis(5));
        let other = story.commit(0, create(&story, s));
        let second = story.commit(0, set(t, 1));
        story.act(Action::Break(HostId(0), HostId(1)));
        story.run_for(millis(50));
        assert!([first, other, second].iter().all(|write| is_taken(&story, *write) && !story.is_durable(*write)));
        release(&mut story, 0, 1);
        story.quiet();
        for write in [first, other, second] {
            assert!(story.is_durable(write));
            story.keeps(write);
        }
    });
}

/// 1c: a member that yields a session still brings its own write to all who must hold it before it counts, whether it must
/// hold it itself or not.
#[test]
fn a_yielded_session_is_fed_until_its_writes_are_acknowledged() {
    for (holders, waits) in [([0, 2, 1], false), ([0, 2, 1], true), ([2, 1, 3], false), ([2, 1, 3], true)] {
        Scenario::in_each_mode("1c", 4, narrow, |mut story| {
            let [s] = sessions_on(&story, &holders);
            let before = story.commit(0, set(s, 0));
            story.quiet();
            let others = [1, 2, 3];
            others.iter().for_each(|other| hold(&mut story, 0, *other));
            if waits {
                fill(&mut story, 0, &others);
            }
            let mine = story.commit(0, set(s, 1));
            let theirs = story.commit(2, set(s, 2));
            story.run_for(millis(20));
            assert!(story.holds(0, theirs), "the other's write has come, and with it its epoch");
            assert!(is_taken(&story, mine) && !story.is_durable(mine));
            others.iter().for_each(|other| release(&mut story, 0, *other));
            story.quiet();
            assert!(story.is_durable(mine) && story.is_durable(theirs));
            [before, mine, theirs].iter().for_each(|write| story.keeps(*write));
        });
    }
}

/// 2: the owner dies when it has fed one member only, then another dies, and a frame of the dead owner comes late. The owner
/// has just created the session, which it must hold, or it owned one that it need not hold.
#[test]
fn a_half_finished_fan_out_is_finished_by_those_who_are_left() {
    for (holders, is_new) in [([2, 1, 0], true), ([1, 0, 3], false)] {
        for (number, victim) in (0..12).flat_map(|number| [(number, 0), (number, 3)]) {
            Scenario::in_each_mode("2", 4, idle(8), |mut story| {
                let sessions: [_; 12] = sessions_on(&story, &holders);
                let session = sessions[number];
                if !is_new {
                    story.commit(2, set(session, 1));
                    story.quiet();
                }
                hold(&mut story, 2, 0);
                hold(&mut story, 2, 3);
                let ask = if is_new { create(&story, session) } else { set(session, 0) };
                let write = story.commit(2, Ask { durability: Durability::One, ..ask });
                story.run_for(millis(5));
                assert!(story.holds(1, write) && !story.holds(0, write) && !story.holds(3, write));
                story.act(Action::Kill(HostId(2), LastBytes::Delivered));
                story.run_for(millis(1));
                story.act(Action::Kill(HostId(victim), LastBytes::Lost));
                story.run_for(millis(300));
                release(&mut story, 2, 0);
                release(&mut story, 2, 3);
                story.quiet();
                let left = if victim == 0 { 3 } else { 0 };
                assert!(story.holds(1, write) && story.holds(left, write));
                story.run_until("it expires", Duration::from_secs(12), |sim| {
                    sim.cluster().running().all(|(_, process)| process.node.sessions() == 0)
                });
            });
        }
    }
}

/// 3a: two have said that they are done, the third dies with a write that the joiner has not seen, of a member that the
/// joiner may not even have heard of.
#[test]
fn a_joiner_waits_for_what_a_dead_member_has_left() {
    for heard in [true, false] {
        before_each_mode("3a", 4, |mut story| {
            (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
            story.quiet();
            let session = joiners_session(&story, &[2, 1, 0]);
            hold(&mut story, 2, 3);
            if !heard {
                story.act(Action::Mute(HostId(2), HostId(3)));
            }
            story.act(Action::Start(HostId(3)));
            story.run_for(millis(700));
            assert!(!story.is_ready(3), "the third member has not said that it is done");
            hold(&mut story, 2, 0);
            let write = story.commit(2, Ask { durability: Durability::One, ..create(&story, session) });
            story.run_for(millis(5));
            assert!(story.is_durable(write) && story.holds(1, write));
            story.act(Action::Kill(HostId(2), LastBytes::Lost));
            story.run_until("the joiner is ready", Duration::from_secs(6), |sim| sim.cluster().is_ready(HostId(3)));
            assert!(story.holds(3, write));
            story.quiet();
            story.keeps(write);
        });
    }
}

/// 3b and 3c: a session is taken over by a member that had said it is done; with 3c its former owner meets the joiner only
/// then.
#[test]
fn a_joiner_waits_for_a_session_that_changed_hands() {
    for late in [false, true] {
        before_each_mode("3b", 4, |mut story| {
            (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
            story.quiet();
            let session = joiners_session(&story, &[2, 1, 0]);
            let before = story.commit(2, set(session, 0));
            story.quiet();
            hold(&mut story, 2, 3);
            if late {
                hold(&mut story, 3, 2);
            }
            story.act(Action::Start(HostId(3)));
            story.run_for(millis(600));
            assert!(!story.is_ready(3));
            hold(&mut story, 1, 3);
            let write = story.commit(1, set(session, 1));
            story.run_for(millis(5));
            release(&mut story, 2, 3);
            release(&mut story, 3, 2);
            story.run_for(millis(700));
            assert!(!story.is_ready(3), "a delta of the new owner is under way");
            release(&mut story, 1, 3);
            story.run_until("the joiner is ready", Duration::from_secs(6), |sim| sim.cluster().is_ready(HostId(3)));
            assert!(story.holds(3, before) && story.holds(3, write));
            story.quiet();
        });
    }
}

/// 5: of two creations at once the older expires on its side, while the younger is used: the older does not come back.
#[test]
fn an_expired_birth_stays_hidden_behind_a_younger_one() {
    Scenario::in_each_mode("5", 4, idle(4), |mut story| {
        let [s] = sessions_on(&story, &[0, 1, 2]);
        cut_off(&mut story, 2, &[0, 1, 3]);
        if story.copies() != Copies::Everywhere {
            // Who creates a session asks the others that he lists.
            story.run_for(Duration::from_secs(6));
        }
        let older = story.commit(2, Ask::set(s, 0, Durability::Local));
        story.run_for(millis(10));
        let younger = story.commit(0, Ask::set(s, 1, Durability::Local));
        story.run_for(millis(10));
        let taken = story.commit(1, Ask::set(s, 2, Durability::Local));
        story.run_for(millis(10));
        assert!([older, younger, taken].iter().all(|write| is_taken(&story, *write)));
        for _ in 0..6 {
            story.run_for(Duration::from_secs(1));
            story.touch(1, s);
        }
        assert!(!story.shows(2, s), "nobody used it there");
        story.heal();
        [younger, taken].iter().for_each(|write| story.keeps(*write));
        assert!((0..4).all(|host| !story.holds(host, older)));
    });
}

/// 7a: two create a session at once, and what either was told holds after one has yielded. With backups who creates a
/// session asks the others first, so there another script tells it.
#[test]
fn two_creations_at_once_lose_no_write() {
    let mut story = Scenario::ready("7a", 3);
    hold(&mut story, 0, 2);
    hold(&mut story, 2, 0);
    let one = story.commit(0, Ask::set(key(1), 0, Durability::One));
    let other = story.commit(2, Ask::set(key(1), 1, Durability::One));
    story.run_for(millis(20));
    assert!(story.is_durable(one) && story.is_durable(other));
    release(&mut story, 0, 2);
    release(&mut story, 2, 0);
    story.quiet();
    [one, other].iter().for_each(|write| story.keeps(*write));
}

/// 9a: an end was forgotten while a member was away that still holds the session.
#[test]
fn a_forgotten_end_still_ends_what_comes_back_and_nothing_younger() {
    let forget = |setup: &mut Setup| setup.config.ended_for = Duration::from_secs(6);
    Scenario::before_each_mode("9a", 4, forget, |mut story| {
        story.allow_forgetting();
        story.start_all();
        let [s, t] = sessions_on(&story, &[0, 1, 2]);
        let old = story.commit(0, set(s, 0));
        story.quiet();
        cut_off(&mut story, 0, &[1, 2, 3]);
        story.commit(1, Ask::end(s, Durability::Local));
        story.run_for(Duration::from_secs(7));
        let younger = story.commit(0, Ask::set(t, 0, Durability::Local));
        story.run_for(Duration::from_secs(20));
        let forgotten = story.sim().cluster().process(HostId(1)).map(|process| process.node.ended(&s));
        assert_eq!(forgotten, Some(None));
        story.heal();
        story.keeps(younger);
        assert!((0..4).all(|host| !story.holds(host, old)));
    });
}

/// 9b: a member whose clock is ahead ends a session; another, that never held it, creates it again.
#[test]
fn a_new_login_lives_though_the_end_was_stamped_ahead() {
    for holders in [[0, 1, 2], [1, 2, 3]] {
        in_each_mode("9b", 4, |mut story| {
            let [s] = sessions_on(&story, &holders);
            (1..4).for_each(|other| hold(&mut story, 0, other));
            story.act(Action::StepWall(HostId(0), 3_600_000));
            story.commit(0, Ask { durability: Durability::Local, ..create(&story, s) });
            let end = story.commit(0, Ask::end(s, Durability::Local));
            story.run_for(Duration::from_secs(1));
            let login = story.commit(1, Ask { durability: Durability::Local, ..create(&story, s) });
            assert!([end, login].iter().all(|write| is_taken(&story, *write)));
            (1..4).for_each(|other| release(&mut story, 0, other));
            story.quiet();
            story.keeps(login);
        });
    }
}

/// 10: a session that is written all the time beside others, with room for one session a turn, starves neither itself nor
/// another.
#[test]
fn a_hot_session_starves_nobody() {
    // A frame takes no more sessions after one of these.
    let bytes = 70_000;
    let narrow = |setup: &mut Setup| setup.weather = Weather { stream_room: bytes, ..Weather::calm() };
    Scenario::in_each_mode("10", 4, narrow, |mut story| {
        let sessions: [_; 4] = sessions_on(&story, &[0, 1, 2]);
        for session in sessions {
            story.commit(0, set(session, 0));
        }
        story.quiet();
        let mut writes = Vec::new();
        for step in 0..320 {
            for session in [sessions[1 + step % 3], sessions[0]] {
                writes.push((step, story.commit(0, Ask { bytes, ..set(session, 0) })));
            }
            story.run_for(Duration::from_micros(50));
            for (since, write) in writes.extract_if(.., |(since, _)| *since + 120 < step) {
                assert!(story.is_durable(write), "{:?}: {write:?} waits since step {since}", story.copies());
            }
        }
        story.quiet();
    });
}

/// 11: the member that ended a session is gone when another joins.
#[test]
fn a_joiner_learns_an_end_from_those_who_heard_of_it() {
    before_each_mode("11", 4, |mut story| {
        (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
        story.quiet();
        let s = joiners_session(&story, &[0, 1, 2]);
        story.commit(0, set(s, 0));
        story.quiet();
        let end = story.commit(0, Ask::end(s, Durability::All));
        story.run_for(millis(20));
        assert!(story.is_durable(end));
        story.act(Action::Kill(HostId(0), LastBytes::Lost));
        story.act(Action::Start(HostId(3)));
        story.quiet();
        let known = story.sim().cluster().process(HostId(3)).map(|process| process.node.ended(&s));
        assert_eq!(known, Some(Some(EndCause::Ended)));
    });
}

/// A side without use lets a session expire; on the other it is used: it lives on everywhere.
#[test]
fn a_session_in_use_on_one_side_of_a_split_outlives_its_expiry_on_the_other() {
    Scenario::in_each_mode("split in use", 4, idle(5), |mut story| {
        let [s] = sessions_on(&story, &[0, 1, 2]);
        let write = story.commit(0, set(s, 0));
        story.quiet();
        cut_off(&mut story, 0, &[1, 2, 3]);
        for _ in 0..12 {
            story.run_for(Duration::from_secs(1));
            story.touch(0, s);
        }
        assert!((1..4).all(|host| !story.shows(host, s)), "nobody used it there");
        story.heal();
        story.keeps(write);
    });
}

#[track_caller]
fn in_each_mode(name: &'static str, hosts: u16, tell: impl Fn(Scenario)) {
    Scenario::in_each_mode(name, hosts, |_| (), tell);
}

#[track_caller]
fn before_each_mode(name: &'static str, hosts: u16, tell: impl Fn(Scenario)) {
    Scenario::before_each_mode(name, hosts, |_| (), tell);
}

fn idle(seconds: u64) -> impl Fn(&mut Setup) {
    move |setup| setup.config.idle = Duration::from_secs(seconds)
}

/// Streams that take little at once.
fn narrow(setup: &mut Setup) {
    setup.weather = Weather { stream_room: 2000, ..Weather::calm() };
}

/// Writes so much that the streams to some, which stand still, take no more.
#[track_caller]
fn fill(story: &mut Scenario, from: u16, others: &[u16]) {
    for other in others {
        // None of those that the script is about.
        let session = story.keys_on(&[from, *other, (*other + 1) % 4]).nth(12).expect("there are more");
        let large = Ask { bytes: 5000, durability: Durability::Local, ..create(story, session) };
        story.commit(from, large);
    }
}

/// Sessions that must be on the first of these hosts, as many of them as must hold them.
#[track_caller]
fn sessions_on<const COUNT: usize>(story: &Scenario, hosts: &[u16]) -> [SessionKey; COUNT] {
    let mut sessions = story.keys_on(hosts);
    core::array::from_fn(|_| sessions.next().expect("there are more"))
}

/// A session that must be on the first of these hosts, and on the fourth too when that has joined.
#[track_caller]
fn joiners_session(story: &Scenario, hosts: &[u16]) -> SessionKey {
    let mut joined = Scenario::with("joined", 4, |setup| setup.config.copies = story.copies());
    joined.start_all();
    let session = story.keys_on(hosts).find(|session| joined.holders(*session).contains(&3));
    session.expect("there is one")
}

/// Creates a session at once: a member that asked others first would wait for those whose streams stand still.
fn create(story: &Scenario, session: SessionKey) -> Ask {
    let start = if story.copies() == Copies::Everywhere { Start::There } else { Start::Anew };
    Ask { start, ..set(session, 0) }
}

fn set(session: SessionKey, attribute: u8) -> Ask {
    Ask::set(session, attribute, Durability::All)
}

/// Whether a member has taken a commit, and does not ask others first.
fn is_taken(story: &Scenario, write: Serial) -> bool {
    story.sim().told(write).is_some()
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[track_caller]
fn hold(story: &mut Scenario, from: u16, to: u16) {
    story.act(Action::Hold(HostId(from), HostId(to)));
}

#[track_caller]
fn release(story: &mut Scenario, from: u16, to: u16) {
    story.act(Action::Release(HostId(from), HostId(to)));
}

#[track_caller]
fn cut_off(story: &mut Scenario, one: u16, others: &[u16]) {
    for other in others {
        story.act_both(Action::Cut, one, *other);
    }
}
