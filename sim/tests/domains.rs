//! Two domains on one network, as scripts: members of another domain are seen and not fed. The oracles judge each domain by
//! itself, and that nothing is shown that nobody of the domain wrote.

use core::time::Duration;

use heirloom_core::{Config, Durability, Event, RemovalCause};
use heirloom_sim::{Action, Ask, Discovery, HostId, LastBytes, Places, Scenario, Serial, Setup, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// Even hosts are of one domain, odd ones of the other. Members say nothing on streams unless something has happened.
fn two_domains(discovery: Discovery) -> impl Fn(&mut Setup) {
    move |setup| {
        (setup.places, setup.discovery) = (Places::Domains, discovery);
        setup.config.digest_every = Duration::ZERO;
    }
}

fn in_each_way(name: &'static str, hosts: u16, tell: impl Fn(Scenario)) {
    for discovery in [Discovery::Group, Discovery::Peers, Discovery::Seed] {
        Scenario::in_each_mode(name, hosts, two_domains(discovery), &tell);
    }
}

#[test]
fn no_session_crosses_between_two_domains_on_one_network() {
    in_each_way("two domains", 6, |mut story| {
        let writes: Vec<(u64, Serial)> = write_some(&mut story, 60);
        story.quiet();
        for (number, write) in writes {
            story.keeps(write);
            assert!(story.holders(key(number)).iter().all(|host| u64::from(host % 2) == number % 2));
        }
        // A death in one is none of the other's business, a birth neither.
        story.act(Action::Kill(HostId(2), LastBytes::Lost));
        story.quiet();
        story.act(Action::Start(HostId(2)));
        story.quiet();
    });
}

#[test]
fn when_a_member_of_another_domain_dies_nothing_walks() {
    in_each_way("a neighbor dies", 5, |mut story| {
        write_some(&mut story, 40);
        story.quiet();
        story.act(Action::PowerOff(HostId(1)));
        // Its own domain is done with it after this; the other has not even missed it.
        story.run_for(SECOND * 5);
        let before = story.sim().cluster().counts().writes;
        let Config { drop_time, frequency, .. } = Config::default();
        let took = story.run_until("nobody sees it", drop_time * 2, |sim| {
            sim.cluster()
                .running()
                .all(|(_, process)| process.node.neighbors().chain(process.node.members()).count() == 3)
        });
        assert!(took <= drop_time * 2 - SECOND * 5 + frequency * 2, "{took:?}");
        story.run_for(SECOND * 5);
        assert_eq!(story.sim().cluster().counts().writes, before, "nobody has anything to tell anybody");
        for host in [0, 2, 4] {
            let told = story.events(host).filter(|(_, event)| matches!(event, Event::NeighborRemoved(..)));
            let told: Vec<_> = told.map(|(_, event)| event.clone()).collect();
            assert!(matches!(told[..], [Event::NeighborRemoved(_, RemovalCause::Silent)]), "{told:?}");
            let walked = |event: &Event| matches!(event, Event::Settled(_) | Event::MemberRemoved(..));
            assert!(!story.events(host).any(|(_, event)| walked(event)));
        }
        story.quiet();
    });
}

/// Members of one domain that do not reach each other stay apart, though both see the other domain; then they merge.
#[test]
fn another_domain_carries_nothing_across_a_cut() {
    in_each_way("cut inside a domain", 4, |mut story| {
        story.act_both(Action::Cut, 0, 2);
        story.run_for(SECOND * 10);
        let writes = [(0, 0), (2, 1)].map(|(host, name)| story.commit(host, Ask::set(key(0), name, Durability::Local)));
        story.run_for(SECOND * 5);
        assert!(!story.holds(0, writes[1]) && !story.holds(2, writes[0]));
        story.heal();
        writes.iter().for_each(|write| story.keeps(*write));
    });
}

/// Sessions of each host under numbers of its domain.
fn write_some(story: &mut Scenario, sessions: u64) -> Vec<(u64, Serial)> {
    let hosts = story.sim().cluster().all().count();
    let turns =
        (0..sessions).map(|number| (number, u16::try_from(number).expect("few") % u16::try_from(hosts).expect("few")));
    let even = |(number, host): &(u64, u16)| number % 2 == u64::from(host % 2);
    let asks: Vec<_> = turns.filter(even).collect();
    asks.into_iter()
        .map(|(number, host)| (number, story.commit(host, Ask::set(key(number), 0, Durability::All))))
        .collect()
}
