//! The file of a scenario: what stands where, and what is wrong with a file that is none.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{
    Tale,
    deeds::{Deed, deed, link},
    expect::Expectation,
    order::Order,
    packets::packet,
    settings::{self, Settings},
    traffic::Traffic,
    waiting::waiting,
    words::{Names, moment, split},
};
use crate::{
    action::Setup,
    choices::{Packet, Twist},
    clock::Moment,
    net::HostId,
    places::{Discovery, Places},
    plan::Plan,
    stored::{
        BadPlan,
        forms::{DISCOVERIES, PLACES, read_named, read_weather},
    },
    weather::Weather,
};

/// The version of the form of these files. What is added to it leaves the files that there are as they are; what would not
/// makes another version.
pub(super) const VERSION: u32 = 1;
/// The most members of a scenario.
const MEMBERS_MAX: usize = 64;
/// How long after the last line everything is healed, if nothing else is said.
const AFTER: core::time::Duration = core::time::Duration::from_secs(1);

/// As it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    about: String,
    members: Vec<Spanned<String>>,
    /// Those that run from the beginning.
    runs: Option<Vec<Spanned<String>>>,
    /// Sessions in the order of their numbers, if lines name them in another one.
    #[serde(default)]
    sessions: Vec<Spanned<String>>,
    #[serde(default)]
    catches: Vec<Spanned<String>>,
    #[serde(default = "one")]
    seed: u64,
    clocks: Option<Spanned<String>>,
    discovery: Option<Spanned<String>>,
    places: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
    #[serde(default)]
    forgets: bool,
    #[serde(default)]
    cluster: Settings,
    #[serde(default)]
    member: BTreeMap<Spanned<String>, Settings>,
    #[serde(default)]
    network: BTreeMap<Spanned<String>, Spanned<Value>>,
    #[serde(default)]
    links: Vec<Spanned<String>>,
    #[serde(default)]
    packets: Vec<Spanned<String>>,
    #[serde(default)]
    traffic: Vec<Spanned<Traffic>>,
    #[serde(default)]
    timeline: Vec<Spanned<String>>,
    #[serde(default)]
    expect: Vec<Spanned<String>>,
}

const fn one() -> u64 {
    1
}

/// Tells in which line of a text a part of it begins.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    fn of(self, at: usize) -> usize {
        self.0.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// What is wrong with a part.
    pub(crate) fn bad<T>(self, part: &Spanned<T>) -> impl Fn(String) -> BadPlan {
        let line = self.of(part.span().start);
        move |story| BadPlan { line, story }
    }

    pub(crate) fn bad_toml(self, error: &toml::de::Error) -> BadPlan {
        let story = error.message().split_whitespace().collect::<Vec<&str>>().join(" ");
        BadPlan { line: error.span().map_or(1, |span| self.of(span.start)), story }
    }
}

/// Reads a scenario; these are the settings of whatever it does not set.
pub(crate) fn read(name: &str, text: &str, base: &Base) -> Result<Tale, BadPlan> {
    let lines = Lines(text);
    let file: File = toml::from_str(text).map_err(|error| lines.bad_toml(&error))?;
    let version = *file.version.get_ref();
    if version != VERSION {
        let story = format!("this scenario has version {version}, and version {VERSION} is what is read here");
        return Err(lines.bad(&file.version)(story));
    }
    let mut names = Names { members: members(lines, &file.members)?, ..Names::default() };
    for session in &file.sessions {
        names.session(session.get_ref()).map_err(lines.bad(session))?;
    }
    let setup = setup(lines, &file, &names, base)?;
    let links = links(lines, &file, &mut names, &setup.weather)?;
    let mut order = Order::default();
    for deed in links {
        order.add(0, deed)?;
    }
    let mut triggers = Vec::new();
    for line in &file.timeline {
        if line.get_ref().trim_start().starts_with("when ") {
            triggers.extend(waiting(&mut names, &setup.weather, line.get_ref()).map_err(lines.bad(line))?);
            continue;
        }
        let deed = deed(&mut names, &setup.weather, line.get_ref()).map_err(lines.bad(line))?;
        order.add(lines.of(line.span().start), deed)?;
    }
    let packets = file.packets.iter().map(|line| packet(&names, line.get_ref()).map_err(lines.bad(line)));
    let packets = packets.collect::<Result<BTreeMap<Packet, Twist>, BadPlan>>()?;
    order.start_others(names.all(), runs(lines, &file, &names)?);
    for traffic in &file.traffic {
        let requests = traffic.get_ref().requests(&names, file.seed).map_err(lines.bad(traffic))?;
        order.add_all(requests);
    }
    let expectations = file.expect.iter().map(|line| {
        let at = lines.of(line.span().start);
        Expectation::read(&names, at, line.get_ref()).map_err(lines.bad(line))
    });
    let expectations = expectations.collect::<Result<Vec<Expectation>, BadPlan>>()?;
    let last = expectations.iter().filter_map(Expectation::due).max().unwrap_or(Moment::ZERO);
    let healed_at = healed_at(lines, &file, (order.last(), last))?;
    order.check(&names, healed_at)?;
    let (actions, orders) = order.finish(names.writes.len());
    Ok(Tale {
        file: name.into(),
        about: file.about.split_whitespace().collect::<Vec<&str>>().join(" "),
        catches: file.catches.iter().map(|fault| fault.get_ref().clone()).collect(),
        plan: Plan { setup, actions, packets, triggers, healed_at, forgets: file.forgets },
        names,
        orders,
        expectations,
    })
}

