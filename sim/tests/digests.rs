//! Copies that differ though nobody did anything wrong are found and made equal, as scripts.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Config, Copies, Damage, Durability, Event, Node, SessionKey};
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Sim, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// A difference must last for two comparisons and `drop_time`, and the comparisons are `digest_every` apart.
fn bound() -> Duration {
    let Config { digest_every, drop_time, frequency, .. } = Config::default();
    digest_every * 3 + drop_time + frequency
}

fn repairs(story: &Scenario) -> u64 {
    story.sim().cluster().running().map(|(_, process)| process.node.stats().repairs).sum()
}

/// The members that must hold a session.
fn holders<'a>(sim: &'a Sim, key: &'a SessionKey) -> impl Iterator<Item = (HostId, &'a Node)> {
    let running = sim.cluster().running().map(|(host, process)| (host, &process.node));
    running.filter(|(_, node)| node.holders(key).contains(&node.id()))
}

/// Whether all that must hold a session hold the same, and so does its owner.
fn is_equal(sim: &Sim, key: &SessionKey) -> bool {
    let held = |node: &Node| node.session(key).map(|session| (session.digest(), session.owner()));
    let all: BTreeSet<_> = holders(sim, key).map(|(_, node)| held(node)).collect();
    let [Some((digest, owner))] = all.into_iter().collect::<Vec<_>>()[..] else { return false };
    let owners = sim.cluster().running().filter(|(_, process)| Some(process.node.id()) == owner);
    owners.map(|(_, process)| held(&process.node)).eq([Some((digest, owner))])
}

#[test]
fn a_damaged_copy_is_found_and_mended_in_bounded_time_and_told_of() {
    for copies in [Copies::Everywhere, Copies::Backups(1)] {
        for damage in [Damage::Attribute, Damage::Drop] {
            for at_owner in [false, true] {
                is_mended(copies, damage, at_owner);
            }
        }
    }
}

fn is_mended(copies: Copies, damage: Damage, at_owner: bool) {
    let mut story = Scenario::with("damage", 4, |setup| setup.config.copies = copies);
    story.start_all();
    let session = key(1);
    for number in 1..=20 {
        story.commit(0, Ask::set(key(number), 0, Durability::All));
    }
    story.run_for(SECOND * 12);
    assert_eq!(repairs(&story), 0, "{copies:?}: nothing differs");
    let other = holders(story.sim(), &session).map(|(host, _)| host).find(|host| *host != HostId(0));
    let at = if at_owner { HostId(0) } else { other.expect("others hold it") };
    story.damage(at.0, session, damage);
    story.run_until("it is mended", bound(), |sim| is_equal(sim, &session));
    assert!(0 < repairs(&story), "{copies:?} {damage:?} {at_owner}");
    let told = |event: &Event| matches!(event, Event::Repaired(told, ..) if *told == session);
    assert!((0..4).any(|host| story.events(host).any(|(_, event)| told(event))));
    story.run_for(SECOND * 2);
    let after = repairs(&story);
    story.run_for(SECOND * 30);
    assert_eq!(repairs(&story), after, "once is enough");
    story.quiet();
}

#[test]
fn ends_expiries_moves_and_a_crash_make_no_difference() {
    Scenario::in_each_mode(
        "nothing differs",
        4,
        |setup| setup.config.idle = SECOND * 8,
        |mut story| {
            for number in 0..10 {
                story.commit(
                    u16::try_from(number % 4).expect("it is small"),
                    Ask::set(key(number + 1), 0, Durability::All),
                );
            }
            story.run_for(SECOND);
            story.commit(0, Ask::end(key(1), Durability::All));
            story.commit(1, Ask::set(key(2), 1, Durability::All));
            story.act(Action::Kill(HostId(3), LastBytes::Lost));
            story.run_for(SECOND * 40);
            assert_eq!(repairs(&story), 0);
            story.quiet();
        },
    );
}
