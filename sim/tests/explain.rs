//! Why a promise is broken, told from a rule that a failover breaks on purpose.

use heirloom_core::Event;
use heirloom_sim::{
    Fact, Invariant, Moment, Plan, Promise, Record, Tale, View, What,
    explain::{explain, explain_by, inevitable, slice},
};

/// No member is ever taken for dead: a kill breaks that, and nothing before it does.
struct NobodyDies;

impl Invariant for NobodyDies {
    fn name(&self) -> &str {
        "nobody dies"
    }

    fn handle_fact(&mut self, _: View<'_>, fact: &Fact) -> Result<(), String> {
        let What::Event(Event::MemberRemoved(life, _)) = &fact.what else { return Ok(()) };
        Err(format!("{life} is removed by {}", fact.host))
    }
}

fn own() -> Vec<Box<dyn Invariant>> {
    vec![Box::new(NobodyDies)]
}

#[test]
fn what_became_inevitable_with_a_kill_is_found_at_the_kill() {
    let plan = failover();
    let (_, record) = Record::judged(&plan, own());
    let violation = record.violation().expect("a kill is a removal").clone();
    assert_eq!(violation.promise, Promise::Own);
    let found = inevitable(&plan, &violation, own).expect("a kill cannot be taken back");
    assert_eq!(found.at, Moment::from_nanos(7_002_000_000));
    assert!(found.after.is_some_and(|(at, action)| at == found.at && format!("{action:?}").starts_with("Kill(n0")));
}

#[test]
fn the_slice_tells_of_the_kill_and_not_of_what_came_later() {
    let (_, record) = Record::judged(&failover(), own());
    let violation = record.violation().expect("a kill is a removal").clone();
    let slice = slice(&record, &violation);
    assert!(slice.iter().all(|entry| entry.at <= violation.at));
    assert!(slice.iter().any(|entry| entry.at == Moment::from_nanos(7_002_000_000)));
    let story = explain_by(&failover(), own).expect("it is explained");
    assert!(story.starts_with("own is broken: nobody dies: n0 is removed by n"), "{story}");
    assert!(story.contains("   7.002000 s  kill n0 lost.\n"), "{story}");
    assert!(story.contains("It was inevitable at 7.002000 s: "), "{story}");
}

#[test]
fn a_run_that_keeps_all_promises_has_nothing_to_explain() {
    assert_eq!(explain(&failover()), None);
}

fn failover() -> Plan {
    let tale: Tale = include_str!("../scenarios/failover.toml").parse().expect("it is a scenario");
    tale.plan().clone()
}
