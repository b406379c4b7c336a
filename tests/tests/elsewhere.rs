//! Sessions that a member does not hold: five members with one backup each, over real sockets.
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use bytes::Bytes;
use heirloom_core::{Config, Copies, Delta, Durability, EndCause, Purpose, SessionKey};
use heirloom_runtime::{FetchFailed, Found, Handle};
use heirloom_tests::{Lab, Member, await_seen, block_on, introduce};

#[test]
fn any_member_reads_what_few_hold_and_keeps_nothing_of_it() {
    let members = five();
    let key = written_on(&members[0].handle);
    for member in &members {
        let read = match member.handle.fetch(key, Purpose::Read).wait().unwrap() {
            Found::Here => member.handle.session(&key).unwrap(),
            Found::Copy(copy) => copy,
            other @ (Found::Ended(_) | Found::Nowhere) => panic!("{other:?}"),
        };
        assert_eq!(read.attribute(b"user"), Some(&Bytes::from("alice")));
        assert_eq!(read.owner(), Some(members[0].handle.id()));
        assert!(read.deadline().is_some());
    }
    let holding = members.iter().filter(|member| member.handle.sessions() == 1).count();
    assert!((2..=3).contains(&holding), "{holding} hold it");
    assert_eq!(members[0].handle.sessions_owned(), 1);
    let unknown = members[1].handle.key(0, b"unknown").unwrap();
    let found = block_on(members[1].handle.fetch(unknown, Purpose::Read)).unwrap();
    assert!(matches!(found, Found::Nowhere | Found::Here), "{found:?}");
    members.into_iter().for_each(Member::stop);
}

#[test]
fn any_member_writes_what_few_hold_and_owns_it_then() {
    let members = five();
    let key = written_on(&members[0].handle);
    for member in &members[1..] {
        let found = member.handle.fetch(key, Purpose::Write).wait().unwrap();
        assert_eq!(found, Found::Here);
        let delta = Delta::new().set(format!("by {}", member.handle.id()), "");
        member.handle.commit(key, delta, Durability::All).wait().unwrap();
        let session = member.handle.peek(&key).unwrap();
        assert_eq!(session.owner(), Some(member.handle.id()));
        assert_eq!(session.attribute(b"user"), Some(&Bytes::from("alice")));
    }
    let last = &members[4].handle;
    assert_eq!(last.peek(&key).unwrap().attributes().count(), 5);
    last.commit(key, Delta::end(), Durability::All).wait().unwrap();
    for member in &members {
        // A copy that is left over where nobody must hold it is released, which is no event.
        await_seen(|| member.handle.peek(&key), Option::is_none);
        let found = member.handle.fetch(key, Purpose::Peek).wait().unwrap();
        let ended = found == Found::Ended(EndCause::Ended);
        assert!(ended || found == Found::Here && member.handle.ended(&key) == Some(EndCause::Ended), "{found:?}");
    }
    members.into_iter().for_each(Member::stop);
}

#[test]
fn what_was_seen_on_one_member_is_asked_for_on_another() {
    let members = five();
    let key = written_on(&members[0].handle);
    let seen = members[0].handle.peek(&key).unwrap().version();
    for member in &members {
        let found = member.handle.session_at_least(&key, &seen).wait().unwrap();
        let Found::Copy(copy) = found else { panic!("{found:?}") };
        assert!(copy.version().covers(&seen));
    }
    // A session of the same key that nobody here has heard of.
    let lab = Lab::default();
    let alone = lab.start(lab.settings(), lab.config());
    alone.handle.start_alone();
    alone.handle.commit(key, Delta::new().set("n", "1"), Durability::Local).wait().unwrap();
    let unseen = alone.handle.peek(&key).unwrap().version();
    for member in &members {
        let failed = member.handle.session_at_least(&key, &unseen).wait().unwrap_err();
        assert!(matches!(failed, FetchFailed::Stale { have: Some(_), .. }), "{failed:?}");
    }
    alone.stop();
    members.into_iter().for_each(Member::stop);
}

fn five() -> Vec<Member> {
    let lab = Lab::default();
    let config = Config { copies: Copies::Backups(1), ..lab.config() };
    let members: Vec<_> = (0..5).map(|_| lab.start(lab.settings(), config.clone())).collect();
    introduce(&members);
    members.iter().for_each(|member| drop(member.await_ready(4)));
    members
}

fn written_on(handle: &Handle) -> SessionKey {
    let key = handle.key(0, b"s1").unwrap();
    handle.commit(key, Delta::new().set("user", "alice"), Durability::All).wait().unwrap();
    key
}
