//! A session under another id, as an application does at login.

use core::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use heirloom_core::{CommitError, Delta, SessionKey};
use heirloom_runtime::{CommitFailed, Published};

use super::call::{Answer, Call, Refusal};
use crate::{mapping::Kind, replies::error_text, store::Store};

pub(super) fn rename<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let (old, new, session) = named(call)?;
    if old != new {
        change(call, &session, old, new)?;
    }
    call.reply.simple("OK");
    Ok(())
}

pub(super) fn renamenx<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let (old, new, session) = named(call)?;
    let is_free = Kind::of(call.peek(&new).as_deref()) == Kind::Absent;
    if is_free {
        change(call, &session, old, new)?;
    }
    call.reply.integer(i64::from(is_free));
    Ok(())
}

/// The session that is to be renamed, and both of its keys.
fn named<S: Store>(call: &Call<'_, S>) -> Result<(SessionKey, SessionKey, Published), Refusal> {
    let (old, new) = (call.key(1)?, call.key(2)?);
    let session = call.peek(&old).filter(|session| Kind::of(Some(session)) != Kind::Absent);
    Ok((old, new, session.ok_or("ERR no such key")?))
}

/// Gives the session its new key in one step; or, if that is in use or was, copies it.
fn change<S: Store>(call: &mut Call<'_, S>, session: &Published, old: SessionKey, new: SessionKey) -> Answer {
    let changed = call.store.change_id(old, new);
    match hold(call, new, changed) {
        Ok(()) => Ok(()),
        Err(CommitFailed::Refused(CommitError::TargetTaken)) => copy(call, session, old, new),
        Err(failed) => Err(error_text(&failed).into()),
    }
}

/// Creates the session anew under its new key, and then ends the old one. Between these two steps there are both, on this
/// member and on others: none is lost if it dies.
fn copy<S: Store>(call: &mut Call<'_, S>, session: &Published, old: SessionKey, new: SessionKey) -> Answer {
    let created = Delta::anew().lifetime(call.lifetime_to_keep(session));
    let created = session.attributes().fold(created, |delta, (name, value)| delta.set(name.clone(), value.clone()));
    let created = call.store.commit(new, created);
    // Only what was taken may cost the old one.
    hold(call, new, created).map_err(|failed| error_text(&failed))?;
    call.commit(old, Delta::end());
    Ok(())
}

/// Lets the reply wait for a commit, unless that has failed already.
fn hold<S: Store>(call: &mut Call<'_, S>, key: SessionKey, mut commit: S::Commit) -> Result<(), CommitFailed> {
    match Pin::new(&mut commit).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => call.commits.push((Some(key), commit)),
        Poll::Ready(outcome) => drop(outcome?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use heirloom_runtime::Found;

    use crate::commands::testing::Desk;

    #[test]
    fn a_session_lives_on_under_its_new_id() {
        let desk = Desk::new();
        desk.table(&[
            ("RENAME a b", "-ERR no such key"),
            ("HSET a f 1 g 2", ":2"),
            ("EXPIRE a 100", ":1"),
            ("RENAME a b", "+OK"),
            ("EXISTS a", ":0"),
            ("HGETALL b", "[f 1 g 2]"),
            ("TTL b", ":100"),
            ("RENAME b b", "+OK"),
            ("HLEN b", ":2"),
        ]);
        desk.pass(Duration::from_secs(40));
        desk.table(&[("RENAME b a", "+OK"), ("TTL a", ":60"), ("RENAME b a", "-ERR no such key")]);
    }

    #[test]
    fn whatever_had_the_new_id_is_gone() {
        Desk::new().table(&[
            ("HSET a f 1", ":1"),
            ("HSET b g 2", ":1"),
            ("EXPIRE b 9", ":1"),
            ("RENAME a b", "+OK"),
            ("HGETALL b", "[f 1]"),
            ("TTL b", ":1800"),
            ("SET c 1", "+OK"),
            ("RENAME c b", "+OK"),
            ("GET b", "1"),
            ("DEL b", ":1"),
            ("SET a 2", "+OK"),
            ("RENAME a b", "+OK"),
            ("GET b", "2"),
        ]);
    }

    #[test]
    fn an_id_that_nobody_knows_is_changed_to_in_one_step() {
        let desk = Desk::new();
        desk.table(&[("HSET a f 1", ":1")]);
        desk.set_far("b", Ok(Found::Nowhere));
        desk.table(&[("RENAME a b", "+OK"), ("EXISTS a", ":0")]);
        assert!(desk.ask("HEIRLOOM.EXPLAIN a").contains(" cause moved "), "it was not copied");
        desk.set_far("b", Ok(Found::Here));
        assert_eq!(desk.ask("HGETALL b"), "[f 1]");
    }

    #[test]
    fn a_new_id_that_is_in_use_can_be_spared() {
        Desk::new().table(&[
            ("RENAMENX a b", "-ERR no such key"),
            ("SET a 1", "+OK"),
            ("SET b 2", "+OK"),
            ("RENAMENX a b", ":0"),
            ("RENAMENX a a", ":0"),
            ("MGET a b", "[1 2]"),
            ("RENAMENX a c", ":1"),
            ("MGET a c", "[(nil) 1]"),
        ]);
    }
}
