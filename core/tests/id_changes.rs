//! Id changes: whatever races one, the session is in one place afterwards, with all that was written to it.

mod net;

use std::time::Duration;

use heirloom_core::{
    CommitError, Copies, Delta, Durability, EndCause, Event, Fetch, Fetched, Outcome, Purpose, SessionKey,
};
use net::Net;

const OLD: SessionKey = SessionKey([7; 16]);
const NEW: SessionKey = SessionKey([8; 16]);
const OTHER: SessionKey = SessionKey([9; 16]);
const SHORT: Duration = Duration::from_millis(20);

fn cluster(count: usize) -> Net {
    let mut net = Net::new(count);
    (0..count).for_each(|n| net.start(n));
    net.run(Duration::from_secs(8));
    commit(&mut net, 0, OLD, Delta::new().set("cart", "3"));
    net.run(SHORT);
    net
}

fn commit(net: &mut Net, n: usize, key: SessionKey, delta: Delta) {
    net.nodes[n].commit(net.now, key, delta, Durability::Local).expect("it is taken");
}

fn change_id(net: &mut Net, n: usize, old: SessionKey, new: SessionKey) {
    net.nodes[n].change_id(net.now, old, new, Durability::Local).expect("it is taken");
}

fn shown(net: &Net, n: usize, key: SessionKey) -> Vec<String> {
    let attributes = net.nodes[n].session(&key).into_iter().flat_map(|session| session.attributes());
    attributes.map(|(name, value)| format!("{}={}", text(name), text(value))).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it is text")
}

#[test]
fn an_id_change_is_one_step_and_counts_when_others_have_made_it() {
    let mut net = cluster(2);
    net.events(1);
    let id = net.nodes[1].change_id(net.now, OLD, NEW, Durability::All).expect("it is taken");
    assert_eq!((net.nodes[1].ended(&OLD), net.nodes[1].moved(&OLD)), (Some(EndCause::Moved), Some(NEW)));
    assert_eq!(shown(&net, 1, NEW), ["cart=3"]);
    let outcomes = net.outcomes(1, SHORT);
    assert!(
        matches!(&outcomes[..], [(_, (done, Outcome::Durable(receipt)))] if *done == id && receipt.members.len() == 1)
    );
    for n in 0..2 {
        assert_eq!((net.nodes[n].ended(&OLD), net.nodes[n].moved(&OLD)), (Some(EndCause::Moved), Some(NEW)));
        assert_eq!((shown(&net, n, OLD), shown(&net, n, NEW)), (vec![], vec!["cart=3".into()]));
        assert!(net.events(n).contains(&Event::SessionEnded(OLD, EndCause::Moved)));
        assert_eq!(net.nodes[n].sessions(), 1);
    }
    // Who logs in under the old id has a session of its own, and its end is none of the other's business.
    commit(&mut net, 0, OLD, Delta::new().set("cart", "0"));
    net.run(SHORT);
    assert_eq!((shown(&net, 1, OLD), shown(&net, 1, NEW)), (vec!["cart=0".into()], vec!["cart=3".into()]));
    commit(&mut net, 1, OLD, Delta::end());
    net.run(SHORT);
    assert_eq!((net.nodes[0].ended(&OLD), shown(&net, 0, NEW)), (Some(EndCause::Ended), vec!["cart=3".into()]));
    // An id change was a use; later the session expires, and everything is forgotten.
    net.run(Duration::from_secs(12));
    assert_eq!((net.nodes[0].ended(&NEW), net.nodes[0].sessions()), (Some(EndCause::Idle), 0));
    net.run(Duration::from_secs(70));
    assert_eq!(net.nodes.iter().map(|node| node.records().count()).sum::<usize>(), 0);
}

