//! All that may happen in small worlds.

use heirloom_core::Copies;
use heirloom_sim::World;

const SMALL: World = World { members: 2, operations: 1, faults: 1, packets: 1, copies: Copies::Everywhere };

#[cfg(not(planted))]
#[test]
fn whatever_happens_to_one_request_and_one_fault_every_promise_is_kept() {
    let explored = SMALL.explore(2, |runs| runs < 1000);
    assert!(explored.found.is_none(), "{:?}", explored.found);
    assert!(100 < explored.histories, "{explored:?}");
}

/// `RUSTFLAGS="--cfg planted" CARGO_TARGET_DIR=target/planted cargo test -p heirloom-sim --test exhaust`
#[cfg(planted)]
#[test]
fn planted_faults_are_found() {
    use heirloom_core::planted::{Bug, plant};
    use heirloom_sim::Trial;
    for bug in [Bug::NoRecount, Bug::DurableAlone, Bug::LastArrival, Bug::NoAdoption] {
        plant(bug);
        let explored = World { operations: 2, ..SMALL }.explore(2, |runs| runs < 20_000);
        let (plan, violation) = explored.found.unwrap_or_else(|| panic!("{bug:?}: {} runs", explored.runs));
        assert_eq!(Trial::of(&plan).result, Err(violation), "{bug:?}");
    }
}
