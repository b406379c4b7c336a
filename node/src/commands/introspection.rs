//! `COMMAND`: what the table has, for clients that build themselves from it.

use super::{
    Access, Command, Table,
    call::{Answer, Call},
};
use crate::{resp::Reply, store::Store};

pub(super) fn command<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let all = Table::<S>::ALL;
    let Some(sub) = call.arguments.get(1) else {
        call.reply.array(all.len());
        all.iter().for_each(|command| describe(&mut call.reply, command));
        return Ok(());
    };
    match &sub.to_ascii_lowercase()[..] {
        b"count" => call.reply.count(all.len()),
        b"docs" => call.reply.map(0),
        b"list" => {
            call.reply.array(all.len());
            all.iter().for_each(|command| call.reply.bulk(command.name.as_bytes()));
        }
        b"info" => {
            call.reply.array(call.arguments.len() - 2);
            for name in call.arguments.from(2) {
                match Table::<S>::find(name) {
                    Some(command) => describe(&mut call.reply, command),
                    None => call.reply.null_array(),
                }
            }
        }
        _ => {
            let sub = String::from_utf8_lossy(sub);
            return Err(format!("ERR unknown subcommand '{sub}'. Try COMMAND HELP.").into());
        }
    }
    Ok(())
}

/// Name, arity, flags, places of the keys; and nothing in the fields that Redis 7 has beyond.
fn describe<S: Store>(reply: &mut Reply<'_>, command: &Command<S>) {
    let flags: &[&str] = match command.access {
        Access::Connection => &["loading", "stale", "fast"],
        Access::Peek | Access::Read => &["readonly", "fast"],
        Access::Write | Access::Create(_) => &["write", "fast"],
    };
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    reply.array(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    let (first, last, step) = command.keys;
    [first, last, step].into_iter().for_each(|place| reply.integer(i64::from(place)));
    for _beyond in ["categories", "tips", "key specifications", "subcommands"] {
        reply.array(0);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::Table;
    use crate::commands::testing::{Alone, Desk};

    #[test]
    fn the_table_is_told() {
        let count = Table::<Alone>::ALL.len();
        let desk = Desk::new();
        let get = "[get :2 [+readonly +fast] :1 :1 :1 [] [] [] []]";
        desk.table(&[
            ("COMMAND COUNT", &format!(":{count}")),
            ("COMMAND DOCS", "[]"),
            ("COMMAND INFO get nosuch", &format!("[{get} (nil)]")),
            ("COMMAND NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP."),
        ]);
        assert!(desk.ask("COMMAND").contains(get));
        assert!(desk.ask("COMMAND LIST").contains("hgetall"));
    }
}
