//! The words of a stored plan: how each thing is written, and read again.

use core::{fmt::Display, time::Duration};
use std::collections::BTreeSet;

use heirloom_core::{Durability, Lifetime, SessionKey, config::LIFETIME_MAX};

use crate::{
    ask::Attribute,
    chance::nanos,
    clients,
    clock::Moment,
    places::{Discovery, Places},
    weather::Weather,
};

const SECOND: u64 = 1_000_000_000;

/// Writes a time as seconds, to the last nanosecond.
pub(crate) fn show_time(length: Duration) -> String {
    let (whole, part) = (nanos(length) / SECOND, nanos(length) % SECOND);
    let digits = format!("{part:09}");
    match digits.trim_end_matches('0') {
        "" => format!("{whole}s"),
        digits => format!("{whole}.{digits}s"),
    }
}

/// Reads a time: `12.4s`, or a whole number of `ms`, `us` or `ns`.
pub(crate) fn read_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: a number and s, ms, us or ns, like 12.4s");
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let scale = match unit {
        "s" => SECOND,
        "ms" => 1_000_000,
        "us" => 1_000,
        "ns" => 1,
        _ => return Err(wrong()),
    };
    let has_part = number.contains('.');
    if !is_number(whole) || has_part && (unit != "s" || !is_number(part) || 9 < part.len()) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<9}").parse().map_err(|_| wrong())?;
    let length = whole.checked_mul(scale).and_then(|whole| whole.checked_add(part)).ok_or_else(wrong)?;
    Some(Duration::from_nanos(length))
        .filter(|length| *length <= LIFETIME_MAX)
        .ok_or_else(|| format!("`{text}` is too long: 0s to {}", show_time(LIFETIME_MAX)))
}

pub(crate) fn show_moment(at: Moment) -> String {
    show_time(at.since(Moment::ZERO))
}

pub(crate) fn read_number<T: core::str::FromStr + Display + PartialOrd>(
    text: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| least <= *number && *number <= most);
    number.ok_or_else(|| format!("`{text}` is no number from {least} to {most}"))
}

/// A session that clients know has a number; others are written as they are.
pub(crate) fn show_key(key: SessionKey) -> String {
    match clients::number(key) {
        Some(number) => format!("s{number}"),
        None => key.to_string(),
    }
}

pub(crate) fn read_key(text: &str) -> Result<SessionKey, String> {
    let wrong = || format!("`{text}` is no session: s and its number, like s4, or a key of 32 hex digits");
    if let Some(number) = text.strip_prefix('s') {
        return number.parse().map(clients::key).map_err(|_| wrong());
    }
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = u128::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or_else(wrong)?;
    Ok(SessionKey(key.to_be_bytes()))
}

pub(crate) fn show_durability(durability: Durability) -> String {
    match durability {
        Durability::Local => "local".into(),
        Durability::One => "one".into(),
        Durability::All => "all".into(),
        Durability::Majority => "majority".into(),
        Durability::Copies(copies) => format!("copies:{copies}"),
    }
}

pub(crate) fn read_durability(text: &str) -> Result<Durability, String> {
    let copies = || text.strip_prefix("copies:").and_then(|copies| copies.parse().ok()).map(Durability::Copies);
    let found = match text {
        "local" => Some(Durability::Local),
        "one" => Some(Durability::One),
        "all" => Some(Durability::All),
        "majority" => Some(Durability::Majority),
        _ => copies(),
    };
    found.ok_or_else(|| format!("durability is `{text}`: local, one, all, majority or copies:1"))
}

pub(crate) fn show_lifetime(lifetime: Lifetime) -> String {
    match lifetime {
        Lifetime::Never => "never".into(),
        Lifetime::Idle(length) => format!("idle:{}", show_time(length)),
        Lifetime::Fixed(length) => format!("fixed:{}", show_time(length)),
    }
}

pub(crate) fn read_lifetime(text: &str) -> Result<Lifetime, String> {
    match text.split_once(':') {
        None if text == "never" => Ok(Lifetime::Never),
        Some(("idle", length)) => read_time(length).map(Lifetime::Idle),
        Some(("fixed", length)) => read_time(length).map(Lifetime::Fixed),
        _ => Err(format!("lifetime is `{text}`: never, idle:30s or fixed:30s")),
    }
}

pub(crate) fn show_attributes(attributes: &BTreeSet<Attribute>) -> String {
    let numbers: Vec<String> = attributes.iter().map(|attribute| attribute.0.to_string()).collect();
    numbers.join(",")
}

pub(crate) fn read_attributes(text: &str) -> Result<BTreeSet<Attribute>, String> {
    text.split(',').map(|number| read_number(number, 0, u8::MAX).map(Attribute)).collect()
}

