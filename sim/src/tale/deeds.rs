//! The timeline: what a line lets happen.

use core::time::Duration;

use super::{
    wires,
    words::{Names, moment, split},
};
use crate::{
    action::Action,
    ask::{Ask, Start},
    clock::Moment,
    net::{HostId, LastBytes},
    stored::{
        forms::{read_durability, read_number, read_time, read_weather},
        records::{self, DRIFT_MAX, VERSION_MAX},
    },
    weather::Weather,
};

/// What one line lets happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) at: Moment,
    /// When it ends, if the line says so.
    pub(super) until: Option<Moment>,
    pub(super) actions: Vec<Action>,
    /// What ends it, if it lasts.
    pub(super) ends: Option<Vec<Action>>,
    /// Which of the writes that have a name it is.
    pub(super) write: Option<usize>,
    /// Whether it can be done is not said: then it is left out where it cannot be.
    pub(super) is_sure: bool,
}

impl Deed {
    fn at_once(actions: Vec<Action>) -> Self {
        Self { at: Moment::ZERO, until: None, actions, ends: None, write: None, is_sure: true }
    }

    pub(super) fn lasting(actions: Vec<Action>, ends: Vec<Action>) -> Self {
        Self { ends: Some(ends), ..Self::at_once(actions) }
    }
}

/// How lines look, for whoever wrote one that does not.
pub(super) const DEEDS: &str = "start b; kill b; power off b; pause b; resume b; ask b to leave; drain b within 5 s; \
    count out the missing on b; install version 1 on b; cut {a,b} from {c,d}; cut from a to b; mend {a,b} with {c,d}; \
    mute between a and b; unmute a with b; drop 60 % of multicast to c; drop all datagrams between a and b; delay from a to b by 200 ms; hold streams to b; \
    release streams to b; break streams between a and b; swallow streams between a and b; spare streams between a and b; \
    narrow from a to b to 20 kB/s; narrow the wire of a to 20 kB/s; limit the queue from a to b to 3 kB; limit the queue of a to 3 kB; step clock of b by -500 ms; drift clock of b by -300 ppm; \
    weather loss=300; heal; heal to weather loss=20; create, write or end SESSION on a; touch SESSION on a; move SESSION to OTHER on a; \
    set name NAME on a; remove name NAME on a; send from a to b";

const LINES: &str = "a line begins with `at 12 s`, `from 20 s to 30 s` or `when b is ready`";

