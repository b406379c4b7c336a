//! What can be set about a node: by flag, else in the environment, else in a file, else by default.
//!
//! There is one table of settings, the flags. A variable of the environment and a key of the file are read as the flag of
//! the same name would be, so all three allow the same values and refuse the others in the same words.

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use std::{fs, path::PathBuf};

use heirloom_core::{AtRisk, Config, Copies, Durability, Partition, Unit, WhenFull};
use heirloom_runtime::{Recording, Settings};

use self::{
    layers::{from_environment, from_file},
    values::{
        Group, parse_address, parse_bytes, parse_copies, parse_count, parse_durability, parse_duration, parse_group,
        parse_idle, parse_interface, parse_label, parse_members, parse_name, parse_partition, parse_path,
        parse_payload, parse_peer, parse_runtime, parse_sessions, parse_unit, parse_weight, parse_when_full,
    },
};

use crate::driver::Runtime;

mod layers;
pub(crate) mod values;

/// Below the flags in the help.
pub(crate) const AFTER_HELP: &str = "\
Every flag is also a key of FILE, with underscores for dashes (clients_max = 100; peer is a list), and a variable of the
environment (HEIRLOOM_CLIENTS_MAX=100; HEIRLOOM_PEER takes several with commas between). A flag goes before the
environment, that before the file, and that before the default. The table [cluster] of FILE sets the protocol, durations
written as 500ms, 3s, 30m, 2h or 1d: frequency, drop_time, probe_time, probe_attempts, search_max, join_for, fetch_for,
ended_for, leave_for, digest_every, ended_max, members_max, frame_max, attribute_bytes_max, session_bytes_max,
attributes_max, commits_max, events_max.

When the node serves, it writes one line to standard output:
    ready name=NAME id=ID listen=ADDR bind=ADDR cause=joined|first-member
It logs to standard error, as much as HEIRLOOM_LOG asks for (error, warn, info, debug, trace; default info). SIGTERM and
SIGINT make it hand over within drain_for and leave; a second one ends it at once. The exit status is 0 if it has left, 1 if it
cannot start or go on, 2 if it was called in a wrong way, and 3 if it has left with something that no other member has.";

const LISTEN: &str = "127.0.0.1:6379";
const CLIENTS_MAX: usize = 10_000;
/// Less than the half minute that is common before a process that does not end is killed.
const DRAIN_FOR: Duration = Duration::from_secs(20);
/// How long a record gets, in bytes.
const RECORD_LIMIT: u64 = 64 << 20;

/// Why the program ends, on one line.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called in a wrong way.
    Usage(String),
    /// It was called well and cannot do it.
    Start(String),
    /// It has left, and nobody else had this.
    Lost(AtRisk),
}

