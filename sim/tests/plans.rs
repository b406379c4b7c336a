//! The traces that broke simpler rules of replication, as scripts for copies on every member. The oracles of a run watch
//! each of them; what a script asserts comes on top. Numbers are those of the list they come from.

use core::time::Duration;

use heirloom_core::{Durability, EndCause, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Serial, Weather, clients::key};

const S: u64 = 1;
const T: u64 = 2;

/// 1a: both writes of a session reach the other, and neither counts before it is carried.
#[test]
fn a_session_that_travels_again_brings_both_writes() {
    let mut story = Scenario::ready("1a", 2);
    hold(&mut story, 0, 1);
    let writes = [S, T, S].map(|session| story.commit(0, set(session, 0)));
    let later = story.commit(0, set(S, 1));
    story.run_for(millis(50));
    assert!(writes.iter().all(|write| !story.is_durable(*write)));
    release(&mut story, 0, 1);
    story.run_for(millis(50));
    assert!(writes.iter().chain([&later]).all(|write| story.is_durable(*write)));
    assert!(story.holds(1, writes[2]) && story.holds(1, later));
}

/// 1b: a frame that a broken stream took with it is not counted by a later one.
#[test]
fn a_write_lost_with_its_stream_is_not_counted_until_it_travels_again() {
    let mut story = Scenario::ready("1b", 2);
    hold(&mut story, 0, 1);
    let first = story.commit(0, set(T, 0));
    story.run_for(millis(5));
    let other = story.commit(0, set(S, 0));
    let second = story.commit(0, set(T, 1));
    story.act(Action::Break(HostId(0), HostId(1)));
    story.run_for(millis(50));
    assert!([first, other, second].iter().all(|write| !story.is_durable(*write)));
    release(&mut story, 0, 1);
    story.quiet();
    assert!([first, other, second].iter().all(|write| story.is_durable(*write) && story.holds(1, *write)));
}

/// 1c: a member that yields a session still brings its own write to everybody before it counts.
#[test]
fn a_yielded_session_is_fed_until_its_writes_are_acknowledged() {
    let mut story = Scenario::ready("1c", 3);
    let before = story.commit(0, set(S, 0));
    story.quiet();
    hold(&mut story, 0, 1);
    hold(&mut story, 0, 2);
    let mine = story.commit(0, set(S, 1));
    let theirs = story.commit(2, set(S, 2));
    story.run_for(millis(20));
    assert!(story.holds(0, theirs), "the other's write has come, and with it its epoch");
    assert!(!story.is_durable(mine));
    release(&mut story, 0, 1);
    release(&mut story, 0, 2);
    story.quiet();
    assert!(story.is_durable(mine) && story.is_durable(theirs));
    everybody_holds(&story, 3, &[before, mine, theirs]);
}

/// 2: the owner dies when it has fed one member only, then another dies, and a frame of the dead owner comes late.
#[test]
fn a_half_finished_fan_out_is_finished_by_those_who_are_left() {
    for (session, victim) in (0..12).flat_map(|session| [(session, 0), (session, 3)]) {
        let mut story = Scenario::with("2", 4, |setup| setup.config.idle = Duration::from_secs(8));
        story.start_all();
        hold(&mut story, 2, 0);
        hold(&mut story, 2, 3);
        let write = story.commit(2, Ask::set(key(session), 0, Durability::One));
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
    }
}

