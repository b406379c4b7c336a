//! What happens, as lines of a timeline: the other direction of reading them.
//!
//! Actions at one moment that differ in their members alone are one line, and what is ended later is a line with both moments.
//! Whoever writes a file reads it again and compares, so a line may be a guess.

use heirloom_core::Durability;

use super::{
    deeds::{NOTHING, show_share},
    order::{Running, Turn, lasting},
    waiting,
    words::Names,
};
use crate::{
    action::Action,
    ask::{Ask, Attribute, Start},
    clock::Moment,
    net::{HostId, LastBytes},
    stored::{
        forms::{show_attributes, show_durability, show_lifetime, show_moment, show_time},
        show_weather,
    },
    trigger::Trigger,
    weather::Weather,
    wires::Wire,
};

/// Turns actions into lines.
pub(super) struct Writer<'a> {
    pub(super) names: &'a Names,
    pub(super) usual: &'a Weather,
    /// The order of each write that has a name among all commits.
    pub(super) orders: &'a [usize],
    /// Things that last are one line with two moments.
    pub(super) joins: bool,
}

/// What one action says.
struct Said {
    before: String,
    of: Of,
    after: String,
}

/// Of whom it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    Nobody,
    Member(HostId),
    Way(HostId, HostId),
}

impl Said {
    fn alone(before: impl Into<String>) -> Self {
        Self { before: before.into(), of: Of::Nobody, after: String::new() }
    }

    fn of(before: impl Into<String>, host: HostId, after: impl Into<String>) -> Self {
        Self { before: before.into(), of: Of::Member(host), after: after.into() }
    }

    fn wire(before: &str, of_host: &str, wire: Wire, after: String) -> Self {
        match wire {
            Wire::Host(host) => Self::of(format!("{before} {of_host}"), host, after),
            Wire::Way(from, to) => Self::on(before, (from, to), after),
        }
    }

    fn on(before: impl Into<String>, (from, to): (HostId, HostId), after: impl Into<String>) -> Self {
        Self { before: before.into(), of: Of::Way(from, to), after: after.into() }
    }
}

/// What one line says.
struct Line {
    at: Moment,
    until: Option<Moment>,
    words: String,
    actions: Vec<Action>,
}

