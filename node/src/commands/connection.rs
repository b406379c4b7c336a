//! Commands about the connection itself: the handshake of every client.

use super::call::{After, Answer, Call, Refusal, SYNTAX, integer, wrong_arity};
use crate::{resp::Version, store::Store};

/// The version of Redis that the node stands in for. From 8 on clients would pick commands that are not here; before 4
/// some would avoid commands that are.
pub(super) const REDIS_VERSION: &str = "7.2.4";

/// How many databases a client may select.
const SPACES: i64 = 16;

/// The longest name that a client may give itself.
const NAME_MAX: usize = 1024;

/// The one user there is. It has no password, so that Redis accepts any.
const USER: &[u8] = b"default";

pub(super) fn ping<S: Store>(call: &mut Call<'_, S>) -> Answer {
    match (call.arguments.get(1), call.arguments.len()) {
        (None, _) => call.reply.simple("PONG"),
        (Some(text), 2) => call.reply.bulk(text),
        (Some(_), _) => return Err(wrong_arity("ping")),
    }
    Ok(())
}

pub(super) fn echo<S: Store>(call: &mut Call<'_, S>) -> Answer {
    call.reply.bulk(&call.arguments[1]);
    Ok(())
}

pub(super) fn select<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let space = call.integer(1)?;
    let space = u32::try_from(space).ok().filter(|&space| i64::from(space) < SPACES);
    call.connection.space = space.ok_or("ERR DB index is out of range")?;
    call.reply.simple("OK");
    Ok(())
}

pub(super) fn quit<S: Store>(call: &mut Call<'_, S>) -> Answer {
    call.after = After::Close;
    call.reply.simple("OK");
    Ok(())
}

pub(super) fn shutdown<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let known = ["nosave", "save", "now", "force"];
    let is_known = |word: &[u8]| known.into_iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
    if !call.arguments.from(1).all(is_known) {
        return Err(SYNTAX.into());
    }
    // The answer is the end of the connection.
    call.after = After::Shutdown;
    Ok(())
}

pub(super) fn auth<S: Store>(call: &mut Call<'_, S>) -> Answer {
    match (call.arguments.get(1), call.arguments.len()) {
        (Some(_), 2) => Err("ERR AUTH <password> called without any password configured for the default user. \
                             Are you sure your configuration is correct?"
            .into()),
        (Some(user), 3) => {
            log_in(user)?;
            call.reply.simple("OK");
            Ok(())
        }
        _ => Err(SYNTAX.into()),
    }
}

fn log_in(user: &[u8]) -> Answer {
    if user == USER { Ok(()) } else { Err("WRONGPASS invalid username-password pair or user is disabled.".into()) }
}

pub(super) fn hello<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let version = match call.arguments.get(1).map(integer) {
        None => call.connection.version,
        Some(Some(2)) => Version::Two,
        Some(Some(3)) => Version::Three,
        Some(Some(_)) => return Err("NOPROTO unsupported protocol version".into()),
        Some(None) => return Err("ERR Protocol version is not an integer or out of range".into()),
    };
    let mut name = None;
    let mut at = 2;
    while let Some(option) = call.arguments.get(at) {
        let left = call.arguments.len() - at - 1;
        if option.eq_ignore_ascii_case(b"auth") && 2 <= left {
            log_in(&call.arguments[at + 1])?;
            at += 3;
        } else if option.eq_ignore_ascii_case(b"setname") && 1 <= left {
            name = Some(client_name(&call.arguments[at + 1])?);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return Err(format!("ERR Syntax error in HELLO option '{option}'").into());
        }
    }
    if let Some(name) = name {
        call.connection.name = name;
    }
    call.connection.version = version;
    call.reply.speak(version);
    let reply = &mut call.reply;
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if version == Version::Three { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(i64::try_from(call.connection.id).unwrap_or(i64::MAX));
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

pub(super) fn client<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let name = call.arguments[1].to_ascii_lowercase();
    let words = match &name[..] {
        b"id" | b"getname" | b"info" => 2,
        b"setname" | b"no-evict" | b"no-touch" => 3,
        b"setinfo" => 4,
        _ => {
            let name = String::from_utf8_lossy(&call.arguments[1]);
            return Err(format!("ERR unknown subcommand '{name}'. Try CLIENT HELP.").into());
        }
    };
    if call.arguments.len() != words {
        return Err(wrong_arity(format_args!("client|{}", String::from_utf8_lossy(&name))));
    }
    match &name[..] {
        b"id" => call.reply.integer(i64::try_from(call.connection.id).unwrap_or(i64::MAX)),
        b"getname" => {
            let name = Some(&call.connection.name).filter(|name| !name.is_empty());
            call.reply.bulk_or_null(name);
        }
        b"info" => {
            let line = client_line(call);
            call.reply.verbatim(&line);
        }
        b"setname" => {
            call.connection.name = client_name(&call.arguments[2])?;
            call.reply.simple("OK");
        }
        b"setinfo" => {
            set_info(call)?;
            call.reply.simple("OK");
        }
        // Nothing is ever evicted, and what a use is does not depend on who asks.
        _ => call.reply.simple("OK"),
    }
    Ok(())
}

