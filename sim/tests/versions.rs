//! Two versions of the protocol at once, as scripts: all members are replaced one by one under writes, forwards and back,
//! and nothing is lost.

use core::time::Duration;

use heirloom_core::Durability;
use heirloom_sim::{Action, Ask, HostId, LastBytes, Scenario, Serial, Sim, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// In each direction; members leave in order, and in a second round they are killed.
#[test]
fn nothing_is_lost_in_a_rolling_restart_to_another_version() {
    for (old, new) in [(1, 2), (2, 1)] {
        for end in [Action::Leave, kill] {
            Scenario::in_each_mode(
                "rolling restart",
                4,
                |setup| setup.config.version_max = old,
                |mut story| {
                    let mut written: Vec<Serial> = Vec::new();
                    write_some(&mut story, &mut written);
                    story.quiet();
                    for host in (0..4).map(HostId) {
                        story.act(Action::Install(host, new));
                        story.act(end(host));
                        write_some(&mut story, &mut written);
                        let is_gone = |sim: &Sim| sim.cluster().process(host).is_none();
                        story.run_until("it has ended", SECOND * 10, is_gone);
                        story.act(Action::Start(host));
                        write_some(&mut story, &mut written);
                        story.run_until("it is back", SECOND * 20, |sim| sim.cluster().is_ready(host));
                        write_some(&mut story, &mut written);
                        story.quiet();
                    }
                    let kept: Vec<Serial> = written.into_iter().filter(|serial| story.is_durable(*serial)).collect();
                    assert!(30 <= kept.len(), "{} writes are acknowledged", kept.len());
                    kept.iter().for_each(|serial| story.keeps(*serial));
                    for (_, process) in story.sim().cluster().running() {
                        assert!(process.node.members().all(|member| member.version == new));
                    }
                },
            );
        }
    }
}

/// Old and new members in turn: each pair speaks what both know, and who does not know a kind of frame skips and counts it.
#[test]
fn members_of_two_versions_serve_together_for_as_long_as_they_like() {
    Scenario::before_each_mode(
        "mixed",
        5,
        |_| (),
        |mut story| {
            (0..5).for_each(|host| story.act(Action::Install(HostId(host), 1 + u8::from(host % 2 == 1))));
            story.start_all();
            let mut written: Vec<Serial> = Vec::new();
            for _ in 0..20 {
                write_some(&mut story, &mut written);
                story.run_for(SECOND);
            }
            story.quiet();
            written.iter().for_each(|serial| story.keeps(*serial));
            for (host, process) in story.sim().cluster().running() {
                let speaks = |number: u16| 1 + u8::from(number % 2 == 1);
                for member in process.node.members() {
                    let other = HostId::at(member.address).expect("it is a host");
                    assert_eq!(member.version, speaks(host.0).min(speaks(other.0)), "{host} and {other}");
                }
                let skipped = process.node.stats().kinds_unknown;
                assert_eq!(0 < skipped, speaks(host.0) == 1, "{host} has skipped {skipped}");
            }
        },
    );
}

fn kill(host: HostId) -> Action {
    Action::Kill(host, LastBytes::Delivered)
}

/// A write of a session of its own on each host that serves, and one of a session that all of them write.
fn write_some(story: &mut Scenario, written: &mut Vec<Serial>) {
    let hosts: Vec<HostId> = story.sim().cluster().all().collect();
    for HostId(host) in hosts {
        if story.is_ready(host) {
            let number = u64::try_from(written.len()).expect("few");
            written.push(story.commit(host, Ask::set(key(number), 0, Durability::One)));
            // The oracles see to these.
            let shared = Ask::set(key(1_000_000), u8::try_from(host).expect("few"), Durability::One);
            story.commit(host, shared);
        }
    }
}
