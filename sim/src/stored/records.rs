//! The records of what happens: faults and what clients do.

use heirloom_core::SessionKey;

use super::forms::{
    read_attributes, read_durability, read_key, read_lifetime, read_number, read_time, read_weather, show_attributes,
    show_durability, show_key, show_lifetime, show_time, show_weather,
};
use crate::{
    action::Action,
    ask::{Ask, Start},
    names::Name,
    net::{HostId, LastBytes},
    wires::Wire,
};

/// How wrong a clock may be, in parts of a million.
pub(crate) const DRIFT_MAX: i64 = 500;
/// The longest value that a plan may ask for.
const BYTES_MAX: usize = 1 << 24;
/// The most that a wire may be said to carry in a second.
pub(crate) const RATE_MAX: u64 = 1 << 30;
/// The most that may be said to wait for one.
pub(crate) const ROOM_MAX: u64 = 1 << 30;
/// The newest version of the protocol that may be installed.
pub(crate) const VERSION_MAX: u8 = 2;

/// Writes what happens, and after which word of the line its moment stands.
pub(crate) fn show(action: &Action) -> (&'static str, String) {
    let fault = |words: String| ("fault", words);
    match action {
        Action::Start(host) => fault(format!("start {host}")),
        Action::Install(host, version) => fault(format!("install {host} {version}")),
        Action::Kill(host, LastBytes::Delivered) => fault(format!("kill {host} delivered")),
        Action::Kill(host, LastBytes::Lost) => fault(format!("kill {host} lost")),
        Action::PowerOff(host) => fault(format!("off {host}")),
        Action::Pause(host) => fault(format!("pause {host}")),
        Action::Resume(host) => fault(format!("resume {host}")),
        Action::Leave(host) => fault(format!("leave {host}")),
        Action::Drain(host, within) => fault(format!("drain {host} {}", show_time(*within))),
        Action::CountOut(host) => fault(format!("countout {host}")),
        Action::Cut(from, to) => fault(format!("cut {from}>{to}")),
        Action::Mend(from, to) => fault(format!("mend {from}>{to}")),
        Action::Mute(from, to) => fault(format!("mute {from}>{to}")),
        Action::Thin(from, to, loss) => fault(format!("thin {from}>{to} {loss}")),
        Action::ThinGroup(from, to, loss) => fault(format!("thin {from}>{to} {loss} group")),
        Action::Unmute(from, to) => fault(format!("unmute {from}>{to}")),
        Action::Hold(from, to) => fault(format!("hold {from}>{to}")),
        Action::Release(from, to) => fault(format!("release {from}>{to}")),
        Action::Break(one, other) => fault(format!("break {one}>{other}")),
        Action::Lag(from, to, length) => fault(format!("lag {from}>{to} {}", show_time(*length))),
        Action::Narrow(wire, rate) => fault(format!("narrow {wire} {rate}")),
        Action::Room(wire, room) => fault(format!("room {wire} {room}")),
        Action::Swallow(one, other) => fault(format!("swallow {one}>{other}")),
        Action::Spare(one, other) => fault(format!("spare {one}>{other}")),
        Action::Drift(host, parts) => fault(format!("drift {host} {parts}")),
        Action::StepWall(host, millis) => fault(format!("wall {host} {millis}ms")),
        Action::Weather(weather) => fault([vec!["weather".into()], show_weather(weather)].concat().join(" ")),
        Action::Heal(weather) => fault([vec!["heal".into()], show_weather(weather)].concat().join(" ")),
        Action::Commit(prefer, ask) => ("client", show_ask(*prefer, ask)),
        Action::SetName(prefer, Name(name), durability) => {
            ("client", format!("{prefer} set m{name} {}", show_durability(*durability)))
        }
        Action::RemoveName(prefer, Name(name), durability) => {
            ("client", format!("{prefer} remove m{name} {}", show_durability(*durability)))
        }
        Action::Send(prefer, to) => ("client", format!("{prefer} send {to}")),
        Action::SendToAll(prefer) => ("client", format!("{prefer} send all")),
        Action::Touch(prefer, key) => ("client", format!("{prefer} touch {}", show_key(*key))),
    }
}