fn set_info<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let option = &call.arguments[2];
    let value = client_name(&call.arguments[3])?;
    if option.eq_ignore_ascii_case(b"lib-name") {
        call.connection.library = value;
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        call.connection.library_version = value;
    } else {
        return Err(format!("ERR Unrecognized option '{}'", String::from_utf8_lossy(option)).into());
    }
    Ok(())
}

/// A name that a client gives itself: it must stay one word of one line.
fn client_name(name: &[u8]) -> Result<String, Refusal> {
    let is_allowed = name.iter().all(u8::is_ascii_graphic) && name.len() <= NAME_MAX;
    let name = core::str::from_utf8(name).ok().filter(|_| is_allowed);
    let refusal = "ERR Client names cannot contain spaces, newlines or special characters.";
    name.map(str::to_owned).ok_or_else(|| refusal.into())
}

fn client_line<S: Store>(call: &Call<'_, S>) -> String {
    let connection = &call.connection;
    format!(
        "id={} addr={} laddr={} name={} db={} resp={} lib-name={} lib-ver={}\n",
        connection.id,
        connection.address,
        call.program.listen,
        connection.name,
        connection.space,
        if connection.version == Version::Three { 3 } else { 2 },
        connection.library,
        connection.library_version,
    )
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Desk;

    #[test]
    fn the_connection_is_spoken_about_as_redis_does() {
        Desk::new().table(&[
            ("PING", "+PONG"),
            ("PING hello", "hello"),
            ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
            ("ECHO hello", "hello"),
            ("SELECT 15", "+OK"),
            ("SELECT 16", "-ERR DB index is out of range"),
            ("SELECT -1", "-ERR DB index is out of range"),
            ("SELECT a", "-ERR value is not an integer or out of range"),
            ("CLIENT GETNAME", "(nil)"),
            ("CLIENT SETNAME me", "+OK"),
            ("CLIENT GETNAME", "me"),
            ("CLIENT ID", ":7"),
            ("CLIENT SETINFO LIB-NAME lib", "+OK"),
            ("client setinfo lib-ver 1.0", "+OK"),
            ("CLIENT SETINFO LIB-X 1.0", "-ERR Unrecognized option 'LIB-X'"),
            ("CLIENT NO-EVICT on", "+OK"),
            ("CLIENT NO-TOUCH on", "+OK"),
            ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
            ("CLIENT TRACKING on", "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP."),
            ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
            ("QUIT", "+OK"),
            ("SHUTDOWN LATER", "-ERR syntax error"),
        ]);
        let info = Desk::new().ask("CLIENT INFO");
        assert!(info.starts_with("id=7 addr=127.0.0.1:5000 "), "{info}");
    }

    #[test]
    fn the_one_user_has_no_password() {
        Desk::new().table(&[
            (
                "AUTH secret",
                "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ),
            ("AUTH default secret", "+OK"),
            ("AUTH other secret", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH a b c", "-ERR syntax error"),
            ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
            ("HELLO 3 AUTH other secret", "-WRONGPASS invalid username-password pair or user is disabled."),
        ]);
    }

    #[test]
    fn hello_chooses_the_version_of_the_protocol() {
        let fields = "server redis version 7.2.4 proto 3 id :7 mode standalone role master modules []";
        let map = |proto: &str| fields.replace("proto 3", &format!("proto :{proto}"));
        Desk::new().table(&[
            ("HELLO", &format!("[{}]", map("2"))),
            ("HELLO 3", &format!("{{{}}}", map("3"))),
            ("HELLO", &format!("{{{}}}", map("3"))),
            ("GET missing", "(null)"),
            ("HELLO 2 AUTH default x SETNAME me", &format!("[{}]", map("2"))),
            ("CLIENT GETNAME", "me"),
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"),
            ("HELLO 3 NAME", "-ERR Syntax error in HELLO option 'NAME'"),
            ("GET missing", "(nil)"),
        ]);
    }
}