pub(crate) const DISCOVERIES: [(&str, Discovery); 4] =
    [("group", Discovery::Group), ("peers", Discovery::Peers), ("both", Discovery::Both), ("seed", Discovery::Seed)];

pub(crate) const PLACES: [(&str, Places); 4] =
    [("alike", Places::Alike), ("machines", Places::Machines), ("zones", Places::Zones), ("domains", Places::Domains)];

pub(crate) fn show_named<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, named)| named == value).map_or("unnamed", |(name, _)| name)
}

pub(crate) fn read_named<T: Copy>(names: &[(&'static str, T)], what: &str, text: &str) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        format!("{what} is `{text}`: {}", all.join(", "))
    })
}

/// One part of the weather.
enum Part<'a> {
    Time(&'a mut Duration),
    /// So many of a thousand.
    Share(&'a mut u64),
    Flag(&'a mut bool),
    Bytes(&'a mut usize),
}

impl Part<'_> {
    fn show(&self) -> String {
        match self {
            Self::Time(length) => show_time(**length),
            Self::Share(share) => share.to_string(),
            Self::Flag(flag) => if **flag { "yes" } else { "no" }.into(),
            Self::Bytes(bytes) => bytes.to_string(),
        }
    }

    fn read(self, name: &str, text: &str) -> Result<(), String> {
        let wrong = |allowed: &str| format!("{name} is `{text}`: {allowed}");
        match self {
            Self::Time(length) => *length = read_time(text)?,
            Self::Share(share) => {
                *share = read_number(text, 0, 1000).map_err(|_| wrong("0 to 1000 of a thousand"))?;
            }
            Self::Flag(flag) => *flag = read_named(&[("yes", true), ("no", false)], name, text)?,
            Self::Bytes(bytes) => {
                *bytes = read_number(text, 0, 1 << 30).map_err(|_| wrong("0 to 1073741824 bytes"))?;
            }
        }
        Ok(())
    }
}

/// All parts of the weather. Whoever adds one adds it here.
fn parts(weather: &mut Weather) -> [(&'static str, Part<'_>); 17] {
    let Weather { delay_min, delay_max, delay_tail, quantum, loss, multicast_loss, repeat, .. } = weather;
    let Weather { switch_loss, corrupt, truncate, garble, .. } = weather;
    let Weather { reorder, loopback, unreachable, stream_room, piece_max, stall_max, .. } = weather;
    [
        ("delay_min", Part::Time(delay_min)),
        ("delay_max", Part::Time(delay_max)),
        ("delay_tail", Part::Time(delay_tail)),
        ("quantum", Part::Time(quantum)),
        ("loss", Part::Share(loss)),
        ("multicast_loss", Part::Share(multicast_loss)),
        ("switch_loss", Part::Share(switch_loss)),
        ("corrupt", Part::Share(corrupt)),
        ("truncate", Part::Share(truncate)),
        ("garble", Part::Share(garble)),
        ("repeat", Part::Share(repeat)),
        ("reorder", Part::Flag(reorder)),
        ("loopback", Part::Flag(loopback)),
        ("unreachable", Part::Flag(unreachable)),
        ("stream_room", Part::Bytes(stream_room)),
        ("piece_max", Part::Bytes(piece_max)),
        ("stall_max", Part::Time(stall_max)),
    ]
}

/// Writes in what a weather differs from calm.
pub(crate) fn show_weather(weather: &Weather) -> Vec<String> {
    let (mut calm, mut weather) = (Weather::calm(), weather.clone());
    let pairs = parts(&mut weather).into_iter().zip(parts(&mut calm));
    let pairs = pairs.map(|((name, part), (_, usual))| (name, part.show(), usual.show()));
    pairs.filter(|(_, part, usual)| part != usual).map(|(name, part, _)| format!("{name}={part}")).collect()
}

pub(crate) fn read_weather(words: &[&str]) -> Result<Weather, String> {
    let mut weather = Weather::calm();
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is no part of it: like loss=50"))?;
        let mut all = parts(&mut weather).into_iter();
        match all.find(|(known, _)| *known == name) {
            Some((_, part)) => part.read(name, value)?,
            None => {
                let names: Vec<&str> = parts(&mut Weather::calm()).iter().map(|(name, _)| *name).collect();
                return Err(format!("`{name}` is no part of the weather: {}", names.join(", ")));
            }
        }
    }
    if weather.stream_room == 0 {
        return Err("stream_room is `0`: 1 to 1073741824 bytes".into());
    }
    Ok(weather)
}
