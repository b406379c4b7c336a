//! A window of a record as a picture for a text: a lane for each member with its states and views, what travels of one
//! session, who owns and holds it, commits, faults and the violation. It is drawn for light and dark pages alike.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use heirloom_core::{MemberId, SessionKey};

use super::{
    Filter,
    json::state_name,
    words::{state_words, subject_words, writes},
};
use crate::{
    clock::Moment,
    net::HostId,
    record::{Copy, Entry, Fate, Happened, Message, Record, Sight, State, Step, Subject},
    stored::show_key,
};

const STYLE: &str = include_str!("picture.css");
const WIDTH: u64 = 960;
/// Where the lanes begin.
const LEFT: u64 = 44;
const RIGHT: u64 = 12;
/// The room of one member.
const LANE: u64 = 92;
/// The heights of a lane's bar of states, and of its strip of copies.
const BAR: u64 = 20;
const STRIP: u64 = 14;
const AXIS: u64 = 30;
const BAND: u64 = 18;

/// The part of a record that is wanted, as a picture. Messages are drawn if they are about the session that is wanted, or of
/// the kinds that are.
pub fn svg(record: &Record, filter: &Filter) -> String {
    let from = filter.from.unwrap_or(Moment::ZERO);
    let to = filter.to.unwrap_or(record.end).max(from + core::time::Duration::from_micros(1));
    let bands = record.bands().into_iter().filter(|band| band.from < to && from < band.to).count();
    let top = AXIS + BAND * u64::try_from(bands).unwrap_or(0) + 26;
    let mut picture = Picture { record, filter, from, to, top, out: String::new() };
    picture.draw();
    picture.out
}

struct Picture<'a> {
    record: &'a Record,
    filter: &'a Filter,
    from: Moment,
    to: Moment,
    /// Where the first lane begins.
    top: u64,
    out: String,
}

