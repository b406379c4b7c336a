//! Two versions of the protocol at once: each pair of members speaks the newest that both know.

mod net;

use std::time::Duration;

use heirloom_core::{Config, Delta, Durability};
use net::Net;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_pair_speaks_the_newest_version_that_both_know() {
    let mut net = versions(&[1, 2, 2]);
    (0..3).for_each(|n| net.start(n));
    net.run(SECOND * 6);
    let spoken = |net: &Net, n: usize| -> Vec<_> {
        net.nodes[n].members().map(|member| (member.id.0, member.version)).collect()
    };
    for (n, wanted) in [(0, [(2, 1), (3, 1)]), (1, [(1, 1), (3, 2)]), (2, [(1, 1), (2, 2)])] {
        let mut spoken = spoken(&net, n);
        spoken.sort();
        assert_eq!(spoken, wanted);
    }
    for n in 0..3 {
        net.commit(n, Delta::new().set("user", format!("{n}")), Durability::All);
        net.run(SECOND / 10);
        assert!((0..3).all(|other| net.user(other) == Some(format!("{n}"))));
    }
    let unknown: Vec<_> = net.nodes.iter().map(|node| node.stats().kinds_unknown).collect();
    assert_eq!(unknown, [2, 0, 0], "a word of the next version from each that speaks it");
    assert!(net.nodes.iter().all(|node| node.stats().frames_refused == 0));
}

/// All members are replaced one by one, by ones of the next version and back.
#[test]
fn nothing_is_lost_when_members_are_replaced_by_ones_of_another_version() {
    for [old, new] in [[1, 2], [2, 1]] {
        let mut net = versions(&[old, old, old, new, new, new]);
        (0..3).for_each(|n| net.start(n));
        net.run(SECOND * 6);
        for step in 0..3 {
            net.commit(step, Delta::new().set("user", format!("{step}")), Durability::All);
            net.start(step + 3);
            net.run(SECOND * 4);
            net.kill(step);
            assert_eq!(net.user(step + 3), Some(format!("{step}")));
        }
        net.run(SECOND);
        let spoken: Vec<_> = net.nodes[3].members().map(|member| member.version).collect();
        assert_eq!(spoken, [new, new]);
    }
}

fn versions(versions: &[u8]) -> Net {
    Net::of(versions.iter().map(|&version_max| Config { version_max, ..Config::default() }))
}
