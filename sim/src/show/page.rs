//! A record as a page: one file, which fetches nothing. The page is drawn from the record that stands in it.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{MemberId, SessionKey};
use serde_json::{Value, json};

use super::{
    json::{state_name, step_name},
    words::{named, subject_words, words, writes},
};
use crate::{
    clock::Moment,
    net::HostId,
    record::{Copy, Fate, Happened, Message, Record, Step, Subject, Way},
    stored::show_key,
};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const LANES: &str = include_str!("lanes.js");
const MOVES: &str = include_str!("moves.js");

/// A whole page of a record: its title, and the command that lets the run happen again.
pub fn page(record: &Record, title: &str, replay: &str) -> String {
    let data = data(record, title, replay).to_string();
    // In a script of a page nothing may look like its end.
    let data = data.replace("</", "<\\/").replace("<!--", "<\\!--");
    let escaped = title.replace('&', "&amp;").replace('<', "&lt;");
    let page = PAGE.replace("{title}", &escaped).replace("{style}", STYLE.trim_end());
    page.replace("{lanes}", LANES.trim_end()).replace("{moves}", MOVES.trim_end()).replace("{record}", &data)
}

fn data(record: &Record, title: &str, replay: &str) -> Value {
    let sessions = Numbered::new(by_number(record.sessions()));
    let mut data = Data { record, sessions, kinds: Numbered::default(), sets: Numbered::default(), last: 0 };
    let mut rows: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut messages = Vec::new();
    for entry in &record.entries {
        if let Happened::Message(message) = &entry.what {
            messages.extend(data.message(entry.at, message));
        } else if let Some((name, row)) = data.change(entry.at, &entry.what) {
            rows.entry(name).or_default().push(row);
        }
        if let Some(row) = data.entry(entry.at, &entry.what) {
            rows.entry("entries").or_default().push(row);
        }
    }
    let row = |name: &str| rows.get(name).cloned().unwrap_or_default();
    json!({
        "title": title, "replay": replay, "called": record.called, "hosts": record.hosts,
        "end": micros(record.end), "healed": micros(record.healed_at),
        "states": row("states"), "views": row("views"), "copies": row("copies"), "entries": row("entries"),
        "commits": commits(record), "bands": bands(record), "violation": data.violation(),
        "messages": messages, "sets": data.sets.all, "kinds": data.kinds.all,
        "sessions": data.sessions.all.iter().map(|key| show_key(*key)).collect::<Vec<_>>(),
    })
}

/// Things that are written once and named by their numbers.
#[derive(Debug)]
struct Numbered<T> {
    all: Vec<T>,
    numbers: BTreeMap<T, usize>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { all: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Clone + Ord> Numbered<T> {
    fn new(all: Vec<T>) -> Self {
        let mut numbered = Self::default();
        all.into_iter().for_each(|one| {
            numbered.number(one);
        });
        numbered
    }

    fn number(&mut self, one: T) -> usize {
        if let Some(number) = self.numbers.get(&one) {
            return *number;
        }
        self.numbers.insert(one.clone(), self.all.len());
        self.all.push(one);
        self.all.len() - 1
    }
}

struct Data<'a> {
    record: &'a Record,
    sessions: Numbered<SessionKey>,
    kinds: Numbered<&'static str>,
    /// The kinds and the sessions of messages, by their numbers.
    sets: Numbered<(Vec<usize>, Vec<usize>)>,
    /// When the last message was sent.
    last: u64,
}

impl Data<'_> {
    /// Eight numbers: how long after the one before it was sent, how long it took, from, to, its way, its kinds and
    /// sessions, its length and its fate.
    fn message(&mut self, at: Moment, message: &Message) -> [i64; 8] {
        let kinds: BTreeSet<&'static str> = message.kinds.iter().map(|(name, _)| *name).collect();
        let has_items = kinds.iter().any(|name| name.starts_with("feed: "));
        let kinds = kinds.into_iter().filter(|name| !has_items || *name != "feed");
        let kinds = kinds.map(|name| self.kinds.number(name.strip_prefix("feed: ").unwrap_or(name))).collect();
        let sessions: BTreeSet<SessionKey> = message.kinds.iter().filter_map(|(_, session)| *session).collect();
        let sessions = sessions.into_iter().map(|session| self.sessions.number(session)).collect();
        let set = self.sets.number((kinds, sessions));
        let after = micros(at) - self.last;
        self.last = micros(at);
        let took = message.arrived.map_or(-1, |arrived| signed(micros(arrived) - micros(at)));
        let way = match message.way {
            Way::Datagram => 0,
            Way::Group => 1,
            Way::Stream => 2,
        };
        let fate = match message.fate {
            Fate::Arrived => 0,
            Fate::Late => 1,
            Fate::Lost => 2,
            Fate::NoRoom => 3,
        };
        let [from, to] = [message.from, message.to].map(|host| i64::from(host.0));
        let [set, bytes] = [set, message.bytes].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        [signed(after), took, from, to, way, set, bytes, fate]
    }