fn members(lines: Lines<'_>, listed: &[Spanned<String>]) -> Result<Vec<String>, BadPlan> {
    let mut names = Names::default();
    for member in listed {
        names.check_new(member.get_ref()).map_err(lines.bad(member))?;
        names.members.push(member.get_ref().clone());
    }
    match listed.len() {
        1..=MEMBERS_MAX => Ok(names.members),
        count => Err(BadPlan { line: 1, story: format!("it has {count} members: 1 to {MEMBERS_MAX}") }),
    }
}

/// Who is said to run from the beginning.
fn runs(lines: Lines<'_>, file: &File, names: &Names) -> Result<Option<Vec<HostId>>, BadPlan> {
    let Some(runs) = &file.runs else { return Ok(None) };
    let mut found = Vec::new();
    for name in runs {
        let host = names.host(name.get_ref()).map_err(lines.bad(name))?;
        if found.contains(&host) {
            return Err(lines.bad(name)(format!("{} is named twice", names.of(host))));
        }
        found.push(host);
    }
    Ok(Some(found))
}

/// From which settings a scenario starts.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) config: heirloom_core::Config,
    pub(crate) discovery: Discovery,
}

impl Default for Base {
    fn default() -> Self {
        Self { config: heirloom_core::Config::default(), discovery: Discovery::Both }
    }
}

fn setup(lines: Lines<'_>, file: &File, names: &Names, base: &Base) -> Result<Setup, BadPlan> {
    let config = settings::with(lines, &base.config, &file.cluster)?;
    let mut own = BTreeMap::new();
    for (member, settings) in &file.member {
        let host = names.host(member.get_ref()).map_err(lines.bad(member))?;
        own.insert(host, settings::with(lines, &config, settings)?);
    }
    let named = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.get_ref().clone());
    let is_plain = match named(&file.clocks).as_deref() {
        None | Some("exact") => true,
        Some("drawn") => false,
        Some(other) => {
            let line = file.clocks.as_ref().map_or(1, |clocks| lines.of(clocks.span().start));
            return Err(BadPlan { line, story: format!("clocks is `{other}`: exact, drawn") });
        }
    };
    Ok(Setup {
        seed: file.seed,
        hosts: u16::try_from(names.members.len()).unwrap_or(u16::MAX),
        config,
        own,
        weather: network(lines, &file.network)?,
        discovery: one_of(lines, &DISCOVERIES, "discovery", &file.discovery, base.discovery)?,
        places: one_of(lines, &PLACES, "places", &file.places, Places::default())?,
        is_plain,
    })
}

fn one_of<T: Copy>(
    lines: Lines<'_>,
    table: &[(&'static str, T)],
    what: &str,
    told: &Option<Spanned<String>>,
    usual: T,
) -> Result<T, BadPlan> {
    match told {
        Some(name) => read_named(table, what, name.get_ref()).map_err(lines.bad(name)),
        None => Ok(usual),
    }
}

/// The network from the beginning, in the words of a plan. A share may be written as `"30 %"`.
fn network(lines: Lines<'_>, parts: &BTreeMap<Spanned<String>, Spanned<Value>>) -> Result<Weather, BadPlan> {
    let mut words = Vec::new();
    for (name, value) in parts {
        let text = match value.get_ref() {
            Value::Boolean(yes) => if *yes { "yes" } else { "no" }.into(),
            Value::String(text) => split(text).concat(),
            Value::Integer(_) | Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                value.get_ref().to_string()
            }
        };
        let text = match text.strip_suffix('%') {
            Some(_) => super::deeds::share_of(&text).map_err(lines.bad(value))?.to_string(),
            None => text,
        };
        let word = format!("{}={text}", name.get_ref());
        // Each for itself, so that the line is known.
        read_weather(&[&word]).map_err(lines.bad(name))?;
        words.push(word);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    read_weather(&words).map_err(|story| BadPlan { line: 1, story })
}

/// What the ways between members are like from the beginning.
fn links(lines: Lines<'_>, file: &File, names: &mut Names, weather: &Weather) -> Result<Vec<Deed>, BadPlan> {
    let links = file.links.iter().map(|line| link(names, weather, line.get_ref()).map_err(lines.bad(line)));
    links.collect()
}

/// When everything is healed: the last thing that happens is over then. If nothing is said, so is what is expected.
fn healed_at(lines: Lines<'_>, file: &File, (last, due): (Moment, Moment)) -> Result<Moment, BadPlan> {
    let Some(until) = &file.until else { return Ok(last.max(due) + AFTER) };
    let at = moment(&split(until.get_ref()).concat()).map_err(lines.bad(until))?;
    if at < last {
        let story = format!("all ends at {at}, and the timeline goes on until {last}");
        return Err(lines.bad(until)(story));
    }
    Ok(at)
}
