//! The places besides the command line that settings come from: the environment and a file, each read as flags.

use clap::{CommandFactory as _, Parser};
use heirloom_core::Config;

use super::{Failure, Flags, one_line, usage};

/// One place that settings come from, read as flags.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
pub(super) struct Layer {
    #[command(flatten)]
    pub(super) flags: Flags,
}

/// What the environment sets: a variable for each flag.
pub(super) fn from_environment(environment: impl Fn(&str) -> Option<String>) -> Result<Flags, Failure> {
    let mut all = Flags::default();
    for flag in flags() {
        let variable = format!("HEIRLOOM_{}", flag.to_uppercase().replace('-', "_"));
        let Some(value) = environment(&variable) else { continue };
        let several = value.split(',').map(str::to_owned).collect();
        let values = if flag == "peer" { several } else { vec![value] };
        let read = layer(&flag, values).map_err(|error| usage(format!("{variable}: {error}")))?;
        all = all.or(read);
    }
    Ok(all)
}

/// What a file sets: keys named as the flags, and the protocol of the cluster.
pub(super) fn from_file(text: &str) -> Result<(Flags, Config), String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        format!("line {line}: {}", error.message())
    })?;
    let allowed: Vec<String> = flags().map(|flag| flag.replace('-', "_")).filter(|key| key != "config").collect();
    let (mut all, mut config) = (Flags::default(), Config::default());
    for (key, value) in table {
        if key == "cluster" {
            config = value.try_into().map_err(|error: toml::de::Error| format!("[cluster]: {}", error.message()))?;
        } else if allowed.contains(&key) {
            let values = words(value).ok_or_else(|| format!("{key}: must be a text, a number, true or false"))?;
            let read = layer(&key.replace('_', "-"), values).map_err(|error| format!("{key}: {error}"))?;
            all = all.or(read);
        } else {
            return Err(format!("unknown key `{key}`, expected one of {} or [cluster]", allowed.join(", ")));
        }
    }
    Ok((all, config))
}

fn words(value: toml::Value) -> Option<Vec<String>> {
    use toml::Value::{Array, Boolean, Datetime, Float, Integer, String, Table};

    match value {
        String(text) => Some(vec![text]),
        Integer(number) => Some(vec![number.to_string()]),
        Boolean(yes) => Some(vec![yes.to_string()]),
        Array(values) => {
            let words: Option<Vec<_>> = values.into_iter().map(words).collect();
            Some(words?.concat())
        }
        Datetime(_) | Float(_) | Table(_) => None,
    }
}

/// The names of all flags.
pub(super) fn flags() -> impl Iterator<Item = String> {
    let names: Vec<_> =
        Layer::command().get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
    names.into_iter()
}

/// Reads what stands at such a place as a flag of this name.
fn layer(flag: &str, values: Vec<String>) -> Result<Flags, String> {
    let arguments = values.into_iter().map(|value| format!("--{flag}={value}"));
    Layer::try_parse_from(arguments).map(|layer| layer.flags).map_err(|error| one_line(&error))
}