#[test]
fn a_target_that_is_there_is_left_alone_and_a_session_may_come_back() {
    let mut net = cluster(2);
    commit(&mut net, 0, NEW, Delta::new().set("cart", "1"));
    let now = net.now;
    let result = net.nodes[0].change_id(now, OLD, NEW, Durability::Local);
    assert_eq!(result, Err(CommitError::TargetTaken));
    assert_eq!(net.nodes[0].change_id(now, OTHER, NEW, Durability::Local), Err(CommitError::NoSession));
    assert_eq!(net.nodes[0].change_id(now, OLD, OLD, Durability::Local), Err(CommitError::TargetTaken));
    assert_eq!((shown(&net, 0, OLD), shown(&net, 0, NEW)), (vec!["cart=3".into()], vec!["cart=1".into()]));
    change_id(&mut net, 0, OLD, OTHER);
    net.run(SHORT);
    change_id(&mut net, 1, OTHER, OLD);
    net.run(SHORT);
    for n in 0..2 {
        assert_eq!((shown(&net, n, OLD), shown(&net, n, OTHER)), (vec!["cart=3".into()], vec![]));
        assert_eq!((net.nodes[n].moved(&OLD), net.nodes[n].moved(&OTHER)), (None, Some(OLD)));
    }
}

/// What is written under the old id elsewhere goes along, and does not count before it has arrived there.
#[test]
fn a_write_under_the_old_id_goes_along() {
    let mut net = cluster(3);
    net.hold();
    commit(&mut net, 0, OLD, Delta::new().set("user", "alice"));
    change_id(&mut net, 0, OLD, NEW);
    let write = net.nodes[1].commit(net.now, OLD, Delta::new().set("seen", "1"), Durability::All).expect("it is taken");
    net.run(SHORT);
    assert_eq!(shown(&net, 1, OLD), ["cart=3", "seen=1"]);
    net.release();
    let outcomes = net.outcomes(1, SHORT);
    assert!(matches!(&outcomes[..], [(_, (done, Outcome::Durable(_)))] if *done == write));
    for n in 0..3 {
        assert_eq!((shown(&net, n, OLD), net.nodes[n].ended(&OLD)), (vec![], Some(EndCause::Moved)));
        assert_eq!(shown(&net, n, NEW), ["cart=3", "seen=1", "user=alice"]);
    }
}

#[test]
fn of_two_id_changes_one_wins_and_nothing_is_lost() {
    let mut net = cluster(3);
    net.hold();
    change_id(&mut net, 0, OLD, NEW);
    commit(&mut net, 0, NEW, Delta::new().set("user", "alice"));
    change_id(&mut net, 1, OLD, OTHER);
    commit(&mut net, 1, OTHER, Delta::new().set("seen", "1"));
    net.run(SHORT);
    net.release();
    net.run(SHORT);
    let winner = net.nodes[0].moved(&OLD).expect("it has moved");
    let loser = if winner == NEW { OTHER } else { NEW };
    for n in 0..3 {
        assert_eq!(shown(&net, n, winner), ["cart=3", "seen=1", "user=alice"]);
        assert_eq!((net.nodes[n].moved(&OLD), net.nodes[n].moved(&loser)), (Some(winner), Some(winner)));
        assert_eq!(
            (net.nodes[n].ended(&OLD), net.nodes[n].ended(&loser)),
            (Some(EndCause::Moved), Some(EndCause::Moved))
        );
        assert_eq!(net.nodes[n].sessions(), 1);
    }
}

/// P3: whoever logs out under the old id, not knowing of the new one, is logged out.
#[test]
fn a_logout_that_races_an_id_change_wins() {
    let mut net = cluster(3);
    net.hold();
    change_id(&mut net, 0, OLD, NEW);
    commit(&mut net, 1, OLD, Delta::evict());
    net.run(SHORT);
    assert_eq!((shown(&net, 0, NEW), net.nodes[1].ended(&OLD)), (vec!["cart=3".into()], Some(EndCause::Evicted)));
    net.release();
    net.run(SHORT);
    for n in 0..3 {
        assert_eq!((shown(&net, n, OLD), shown(&net, n, NEW)), (vec![], vec![]));
        assert_eq!(net.nodes[n].ended(&NEW), Some(EndCause::Ended));
        assert_eq!(net.nodes[n].sessions(), 0);
    }
}

