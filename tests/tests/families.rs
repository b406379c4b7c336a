//! Members with addresses of either family, in one cluster; and a group of IPv6.
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::{env, net::UdpSocket, process::Command};

use heirloom_core::{Delta, Durability};
use heirloom_runtime::Settings;
use heirloom_tests::{Driven, Lab, Member, introduce};

#[test]
fn members_of_both_families_are_one_cluster() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    for families in [[6, 6, 6], [4, 6, 4], [6, 4, 6]] {
        let lab = Lab::default();
        let members = families.map(|family| {
            let driven = if family == 4 { Driven::ByThread } else { Driven::BySmol };
            lab.start_driven(driven, settings(&lab, family), lab.config())
        });
        introduce(&members);
        share_a_session(members);
    }
}

/// One configured peer is enough: the others are heard of through it, whatever family they are of.
#[test]
fn who_knows_one_member_finds_those_of_the_other_family() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let lab = Lab::default();
    let members = [4, 6, 4].map(|family| lab.start(settings(&lab, family), lab.config()));
    for member in &members[1..] {
        member.handle.set_peers(vec![members[0].handle.address()]);
    }
    share_a_session(members);
}

#[test]
fn members_find_each_other_in_a_group_of_ipv6() {
    const INSIDE: &str = "HEIRLOOM_TEST_IN_NAMESPACE";
    const NAME: &str = "members_find_each_other_in_a_group_of_ipv6";
    if env::var_os(INSIDE).is_some() {
        // The first interface of a namespace is loopback.
        let group = SocketAddrV6::new(Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 77), 45564, 0, 1);
        let lab = Lab::default();
        let settings = Settings { multicast: Some(SocketAddr::V6(group)), ..settings(&lab, 6) };
        share_a_session([(); 3].map(|()| lab.start(settings.clone(), lab.config())));
        return;
    }
    // On loopback a group of IPv6 needs a route, so this is tried in a network namespace of its own, which takes rights.
    let route = "ip link set lo up && ip -6 route add local ff00::/8 dev lo table local && echo there && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["--net", "sh", "-c", route, "sh"]).arg(env::current_exe().unwrap());
    let Ok(output) = inside.args(["--exact", NAME, "--nocapture"]).env(INSIDE, "1").output() else {
        println!("skipped: there is no unshare");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    if !told.starts_with("there") {
        println!("skipped: no network namespace could be made: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

fn share_a_session(members: [Member; 3]) {
    members.iter().for_each(|member| drop(member.await_ready(2)));
    for (number, member) in members.iter().enumerate() {
        let key = member.handle.key(0, &[u8::try_from(number).unwrap()]).unwrap();
        let receipt = member.handle.commit(key, Delta::new().set("n", "1"), Durability::All).wait().unwrap();
        assert_eq!(receipt.members.len(), 2);
        assert!(members.iter().all(|other| other.handle.peek(&key).is_some()));
    }
    members.into_iter().for_each(Member::stop);
}

fn settings(lab: &Lab, family: u8) -> Settings {
    match family {
        4 => lab.settings(),
        _ => Settings { bind: SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), ..lab.settings() },
    }
}
