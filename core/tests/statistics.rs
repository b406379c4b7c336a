//! What a node tells of what it does.

mod net;

use std::time::Duration;

use heirloom_core::{
    AttributeTraffic, CommitError, Copies, Delta, Durability, Lifetime, MemberId, Outcome, Receipt, SessionKey, Stats,
};
use net::{KEY, Net};

const MILLI: Duration = Duration::from_millis(1);
const ALL: [Copies; 3] = [Copies::Everywhere, Copies::Backups(2), Copies::Backups(1)];

fn cluster(copies: Copies) -> Net {
    let mut net = Net::with([copies; 3]);
    (0..3).for_each(|n| net.start(n));
    net.run(Duration::from_secs(8));
    net
}

/// What a member has counted while it made a commit and all of it was carried out.
fn while_it_commits(net: &mut Net, n: usize, delta: Delta) -> [u64; 3] {
    let counted = |stats: Stats| [stats.commits, stats.commits_unchanged, stats.deltas_sent];
    let before = counted(net.nodes[n].stats());
    net.commit(n, delta, Durability::All);
    let outcomes = net.outcomes(n, Duration::from_millis(50));
    assert!(matches!(outcomes[..], [(_, (_, Outcome::Durable(_)))]), "{outcomes:?}");
    let after = counted(net.nodes[n].stats());
    std::array::from_fn(|at| after[at] - before[at])
}

#[test]
fn what_is_there_already_is_not_sent_again_and_is_durable_at_once() {
    for copies in ALL {
        let mut net = cluster(copies);
        let owner = (0..3).find(|n| net.nodes[*n].holders(&KEY).contains(&net.nodes[*n].id())).expect("some hold it");
        let write = || Delta::new().set("user", "alice").set("cart", "3 apples");
        let [_, unchanged, sent] = while_it_commits(&mut net, owner, write());
        assert!(unchanged == 0 && 0 < sent);
        let id = net.commit(owner, write(), Durability::All);
        let Some((told, Outcome::Durable(Receipt { mut members, missing }))) = net.nodes[owner].poll_outcome() else {
            panic!("it is durable at once");
        };
        members.sort_unstable();
        let mut others = net.nodes[owner].holders(&KEY);
        others.retain(|member| *member != net.nodes[owner].id());
        others.sort_unstable();
        assert_eq!((told, members, missing), (id, others, vec![]));
        for (delta, counted) in [
            (write(), [1, 1, 0]),
            (Delta::new().set("user", "alice"), [1, 1, 0]),
            (Delta::new().remove("nothing"), [1, 1, 0]),
            (Delta::new(), [1, 1, 0]),
        ] {
            assert_eq!(while_it_commits(&mut net, owner, delta.clone()), counted, "{copies:?} {delta:?}");
        }
        for delta in [
            Delta::new().set("user", "alice").set("cart", "4 apples"),
            Delta::new().set("user", "alice").remove("cart"),
            Delta::new().set("user", "alice").set("user", "bob"),
            Delta::new().lifetime(Lifetime::Never),
            Delta::anew().set("user", "bob"),
        ] {
            let [commits, unchanged, sent] = while_it_commits(&mut net, owner, delta.clone());
            assert!((commits, unchanged) == (1, 0) && 0 < sent, "{copies:?} {delta:?}");
        }
        assert_eq!(net.user(owner).as_deref(), Some("bob"));
    }
}

/// P2: who has not acknowledged a value is brought it before a commit of the same value counts it.
#[test]
fn what_others_may_lack_is_sent_again() {
    let mut net = cluster(Copies::Everywhere);
    net.hold();
    net.commit(0, Delta::new().set("user", "alice"), Durability::Local);
    net.run(MILLI);
    net.commit(0, Delta::new().set("user", "alice"), Durability::One);
    net.run(MILLI);
    assert_eq!(net.nodes[0].stats().commits_unchanged, 0);
    let local = net.nodes[0].poll_outcome().map(|(_, outcome)| outcome);
    assert!(matches!(local, Some(Outcome::Durable(_))), "{local:?}");
    assert_eq!(net.nodes[0].poll_outcome(), None);
    net.release();
    net.run(MILLI * 5);
    assert!(matches!(net.nodes[0].poll_outcome(), Some((_, Outcome::Durable(_)))));
    // What another wrote this node has never brought to anybody: it takes the session over.
    net.commit(1, Delta::new().set("user", "alice"), Durability::All);
    net.run(MILLI * 5);
    assert_eq!(net.nodes[1].stats().commits_unchanged, 0);
    // A session of its own in which it wrote nothing itself.
    net.commit(2, Delta::new().set("guest", "no"), Durability::All);
    net.run(MILLI * 5);
    net.commit(2, Delta::new().set("user", "alice"), Durability::All);
    assert_eq!(net.nodes[2].stats().commits_unchanged, 0);
}

