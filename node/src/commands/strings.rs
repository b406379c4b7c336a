//! Strings: a session with one attribute that has no name.

use bytes::Bytes;
use heirloom_core::{Delta, Session, SessionKey};

use super::{
    call::{Answer, Call, Refusal, SYNTAX, WRONG_TYPE, expect},
    lifetimes::{End, Notation, is_fixed},
};
use crate::{
    mapping::{Kind, TEXT},
    store::Store,
};

/// What the options of `SET` ask for.
#[derive(Default)]
struct Options {
    when: When,
    lifetime: Lasting,
    answers_old: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum When {
    #[default]
    Always,
    Absent,
    Present,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Lasting {
    /// As long as a session that nothing was said about.
    #[default]
    Default,
    Kept,
    Until(End),
}

/// How a `SET` went.
enum Stored {
    Done,
    /// `NX` or `XX` said no.
    Refused,
}

pub(super) fn set<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let options = options(call)?;
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    let old = match Kind::of(view.as_deref()) {
        Kind::Hash if options.answers_old => return Err(WRONG_TYPE.into()),
        Kind::Text if options.answers_old => view.as_deref().and_then(text).cloned(),
        Kind::Text | Kind::Hash | Kind::Absent => None,
    };
    let stored = store(call, key, 2, view.as_ref(), &options);
    match stored {
        _ if options.answers_old => call.reply.bulk_or_null(old),
        Stored::Done => call.reply.simple("OK"),
        Stored::Refused => call.reply.null(),
    }
    Ok(())
}

pub(super) fn setnx<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    let options = Options { when: When::Absent, ..Options::default() };
    let stored = store(call, key, 2, view.as_ref(), &options);
    call.reply.integer(i64::from(matches!(stored, Stored::Done)));
    Ok(())
}

pub(super) fn setex<S: Store>(call: &mut Call<'_, S>) -> Answer {
    set_until(call, Notation::EX, "setex")
}

pub(super) fn psetex<S: Store>(call: &mut Call<'_, S>) -> Answer {
    set_until(call, Notation::PX, "psetex")
}

fn set_until<S: Store>(call: &mut Call<'_, S>, notation: Notation, command: &str) -> Answer {
    let lifetime = Lasting::Until(call.end(notation, 2, command)?);
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    store(call, key, 3, view.as_ref(), &Options { lifetime, ..Options::default() });
    call.reply.simple("OK");
    Ok(())
}

pub(super) fn get<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let view = call.store.session(&key);
    expect(Kind::Text, view.as_deref())?;
    call.reply.bulk_or_null(view.as_deref().and_then(text));
    Ok(())
}

pub(super) fn getdel<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let view = call.store.peek(&key);
    if expect(Kind::Text, view.as_deref())? == Kind::Text {
        call.commit(key, Delta::end());
    }
    call.reply.bulk_or_null(view.as_deref().and_then(text));
    Ok(())
}

pub(super) fn getex<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let lifetime = match (call.arguments.get(2), call.arguments.len()) {
        (None, _) => None,
        (Some(option), 3) if option.eq_ignore_ascii_case(b"persist") => Some(Lasting::Default),
        (Some(option), 4) => {
            let notation = Notation::of(option).ok_or(SYNTAX)?;
            Some(Lasting::Until(call.end(notation, 3, "getex")?))
        }
        (Some(_), _) => return Err(SYNTAX.into()),
    };
    let key = call.key(1)?;
    let view = call.store.session(&key);
    let Some(view) = view.filter(|view| Kind::of(Some(view)) != Kind::Absent) else {
        call.reply.null();
        return Ok(());
    };
    expect(Kind::Text, Some(&view))?;
    match lifetime {
        Some(Lasting::Until(End::In(length))) => call.commit(key, Delta::new().lifetime(fixed(length))),
        Some(Lasting::Until(End::Passed)) => call.commit(key, Delta::end()),
        Some(Lasting::Default) if is_fixed(&view) => {
            call.commit(key, Delta::new().lifetime(call.program.lifetime()));
        }
        Some(Lasting::Default | Lasting::Kept) | None => {}
    }
    call.reply.bulk_or_null(text(&view));
    Ok(())
}

pub(super) fn mget<S: Store>(call: &mut Call<'_, S>) -> Answer {
    call.reply.array(call.arguments.len() - 1);
    for id in call.arguments.from(1) {
        let key = call.key_of(id)?;
        let view = call.store.session(&key);
        call.reply.bulk_or_null(view.as_deref().and_then(text));
    }
    Ok(())
}

fn store<S: Store>(
    call: &mut Call<'_, S>,
    key: SessionKey,
    value: usize,
    view: Option<&S::View>,
    options: &Options,
) -> Stored {
    let kind = Kind::of(view.map(|view| &**view));
    match (options.when, kind) {
        (When::Absent, Kind::Text | Kind::Hash) | (When::Present, Kind::Absent) => return Stored::Refused,
        (When::Always | When::Absent | When::Present, _) => {}
    }
    let is_alone = view.is_none_or(|view| view.attributes().count() == 1);
    let is_overwrite = kind == Kind::Text && is_alone;
    let delta = if is_overwrite || view.is_none() { Delta::new() } else { Delta::anew() };
    let default = call.program.lifetime();
    let lifetime = match (options.lifetime, view) {
        (Lasting::Until(End::Passed), None) => return Stored::Done,
        (Lasting::Until(End::Passed), Some(_)) => {
            call.commit(key, Delta::end());
            return Stored::Done;
        }
        (Lasting::Until(End::In(length)), _) => Some(fixed(length)),
        (Lasting::Default, Some(view)) => Some(default).filter(|_| view.lifetime() != Some(default)),
        (Lasting::Kept, Some(view)) if !is_overwrite => Some(call.lifetime_to_keep(view)),
        (Lasting::Kept, Some(_)) | (Lasting::Default | Lasting::Kept, None) => None,
    };
    let delta = delta.set(TEXT, Bytes::copy_from_slice(&call.arguments[value]));
    call.commit(key, lifetime.into_iter().fold(delta, Delta::lifetime));
    Stored::Done
}

fn options<S: Store>(call: &Call<'_, S>) -> Result<Options, Refusal> {
    let mut options = Options::default();
    let mut at = 3;
    while let Some(word) = call.arguments.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let has_lifetime = options.lifetime != Lasting::Default;
        if is("nx") && options.when != When::Present {
            options.when = When::Absent;
        } else if is("xx") && options.when != When::Absent {
            options.when = When::Present;
        } else if is("get") {
            options.answers_old = true;
        } else if is("keepttl") && (!has_lifetime || options.lifetime == Lasting::Kept) {
            options.lifetime = Lasting::Kept;
        } else {
            let notation = Notation::of(word).filter(|_| !has_lifetime).ok_or(SYNTAX)?;
            at += 1;
            options.lifetime = Lasting::Until(call.end(notation, at, "set")?);
        }
        at += 1;
    }
    Ok(options)
}

fn fixed(length: core::time::Duration) -> heirloom_core::Lifetime {
    heirloom_core::Lifetime::Fixed(length)
}

/// The value of a string.
fn text(session: &Session) -> Option<&Bytes> {
    session.attribute(TEXT)
}
