//! Members of several domains on one network.

mod net;

use core::time::Duration;

use heirloom_core::{
    AtRisk, Copies, Delta, Durability, Event, Fetch, Fetched, MemberId, MemberState, Outcome, Purpose, ReadyCause,
    RemovalCause,
};
use net::{KEY, Net, address};

/// Every second one is of the other domain. Members say nothing on streams unless something has happened.
fn two_domains(count: usize, copies: Copies) -> Net {
    Net::configured(vec![copies; count], |n, config| {
        config.domain = ["one", "other"][n % 2].into();
        config.digest_every = Duration::ZERO;
    })
}

fn started(count: usize, copies: Copies) -> Net {
    let mut net = two_domains(count, copies);
    (0..count).for_each(|n| net.start(n));
    net.run(Duration::from_secs(6));
    net
}

fn seen(net: &Net, n: usize) -> (Vec<MemberId>, Vec<(MemberId, String)>) {
    let node = &net.nodes[n];
    let mut members: Vec<_> = node.members().map(|member| member.id).collect();
    members.sort_unstable();
    (members, node.neighbors().map(|member| (member.id, member.domain.clone())).collect())
}

fn id(n: u64) -> MemberId {
    MemberId(n + 1)
}

#[test]
fn members_of_another_domain_are_seen_and_are_no_members() {
    let mut net = started(5, Copies::Everywhere);
    let other = |n| (id(n), "other".to_owned());
    assert_eq!(seen(&net, 0), (vec![id(2), id(4)], vec![other(1), other(3)]));
    let one = |n| (id(n), "one".to_owned());
    assert_eq!(seen(&net, 3), (vec![id(1)], vec![one(0), one(2), one(4)]));
    for n in 0..2 {
        let events = net.events(n);
        assert!(events.contains(&Event::NeighborAdded(id(1 - n as u64))));
        assert!(!events.contains(&Event::MemberAdded(id(1 - n as u64))));
    }
    assert!(net.nodes[0].neighbors().all(|member| member.state == MemberState::Ready));
}

/// No session crosses: each domain has one of its own under the same key.
#[test]
fn the_same_key_is_a_session_of_its_own_in_each_domain() {
    for copies in [Copies::Everywhere, Copies::Backups(1)] {
        let mut net = started(6, copies);
        let commits = [(0, "alice"), (1, "bob")].map(|(n, user)| {
            let own: Vec<_> = net.nodes[n].members().map(|member| member.id).collect();
            let holders = net.nodes[n].holders(&KEY);
            assert!(holders.iter().all(|holder| own.contains(holder) || *holder == net.nodes[n].id()));
            net.commit(n, Delta::new().set("user", user), Durability::All)
        });
        net.run(Duration::from_millis(50));
        for (n, commit) in [0, 1].into_iter().zip(commits) {
            let Some((ended, Outcome::Durable(receipt))) = net.nodes[n].poll_outcome() else { panic!("not durable") };
            assert_eq!(ended, commit);
            assert!(receipt.members.iter().all(|member| (member.0 - 1) % 2 == n as u64), "{receipt:?}");
        }
        for (n, user) in [(2, "alice"), (4, "alice"), (3, "bob"), (5, "bob")] {
            match net.nodes[n].fetch(net.now, KEY, Purpose::Read).expect("it is ready") {
                Fetch::Here => assert_eq!(net.user(n).as_deref(), Some(user)),
                Fetch::Asked(_) => {
                    net.run(Duration::from_millis(10));
                    let Some((_, Fetched::Copy(session, _))) = net.nodes[n].poll_fetched() else {
                        panic!("n{n} finds nothing")
                    };
                    assert_eq!(session.attribute(b"user").map(|user| &user[..]), Some(user.as_bytes()));
                }
            }
        }
        net.commit(0, Delta::end(), Durability::All);
        net.run(Duration::from_secs(1));
        assert!(net.nodes[0].ended(&KEY).is_some());
        assert_eq!(net.nodes[1].ended(&KEY), None);
    }
}

#[test]
fn who_is_alone_in_its_domain_starts_alone_and_leaves_at_once() {
    let mut net = two_domains(3, Copies::Everywhere);
    net.start(0);
    net.start(2);
    net.run(Duration::from_secs(6));
    net.start(1);
    net.run(Duration::from_secs(4));
    assert!(net.events(1).contains(&Event::Ready(ReadyCause::FirstMember)));
    let now = net.now;
    net.nodes[1].leave(now);
    net.run(Duration::from_millis(10));
    assert!(net.events(1).contains(&Event::Left { at_risk: AtRisk::default() }));
    assert!(net.events(0).contains(&Event::NeighborRemoved(id(1), RemovalCause::Left)));
}

/// Nothing depends on it, so nothing is done about it.
#[test]
fn a_neighbor_that_dies_is_told_of_and_nothing_walks() {
    let mut net = started(4, Copies::Backups(1));
    net.commit(0, Delta::new().set("user", "alice"), Durability::All);
    net.run(Duration::from_secs(1));
    let events = net.events(0);
    assert!(!events.is_empty());
    let before = net.nodes[0].stats();
    net.kill(1);
    for _ in 0..70 {
        net.run(Duration::from_millis(100));
        assert!(net.nodes[0].is_settled());
    }
    assert_eq!(net.events(0), [Event::NeighborRemoved(id(1), RemovalCause::Silent)]);
    let after = net.nodes[0].stats();
    assert_eq!((after.stream_bytes_sent, after.deltas_sent), (before.stream_bytes_sent, before.deltas_sent));
    assert!(net.events(3).contains(&Event::MemberRemoved(id(1), RemovalCause::Refused)));
}

/// Without a group, who is known to one is named to all.
#[test]
fn neighbors_are_found_through_a_third_without_a_group() {
    let mut net = two_domains(6, Copies::Everywhere);
    for n in 0..6 {
        net.nodes[n].set_group(false);
        net.nodes[n].set_peers(net.now, vec![address(0)]);
        net.start(n);
    }
    net.run(Duration::from_secs(8));
    for n in 0..6 {
        let (members, neighbors) = seen(&net, n);
        assert_eq!((members.len(), neighbors.len()), (2, 3), "n{n}");
    }
}
