//! Hashes: a session with its attributes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use heirloom_core::Delta;
use heirloom_runtime::Published;

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
    let view = call.peek(&key);
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
    let view = call.peek(&key);
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
    let view = call.peek(&key);
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
fn hash<S: Store>(call: &Call<'_, S>) -> Result<Option<Published>, Refusal> {
    let view = call.session(&call.key(1)?);
    expect(Kind::Hash, view.as_deref())?;
    Ok(view)
}

#[cfg(test)]
mod tests {
    use crate::commands::{call::WRONG_TYPE, testing::Desk};

    #[test]
    fn a_hash_is_written_and_read_in_both_versions_of_the_protocol() {
        let desk = Desk::new();
        for (hello, nothing, [open, close]) in [("HELLO 2", "(nil)", ["[", "]"]), ("HELLO 3", "(null)", ["{", "}"])] {
            desk.ask(hello);
            desk.table(&[
                ("HSET h f 1", ":1"),
                ("HSET h f 2 g 3", ":1"),
                ("HSET h e 1 e 2", ":1"),
                ("HMSET h g 4", "+OK"),
                ("HGETALL h", &format!("{open}e 2 f 2 g 4{close}")),
                ("HGET h e", "2"),
                ("HGET h missing", nothing),
                ("HGET missing f", nothing),
                ("HMGET h f missing g", &format!("[2 {nothing} 4]")),
                ("HMGET missing f", &format!("[{nothing}]")),
                ("HKEYS h", "[e f g]"),
                ("HVALS h", "[2 2 4]"),
                ("HLEN h", ":3"),
                ("HLEN missing", ":0"),
                ("HGETALL missing", &format!("{open}{close}")),
                ("HEXISTS h f", ":1"),
                ("HEXISTS h missing", ":0"),
                ("HDEL h f missing f", ":1"),
                ("HDEL h missing", ":0"),
                ("HDEL missing f", ":0"),
                ("HKEYS h", "[e g]"),
                ("HDEL h e g", ":2"),
                ("EXISTS h", ":0"),
            ]);
        }
    }

    #[test]
    fn any_bytes_are_a_field_also_none() {
        let desk = Desk::new();
        let fields: [&[u8]; 4] = [b"", b"\0", b"\0a", b"a"];
        for field in fields {
            assert_eq!(desk.ask_words(&[b"HSET", b"h", field, b"v"]), ":1");
            assert_eq!(desk.ask_words(&[b"HGET", b"h", field]), "v");
        }
        assert_eq!(desk.ask("TYPE h"), "+hash");
        assert_eq!(desk.ask("HKEYS h"), "[ \\x00 \\x00a a]");
        assert_eq!(desk.ask("HLEN h"), ":4");
    }

    #[test]
    fn a_field_is_counted_up_and_down_within_64_bits() {
        Desk::new().table(&[
            ("HINCRBY h n 5", ":5"),
            ("HINCRBY h n -7", ":-2"),
            ("HGET h n", "-2"),
            ("HINCRBY h n x", "-ERR value is not an integer or out of range"),
            ("HSET h f abc", ":1"),
            ("HINCRBY h f 1", "-ERR hash value is not an integer"),
            ("HSET h f 9223372036854775807", ":0"),
            ("HINCRBY h f 1", "-ERR increment or decrement would overflow"),
        ]);
    }

    #[test]
    fn a_string_is_no_hash() {
        let desk = Desk::new();
        desk.ask("SET a 1");
        for line in [
            "HSET a f 1",
            "HMSET a f 1",
            "HGET a f",
            "HMGET a f",
            "HGETALL a",
            "HKEYS a",
            "HVALS a",
            "HLEN a",
            "HEXISTS a f",
            "HDEL a f",
            "HINCRBY a f 1",
        ] {
            assert_eq!(desk.ask(line), format!("-{WRONG_TYPE}"), "{line}");
        }
    }

    #[test]
    fn a_write_of_a_field_keeps_the_end_of_the_session() {
        Desk::new().table(&[
            ("HSET h f 1 g 1", ":2"),
            ("EXPIRE h 50", ":1"),
            ("HSET h f 2", ":0"),
            ("HDEL h g", ":1"),
            ("HINCRBY h n 1", ":1"),
            ("TTL h", ":50"),
        ]);
    }

    #[test]
    fn a_field_without_a_value_is_refused() {
        Desk::new().table(&[
            ("HSET h f 1 g", "-ERR wrong number of arguments for 'hset' command"),
            ("HMSET h f 1 g", "-ERR wrong number of arguments for 'hmset' command"),
        ]);
    }
}
