//! What a commit means where only some members must hold a session.

mod net;

use std::{collections::BTreeSet, time::Duration};

use heirloom_core::{Copies, Delta, Durability, MemberId, Outcome, Receipt, SessionKey};
use net::Net;

const COUNT: usize = 5;

fn cluster() -> Net {
    let mut net = Net::with([Copies::Backups(2); COUNT]);
    (0..COUNT).for_each(|n| net.start(n));
    net.run(Duration::from_secs(8));
    net
}

/// The others that must hold a session, as the first member sees it.
fn others(net: &Net, key: &SessionKey) -> BTreeSet<MemberId> {
    net.nodes[0].holders(key).into_iter().filter(|member| *member != net.nodes[0].id()).collect()
}

/// What comes of one commit of the first member, and after how long.
fn write(net: &mut Net, key: SessionKey, durability: Durability) -> (Duration, Outcome) {
    let id = net.nodes[0].commit(net.now, key, Delta::new().set("n", "1"), durability).expect("it is taken");
    let began = net.now;
    let outcomes = net.outcomes(0, Duration::from_secs(6));
    let [(at, (told, outcome))] = &outcomes[..] else { panic!("there is one outcome: {outcomes:?}") };
    assert_eq!(*told, id);
    (at.since(began), outcome.clone())
}

#[test]
fn only_members_that_must_hold_a_session_count() {
    let mut net = cluster();
    for number in 0..12 {
        let key = SessionKey([number; 16]);
        let others = others(&net, &key);
        let (_, outcome) = write(&mut net, key, Durability::All);
        let Outcome::Durable(Receipt { members, missing }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((members.into_iter().collect(), missing), (others.clone(), vec![]));
        // Of three or four that must hold it, this one included.
        let (_, outcome) = write(&mut net, key, Durability::Majority);
        let Outcome::Durable(Receipt { members, missing }) = outcome else { panic!("{outcome:?}") };
        assert!(others.len() / 2 < members.len() + 1 && members.len() + missing.len() == others.len());
        let (after, outcome) = write(&mut net, key, Durability::Copies(4));
        assert!(matches!(outcome, Outcome::NotDurable { want: 4, late: false, .. }));
        assert_eq!(after, Duration::ZERO, "more than must hold it cannot be had");
    }
}

#[test]
fn who_takes_the_place_of_a_hung_member_makes_the_commit_durable() {
    for hung in 1..COUNT {
        let mut net = cluster();
        let hung_id = net.nodes[hung].id();
        let keys = (0..100).map(|number| SessionKey([number; 16]));
        let [held, foreign] = keys.into_iter().fold([None; 2], |[held, foreign], key| {
            if others(&net, &key).contains(&hung_id) { [Some(key), foreign] } else { [held, Some(key)] }
        });
        let (held, foreign) = (held.expect("one of many"), foreign.expect("one of many"));
        net.hang(hung);
        let (after, outcome) = write(&mut net, foreign, Durability::All);
        assert!(matches!(outcome, Outcome::Durable(_)), "it need not hold it: {outcome:?}");
        assert!(after < Duration::from_millis(10), "{after:?}");
        let mut net = cluster();
        net.hang(hung);
        let (after, outcome) = write(&mut net, held, Durability::All);
        let Outcome::Durable(Receipt { members, missing }) = outcome else { panic!("{outcome:?}") };
        assert!(after < Duration::from_secs(5), "{after:?}");
        assert_eq!((members.into_iter().collect(), missing), (others(&net, &held), vec![]));
        assert!(!others(&net, &held).contains(&hung_id));
    }
}

#[test]
fn what_is_committed_while_frames_are_unacknowledged_may_be_put_off_and_goes_out_together() {
    let mut net = cluster();
    let key = SessionKey([7; 16]);
    let commit = |net: &mut Net, value: &'static str| {
        net.nodes[0].commit(net.now, key, Delta::new().set("n", value), Durability::One).expect("it is taken");
    };
    commit(&mut net, "1");
    assert!(!net.nodes[0].may_put_off(1), "nothing is on its way that would bring an answer");
    let frames = |net: &mut Net| {
        let now = net.now;
        std::iter::from_fn(|| net.nodes[0].poll_transmit(now)).count()
    };
    assert!(1 <= frames(&mut net));
    assert!(!net.nodes[0].may_put_off(1), "there is nothing to send");
    commit(&mut net, "2");
    commit(&mut net, "3");
    assert!(net.nodes[0].may_put_off(1));
    assert!(!net.nodes[0].may_put_off(2), "fewer frames than that are on their way");
    let holders = others(&net, &key).len();
    assert_eq!(frames(&mut net), holders, "both commits are in one frame for each holder");
}
