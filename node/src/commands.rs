//! The commands that a client may send: one table, and one function for each.
//!
//! A command runs to its end at once and writes its reply; what it writes to sessions is committed, and its reply waits
//! for that elsewhere. So whatever a command reads stays true until its own writes are made. The texts of the errors are
//! those of Redis, because clients match them.

mod call;
mod connection;
mod hashes;
mod info;
mod introspection;
mod keys;
mod lifetimes;
mod strings;
#[cfg(test)]
mod testing;

use core::{cmp::Ordering, marker::PhantomData};

use heirloom_core::MemberState;

pub(crate) use call::{After, Answer, Call, Connection, Counters, Program, Refusal};

use crate::{replies::LOADING, store::Store};

/// A command, as the table has it.
pub(crate) struct Command<S: Store> {
    /// In lower case.
    pub(crate) name: &'static str,
    /// How many words it has with its name; negative for "at least".
    pub(crate) arity: i8,
    pub(crate) access: Access,
    /// Where its keys stand, as `COMMAND` tells: the first, the last, and the step between.
    pub(crate) keys: (i8, i8, i8),
    run: fn(&mut Call<'_, S>) -> Answer,
}

/// What a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The connection or the program; it is answered even by a node that does not serve yet.
    Connection,
    /// Sessions, without a change.
    Read,
    /// Sessions.
    Write,
}

/// All commands.
pub(crate) struct Table<S>(PhantomData<S>);

const fn entry<S: Store>(
    name: &'static str,
    arity: i8,
    access: Access,
    keys: (i8, i8, i8),
    run: fn(&mut Call<'_, S>) -> Answer,
) -> Command<S> {
    Command { name, arity, access, keys, run }
}

const NONE: (i8, i8, i8) = (0, 0, 0);
const FIRST: (i8, i8, i8) = (1, 1, 1);
const EVERY: (i8, i8, i8) = (1, -1, 1);

impl<S: Store> Table<S> {
    /// By name.
    pub(crate) const ALL: &'static [Command<S>] = {
        use Access::{Connection, Read, Write};
        &[
            entry("auth", -2, Connection, NONE, connection::auth),
            entry("client", -2, Connection, NONE, connection::client),
            entry("cluster", -2, Connection, NONE, info::cluster),
            entry("command", -1, Connection, NONE, introspection::command),
            entry("del", -2, Write, EVERY, keys::del),
            entry("echo", 2, Connection, NONE, connection::echo),
            entry("exists", -2, Read, EVERY, keys::exists),
            entry("expire", -3, Write, FIRST, keys::expire),
            entry("expireat", -3, Write, FIRST, keys::expireat),
            entry("get", 2, Read, FIRST, strings::get),
            entry("getdel", 2, Write, FIRST, strings::getdel),
            entry("getex", -2, Write, FIRST, strings::getex),
            entry("hdel", -3, Write, FIRST, hashes::hdel),
            entry("hello", -1, Connection, NONE, connection::hello),
            entry("hexists", 3, Read, FIRST, hashes::hexists),
            entry("hget", 3, Read, FIRST, hashes::hget),
            entry("hgetall", 2, Read, FIRST, hashes::hgetall),
            entry("hincrby", 4, Write, FIRST, hashes::hincrby),
            entry("hkeys", 2, Read, FIRST, hashes::hkeys),
            entry("hlen", 2, Read, FIRST, hashes::hlen),
            entry("hmget", -3, Read, FIRST, hashes::hmget),
            entry("hmset", -4, Write, FIRST, hashes::hmset),
            entry("hset", -4, Write, FIRST, hashes::hset),
            entry("hvals", 2, Read, FIRST, hashes::hvals),
            entry("info", -1, Connection, NONE, info::info),
            entry("mget", -2, Read, EVERY, strings::mget),
            entry("persist", 2, Write, FIRST, keys::persist),
            entry("pexpire", -3, Write, FIRST, keys::pexpire),
            entry("pexpireat", -3, Write, FIRST, keys::pexpireat),
            entry("ping", -1, Read, NONE, connection::ping),
            entry("psetex", 4, Write, FIRST, strings::psetex),
            entry("pttl", 2, Read, FIRST, keys::pttl),
            entry("quit", -1, Connection, NONE, connection::quit),
            entry("select", 2, Connection, NONE, connection::select),
            entry("set", -3, Write, FIRST, strings::set),
            entry("setex", 4, Write, FIRST, strings::setex),
            entry("setnx", 3, Write, FIRST, strings::setnx),
            entry("shutdown", -1, Connection, NONE, connection::shutdown),
            entry("ttl", 2, Read, FIRST, keys::ttl),
            entry("type", 2, Read, FIRST, keys::kind),
            entry("unlink", -2, Write, EVERY, keys::del),
            entry("wait", 3, Read, NONE, keys::wait),
        ]
    };

    /// The command of this name, in any case.
    pub(crate) fn find(name: &[u8]) -> Option<&'static Command<S>> {
        let found = Self::ALL.binary_search_by(|command| compare(command.name.as_bytes(), name));
        found.ok().map(|at| &Self::ALL[at])
    }
}