fn show_ask(prefer: HostId, ask: &Ask) -> String {
    let Ask { key, start, moves_to, sets, removes, lifetime, bytes, durability, within } = ask;
    let verb = match start {
        Start::There => "write",
        Start::Anew => "create",
        Start::End => "end",
    };
    let usual = Ask::set(*key, 0, *durability);
    let parts = [
        moves_to.map(|to| format!("to={}", show_key(to))),
        (!sets.is_empty()).then(|| format!("set={}", show_attributes(sets))),
        (!removes.is_empty()).then(|| format!("remove={}", show_attributes(removes))),
        (*bytes != usual.bytes).then(|| format!("bytes={bytes}")),
        lifetime.map(|lifetime| format!("lifetime={}", show_lifetime(lifetime))),
        Some(format!("durability={}", show_durability(*durability))),
        within.map(|within| format!("within={}", show_time(within))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{prefer} {verb} {} {}", show_key(*key), parts.join(" "))
}

/// Reads records for so many hosts.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) hosts: u16,
}

impl Reader {
    /// What a fault does: several things if it is a split.
    pub(super) fn fault(self, words: &[&str]) -> Result<Vec<Action>, String> {
        let one = match words {
            ["start", host] => Action::Start(self.host(host)?),
            ["install", host, version] => Action::Install(self.host(host)?, read_number(version, 1, VERSION_MAX)?),
            ["thin", link, loss] => {
                let (from, to) = self.link(link)?;
                Action::Thin(from, to, read_number(loss, 0, 1000)?)
            }
            ["thin", link, loss, "group"] => {
                let (from, to) = self.link(link)?;
                Action::ThinGroup(from, to, read_number(loss, 0, 1000)?)
            }
            ["kill", host, "delivered"] => Action::Kill(self.host(host)?, LastBytes::Delivered),
            ["kill", host, "lost"] => Action::Kill(self.host(host)?, LastBytes::Lost),
            ["off", host] => Action::PowerOff(self.host(host)?),
            ["pause", host] => Action::Pause(self.host(host)?),
            ["resume", host] => Action::Resume(self.host(host)?),
            ["leave", host] => Action::Leave(self.host(host)?),
            ["lag", link, length] => {
                let length = read_time(length)?;
                self.link(link).map(|(from, to)| Action::Lag(from, to, length))?
            }
            ["narrow", wire, rate] => Action::Narrow(self.wire(wire)?, read_number(rate, 0, RATE_MAX)?),
            ["room", wire, room] => Action::Room(self.wire(wire)?, read_number(room, 0, ROOM_MAX)?),
            ["drift", host, parts] => Action::Drift(self.host(host)?, read_number(parts, -DRIFT_MAX, DRIFT_MAX)?),
            ["countout", host] => Action::CountOut(self.host(host)?),
            ["drain", host, within] => Action::Drain(self.host(host)?, read_time(within)?),
            ["wall", host, step] => Action::StepWall(self.host(host)?, step_of(step)?),
            ["weather", parts @ ..] => Action::Weather(read_weather(parts)?),
            ["heal", parts @ ..] => Action::Heal(read_weather(parts)?),
            ["split", one, other] => return self.between(Action::Cut, one, other),
            ["join", one, other] => return self.between(Action::Mend, one, other),
            [verb, link] => match LINKS.iter().find(|(name, _)| name == verb) {
                Some((_, action)) => self.link(link).map(|(from, to)| action(from, to))?,
                None => return Err(unknown(words)),
            },
            _ => return Err(unknown(words)),
        };
        Ok(vec![one])
    }

    /// What a client does.
    pub(super) fn client(self, words: &[&str]) -> Result<Action, String> {
        match words {
            [host, "set", name, durability] => {
                Ok(Action::SetName(self.host(host)?, name_of(name)?, read_durability(durability)?))
            }
            [host, "remove", name, durability] => {
                Ok(Action::RemoveName(self.host(host)?, name_of(name)?, read_durability(durability)?))
            }
            [host, "send", "all"] => Ok(Action::SendToAll(self.host(host)?)),
            [host, "send", to] => Ok(Action::Send(self.host(host)?, self.host(to)?)),
            [host, "touch", key] => Ok(Action::Touch(self.host(host)?, read_key(key)?)),
            [host, verb, key, parts @ ..] => {
                let start = match *verb {
                    "write" => Start::There,
                    "create" => Start::Anew,
                    "end" => Start::End,
                    _ => return Err(format!("`{verb}` is nothing that a client does: {CLIENT}")),
                };
                Ok(Action::Commit(self.host(host)?, ask(read_key(key)?, start, parts)?))
            }
            _ => Err(format!("`{}` is nothing that a client does: {CLIENT}", words.join(" "))),
        }
    }

    pub(super) fn host(self, text: &str) -> Result<HostId, String> {
        let number = text.strip_prefix('n').and_then(|number| number.parse().ok());
        number
            .filter(|number| *number < self.hosts)
            .map(HostId)
            .ok_or_else(|| format!("`{text}` is no member of this plan: n0 to n{}", self.hosts - 1))
    }

    pub(super) fn link(self, text: &str) -> Result<(HostId, HostId), String> {
        let wrong = || format!("`{text}` is no link: two members, like n0>n1");
        let (from, to) = text.split_once('>').ok_or_else(wrong)?;
        Ok((self.host(from)?, self.host(to)?))
    }

    fn wire(self, text: &str) -> Result<Wire, String> {
        match text.contains('>') {
            true => self.link(text).map(|(from, to)| Wire::Way(from, to)),
            false => self.host(text).map(Wire::Host),
        }
    }

    fn between(self, action: OnLink, one: &str, other: &str) -> Result<Vec<Action>, String> {
        let side = |text: &str| text.split(',').map(|host| self.host(host)).collect::<Result<Vec<HostId>, String>>();
        let (one, other) = (side(one)?, side(other)?);
        if let Some(both) = one.iter().find(|host| other.contains(host)) {
            return Err(format!("{both} is on both sides of the split"));
        }
        let pairs = one.iter().flat_map(|one| other.iter().flat_map(|other| [(*one, *other), (*other, *one)]));
        Ok(pairs.map(|(from, to)| action(from, to)).collect())
    }
}

/// A fault of the way from one host to another.
type OnLink = fn(HostId, HostId) -> Action;

const LINKS: [(&str, OnLink); 9] = [
    ("cut", Action::Cut),
    ("mend", Action::Mend),
    ("mute", Action::Mute),
    ("unmute", Action::Unmute),
    ("hold", Action::Hold),
    ("release", Action::Release),
    ("break", Action::Break),
    ("swallow", Action::Swallow),
    ("spare", Action::Spare),
];

const CLIENT: &str = "n0 touch s1, n0 set m1 all, n0 remove m1 one, n0 send n1, n0 send all, or n0 and write, create or end with s1 set=0 durability=all";

const FAULTS: &str = "start n0, install n0 1, kill n0 lost, kill n0 delivered, off n0, pause n0, resume n0, leave n0, drain n0 5s, countout n0, \
    wall n0 -500ms, drift n0 -300 (parts of a million), thin n0>n1 500 (of a thousand datagrams), thin n0>n1 500 group (of those to the group), lag n0>n1 0.2s, \
    narrow n0>n1 20000 or narrow n0 20000 (bytes in a second), room n0>n1 3000 or room n0 3000 (bytes that may wait), \
    cut, mend, mute, unmute, hold, release, break, swallow or spare n0>n1, split or join n0,n1 n2, weather loss=50, heal";

fn unknown(words: &[&str]) -> String {
    format!("`{}` is no fault: {FAULTS}", words.join(" "))
}

fn name_of(text: &str) -> Result<Name, String> {
    let number = text.strip_prefix('m').and_then(|number| number.parse().ok());
    number.map(Name).ok_or_else(|| format!("`{text}` is no name of the shared map: m0 to m255"))
}

fn step_of(text: &str) -> Result<i64, String> {
    let step = text.strip_suffix("ms").and_then(|millis| millis.parse().ok());
    step.ok_or_else(|| format!("`{text}` is no step of a clock: like -500ms"))
}

pub(crate) fn ask(key: SessionKey, start: Start, parts: &[&str]) -> Result<Ask, String> {
    let mut durability = None;
    let mut ask = Ask { start, ..Ask::set(key, 0, heirloom_core::Durability::Local) };
    ask.sets.clear();
    for part in parts {
        match part.split_once('=') {
            Some(("to", to)) => ask.moves_to = Some(read_key(to)?),
            Some(("set", sets)) => ask.sets = read_attributes(sets)?,
            Some(("remove", removes)) => ask.removes = read_attributes(removes)?,
            Some(("bytes", bytes)) => ask.bytes = read_number(bytes, 0, BYTES_MAX)?,
            Some(("lifetime", lifetime)) => ask.lifetime = Some(read_lifetime(lifetime)?),
            Some(("durability", text)) => durability = Some(read_durability(text)?),
            Some(("within", within)) => ask.within = Some(read_time(within)?),
            _ => {
                return Err(format!(
                    "`{part}` says nothing of a commit: to, set, remove, bytes, lifetime, durability, within"
                ));
            }
        }
    }
    ask.durability = durability.ok_or("a commit says its durability: durability=all")?;
    Ok(ask)
}
