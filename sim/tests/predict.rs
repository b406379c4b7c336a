//! What is predicted of a configuration is what a simulation counts.

use core::time::Duration;
use std::collections::BTreeMap;

use heirloom_core::{Config, Event};
use heirloom_sim::{Action, Discovery, HostId, Moment, Places, Setup, Sim, Weather, predict::predict};

const MEMBERS: u16 = 5;

/// Idle members that hear each other by the group alone, with three of ten datagrams lost, for so long.
fn lossy(seed: u64, config: &Config) -> Sim {
    let weather = Weather { loss: 300, multicast_loss: 300, ..Weather::calm() };
    let own = BTreeMap::new();
    let (discovery, places) = (Discovery::Group, Places::Alike);
    let config = config.clone();
    let mut sim = Sim::new(Setup { seed, hosts: MEMBERS, config, own, weather, discovery, places, is_plain: true });
    for host in (0..MEMBERS).map(HostId) {
        sim.act(Action::Start(host)).expect("it starts");
    }
    sim.run_until(Moment::ZERO + Duration::from_secs(20)).expect("they meet");
    sim
}

#[test]
fn members_that_live_are_suspected_as_often_as_predicted_and_never_removed() {
    for (drop_time, digest_every) in [(3000, 5), (2600, 0)] {
        let (drop_time, digest_every) = (Duration::from_millis(drop_time), Duration::from_secs(digest_every));
        let config = Config { drop_time, digest_every, ..Config::default() };
        let mut sim = lossy(7, &config);
        let from = sim.now();
        sim.run_until(from + Duration::from_secs(3600)).expect("nothing is broken");
        let told = sim.events().iter().filter(|(at, ..)| from <= *at);
        let suspected = told.clone().filter(|(_, _, event)| matches!(event, Event::MemberSuspect(..))).count();
        let removed = told.filter(|(_, _, event)| matches!(event, Event::MemberRemoved(..))).count();
        let pairs = f64::from(MEMBERS * (MEMBERS - 1));
        let expected = predict(&config, MEMBERS.into(), 300, 1).suspicions * pairs;
        let counted = f64::from(u32::try_from(suspected).unwrap());
        assert!(expected * 0.7 < counted && counted < expected * 1.3, "{counted} counted, {expected:.1} expected");
        assert_eq!(removed, 0, "their streams hold");
    }
}

#[test]
fn a_silent_host_is_out_of_the_view_when_it_is_predicted() {
    let config = Config::default();
    let mut times = Vec::new();
    for seed in 0..12 {
        let mut sim = lossy(seed, &config);
        sim.act(Action::Weather(Weather::calm())).expect("it is calm");
        sim.run_until(sim.now() + Duration::from_millis(5000 + seed * 41)).expect("nothing is broken");
        let from = sim.now();
        sim.act(Action::PowerOff(HostId(2))).expect("it is off");
        sim.run_until(from + Duration::from_secs(6)).expect("nothing is broken");
        let removed =
            sim.events().iter().filter(|(at, _, event)| from < *at && matches!(event, Event::MemberRemoved(..)));
        times.extend(removed.map(|(at, ..)| at.since(from)));
    }
    let expected = predict(&config, MEMBERS.into(), 0, 1);
    let [first, last] = expected.bounds;
    let slack = Duration::from_millis(5);
    assert_eq!(times.len(), 12 * usize::from(MEMBERS - 1));
    assert!(times.iter().all(|time| first <= *time + slack && *time <= last + slack), "{times:?}");
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
    assert!(mean.abs_diff(expected.silent) < Duration::from_millis(100), "{mean:?}, {:?} expected", expected.silent);
}