/// The settings that were given in one place.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// The name of this member, for people [default: that of the host, with the number of the process]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<String>,
    /// Which cluster to be a member of [default: heirloom]
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<String>,
    /// Where applications connect; port 0 is any free one [default: 127.0.0.1:6379]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Where other members send streams and datagrams: this port or the first free one of the 99 behind it [default:
    /// 127.0.0.1:4000]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    bind: Option<SocketAddr>,
    /// Where others reach this member, if that is not the bound address
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    advertise: Option<SocketAddr>,
    /// The group in which members find each other, or off [default: 228.0.0.4:45564]
    #[arg(long, value_name = "GROUP:PORT|off", value_parser = parse_group)]
    multicast: Option<Group>,
    /// The address of the interface that the group is on [default: that of --bind]
    #[arg(long, value_name = "ADDR", value_parser = parse_interface)]
    interface: Option<IpAddr>,
    /// Another member, for where there is no multicast; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_peer)]
    peer: Option<Vec<String>>,
    /// How many other members must have a write before it is answered: local, one, copies:N, majority (of those that are
    /// to hold the session, this one included) or all [default: one, and local while there is none]
    #[arg(long, value_name = "COPIES", value_parser = parse_durability)]
    durability: Option<Durability>,
    /// How long a write waits for them before it is answered that they do not have it; 0 is until they are out of the view
    /// [default: drop_time, probe_time and 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    commit_for: Option<Duration>,
    /// How long a session lives without a use, if it was given no end; 0 is for ever [default: 1800]
    #[arg(long, value_name = "SECONDS", value_parser = parse_idle)]
    idle: Option<u64>,
    /// How long a session lives at most, however much it is used; 0 is without a limit [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = parse_idle)]
    max_age: Option<u64>,
    /// Which members hold a copy of a session, the same on all: everywhere, nowhere, or backups:1 to backups:8 [default:
    /// everywhere]
    #[arg(long, value_name = "COPIES", value_parser = parse_copies)]
    copies: Option<Copies>,
    /// What of a session travels when it has changed: delta or whole-session [default: delta]
    #[arg(long, value_name = "UNIT", value_parser = parse_unit)]
    unit: Option<Unit>,
    /// The machine that this member runs on: copies of a session go to different ones [default: the name of this host]
    #[arg(long, value_name = "LABEL", value_parser = parse_label)]
    host_label: Option<String>,
    /// What fails as a whole, say a rack: copies of a session go to different ones [default: not known]
    #[arg(long, value_name = "LABEL", value_parser = parse_label)]
    zone: Option<String>,
    /// Cuts one network into several groups of members: those of another domain are seen, and share no session [default: none]
    #[arg(long, value_name = "LABEL", value_parser = parse_label)]
    domain: Option<String>,
    /// What other members are told of this one, at most 128 bytes: anything that is of use to them [default: none]
    #[arg(long, value_name = "TEXT", value_parser = parse_payload)]
    payload: Option<String>,
    /// How much this member holds of what is not held by all: with twice the weight twice the copies [default: 100]
    #[arg(long, value_name = "1..1000", value_parser = parse_weight)]
    weight: Option<u16>,
    /// How many sessions this member may hold, copies included [default: 16777216]
    #[arg(long, value_name = "COUNT", value_parser = parse_sessions)]
    sessions_max: Option<usize>,
    /// How much its sessions may take, like 512mb: names, values, and about 600 bytes for each; 0 is without a limit
    /// [default: 0]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    memory_max: Option<usize>,
    /// What becomes of a write for which these leave no room: refuse it, or evict other sessions, never-written ones first,
    /// then the least recently used [default: refuse]
    #[arg(long, value_name = "refuse|evict", value_parser = parse_when_full)]
    when_full: Option<WhenFull>,
    /// What the node does when it sees no majority of the members that were there: serve, or pause and take no writes
    /// [default: serve]
    #[arg(long, value_name = "serve|pause", value_parser = parse_partition)]
    partition: Option<Partition>,
    /// How many ready members, this one included, are enough; with --partition=pause none starts without [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = parse_members)]
    members_min: Option<usize>,
    /// How long the node has to hand over when it is told to end; it serves while it does so [default: 20s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    drain_for: Option<Duration>,
    /// How many clients are let in [default: 10000]
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    clients_max: Option<usize>,
    /// What the node waits with: std, or smol and its reactor [default: std]
    #[arg(long, value_name = "RUNTIME", value_parser = parse_runtime)]
    runtime: Option<Runtime>,
    /// Allows other addresses than loopback, although nothing on the network is authenticated
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure: Option<bool>,
    /// Writes all that comes to this member to a file, which is replaced; heirloom-sim replay runs it again [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse_path)]
    record: Option<PathBuf>,
    /// How long that file gets at most: then the record ends, and the node says so and goes on [default: 64mb]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    record_limit: Option<usize>,
    /// Writes the values of sessions to it as they are; without it other bytes of the same length stand for each
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    record_values: Option<bool>,
    /// A file with settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where clients come to.
    pub(crate) listen: SocketAddr,
    /// How many may come.
    pub(crate) clients_max: usize,
    /// What a write waits for; `None`: for one copy, while there is another member.
    pub(crate) durability: Option<Durability>,
    /// How long it waits; `None`: until too few members are left.
    pub(crate) commit_for: Option<Duration>,
    /// How long it has to hand over.
    pub(crate) drain_for: Duration,
    /// Which driver the node runs on.
    pub(crate) runtime: Runtime,
    /// Hosts and ports of other members.
    pub(crate) peers: Vec<String>,
    /// The sockets of the cluster.
    pub(crate) settings: Settings,
    /// The protocol of the cluster.
    pub(crate) config: Config,
}