impl<'a> Picture<'a> {
    fn draw(&mut self) {
        let height = self.top + LANE * u64::from(self.record.hosts) - 26;
        self.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>\n{}\n</style>",
            STYLE.trim_end()
        ));
        let about = self.filter.session.map(|session| format!(" of {}", show_key(session))).unwrap_or_default();
        let (from, to) = (self.from, self.to);
        self.put(format_args!("<title>What happens{about} from {from} to {to}</title>"));
        self.put(format_args!("<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>"));
        self.axis(height);
        self.bands();
        for host in (0..self.record.hosts).map(HostId) {
            let y = self.y(host) + BAR / 2 + 5;
            self.put(format_args!("<text class=\"name\" x=\"12\" y=\"{y}\">{host}</text>"));
            self.lane(host);
        }
        self.messages();
        self.commits();
        self.violation(height);
        self.put(format_args!("</svg>"));
    }

    fn put(&mut self, line: core::fmt::Arguments<'_>) {
        // Writing to a text never fails.
        let _ = writeln!(self.out, "{line}");
    }

    /// What happened from a moment to the end of the window.
    fn entries(&self, from: Moment) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let to = self.to;
        self.record.entries.iter().filter(move |entry| from <= entry.at && entry.at <= to)
    }

    fn is_in(&self, at: Moment) -> bool {
        self.from <= at && at <= self.to
    }

    /// Where a moment is, in tenths.
    fn tenths(&self, at: Moment) -> u64 {
        let at = at.max(self.from).min(self.to);
        let (passed, all) = (at.since(self.from).as_nanos(), self.to.since(self.from).as_nanos());
        let room = u128::from((WIDTH - LEFT - RIGHT) * 10);
        LEFT * 10 + u64::try_from(passed * room / all).unwrap_or(0)
    }

    fn x(&self, at: Moment) -> String {
        tenths(self.tenths(at))
    }

    fn y(&self, host: HostId) -> u64 {
        self.top + LANE * u64::from(host.0)
    }

    fn axis(&mut self, height: u64) {
        let span = self.to.since(self.from).as_nanos();
        let steps = (0..12).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u128.pow(power)));
        let step = steps.into_iter().find(|step| span <= step * 8).unwrap_or(span.max(1));
        let step = u64::try_from(step).unwrap_or(u64::MAX);
        let mut at = Moment::from_nanos(self.from.as_nanos().div_ceil(step) * step);
        while at <= self.to {
            let x = self.x(at);
            self.put(format_args!("<path class=\"line\" d=\"M{x} {}V{}\"/>", AXIS - 8, height - 6));
            if self.tenths(at) < (WIDTH - 70) * 10 {
                let (seconds, part) = (at.as_nanos() / 1_000_000_000, at.as_nanos() % 1_000_000_000);
                let digits = usize::try_from(9_u32.saturating_sub(step.ilog10())).unwrap_or(0).max(1);
                let part = format!("{part:09}");
                self.put(format_args!(
                    "<text class=\"soft\" x=\"{x}\" y=\"16\" dx=\"4\">{seconds}.{} s</text>",
                    &part[..digits]
                ));
            }
            at = at + core::time::Duration::from_nanos(step);
        }
    }

    fn bands(&mut self) {
        let bands = self.record.bands().into_iter().filter(|band| band.from < self.to && self.from < band.to);
        for (row, band) in bands.collect::<Vec<_>>().into_iter().enumerate() {
            let y = AXIS + BAND * u64::try_from(row).unwrap_or(0);
            let (x, width) = (self.x(band.from), tenths(self.tenths(band.to) - self.tenths(band.from)));
            self.put(format_args!(
                "<rect class=\"fault\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\"/>",
                BAND - 2
            ));
            let text = escaped(&band.text);
            self.put(format_args!("<text class=\"told\" x=\"{x}\" y=\"{}\" dx=\"5\">{text}</text>", y + 12));
        }
    }

    /// What one member is like: its states, and above them its views and its copies.
    fn lane(&mut self, host: HostId) {
        let (y, x, end) = (self.y(host), LEFT, self.to);
        self.put(format_args!("<path class=\"line\" d=\"M{x} {}H{}\"/>", y + BAR / 2, WIDTH - RIGHT));
        let (mut state, mut sight, mut copy) = ((self.from, State::Down), (self.from, None), (self.from, None));
        for entry in self.entries(Moment::ZERO) {
            if let Some(new) = state_of(&entry.what, host) {
                self.state(host, core::mem::replace(&mut state, (entry.at, new)), entry.at);
            }
        }
        self.state(host, state, end);
        for entry in self.entries(Moment::ZERO) {
            let is_down = state_of(&entry.what, host) == Some(State::Down);
            match &entry.what {
                Happened::View(of, new) if *of == host => {
                    self.sight(host, core::mem::replace(&mut sight, (entry.at, Some(new))), entry.at);
                }
                Happened::Copy(of, key, new) if *of == host && Some(*key) == self.filter.session => {
                    self.copy(host, core::mem::replace(&mut copy, (entry.at, new.as_ref())), entry.at);
                }
                Happened::State(..) if is_down => {
                    self.sight(host, core::mem::replace(&mut sight, (entry.at, None)), entry.at);
                    self.copy(host, core::mem::replace(&mut copy, (entry.at, None)), entry.at);
                    self.end(host, entry.at);
                }
                Happened::Done(_)
                | Happened::State(..)
                | Happened::View(..)
                | Happened::Told(..)
                | Happened::Copy(..)
                | Happened::Commit(..)
                | Happened::Read(..)
                | Happened::Mail(..)
                | Happened::Message(_)
                | Happened::Broken(_)
                | Happened::Left(..) => {}
            }
        }
        self.sight(host, sight, end);
        self.copy(host, copy, end);
    }

    fn stretch(&self, from: Moment, to: Moment) -> Option<(String, String, u64)> {
        let (left, right) = (self.tenths(from), self.tenths(to));
        (left < right && self.from < to).then(|| (tenths(left), tenths(right - left), (right - left) / 10))
    }

    fn state(&mut self, host: HostId, (since, state): (Moment, State), until: Moment) {
        let Some((x, width, _)) = self.stretch(since, until).filter(|_| state != State::Down) else { return };
        let (y, name) = (self.y(host), state_name(state));
        self.put(format_args!(
            "<rect class=\"{name}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BAR}\"><title>{host} {}</title></rect>",
            state_words(state)
        ));
    }

    fn sight(&mut self, host: HostId, (since, sight): (Moment, Option<&Sight>), until: Moment) {
        let Some((x, _, room)) = self.stretch(since, until) else { return };
        let Some(sight) = sight else { return };
        let y = self.y(host);
        if self.from < since {
            self.put(format_args!("<path class=\"edge\" d=\"M{x} {y}v{BAR}\"/>"));
        }
        let mut names: Vec<String> = sight.listed.iter().map(|life| self.seen(*life, sight)).collect();
        names.sort();
        let names = if names.is_empty() { "nobody".into() } else { names.join(" ") };
        let suspected: Vec<String> = sight.suspected.iter().map(|life| self.seen(*life, sight)).collect();
        // As much of it as there is room for.
        for text in [format!("lists {names}"), names, suspected.join(" ")] {
            if self.label("in", &x, y + 14, room, &text) {
                break;
            }
        }
    }

    /// A member in a view, with a mark if it is suspected.
    fn seen(&self, life: MemberId, sight: &Sight) -> String {
        self.record.name(life) + if sight.suspected.contains(&life) { "?" } else { "" }
    }

    fn copy(&mut self, host: HostId, (since, copy): (Moment, Option<&Copy>), until: Moment) {
        let Some((x, width, room)) = self.stretch(since, until) else { return };
        let Some(copy) = copy else { return };
        let is_owner = copy.owner.and_then(|life| self.record.lives.get(&life)).is_some_and(|life| life.0 == host);
        let (class, text) = match (copy.ended, is_owner) {
            (Some(_), _) => ("ended", "ended".into()),
            (None, true) => ("owner", writes(&copy.shown)),
            (None, false) => ("copy", writes(&copy.shown)),
        };
        let y = self.y(host) + BAR + 3;
        self.put(format_args!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{STRIP}\"/>"));
        if self.from < since {
            self.put(format_args!("<path class=\"edge\" d=\"M{x} {y}v{STRIP}\"/>"));
        }
        let on = if class == "owner" { "on-owner" } else { "on-copy" };
        if class != "owner" || !self.label(on, &x, y + 11, room, &format!("owns it: {text}")) {
            self.label(on, &x, y + 11, room, &text);
        }
    }

    /// A text, if there is room for it.
    fn label(&mut self, class: &str, x: &str, y: u64, room: u64, text: &str) -> bool {
        let fits = text.chars().count() * 6 + 10 < usize::try_from(room).unwrap_or(0);
        if fits {
            self.put(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\" dx=\"5\">{}</text>", escaped(text)));
        }
        fits
    }

    fn end(&mut self, host: HostId, at: Moment) {
        if self.from < at && self.is_in(at) {
            let (x, y) = (self.x(at), self.y(host) + BAR / 2);
            self.put(format_args!("<path class=\"end\" d=\"M{x} {y}m-6 -6l12 12m-12 0l12 -12\"/>"));
            self.put(format_args!("<text class=\"dies\" x=\"{x}\" y=\"{}\" dx=\"10\">{host} is down</text>", y + 4));
        }
    }

    fn messages(&mut self) {
        for entry in self.entries(self.from) {
            if let Happened::Message(message) = &entry.what
                && self.is_drawn(message)
            {
                self.message(entry.at, message);
            }
        }
    }

    fn is_drawn(&self, message: &Message) -> bool {
        let named =
            |name: &str| self.filter.kinds.iter().any(|kind| kind == name || name.strip_prefix("feed: ") == Some(kind));
        let is_about = |session: SessionKey| message.kinds.iter().any(|(_, about)| *about == Some(session));
        match self.filter.session {
            Some(session) => is_about(session),
            None => message.kinds.iter().any(|(name, _)| named(name)),
        }
    }

    fn message(&mut self, at: Moment, message: &Message) {
        let is_down = message.from < message.to;
        let below = BAR + STRIP + 5;
        let (leaves, comes) = if is_down { (below, 0) } else { (0, below) };
        let (y1, y2) = (self.y(message.from) + leaves, self.y(message.to) + comes);
        let (left, reached) =
            (self.tenths(at), message.arrived.map_or(self.tenths(at) + 80, |arrived| self.tenths(arrived)));
        let (class, end) = match message.fate {
            Fate::Arrived => ("message", y2),
            Fate::Late => ("message late", y2),
            Fate::Lost | Fate::NoRoom if is_down => ("message lost", y1 + 24),
            Fate::Lost | Fate::NoRoom => ("message lost", y1 - 24),
        };
        let (x1, x2) = (tenths(left), tenths(reached));
        self.put(format_args!("<path class=\"{class}\" d=\"M{x1} {y1}L{x2} {end}\"/>"));
        match message.fate {
            Fate::Lost | Fate::NoRoom => {
                self.put(format_args!("<path class=\"end\" d=\"M{x2} {end}m-3 -3l6 6m-6 0l6 -6\"/>"))
            }
            Fate::Arrived | Fate::Late => {
                self.put(format_args!("<circle class=\"comes\" cx=\"{x2}\" cy=\"{end}\" r=\"2.5\"/>"))
            }
        }
    }

    fn commits(&mut self) {
        let mut asked: BTreeMap<u64, Moment> = BTreeMap::new();
        for entry in self.entries(self.from) {
            let Happened::Commit(host, subject, serial, step) = &entry.what else { continue };
            let is_wanted = match (self.filter.session, subject) {
                (Some(session), Subject::Session(key)) => session == *key,
                (Some(_), Subject::Name(_)) => false,
                (None, _) => true,
            };
            let since = *asked.entry(serial.0).or_insert(entry.at);
            let Some((class, mark)) = outcome(step).filter(|_| is_wanted) else { continue };
            let (x1, x2, y) = (self.x(since), self.x(entry.at), self.y(*host) - 9);
            self.put(format_args!("<path class=\"{class} wait\" d=\"M{x1} {y}H{x2}\"/>"));
            let to =
                if self.filter.session.is_some() { String::new() } else { format!(" to {}", subject_words(*subject)) };
            let text = format!("#{}{to}", serial.0);
            self.put(format_args!(
                "<text class=\"{class}\" x=\"{x2}\" y=\"{}\">{mark} <tspan class=\"soft\">{text}</tspan></text>",
                y + 4
            ));
        }
    }

    fn violation(&mut self, height: u64) {
        let Some(violation) = self.record.violation().filter(|violation| self.is_in(violation.at)) else { return };
        let (x, promise) = (self.x(violation.at), violation.promise);
        self.put(format_args!("<path class=\"end\" d=\"M{x} 0V{height}\"/>"));
        self.put(format_args!(
            "<text class=\"broken\" x=\"{x}\" y=\"{}\" dx=\"-6\">{promise} is broken</text>",
            AXIS - 2
        ));
    }
}

/// The state that a host is in from now on, if this says so.
fn state_of(what: &Happened, host: HostId) -> Option<State> {
    if let Happened::State(of, state) = what { Some(*state).filter(|_| *of == host) } else { None }
}

/// How the end of a write is marked.
const fn outcome(step: &Step) -> Option<(&'static str, &'static str)> {
    match step {
        Step::Waits | Step::Taken => None,
        Step::Refused(_) => Some(("refused", "✕")),
        Step::Durable(_) => Some(("durable", "●")),
        Step::NotDurable(_, true) => Some(("undecided", "◆")),
        Step::NotDurable(_, false) => Some(("undecided", "▲")),
        Step::Unknown => Some(("unknown", "◇")),
    }
}

fn tenths(count: u64) -> String {
    format!("{}.{}", count / 10, count % 10)
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
