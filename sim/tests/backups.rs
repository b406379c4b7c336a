//! Sessions on some members: moving, taking over, reading and writing where no copy is. The traces that broke simpler rules
//! have the numbers of the list that they come from.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Copies, Durability, SessionKey};
use heirloom_sim::{Action, Answer, Ask, HostId, LastBytes, Scenario, Setup, Weather, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// 6: a holder leaves the view, and comes back while the one that took its place is released, and the owner dies.
#[test]
fn what_was_written_while_a_holder_was_away_survives_its_return() {
    for later in [10, 200, 1000, 1500, 2200, 3000] {
        let mut story = ready("6", 4, 1);
        let session = story.key_on(&[0, 1]);
        let before = story.commit(1, all(session, 0));
        story.quiet();
        for other in [1, 2, 3] {
            story.act_both(Action::Cut, 0, other);
        }
        story.run_for(SECOND * 6);
        let while_away = story.commit(1, all(session, 1));
        story.run_for(SECOND);
        assert!(story.is_durable(while_away), "another holds it in its place");
        for other in [1, 2, 3] {
            story.act_both(Action::Mend, 0, other);
        }
        story.run_for(millis(later));
        kill(&mut story, 1);
        story.heal();
        [before, while_away].iter().for_each(|write| story.keeps(*write));
    }
}

/// 7a: two who must hold nothing of it create a session at once, and either is told that its write is done.
#[test]
fn two_creations_at_once_on_bystanders_lose_no_write() {
    for backups in [1, 2] {
        let mut story = ready("7a", 6, backups);
        let session = story.key_on(&[0, 1, 2]);
        let writes =
            [(3, 0), (4, 1)].map(|(host, attribute)| story.commit(host, Ask::set(session, attribute, Durability::One)));
        story.quiet();
        assert!(writes.iter().all(|write| story.is_durable(*write)));
        writes.iter().for_each(|write| story.keeps(*write));
        one_owner(&story, session);
    }
}

/// 7b: the word of a stale owner reaches the common backup before that of the one that replaced it.
#[test]
fn a_stale_owner_learns_that_it_was_replaced() {
    let exact = Weather { delay_min: millis(1), delay_max: millis(1), delay_tail: millis(1), ..Weather::calm() };
    let mut story = with("7b", 5, 1, |setup| setup.weather = exact);
    let session = story.key_on(&[0, 1]);
    let first = story.commit(2, all(session, 0));
    story.quiet();
    // A bystander asks and takes over; what it says then to the former owner waits, and to the common backup too.
    let second = story.commit(3, Ask::set(session, 1, Durability::One));
    story.run_for(Duration::from_micros(1500));
    for host in [1, 2] {
        story.act(Action::Hold(HostId(3), HostId(host)));
    }
    story.run_for(millis(20));
    assert!(story.is_durable(second), "the other backup has it");
    let stale = story.commit(2, Ask::set(session, 2, Durability::One));
    story.run_for(millis(20));
    for host in [1, 2] {
        story.act(Action::Release(HostId(3), HostId(host)));
    }
    story.quiet();
    [first, second, stale].iter().for_each(|write| story.keeps(*write));
    one_owner(&story, session);
}

/// 7c: a member that yielded has a backup that the new owner does not know: it is dropped, and does not serve until then.
#[test]
fn a_backup_of_a_yielded_owner_goes() {
    for host in [0, 1] {
        let mut story = ready("7c", 5, 1);
        let session = story.key_on(&[0, 1]);
        // By the view of the creator another must hold it.
        story.act_both(Action::Cut, host, 2);
        story.run_for(SECOND * 6);
        let old = story.commit(2, all(session, 0));
        story.run_for(SECOND);
        let surplus: Vec<u16> = (0..5).filter(|host| story.holds(*host, old)).collect();
        let new = story.commit(1, all(session, 1));
        story.run_for(millis(100));
        story.heal();
        [old, new].iter().for_each(|write| story.keeps(*write));
        let left = surplus.into_iter().filter(|host| !story.holders(session).contains(host));
        left.for_each(|host| assert!(!story.holds(host, old) && !story.shows(host, session)));
    }
}

/// 8: the owner ranks low, its backup dies, and another asks those that rank highest before they are fed.
#[test]
fn nobody_creates_a_session_that_its_owner_still_holds() {
    for delay in [0, 1, 2, 5, 20, 100] {
        let mut story = ready("8", 5, 1);
        let session = story.key_on(&[0, 1]);
        let write = story.commit(4, all(session, 0));
        story.run_for(millis(50));
        assert!(story.is_durable(write) && story.holds(4, write));
        kill(&mut story, 0);
        story.run_for(millis(delay));
        let look = story.read(3, session);
        let more = story.commit(2, all(session, 1));
        story.run_for(SECOND * 6);
        assert!(story.saw(look, write), "{:?}", story.answer(look));
        story.quiet();
        [write, more].iter().for_each(|write| story.keeps(*write));
    }
}

#[test]
fn read_and_write_on_a_member_without_a_copy_while_the_owner_is_gone() {
    gone(0, |story| kill(story, 0));
    gone(0, |story| story.act(Action::PowerOff(HostId(0))));
    gone(0, |story| story.act(Action::Pause(HostId(0))));
}

#[test]
fn read_and_write_on_a_member_without_a_copy_while_the_backup_is_gone() {
    gone(1, |story| kill(story, 1));
    gone(1, |story| story.act(Action::PowerOff(HostId(1))));
    gone(1, |story| story.act(Action::Pause(HostId(1))));
}

/// With one of the two that hold a session gone, a third member reads and writes it, from at once to long after.
fn gone(host: u16, end: impl Fn(&mut Scenario)) {
    for later in [0, 1, 100, 1000, 5000] {
        let mut story = ready("gone", 5, 1);
        let session = story.key_on(&[0, 1]);
        let write = story.commit(0, all(session, 0));
        story.quiet();
        end(&mut story);
        story.run_for(millis(later));
        let look = story.read(3, session);
        let more = story.commit(4, Ask::set(session, 1, Durability::One));
        // It waits for who does not answer, until that is out of the view.
        story.run_until("both are answered", SECOND * 6, |sim| sim.answer(look).is_some() && sim.told(more).is_some());
        assert!(story.saw(look, write), "n{host} gone for {later} ms: {:?}", story.answer(look));
        story.heal();
        [write, more].iter().for_each(|write| story.keeps(*write));
    }
}

/// A big session is on its way to the one that is to hold it when its owner dies and another takes over.
#[test]
fn takeover_while_a_backup_is_still_being_copied() {
    for later in [0, 1, 3, 10, 30, 100] {
        let narrow = Weather { stream_room: 4 << 10, piece_max: 300, ..Weather::calm() };
        let mut story = with("takeover", 5, 1, |setup| setup.weather = narrow.clone());
        let session = story.key_on(&[0, 1]);
        let sets: BTreeSet<_> = (0..5).map(heirloom_sim::Attribute).collect();
        let whole = story.commit(0, Ask { bytes: 30_000, sets, ..all(session, 0) });
        story.quiet();
        kill(&mut story, 1);
        story.run_for(millis(later));
        // Who is to hold it in its place has a part of it.
        let taken = story.commit(4, Ask::set(session, 4, Durability::One));
        story.run_for(millis(1));
        let other = story.commit(3, Ask::set(session, 3, Durability::One));
        story.heal();
        [whole, taken, other].iter().for_each(|write| story.keeps(*write));
        one_owner(&story, session);
    }
}

/// The owner dies as well, just when its backup's place has been taken: what was acknowledged by the new one is there.
#[test]
fn a_write_that_the_new_backup_acknowledged_survives_the_owner() {
    let mut story = ready("new backup", 5, 1);
    let session = story.key_on(&[0, 1]);
    story.commit(0, all(session, 0));
    story.quiet();
    kill(&mut story, 1);
    let write = story.commit(0, all(session, 1));
    story.run_until("it is done", SECOND * 6, |sim| sim.told(write).is_some_and(is_durable));
    kill(&mut story, 0);
    story.quiet();
    story.keeps(write);
}

/// One of five dies: every session has all its copies again soon, and nobody has one too many.
#[test]
fn all_copies_are_there_again_soon_after_a_death() {
    for backups in [1, 2, 3] {
        let mut story = ready("restored", 5, backups);
        for session in 0..100 {
            story.commit(u16::try_from(session % 5).unwrap(), all(key(session), 0));
        }
        story.quiet();
        kill(&mut story, 2);
        let took = story.run_until("all copies are there", SECOND * 10, |sim| sim.unrest().is_none());
        assert!(took <= SECOND * 3, "{took:?}");
    }
}

/// A bystander has nothing of a session, not even that it is there.
#[test]
fn a_bystander_holds_nothing() {
    let mut story = ready("bystander", 6, 1);
    let empty = story.weight(5);
    let sessions: Vec<SessionKey> = (0..400).map(|number| key(number + 5000)).collect();
    let others: Vec<_> = sessions.into_iter().filter(|session| !story.holders(*session).contains(&5)).collect();
    for session in &others {
        story.commit(0, all(*session, 0));
    }
    story.quiet();
    assert!(200 < others.len());
    let records = story.sim().cluster().process(HostId(5)).map(|process| process.node.records().count());
    assert_eq!(records, Some(0));
    assert!(story.weight(5) < empty + 2000, "{} and {empty}", story.weight(5));
}

/// Who is asked for a session that is nowhere says so, and a look leaves nothing behind.
#[test]
fn a_look_leaves_no_copy() {
    let mut story = ready("a look", 5, 1);
    let session = story.key_on(&[0, 1]);
    let write = story.commit(0, all(session, 0));
    story.quiet();
    let looks = [2, 3, 4].map(|host| story.read(host, session));
    let nothing = story.read(4, key(3));
    story.run_for(millis(100));
    assert!(looks.iter().all(|look| story.saw(*look, write)));
    assert_eq!(story.answer(nothing), Some(&Answer::Unknown));
    assert!((2..5).all(|host| !story.holds(host, write)));
}

#[track_caller]
fn one_owner(story: &Scenario, session: SessionKey) {
    let records = story.sim().cluster().running().filter_map(|(_, process)| {
        process.node.records().find(|(key, _)| **key == session).and_then(|(_, session)| session.owner())
    });
    assert_eq!(records.collect::<BTreeSet<_>>().len(), 1);
}

fn is_durable(told: &heirloom_sim::Told) -> bool {
    matches!(told, heirloom_sim::Told::Durable(..))
}

fn ready(name: &'static str, hosts: u16, backups: u8) -> Scenario {
    with(name, hosts, backups, |_| ())
}

fn with(name: &'static str, hosts: u16, backups: u8, change: impl FnOnce(&mut Setup)) -> Scenario {
    let mut story = Scenario::with(name, hosts, |setup| {
        setup.config.copies = Copies::Backups(backups);
        change(setup);
    });
    story.start_all();
    story
}

fn kill(story: &mut Scenario, host: u16) {
    story.act(Action::Kill(HostId(host), LastBytes::Lost));
}

fn all(key: SessionKey, attribute: u8) -> Ask {
    Ask::set(key, attribute, Durability::All)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
