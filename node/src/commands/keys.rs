//! Commands on a key, whatever it holds.

use core::time::Duration;

use heirloom_core::{Delta, Lifetime};

use super::{
    call::{After, Answer, Call, Refusal, integer},
    lifetimes::{End, Notation, is_fixed},
};
use crate::{mapping::Kind, store::Store};

pub(super) fn del<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let mut ended = 0;
    for id in call.arguments.from(1) {
        let key = call.key_of(id)?;
        let view = call.peek(&key);
        if view.is_some() {
            call.commit(key, Delta::end());
        }
        ended += usize::from(Kind::of(view.as_deref()) != Kind::Absent);
    }
    call.reply.count(ended);
    Ok(())
}

pub(super) fn exists<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let mut found = 0;
    for id in call.arguments.from(1) {
        let key = call.key_of(id)?;
        found += usize::from(Kind::of(call.peek(&key).as_deref()) != Kind::Absent);
    }
    call.reply.count(found);
    Ok(())
}

pub(super) fn kind<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = call.peek(&call.key(1)?);
    call.reply.simple(Kind::of(view.as_deref()).name());
    Ok(())
}

pub(super) fn ttl<S: Store>(call: &mut Call<'_, S>) -> Answer {
    // Rounded as Redis rounds.
    let millis = remaining_millis(call)?;
    call.reply.integer(if millis < 0 { millis } else { (millis + 500) / 1000 });
    Ok(())
}

pub(super) fn pttl<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let millis = remaining_millis(call)?;
    call.reply.integer(millis);
    Ok(())
}

fn remaining_millis<S: Store>(call: &Call<'_, S>) -> Result<i64, Refusal> {
    let view = call.peek(&call.key(1)?);
    let Some(view) = view.filter(|view| Kind::of(Some(view)) != Kind::Absent) else { return Ok(-2) };
    let remaining = call.remaining(&view);
    Ok(remaining.map_or(-1, |remaining| i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX)))
}

pub(super) fn persist<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let is_persisted = call.peek(&key).is_some_and(|view| is_fixed(&view));
    if is_persisted {
        call.commit(key, Delta::new().lifetime(call.program.lifetime()));
    }
    call.reply.integer(i64::from(is_persisted));
    Ok(())
}

pub(super) fn expire<S: Store>(call: &mut Call<'_, S>) -> Answer {
    expire_as(call, Notation::EX, "expire")
}

pub(super) fn pexpire<S: Store>(call: &mut Call<'_, S>) -> Answer {
    expire_as(call, Notation::PX, "pexpire")
}

pub(super) fn expireat<S: Store>(call: &mut Call<'_, S>) -> Answer {
    expire_as(call, Notation::EXAT, "expireat")
}

pub(super) fn pexpireat<S: Store>(call: &mut Call<'_, S>) -> Answer {
    expire_as(call, Notation::PXAT, "pexpireat")
}

/// Which of the sessions an `EXPIRE` is for. A session whose end no client has fixed counts as one that never ends.
#[derive(Default)]
struct Conditions {
    is_not_fixed: bool,
    is_fixed: bool,
    is_later: bool,
    is_earlier: bool,
}

fn expire_as<S: Store>(call: &mut Call<'_, S>, notation: Notation, command: &str) -> Answer {
    let conditions = conditions(call)?;
    let end = notation.read(&call.arguments[2], call.store.wall(), command)?;
    let key = call.key(1)?;
    let view = call.peek(&key);
    let view = view.filter(|view| Kind::of(Some(view)) != Kind::Absent);
    let is_due = view.is_some_and(|view| {
        let fixed = if is_fixed(&view) { call.remaining(&view) } else { None };
        conditions.allow(fixed, end)
    });
    match end {
        End::In(length) if is_due => call.commit(key, Delta::new().lifetime(Lifetime::Fixed(length))),
        End::Passed if is_due => call.commit(key, Delta::end()),
        End::In(_) | End::Passed => {}
    }
    call.reply.integer(i64::from(is_due));
    Ok(())
}

fn conditions<S: Store>(call: &Call<'_, S>) -> Result<Conditions, Refusal> {
    let mut all = Conditions::default();
    for word in call.arguments.from(3) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        all.is_not_fixed |= is("nx");
        all.is_fixed |= is("xx");
        all.is_later |= is("gt");
        all.is_earlier |= is("lt");
        if !["nx", "xx", "gt", "lt"].into_iter().any(is) {
            return Err(format!("ERR Unsupported option {}", String::from_utf8_lossy(word)).into());
        }
    }
    if all.is_not_fixed && (all.is_fixed || all.is_later || all.is_earlier) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
    }
    if all.is_later && all.is_earlier {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    Ok(all)
}

impl Conditions {
    fn allow(&self, fixed: Option<Duration>, end: End) -> bool {
        let new = match end {
            End::In(length) => length,
            End::Passed => Duration::ZERO,
        };
        !(self.is_not_fixed && fixed.is_some()
            || self.is_fixed && fixed.is_none()
            || self.is_later && fixed.is_none_or(|old| new <= old)
            || self.is_earlier && fixed.is_some_and(|old| old <= new))
    }
}

