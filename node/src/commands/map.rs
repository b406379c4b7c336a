//! `HEIRLOOM.MAP`: the shared map, which every member holds, whoever holds which sessions.

use super::call::{Answer, Call, wrong_arity};
use crate::store::Store;

pub(super) fn map<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let arguments = call.arguments;
    let subcommand = arguments[1].to_ascii_lowercase();
    match (&subcommand[..], arguments.len()) {
        (b"get", 3) => call.reply.bulk_or_null(call.store.map_get(&arguments[2])),
        (b"set", 4) => {
            call.commits.push((None, call.store.map_write(&arguments[2], Some(&arguments[3]))));
            call.reply.simple("OK");
        }
        (b"del", 3) => {
            let is_there = call.store.map_get(&arguments[2]).is_some();
            if is_there {
                call.commits.push((None, call.store.map_write(&arguments[2], None)));
            }
            call.reply.integer(i64::from(is_there));
        }
        (b"all", 2) => {
            let map = call.store.map();
            call.reply.map(map.len());
            for (name, value) in &*map {
                call.reply.bulk(name);
                call.reply.bulk(value);
            }
        }
        (b"get" | b"set" | b"del" | b"all", _) => {
            let name = String::from_utf8_lossy(&subcommand);
            return Err(wrong_arity(format_args!("heirloom.map|{name}")));
        }
        _ => return Err("ERR unknown subcommand: it is HEIRLOOM.MAP SET name value, GET name, DEL name or ALL".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use heirloom_core::Config;

    use crate::commands::testing::Desk;

    #[test]
    fn a_name_is_set_read_and_removed() {
        let desk = Desk::new();
        desk.table(&[
            ("HEIRLOOM.MAP GET motd", "(nil)"),
            ("HEIRLOOM.MAP SET motd hello", "+OK"),
            ("heirloom.map set level 3", "+OK"),
            ("HEIRLOOM.MAP GET motd", "hello"),
            ("HEIRLOOM.MAP ALL", "[level 3 motd hello]"),
            ("HEIRLOOM.MAP DEL motd", ":1"),
            ("HEIRLOOM.MAP DEL motd", ":0"),
            ("HEIRLOOM.MAP GET motd", "(nil)"),
        ]);
        desk.ask("HELLO 3");
        desk.table(&[("HEIRLOOM.MAP ALL", "{level 3}"), ("HEIRLOOM.MAP GET motd", "(null)")]);
        desk.table(&[("GET motd", "(null)"), ("EXISTS level", ":0")]);
    }

    #[test]
    fn what_is_wrong_or_too_much_is_refused() {
        let desk = Desk::with(Config { map_entries_max: 1, ..Config::default() });
        desk.table(&[
            ("HEIRLOOM.MAP", "-ERR wrong number of arguments for 'heirloom.map' command"),
            ("HEIRLOOM.MAP SET a", "-ERR wrong number of arguments for 'heirloom.map|set' command"),
            ("HEIRLOOM.MAP ALL a", "-ERR wrong number of arguments for 'heirloom.map|all' command"),
            ("HEIRLOOM.MAP SET a 1", "+OK"),
        ]);
        assert!(desk.ask("HEIRLOOM.MAP NOSUCH").starts_with("-ERR unknown subcommand"));
        assert!(desk.ask("HEIRLOOM.MAP SET b 1").contains("map_entries_max (1)"));
        assert_eq!(desk.ask("HEIRLOOM.MAP SET a 2"), "+OK");
    }
}
