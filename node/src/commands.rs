//! The commands that a client may send: one table, and one function for each.
//!
//! A command runs to its end at once and writes its reply; what it writes to sessions is committed, and its reply waits
//! for that elsewhere. So whatever a command reads stays true until its own writes are made. The texts of the errors are
//! those of Redis, because clients match them.

mod call;
mod connection;
mod hashes;
mod heirloom;
mod info;
mod introspection;
mod keys;
mod lifetimes;
mod map;
mod rename;
mod strings;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod testing;

use core::{cmp::Ordering, marker::PhantomData, task::Context};

use heirloom_core::{MemberState, Purpose};

use self::call::key_of;
pub(crate) use self::call::{After, Answer, Call, Connection, Counters, Program, Refusal};

use crate::{fetches::Fetches, replies::LOADING, resp::Arguments, store::Store};

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

/// What a command touches, and so what it needs of the sessions that its keys name before it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// The connection or the program; it is answered even by a node that does not serve yet.
    Connection,
    /// Sessions, without a use: copies of them will do.
    Peek,
    /// Sessions, and that is a use of them: copies will do.
    Read,
    /// Sessions: this member becomes their owner.
    Write,
    /// A session that it creates anew, whatever there was; it needs nothing, unless it looks at what there is.
    Create(fn(Arguments<'_>) -> bool),
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
        use Access::{Connection, Create, Peek, Read, Write};
        &[
            entry("auth", -2, Connection, NONE, connection::auth),
            entry("client", -2, Connection, NONE, connection::client),
            entry("cluster", -2, Connection, NONE, info::cluster),
            entry("command", -1, Connection, NONE, introspection::command),
            entry("del", -2, Write, EVERY, keys::del),
            entry("echo", 2, Connection, NONE, connection::echo),
            entry("exists", -2, Peek, EVERY, keys::exists),
            entry("expire", -3, Write, FIRST, keys::expire),
            entry("expireat", -3, Write, FIRST, keys::expireat),
            entry("get", 2, Read, FIRST, strings::get),
            entry("getdel", 2, Write, FIRST, strings::getdel),
            entry("getex", -2, Write, FIRST, strings::getex),
            entry("hdel", -3, Write, FIRST, hashes::hdel),
            entry("heirloom.drain", 1, Connection, NONE, heirloom::drain),
            entry("heirloom.explain", 2, Peek, FIRST, heirloom::explain),
            entry("heirloom.map", -2, Peek, NONE, map::map),
            entry("heirloom.members", 1, Connection, NONE, heirloom::members),
            entry("heirloom.resume", 1, Connection, NONE, heirloom::resume),
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
            entry("ping", -1, Peek, NONE, connection::ping),
            entry("psetex", 4, Create(|_| false), FIRST, strings::psetex),
            entry("pttl", 2, Peek, FIRST, keys::pttl),
            entry("quit", -1, Connection, NONE, connection::quit),
            entry("rename", 3, Write, (1, 2, 1), rename::rename),
            entry("renamenx", 3, Write, (1, 2, 1), rename::renamenx),
            entry("select", 2, Connection, NONE, connection::select),
            entry("set", -3, Create(strings::set_looks), FIRST, strings::set),
            entry("setex", 4, Create(|_| false), FIRST, strings::setex),
            entry("setnx", 3, Write, FIRST, strings::setnx),
            entry("shutdown", -1, Connection, NONE, connection::shutdown),
            entry("ttl", 2, Peek, FIRST, keys::ttl),
            entry("type", 2, Peek, FIRST, keys::kind),
            entry("unlink", -2, Write, EVERY, keys::del),
            entry("wait", 3, Peek, NONE, keys::wait),
        ]
    };

    /// The command of this name, in any case.
    pub(crate) fn find(name: &[u8]) -> Option<&'static Command<S>> {
        let found = Self::ALL.binary_search_by(|command| compare(command.name.as_bytes(), name));
        found.ok().map(|at| &Self::ALL[at])
    }
}

/// Makes sure that whatever a request needs is there. Tells whether it can run.
pub(crate) fn fetch<S: Store>(
    fetches: &mut Fetches<S::Fetch>,
    context: &mut Context<'_>,
    store: &S,
    space: u32,
    arguments: Arguments<'_>,
) -> bool {
    if !fetches.settle(context) {
        return false;
    }
    // What is not run needs nothing.
    let Ok(command) = command(store, arguments) else { return true };
    let purpose = match command.access {
        Access::Connection => return true,
        Access::Peek => Purpose::Peek,
        Access::Read => Purpose::Read,
        Access::Write => Purpose::Write,
        Access::Create(looks) if looks(arguments) => Purpose::Write,
        Access::Create(_) => {
            fetches.skip();
            return true;
        }
    };
    let keys = command.keys(arguments).map(|id| key_of(store, space, id));
    fetches.ask(context, keys, |key| store.fetch(key, purpose))
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
    let command = command(call.store, call.arguments)?;
    call.brought.allow()?;
    (command.run)(call)
}

