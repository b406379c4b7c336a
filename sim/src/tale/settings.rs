//! Settings as a node's configuration file has them.

use std::collections::BTreeMap;

use heirloom_core::{Config, ConfigError};
use toml::{Spanned, Table, Value};

use super::file::Lines;
use crate::stored::BadPlan;

/// A table of settings, with where each stands.
pub(crate) type Settings = BTreeMap<Spanned<String>, Spanned<Value>>;

/// Settings, with what a table says of them.
pub(crate) fn with(lines: Lines<'_>, base: &Config, settings: &Settings) -> Result<Config, BadPlan> {
    let whole = |error: String| BadPlan { line: 1, story: error };
    let mut table = Table::try_from(base).map_err(|error| whole(error.to_string()))?;
    for (name, value) in settings {
        table.insert(name.get_ref().clone(), value.get_ref().clone());
        // Each for itself, so that the line is known.
        let read: Result<Config, _> = Value::Table(table.clone()).try_into();
        read.map_err(|error: toml::de::Error| {
            lines.bad(name)(error.message().split_whitespace().collect::<Vec<&str>>().join(" "))
        })?;
    }
    let config: Config = Value::Table(table).try_into().map_err(|error: toml::de::Error| whole(error.to_string()))?;
    config.check().map_err(|ConfigError { setting, allowed }| {
        let told = settings.iter().find(|(name, _)| name.get_ref() == setting).or(settings.iter().next_back());
        let story = format!("{setting}: {allowed}");
        match told {
            Some((name, _)) => lines.bad(name)(story),
            None => whole(story),
        }
    })?;
    Ok(config)
}