/// Reads a line of the timeline.
pub(super) fn deed(names: &mut Names, usual: &Weather, text: &str) -> Result<Deed, String> {
    let words = split(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (at, until, what) = match &words[..] {
        ["at", at, what @ ..] => (moment(at)?, None, what),
        ["from", at, "to", until, what @ ..] => {
            let (from, end) = (moment(at)?, moment(until)?);
            if end <= from {
                return Err(format!("it ends at {until}, and begins at {at}"));
            }
            (from, Some(end), what)
        }
        _ => return Err(LINES.into()),
    };
    let (what, is_sure) = match what {
        [what @ .., "if", "it", "runs"] if may_be_in_vain(what, false) => (what, false),
        [what @ .., "if", "it", "is", "down"] if may_be_in_vain(what, true) => (what, false),
        _ => (what, true),
    };
    let deed = Deed { at, until, is_sure, ..what_happens(names, usual, what)? };
    match until.is_some() && deed.ends.is_none() {
        true => Err(format!("`{}` is done at one moment: at {} s ...", what.join(" "), seconds(at))),
        false => Ok(deed),
    }
}

/// Reads what is so from the beginning: a fault without a moment.
pub(super) fn link(names: &mut Names, usual: &Weather, text: &str) -> Result<Deed, String> {
    let words = split(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let deed = what_happens(names, usual, &words)?;
    match deed.ends {
        Some(_) => Ok(deed),
        None => {
            Err(format!("`{text}` is nothing that a link does: drop 5 % of datagrams from a to b, delay to c by 20 ms"))
        }
    }
}

/// Whether this is for a member that may be down or, if it is a start, may run.
fn may_be_in_vain(what: &[&str], is_start: bool) -> bool {
    match what {
        ["start", ..] => is_start,
        ["kill" | "power" | "pause" | "ask" | "drain" | "count", ..] => !is_start,
        _ => false,
    }
}

fn seconds(at: Moment) -> u64 {
    at.as_nanos() / 1_000_000_000
}

pub(super) fn what_happens(names: &mut Names, usual: &Weather, words: &[&str]) -> Result<Deed, String> {
    if let Some(deed) = by_client(names, words)? {
        return Ok(deed);
    }
    match words {
        ["narrow" | "limit", ..] => wires::deed(names, words),
        [
            "cut" | "mend" | "mute" | "unmute" | "drop" | "delay" | "hold" | "release" | "break" | "swallow" | "spare",
            ..,
        ] => on_ways(names, words),
        ["weather", parts @ ..] => {
            let weather = weather_of(parts)?;
            Ok(Deed::lasting(vec![Action::Weather(weather)], vec![Action::Weather(usual.clone())]))
        }
        ["heal"] => Ok(Deed::at_once(vec![Action::Heal(usual.clone())])),
        ["heal", "to", "weather", parts @ ..] => Ok(Deed::at_once(vec![Action::Heal(weather_of(parts)?)])),
        _ => on_members(names, words),
    }
}

fn weather_of(parts: &[&str]) -> Result<Weather, String> {
    if let ["calm"] = parts { Ok(Weather::calm()) } else { read_weather(parts) }
}

/// What happens to members, each for itself.
fn on_members(names: &Names, words: &[&str]) -> Result<Deed, String> {
    let each = |list: &str, action: &dyn Fn(HostId) -> Action| -> Result<Vec<Action>, String> {
        Ok(names.hosts(list)?.into_iter().map(action).collect())
    };
    let once = |list: &str, action: &dyn Fn(HostId) -> Action| each(list, action).map(Deed::at_once);
    match words {
        ["start", list] => once(list, &Action::Start),
        ["kill", list] => once(list, &|host| Action::Kill(host, LastBytes::Lost)),
        ["kill", list, "delivered"] => once(list, &|host| Action::Kill(host, LastBytes::Delivered)),
        ["power", "off", list] => once(list, &Action::PowerOff),
        ["pause", list] => Ok(Deed::lasting(each(list, &Action::Pause)?, each(list, &Action::Resume)?)),
        ["resume", list] => once(list, &Action::Resume),
        ["ask", list, "to", "leave"] => once(list, &Action::Leave),
        ["drain", list, "within", length] => {
            let length = read_time(length)?;
            once(list, &move |host| Action::Drain(host, length))
        }
        ["count", "out", "the", "missing", "on", list] => once(list, &Action::CountOut),
        ["install", "version", version, "on", list] => {
            let version = read_number(version, 1, VERSION_MAX)?;
            once(list, &move |host| Action::Install(host, version))
        }
        ["step", "clock", "of", list, "by", step] => {
            let millis = step_of(step)?;
            once(list, &move |host| Action::StepWall(host, millis))
        }
        ["drift", "clock", "of", list, "by", parts] => {
            let parts = read_number(parts.trim_end_matches("ppm"), -DRIFT_MAX, DRIFT_MAX)?;
            let drift = each(list, &move |host| Action::Drift(host, parts))?;
            Ok(Deed::lasting(drift, each(list, &|host| Action::Drift(host, 0))?))
        }
        _ => Err(format!("`{}` is nothing that happens: {DEEDS}", words.join(" "))),
    }
}

/// A step of a wall clock, in milliseconds.
fn step_of(text: &str) -> Result<i64, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let length = match length.strip_suffix('h').and_then(|hours| hours.parse::<u32>().ok()) {
        Some(hours) => Duration::from_secs(u64::from(hours) * 3600),
        None => read_time(length).map_err(|_| format!("`{text}` is no step of a clock: like -500 ms, +30 s or 2 h"))?,
    };
    let millis = i64::try_from(length.as_millis()).map_err(|_| format!("`{text}` is too far"))?;
    Ok(sign * millis)
}

/// What happens on the ways between members.
fn on_ways(names: &Names, words: &[&str]) -> Result<Deed, String> {
    let on = |action: fn(HostId, HostId) -> Action, ways: &[(HostId, HostId)]| -> Vec<Action> {
        ways.iter().map(|(from, to)| action(*from, *to)).collect()
    };
    match words {
        ["cut", ways @ ..] => {
            let ways = read_ways(names, ways)?;
            Ok(Deed::lasting(on(Action::Cut, &ways), on(Action::Mend, &ways)))
        }
        ["mend", ways @ ..] => Ok(Deed::at_once(on(Action::Mend, &read_ways(names, ways)?))),
        ["mute", ways @ ..] => {
            let ways = read_ways(names, ways)?;
            Ok(Deed::lasting(on(Action::Mute, &ways), on(Action::Unmute, &ways)))
        }
        ["unmute", ways @ ..] => Ok(Deed::at_once(on(Action::Unmute, &read_ways(names, ways)?))),
        ["hold", "streams", ways @ ..] => {
            let ways = read_ways(names, ways)?;
            Ok(Deed::lasting(on(Action::Hold, &ways), on(Action::Release, &ways)))
        }
        ["release", "streams", ways @ ..] => Ok(Deed::at_once(on(Action::Release, &read_ways(names, ways)?))),
        ["break", "streams", ways @ ..] => Ok(Deed::at_once(on(Action::Break, &read_pairs(names, ways)?))),
        ["swallow", "streams", ways @ ..] => {
            let pairs = read_pairs(names, ways)?;
            Ok(Deed::lasting(on(Action::Swallow, &pairs), on(Action::Spare, &pairs)))
        }
        ["spare", "streams", ways @ ..] => Ok(Deed::at_once(on(Action::Spare, &read_pairs(names, ways)?))),
        ["drop", share, "of", what, ways @ ..] => drop(names, share, what, ways),
        ["drop", "all", what, ways @ ..] => drop(names, "100%", what, ways),
        ["delay", ways @ .., "by", length] => {
            let (length, ways) = (read_time(length)?, read_ways(names, ways)?);
            let lag = |length| ways.iter().map(move |(from, to)| Action::Lag(*from, *to, length)).collect();
            Ok(Deed::lasting(lag(length), lag(Duration::ZERO)))
        }
        _ => Err(format!("`{}` is nothing that happens: {DEEDS}", words.join(" "))),
    }
}

fn drop(names: &Names, share: &str, what: &str, ways: &[&str]) -> Result<Deed, String> {
    let thin: fn(HostId, HostId, u64) -> Action = match what {
        "datagrams" => Action::Thin,
        "multicast" => Action::ThinGroup,
        _ => return Err(format!("`{what}` is nothing that gets lost: datagrams or multicast")),
    };
    let (share, ways) = (share_of(share)?, read_ways(names, ways)?);
    let all = |share| ways.iter().map(move |(from, to)| thin(*from, *to, share)).collect();
    Ok(Deed::lasting(all(share), all(0)))
}

/// So many of a thousand, from `60%` or `2.5%`.
pub(super) fn share_of(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no share: 0 % to 100 %");
    let percent = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, part) = percent.split_once('.').unwrap_or((percent, "0"));
    let (whole, part): (u64, u64) =
        (read_number(whole, 0, 100).map_err(|_| wrong())?, read_number(part, 0, 9).map_err(|_| wrong())?);
    Some(whole * 10 + part).filter(|share| *share <= 1000).ok_or_else(wrong)
}