/// 3a: two have said that they are done, the third dies with a write that the joiner has not seen, of a member that the
/// joiner may not even have heard of.
#[test]
fn a_joiner_waits_for_what_a_dead_member_has_left() {
    for heard in [true, false] {
        let mut story = Scenario::new("3a", 4);
        (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
        story.quiet();
        hold(&mut story, 2, 3);
        if !heard {
            story.act(Action::Mute(HostId(2), HostId(3)));
        }
        story.act(Action::Start(HostId(3)));
        story.run_for(millis(700));
        assert!(!story.is_ready(3), "the third member has not said that it is done");
        hold(&mut story, 2, 0);
        let write = story.commit(2, Ask::set(key(S), 0, Durability::One));
        story.run_for(millis(5));
        assert!(story.is_durable(write) && story.holds(1, write));
        story.act(Action::Kill(HostId(2), LastBytes::Lost));
        story.run_until("the joiner is ready", Duration::from_secs(6), |sim| sim.cluster().is_ready(HostId(3)));
        assert!(story.holds(3, write));
        story.quiet();
    }
}

/// 3b and 3c: a session is taken over by a member that had said it is done; with 3c its former owner meets the joiner only
/// then.
#[test]
fn a_joiner_waits_for_a_session_that_changed_hands() {
    for late in [false, true] {
        let mut story = Scenario::new("3b", 4);
        (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
        story.quiet();
        let before = story.commit(2, set(S, 0));
        story.quiet();
        hold(&mut story, 2, 3);
        if late {
            hold(&mut story, 3, 2);
        }
        story.act(Action::Start(HostId(3)));
        story.run_for(millis(600));
        assert!(!story.is_ready(3));
        hold(&mut story, 1, 3);
        let write = story.commit(1, set(S, 1));
        story.run_for(millis(5));
        release(&mut story, 2, 3);
        release(&mut story, 3, 2);
        story.run_for(millis(700));
        assert!(!story.is_ready(3), "a delta of the new owner is under way");
        release(&mut story, 1, 3);
        story.run_until("the joiner is ready", Duration::from_secs(6), |sim| sim.cluster().is_ready(HostId(3)));
        assert!(story.holds(3, before) && story.holds(3, write));
        story.quiet();
    }
}

/// 5: of two creations at once the older expires on its side, while the younger is used: the older does not come back.
#[test]
fn an_expired_birth_stays_hidden_behind_a_younger_one() {
    let mut story = Scenario::with("5", 3, |setup| setup.config.idle = Duration::from_secs(4));
    story.start_all();
    cut_off(&mut story, 2, &[0, 1]);
    let older = story.commit(2, Ask::set(key(S), 0, Durability::Local));
    story.run_for(millis(10));
    let younger = story.commit(0, Ask::set(key(S), 1, Durability::Local));
    story.run_for(millis(10));
    let taken = story.commit(1, Ask::set(key(S), 2, Durability::Local));
    for _ in 0..6 {
        story.run_for(Duration::from_secs(1));
        story.touch(1, key(S));
    }
    assert!(!story.shows(2, key(S)), "nobody used it there");
    story.heal();
    everybody_holds(&story, 3, &[younger, taken]);
    assert!((0..3).all(|host| !story.holds(host, older)));
}

/// 7a: two create a session at once, and what either was told holds after one has yielded.
#[test]
fn two_creations_at_once_lose_no_write() {
    let mut story = Scenario::ready("7a", 3);
    hold(&mut story, 0, 2);
    hold(&mut story, 2, 0);
    let one = story.commit(0, Ask::set(key(S), 0, Durability::One));
    let other = story.commit(2, Ask::set(key(S), 1, Durability::One));
    story.run_for(millis(20));
    assert!(story.is_durable(one) && story.is_durable(other));
    release(&mut story, 0, 2);
    release(&mut story, 2, 0);
    story.quiet();
    everybody_holds(&story, 3, &[one, other]);
}

/// 9a: an end was forgotten while a member was away that still holds the session.
#[test]
fn a_forgotten_end_still_ends_what_comes_back_and_nothing_younger() {
    let mut story = Scenario::with("9a", 2, |setup| setup.config.ended_for = Duration::from_secs(6));
    story.allow_forgetting();
    story.start_all();
    let old = story.commit(0, set(S, 0));
    story.quiet();
    cut_off(&mut story, 0, &[1]);
    story.commit(1, Ask::end(key(S), Durability::Local));
    story.run_for(Duration::from_secs(7));
    let younger = story.commit(0, Ask::set(key(T), 0, Durability::Local));
    story.run_for(Duration::from_secs(20));
    let forgotten = story.sim().cluster().process(HostId(1)).map(|process| process.node.ended(&key(S)));
    assert_eq!(forgotten, Some(None));
    story.heal();
    everybody_holds(&story, 2, &[younger]);
    assert!((0..2).all(|host| !story.holds(host, old)));
}

/// 9b: a member whose clock is ahead ends a session; another, that never held it, creates it again.
#[test]
fn a_new_login_lives_though_the_end_was_stamped_ahead() {
    let mut story = Scenario::ready("9b", 2);
    hold(&mut story, 0, 1);
    story.act(Action::StepWall(HostId(0), 3_600_000));
    story.commit(0, Ask::set(key(S), 0, Durability::Local));
    story.commit(0, Ask::end(key(S), Durability::Local));
    story.run_for(Duration::from_secs(1));
    let login = story.commit(1, Ask::set(key(S), 0, Durability::Local));
    release(&mut story, 0, 1);
    story.quiet();
    everybody_holds(&story, 2, &[login]);
}

/// 10: a session that is written all the time, with room for little more, starves neither itself nor another.
#[test]
fn a_hot_session_starves_nobody() {
    let weather = Weather { stream_room: 2000, ..Weather::calm() };
    let mut story = Scenario::with("10", 2, |setup| setup.weather = weather);
    story.start_all();
    let mut hot = Vec::new();
    let mut other = None;
    for step in 0..500 {
        hot.push(story.commit(0, Ask { bytes: 1500, ..set(S, 0) }));
        if step == 100 {
            other = Some(story.commit(0, Ask { bytes: 1500, ..set(T, 0) }));
        }
        story.run_for(Duration::from_micros(200));
        let served = other.is_none_or(|other| step < 150 || story.is_durable(other));
        assert!(served, "the other session waits behind the hot one");
        assert!(step < 50 || story.is_durable(hot[step - 50]), "write {} of the hot session waits", step - 50);
    }
    story.quiet();
}

/// 11: the member that ended a session is gone when another joins.
#[test]
fn a_joiner_learns_an_end_from_those_who_heard_of_it() {
    let mut story = Scenario::new("11", 3);
    story.act(Action::Start(HostId(0)));
    story.act(Action::Start(HostId(1)));
    story.quiet();
    story.commit(0, set(S, 0));
    story.quiet();
    let end = story.commit(0, Ask::end(key(S), Durability::All));
    story.run_for(millis(20));
    assert!(story.is_durable(end));
    story.act(Action::Kill(HostId(0), LastBytes::Lost));
    story.act(Action::Start(HostId(2)));
    story.quiet();
    let known = story.sim().cluster().process(HostId(2)).map(|process| process.node.ended(&key(S)));
    assert_eq!(known, Some(Some(EndCause::Ended)));
}

/// A side without use lets a session expire; on the other it is used: it lives on everywhere.
#[test]
fn a_session_in_use_on_one_side_of_a_split_outlives_its_expiry_on_the_other() {
    let mut story = Scenario::with("split in use", 3, |setup| setup.config.idle = Duration::from_secs(5));
    story.start_all();
    let write = story.commit(0, set(S, 0));
    story.quiet();
    cut_off(&mut story, 0, &[1, 2]);
    for _ in 0..12 {
        story.run_for(Duration::from_secs(1));
        story.touch(0, key(S));
    }
    assert!(!story.shows(1, key(S)) && !story.shows(2, key(S)), "nobody used it there");
    story.heal();
    everybody_holds(&story, 3, &[write]);
}

fn set(session: u64, attribute: u8) -> Ask {
    Ask::set(session_key(session), attribute, Durability::All)
}

fn session_key(session: u64) -> SessionKey {
    key(session)
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

#[track_caller]
fn everybody_holds(story: &Scenario, hosts: u16, writes: &[Serial]) {
    for (host, write) in (0..hosts).flat_map(|host| writes.iter().map(move |write| (host, write))) {
        assert!(story.holds(host, *write), "n{host} does not hold {write:?}");
    }
}
