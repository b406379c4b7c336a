//! Members that do not find each other at first, and groups that started apart (P1, P9), as scripts.

use core::time::Duration;

use heirloom_core::{Config, Durability, Event, RemovalCause, SeekCause};
use heirloom_sim::{Action, Ask, Discovery, HostId, LastBytes, Scenario, Serial, Setup, Sim, Weather, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// Cut from the first second, each side with sessions, some of them of the same users.
#[test]
fn groups_that_started_apart_merge_when_they_can_reach_each_other() {
    for discovery in [Discovery::Peers, Discovery::Group, Discovery::Seed] {
        Scenario::before_each_mode("started apart", 5, found_by(discovery), |mut story| {
            cut(&mut story, &[0, 1], &[2, 3, 4]);
            if discovery == Discovery::Seed {
                // Who has the seed on the other side finds nobody at all.
                (2..5).for_each(|host| cut(&mut story, &[host], &[2, 3, 4]));
            }
            (0..5).for_each(|host| story.act(Action::Start(HostId(host))));
            story.run_for(SECOND * 60);
            assert!((0..5).all(|host| story.is_ready(host)));
            let writes: Vec<Serial> = (0..5).flat_map(|host| write_some(&mut story, host)).collect();
            story.run_for(SECOND);
            story.act(Action::Heal(Weather::calm()));
            let took = story.run_until("all list each other", within(), all_list_all);
            assert!(Duration::ZERO < took);
            story.quiet();
            writes.iter().for_each(|write| story.keeps(*write));
        });
    }
}

#[test]
fn a_group_that_starts_to_work_later_brings_together_who_started_alone() {
    Scenario::before_each_mode("multicast later", 3, found_by(Discovery::Group), |mut story| {
        story.act(Action::Weather(Weather { multicast_loss: 1000, ..Weather::calm() }));
        (0..3).for_each(|host| story.act(Action::Start(HostId(host))));
        story.run_for(SECOND * 20);
        let writes: Vec<Serial> = (0..3).flat_map(|host| write_some(&mut story, host)).collect();
        assert!((0..3).all(|host| story.lists(host).is_empty()));
        story.act(Action::Heal(Weather::calm()));
        story.run_until("all list each other", within(), all_list_all);
        story.quiet();
        writes.iter().for_each(|write| story.keeps(*write));
    });
}

/// Nobody is configured but the seed, and that one is gone for good: the others remember where they lost whom.
#[test]
fn groups_whose_seed_is_gone_merge_too() {
    Scenario::in_each_mode("no seed", 5, found_by(Discovery::Seed), |mut story| {
        story.act(Action::Kill(HostId(0), LastBytes::Lost));
        story.quiet();
        cut(&mut story, &[1, 2], &[3, 4]);
        story.run_for(SECOND * 60);
        assert_eq!(story.lists(1), [HostId(2)].into());
        story.act(Action::Heal(Weather::calm()));
        story.run_until("all list each other", within(), all_list_all);
        story.quiet();
    });
}

/// The address of a member that is not there is tried again and again, at the latest every `search_max`, and that is told.
#[test]
fn an_address_at_which_nobody_is_is_tried_for_ever() {
    let mut story = Scenario::with("nobody there", 2, found_by(Discovery::Peers));
    story.act(Action::Start(HostId(0)));
    story.run_for(SECOND * 600);
    let before = story.sim().cluster().counts().transmits;
    story.run_for(SECOND * 600);
    let tries = story.sim().cluster().counts().transmits - before;
    assert!((300..=600).contains(&tries), "{tries} datagrams in ten minutes");
    let address = HostId(1).address();
    let told = |story: &Scenario| {
        let of_it = |event: &Event| matches!(event, Event::Seeking(at, _) | Event::Found(at, _) if *at == address);
        story.events(0).map(|(_, event)| event.clone()).filter(of_it).collect::<Vec<_>>()
    };
    assert_eq!(told(&story), [Event::Seeking(address, SeekCause::Configured)]);
    story.act(Action::Start(HostId(1)));
    story.quiet();
    story.act(Action::Kill(HostId(1), LastBytes::Lost));
    story.run_for(SECOND * 10);
    let [_, Event::Found(_, found), Event::Seeking(_, cause)] = told(&story)[..] else { panic!("{:?}", told(&story)) };
    assert_eq!(story.sim().cluster().host_of(found), Some(HostId(1)));
    assert_eq!(cause, SeekCause::Removed(RemovalCause::Refused));
}

fn found_by(discovery: Discovery) -> impl Fn(&mut Setup) {
    move |setup| setup.discovery = discovery
}

fn cut(story: &mut Scenario, one: &[u16], other: &[u16]) {
    for (one, other) in one.iter().flat_map(|one| other.iter().map(move |other| (*one, *other))) {
        if one != other {
            story.act_both(Action::Cut, one, other);
        }
    }
}

/// One session of its own, and one that others write to as well.
fn write_some(story: &mut Scenario, host: u16) -> Vec<Serial> {
    let attribute = u8::try_from(host).expect("few hosts");
    let asks = [key(100 + u64::from(host)), key(1)].map(|key| Ask::set(key, attribute, Durability::Local));
    asks.map(|ask| story.commit(host, ask)).into()
}

/// How long a meeting takes at the most: the longest wait, two rounds of beats, the greetings.
fn within() -> Duration {
    let Config { search_max, frequency, .. } = Config::default();
    search_max + frequency * 3
}

fn all_list_all(sim: &Sim) -> bool {
    let count = sim.cluster().running().count();
    sim.cluster().running().all(|(_, process)| process.node.members().count() + 1 == count)
}
