//! Writes a plan.

use core::fmt;

use heirloom_core::Config;
use serde_json::Value;

use super::{
    Stored, VERSION,
    forms::{DISCOVERIES, PLACES, show_moment, show_named, show_weather},
    packets, records, triggers,
};
use crate::action::Setup;

pub(super) fn stored(stored: &Stored, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Stored { plan, checks, want } = stored;
    let Setup { seed, hosts, config, own, weather, discovery, places, is_plain } = &plan.setup;
    writeln!(f, "heirloom-sim {VERSION}")?;
    writeln!(f, "seed {seed}")?;
    writeln!(f, "hosts {hosts}")?;
    writeln!(f, "healed {}", show_moment(plan.healed_at))?;
    if plan.forgets {
        writeln!(f, "forgets")?;
    }
    if *is_plain {
        writeln!(f, "plain")?;
    }
    writeln!(f, "discovery {}", show_named(&DISCOVERIES, discovery))?;
    writeln!(f, "places {}", show_named(&PLACES, places))?;
    for (name, value) in settings(config, &Config::default()) {
        writeln!(f, "config {name} {value}")?;
    }
    for (host, own) in own {
        for (name, value) in settings(own, config) {
            writeln!(f, "own {host} {name} {value}")?;
        }
    }
    let weather = show_weather(weather);
    if !weather.is_empty() {
        writeln!(f, "weather {}", weather.join(" "))?;
    }
    for (at, action) in &plan.actions {
        let (kind, words) = records::show(action);
        writeln!(f, "{kind} {} {words}", show_moment(*at))?;
    }
    for (packet, twist) in &plan.packets {
        writeln!(f, "packet {}", packets::show(*packet, *twist))?;
    }
    for trigger in &plan.triggers {
        writeln!(f, "{}", triggers::show(trigger))?;
    }
    for check in checks {
        writeln!(f, "check {} {:016x}", check.count, check.digest)?;
    }
    if let Some(promise) = want {
        writeln!(f, "want {promise}")?;
    }
    Ok(())
}

/// The settings that are not as usual, in order of their names.
fn settings(config: &Config, usual: &Config) -> Vec<(String, String)> {
    let object = |config: &Config| match serde_json::to_value(config) {
        Ok(Value::Object(settings)) => settings,
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    let usual = object(usual);
    let changed = object(config).into_iter().filter(|(name, value)| usual.get(name) != Some(value));
    changed.map(|(name, value)| (name, plain(&value))).collect()
}

/// A text stands as it is where it can be read again as it is.
fn plain(value: &Value) -> String {
    match value.as_str().filter(|text| is_plain(text)) {
        Some(text) => text.into(),
        None => value.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    !text.is_empty() && words.join(" ") == text && !text.starts_with('"') && !text.contains(char::is_control)
}
