//! Wires that have a limit, as lines tell of them.

use super::{
    deeds::{DEEDS, Deed, read_ways},
    words::Names,
};
use crate::{
    action::Action,
    stored::{
        forms::read_number,
        records::{RATE_MAX, ROOM_MAX},
    },
    wires::Wire,
};

/// What a line lets happen to wires.
pub(super) fn deed(names: &Names, words: &[&str]) -> Result<Deed, String> {
    let (action, wires, most): (fn(Wire, u64) -> Action, _, _) = match words {
        ["narrow", "the", "wire", "of", list, "to", rate] => {
            (Action::Narrow, hosts(names, list)?, bytes(rate, "/s", RATE_MAX)?)
        }
        ["narrow", ways @ .., "to", rate] => (Action::Narrow, between(names, ways)?, bytes(rate, "/s", RATE_MAX)?),
        ["limit", "the", "queue", "of", list, "to", room] => {
            (Action::Room, hosts(names, list)?, bytes(room, "", ROOM_MAX)?)
        }
        ["limit", "the", "queue", ways @ .., "to", room] => {
            (Action::Room, between(names, ways)?, bytes(room, "", ROOM_MAX)?)
        }
        _ => return Err(format!("`{}` is nothing that happens: {DEEDS}", words.join(" "))),
    };
    let all = |most| wires.iter().map(move |wire| action(*wire, most)).collect();
    Ok(Deed::lasting(all(most), all(0)))
}

fn hosts(names: &Names, list: &str) -> Result<Vec<Wire>, String> {
    Ok(names.hosts(list)?.into_iter().map(Wire::Host).collect())
}

fn between(names: &Names, ways: &[&str]) -> Result<Vec<Wire>, String> {
    Ok(read_ways(names, ways)?.into_iter().map(|(from, to)| Wire::Way(from, to)).collect())
}

/// A number of bytes, as `3000B` or `3kB`, or so many in a second.
fn bytes(text: &str, each: &str, most: u64) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no number of bytes: like 20 kB{each} or 20000 B{each}");
    let number = text.strip_suffix(each).and_then(|text| text.strip_suffix('B')).ok_or_else(wrong)?;
    let (number, scale) = number.strip_suffix('k').map_or((number, 1), |number| (number, 1000));
    let number = read_number(number, 0, most / scale).map_err(|_| wrong())?;
    Ok(number * scale)
}