/// A share as it is read.
pub(super) fn show_share(share: u64) -> String {
    match (share / 10, share % 10) {
        (whole, 0) => format!("{whole} %"),
        (whole, part) => format!("{whole}.{part} %"),
    }
}

/// The pairs of members that are named. Streams have no direction: where both ways are named, it is one pair.
fn read_pairs(names: &Names, words: &[&str]) -> Result<Vec<(HostId, HostId)>, String> {
    let all = read_ways(names, words)?;
    Ok(all.iter().copied().filter(|(one, other)| one < other || !all.contains(&(*other, *one))).collect())
}

/// The ways from members to others.
pub(super) fn read_ways(names: &Names, words: &[&str]) -> Result<Vec<(HostId, HostId)>, String> {
    let others = |hosts: &[HostId]| names.all().filter(|host| !hosts.contains(host)).collect::<Vec<HostId>>();
    let (from, to, back) = match words {
        ["from", one, "to", other] => (names.hosts(one)?, names.hosts(other)?, false),
        ["between", one, "and", other] | [one, "from" | "with" | "and", other] => {
            (names.hosts(one)?, names.hosts(other)?, true)
        }
        ["to", list] => {
            let to = names.hosts(list)?;
            (others(&to), to, false)
        }
        ["from", list] => {
            let from = names.hosts(list)?;
            let to = others(&from);
            (from, to, false)
        }
        ["everywhere"] => {
            let all: Vec<HostId> = names.all().collect();
            let pairs = all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to)));
            return Ok(pairs.filter(|(from, to)| from != to).collect());
        }
        _ => {
            let text = words.join(" ");
            return Err(format!(
                "`{text}` is no way: a from b or between a and b (both ways), from a to b, to b, from a, or everywhere"
            ));
        }
    };
    if let Some(both) = from.iter().find(|host| to.contains(host)) {
        return Err(format!("{} is on both sides", names.of(*both)));
    }
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
    let pairs = pairs.flat_map(|(from, to)| [Some((from, to)), back.then_some((to, from))]);
    Ok(pairs.flatten().collect())
}