impl Options {
    /// Puts together what is set by these flags, in the environment and in the file that one of them names.
    ///
    /// # Errors
    ///
    /// The first value that is not allowed.
    pub(crate) fn read(flags: Flags, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let flags = flags.or(from_environment(environment)?);
        let Some(path) = &flags.config else { return Self::new(flags, Config::default()) };
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| usage(format!("cannot read {shown}: {error}")))?;
        let (file, config) = from_file(&text).map_err(|error| usage(format!("{shown}: {error}")))?;
        Self::new(flags.or(file), config)
    }

    fn new(flags: Flags, config: Config) -> Result<Self, Failure> {
        let listen = LISTEN.parse().expect("the default is an address");
        let defaults = Settings::default();
        let options = Self {
            listen: flags.listen.unwrap_or(listen),
            clients_max: flags.clients_max.unwrap_or(CLIENTS_MAX),
            durability: flags.durability,
            commit_for: match flags.commit_for {
                // A hung member is out of the view by then.
                None => Some(config.drop_time + config.probe_time + Duration::from_secs(1)),
                Some(length) => Some(length).filter(|length| !length.is_zero()),
            },
            drain_for: flags.drain_for.unwrap_or(DRAIN_FOR),
            runtime: flags.runtime.unwrap_or_default(),
            peers: flags.peer.unwrap_or_default(),
            settings: Settings {
                bind: flags.bind.unwrap_or(defaults.bind),
                advertise: flags.advertise,
                multicast: flags.multicast.map_or(defaults.multicast, |Group(group)| group),
                interface: flags.interface,
                insecure: flags.insecure.unwrap_or(false),
                record: flags.record.map(|path| Recording {
                    path,
                    bytes_max: flags
                        .record_limit
                        .map_or(RECORD_LIMIT, |bytes| u64::try_from(bytes).unwrap_or(u64::MAX)),
                    values: flags.record_values.unwrap_or(false),
                }),
                ..defaults
            },
            config: Config {
                name: flags.name.unwrap_or(config.name),
                cluster_name: flags.cluster_name.unwrap_or(config.cluster_name),
                idle: flags.idle.map_or(config.idle, Duration::from_secs),
                max_age: flags.max_age.map_or(config.max_age, Duration::from_secs),
                copies: flags.copies.unwrap_or(config.copies),
                unit: flags.unit.unwrap_or(config.unit),
                host: flags.host_label.unwrap_or(config.host),
                zone: flags.zone.unwrap_or(config.zone),
                domain: flags.domain.unwrap_or(config.domain),
                payload: flags.payload.unwrap_or(config.payload),
                weight: flags.weight.unwrap_or(config.weight),
                sessions_max: flags.sessions_max.unwrap_or(config.sessions_max),
                memory_max: flags.memory_max.unwrap_or(config.memory_max),
                when_full: flags.when_full.unwrap_or(config.when_full),
                partition: flags.partition.unwrap_or(config.partition),
                members_min: flags.members_min.unwrap_or(config.members_min),
                ..config
            },
        };
        options.named().checked()
    }

    fn named(mut self) -> Self {
        if self.config.name.is_empty() {
            self.config.name = values::default_name();
        }
        if self.config.host.is_empty() {
            self.config.host = values::default_host();
        }
        self
    }

    fn checked(self) -> Result<Self, Failure> {
        self.config.check().map_err(|error| usage(error.to_string()))?;
        parse_name(&self.config.name).map_err(|error| usage(format!("name: {error}")))?;
        let Settings { bind, interface, insecure, .. } = self.settings;
        let bound = [("--listen", Some(self.listen.ip())), ("--bind", Some(bind.ip())), ("--interface", interface)];
        let open = bound.into_iter().find(|(_, ip)| ip.is_some_and(|ip| !ip.is_loopback()));
        match open {
            Some((flag, Some(ip))) if !insecure => Err(usage(format!(
                "{flag}: {ip} is reached from other hosts, and nothing on the network is authenticated: use a loopback \
                 address, or allow it with --insecure"
            ))),
            _ => Ok(self),
        }
    }
}

