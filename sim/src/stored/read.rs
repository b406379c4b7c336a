//! Reads a plan, and tells what is wrong with a text that is none.

use std::collections::BTreeMap;

use heirloom_core::{Config, ConfigError};
use serde_json::{Map, Value};

use super::{
    BadPlan, Stored, VERSION,
    forms::{DISCOVERIES, PLACES, read_named, read_number, read_time, read_weather, show_moment},
    records::Reader,
};
use crate::{
    action::{Action, Setup},
    clock::Moment,
    net::HostId,
    places::{Discovery, Places},
    plan::Plan,
    sent::Check,
    violation::Promise,
    weather::Weather,
};

/// The most hosts of a plan.
const HOSTS_MAX: u16 = 1024;
/// The last moment of a plan.
const END: Moment = Moment::from_nanos(86_400_000_000_000);

pub(super) fn stored(text: &str) -> Result<Stored, BadPlan> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let told = lines.by_ref().find(|(_, line)| is_record(line));
    let (line, first) = told.unwrap_or((1, ""));
    version(first).map_err(|story| BadPlan { line, story })?;
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| is_record(line)).collect();
    let mut draft = Draft::default();
    let mut happens = Vec::new();
    for (line, record) in &lines {
        let words: Vec<&str> = record.split_whitespace().collect();
        match words[..] {
            ["fault" | "client" | "packet" | "when", ..] => happens.push((*line, words)),
            _ => draft.set(*line, &words, record).map_err(|story| BadPlan { line: *line, story })?,
        }
    }
    let end = text.lines().count() + 1;
    let mut stored = draft.finish(end)?;
    for (line, words) in happens {
        happen(&mut stored.plan, &words).map_err(|story| BadPlan { line, story })?;
    }
    stored.plan.actions.sort_by_key(|(at, _)| *at);
    Ok(stored)
}