/// What clients do; `None` if it is nothing of that.
fn by_client(names: &mut Names, words: &[&str]) -> Result<Option<Deed>, String> {
    let (action, write) = match words {
        [verb @ ("create" | "write" | "end"), session, "on", host, rest @ ..] => {
            let start = match *verb {
                "create" => Start::Anew,
                "end" => Start::End,
                _ => Start::There,
            };
            let (host, key) = (names.host(host)?, names.session(session)?);
            let (name, options) = name_of(rest);
            let (sets_nothing, options) = without(options, NOTHING);
            let mut ask = asked(key, start, &options)?;
            if start != Start::End && !sets_nothing && ask.sets.is_empty() && ask.removes.is_empty() {
                ask.sets = Ask::set(key, 0, ask.durability).sets;
            }
            let write = name.map(|name| names.write(name, key)).transpose()?;
            (Action::Commit(host, ask), write)
        }
        ["move", session, "to", other, "on", host, rest @ ..] => {
            let (host, old, new) = (names.host(host)?, names.session(session)?, names.session(other)?);
            let (name, options) = name_of(rest);
            let ask = Ask { moves_to: Some(new), ..asked(old, Start::End, options)? };
            let write = name.map(|name| names.write(name, old)).transpose()?;
            (Action::Commit(host, ask), write)
        }
        ["touch", session, "on", host] => (Action::Touch(names.host(host)?, names.session(session)?), None),
        ["set", "name", name, "on", host, options @ ..] => {
            let (host, name) = (names.host(host)?, names.entry(name)?);
            (Action::SetName(host, name, durability(options)?), None)
        }
        ["remove", "name", name, "on", host, options @ ..] => {
            let (host, name) = (names.host(host)?, names.entry(name)?);
            (Action::RemoveName(host, name, durability(options)?), None)
        }
        ["send", "from", host, "to", "all"] => (Action::SendToAll(names.host(host)?), None),
        ["send", "from", host, "to", other] => (Action::Send(names.host(host)?, names.host(other)?), None),
        _ => return Ok(None),
    };
    Ok(Some(Deed { write, ..Deed::at_once(vec![action]) }))
}

/// A write that sets no attribute.
pub(super) const NOTHING: &str = "set=nothing";

/// Whether a word is among these, and the others.
fn without<'a>(words: &[&'a str], word: &str) -> (bool, Vec<&'a str>) {
    (words.contains(&word), words.iter().copied().filter(|other| *other != word).collect())
}

/// The name of a write, if it has one, and what else is said of it.
fn name_of<'a, 'b>(words: &'a [&'b str]) -> (Option<&'b str>, &'a [&'b str]) {
    match words {
        ["as", name, rest @ ..] => (Some(name), rest),
        _ => (None, words),
    }
}

/// What is written, as the options of a plan say it; by all that must hold it if nothing else is said.
pub(super) fn asked(key: heirloom_core::SessionKey, start: Start, options: &[&str]) -> Result<Ask, String> {
    if options.iter().any(|option| option.starts_with("to=")) {
        return Err("another id is given by: move SESSION to OTHER on a".into());
    }
    let is_told = options.iter().any(|option| option.starts_with("durability="));
    let usual = (!is_told).then_some("durability=all");
    records::ask(key, start, &options.iter().copied().chain(usual).collect::<Vec<&str>>())
}

fn durability(options: &[&str]) -> Result<heirloom_core::Durability, String> {
    match options {
        [] => Ok(heirloom_core::Durability::All),
        [one] => read_durability(one.strip_prefix("durability=").unwrap_or(one)),
        _ => Err(format!("`{}` is too much: durability=all", options.join(" "))),
    }
}
