//! Commands on a key, whatever it holds.

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
        let view = call.store.peek(&key);
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
        found += usize::from(Kind::of(call.store.peek(&key).as_deref()) != Kind::Absent);
    }
    call.reply.count(found);
    Ok(())
}

pub(super) fn kind<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = call.store.peek(&call.key(1)?);
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
    let view = call.store.peek(&call.key(1)?);
    let Some(view) = view.filter(|view| Kind::of(Some(view)) != Kind::Absent) else { return Ok(-2) };
    let remaining = call.remaining(&view);
    Ok(remaining.map_or(-1, |remaining| i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX)))
}

pub(super) fn persist<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let is_persisted = call.store.peek(&key).is_some_and(|view| is_fixed(&view));
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
    let view = call.store.peek(&key);
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
    fn allow(&self, fixed: Option<core::time::Duration>, end: End) -> bool {
        let new = match end {
            End::In(length) => length,
            End::Passed => core::time::Duration::ZERO,
        };
        !(self.is_not_fixed && fixed.is_some()
            || self.is_fixed && fixed.is_none()
            || self.is_later && fixed.is_none_or(|old| new <= old)
            || self.is_earlier && fixed.is_some_and(|old| old <= new))
    }
}

pub(super) fn wait<S: Store>(call: &mut Call<'_, S>) -> Answer {
    call.integer(1)?;
    let timeout = integer(&call.arguments[2]).ok_or("ERR timeout is not an integer or out of range")?;
    if timeout < 0 {
        return Err("ERR timeout is negative".into());
    }
    call.after = After::Count;
    // Its place; the count replaces it.
    call.reply.integer(0);
    Ok(())
}