#[test]
fn those_that_are_left_finish_an_id_change() {
    let mut net = cluster(3);
    change_id(&mut net, 0, OLD, NEW);
    // One stream gets a frame, the other none.
    net.run_alone(0, 1);
    net.kill(0);
    net.run(Duration::from_secs(2));
    let held: Vec<_> = (1..3).map(|n| (shown(&net, n, OLD), shown(&net, n, NEW), net.nodes[n].ended(&OLD))).collect();
    assert_eq!(held[0], held[1]);
    assert_eq!(held[0], (vec![], vec!["cart=3".into()], Some(EndCause::Moved)));
}

#[test]
fn with_backups_an_id_change_moves_the_copies() {
    let mut net = Net::with([Copies::Backups(1); 5]);
    (0..5).for_each(|n| net.start(n));
    net.run(Duration::from_secs(8));
    for round in 0..20_u8 {
        let [old, new] = [round, round + 100].map(|n| SessionKey([n; 16]));
        let at = usize::from(round) % 5;
        commit(&mut net, at, old, Delta::new().set("cart", "3"));
        net.run(Duration::from_millis(100));
        let at = (at + usize::from(round) / 5) % 5;
        fetch(&mut net, at, old, Purpose::Write);
        let id = net.nodes[at].change_id(net.now, old, new, Durability::One).expect("it is taken");
        let outcomes = net.outcomes(at, Duration::from_millis(100));
        let outcome = outcomes.into_iter().find(|(_, (done, _))| *done == id);
        assert!(matches!(outcome, Some((_, (_, Outcome::Durable(_))))), "{outcome:?}");
    }
    net.run(Duration::from_secs(5));
    for round in 0..20_u8 {
        let [old, new] = [round, round + 100].map(|n| SessionKey([n; 16]));
        for n in 0..5 {
            let node = &net.nodes[n];
            let record = |key| node.records().find(|(held, _)| **held == key).map(|(_, session)| session.clone());
            let owner = (0..5).find_map(|n| {
                let node = &net.nodes[n];
                node.records().find(|(held, _)| **held == new).and_then(|(_, session)| session.owner())
            });
            let must = node.holders(&new).contains(&node.id()) || owner == Some(node.id());
            assert_eq!(record(new).is_some(), must, "who must hold it does, nobody else");
            assert!(record(new).is_none_or(|session| session.attribute(b"cart").is_some()));
            assert!(record(old).is_none_or(|session| !session.is_live()));
        }
        let at = usize::from(round) % 5;
        assert!(matches!(
            fetch(&mut net, at, old, Purpose::Read),
            Fetched::Copy(..) | Fetched::Here | Fetched::Unknown
        ));
        assert_eq!(net.nodes[at].session(&old), None);
    }
}

fn fetch(net: &mut Net, n: usize, key: SessionKey, purpose: Purpose) -> Fetched {
    match net.nodes[n].fetch(net.now, key, purpose).expect("it serves") {
        Fetch::Here => Fetched::Here,
        Fetch::Asked(id) => {
            for _ in 0..100 {
                net.run(Duration::from_millis(1));
                if let Some((answered, fetched)) = net.nodes[n].poll_fetched() {
                    assert_eq!(answered, id);
                    return fetched;
                }
            }
            panic!("an answer comes")
        }
    }
}

/// The end of the old key needs room among those that are remembered, of which that of the new key is the oldest.
#[test]
fn a_session_moves_to_a_key_whose_end_is_the_oldest_that_is_remembered() {
    let mut net = Net::configured([Copies::Everywhere], |_, config| config.ended_max = 1);
    net.start(0);
    net.run(Duration::from_secs(8));
    commit(&mut net, 0, NEW, Delta::new().set("before", "1"));
    commit(&mut net, 0, NEW, Delta::end());
    commit(&mut net, 0, OLD, Delta::new().set("cart", "3"));
    change_id(&mut net, 0, OLD, NEW);
    net.run(SHORT);
    assert_eq!(shown(&net, 0, NEW), ["cart=3"]);
    assert_eq!((net.nodes[0].ended(&OLD), net.nodes[0].sessions()), (Some(EndCause::Moved), 1));
}