fn is_record(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

fn version(line: &str) -> Result<(), String> {
    match line.split_once(' ') {
        Some(("heirloom-sim", version)) if version == VERSION.to_string() => Ok(()),
        Some(("heirloom-sim", version)) => {
            Err(format!("this plan has version {version}, and version {VERSION} is what is read here"))
        }
        _ => Err(format!("a plan begins with `heirloom-sim {VERSION}`")),
    }
}

fn happen(plan: &mut Plan, words: &[&str]) -> Result<(), String> {
    let reader = Reader { hosts: plan.setup.hosts };
    if let ["packet", words @ ..] = words {
        let (packet, twist) = reader.packet(words)?;
        return match plan.packets.insert(packet, twist) {
            None => Ok(()),
            Some(_) => Err(format!("`packet {packet}` is said twice")),
        };
    }
    if let ["when", words @ ..] = words {
        plan.triggers.extend(reader.triggers(words)?);
        return Ok(());
    }
    plan.actions.extend(happening(reader, words)?);
    Ok(())
}

fn happening(reader: Reader, words: &[&str]) -> Result<Vec<(Moment, Action)>, String> {
    let [kind, time, rest @ ..] = words else {
        return Err("when, and what? Like fault 12.4s kill n0 lost".into());
    };
    let at = Moment::ZERO + read_time(time)?;
    in_time(time, at)?;
    let actions = if *kind == "fault" { reader.fault(rest)? } else { vec![reader.client(rest)?] };
    Ok(actions.into_iter().map(|action| (at, action)).collect())
}

fn in_time(text: &str, at: Moment) -> Result<(), String> {
    if at <= END { Ok(()) } else { Err(format!("`{text}` is too late: 0s to {}", show_moment(END))) }
}

/// What has been read of what a run starts from.
#[derive(Default)]
struct Draft {
    seed: Option<u64>,
    hosts: Option<u16>,
    healed_at: Option<Moment>,
    discovery: Option<Discovery>,
    places: Option<Places>,
    weather: Option<Weather>,
    forgets: Option<bool>,
    is_plain: Option<bool>,
    config: Map<String, Value>,
    /// The settings of single hosts, and in which line each stands.
    own: Vec<(usize, String, String, Value)>,
    /// In which line each setting stands.
    config_lines: Vec<(String, usize)>,
    checks: Vec<Check>,
    want: Option<Promise>,
}

impl Draft {
    fn set(&mut self, line: usize, words: &[&str], record: &str) -> Result<(), String> {
        match words {
            ["seed", seed] => once("seed", &mut self.seed, read_number(seed, 0, u64::MAX)?),
            ["hosts", hosts] => once("hosts", &mut self.hosts, read_number(hosts, 1, HOSTS_MAX)?),
            ["healed", time] => {
                let at = Moment::ZERO + read_time(time)?;
                in_time(time, at)?;
                once("healed", &mut self.healed_at, at)
            }
            ["discovery", name] => once("discovery", &mut self.discovery, read_named(&DISCOVERIES, "discovery", name)?),
            ["places", name] => once("places", &mut self.places, read_named(&PLACES, "places", name)?),
            ["weather", parts @ ..] => once("weather", &mut self.weather, read_weather(parts)?),
            ["forgets"] => once("forgets", &mut self.forgets, true),
            ["plain"] => once("plain", &mut self.is_plain, true),
            ["config", name, _, ..] => {
                let value = record["config".len()..].trim_start()[name.len()..].trim_start();
                let value = setting(name, value)?;
                if self.config.insert((*name).to_owned(), value).is_some() {
                    return Err(format!("`config {name}` is said twice"));
                }
                self.config_lines.push(((*name).to_owned(), line));
                Ok(())
            }
            ["own", host, name, ..] => {
                let rest = record["own".len()..].trim_start()[host.len()..].trim_start();
                let value = setting(name, rest[name.len()..].trim_start())?;
                self.own.push((line, (*host).to_owned(), (*name).to_owned(), value));
                Ok(())
            }
            ["check", count, digest] => self.check(count, digest),
            ["want", promise @ ..] => once("want", &mut self.want, promise_of(&promise.join(" "))?),
            _ => Err(format!("`{record}` is no record: {RECORDS}")),
        }
    }

    fn check(&mut self, count: &str, digest: &str) -> Result<(), String> {
        let count = read_number(count, 0, u64::MAX)?;
        let is_hex = digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digest = u64::from_str_radix(digest, 16).ok().filter(|_| is_hex);
        let digest = digest.ok_or("a check has a count and a hash of 16 hex digits")?;
        self.checks.push(Check { count, digest });
        Ok(())
    }

    fn finish(self, end: usize) -> Result<Stored, BadPlan> {
        let missing = |name| BadPlan { line: end, story: format!("the plan has no `{name}`") };
        let config: Config = serde_json::from_value(Value::Object(self.config))
            .map_err(|error| BadPlan { line: end, story: error.to_string() })?;
        config.check().map_err(|ConfigError { setting, allowed }| {
            let told = self.config_lines.iter().find(|(name, _)| name == setting);
            let line = told.or(self.config_lines.last()).map_or(end, |(_, line)| *line);
            BadPlan { line, story: format!("{setting}: {allowed}") }
        })?;
        let setup = Setup {
            seed: self.seed.ok_or_else(|| missing("seed"))?,
            hosts: self.hosts.ok_or_else(|| missing("hosts"))?,
            own: own(&config, self.own, self.hosts.unwrap_or(1))?,
            config,
            weather: self.weather.unwrap_or(Weather::calm()),
            discovery: self.discovery.unwrap_or(Discovery::Both),
            places: self.places.unwrap_or_default(),
            is_plain: self.is_plain.unwrap_or(false),
        };
        let healed_at = self.healed_at.ok_or_else(|| missing("healed"))?;
        let forgets = self.forgets.unwrap_or(false);
        let (packets, triggers) = (BTreeMap::new(), Vec::new());
        let plan = Plan { setup, actions: Vec::new(), packets, triggers, healed_at, forgets };
        Ok(Stored { plan, checks: self.checks, want: self.want })
    }
}

/// The settings of hosts that have their own: those of all, with what is said of these.
fn own(
    config: &Config,
    settings: Vec<(usize, String, String, Value)>,
    hosts: u16,
) -> Result<BTreeMap<HostId, Config>, BadPlan> {
    let mut own: BTreeMap<HostId, Config> = BTreeMap::new();
    for (line, host, name, value) in settings {
        let bad = |story| BadPlan { line, story };
        let host = Reader { hosts }.host(&host).map_err(bad)?;
        let before = own.get(&host).unwrap_or(config);
        let mut all = serde_json::to_value(before).map_err(|error| bad(error.to_string()))?;
        all[&name] = value;
        let after: Config = serde_json::from_value(all).map_err(|error| bad(error.to_string()))?;
        after.check().map_err(|error| bad(error.to_string()))?;
        own.insert(host, after);
    }
    Ok(own)
}

/// A setting has the type that it has by default.
fn setting(name: &str, text: &str) -> Result<Value, String> {
    let usual = serde_json::to_value(Config::default()).unwrap_or_default();
    let wrong = |allowed: &str| Err(format!("{name} is `{text}`: {allowed}"));
    let value = match usual.get(name) {
        Some(Value::String(_)) if text.starts_with('"') => match serde_json::from_str(text) {
            Ok(value @ Value::String(_)) => value,
            Ok(_) | Err(_) => return wrong("a text in quotes ends with one"),
        },
        Some(Value::String(_)) => Value::String(text.into()),
        Some(_) => match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) => return wrong("a number, or true or false"),
        },
        None => return Err(format!("`{name}` is no setting: {}", names(&usual))),
    };
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    match serde_json::from_value::<Config>(Value::Object(alone)) {
        Ok(_) => Ok(value),
        Err(error) => wrong(&error.to_string()),
    }
}

const RECORDS: &str = "seed 1, hosts 3, healed 20s, forgets, plain, discovery both, places alike, config idle 30s, \
    own n0 sessions_max 5, weather loss=50, fault 12.4s kill n0 lost, client 12s n0 touch s1, packet n0>n1 17 lost, when 1 n1 ready fault pause n0, check 4096 and a hash, want P2 durable";

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` is said twice")),
    }
}

fn promise_of(text: &str) -> Result<Promise, String> {
    let found = Promise::ALL.into_iter().find(|promise| promise.to_string() == text);
    found.ok_or_else(|| {
        let names: Vec<String> = Promise::ALL.iter().map(Promise::to_string).collect();
        let (last, others) = names
            .split_last()
            .map_or((String::new(), String::new()), |(last, others)| (last.clone(), others.join(", ")));
        format!("`{text}` is no promise: {others} or {last}")
    })
}

fn names(settings: &Value) -> String {
    let names = settings.as_object().into_iter().flat_map(|settings| settings.keys().map(String::as_str));
    names.collect::<Vec<&str>>().join(", ")
}
