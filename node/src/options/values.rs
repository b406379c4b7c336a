//! How the values of settings are written, and what is said of those that are not.

use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use std::path::PathBuf;

use heirloom_core::{
    ConfigError, Copies, Durability, Partition, Unit, WhenFull,
    config::{self, keys},
};
use rustix::system::uname;

use crate::driver::Runtime;

/// The group for signs of life, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(pub(super) Option<SocketAddr>);

pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, like 127.0.0.1:6379 or [::1]:6379".into())
}

pub(super) fn parse_interface(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "write the IP address of an interface, like 127.0.0.1".into())
}

pub(super) fn parse_group(text: &str) -> Result<Group, String> {
    if text == "off" {
        return Ok(Group(None));
    }
    let group = text.parse().ok().filter(|group: &SocketAddr| group.ip().is_multicast() && group.port() != 0);
    let allowed = "write a multicast group and a port, like 228.0.0.4:45564, or off";
    group.map(|group| Group(Some(group))).ok_or_else(|| allowed.into())
}

pub(super) fn parse_peer(text: &str) -> Result<String, String> {
    let is_allowed = |(host, port): (&str, &str)| !host.is_empty() && port.parse().is_ok_and(|port: u16| port != 0);
    let peer = Some(text).filter(|text| text.rsplit_once(':').is_some_and(is_allowed));
    peer.map(str::to_owned).ok_or_else(|| "write a host and a port, like example.org:4000".into())
}

pub(crate) fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "local" => Ok(Durability::Local),
        "one" => Ok(Durability::One),
        "majority" => Ok(Durability::Majority),
        "all" => Ok(Durability::All),
        _ => {
            let copies = text.strip_prefix("copies:").and_then(|copies| copies.parse().ok());
            let copies = copies.filter(|copies| (1..=COPIES_MAX).contains(copies)).map(Durability::Copies);
            copies.ok_or_else(|| format!("write local, one, majority, all or copies:N, with N from 1 to {COPIES_MAX}"))
        }
    }
}

/// As many as a view may have members.
const COPIES_MAX: u16 = 4096;

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    config::text::parse(text)
}

pub(super) fn parse_idle(text: &str) -> Result<u64, String> {
    keys::seconds(text)
}

pub(super) fn parse_payload(text: &str) -> Result<String, String> {
    keys::payload(text)
}

pub(super) fn parse_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    count.ok_or_else(|| format!("write a whole number, 1 to {COUNT_MAX}"))
}

pub(super) fn parse_sessions(text: &str) -> Result<usize, String> {
    keys::sessions(text)
}

pub(super) fn parse_bytes(text: &str) -> Result<usize, String> {
    keys::bytes(text)
}

pub(super) fn parse_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("write the name of a file".into()) } else { Ok(text.into()) }
}

pub(super) fn parse_partition(text: &str) -> Result<Partition, String> {
    text.parse().map_err(|error: ConfigError| error.allowed)
}

pub(super) fn parse_members(text: &str) -> Result<usize, String> {
    keys::members(text)
}

pub(super) fn parse_when_full(text: &str) -> Result<WhenFull, String> {
    text.parse().map_err(|error: ConfigError| error.allowed)
}

pub(super) fn parse_copies(text: &str) -> Result<Copies, String> {
    text.parse().map_err(|error: ConfigError| error.allowed)
}

pub(super) fn parse_unit(text: &str) -> Result<Unit, String> {
    text.parse().map_err(|error: ConfigError| error.allowed)
}

pub(super) fn parse_runtime(text: &str) -> Result<Runtime, String> {
    match text {
        "std" => Ok(Runtime::Std),
        "smol" => Ok(Runtime::Smol),
        _ => Err("write std or smol".into()),
    }
}

pub(super) fn parse_label(text: &str) -> Result<String, String> {
    keys::word(text)
}

pub(super) fn parse_weight(text: &str) -> Result<u16, String> {
    keys::weight(text)
}

/// More open files than any system gives to one process.
const COUNT_MAX: usize = 1 << 24;

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    keys::word(text)
}

/// As much as the protocol takes.
const NAME_BYTES_MAX: usize = 64;

/// The name of the host with the number of the process: several members of one host have different names.
pub(super) fn default_name() -> String {
    let host: String = default_host().chars().take(40).collect();
    format!("{host}-{}", std::process::id())
}

/// The name of the host, as one word.
pub(super) fn default_host() -> String {
    let host = uname().nodename().to_string_lossy().into_owned();
    host.chars().filter(|c| c.is_ascii_graphic()).take(NAME_BYTES_MAX).collect()
}