impl Flags {
    /// These, and the others where these say nothing.
    fn or(self, other: Self) -> Self {
        Self {
            name: self.name.or(other.name),
            cluster_name: self.cluster_name.or(other.cluster_name),
            listen: self.listen.or(other.listen),
            bind: self.bind.or(other.bind),
            advertise: self.advertise.or(other.advertise),
            multicast: self.multicast.or(other.multicast),
            interface: self.interface.or(other.interface),
            peer: self.peer.or(other.peer),
            durability: self.durability.or(other.durability),
            commit_for: self.commit_for.or(other.commit_for),
            idle: self.idle.or(other.idle),
            max_age: self.max_age.or(other.max_age),
            copies: self.copies.or(other.copies),
            unit: self.unit.or(other.unit),
            host_label: self.host_label.or(other.host_label),
            zone: self.zone.or(other.zone),
            domain: self.domain.or(other.domain),
            payload: self.payload.or(other.payload),
            weight: self.weight.or(other.weight),
            sessions_max: self.sessions_max.or(other.sessions_max),
            memory_max: self.memory_max.or(other.memory_max),
            when_full: self.when_full.or(other.when_full),
            partition: self.partition.or(other.partition),
            members_min: self.members_min.or(other.members_min),
            drain_for: self.drain_for.or(other.drain_for),
            clients_max: self.clients_max.or(other.clients_max),
            runtime: self.runtime.or(other.runtime),
            insecure: self.insecure.or(other.insecure),
            record: self.record.or(other.record),
            record_limit: self.record_limit.or(other.record_limit),
            record_values: self.record_values.or(other.record_values),
            config: self.config.or(other.config),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Whatever a message quotes, it is one line.
            Self::Usage(text) | Self::Start(text) => {
                f.write_str(&text.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Self::Lost(AtRisk { sessions, entries }) => write!(
                f,
                "the node has left with sessions_at_risk={sessions} entries_at_risk={entries}: no other member has \
                 acknowledged all of them"
            ),
        }
    }
}

/// What a command line is refused for, without the usage that clap shows below.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let parts = text.trim_start_matches("error: ").split("\n\n");
    let said = parts.filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"));
    said.map(str::trim).collect::<Vec<_>>().join("; ")
}

fn usage(text: String) -> Failure {
    Failure::Usage(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;
    use heirloom_core::config::keys::{OF_THE_CLUSTER, OF_THE_NODE};

    use super::{
        layers::{Layer, flags},
        *,
    };

    /// Each flag with three values, and what they come to.
    const KEYS: [(&str, [&str; 3]); 31] = [
        ("name", ["a", "b", "c"]),
        ("cluster-name", ["a", "b", "c"]),
        ("listen", ["127.0.0.1:1", "127.0.0.1:2", "[::1]:3"]),
        ("bind", ["127.0.0.1:1", "127.0.0.1:0", "[::1]:3"]),
        ("advertise", ["10.0.0.1:1", "10.0.0.1:2", "[fe80::1]:3"]),
        ("multicast", ["228.0.0.4:1", "off", "[ff02::1]:3"]),
        ("interface", ["127.0.0.1", "127.0.0.2", "::1"]),
        ("peer", ["a:1", "b:2", "[::1]:3"]),
        ("durability", ["copies:2", "majority", "all"]),
        ("commit-for", ["0", "500ms", "5s"]),
        ("idle", ["0", "1", "2147483648"]),
        ("max-age", ["0", "1", "2147483648"]),
        ("copies", ["backups:1", "nowhere", "everywhere"]),
        ("unit", ["whole-session", "delta", "whole-session"]),
        ("host-label", ["a", "b", "c"]),
        ("zone", ["a", "b", "c"]),
        ("domain", ["a", "b", "c"]),
        ("payload", ["a", "", "c"]),
        ("weight", ["1", "50", "1000"]),
        ("sessions-max", ["1", "2", "268435456"]),
        ("memory-max", ["0", "512mb", "1GB"]),
        ("when-full", ["evict", "refuse", "evict"]),
        ("partition", ["pause", "serve", "pause"]),
        ("members-min", ["1", "2", "3"]),
        ("drain-for", ["1s", "500ms", "2m"]),
        ("clients-max", ["1", "2", "3"]),
        ("runtime", ["std", "smol", "std"]),
        ("insecure", ["true", "false", "true"]),
        ("record", ["a", "b", "c"]),
        ("record-limit", ["1", "1mb", "2gb"]),
        ("record-values", ["true", "false", "true"]),
    ];

    #[test]
    fn every_key_can_be_set_in_three_ways_and_a_flag_goes_first() {
        let known: Vec<_> = flags().collect();
        assert_eq!(KEYS.iter().map(|(key, _)| *key).chain(["config"]).collect::<Vec<_>>(), known);
        for (key, [first, second, third]) in KEYS {
            // How it is recorded says nothing where nothing is.
            let recorded: &[String] = if key.starts_with("record-") { &["--record=a".into()] } else { &[] };
            let read = |flags: &[String], environment: &[(&str, &str)], file: Option<&str>| {
                read(&[flags, recorded].concat(), environment, file)
            };
            let by_flag = |value| read(&[format!("--{key}={value}")], &[], None).expect(key);
            let variable = format!("HEIRLOOM_{}", key.replace('-', "_").to_uppercase());
            let by_environment = |value: &str| read(&[], &[(&variable, value)], None).expect(key);
            let line = |value: &str| match value.parse::<bool>() {
                Ok(_) => format!("{} = {value}", key.replace('-', "_")),
                Err(_) => format!("{} = \"{value}\"", key.replace('-', "_")),
            };
            let by_file = |value: &str| read(&[], &[], Some(&line(value))).expect(key);
            for value in [first, second, third] {
                assert_eq!(by_flag(value), by_environment(value), "{key}");
                assert_eq!(by_flag(value), by_file(value), "{key}");
            }
            assert_ne!(by_flag(first), by_flag(second), "{key}");
            let flag_first = read(&[format!("--{key}={first}")], &[(&variable, second)], Some(&line(third)));
            assert_eq!(flag_first.expect(key), by_flag(first), "{key}");
            let variable_next = read(&[], &[(&variable, second)], Some(&line(third)));
            assert_eq!(variable_next.expect(key), by_flag(second), "{key}");
        }
    }

    /// Whatever else reads the file of a node reads it by the same rule.
    #[test]
    fn a_key_of_the_file_says_of_the_cluster_what_the_core_says_that_it_does() {
        let known: BTreeSet<String> =
            flags().map(|flag| flag.replace('-', "_")).filter(|key| key != "config").collect();
        let listed = OF_THE_CLUSTER.iter().chain(&OF_THE_NODE).map(|key| (*key).to_owned());
        assert_eq!(known, listed.collect());
        for (flag, values) in KEYS {
            let key = flag.replace('-', "_");
            for value in values {
                let by_flag = read(&[format!("--{flag}={value}")], &[], None).expect(flag).config;
                let mut by_core = read(&[], &[], None).expect("the defaults").config;
                if OF_THE_CLUSTER.contains(&&key[..]) {
                    by_core.set(&key, value).expect(flag);
                }
                assert_eq!(by_flag, by_core, "{flag}");
            }
        }
    }

    #[test]
    fn several_peers_are_given_in_each_way_and_numbers_in_the_file_need_no_quotes() {
        let flags = read(&["--peer=a:1".into(), "--peer=b:2".into()], &[], None).expect("two peers");
        assert_eq!(flags, read(&[], &[("HEIRLOOM_PEER", "a:1,b:2")], None).expect("two peers"));
        assert_eq!(flags, read(&[], &[], Some("peer = [\"a:1\", \"b:2\"]")).expect("two peers"));
        let idle = read(&[], &[], Some("idle = 60\nclients_max = 5")).expect("numbers");
        assert_eq!((idle.config.idle, idle.clients_max), (Duration::from_secs(60), 5));
    }

    #[test]
    fn the_table_of_the_cluster_is_its_configuration() {
        let options =
            read(&["--idle=5".into()], &[], Some("[cluster]\nfrequency = \"100ms\"\nidle = \"1h\"")).expect("ok");
        assert_eq!(options.config.frequency, Duration::from_millis(100));
        assert_eq!(options.config.idle, Duration::from_secs(5));
        assert_eq!(read(&[], &[], None).expect("ok").config.idle, Duration::from_secs(1800));
    }

    #[test]
    fn a_write_waits_until_a_hung_member_is_out_of_the_view_unless_it_is_told_for_how_long() {
        let seconds = |flags: &[&str], file: &str| {
            let flags: Vec<_> = flags.iter().map(|&flag| flag.into()).collect();
            read(&flags, &[], Some(file)).expect("it is allowed").commit_for.map(|length| length.as_secs())
        };
        assert_eq!(seconds(&[], ""), Some(5));
        assert_eq!(seconds(&[], "[cluster]\ndrop_time = \"10s\"\nprobe_time = \"4s\""), Some(15));
        assert_eq!(seconds(&["--commit-for=2s"], "[cluster]\ndrop_time = \"10s\""), Some(2));
        assert_eq!(seconds(&["--commit-for=0"], ""), None);
    }

    #[test]
    fn what_is_not_allowed_is_named_with_what_is_on_one_line() {
        type Row = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str, &'static str);
        let rows: [Row; 25] = [
            (&["--listen=x"], &[], "", "invalid value 'x' for '--listen <ADDR>': write an IP address and a port"),
            (&[], &[("HEIRLOOM_BIND", "x")], "", "HEIRLOOM_BIND: invalid value 'x' for '--bind <ADDR>'"),
            (&[], &[], "bind = \"x\"", "test.toml: bind: invalid value 'x' for '--bind <ADDR>'"),
            (&["--durability=two"], &[], "", "write local, one, majority, all or copies:N"),
            (&["--durability=copies:0"], &[], "", "write local, one, majority, all or copies:N"),
            (&["--commit-for=5"], &[], "", "`5` is not a duration"),
            (&["--copies=backups"], &[], "", "must be everywhere, nowhere or backups:1 to backups:8"),
            (&[], &[("HEIRLOOM_COPIES", "backups:9")], "", "HEIRLOOM_COPIES: invalid value 'backups:9'"),
            (&[], &[], "[cluster]\ncopies = \"two\"", "copies: must be everywhere, nowhere or backups:1 to backups:8"),
            (&["--unit=all"], &[], "", "must be delta or whole-session"),
            (&["--runtime=tokio"], &[], "", "write std or smol"),
            (&["--zone=a b"], &[], "", "write one word of 1 to 64 bytes"),
            (&["--weight=0"], &[], "", "write a whole number, 1 to 1000"),
            (&["--sessions-max=0"], &[], "", "write a whole number, 1 to 268435456"),
            (&["--memory-max=1tb"], &[], "", "write a whole number of bytes, or with kb, mb or gb, like 512mb"),
            (&["--memory-max=999999999999gb"], &[], "", "write a whole number of bytes, or with kb, mb or gb"),
            (&["--when-full=drop"], &[], "", "must be refuse or evict"),
            (&["--idle=-1"], &[], "", "write whole seconds, 0 to 2147483648"),
            (&["--name=a b"], &[], "", "1 to 64"),
            (&["--multicast=10.0.0.1:1"], &[], "", "write a multicast group and a port, like 228.0.0.4:45564, or off"),
            (&["--peer=a"], &[], "", "write a host and a port"),
            (&["--bind=0.0.0.0:1"], &[], "", "--bind: 0.0.0.0 is reached from other hosts"),
            (&[], &[], "nosuch = 1", "unknown key `nosuch`, expected one of name, cluster_name,"),
            (&[], &[], "[cluster]\nnosuch = 1", "[cluster]: unknown field `nosuch`, expected one of"),
            (&[], &[], "\nlisten =", "test.toml: line 2: "),
        ];
        for (flags, environment, file, said) in rows {
            let flags: Vec<_> = flags.iter().map(|&flag| flag.into()).collect();
            let failure = read(&flags, environment, Some(file).filter(|file| !file.is_empty())).expect_err(said);
            assert!(matches!(failure, Failure::Usage(_)));
            let line = failure.to_string();
            assert!(line.contains(said) && !line.contains('\n'), "{line}");
        }
        let wide = read(&["--bind=0.0.0.0:1".into(), "--insecure".into()], &[], None);
        assert!(wide.is_ok());
    }

    fn read(flags: &[String], environment: &[(&str, &str)], file: Option<&str>) -> Result<Options, Failure> {
        let layer = Layer::try_parse_from(flags).map_err(|error| usage(one_line(&error)))?;
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let flags = layer.flags.or(from_environment(find)?);
        let (file, config) = match file {
            Some(text) => from_file(text).map_err(|error| usage(format!("test.toml: {error}")))?,
            None => Default::default(),
        };
        let mut options = Options::new(flags.or(file), config)?;
        if options.config.name == values::default_name() {
            options.config.name = "default".into();
        }
        if options.config.host == values::default_host() {
            options.config.host = "default".into();
        }
        Ok(options)
    }
}