/// Runs one request of a client.
pub(crate) fn run<S: Store>(mut call: Call<'_, S>) -> After {
    if let Err(refusal) = try_run(&mut call) {
        // What was committed before the refusal stays, and nobody waits for it.
        call.reply.error(&refusal);
    }
    call.finish()
}

fn try_run<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let Some(command) = Table::<S>::find(&call.arguments[0]) else { return Err(unknown(call)) };
    let words = call.arguments.len();
    let least = usize::from(command.arity.unsigned_abs());
    if words < least || (0 < command.arity && words != least) {
        return Err(call::wrong_arity(command.name));
    }
    if command.access != Access::Connection && call.store.state() == MemberState::Joining {
        return Err(LOADING.into());
    }
    (command.run)(call)
}

fn unknown<S: Store>(call: &Call<'_, S>) -> Refusal {
    const SHOWN_MAX: usize = 128;
    let shown = |word: &[u8], max: usize| String::from_utf8_lossy(&word[..word.len().min(max)]).into_owned();
    let mut words = String::new();
    for word in call.arguments.from(1) {
        let Some(room) = SHOWN_MAX.checked_sub(words.len()).filter(|&room| 0 < room) else { break };
        words.push_str(&format!("'{}' ", shown(word, room)));
    }
    let name = shown(&call.arguments[0], SHOWN_MAX);
    format!("ERR unknown command '{name}', with args beginning with: {words}").into()
}

fn compare(lower: &[u8], other: &[u8]) -> Ordering {
    lower.iter().copied().cmp(other.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::{testing::Desk, *};

    #[test]
    fn the_table_is_in_order() {
        assert!(Table::<testing::Alone>::ALL.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn what_is_not_known_or_not_complete_is_refused_as_redis_does() {
        let long = "x".repeat(200);
        let cut = "x".repeat(128);
        let desk = Desk::new();
        desk.table(&[
            ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "),
            ("nosuch a b", "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' "),
            ("KEYS *", "-ERR unknown command 'KEYS', with args beginning with: '*' "),
            (&format!("eval {long} 0"), &format!("-ERR unknown command 'eval', with args beginning with: '{cut}' ")),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("get a b", "-ERR wrong number of arguments for 'get' command"),
            ("HSET a", "-ERR wrong number of arguments for 'hset' command"),
            ("gEt a", "(nil)"),
        ]);
    }

    #[test]
    fn a_node_that_does_not_serve_yet_answers_the_handshake_alone() {
        let desk = Desk::joining();
        let loading = format!("-{LOADING}");
        desk.table(&[
            ("GET a", &loading),
            ("SET a 1", &loading),
            ("PING", &loading),
            ("SELECT 1", "+OK"),
            ("CLIENT SETNAME a", "+OK"),
        ]);
        assert!(desk.ask("INFO").contains("loading:1"));
        assert!(desk.ask("HELLO 3").contains("standalone"));
    }
}