pub(super) fn wait<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let wanted = usize::try_from(call.integer(1)?).unwrap_or(0);
    let timeout = integer(&call.arguments[2]).ok_or("ERR timeout is not an integer or out of range")?;
    let timeout = u64::try_from(timeout).map_err(|_| "ERR timeout is negative")?;
    // Zero is for ever; a member that does not answer is not one for ever.
    let until = (timeout != 0).then(|| call.store.now() + Duration::from_millis(timeout));
    call.after = After::Wait { wanted, until };
    // Its place; the count replaces it.
    call.reply.integer(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Desk, IDLE, WALL};

    #[test]
    fn a_key_is_counted_typed_and_ended() {
        Desk::new().table(&[
            ("SET a 1", "+OK"),
            ("HSET h f 1", ":1"),
            ("EXISTS a h missing a", ":3"),
            ("TYPE a", "+string"),
            ("TYPE h", "+hash"),
            ("TYPE missing", "+none"),
            ("DEL a missing a", ":1"),
            ("UNLINK h h", ":1"),
            ("EXISTS a h", ":0"),
            ("SET a 2", "+OK"),
            ("GET a", "2"),
        ]);
    }

    #[test]
    fn databases_keep_keys_apart() {
        Desk::new().table(&[
            ("SET a 0", "+OK"),
            ("SELECT 1", "+OK"),
            ("GET a", "(nil)"),
            ("SET a 1", "+OK"),
            ("SELECT 0", "+OK"),
            ("GET a", "0"),
        ]);
    }

    #[test]
    fn an_end_is_fixed_and_taken_back() {
        let desk = Desk::new();
        let idle = format!(":{}", IDLE.as_secs());
        let expireat = format!("EXPIREAT a {}", WALL.as_secs() + 70);
        let pexpireat = format!("PEXPIREAT a {}", WALL.as_millis() + 80_000);
        desk.table(&[
            ("EXPIRE a 1", ":0"),
            ("TTL a", ":-2"),
            ("PTTL a", ":-2"),
            ("PERSIST a", ":0"),
            ("SET a 1", "+OK"),
            ("PERSIST a", ":0"),
            ("EXPIRE a 100", ":1"),
            ("TTL a", ":100"),
            ("PERSIST a", ":1"),
            ("TTL a", &idle),
            ("PEXPIRE a 1499", ":1"),
            ("PTTL a", ":1499"),
            ("TTL a", ":1"),
            ("PEXPIRE a 1500", ":1"),
            ("TTL a", ":2"),
            (&expireat, ":1"),
            ("TTL a", ":60"),
            (&pexpireat, ":1"),
            ("TTL a", ":70"),
        ]);
        desk.pass(Duration::from_secs(70));
        desk.table(&[("TTL a", ":-2"), ("EXISTS a", ":0"), ("DEL a", ":0")]);
    }

    #[test]
    fn a_time_that_has_passed_ends_the_session() {
        for line in ["EXPIRE a 0", "EXPIRE a -1", "PEXPIRE a -1", "EXPIREAT a 1", "PEXPIREAT a 1"] {
            Desk::new().table(&[("SET a 1", "+OK"), (line, ":1"), ("EXISTS a", ":0"), (line, ":0")]);
        }
    }

    #[test]
    fn conditions_compare_with_the_end_that_was_fixed() {
        Desk::new().table(&[
            ("SET a 1", "+OK"),
            ("EXPIRE a 100 XX", ":0"),
            ("EXPIRE a 100 GT", ":0"),
            ("EXPIRE a 100 LT", ":1"),
            ("EXPIRE a 100 NX", ":0"),
            ("EXPIRE a 50 GT", ":0"),
            ("EXPIRE a 150 LT", ":0"),
            ("EXPIRE a 150 GT XX", ":1"),
            ("TTL a", ":150"),
            ("EXPIRE a -1 LT", ":1"),
            ("SET a 1", "+OK"),
            ("EXPIRE a 9 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE a 9 GT LT", "-ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE a 9 FOO", "-ERR Unsupported option FOO"),
            ("EXPIRE a x", "-ERR value is not an integer or out of range"),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
        ]);
    }

    #[test]
    fn without_an_idle_time_a_session_never_ends() {
        let desk = Desk::with(heirloom_core::Config { idle: Duration::ZERO, ..Default::default() });
        desk.table(&[("SET a 1", "+OK"), ("TTL a", ":-1"), ("EXPIRE a 5", ":1"), ("TTL a", ":5"), ("PERSIST a", ":1")]);
        desk.pass(Duration::from_secs(1 << 20));
        desk.table(&[("GET a", "1"), ("PTTL a", ":-1")]);
    }

    #[test]
    fn wait_is_answered_in_its_place() {
        let desk = Desk::new();
        assert_eq!(desk.ask("WAIT 1 100"), ":0");
        assert!(matches!(desk.after.get(), After::Wait { wanted: 1, until: Some(_) }));
        desk.table(&[
            ("WAIT x 1", "-ERR value is not an integer or out of range"),
            ("WAIT 1 x", "-ERR timeout is not an integer or out of range"),
            ("WAIT 1 -1", "-ERR timeout is negative"),
        ]);
    }
}
