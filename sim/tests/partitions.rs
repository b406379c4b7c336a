//! Partitions under both policies: who goes on, who pauses, and what comes of it when the sides meet (P1, P2, P9), as scripts.

use core::time::Duration;

use heirloom_core::{Config, Durability, Event, Minority, Partition};
use heirloom_sim::{
    Action, Ask, Discovery, HostId, LastBytes, Scenario, Serial, Setup, Sim, Start, Weather, clients::key,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn both_sides_serve_and_all_that_they_wrote_merges_when_they_meet() {
    Scenario::in_each_mode(
        "serve",
        5,
        |_| (),
        |mut story| {
            split(&mut story, &[0, 1], &[2, 3, 4]);
            story.run_for(noticed());
            assert_eq!(events(&story, 0), [Event::MajorityLost(no_majority(2, 5))]);
            assert_eq!(events(&story, 4), []);
            let writes: Vec<_> = (0..5).flat_map(|host| write_some(&mut story, host)).collect();
            story.run_for(SECOND * 10);
            assert!(writes.iter().all(|write| story.is_durable(*write)), "each side has enough members for its writes");
            meet(&mut story);
            assert_eq!(events(&story, 0).last(), Some(&Event::MajorityRegained));
            writes.iter().for_each(|write| story.keeps(*write));
        },
    );
}

#[test]
fn the_lesser_side_refuses_writes_and_nothing_that_was_acknowledged_is_lost() {
    Scenario::in_each_mode("pause", 5, pause(1), |mut story| {
        let before: Vec<_> = (0..5).flat_map(|host| write_some(&mut story, host)).collect();
        story.run_for(SECOND);
        assert!(before.iter().all(|write| story.is_durable(*write)));
        split(&mut story, &[0, 1], &[2, 3, 4]);
        // Until it is noticed both sides take writes.
        let early: Vec<_> =
            (0..5).map(|host| story.commit(host, anew(300 + u64::from(host), Durability::Local))).collect();
        story.run_until("the lesser side has paused", noticed(), |sim| [0, 1].iter().all(|host| is_paused(sim, *host)));
        for host in [0, 1] {
            assert_eq!(events(&story, host), [Event::Paused(no_majority(2, 5))]);
            story.refused(host, anew(200, Durability::Local));
            story.refused(host, Ask::set(key(1), 0, Durability::Local));
            story.refused(host, Ask::end(key(1), Durability::Local));
            assert!(story.is_ready(host) && story.shows(host, key(100 + u64::from(host))), "it can be read");
        }
        let meanwhile: Vec<_> =
            (2..5).map(|host| story.commit(host, anew(500 + u64::from(host), Durability::One))).collect();
        story.run_for(SECOND * 10);
        assert!(meanwhile.iter().all(|write| story.is_durable(*write)));
        assert!((2..5).all(|host| events(&story, host).is_empty()), "the greater side has not stopped for a moment");
        meet(&mut story);
        assert_eq!(events(&story, 0).last(), Some(&Event::Resumed));
        let after: Vec<_> =
            (0..5).map(|host| story.commit(host, anew(400 + u64::from(host), Durability::All))).collect();
        story.quiet();
        [before, early, meanwhile, after].iter().flatten().for_each(|write| story.keeps(*write));
    });
}

#[test]
fn halves_both_pause_and_both_go_on_when_they_meet() {
    Scenario::in_each_mode("halves", 4, pause(1), |mut story| {
        split(&mut story, &[0, 1], &[2, 3]);
        story.run_for(noticed());
        for host in 0..4 {
            assert_eq!(events(&story, host), [Event::Paused(no_majority(2, 4))]);
            story.refused(host, anew(1, Durability::Local));
        }
        meet(&mut story);
        (0..4).for_each(|host| assert_eq!(events(&story, host).last(), Some(&Event::Resumed)));
    });
}

#[test]
fn members_that_die_one_after_the_other_stop_nobody_until_one_is_left() {
    Scenario::in_each_mode("one by one", 5, pause(1), |mut story| {
        for dead in [4, 3, 2] {
            story.act(Action::Kill(HostId(dead), LastBytes::Lost));
            story.run_for(noticed());
            assert!((0..dead).all(|host| !is_paused(story.sim(), host)), "after n{dead}");
        }
        story.act(Action::Kill(HostId(1), LastBytes::Lost));
        story.run_for(noticed());
        assert_eq!(events(&story, 0), [Event::Paused(no_majority(1, 2))]);
        story.refused(0, anew(1, Durability::Local));
        // Where it was another life is, so it is gone for sure.
        story.act(Action::Start(HostId(1)));
        story.quiet();
        assert_eq!(events(&story, 0).last(), Some(&Event::Resumed));
        let write = story.commit(0, anew(2, Durability::All));
        story.quiet();
        story.keeps(write);
    });
}

#[test]
fn who_leaves_in_order_is_not_waited_for() {
    Scenario::in_each_mode("in order", 2, pause(1), |mut story| {
        story.act(Action::Leave(HostId(1)));
        story.run_for(noticed());
        assert_eq!(events(&story, 0), []);
        story.commit(0, anew(1, Durability::Local));
    });
}

#[test]
fn fewer_members_than_members_min_pause_also_where_they_are_a_majority() {
    Scenario::in_each_mode("below min", 3, pause(3), |mut story| {
        story.act(Action::Kill(HostId(2), LastBytes::Lost));
        story.run_until("they pause", noticed(), |sim| [0, 1].iter().all(|host| is_paused(sim, *host)));
        for host in [0, 1] {
            assert_eq!(events(&story, host).last(), Some(&Event::Paused(Minority::BelowMin { ready: 2, min: 3 })));
            story.refused(host, anew(1, Durability::Local));
        }
        story.act(Action::Start(HostId(2)));
        story.quiet();
        assert!((0..3).all(|host| !is_paused(story.sim(), host)));
    });
}

/// Else a member that starts on the wrong side of a partition would be a cluster of its own.
#[test]
fn nobody_starts_alone_where_fewer_are_in_sight_than_members_min() {
    Scenario::before_each_mode("first", 3, pause(2), |mut story| {
        story.act(Action::Start(HostId(0)));
        story.run_for(SECOND * 60);
        assert!(!story.is_ready(0));
        story.act(Action::Start(HostId(1)));
        story.quiet();
        assert!([0, 1].iter().all(|host| story.is_ready(*host) && !is_paused(story.sim(), *host)));
    });
}

#[test]
fn groups_that_started_apart_pause_nobody_for_good_when_they_meet() {
    Scenario::before_each_mode("apart", 5, pause(1), |mut story| {
        split(&mut story, &[0, 1], &[2, 3, 4]);
        (0..5).for_each(|host| story.act(Action::Start(HostId(host))));
        story.run_for(SECOND * 60);
        let writes: Vec<_> = (0..5).flat_map(|host| write_some(&mut story, host)).collect();
        meet(&mut story);
        writes.iter().for_each(|write| story.keeps(*write));
    });
}

/// The first is not heard by anybody and hears all; the last is not heard by the first, and the others hear all.
#[test]
fn what_passes_in_one_direction_only_keeps_nobody_busy() {
    for partition in [Partition::Serve, Partition::Pause] {
        for cuts in [&[(0, 1), (0, 2)][..], &[(2, 0)], &[(0, 1), (1, 2), (2, 0)]] {
            let change = |setup: &mut Setup| setup.config.partition = partition;
            Scenario::in_each_mode("one way", 3, change, |mut story| {
                let writes: Vec<_> = (0..3).flat_map(|host| write_some(&mut story, host)).collect();
                story.quiet();
                let calm = traffic(&mut story);
                cuts.iter().for_each(|(from, to)| story.act(Action::Cut(HostId(*from), HostId(*to))));
                story.run_for(SECOND * 60);
                let told = story.sim().events().len();
                let cut = traffic(&mut story);
                assert!(cut < calm * 3, "{partition}, {cuts:?}: {cut} and not about {calm} in a minute");
                let told = story.sim().events().len() - told;
                assert!(told < 20, "{partition}, {cuts:?}: {told} events in a minute");
                meet(&mut story);
                writes.iter().for_each(|write| story.keeps(*write));
            });
        }
    }
}

#[test]
fn an_operator_may_say_that_who_is_missing_is_gone() {
    let mut story = Scenario::with("resume", 2, pause(1));
    story.start_all();
    story.act(Action::PowerOff(HostId(1)));
    story.run_until("it pauses", noticed(), |sim| is_paused(sim, 0));
    story.act(Action::CountOut(HostId(0)));
    assert_eq!(events(&story, 0).last(), Some(&Event::Resumed));
    story.commit(0, anew(1, Durability::Local));
    story.act(Action::Start(HostId(1)));
    story.quiet();
    assert!([0, 1].iter().all(|host| !is_paused(story.sim(), *host)));
}

fn pause(members_min: usize) -> impl Fn(&mut Setup) {
    move |setup| {
        setup.config.partition = Partition::Pause;
        setup.config.members_min = members_min;
        setup.discovery = Discovery::Peers;
    }
}

fn split(story: &mut Scenario, one: &[u16], other: &[u16]) {
    for (one, other) in one.iter().flat_map(|one| other.iter().map(move |other| (*one, *other))) {
        story.act_both(Action::Cut, one, other);
    }
}

/// Ends all faults: within the stated time all list each other and nobody lacks others; then all copies are equal.
fn meet(story: &mut Scenario) {
    story.act(Action::Heal(Weather::calm()));
    story.run_until("all list each other and none has paused", within(), |sim| {
        let count = sim.cluster().running().count();
        sim.cluster()
            .running()
            .all(|(_, process)| process.node.members().count() + 1 == count && process.node.minority().is_none())
    });
    story.quiet();
}

/// How many things are sent in a minute.
fn traffic(story: &mut Scenario) -> u64 {
    let before = story.sim().cluster().counts().transmits;
    story.run_for(SECOND * 60);
    story.sim().cluster().counts().transmits - before
}

/// One session of its own, and one that others write to as well.
fn write_some(story: &mut Scenario, host: u16) -> Vec<Serial> {
    let attribute = u8::try_from(host).expect("few hosts");
    let asks = [key(100 + u64::from(host)), key(1)].map(|key| Ask::set(key, attribute, Durability::One));
    asks.map(|ask| story.commit(host, ask)).into()
}

/// Nobody is asked for what is created anew.
fn anew(session: u64, durability: Durability) -> Ask {
    Ask { start: Start::Anew, ..Ask::set(key(session), 0, durability) }
}

/// What a host told of its being paused or not, since it was first ready.
fn events(story: &Scenario, host: u16) -> Vec<Event> {
    let is_of_it = |event: &Event| {
        matches!(event, Event::Paused(_) | Event::Resumed | Event::MajorityLost(_) | Event::MajorityRegained)
    };
    story.events(host).map(|(_, event)| event.clone()).filter(is_of_it).collect()
}

fn is_paused(sim: &Sim, host: u16) -> bool {
    sim.cluster().process(HostId(host)).is_some_and(|process| process.node.paused().is_some())
}

fn no_majority(seen: usize, of: usize) -> Minority {
    Minority::NoMajority { seen, of }
}

/// How long it takes at the most until a silent host is out of the view.
fn noticed() -> Duration {
    let Config { drop_time, probe_time, frequency, .. } = Config::default();
    drop_time + probe_time + frequency * 2
}

/// How long a meeting takes at the most: the longest wait, two rounds of beats, the greetings.
fn within() -> Duration {
    let Config { search_max, frequency, .. } = Config::default();
    search_max + frequency * 3
}