    /// A change of what a lane shows, and in which list it stands.
    fn change(&mut self, at: Moment, what: &Happened) -> Option<(&'static str, Value)> {
        let at = micros(at);
        let names = |lives: &mut dyn Iterator<Item = &MemberId>| {
            let mut names: Vec<String> = lives.map(|life| self.record.name(*life)).collect();
            names.sort();
            names
        };
        match what {
            Happened::State(host, state) => Some(("states", json!([at, host.0, state_name(*state)]))),
            Happened::View(host, sight) => {
                let (listed, suspected) = (names(&mut sight.listed.iter()), names(&mut sight.suspected.iter()));
                Some(("views", json!([at, host.0, listed, suspected])))
            }
            Happened::Copy(host, key, copy) => Some(("copies", self.copy(at, *host, *key, copy.as_ref()))),
            Happened::Done(_)
            | Happened::Told(..)
            | Happened::Commit(..)
            | Happened::Read(..)
            | Happened::Mail(..)
            | Happened::Message(_)
            | Happened::Broken(_)
            | Happened::Left(..) => None,
        }
    }

    fn copy(&mut self, at: u64, host: HostId, key: SessionKey, copy: Option<&Copy>) -> Value {
        let owner = copy.and_then(|copy| copy.owner);
        let is_owner = owner.and_then(|life| self.record.lives.get(&life)).is_some_and(|life| life.0 == host);
        json!([
            at,
            host.0,
            self.sessions.number(key),
            owner.map(|owner| self.record.name(owner)),
            copy.map(|copy| writes(&copy.shown)),
            copy.and_then(|copy| copy.ended).map(|cause| format!("{cause:?}")),
            u8::from(is_owner),
            u8::from(copy.is_some()),
        ])
    }

    /// A line of the list of what happened.
    fn entry(&mut self, at: Moment, what: &Happened) -> Option<Value> {
        if matches!(what, Happened::Message(_)) {
            return None;
        }
        let sessions = what.sessions().into_iter().map(|session| self.sessions.number(session)).collect::<Vec<_>>();
        let host = what.host().map_or(-1, |host| i64::from(host.0));
        Some(json!([micros(at), what.kind(), host, sessions, words(self.record, what)]))
    }

    fn violation(&self) -> Value {
        let Some(violation) = self.record.violation() else { return Value::Null };
        let told = self.sessions.all.iter().find(|key| violation.story.contains(&key.to_string()));
        json!({
            "t": micros(violation.at),
            "promise": violation.promise.to_string(),
            "story": named(self.record, &violation.story),
            "session": told.map(|key| show_key(*key)),
        })
    }
}

/// Each write: its number, to what, where, when it was asked for, and how far it came when.
fn commits(record: &Record) -> Vec<Value> {
    let mut commits = BTreeMap::new();
    for entry in &record.entries {
        if let Happened::Commit(host, subject, serial, step) = &entry.what {
            let is_name = matches!(subject, Subject::Name(_));
            let commit =
                commits.entry((is_name, serial.0)).or_insert_with(|| (*subject, *host, Vec::<(Moment, &Step)>::new()));
            commit.2.push((entry.at, step));
        }
    }
    let rows = commits.into_iter().map(|((_, serial), (subject, host, steps))| {
        let first = steps.first().map_or(0, |(at, _)| micros(*at));
        let steps = steps.into_iter().map(|(at, step)| {
            let (name, have) = step_name(step);
            json!([micros(at), name, have.iter().map(|life| record.name(*life)).collect::<Vec<_>>()])
        });
        json!([serial, subject_words(subject), host.0, first, steps.collect::<Vec<_>>()])
    });
    rows.collect()
}

fn bands(record: &Record) -> Vec<Value> {
    let bands = record.bands().into_iter().map(|band| {
        let hosts: Vec<u16> = band.hosts.iter().map(|host| host.0).collect();
        json!([micros(band.from), micros(band.to), band.text, hosts])
    });
    bands.collect()
}

/// The sessions that clients know, by their numbers, then the others.
fn by_number(sessions: BTreeSet<SessionKey>) -> Vec<SessionKey> {
    let mut sessions: Vec<SessionKey> = sessions.into_iter().collect();
    sessions.sort_by_key(|session| crate::clients::number(*session).unwrap_or(u64::MAX));
    sessions
}

fn micros(at: Moment) -> u64 {
    at.as_nanos() / 1000
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
