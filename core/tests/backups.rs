//! Members with backups over a network that loses nothing.

mod net;

use std::time::Duration;

use heirloom_core::{
    AtLeast, CommitError, Copies, Delta, Durability, Fetch, FetchId, Fetched, Outcome, Purpose, SessionKey,
};
use net::Net;

const COUNT: usize = 5;

fn cluster(backups: u8) -> Net {
    let mut net = Net::with([Copies::Backups(backups); COUNT]);
    (0..COUNT).for_each(|n| net.start(n));
    net.run(Duration::from_secs(8));
    net
}

fn key(n: u8) -> SessionKey {
    SessionKey([n; 16])
}

/// Which of the living hold a copy, and that all copies are equal.
fn copies(net: &Net, key: &SessionKey, dead: &[usize]) -> Vec<usize> {
    let living: Vec<_> = (0..COUNT).filter(|n| !dead.contains(n)).collect();
    let held = |n: usize| net.nodes[n].records().find(|(held, _)| *held == key).map(|(_, session)| session.clone());
    let holders: Vec<_> = living.iter().copied().filter(|n| held(*n).is_some()).collect();
    assert!(holders.windows(2).all(|two| held(two[0]) == held(two[1])), "the copies are equal");
    for n in living {
        let must = net.nodes[n].holders(key);
        let owner = holders.first().and_then(|first| held(*first)?.owner());
        let expected: Vec<_> = must.into_iter().chain(owner).collect();
        assert_eq!(holders.contains(&n), expected.contains(&net.nodes[n].id()), "who must hold it does, nobody else");
    }
    holders
}

fn fetch(net: &mut Net, n: usize, key: SessionKey, purpose: Purpose) -> Fetched {
    match net.nodes[n].fetch(net.now, key, purpose).expect("it serves") {
        Fetch::Here => Fetched::Here,
        Fetch::Asked(id) => answer(net, n, id),
    }
}

fn answer(net: &mut Net, n: usize, id: FetchId) -> Fetched {
    for _ in 0..100 {
        if let Some((answered, fetched)) = net.nodes[n].poll_fetched() {
            assert_eq!(answered, id);
            return fetched;
        }
        net.run(Duration::from_millis(1));
    }
    panic!("an answer comes")
}

fn write_without_waiting(net: &mut Net, n: usize, key: SessionKey, value: &'static str) {
    net.nodes[n].commit(net.now, key, Delta::new().set(value, value), Durability::Local).expect("it is taken");
}

fn write(net: &mut Net, n: usize, key: SessionKey, value: &'static str, durability: Durability) -> Outcome {
    let id = net.nodes[n].commit(net.now, key, Delta::new().set(value, value), durability).expect("it is taken");
    let outcomes = net.outcomes(n, Duration::from_millis(20));
    outcomes.into_iter().find(|(_, (told, _))| *told == id).expect("it ends").1.1
}

#[test]
fn a_session_has_its_copies_and_no_other_and_a_death_moves_only_what_it_must() {
    for backups in 1..=3 {
        let mut net = cluster(backups);
        for n in 0..60 {
            let member = usize::from(n) % COUNT;
            let outcome = write(&mut net, member, key(n), "a", Durability::All);
            let Outcome::Durable(receipt) = outcome else { panic!("{outcome:?}") };
            let most = usize::from(backups) + 1;
            assert!((most - 1..=most).contains(&receipt.members.len()));
        }
        for n in 0..60 {
            copies(&net, &key(n), &[]);
        }
        let before: u64 = net.nodes.iter().map(|node| node.stats().deltas_applied).sum();
        net.kill(2);
        net.run(Duration::from_secs(8));
        for n in 0..60 {
            let holders = copies(&net, &key(n), &[2]);
            assert!(usize::from(backups) < holders.len(), "{holders:?}");
        }
        let after: u64 = net.nodes.iter().map(|node| node.stats().deltas_applied).sum();
        println!("{backups} backups: {} deltas applied", after - before);
        assert!((0..COUNT).filter(|n| *n != 2).all(|n| net.nodes[n].is_settled()));
    }
}

#[test]
fn every_member_reads_and_changes_a_session_wherever_it_is() {
    let mut net = cluster(1);
    write(&mut net, 0, key(1), "a", Durability::All);
    for n in 0..COUNT {
        match fetch(&mut net, n, key(1), Purpose::Read) {
            Fetched::Here => assert!(net.nodes[n].session(&key(1)).is_some()),
            Fetched::Copy(session, deadline) => {
                assert!(session.attribute(b"a").is_some());
                assert!(deadline.is_some_and(|deadline| net.now < deadline));
            }
            other @ (Fetched::Unknown | Fetched::Late | Fetched::Stale { .. }) => panic!("{other:?}"),
        }
        assert_eq!(fetch(&mut net, n, key(2), Purpose::Read), Fetched::Unknown);
    }
    copies(&net, &key(1), &[]);
    for (n, name) in ["b", "c", "d", "e", "f"].into_iter().enumerate() {
        assert_eq!(fetch(&mut net, n, key(1), Purpose::Write), Fetched::Here);
        let outcome = write(&mut net, n, key(1), name, Durability::All);
        assert!(matches!(outcome, Outcome::Durable(_)));
        let session = net.nodes[n].session(&key(1)).expect("it is here");
        assert_eq!(session.attributes().count(), n + 2);
        assert_eq!(session.owner(), Some(net.nodes[n].id()));
    }
    net.run(Duration::from_secs(4));
    copies(&net, &key(1), &[]);
}