#[test]
fn a_commit_of_what_is_there_is_a_use() {
    let mut net = cluster(Copies::Everywhere);
    net.commit(0, Delta::new().set("user", "alice"), Durability::All);
    for _ in 0..8 {
        net.run(Duration::from_secs(3));
        net.commit(0, Delta::new().set("user", "alice"), Durability::All);
    }
    assert_eq!(net.nodes[0].stats().commits_unchanged, 8);
    assert!((0..3).all(|n| net.user(n).as_deref() == Some("alice")), "it outlived its idle time everywhere");
}

#[test]
fn a_member_lags_by_the_age_of_its_oldest_change() {
    let mut net = cluster(Copies::Everywhere);
    let [first, second, third] = [1, 2, 3].map(MemberId);
    let lags = |net: &Net| [second, third].map(|member| net.nodes[0].lag(net.now, member));
    assert_eq!(lags(&net), [Some(Duration::ZERO); 2]);
    net.hang(2);
    net.commit(0, Delta::new().set("user", "alice"), Durability::Local);
    net.run(Duration::from_secs(1));
    net.commit(0, Delta::new().set("user", "bob"), Durability::Local);
    net.run(Duration::from_secs(1));
    assert_eq!(lags(&net), [Some(Duration::ZERO), Some(Duration::from_secs(2))]);
    net.run(Duration::from_secs(5));
    assert_eq!(lags(&net), [Some(Duration::ZERO), None], "it was removed");
    assert_eq!(net.nodes[0].lag(net.now, first), None, "nobody lags behind itself");
}

#[test]
fn attributes_are_counted_as_often_as_they_are_sent() {
    let mut net = cluster(Copies::Everywhere);
    for (number, cart) in [(1, "3 apples"), (2, "an apple"), (3, "3 apples")] {
        let key = SessionKey([number; 16]);
        let delta = Delta::new().set("cart", cart).set("user", "bob");
        net.nodes[0].commit(net.now, key, delta, Durability::All).expect("it is taken");
        net.run(MILLI * 10);
    }
    let top = |name: &'static str, bytes| AttributeTraffic { name: name.into(), bytes, over: 0, deltas: 6 };
    assert_eq!(net.nodes[0].attribute_traffic(), [top("cart", 6 * 12), top("user", 6 * 7)]);
    assert_eq!(net.nodes[1].attribute_traffic(), []);
}

#[test]
fn epochs_that_are_lost_and_commits_that_are_refused_are_counted() {
    let mut net = cluster(Copies::Everywhere);
    net.commit(0, Delta::new().set("user", "alice"), Durability::All);
    net.run(MILLI * 10);
    net.commit(1, Delta::new().set("user", "bob"), Durability::All);
    net.run(MILLI * 10);
    let counted = |net: &Net, n: usize| (net.nodes[n].stats().epochs_lost, net.nodes[n].stats().takeovers);
    assert_eq!([0, 1, 2].map(|n| counted(&net, n)), [(1, 0), (0, 1), (0, 0)]);
    let delta = Delta::new().if_no_session();
    let refused = net.nodes[1].commit(net.now, KEY, delta, Durability::Local);
    assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
    let refused = net.nodes[1].map_remove(net.now, "nothing", Durability::Local);
    assert!(matches!(refused, Err(CommitError::NoEntry)), "{refused:?}");
    let [old, new] = [8, 9].map(|number| SessionKey([number; 16]));
    let refused = net.nodes[1].change_id(net.now, old, new, Durability::Local);
    assert!(matches!(refused, Err(CommitError::NoSession)), "{refused:?}");
    let stats = net.nodes[1].stats();
    assert_eq!((stats.commits, stats.commits_refused), (1, 3));
}