/// The command that a request asks for.
fn command<S: Store>(store: &S, arguments: Arguments<'_>) -> Result<&'static Command<S>, Refusal> {
    let Some(command) = Table::<S>::find(&arguments[0]) else { return Err(unknown(arguments)) };
    let words = arguments.len();
    let least = usize::from(command.arity.unsigned_abs());
    if words < least || (0 < command.arity && words != least) {
        return Err(call::wrong_arity(command.name));
    }
    if !matches!(command.access, Access::Connection) && store.state() == MemberState::Joining {
        return Err(LOADING.into());
    }
    Ok(command)
}

impl<S: Store> Command<S> {
    /// The ids of the sessions that a request names.
    fn keys<'a>(&self, arguments: Arguments<'a>) -> impl Iterator<Item = &'a [u8]> {
        let (first, last, step) = self.keys;
        let place = |place: i8| usize::from(place.unsigned_abs());
        let end = if last < 0 { arguments.len() + 1 - place(last) } else { place(last) + 1 };
        let count = end.saturating_sub(place(first)) * usize::from(first != 0);
        arguments.from(place(first)).take(count).step_by(place(step).max(1))
    }
}

fn unknown(arguments: Arguments<'_>) -> Refusal {
    const SHOWN_MAX: usize = 128;
    let shown = |word: &[u8], max: usize| String::from_utf8_lossy(&word[..word.len().min(max)]).into_owned();
    let mut words = String::new();
    for word in arguments.from(1) {
        let Some(room) = SHOWN_MAX.checked_sub(words.len()).filter(|&room| 0 < room) else { break };
        words.push_str(&format!("'{}' ", shown(word, room)));
    }
    let name = shown(&arguments[0], SHOWN_MAX);
    format!("ERR unknown command '{name}', with args beginning with: {words}").into()
}

fn compare(lower: &[u8], other: &[u8]) -> Ordering {
    lower.iter().copied().cmp(other.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use heirloom_runtime::{FetchFailed, Found};

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
    fn each_command_asks_for_its_keys_as_its_entry_says() {
        use Purpose::{Peek, Read, Write};

        let desk = Desk::new();
        desk.set_far("elsewhere", Ok(Found::Nowhere));
        let rows: [(&str, &[(&str, Purpose)]); 24] = [
            ("PING", &[]),
            ("WAIT 0 1", &[]),
            ("COMMAND COUNT", &[]),
            ("GET", &[]),
            ("SET a 1", &[]),
            ("SET a 1 EX 5", &[]),
            ("SETEX a 5 1", &[]),
            ("SET a 1 px 5000 NX", &[("a", Write)]),
            ("SET a 1 GET", &[("a", Write)]),
            ("SET a 1 KEEPTTL", &[("a", Write)]),
            ("SET a 1 EXAT 1", &[("a", Write)]),
            ("SETNX a 1", &[("a", Write)]),
            ("GET a", &[("a", Read)]),
            ("TTL a", &[("a", Peek)]),
            ("EXISTS a b", &[("a", Peek), ("b", Peek)]),
            ("MGET a b", &[("a", Read), ("b", Read)]),
            ("DEL a b", &[("a", Write), ("b", Write)]),
            ("EXPIRE a 5", &[("a", Write)]),
            ("HSET h f 1", &[("h", Write)]),
            ("HGET h f", &[("h", Read)]),
            ("RENAME a b", &[("a", Write), ("b", Write)]),
            ("HEIRLOOM.EXPLAIN a", &[("a", Peek)]),
            ("HEIRLOOM.MAP GET a", &[]),
            ("HEIRLOOM.MEMBERS", &[]),
        ];
        for (line, wanted) in rows {
            desk.ask(line);
            let wanted: Vec<_> = wanted.iter().map(|(id, purpose)| (desk.key(id), *purpose)).collect();
            assert_eq!(desk.store.asked.take(), wanted, "{line}");
        }
    }

    #[test]
    fn a_command_runs_on_what_others_have() {
        let (desk, other) = (Desk::new(), Desk::new());
        other.table(&[("SET a 1 EX 100", "+OK"), ("HSET h f 2", ":1")]);
        for id in ["a", "h"] {
            let copy = other.store.peek(&other.key(id)).expect("it was written");
            desk.set_far(id, Ok(Found::Copy(copy)));
        }
        desk.set_far("nowhere", Ok(Found::Nowhere));
        desk.set_far("slow", Err(FetchFailed::Late));
        let late = "-TRYAGAIN members that may have the session have not answered in time";
        desk.table(&[
            ("GET a", "1"),
            ("TTL a", ":100"),
            ("TYPE h", "+hash"),
            ("HGETALL h", "[f 2]"),
            ("MGET a nowhere h", "[1 (nil) (nil)]"),
            ("EXISTS a h nowhere here", ":2"),
            ("HSET nowhere f 1", ":1"),
            ("GET slow", late),
            ("DEL here slow", late),
            ("SET slow 1", "+OK"),
        ]);
        assert_eq!(desk.store.sessions(), 2, "what was brought is not kept");
    }

    #[test]
    fn what_is_created_anew_ends_what_there_was() {
        let desk = Desk::new();
        desk.table(&[("HSET h f 1", ":1"), ("EXPIRE h 9", ":1")]);
        desk.set_far("elsewhere", Ok(Found::Nowhere));
        desk.table(&[("SET h 1", "+OK"), ("GET h", "1"), ("TTL h", ":1800"), ("DEL h", ":1"), ("HLEN h", ":0")]);
    }

    #[test]
    fn a_node_that_does_not_serve_yet_answers_the_handshake_alone() {
        let desk = Desk::joining();
        let loading = format!("-{LOADING}");
        desk.table(&[
            ("GET a", &loading),
            ("SET a 1", &loading),
            ("PING", &loading),
            ("HEIRLOOM.MAP ALL", &loading),
            ("SELECT 1", "+OK"),
            ("CLIENT SETNAME a", "+OK"),
        ]);
        assert!(desk.ask("INFO").contains("loading:1"));
        assert!(desk.ask("HELLO 3").contains("standalone"));
    }
}
