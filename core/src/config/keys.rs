//! The keys of a node's configuration file beside its table `[cluster]`, which is a [`Config`] as it stands: some say more of
//! that, in forms that are short for people; the others are for the node program alone.
//!
//! Whatever reads such a file, the node or a simulator, reads it by this.

use alloc::{borrow::ToOwned, format, string::String};
use core::{str::FromStr, time::Duration};

use super::{Config, ConfigError, LABEL_MAX, LIFETIME_MAX, PAYLOAD_MAX, WEIGHT_MAX};

/// The keys that say something of a [`Config`]: those that [`Config::set`] takes.
pub const OF_THE_CLUSTER: [&str; 16] = [
    "name",
    "cluster_name",
    "idle",
    "max_age",
    "copies",
    "unit",
    "host_label",
    "zone",
    "domain",
    "payload",
    "weight",
    "sessions_max",
    "memory_max",
    "when_full",
    "partition",
    "members_min",
];

/// The keys that are for the node program alone.
pub const OF_THE_NODE: [&str; 15] = [
    "listen",
    "bind",
    "advertise",
    "multicast",
    "interface",
    "peer",
    "durability",
    "commit_for",
    "drain_for",
    "clients_max",
    "runtime",
    "insecure",
    "record",
    "record_limit",
    "record_values",
];

impl Config {
    /// Sets what a key of a node's configuration file says; no other setting changes.
    ///
    /// # Errors
    ///
    /// A sentence that says what is allowed.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        match key {
            "name" => self.name = word(text)?,
            "cluster_name" => self.cluster_name = text.to_owned(),
            "idle" => self.idle = Duration::from_secs(seconds(text)?),
            "max_age" => self.max_age = Duration::from_secs(seconds(text)?),
            "copies" => self.copies = named(text)?,
            "unit" => self.unit = named(text)?,
            "host_label" => self.host = word(text)?,
            "zone" => self.zone = word(text)?,
            "domain" => self.domain = word(text)?,
            "payload" => self.payload = payload(text)?,
            "weight" => self.weight = weight(text)?,
            "sessions_max" => self.sessions_max = sessions(text)?,
            "memory_max" => self.memory_max = bytes(text)?,
            "when_full" => self.when_full = named(text)?,
            "partition" => self.partition = named(text)?,
            "members_min" => self.members_min = members(text)?,
            _ => {
                return Err(format!(
                    "`{key}` is no key that says something of the cluster: {}",
                    OF_THE_CLUSTER.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// What has a name of its own in text.
fn named<T: FromStr<Err = ConfigError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ConfigError| error.allowed)
}

/// The length of a lifetime, in whole seconds.
///
/// # Errors
///
/// What is allowed.
pub fn seconds(text: &str) -> Result<u64, String> {
    let most = LIFETIME_MAX.as_secs();
    let seconds = text.parse().ok().filter(|seconds| *seconds <= most);
    seconds.ok_or_else(|| format!("write whole seconds, 0 to {most}"))
}

/// An amount of memory, as in the configuration of Redis: `1kb` is 1024 bytes, `1k` is 1000.
///
/// # Errors
///
/// What is allowed.
pub fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match &unit.to_ascii_lowercase()[..] {
        "" | "b" => Some(1),
        "k" => Some(1000),
        "kb" => Some(1 << 10),
        "m" => Some(1_000_000),
        "mb" => Some(1 << 20),
        "g" => Some(1_000_000_000),
        "gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| "write a whole number of bytes, or with kb, mb or gb, like 512mb".into())
}

/// A name or a label. It stands in lines that programs read, so it is one word.
///
/// # Errors
///
/// What is allowed.
pub fn word(text: &str) -> Result<String, String> {
    let is_word = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let name = Some(text).filter(|text| is_word && (1..=LABEL_MAX).contains(&text.len()));
    name.map(str::to_owned).ok_or_else(|| format!("write one word of 1 to {LABEL_MAX} bytes"))
}

/// What a member lets others know of it.
///
/// # Errors
///
/// What is allowed.
pub fn payload(text: &str) -> Result<String, String> {
    if text.len() <= PAYLOAD_MAX { Ok(text.into()) } else { Err(format!("write at most {PAYLOAD_MAX} bytes")) }
}

/// How much a member holds.
///
/// # Errors
///
/// What is allowed.
pub fn weight(text: &str) -> Result<u16, String> {
    let weight = text.parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
    weight.ok_or_else(|| format!("write a whole number, 1 to {WEIGHT_MAX}"))
}

/// How many sessions a member may hold.
///
/// # Errors
///
/// What is allowed.
pub fn sessions(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=super::SESSIONS_MAX).contains(count));
    count.ok_or_else(|| format!("write a whole number, 1 to {}", super::SESSIONS_MAX))
}

/// How many members are enough. The rest is checked with all that is set.
///
/// # Errors
///
/// What is allowed.
pub fn members(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "write a whole number".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_cluster_sets_something_and_no_other_key_does() {
        for key in OF_THE_CLUSTER {
            let texts = ["5", "x", "backups:2", "whole-session", "evict", "pause"];
            let set = |text: &&str| {
                let mut config = Config::default();
                config.set(key, text).is_ok() && config != Config::default()
            };
            assert!(texts.iter().any(set), "{key}");
        }
        for key in OF_THE_NODE {
            assert!(Config::default().set(key, "5").is_err(), "{key}");
        }
    }
}
