//! Two or three members over a network that loses nothing: the least that must work.

mod net;

use std::time::Duration;

use heirloom_core::{Config, Copies, Delta, Durability, Event, MemberId, MemberState, Outcome, ReadyCause, Receipt};
use net::{Net, address};

#[test]
fn a_second_member_receives_the_state_before_it_is_ready_and_keeps_it_when_the_first_dies() {
    let mut net = Net::new(2);
    net.start(0);
    net.run(Duration::from_secs(4));
    assert_eq!(net.nodes[0].state(), MemberState::Ready);
    let login = Delta::new().set("user", "alice");
    let local = net.commit(0, login, Durability::Local);
    let done = Outcome::Durable(Receipt::default());
    assert_eq!(net.nodes[0].poll_outcome(), Some((local, done)));
    net.start(1);
    net.run(Duration::from_secs(2));
    assert_eq!(net.nodes[1].state(), MemberState::Ready);
    assert!(net.events(1).contains(&Event::Ready(ReadyCause::Joined)));
    assert_eq!(net.user(1), Some("alice".into()));

    let id = net.commit(0, Delta::new().set("user", "bob"), Durability::One);
    net.run(Duration::from_millis(10));
    let outcome = net.nodes[0].poll_outcome();
    assert!(
        matches!(outcome, Some((done, Outcome::Durable(receipt))) if done == id && receipt.members == [MemberId(2)])
    );
    assert_eq!(net.user(1), Some("bob".into()));

    net.kill(0);
    net.run(Duration::from_millis(50));
    assert_eq!(net.nodes[1].members().count(), 0);
    net.commit(1, Delta::new().set("user", "carol"), Durability::Local);
    assert_eq!(net.user(1), Some("carol".into()));
    assert_eq!(net.nodes[1].stats().takeovers + net.nodes[1].stats().adoptions, 1);
}

#[test]
fn an_end_reaches_the_other_member_and_an_idle_session_expires_on_both() {
    let mut net = Net::new(2);
    net.start(0);
    net.start(1);
    net.run(Duration::from_secs(6));
    net.commit(0, Delta::new().set("user", "alice"), Durability::All);
    net.run(Duration::from_millis(10));
    assert_eq!(net.user(1), Some("alice".into()));
    net.commit(1, Delta::end(), Durability::All);
    net.run(Duration::from_millis(10));
    assert_eq!(net.user(0), None);
    net.commit(0, Delta::new().set("user", "again"), Durability::All);
    net.run(Duration::from_millis(10));
    assert_eq!(net.user(1), Some("again".into()));
    net.run(Duration::from_secs(12));
    assert_eq!((net.user(0), net.user(1)), (None, None));
    net.run(Duration::from_secs(62));
    assert_eq!(net.nodes.iter().map(|node| node.records().count()).sum::<usize>(), 0);
}

#[test]
fn members_that_place_copies_differently_stay_apart_and_each_is_told_once() {
    let mut net = Net::with([Copies::Everywhere, Copies::Backups(1)]);
    net.start(0);
    net.start(1);
    net.run(Duration::from_secs(20));
    for (n, other) in [(0, 1), (1, 0)] {
        assert_eq!(net.nodes[n].state(), MemberState::Ready);
        assert_eq!(net.nodes[n].members().count(), 0);
        assert!(0 < net.nodes[n].stats().frames_refused);
        let told = net.events(n).into_iter().filter(|event| matches!(event, Event::Mismatched(..)));
        assert_eq!(told.collect::<Vec<_>>(), [Event::Mismatched(net.nodes[other].id(), address(other))]);
    }
    let refused = |net: &Net| net.nodes.iter().map(|node| node.stats().frames_refused).sum::<u64>();
    net.run(Duration::from_secs(60));
    let before = refused(&net);
    net.run(Duration::from_secs(120));
    assert!((2..=10).contains(&(refused(&net) - before)), "each greets the other about once in a minute");
}

#[test]
fn a_member_says_how_much_it_holds_and_where_it_runs() {
    let mut net = Net::new(2);
    net.start(0);
    net.start(1);
    net.run(Duration::from_secs(2));
    let told: Vec<_> = net.nodes[0].members().map(|member| (member.weight, &*member.host, &*member.zone)).collect();
    assert_eq!(told, [(200, "host 1", "zone 1")]);
}

/// The kernel of a hung member accepts everything, and its node answers nothing.
#[test]
fn a_hung_member_costs_a_commit_its_deadline_or_the_time_until_it_is_out_of_the_view() {
    let mut net = Net::new(3);
    (0..3).for_each(|n| net.start(n));
    net.run(Duration::from_secs(6));
    let [second, third] = [MemberId(2), MemberId(3)];
    net.hang(1);
    let began = net.now;
    let late = net.commit(0, Delta::new().set("user", "alice"), Durability::All.within(Duration::from_millis(500)));
    let patient = net.commit(0, Delta::new().set("user", "bob"), Durability::All);
    let most = net.commit(0, Delta::new().set("user", "carol"), Durability::Majority);
    let outcomes = net.outcomes(0, Duration::from_secs(6));
    let [(first_at, first), (second_at, second_one), (third_at, third_one)] = &outcomes[..] else {
        panic!("each commit has one outcome: {outcomes:?}")
    };
    let receipt = |missing: &[MemberId]| Receipt { members: vec![third], missing: missing.to_vec() };
    assert_eq!(*first, (most, Outcome::Durable(receipt(&[second]))));
    assert!(first_at.since(began) <= Duration::from_millis(10), "{first_at}");
    let short = Outcome::NotDurable { have: vec![third], missing: vec![second], want: 2, late: true };
    assert_eq!(*second_one, (late, short));
    assert_eq!(second_at.since(began), Duration::from_millis(500));
    assert_eq!(*third_one, (patient, Outcome::Durable(receipt(&[]))));
    let config = Config::default();
    let bound = config.drop_time + config.probe_time + config.frequency;
    assert!(third_at.since(began) <= bound, "{third_at}");
    assert_eq!(net.nodes[0].members().count(), 1);
}

#[test]
fn a_commit_that_only_a_hung_member_could_make_durable_ends_when_that_one_is_out_of_the_view() {
    let mut net = Net::new(2);
    (0..2).for_each(|n| net.start(n));
    net.run(Duration::from_secs(6));
    net.hang(1);
    let ids = [Durability::One, Durability::All, Durability::Majority, Durability::Copies(1)]
        .map(|durability| net.commit(0, Delta::new().set("user", "alice"), durability));
    let outcomes = net.outcomes(0, Duration::from_secs(6));
    let short = Outcome::NotDurable { have: vec![], missing: vec![], want: 1, late: false };
    let told: Vec<_> = outcomes.into_iter().map(|(_, told)| told).collect();
    assert_eq!(told, ids.map(|id| (id, short.clone())));
}
