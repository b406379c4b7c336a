//! How members leave: what they hand over, what they tell, and what they never lose, as scripts.

use core::time::Duration;

use heirloom_core::{AtRisk, Copies, Durability, Event, MemberState, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Serial, Setup, Start, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// P2: what nobody has acknowledged yet is with others before the member is gone, whether it serves meanwhile or not.
#[test]
fn who_leaves_under_load_loses_nothing() {
    each_mode("under load", 4, |mut story, ends| {
        let mut written: Vec<Serial> = (0..40).map(|n| story.commit(1, anew(key(n), 0, Durability::Local))).collect();
        story.act(ends(1));
        let mut n = 40;
        while story.sim().cluster().process(HostId(1)).is_some() {
            for host in 0..4 {
                if story.is_ready(host) {
                    written.push(story.commit(host, anew(key(n), 0, Durability::Local)));
                    n += 1;
                }
            }
            story.run_for(Duration::from_micros(300));
            assert!(n < 4000, "it leaves");
        }
        assert_eq!(left(&story, 1), Some(AtRisk::default()));
        story.heal();
        written.iter().for_each(|write| story.keeps(*write));
    });
}

/// Each has what the other wrote; neither relies on the other.
#[test]
fn two_that_leave_at_once_hand_over_to_the_others() {
    for apart in [0, 100, 300, 1000, 5000] {
        each_mode("two at once", 4, |mut story, ends| {
            let written: Vec<_> =
                (0..40).map(|n| story.commit(n % 4, anew(key(u64::from(n)), 0, Durability::Local))).collect();
            story.act(ends(0));
            story.run_for(Duration::from_micros(apart));
            story.act(ends(1));
            gone(&mut story, &[0, 1], SECOND * 4);
            for host in [0, 1] {
                assert_eq!(left(&story, host), Some(AtRisk::default()), "n{host}");
            }
            story.heal();
            written.iter().for_each(|write| story.keeps(*write));
        });
    }
}

/// A member that acknowledges the word of a leaving one may be leaving itself: then not both say that nothing is at risk.
#[test]
fn the_last_two_that_leave_at_once_say_what_is_lost() {
    for apart in [0, 100, 200, 300, 500, 1000, 5000] {
        each_mode("last two", 2, |mut story, ends| {
            write(&mut story, 20, Durability::One);
            story.run_for(SECOND);
            story.act(ends(0));
            story.run_for(Duration::from_micros(apart));
            story.act(ends(1));
            gone(&mut story, &[0, 1], SECOND * 5);
            let told = [0, 1].map(|host| left(&story, host).expect("it has left").sessions);
            assert!(0 < told[0] || 0 < told[1], "{told:?} after {apart}");
        });
    }
}

/// Only this member has what the dead one wrote last.
#[test]
fn who_leaves_after_another_has_died_hands_over_what_that_one_wrote() {
    each_mode("after a death", 4, |mut story, ends| {
        for other in [2, 3] {
            story.act(Action::Hold(HostId(0), HostId(other)));
        }
        let sessions: Vec<_> = match story.copies() {
            Copies::Everywhere => (0..20).map(key).collect(),
            Copies::Backups(_) | Copies::Nowhere => story.keys_on(&[0, 1]).take(20).collect(),
        };
        let written: Vec<_> = sessions.iter().map(|key| story.commit(0, anew(*key, 0, Durability::One))).collect();
        story.run_for(Duration::from_millis(100));
        let told: Vec<_> = written.into_iter().filter(|write| story.is_durable(*write)).collect();
        assert!(!told.is_empty());
        story.act(Action::Kill(HostId(0), LastBytes::Lost));
        story.run_until("n1 knows", SECOND, |sim| {
            sim.cluster().process(HostId(1)).is_some_and(|one| one.node.members().count() == 2)
        });
        story.act(ends(1));
        // The others miss the dead one later: its last words to them stand still.
        gone(&mut story, &[1], SECOND * 9);
        assert_eq!(left(&story, 1), Some(AtRisk::default()));
        story.heal();
        told.iter().for_each(|write| story.keeps(*write));
    });
}

/// The member that has to take it hangs. It is out of the view before the time is over, and then nobody is there.
#[test]
fn who_cannot_hand_over_says_how_much_is_at_risk() {
    each_mode("hung", 2, |mut story, ends| {
        story.act(Action::Pause(HostId(1)));
        write(&mut story, 7, Durability::Local);
        assert_eq!(at_risk(&story, 0), 7);
        story.act(ends(0));
        gone(&mut story, &[0], SECOND * 11);
        assert_eq!(left(&story, 0).map(|at_risk| at_risk.sessions), Some(7));
    });
}

#[test]
fn who_is_alone_leaves_at_once_and_says_what_is_lost() {
    each_mode("alone", 1, |mut story, ends| {
        write(&mut story, 5, Durability::Local);
        story.act(ends(0));
        gone(&mut story, &[0], SECOND / 10);
        assert_eq!(left(&story, 0).map(|at_risk| at_risk.sessions), Some(5));
    });
}

/// Where only one member holds each session, nothing can be handed over.
#[test]
fn where_nobody_else_holds_anything_all_is_at_risk() {
    for ends in ENDS {
        let mut story = Scenario::with("nowhere", 3, |setup| setup.config.copies = Copies::Nowhere);
        story.start_all();
        write(&mut story, 5, Durability::Local);
        story.run_for(SECOND);
        assert_eq!(at_risk(&story, 0), 5);
        story.act(ends(0));
        gone(&mut story, &[0], SECOND);
        assert_eq!(left(&story, 0).map(|at_risk| at_risk.sessions), Some(5));
    }
}

/// It is the last ready one, and another is coming.
#[test]
fn who_leaves_waits_for_the_one_that_is_joining() {
    each_mode("relief", 2, |mut story, ends| {
        story.act(Action::Kill(HostId(1), LastBytes::Delivered));
        story.run_for(SECOND);
        let written: Vec<_> = (0..30).map(|n| story.commit(0, anew(key(n), 0, Durability::Local))).collect();
        story.act(Action::Start(HostId(1)));
        story.run_until("it is listed", SECOND * 4, |sim| {
            sim.cluster().process(HostId(0)).is_some_and(|process| process.node.members().count() == 1)
        });
        story.act(ends(0));
        gone(&mut story, &[0], SECOND * 11);
        assert_eq!(left(&story, 0), Some(AtRisk::default()));
        assert!(story.is_ready(1));
        written.iter().for_each(|write| assert!(story.holds(1, *write)));
    });
}

#[test]
fn a_session_is_at_risk_until_another_has_it() {
    each_mode("at risk", 3, |mut story, _| {
        assert_eq!(at_risk(&story, 0), 0);
        write(&mut story, 9, Durability::Local);
        assert_eq!(at_risk(&story, 0), 9);
        story.run_for(SECOND);
        assert_eq!(at_risk(&story, 0), 0);
        for other in [1, 2] {
            story.act(Action::Kill(HostId(other), LastBytes::Delivered));
        }
        story.run_for(SECOND);
        assert_eq!(at_risk(&story, 0), 9, "nobody else is left");
    });
}

/// The others have counted it out, and it still answers.
#[test]
fn who_drains_serves_until_the_others_have_what_it_held() {
    let mut story = Scenario::with("serves", 4, |setup| setup.config.copies = Copies::Backups(1));
    story.start_all();
    let written: Vec<_> = (0..200).map(|n| story.commit(1, anew(key(n), 0, Durability::One))).collect();
    story.run_for(SECOND);
    story.act(Action::Hold(HostId(1), HostId(2)));
    story.act(Action::Drain(HostId(1), SECOND * 10));
    story.run_for(SECOND);
    let process = story.sim().cluster().process(HostId(1)).expect("it waits");
    let handover = process.node.handover().expect("it hands over");
    assert!(handover.serving && 0 < handover.remaining, "{handover:?}");
    assert_eq!(process.node.state(), MemberState::Ready);
    let late = story.commit(1, anew(key(1000), 0, Durability::Local));
    story.act(Action::Release(HostId(1), HostId(2)));
    gone(&mut story, &[1], SECOND * 2);
    assert_eq!(left(&story, 1), Some(AtRisk::default()));
    story.heal();
    written.iter().chain([&late]).for_each(|write| story.keeps(*write));
}

type Ends = fn(u16) -> Action;

const ENDS: [Ends; 2] =
    [|host| Action::Leave(HostId(host)), |host| Action::Drain(HostId(host), Duration::from_secs(10))];

/// In each mode in which others hold copies, with each way to leave.
fn each_mode(name: &'static str, hosts: u16, tell: impl Fn(Scenario, Ends)) {
    for copies in [Copies::Everywhere, Copies::Backups(1), Copies::Backups(2)] {
        for ends in ENDS {
            let mut story = Scenario::with(name, hosts, |setup: &mut Setup| setup.config.copies = copies);
            story.start_all();
            tell(story, ends);
        }
    }
}

/// Writes so many sessions on the first host.
fn write(story: &mut Scenario, count: u64, durability: Durability) {
    for n in 0..count {
        story.commit(0, anew(key(n), 0, durability));
    }
}

/// Nobody is asked for what is created anew.
fn anew(session: SessionKey, attribute: u8, durability: Durability) -> Ask {
    Ask { start: Start::Anew, ..Ask::set(session, attribute, durability) }
}

fn gone(story: &mut Scenario, hosts: &[u16], most: Duration) {
    story.run_until(&format!("{hosts:?} have left, {:?}", story.copies()), most, |sim| {
        hosts.iter().all(|host| sim.cluster().process(HostId(*host)).is_none())
    });
}

fn left(story: &Scenario, host: u16) -> Option<AtRisk> {
    story.events(host).find_map(|(_, event)| if let Event::Left { at_risk } = event { Some(*at_risk) } else { None })
}

fn at_risk(story: &Scenario, host: u16) -> usize {
    story.sim().cluster().process(HostId(host)).expect("it runs").node.at_risk().sessions
}
