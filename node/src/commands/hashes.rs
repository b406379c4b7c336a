//! Hashes: a session with its attributes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heirloom_core::Delta;

use super::call::{Answer, Call, Refusal, expect, integer, wrong_arity};
use crate::{
    mapping::{Kind, attribute, fields},
    store::Store,
};

pub(super) fn hset<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let fresh = put(call, "hset")?;
    call.reply.count(fresh);
    Ok(())
}

pub(super) fn hmset<S: Store>(call: &mut Call<'_, S>) -> Answer {
    put(call, "hmset")?;
    call.reply.simple("OK");
    Ok(())
}

/// Sets fields; tells how many were not there.
fn put<S: Store>(call: &mut Call<'_, S>, command: &str) -> Result<usize, Refusal> {
    if !call.arguments.len().is_multiple_of(2) {
        return Err(wrong_arity(command));
    }
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    expect(Kind::Hash, view.as_deref())?;
    // A field that is named twice has its last value.
    let words = call.arguments;
    let pairs: BTreeMap<_, _> = words.from(2).step_by(2).zip(words.from(3).step_by(2)).collect();
    let (mut delta, mut fresh) = (Delta::new(), 0);
    for (field, value) in pairs {
        let name = attribute(field);
        fresh += usize::from(view.as_deref().is_none_or(|session| session.attribute(&name).is_none()));
        delta = delta.set(Bytes::copy_from_slice(&name), Bytes::copy_from_slice(value));
    }
    call.commit(key, delta);
    Ok(fresh)
}

pub(super) fn hget<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    call.reply.bulk_or_null(view.as_deref().and_then(|session| session.attribute(&attribute(&call.arguments[2]))));
    Ok(())
}

pub(super) fn hmget<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    call.reply.array(call.arguments.len() - 2);
    for field in call.arguments.from(2) {
        call.reply.bulk_or_null(view.as_deref().and_then(|session| session.attribute(&attribute(field))));
    }
    Ok(())
}

pub(super) fn hgetall<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    call.reply.map(view.as_deref().map_or(0, |session| fields(session).count()));
    for (field, value) in view.as_deref().into_iter().flat_map(fields) {
        call.reply.bulk(field);
        call.reply.bulk(value);
    }
    Ok(())
}

pub(super) fn hkeys<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    call.reply.array(view.as_deref().map_or(0, |session| fields(session).count()));
    view.as_deref().into_iter().flat_map(fields).for_each(|(field, _)| call.reply.bulk(field));
    Ok(())
}

pub(super) fn hvals<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    call.reply.array(view.as_deref().map_or(0, |session| fields(session).count()));
    view.as_deref().into_iter().flat_map(fields).for_each(|(_, value)| call.reply.bulk(value));
    Ok(())
}

pub(super) fn hlen<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    call.reply.count(view.as_deref().map_or(0, |session| fields(session).count()));
    Ok(())
}

pub(super) fn hexists<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let view = hash(call)?;
    let found = view.as_deref().and_then(|session| session.attribute(&attribute(&call.arguments[2])));
    call.reply.integer(i64::from(found.is_some()));
    Ok(())
}

pub(super) fn hdel<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    expect(Kind::Hash, view.as_deref())?;
    let Some(session) = view.as_deref() else {
        call.reply.integer(0);
        return Ok(());
    };
    let asked: BTreeSet<_> = call.arguments.from(2).map(attribute).collect();
    let found: Vec<_> = asked.into_iter().filter(|name| session.attribute(name).is_some()).collect();
    call.reply.count(found.len());
    // A hash without fields is no key at all.
    if found.len() == fields(session).count() {
        call.commit(key, Delta::end());
    } else if !found.is_empty() {
        let remove = |delta: Delta, name: &[u8]| delta.remove(Bytes::copy_from_slice(name));
        call.commit(key, found.iter().fold(Delta::new(), |delta, name| remove(delta, name)));
    }
    Ok(())
}

pub(super) fn hincrby<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let by = call.integer(3)?;
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    expect(Kind::Hash, view.as_deref())?;
    let name = attribute(&call.arguments[2]);
    let now = match view.as_deref().and_then(|session| session.attribute(&name)) {
        None => 0,
        Some(value) => integer(value).ok_or("ERR hash value is not an integer")?,
    };
    let sum = now.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    let delta = Delta::new().set(Bytes::copy_from_slice(&name), Bytes::from(sum.to_string()));
    call.commit(key, delta);
    call.reply.integer(sum);
    Ok(())
}

/// The hash that the first argument names, and this is a use of it.
fn hash<S: Store>(call: &Call<'_, S>) -> Result<Option<S::View>, Refusal> {
    let view = call.store.session(&call.key(1)?);
    expect(Kind::Hash, view.as_deref())?;
    Ok(view)
}
