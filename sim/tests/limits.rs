//! Members that hold as much as they may, as scripts (P7): one limit is reached, everybody's, or one member's alone.

use core::time::Duration;

use heirloom_core::{Config, Durability, EndCause, Event, WhenFull};
use heirloom_sim::{Action, Ask, HostId, Scenario, Serial, Setup, clients::key};

const SECOND: Duration = Duration::from_secs(1);

fn limited(when_full: WhenFull, sessions_max: usize) -> impl Fn(&mut Setup) {
    move |setup| (setup.config.when_full, setup.config.sessions_max) = (when_full, sessions_max)
}

/// Written twice, so that it is not the first to go.
fn write(story: &mut Scenario, host: u16, number: u64) -> Serial {
    story.commit(host, Ask::set(key(number), 0, Durability::One));
    story.run_for(Duration::from_millis(20));
    story.commit(host, Ask::set(key(number), 1, Durability::One))
}

fn evictions(story: &Scenario) -> u64 {
    story.sim().cluster().running().map(|(_, process)| process.node.stats().evictions).sum()
}

#[test]
fn full_members_refuse_what_creates_and_take_what_changes() {
    Scenario::in_each_mode("full", 3, limited(WhenFull::Refuse, 12), |mut story| {
        let mut kept = Vec::new();
        for number in 0..200 {
            let host = u16::try_from(number % 3).expect("few");
            let ask = Ask::set(key(number), 0, Durability::One);
            if story.sim().cluster().process(HostId(host)).is_some_and(|process| process.node.sessions() < 12) {
                kept.push((host, number, story.commit(host, ask)));
            } else {
                story.refused(host, ask);
            }
            story.run_for(Duration::from_millis(20));
        }
        assert!(12 <= kept.len() && kept.len() < 40, "{}", kept.len());
        story.quiet();
        for (host, number, serial) in kept {
            story.keeps(serial);
            story.commit(host, Ask::set(key(number), 1, Durability::One));
        }
        story.quiet();
        assert_eq!(evictions(&story), 0);
    });
}

#[test]
fn who_makes_room_ends_the_coldest_and_says_why() {
    Scenario::in_each_mode("room is made", 3, limited(WhenFull::Evict, 30), |mut story| {
        for number in 0..100 {
            let serial = write(&mut story, u16::try_from(number % 3).expect("few"), number);
            story.run_for(SECOND * 2);
            assert!(story.is_durable(serial));
        }
        story.quiet();
        // The last ones are there, with each way of copying.
        for number in 90..100 {
            assert!((0..3).any(|host| story.shows(host, key(number))), "{number}");
        }
        let causes: Vec<_> = (0..3).flat_map(|host| story.events(host)).filter_map(|(_, event)| ended(event)).collect();
        assert!(!causes.is_empty() && causes.iter().all(|cause| *cause == EndCause::Evicted), "{causes:?}");
        assert!(story.sim().cluster().running().all(|(_, process)| process.node.sessions() <= 30));
    });
}

/// It ends its own, takes what the others bring, says that it holds too much, and kills nothing that lives on others.
#[test]
fn one_member_at_its_limit_costs_the_others_nothing() {
    let one = |setup: &mut Setup| {
        let tight = Config { sessions_max: 5, when_full: WhenFull::Evict, ..setup.config.clone() };
        setup.own.insert(HostId(0), tight);
    };
    Scenario::in_each_mode("one is tight", 3, one, |mut story| {
        let mut kept = Vec::new();
        for number in 0..60 {
            kept.push(write(&mut story, 1 + u16::try_from(number % 2).expect("few"), number));
            story.run_for(SECOND / 5);
        }
        story.run_for(SECOND * 5);
        story.quiet();
        kept.iter().for_each(|serial| story.keeps(*serial));
        let told = story.events(0).any(|(_, event)| matches!(event, Event::Overfull(_)));
        assert!(told, "it holds more than five");
        assert_eq!(evictions(&story), 0, "it owns nothing, and nobody else has too much");
        // And where it dies nothing is lost either.
        story.act(Action::PowerOff(HostId(0)));
        story.quiet();
        kept.iter().for_each(|serial| story.keeps(*serial));
    });
}

/// Each side makes room by itself; when they meet what either has ended is over on both, and no more than that is gone.
#[test]
fn sides_that_make_room_apart_agree_when_they_meet() {
    Scenario::in_each_mode("apart and full", 4, limited(WhenFull::Evict, 24), |mut story| {
        for number in 0..12 {
            write(&mut story, u16::try_from(number % 4).expect("few"), number);
        }
        story.quiet();
        for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
            story.act_both(Action::Cut, one, other);
        }
        story.run_for(SECOND * 10);
        for number in 20..60 {
            write(&mut story, u16::try_from(number % 4).expect("few"), number);
            story.run_for(SECOND);
        }
        story.heal();
        assert!(story.sim().cluster().running().all(|(_, process)| process.node.sessions() <= 24));
        assert!(0 < evictions(&story));
    });
}

fn ended(event: &Event) -> Option<EndCause> {
    if let Event::SessionEnded(_, cause) = event { Some(*cause) } else { None }
}
