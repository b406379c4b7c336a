//! Versions on one member: writes that depend on what is there, and reads that must not be too old.

use std::time::Duration;

use heirloom_core::{
    AtLeast, AttributeVersion, CommitError, Config, Conflict, Delta, Durability, EndCause, Lifetime, MemberId, Node,
    Session, SessionKey, SessionVersion, Time,
};

const KEY: SessionKey = SessionKey([7; 16]);

#[test]
fn a_write_for_the_version_that_is_there_is_made_and_any_other_is_refused_with_what_is_there() {
    let mut node = started(1);
    commit(&mut node, Delta::new().if_attribute("n", None).set("n", "1")).expect("it is not there");
    let first = version_of(&node, b"n");
    assert!(first.is_some());
    let refused = commit(&mut node, Delta::new().if_attribute("n", None).set("n", "2"));
    assert_eq!(refused, Err(Conflict::Attribute { name: "n".into(), there: first }.into()));
    commit(&mut node, Delta::new().if_attribute("n", first).set("n", "3")).expect("it is the one");
    let second = version_of(&node, b"n");
    let late = commit(&mut node, Delta::new().if_attribute("n", first).set("n", "4").set("other", "4"));
    assert_eq!(late, Err(Conflict::Attribute { name: "n".into(), there: second }.into()));
    assert_eq!(attribute(&node, b"n"), Some(b"3".to_vec()));
    assert_eq!(attribute(&node, b"other"), None, "nothing of a refused commit is made");
    commit(&mut node, Delta::new().if_attribute("n", second).remove("n")).expect("it is the one");
    assert_eq!(version_of(&node, b"n"), None, "what was removed is not there");
    commit(&mut node, Delta::new().if_attribute("n", None).set("n", "3")).expect("it is not there");
    let again = commit(&mut node, Delta::new().if_attribute("n", second).set("n", "5"));
    assert!(matches!(again, Err(CommitError::Conflict(_))), "the same value, but of another write");
}

#[test]
fn all_conditions_must_hold() {
    let mut node = started(1);
    commit(&mut node, Delta::new().set("a", "1").set("b", "1")).expect("it is created");
    let (a, b) = (version_of(&node, b"a"), version_of(&node, b"b"));
    commit(&mut node, Delta::new().set("b", "2")).expect("it is there");
    assert_eq!(version_of(&node, b"a"), a, "another attribute has a version of its own");
    let refused = commit(&mut node, Delta::new().if_attribute("a", a).if_attribute("b", b).set("a", "3"));
    let there = version_of(&node, b"b");
    assert_eq!(refused, Err(Conflict::Attribute { name: "b".into(), there }.into()));
    let both = Delta::new().if_attribute("a", a).if_attribute("b", there).set("a", "3");
    commit(&mut node, both).expect("both hold");
}

#[test]
fn a_write_for_the_version_of_the_session_is_refused_after_any_change_of_it() {
    let mut node = started(1);
    let absent = commit(&mut node, Delta::new().if_session(version(&started(2), "n")).set("n", "1"));
    assert_eq!(absent, Err(Conflict::Session { there: None }.into()));
    commit(&mut node, Delta::new().if_no_session().set("n", "1")).expect("there is none");
    for change in [Delta::new().set("other", "1"), Delta::new().lifetime(Lifetime::Never), Delta::anew()] {
        let before = session(&node).version();
        commit(&mut node, change).expect("it is there");
        let there = Some(session(&node).version());
        let refused = commit(&mut node, Delta::end().if_session(before));
        assert_eq!(refused, Err(Conflict::Session { there }.into()));
    }
    let exists = commit(&mut node, Delta::new().if_no_session().set("n", "2"));
    assert_eq!(exists, Err(Conflict::Session { there: Some(session(&node).version()) }.into()));
    node.touch(at(1), &KEY);
    let read = session(&node).version();
    commit(&mut node, Delta::end().if_session(read.clone())).expect("a use is no change");
    assert_eq!(commit(&mut node, Delta::end().if_session(read)), Err(Conflict::Session { there: None }.into()));
    commit(&mut node, Delta::new().if_no_session().set("n", "1")).expect("it has ended");
}

#[test]
fn a_read_is_never_older_than_what_was_seen() {
    let (mut node, mut other) = (started(1), started(2));
    let seen = version(&node, "n");
    let stale = |have: Option<SessionVersion>, want: &SessionVersion| Ok(AtLeast::Stale { have, want: want.clone() });
    assert_eq!(other.session_at_least(at(1), &KEY, &seen), stale(None, &seen), "it is not here");
    commit(&mut other, Delta::new().set("n", "theirs")).expect("it is created");
    let have = session(&other).version();
    assert_eq!(other.session_at_least(at(1), &KEY, &seen), stale(Some(have), &seen), "they know nothing of each other");

    commit(&mut node, Delta::new().set("n", "1")).expect("it is created");
    let first = session(&node).clone();
    commit(&mut node, Delta::new().set("n", "2")).expect("it is there");
    let second = session(&node).version();
    let read = node.session_at_least(at(1), &KEY, &first.version());
    assert!(matches!(read, Ok(AtLeast::Here(session)) if session.version() == second), "newer is good");
    assert!(!first.version().covers(&second));
    commit(&mut node, Delta::end()).expect("it is there");
    assert_eq!(node.session_at_least(at(1), &KEY, &second), Ok(AtLeast::Ended(EndCause::Ended)));
    commit(&mut node, Delta::new().set("n", "3")).expect("it is created again");
    assert!(matches!(node.session_at_least(at(1), &KEY, &second), Ok(AtLeast::Here(_))), "the end was seen too");
}

fn started(id: u64) -> Node {
    let address = "192.0.2.1:4000".parse().expect("it is an address");
    let mut node = Node::new(MemberId(id), address, Config::default(), id, Time::ZERO).expect("the config is valid");
    node.start_alone(Time::ZERO);
    node
}

/// The version of a session that a node like this one would write.
fn version(node: &Node, name: &'static str) -> SessionVersion {
    let mut node = node.clone();
    commit(&mut node, Delta::new().set(name, "elsewhere")).expect("the node is ready");
    session(&node).version()
}

fn commit(node: &mut Node, delta: Delta) -> Result<(), CommitError> {
    let before = node.session(&KEY).cloned();
    let result = node.commit(at(0), KEY, delta, Durability::Local);
    if result.is_err() {
        assert_eq!(node.session(&KEY).cloned(), before, "what is refused changes nothing");
    }
    result.map(|_| ())
}

fn session(node: &Node) -> &Session {
    node.session(&KEY).expect("it is there")
}

fn attribute(node: &Node, name: &[u8]) -> Option<Vec<u8>> {
    session(node).attribute(name).map(|value| value.to_vec())
}

fn version_of(node: &Node, name: &[u8]) -> Option<AttributeVersion> {
    node.session(&KEY)?.attribute_version(name)
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}
