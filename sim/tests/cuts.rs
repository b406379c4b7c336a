//! Two members that cannot reach each other while all others reach both, for long: views that differ (P1, P2, P4).

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Durability, Event, Lifetime, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Serial, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// Neither adopts from the other what it hears of from a third: what is said is bounded, and no session changes hands.
#[test]
fn two_that_are_cut_off_from_each_other_are_quiet() {
    for hosts in [3, 4, 5] {
        Scenario::in_each_mode(
            "lasting cut",
            hosts,
            // Comparing says something for ever.
            |setup| setup.config.digest_every = Duration::ZERO,
            |mut story| {
                let before = write_many(&mut story, 0, hosts);
                story.quiet();
                story.act_both(Action::Cut, 0, 1);
                story.run_for(SECOND * 10);
                let meanwhile = write_many(&mut story, 1, hosts);
                story.run_for(SECOND * 10);
                stays_quiet(&mut story, hosts);
                story.heal();
                before.iter().chain(&meanwhile).for_each(|write| story.keeps(*write));
                story.run_for(SECOND);
                assert_eq!(said_within_a_minute(&mut story), (0, 0), "healed, and nothing is left to say");
            },
        );
    }
}

/// A third removes one of them too, gets it back, and must not be taken at its former word.
#[test]
fn who_comes_back_for_one_of_two_is_quiet() {
    for hosts in [3, 4, 5] {
        Scenario::in_each_mode(
            "back for one",
            hosts,
            |_| (),
            |mut story| {
                let before = write_many(&mut story, 0, hosts);
                story.quiet();
                (0..hosts).filter(|host| *host != 1).for_each(|host| story.act_both(Action::Cut, host, 1));
                story.run_for(SECOND * 10);
                (2..hosts).for_each(|host| story.act_both(Action::Mend, host, 1));
                story.run_for(SECOND * 10);
                stays_quiet(&mut story, hosts);
                story.heal();
                before.iter().for_each(|write| story.keeps(*write));
            },
        );
    }
}

/// One of the two dies: whoever saw it until then sees to what it owned, also to what the other knows by hearsay alone.
#[test]
fn the_death_of_one_of_two_that_are_cut_off_orphans_nothing() {
    for dead in [0, 1, 2] {
        Scenario::in_each_mode(
            "cut and dead",
            4,
            |_| (),
            |mut story| {
                let before = write_many(&mut story, 0, 4);
                story.quiet();
                story.act_both(Action::Cut, 0, 1);
                story.run_for(SECOND * 10);
                let meanwhile = write_many(&mut story, 1, 4);
                story.run_for(SECOND * 5);
                story.act(Action::Kill(HostId(dead), LastBytes::Lost));
                story.run_for(SECOND * 10);
                let orphans = orphans(&story);
                assert!(orphans.is_empty(), "{orphans:?} with n{dead} dead, {:?}", story.copies());
                story.heal();
                before.iter().chain(&meanwhile).for_each(|write| story.keeps(*write));
            },
        );
    }
}

/// What is used at one end lives on at both, as the other end asks the third before it expires anything.
#[test]
fn a_session_that_is_used_on_one_side_of_a_lasting_cut_is_not_expired_by_the_other() {
    let idle = Lifetime::Idle(SECOND * 8);
    Scenario::in_each_mode(
        "used in a cut",
        3,
        |_| (),
        |mut story| {
            let sessions: Vec<SessionKey> = (0..10).map(key).collect();
            for session in &sessions {
                story.commit(0, Ask { lifetime: Some(idle), ..Ask::set(*session, 0, Durability::All) });
            }
            story.quiet();
            story.act_both(Action::Cut, 0, 1);
            for _ in 0..60 {
                story.run_for(SECOND);
                sessions.iter().for_each(|session| story.touch(1, *session));
            }
            let ends = (0..3)
                .flat_map(|host| story.events(host))
                .filter(|(_, event)| matches!(event, Event::SessionEnded(..)));
            assert_eq!(ends.count(), 0);
            story.run_for(SECOND * 20);
            assert!(sessions.iter().all(|session| (0..3).all(|host| !story.shows(host, *session))));
            story.heal();
        },
    );
}

/// Who comes while two cannot reach each other gets ready, and complete.
#[test]
fn a_joiner_gets_ready_while_two_are_cut_off_from_each_other() {
    Scenario::in_each_mode(
        "join in a cut",
        3,
        |setup| setup.hosts = 4,
        |mut story| {
            let before = write_many(&mut story, 0, 3);
            story.quiet();
            story.act(Action::Kill(HostId(3), LastBytes::Lost));
            story.quiet();
            story.act_both(Action::Cut, 0, 1);
            story.run_for(SECOND * 10);
            story.act(Action::Start(HostId(3)));
            story.run_until("it is ready", SECOND * 20, |sim| sim.cluster().is_ready(HostId(3)));
            story.heal();
            before.iter().for_each(|write| story.keeps(*write));
        },
    );
}

/// The sessions of which nobody says that it owns them.
fn orphans(story: &Scenario) -> BTreeSet<SessionKey> {
    let processes = || story.sim().cluster().running().map(|(_, process)| process);
    let records = processes().flat_map(|process| process.node.records().map(|(key, _)| *key));
    let owned = processes().flat_map(|process| {
        let life = process.life;
        process.node.records().filter(move |(_, session)| session.owner() == Some(life)).map(|(key, _)| *key)
    });
    let owned: BTreeSet<_> = owned.collect();
    records.filter(|key| !owned.contains(key)).collect()
}

/// For a minute no session changes hands, and what is left over is offered once a second at the most.
#[track_caller]
fn stays_quiet(story: &mut Scenario, hosts: u16) {
    let (changes, writes) = said_within_a_minute(story);
    let pairs = u64::from(hosts) * u64::from(hosts - 1);
    assert_eq!(changes, 0, "{:?} with {hosts}", story.copies());
    assert!(writes <= pairs * 4 * 60, "{writes} writes, {:?} with {hosts}", story.copies());
}

/// How many sessions change hands within a minute, and how much is written to streams.
fn said_within_a_minute(story: &mut Scenario) -> (u64, u64) {
    let changes = |story: &Scenario| -> u64 {
        let stats = story.sim().cluster().running().map(|(_, process)| process.node.stats());
        stats.map(|stats| stats.adoptions + stats.takeovers).sum()
    };
    let before = (changes(story), story.sim().cluster().counts().writes);
    story.run_for(SECOND * 60);
    (changes(story) - before.0, story.sim().cluster().counts().writes - before.1)
}

fn write_many(story: &mut Scenario, attribute: u8, hosts: u16) -> Vec<Serial> {
    let asks = (0..40).map(|session| Ask::set(key(session), attribute, Durability::One));
    let mut host = 0;
    asks.map(|ask| {
        host = (host + 1) % hosts;
        story.commit(host, ask)
    })
    .collect()
}
