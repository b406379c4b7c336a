//! What seeds have found, made short: each script broke a promise once.

use core::time::Duration;

use heirloom_core::Durability;
use heirloom_sim::{Action, Ask, Choice, HostId, LastBytes, Profile, Scenario, Setup, Start, Swarm, clients::key, run};

const SECOND: Duration = Duration::from_secs(1);
const S: u64 = 1;

/// Members see a death at different times, and word of it overtakes the sight of it: all the same everything is settled, and
/// the next life joins.
#[test]
fn word_of_a_death_that_comes_before_its_sight_is_kept() {
    for late in 1..3 {
        let mut story = Scenario::ready("early word", 3);
        story.commit(0, set(0, Durability::All));
        story.act(Action::PowerOff(HostId(0)));
        // One of the two hears the dead a little longer than the other.
        story.run_for(Duration::from_millis(100 * late));
        story.act(Action::Pause(HostId(2)));
        story.run_for(Duration::from_millis(900));
        story.act(Action::Resume(HostId(2)));
        story.run_for(SECOND * 6);
        story.act(Action::Start(HostId(0)));
        story.quiet();
    }
}

/// A joiner between two that do not hear each other needs the word of both.
#[test]
fn a_joiner_takes_nobody_for_dead_whom_it_sees() {
    let mut story = Scenario::new("between two", 3);
    story.act(Action::Start(HostId(0)));
    story.act(Action::Start(HostId(1)));
    story.quiet();
    story.act_both(Action::Cut, 0, 1);
    story.run_for(SECOND * 6);
    let left = story.commit(0, set(0, Durability::Local));
    let right = story.commit(1, set(1, Durability::Local));
    story.act(Action::Start(HostId(2)));
    story.run_until("the joiner is ready", SECOND * 6, |sim| sim.cluster().is_ready(HostId(2)));
    for (host, write) in [(0, left), (1, right)] {
        assert!(story.holds(2, write) || !story.lists(2).contains(&HostId(host)));
    }
    story.heal();
    assert!((0..3).all(|host| story.holds(host, left) && story.holds(host, right)));
}

/// A session started anew after it expired here, while it was used elsewhere, shows nothing of what was.
#[test]
fn anew_ends_what_is_hidden_too() {
    let mut story = Scenario::with("anew", 2, idle(4));
    story.start_all();
    let old = story.commit(0, set(0, Durability::All));
    story.quiet();
    story.act_both(Action::Cut, 0, 1);
    for _ in 0..8 {
        story.run_for(SECOND);
        story.touch(1, key(S));
    }
    assert!(!story.shows(0, key(S)));
    let anew = story.commit(0, Ask { start: Start::Anew, ..set(1, Durability::Local) });
    story.heal();
    assert!((0..2).all(|host| story.holds(host, anew) && !story.holds(host, old)));
}

/// The owner's word reaches who is asked before the owner is gone: nobody expires the session before that.
#[test]
fn what_an_owner_told_of_uses_outlives_the_owner() {
    let mut story = Scenario::with("told", 3, idle(6));
    story.start_all();
    story.commit(1, set(0, Durability::All));
    story.quiet();
    story.act(Action::Hold(HostId(1), HostId(0)));
    for _ in 0..5 {
        story.run_for(SECOND);
        story.touch(1, key(S));
    }
    story.act(Action::Kill(HostId(1), LastBytes::Lost));
    story.run_for(SECOND * 4);
    assert!(story.shows(0, key(S)) && story.shows(2, key(S)), "it was used 4 s ago and may be idle for 6 s");
}

/// An expiry that waits for its burial does not put off the end of the session that took the key after it.
#[test]
fn a_burial_that_waits_puts_off_no_expiry() {
    let mut story = Scenario::with("burial", 3, idle(4));
    story.start_all();
    story.commit(0, set(0, Durability::All));
    story.act(Action::PowerOff(HostId(2)));
    story.run_for(SECOND * 8);
    assert!(!story.shows(0, key(S)));
    story.commit(1, set(1, Durability::All));
    story.run_for(SECOND * 6);
    assert!(!story.shows(0, key(S)) && !story.shows(1, key(S)));
}

/// A copy that brings an older use of a younger birth does not shorten what this member's own client used.
#[test]
fn own_uses_outlive_the_merge_of_another_birth() {
    let mut story = Scenario::with("own uses", 2, idle(8));
    story.act(Action::StepWall(HostId(0), 60_000));
    story.start_all();
    story.act_both(Action::Cut, 0, 1);
    story.run_for(SECOND * 5);
    story.act(Action::StepWall(HostId(0), 3_600_000));
    story.commit(0, set(0, Durability::Local));
    story.run_for(SECOND * 6);
    let mine = story.commit(1, set(1, Durability::Local));
    story.heal();
    story.act(Action::Kill(HostId(0), LastBytes::Lost));
    story.run_for(SECOND * 6);
    assert!(story.holds(1, mine));
}

/// A member that adopted a session of one that it could not hear dies: the others agree on an owner again.
#[test]
fn an_epoch_that_only_some_have_heard_of_reaches_the_owner() {
    for session in 0..8 {
        let mut story = Scenario::ready("epochs", 3);
        story.commit(2, Ask::set(key(session), 0, Durability::All));
        story.quiet();
        story.act(Action::Cut(HostId(1), HostId(2)));
        story.run_for(SECOND * 8);
        story.act(Action::Kill(HostId(1), LastBytes::Lost));
        story.quiet();
    }
}

/// A side whose clock is ahead lets an unused session expire; on the other a client has just created it.
#[test]
fn an_expiry_hides_no_session_that_its_side_never_knew() {
    let mut story = Scenario::with("two clocks", 2, idle(4));
    story.start_all();
    story.act_both(Action::Cut, 0, 1);
    story.run_for(SECOND * 5);
    story.act(Action::StepWall(HostId(0), 3_600_000));
    story.commit(0, set(0, Durability::Local));
    story.run_for(SECOND * 6);
    assert!(!story.shows(0, key(S)));
    let login = story.commit(1, set(1, Durability::Local));
    story.run_for(SECOND);
    story.heal();
    assert!((0..2).all(|host| story.holds(host, login)));
}

fn set(attribute: u8, durability: Durability) -> Ask {
    Ask::set(key(S), attribute, durability)
}

fn idle(seconds: u64) -> impl FnOnce(&mut Setup) {
    move |setup| setup.config.idle = Duration::from_secs(seconds)
}

/// Hostile seed 128. Its greatest age ended a session of two births; the one that heads it was a dead member's, and nobody
/// saw to its burial.
#[test]
fn what_is_over_is_buried_also_where_a_dead_member_owns_it() {
    let swarm = Swarm { profile: Profile::Hostile, copies: Choice::Any };
    if let Err(violation) = run(&swarm.plan(128)) {
        panic!("{violation}");
    }
}