#[test]
fn a_copy_older_than_what_the_caller_has_seen_asks_for_the_newer_one() {
    for copies in [Copies::Everywhere, Copies::Backups(1)] {
        let mut net = Net::with([copies; COUNT]);
        (0..COUNT).for_each(|n| net.start(n));
        net.run(Duration::from_secs(8));
        write(&mut net, 0, key(1), "a", Durability::All);
        // Done on the member that serves it, and on its way to the others.
        write_without_waiting(&mut net, 0, key(1), "b");
        let seen = net.nodes[0].session(&key(1)).expect("it is here").version();
        for n in 0..COUNT {
            let found = match net.nodes[n].session_at_least(net.now, &key(1), &seen).expect("it serves") {
                AtLeast::Here(session) => session,
                AtLeast::Asked(id) => match answer(&mut net, n, id) {
                    Fetched::Copy(session, _) => session,
                    other @ (Fetched::Here | Fetched::Unknown | Fetched::Late | Fetched::Stale { .. }) => {
                        panic!("{other:?}")
                    }
                },
                other @ (AtLeast::Ended(_) | AtLeast::Stale { .. }) => panic!("{other:?}"),
            };
            assert!(found.attribute(b"b").is_some());
        }
    }
}

#[test]
fn what_nobody_has_is_told_as_stale() {
    let mut net = cluster(1);
    write(&mut net, 0, key(1), "a", Durability::All);
    let mut other = cluster(1);
    write(&mut other, 0, key(1), "elsewhere", Durability::All);
    let unheard = other.nodes[0].session(&key(1)).expect("it is there").version();
    for n in 0..COUNT {
        let AtLeast::Asked(id) = net.nodes[n].session_at_least(net.now, &key(1), &unheard).expect("it serves") else {
            panic!("others may have it")
        };
        let Fetched::Stale { have, want } = answer(&mut net, n, id) else { panic!("nobody has it") };
        assert!(have.is_some_and(|have| !have.covers(&unheard)));
        assert_eq!(want, unheard);
    }
}

#[test]
fn who_asks_while_others_answer_gets_an_answer_of_its_own() {
    let mut net = cluster(1);
    write(&mut net, 0, key(1), "a", Durability::All);
    let holders = net.nodes[0].holders(&key(1));
    let bystander =
        (1..COUNT).find(|n| !holders.contains(&net.nodes[*n].id())).expect("five members, three copies at most");
    let ask = |net: &mut Net| match net.nodes[bystander].fetch(net.now, key(1), Purpose::Read).expect("it serves") {
        Fetch::Asked(id) => id,
        Fetch::Here => panic!("it is not here"),
    };
    let first = ask(&mut net);
    net.run(Duration::from_millis(1));
    write_without_waiting(&mut net, 0, key(1), "b");
    let second = ask(&mut net);
    let Fetched::Copy(_, _) = answer(&mut net, bystander, first) else { panic!("it is there") };
    let Fetched::Copy(session, _) = answer(&mut net, bystander, second) else { panic!("it is there") };
    assert!(session.attribute(b"b").is_some());
}

/// Registers move with their births, so they would die under an end of the new key that the mover has not heard of.
#[test]
fn an_id_change_to_a_key_that_ended_elsewhere_is_refused_once_it_was_fetched() {
    let mut net = cluster(1);
    let (old, ended) = (key(1), key(2));
    write(&mut net, 0, old, "a", Durability::All);
    write(&mut net, 0, ended, "b", Durability::All);
    net.run(Duration::from_secs(4));
    let id = net.nodes[0].commit(net.now, ended, Delta::end(), Durability::All).expect("it lives");
    assert!(net.outcomes(0, Duration::from_millis(20)).iter().any(|(_, (told, _))| *told == id));
    for n in 0..COUNT {
        assert_eq!(fetch(&mut net, n, old, Purpose::Write), Fetched::Here);
        let found = fetch(&mut net, n, ended, Purpose::Write);
        assert!(matches!(found, Fetched::Here | Fetched::Unknown));
        let refused = net.nodes[n].change_id(net.now, old, ended, Durability::All);
        assert_eq!(refused, Err(CommitError::TargetTaken), "{n}");
    }
    net.run(Duration::from_secs(4));
    copies(&net, &old, &[]);
    copies(&net, &ended, &[]);
}