impl Writer<'_> {
    /// The lines of all that happens once these run.
    ///
    /// # Errors
    ///
    /// What there are no words for.
    pub(super) fn lines(&self, runs: &[HostId], actions: &[(Moment, Action)]) -> Result<Vec<String>, String> {
        let mut running = Running::default();
        for host in runs {
            let _ = running.take(&Action::Start(*host));
        }
        let mut said = Vec::new();
        let mut order = 0;
        for (at, action) in actions {
            let mut words = self.say(action, order).map_err(|story| format!("at {at}: {story}"))?;
            order += usize::from(matches!(action, Action::Commit(..)));
            words.after.push_str(match running.take(action) {
                Ok(()) => "",
                Err(Turn::Starts(_)) => " if it is down",
                Err(Turn::Ends(_) | Turn::Needs(_)) => " if it runs",
            });
            said.push((*at, words, action.clone()));
        }
        let mut lines = self.grouped(&said);
        if self.joins {
            lines = self.joined(lines);
        }
        Ok(lines.into_iter().map(|line| line.show()).collect())
    }

    /// A line that waits for something.
    ///
    /// # Errors
    ///
    /// What there are no words for.
    pub(super) fn waiting(&self, trigger: &Trigger) -> Result<String, String> {
        let Said { before, of, after } = self.say(&trigger.action, usize::MAX)?;
        let of = self.together(&[of]).unwrap_or_default();
        Ok(format!("{}{before}{of}{after}", waiting::show(self.names, trigger)))
    }

    /// What happens at one moment in the same words is one line if it can be.
    fn grouped(&self, said: &[(Moment, Said, Action)]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rest = said;
        while let [(at, first, _), ..] = rest {
            let alike = rest.iter().take_while(|(other, words, _)| {
                (other, &words.before, &words.after) == (at, &first.before, &first.after) && first.of.is_like(&words.of)
            });
            let most = if first.of == Of::Nobody { 1 } else { alike.count() };
            let found = (1..=most).rev().find_map(|count| {
                let of: Vec<Of> = rest[..count].iter().map(|(_, words, _)| words.of.clone()).collect();
                self.together(&of).map(|of| (count, of))
            });
            let (count, of) = found.unwrap_or((1, String::new()));
            let actions = rest[..count].iter().map(|(.., action)| action.clone()).collect();
            lines.push(Line { at: *at, until: None, words: format!("{}{of}{}", first.before, first.after), actions });
            rest = &rest[count..];
        }
        lines
    }

    /// Names these all at once; `None` if there is no way of saying that.
    fn together(&self, of: &[Of]) -> Option<String> {
        match of {
            [Of::Nobody] => return Some(String::new()),
            [Of::Member(_), ..] => {
                let hosts: Vec<HostId> = of.iter().flat_map(Of::hosts).collect();
                let is_new = |at: usize| !hosts[..at].contains(&hosts[at]);
                return (0..hosts.len()).all(is_new).then(|| format!(" {}", self.list(&hosts)));
            }
            [Of::Way(..) | Of::Nobody, ..] | [] => {}
        }
        let ways: Vec<(HostId, HostId)> = of.iter().filter_map(Of::way).collect();
        let product = |ways: &[(HostId, HostId)]| {
            let (mut from, mut to) = (Vec::new(), Vec::new());
            for (one, other) in ways {
                if !from.contains(one) {
                    from.push(*one);
                }
                if !to.contains(other) {
                    to.push(*other);
                }
            }
            let all = from.iter().flat_map(|one| to.iter().map(move |other| (*one, *other)));
            (all.eq(ways.iter().copied()) && from.iter().all(|one| !to.contains(one))).then_some((from, to))
        };
        if let Some((from, to)) = product(&ways) {
            return Some(format!(" from {} to {}", self.list(&from), self.list(&to)));
        }
        let (there, back): (Vec<_>, Vec<_>) =
            ways.chunks(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).unzip();
        let is_both =
            there.len() * 2 == ways.len() && there.iter().zip(&back).all(|(one, other)| *one == (other.1, other.0));
        let (from, to) = product(&there).filter(|_| is_both)?;
        Some(format!(" between {} and {}", self.list(&from), self.list(&to)))
    }

    fn list(&self, hosts: &[HostId]) -> String {
        let names: Vec<&str> = hosts.iter().map(|host| self.names.of(*host)).collect();
        names.join(",")
    }

    /// What is ended by a later line is said together with it.
    fn joined(&self, lines: Vec<Line>) -> Vec<Line> {
        let mut lines: Vec<Option<Line>> = lines.into_iter().map(Some).collect();
        let mut spans: Vec<(String, Moment, Moment)> = Vec::new();
        for at in 0..lines.len() {
            let (before, after) = lines.split_at_mut(at + 1);
            let Some(Some(line)) = before.last_mut() else { continue };
            let ends: Option<Vec<Action>> = line.actions.iter().map(|action| self.end_of(action)).collect();
            let Some(ends) = ends else { continue };
            let is_end = |other: &&mut Option<Line>| {
                other.as_ref().is_some_and(|other| line.at < other.at && other.actions == ends)
            };
            let Some(place) = after.iter_mut().find(is_end) else { continue };
            let Some(until) = place.as_ref().map(|other| other.at) else { continue };
            let what: Vec<String> = line.actions.iter().map(lasting).collect();
            let is_free =
                spans.iter().all(|(other, from, to)| !what.contains(other) || *to <= line.at || until <= *from);
            if is_free {
                spans.extend(what.into_iter().map(|what| (what, line.at, until)));
                line.until = Some(until);
                *place = None;
            }
        }
        lines.into_iter().flatten().collect()
    }

    /// What ends a thing that lasts.
    fn end_of(&self, action: &Action) -> Option<Action> {
        if let Action::Cut(from, to) = action {
            Some(Action::Mend(*from, *to))
        } else if let Action::Mute(from, to) = action {
            Some(Action::Unmute(*from, *to))
        } else if let Action::Hold(from, to) = action {
            Some(Action::Release(*from, *to))
        } else if let Action::Thin(from, to, 1..) = action {
            Some(Action::Thin(*from, *to, 0))
        } else if let Action::ThinGroup(from, to, 1..) = action {
            Some(Action::ThinGroup(*from, *to, 0))
        } else if let Action::Lag(from, to, length) = action {
            (!length.is_zero()).then_some(Action::Lag(*from, *to, core::time::Duration::ZERO))
        } else if let Action::Narrow(wire, 1..) = action {
            Some(Action::Narrow(*wire, 0))
        } else if let Action::Room(wire, 1..) = action {
            Some(Action::Room(*wire, 0))
        } else if let Action::Swallow(one, other) = action {
            Some(Action::Spare(*one, *other))
        } else if let Action::Pause(host) = action {
            Some(Action::Resume(*host))
        } else if let Action::Drift(host, parts) = action {
            (*parts != 0).then_some(Action::Drift(*host, 0))
        } else if let Action::Weather(weather) = action {
            (weather != self.usual).then(|| Action::Weather(self.usual.clone()))
        } else {
            None
        }
    }

    /// The words of one action; if it is a commit, it is the how many'th.
    fn say(&self, action: &Action, order: usize) -> Result<Said, String> {
        Ok(match action {
            Action::Start(host) => Said::of("start", *host, ""),
            Action::Install(host, version) => Said::of(format!("install version {version} on"), *host, ""),
            Action::Kill(host, LastBytes::Delivered) => Said::of("kill", *host, " delivered"),
            Action::Kill(host, LastBytes::Lost) => Said::of("kill", *host, ""),
            Action::PowerOff(host) => Said::of("power off", *host, ""),
            Action::Pause(host) => Said::of("pause", *host, ""),
            Action::Resume(host) => Said::of("resume", *host, ""),
            Action::Leave(host) => Said::of("ask", *host, " to leave"),
            Action::Drain(host, within) => Said::of("drain", *host, format!(" within {}", show_time(*within))),
            Action::CountOut(host) => Said::of("count out the missing on", *host, ""),
            Action::Cut(from, to) => Said::on("cut", (*from, *to), ""),
            Action::Mend(from, to) => Said::on("mend", (*from, *to), ""),
            Action::Mute(from, to) => Said::on("mute", (*from, *to), ""),
            Action::Unmute(from, to) => Said::on("unmute", (*from, *to), ""),
            Action::Thin(from, to, share) => {
                Said::on(format!("drop {} of datagrams", show_share(*share)), (*from, *to), "")
            }
            Action::ThinGroup(from, to, share) => {
                Said::on(format!("drop {} of multicast", show_share(*share)), (*from, *to), "")
            }
            Action::Hold(from, to) => Said::on("hold streams", (*from, *to), ""),
            Action::Release(from, to) => Said::on("release streams", (*from, *to), ""),
            Action::Break(from, to) => Said::on("break streams", (*from, *to), ""),
            Action::Lag(from, to, length) => Said::on("delay", (*from, *to), format!(" by {}", show_time(*length))),
            Action::Narrow(wire, rate) => Said::wire("narrow", "the wire of", *wire, format!(" to {rate} B/s")),
            Action::Room(wire, room) => Said::wire("limit the queue", "of", *wire, format!(" to {room} B")),
            Action::Swallow(one, other) => Said::on("swallow streams", (*one, *other), ""),
            Action::Spare(one, other) => Said::on("spare streams", (*one, *other), ""),
            Action::Drift(host, parts) => Said::of("drift clock of", *host, format!(" by {parts} ppm")),
            Action::StepWall(host, millis) => Said::of("step clock of", *host, format!(" by {millis} ms")),
            Action::Weather(weather) => Said::alone(format!("weather {}", weather_of(weather))),
            Action::Heal(weather) if weather == self.usual => Said::alone("heal"),
            Action::Heal(weather) => Said::alone(format!("heal to weather {}", weather_of(weather))),
            Action::Commit(host, ask) => Said::alone(self.ask(*host, ask, order)?),
            Action::SetName(host, name, durability) => {
                Said::alone(format!("set name {} on {}{}", self.entry(*name), self.names.of(*host), told(*durability)))
            }
            Action::RemoveName(host, name, durability) => Said::alone(format!(
                "remove name {} on {}{}",
                self.entry(*name),
                self.names.of(*host),
                told(*durability)
            )),
            Action::Send(host, to) => {
                Said::alone(format!("send from {} to {}", self.names.of(*host), self.names.of(*to)))
            }
            Action::SendToAll(host) => Said::alone(format!("send from {} to all", self.names.of(*host))),
            Action::Touch(host, key) => {
                Said::alone(format!("touch {} on {}", self.session(*key), self.names.of(*host)))
            }
        })
    }

    fn ask(&self, host: HostId, ask: &Ask, order: usize) -> Result<String, String> {
        let Ask { key, start, moves_to, sets, removes, lifetime, bytes, durability, within } = ask;
        let session = self.session(*key);
        let what = match (start, moves_to) {
            (Start::There, None) => format!("write {session}"),
            (Start::Anew, None) => format!("create {session}"),
            (Start::End, None) => format!("end {session}"),
            (Start::End, Some(to)) => format!("move {session} to {}", self.session(*to)),
            (Start::There | Start::Anew, Some(_)) => {
                return Err(format!("a write to {session} that changes its id, too"));
            }
        };
        let name = self.orders.iter().position(|named| *named == order).and_then(|write| self.names.writes.get(write));
        let is_usual = *start == Start::End && sets.is_empty() || removes.is_empty() && sets.iter().eq([&Attribute(0)]);
        let sets = match (is_usual, sets.is_empty(), removes.is_empty()) {
            (true, ..) => None,
            (false, true, true) => Some(NOTHING.into()),
            (false, true, false) => None,
            (false, false, _) => Some(format!("set={}", show_attributes(sets))),
        };
        let parts = [
            name.map(|(name, _)| format!("as {name}")),
            sets,
            (!removes.is_empty()).then(|| format!("remove={}", show_attributes(removes))),
            (*bytes != Ask::set(*key, 0, *durability).bytes).then(|| format!("bytes={bytes}")),
            lifetime.map(|lifetime| format!("lifetime={}", show_lifetime(lifetime))),
            (*durability != Durability::All).then(|| format!("durability={}", show_durability(*durability))),
            within.map(|within| format!("within={}", show_time(within))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().map(|part| format!(" {part}")).collect();
        Ok(format!("{what} on {}{}", self.names.of(host), parts.concat()))
    }

    fn session(&self, key: heirloom_core::SessionKey) -> String {
        let found = self.names.sessions.iter().find(|(_, known)| *known == key);
        found.map_or_else(|| super::words::plain_name(key), |(name, _)| name.clone())
    }

    fn entry(&self, name: crate::names::Name) -> String {
        let found = self.names.entries.iter().find(|(_, known)| *known == name);
        found.map_or_else(|| format!("m{}", name.0), |(name, _)| name.clone())
    }
}

impl Of {
    const fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Nobody, Self::Nobody) | (Self::Member(_), Self::Member(_)) | (Self::Way(..), Self::Way(..))
        )
    }

    fn hosts(&self) -> Vec<HostId> {
        match self {
            Self::Nobody => Vec::new(),
            Self::Member(host) => vec![*host],
            Self::Way(from, to) => vec![*from, *to],
        }
    }

    const fn way(&self) -> Option<(HostId, HostId)> {
        match self {
            Self::Way(from, to) => Some((*from, *to)),
            Self::Nobody | Self::Member(_) => None,
        }
    }
}

impl Line {
    fn show(&self) -> String {
        let Self { at, until, words, .. } = self;
        match until {
            Some(until) => format!("from {} to {} {words}", moment(*at), moment(*until)),
            None => format!("at {} {words}", moment(*at)),
        }
    }
}

/// A moment as people write it.
pub(super) fn moment(at: Moment) -> String {
    let text = show_moment(at);
    text.strip_suffix('s').map_or_else(|| text.clone(), |number| format!("{number} s"))
}

fn weather_of(weather: &Weather) -> String {
    match show_weather(weather) {
        parts if parts.is_empty() => "calm".into(),
        parts => parts.join(" "),
    }
}

fn told(durability: Durability) -> String {
    if durability == Durability::All { String::new() } else { format!(" durability={}", show_durability(durability)) }
}
