//! Strings: a session with one attribute that has no name.

use bytes::Bytes;
use heirloom_core::{Delta, Session, SessionKey};
use heirloom_runtime::Published;

use super::{
    call::{Answer, Call, Refusal, SYNTAX, WRONG_TYPE, expect},
    lifetimes::{End, Notation, is_fixed},
};
use crate::{
    mapping::{Kind, TEXT},
    resp::Arguments,
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
    let view = call.peek(&key);
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
    let view = call.peek(&key);
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
    let view = call.peek(&key);
    store(call, key, 3, view.as_ref(), &Options { lifetime, ..Options::default() });
    call.reply.simple("OK");
    Ok(())
}

pub(super) fn get<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let view = call.session(&key);
    expect(Kind::Text, view.as_deref())?;
    call.reply.bulk_or_null(view.as_deref().and_then(text));
    Ok(())
}

pub(super) fn getdel<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let view = call.peek(&key);
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
    let view = call.session(&key);
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
        let view = call.session(&key);
        call.reply.bulk_or_null(view.as_deref().and_then(text));
    }
    Ok(())
}

fn store<S: Store>(
    call: &mut Call<'_, S>,
    key: SessionKey,
    value: usize,
    view: Option<&Published>,
    options: &Options,
) -> Stored {
    let kind = Kind::of(view.map(|view| &**view));
    match (options.when, kind) {
        (When::Absent, Kind::Text | Kind::Hash) | (When::Present, Kind::Absent) => return Stored::Refused,
        (When::Always | When::Absent | When::Present, _) => {}
    }
    let is_alone = view.is_none_or(|view| view.attributes().count() == 1);
    let is_overwrite = kind == Kind::Text && is_alone;
    // Where others may hold what is not here, a creation ends that too.
    let is_new = view.is_none() && !call.store.fetches();
    let delta = if is_overwrite || is_new { Delta::new() } else { Delta::anew() };
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

/// Whether a `SET` depends on what is there: with any option but an end from now on.
pub(super) fn set_looks(arguments: Arguments<'_>) -> bool {
    let is_end = |word: &[u8]| word.eq_ignore_ascii_case(b"ex") || word.eq_ignore_ascii_case(b"px");
    !arguments.from(3).step_by(2).all(is_end)
}

fn fixed(length: core::time::Duration) -> heirloom_core::Lifetime {
    heirloom_core::Lifetime::Fixed(length)
}

/// The value of a string.
fn text(session: &Session) -> Option<&Bytes> {
    session.attribute(TEXT)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use crate::commands::{
        call::{SYNTAX, WRONG_TYPE},
        testing::{Desk, IDLE, WALL},
    };

    #[test]
    fn a_string_is_set_and_read_in_both_versions_of_the_protocol() {
        let desk = Desk::new();
        for (hello, nothing) in [("HELLO 2", "(nil)"), ("HELLO 3", "(null)")] {
            desk.ask(hello);
            desk.table(&[
                ("GET a", nothing),
                ("SET a 1", "+OK"),
                ("get a", "1"),
                ("SET a 2 NX", nothing),
                ("SET a 2 XX", "+OK"),
                ("SET b 1 XX", nothing),
                ("SET a 3 GET", "2"),
                ("SET a 4 NX GET", "3"),
                ("SET b 1 NX GET", nothing),
                ("SET c 1 XX GET", nothing),
                ("SETNX a 9", ":0"),
                ("SETNX c 9", ":1"),
                ("MGET a b missing c", &format!("[3 1 {nothing} 9]")),
                ("GETDEL a", "3"),
                ("GETDEL a", nothing),
                ("DEL a b c", ":2"),
            ]);
        }
    }

    #[test]
    fn any_bytes_are_a_key_and_a_value() {
        let desk = Desk::new();
        assert_eq!(desk.ask_words(&[b"SET", b"\0\r\n\xff", b"\xfe\r\n\0"]), "+OK");
        assert_eq!(desk.ask_words(&[b"GET", b"\0\r\n\xff"]), "\\xfe\n\\x00");
        assert_eq!(desk.ask_words(&[b"SET", b"", b""]), "+OK");
        assert_eq!(desk.ask_words(&[b"GET", b""]), "");
        assert_eq!(desk.ask_words(&[b"TYPE", b""]), "+string");
    }

    #[test]
    fn a_set_fixes_the_end_or_takes_it_back_or_keeps_it() {
        let desk = Desk::new();
        let idle = format!(":{}", IDLE.as_secs());
        let exat = format!("SET a 1 EXAT {}", WALL.as_secs() + 30);
        let pxat = format!("SET a 1 PXAT {}", WALL.as_millis() + 40_000);
        desk.table(&[
            ("SET a 1", "+OK"),
            ("TTL a", &idle),
            ("SET a 1 EX 100", "+OK"),
            ("TTL a", ":100"),
            ("SET a 2 KEEPTTL", "+OK"),
            ("TTL a", ":100"),
            ("SET a 3", "+OK"),
            ("TTL a", &idle),
            ("SET a 1 PX 1500", "+OK"),
            ("PTTL a", ":1500"),
            ("SETEX a 20 x", "+OK"),
            ("TTL a", ":20"),
            ("PSETEX a 2500 x", "+OK"),
            ("PTTL a", ":2500"),
            // The desk opened ten seconds ago.
            (&exat, "+OK"),
            ("TTL a", ":20"),
            (&pxat, "+OK"),
            ("TTL a", ":30"),
            ("SET a 1 EXAT 1", "+OK"),
            ("GET a", "(nil)"),
            ("SET missing 1 PXAT 1", "+OK"),
            ("EXISTS missing", ":0"),
        ]);
    }

    #[test]
    fn a_read_moves_no_end_that_was_fixed_and_getex_moves_it() {
        let desk = Desk::new();
        desk.ask("SET a 1 EX 100");
        desk.pass(Duration::from_secs(60));
        desk.table(&[
            ("GET a", "1"),
            ("TTL a", ":40"),
            ("GETEX a", "1"),
            ("TTL a", ":40"),
            ("GETEX a EX 200", "1"),
            ("TTL a", ":200"),
            ("GETEX a PERSIST", "1"),
            ("TTL a", &format!(":{}", IDLE.as_secs())),
            ("GETEX a PX 500", "1"),
            ("PTTL a", ":500"),
            ("GETEX a EXAT 1", "1"),
            ("GETEX a EX 1", "(nil)"),
        ]);
        desk.ask("SET a 1 EX 100");
        desk.pass(Duration::from_secs(100));
        assert_eq!(desk.ask("GET a"), "(nil)");
    }

    #[test]
    fn a_use_renews_a_session_that_was_given_no_end() {
        let desk = Desk::new();
        desk.ask("SET a 1");
        desk.ask("SET b 1");
        desk.pass(IDLE / 2);
        assert_eq!(desk.ask("GET a"), "1");
        assert_eq!(desk.ask("EXISTS b"), ":1", "and this is no use of it");
        // A node may take a tenth longer to notice.
        desk.pass(IDLE / 2 + IDLE / 5);
        assert_eq!(desk.ask("MGET a b"), "[1 (nil)]");
    }

    #[test]
    fn an_option_that_is_wrong_is_refused_and_nothing_is_set() {
        let desk = Desk::new();
        let syntax = format!("-{SYNTAX}");
        let integer = "-ERR value is not an integer or out of range";
        let time = |name: &str| format!("-ERR invalid expire time in '{name}' command");
        desk.table(&[
            ("SET a 1 FOO", &syntax),
            ("SET a 1 NX XX", &syntax),
            ("SET a 1 EX", &syntax),
            ("SET a 1 EX 10 PX 10", &syntax),
            ("SET a 1 EX 10 KEEPTTL", &syntax),
            ("SET a 1 KEEPTTL EX 10", &syntax),
            ("SET a 1 EX x", integer),
            ("SET a 1 EX 0", &time("set")),
            ("SET a 1 EX 9223372036854775807", &time("set")),
            ("SETEX a 0 1", &time("setex")),
            ("PSETEX a -1 1", &time("psetex")),
            ("GETEX a EX 0", &time("getex")),
            ("GETEX a PERSIST 1", &syntax),
            ("GETEX a EX", &syntax),
            ("EXISTS a", ":0"),
        ]);
    }

    #[test]
    fn a_hash_is_no_string_until_it_is_set_anew() {
        let desk = Desk::new();
        let wrong = format!("-{WRONG_TYPE}");
        desk.table(&[
            ("HSET h f 1", ":1"),
            ("GET h", &wrong),
            ("SET h 1 GET", &wrong),
            ("GETDEL h", &wrong),
            ("GETEX h EX 1", &wrong),
            ("MGET h", "[(nil)]"),
            ("SETNX h 1", ":0"),
            ("EXPIRE h 50", ":1"),
            ("SET h 1 KEEPTTL", "+OK"),
            ("TYPE h", "+string"),
            ("TTL h", ":50"),
            ("DEL h", ":1"),
            ("HGETALL h", "[]"),
        ]);
    }

    #[test]
    fn what_is_over_a_limit_is_refused_with_its_name() {
        let config = heirloom_core::Config {
            attribute_bytes_max: 100,
            session_bytes_max: 150,
            attributes_max: 2,
            ..Default::default()
        };
        let desk = Desk::with(config);
        let key = "k".repeat(513);
        let value = "v".repeat(101);
        let half = "v".repeat(90);
        assert!(desk.ask(&format!("SET {key} 1")).contains("513 bytes, more than id_bytes_max (512)"));
        assert!(desk.ask(&format!("SET a {value}")).contains("attribute_bytes_max (100)"));
        assert!(desk.ask(&format!("HSET h a {half} b {half}")).contains("session_bytes_max (150)"));
        assert!(desk.ask("HSET h a 1 b 2 c 3").contains("attributes_max (2)"));
        assert_eq!(desk.ask("EXISTS a h"), ":0");
    }
}
