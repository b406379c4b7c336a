//! Writes the file of a scenario. What was written is read again and must be the same plan: whatever is lost on the way is
//! refused, not kept silent about.

use core::fmt::Write as _;

use heirloom_core::Config;
use toml::{Table, Value};

use super::{
    Tale,
    file::VERSION,
    lines::{Writer, moment},
    packets,
};
use crate::{
    action::{Action, Setup},
    clock::Moment,
    net::HostId,
    places::{Discovery, Places},
    plan::Plan,
    stored::{
        forms::{DISCOVERIES, PLACES, show_named},
        show_weather,
    },
};

pub(super) fn text(tale: &Tale) -> Result<String, String> {
    let mut refused = "there are no words for a part of it".into();
    // The form that reads best comes first; the last one says each thing for itself.
    for form in Form::ALL {
        let text = write(tale, form)?;
        match Tale::read("scenario", &text) {
            Ok(read) if read.plan == tale.plan => return Ok(text),
            Ok(read) => refused = lost(&tale.plan, &read.plan),
            Err(error) => refused = error.story,
        }
    }
    Err(format!("a scenario cannot say it: {refused}"))
}

/// What is said that could be left out, and how.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Who runs from the beginning.
    says_runs: bool,
    /// Which session has which number.
    says_sessions: bool,
    /// Things that last are one line with two moments.
    joins: bool,
}

impl Form {
    /// That which reads best first.
    const ALL: [Self; 8] = {
        let mut all = [Self { says_runs: false, says_sessions: false, joins: true }; 8];
        let mut at = 0;
        while at < all.len() {
            all[at] = Self { says_runs: at & 1 == 1, says_sessions: at & 2 == 2, joins: at & 4 == 0 };
            at += 1;
        }
        all
    };
}

/// What a plan has lost when it was read again.
fn lost(plan: &Plan, read: &Plan) -> String {
    let pairs = plan.actions.iter().zip(&read.actions).find(|(one, other)| one != other);
    match pairs {
        Some(((at, action), _)) => format!("at {at}: {}", crate::stored::show_action(action).1),
        None if plan.setup.weather != read.setup.weather => "something in the network".into(),
        None if plan.setup.config != read.setup.config || plan.setup.own != read.setup.own => "a setting".into(),
        None if plan.actions.len() != read.actions.len() => "how many things happen".into(),
        None => "what the run starts from".into(),
    }
}

fn write(tale: &Tale, form: Form) -> Result<String, String> {
    let Plan { setup, actions, packets, triggers, healed_at, forgets } = &tale.plan;
    let Setup { seed, hosts: _, config, own, weather, discovery, places, is_plain } = setup;
    let mut out = String::new();
    line(&mut out, "version", &Value::Integer(VERSION.into()));
    line(&mut out, "about", &Value::String(tale.about.clone()));
    strings(&mut out, "members", &tale.names.members);
    let runs = first(actions);
    if form.says_runs {
        let names: Vec<String> = runs.iter().map(|host| tale.names.of(*host).to_owned()).collect();
        strings(&mut out, "runs", &names);
    }
    if form.says_sessions {
        strings(&mut out, "sessions", &tale.sessions());
    }
    if !tale.catches.is_empty() {
        strings(&mut out, "catches", &tale.catches);
    }
    let seed = i64::try_from(*seed).map_err(|_| format!("a seed greater than {}", i64::MAX))?;
    line(&mut out, "seed", &Value::Integer(seed));
    if !is_plain {
        line(&mut out, "clocks", &Value::String("drawn".into()));
    }
    if *discovery != Discovery::Both {
        line(&mut out, "discovery", &Value::String(show_named(&DISCOVERIES, discovery).into()));
    }
    if *places != Places::default() {
        line(&mut out, "places", &Value::String(show_named(&PLACES, places).into()));
    }
    if *forgets {
        line(&mut out, "forgets", &Value::Boolean(true));
    }
    line(&mut out, "until", &Value::String(moment(*healed_at)));
    let writer = Writer { names: &tale.names, usual: weather, orders: &tale.orders, joins: form.joins };
    let waiting = triggers.iter().map(|trigger| writer.waiting(trigger)).collect::<Result<Vec<String>, String>>()?;
    many(&mut out, "timeline", &[writer.lines(&runs, &actions[runs.len()..])?, waiting].concat());
    let packets = packets.iter().map(|(packet, twist)| packets::show(&tale.names, *packet, *twist));
    many(&mut out, "packets", &packets.collect::<Vec<String>>());
    let expected: Vec<String> = tale.expectations.iter().map(|expectation| expectation.text.clone()).collect();
    many(&mut out, "expect", &expected);
    table(&mut out, "cluster", &settings(config, &Config::default())?, false);
    for (host, own) in own {
        table(&mut out, &format!("member.{}", tale.names.of(*host)), &settings(own, config)?, true);
    }
    let network = show_weather(weather);
    let network = network.iter().filter_map(|part| part.split_once('='));
    let network = network.map(|(name, value)| {
        let value = match value {
            "yes" => Value::Boolean(true),
            "no" => Value::Boolean(false),
            value => value.parse().map_or_else(|_| Value::String(value.into()), Value::Integer),
        };
        (name.to_owned(), value)
    });
    table(&mut out, "network", &network.collect(), false);
    Ok(out)
}

/// Those that run from the beginning.
fn first(actions: &[(Moment, Action)]) -> Vec<HostId> {
    let mut hosts = Vec::new();
    for (at, action) in actions {
        let Action::Start(host) = action else { break };
        if *at != Moment::ZERO || hosts.contains(host) {
            break;
        }
        hosts.push(*host);
    }
    hosts
}

/// The settings in which one differs from the other.
fn settings(config: &Config, usual: &Config) -> Result<Table, String> {
    let table = |config: &Config| Table::try_from(config).map_err(|error| error.to_string());
    let usual = table(usual)?;
    Ok(table(config)?.into_iter().filter(|(name, value)| usual.get(name) != Some(value)).collect())
}

fn line(out: &mut String, name: &str, value: &Value) {
    let _ = writeln!(out, "{name} = {value}");
}

fn strings(out: &mut String, name: &str, texts: &[String]) {
    line(out, name, &Value::Array(texts.iter().cloned().map(Value::String).collect()));
}

/// A list with a line for each.
fn many(out: &mut String, name: &str, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{name} = [");
    for text in texts {
        let _ = writeln!(out, "    {},", Value::String(text.clone()));
    }
    let _ = writeln!(out, "]");
}

fn table(out: &mut String, name: &str, values: &Table, is_kept: bool) {
    if values.is_empty() && !is_kept {
        return;
    }
    let _ = writeln!(out, "\n[{name}]");
    values.iter().for_each(|(name, value)| line(out, name, value));
}
