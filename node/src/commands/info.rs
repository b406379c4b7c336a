//! `INFO`: what the node tells about itself, in the form that clients parse.

use core::fmt::{Result, Write};

use heirloom_core::{AttributeTraffic, Durability, MemberState, Partition, WhenFull};

use super::{
    call::{Answer, Call},
    connection::REDIS_VERSION,
};
use crate::store::Store;

type Section<S> = (&'static str, fn(&Call<'_, S>, &mut String) -> Result);

fn sections<S: Store>() -> [Section<S>; 8] {
    [
        ("Server", server),
        ("Clients", clients),
        ("Memory", memory),
        ("Persistence", persistence),
        ("Stats", stats),
        ("Replication", replication),
        ("Cluster", cluster_mode),
        ("Heirloom", heirloom),
    ]
}

pub(super) fn info<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let is_asked = |section: &str| {
        let mut asked = call.arguments.from(1);
        let is_any = |word: &[u8]| {
            let names = [section, "all", "everything", "default"];
            names.into_iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        asked.len() == 0 || asked.any(is_any)
    };
    let mut text = String::new();
    for (name, write) in sections::<S>().into_iter().filter(|(name, _)| is_asked(name)) {
        let separator = if text.is_empty() { "" } else { "\r\n" };
        text.push_str(&format!("{separator}# {name}\r\n"));
        write(call, &mut text).expect("a string takes what is written");
    }
    call.reply.verbatim(&text);
    Ok(())
}

pub(super) fn cluster<S: Store>(_: &mut Call<'_, S>) -> Answer {
    // Clients that ask for it go on without.
    Err("ERR This instance has cluster support disabled".into())
}

fn server<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    let uptime = call.program.started.elapsed().as_secs();
    write!(text, "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n")?;
    write!(text, "heirloom_version:{}\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(text, "os:{} {}\r\n", std::env::consts::OS, std::env::consts::ARCH)?;
    write!(text, "process_id:{}\r\nrun_id:{}\r\n", std::process::id(), call.store.id())?;
    write!(text, "tcp_port:{}\r\n", call.program.listen.port())?;
    write!(text, "uptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n", uptime / 86_400)
}

fn clients<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    let counters = &call.program.counters;
    write!(text, "connected_clients:{}\r\nmaxclients:{}\r\n", counters.clients.get(), call.program.clients_max)?;
    write!(text, "blocked_clients:0\r\n")
}

/// What sessions count; that is less than what the process takes.
fn memory<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    let (used, max) = (call.store.memory(), call.program.memory_max);
    write!(text, "used_memory:{used}\r\nused_memory_human:{}\r\n", human(used))?;
    write!(text, "maxmemory:{max}\r\nmaxmemory_human:{}\r\n", human(max))?;
    let policy = match call.program.when_full {
        WhenFull::Refuse => "noeviction",
        WhenFull::Evict => "allkeys-lru",
    };
    write!(text, "maxmemory_policy:{policy}\r\n")
}

/// As Redis rounds it: to the largest unit of which there is one, with two digits behind the point.
fn human(bytes: usize) -> String {
    let units = [("G", 30), ("M", 20), ("K", 10)];
    let unit = units.into_iter().find(|(_, bits)| 1 << bits <= bytes);
    unit.map_or_else(
        || format!("{bytes}B"),
        |(unit, bits)| {
            let hundredths = (bytes as u128 * 100 + (1 << (bits - 1))) >> bits;
            format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
        },
    )
}

/// Nothing is persistent; but here clients look for whether they must wait.
fn persistence<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    if call.store.state() == MemberState::Joining {
        write!(text, "loading:1\r\nloading_eta_seconds:1\r\n")
    } else {
        write!(text, "loading:0\r\n")
    }
}

fn stats<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    let counters = &call.program.counters;
    write!(text, "total_connections_received:{}\r\n", counters.connections.get())?;
    write!(text, "total_commands_processed:{}\r\n", counters.commands.get())?;
    write!(text, "rejected_connections:{}\r\n", counters.refused.get())?;
    let stats = call.store.stats();
    write!(text, "expired_keys:{}\r\nevicted_keys:{}\r\n", stats.expiries, stats.evictions)
}

fn replication<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    write!(text, "role:master\r\nconnected_slaves:{}\r\n", call.store.ready_peers())?;
    write!(text, "master_failover_state:no-failover\r\n")
}

fn cluster_mode<S: Store>(_: &Call<'_, S>, text: &mut String) -> Result {
    write!(text, "cluster_enabled:0\r\n")
}

fn heirloom<S: Store>(call: &Call<'_, S>, text: &mut String) -> Result {
    let (store, program) = (call.store, call.program);
    write!(text, "name:{}\r\nid:{}\r\n", program.name, store.id())?;
    write!(text, "cluster_name:{}\r\n", program.cluster_name)?;
    write!(text, "address:{}\r\nstate:{}\r\n", store.address(), stage(call))?;
    let (minority, pauses) = (store.minority(), program.partition == Partition::Pause);
    let yes_or_no = |yes| if yes { "yes" } else { "no" };
    write!(text, "partition:{}\r\nmajority:{}\r\n", program.partition, yes_or_no(minority.is_none()))?;
    write!(text, "paused:{}\r\n", yes_or_no(pauses && minority.is_some()))?;
    if let Some(minority) = minority {
        write!(text, "minority:{minority}\r\n")?;
    }
    let durability = match program.durability {
        None => "auto".into(),
        Some(Durability::Local) => "local".into(),
        Some(Durability::One) => "one".into(),
        Some(Durability::All) => "all".into(),
        Some(Durability::Copies(copies)) => format!("copies:{copies}"),
        Some(Durability::Majority) => "majority".to_owned(),
    };
    write!(text, "durability:{durability}\r\nidle_seconds:{}\r\n", program.idle.as_secs())?;
    let members = store.members();
    write!(text, "members:{}\r\n", members.len())?;
    for (at, member) in members.iter().enumerate() {
        let suspect = if member.suspect { "yes" } else { "no" };
        write!(text, "member{at}:id={},name={},address={}", member.id, member.name, member.address)?;
        let lag = store.lag(member.id).unwrap_or_default().as_millis();
        write!(text, ",state={},suspect={suspect},lag_ms={lag}\r\n", state(member.state))?;
    }
    write!(text, "settled:{}\r\n", if store.is_settled() { "yes" } else { "no" })?;
    let (sessions, owned) = (store.sessions(), store.sessions_owned());
    write!(text, "sessions:{sessions}\r\nsessions_owned:{owned}\r\n")?;
    write!(text, "sessions_copied:{}\r\n", sessions.saturating_sub(owned))?;
    let at_risk = store.at_risk();
    write!(text, "sessions_at_risk:{}\r\nentries_at_risk:{}\r\n", at_risk.sessions, at_risk.entries)?;
    write!(text, "copies:{}\r\n", program.copies)?;
    let stats = store.stats();
    let counted = [
        ("commits", stats.commits),
        ("commits_refused", stats.commits_refused),
        ("commits_unchanged", stats.commits_unchanged),
        ("commits_durable", stats.commits_durable),
        ("commits_not_durable", stats.commits_not_durable),
        ("commits_late", stats.commits_late),
        ("takeovers", stats.takeovers),
        ("epochs_lost", stats.epochs_lost),
        ("adoptions", stats.adoptions),
        ("expiries", stats.expiries),
        ("evictions", stats.evictions),
        ("deltas_sent", stats.deltas_sent),
        ("registers_sent", stats.registers_sent),
        ("deltas_applied", stats.deltas_applied),
        ("pulls", stats.pulls),
        ("stream_bytes_sent", stats.stream_bytes_sent),
        ("frames_refused", stats.frames_refused),
        ("kinds_unknown", stats.kinds_unknown),
        ("sessions_refused", stats.sessions_refused),
        ("births_refused", stats.births_refused),
        ("fetches", stats.fetches),
        ("copies_received", store.copies_received()),
        ("copies_released", stats.copies_released),
        ("relays", stats.relays),
        ("relays_refused", stats.relays_refused),
        ("repairs", stats.repairs),
        ("sleeps", stats.sleeps),
    ];
    counted.into_iter().try_for_each(|(name, count)| write!(text, "{name}:{count}\r\n"))?;
    let dropped = store.frame_errors().by_cause();
    dropped.into_iter().try_for_each(|(cause, count)| write!(text, "frames_dropped_{cause}:{count}\r\n"))?;
    attributes(store, text)
}

/// The attributes that take the most room on the wire.
fn attributes<S: Store>(store: &S, text: &mut String) -> Result {
    let attributes = store.attribute_traffic().into_iter().take(ATTRIBUTES).enumerate();
    attributes.into_iter().try_for_each(|(at, AttributeTraffic { name, bytes, over, deltas })| {
        // The name last: it may have commas.
        write!(text, "attribute{at}:bytes={bytes},over={over},deltas={deltas},name={}\r\n", name.escape_ascii())
    })
}

/// So many of the attributes that take the most room on the wire are told of.
const ATTRIBUTES: usize = 10;

/// How far this node is: it serves for a while when it is leaving.
pub(super) fn stage<S: Store>(call: &Call<'_, S>) -> &'static str {
    let draining = call.store.handover().is_some_and(|handover| handover.serving);
    if draining { "draining" } else { state(call.store.state()) }
}

pub(super) fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Joining => "joining",
        MemberState::Ready => "ready",
        MemberState::Leaving => "leaving",
    }
}

#[cfg(test)]
mod tests {
    use heirloom_core::{ATTRIBUTE_OVERHEAD, Config, Partition, SESSION_OVERHEAD, WhenFull};

    use super::human;
    use crate::{commands::testing::Desk, replies::OUT_OF_MEMORY};

    #[test]
    fn info_has_what_clients_look_for() {
        let desk = Desk::new();
        let all = desk.ask("INFO");
        for line in ["redis_version:7.2.4", "loading:0", "role:master", "connected_slaves:0", "state:ready"] {
            assert!(all.lines().any(|found| found == line), "{line} in {all}");
        }
        assert_eq!(desk.ask("info everything").lines().count(), all.lines().count());
    }

    #[test]
    fn info_tells_what_became_of_writes_and_why_frames_were_dropped() {
        let desk = Desk::new();
        desk.table(&[("SET a 1", "+OK"), ("SET b 1", "+OK"), ("HSET h f 1", ":1"), ("HSET h f 1", ":0")]);
        let told = desk.ask("INFO heirloom");
        let lines = ["commits:4", "commits_durable:4", "commits_not_durable:0", "commits_late:0", "commits_refused:0"];
        let lines = lines.into_iter().chain(["commits_unchanged:1", "epochs_lost:0", "sessions_copied:0"]);
        for line in lines.chain(["frames_dropped_checksum:0", "frames_dropped_no_stream:0"]) {
            assert!(told.lines().any(|found| found == line), "{line} in {told}");
        }
    }

    #[test]
    fn a_node_that_has_paused_answers_reads_and_tells_why_it_refuses_writes() {
        let desk = Desk::with(Config { partition: Partition::Pause, members_min: 2, ..Config::default() });
        let refused = "-CLUSTERDOWN writes are refused: only 1 of members_min (2) members are ready";
        desk.table(&[
            ("SET a 1", refused),
            ("HSET h f 1", refused),
            ("HEIRLOOM.MAP SET a 1", refused),
            ("GET a", "(nil)"),
            ("PING", "+PONG"),
            ("HEIRLOOM.RESUME", "+OK"),
            ("SET a 1", refused),
        ]);
        let told = desk.ask("INFO heirloom");
        let why = "minority:only 1 of members_min (2) members are ready";
        for line in ["partition:pause", "majority:no", "paused:yes", why] {
            assert!(told.lines().any(|found| found == line), "{line} in {told}");
        }
        let told = Desk::new().ask("INFO heirloom");
        assert!(["partition:serve", "majority:yes", "paused:no"].iter().all(|line| told.contains(line)), "{told}");
    }

    #[test]
    fn a_full_node_tells_what_it_holds_and_what_it_does() {
        let memory_max = SESSION_OVERHEAD + ATTRIBUTE_OVERHEAD + 3;
        let desk = Desk::with(Config { memory_max, ..Config::default() });
        let out_of_memory = format!("-{OUT_OF_MEMORY}");
        desk.table(&[
            ("SET a 123", "+OK"),
            ("SET b 1", &out_of_memory),
            ("SET a 1234", &out_of_memory),
            ("APPEND a 1", "-ERR unknown command 'APPEND', with args beginning with: 'a' '1' "),
            ("HSET h f 1", &out_of_memory),
            ("HINCRBY h f 1", &out_of_memory),
            ("SETNX b 1", &out_of_memory),
            ("SET a 321", "+OK"),
            ("GET a", "321"),
            ("EXPIRE a 100", ":1"),
            ("RENAME a b", "+OK"),
            ("DEL b", ":1"),
            ("SET c 1", "+OK"),
        ]);
        let lines = |desk: &Desk| desk.ask("INFO memory stats").lines().map(str::to_owned).collect::<Vec<_>>();
        let told = lines(&desk);
        for line in ["used_memory:625", "used_memory_human:625B", "maxmemory:627", "maxmemory_policy:noeviction"] {
            assert!(told.iter().any(|found| found == line), "{line} in {told:?}");
        }
        let desk = Desk::with(Config { memory_max, when_full: WhenFull::Evict, ..Config::default() });
        desk.table(&[("SET a 1", "+OK"), ("SET b 1", "+OK"), ("GET a", "(nil)"), ("GET b", "1")]);
        desk.table(&[("SET c 1234", &out_of_memory), ("SET b 123", "+OK")]);
        let told = lines(&desk);
        for line in ["used_memory:627", "maxmemory_policy:allkeys-lru", "expired_keys:0", "evicted_keys:1"] {
            assert!(told.iter().any(|found| found == line), "{line} in {told:?}");
        }
    }

    #[test]
    fn bytes_are_written_as_redis_writes_them() {
        for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1536, "1.50K"), (1 << 20, "1.00M"), (5 << 30, "5.00G")] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn a_section_is_asked_for_by_its_name() {
        let desk = Desk::new();
        let some = desk.ask("INFO SERVER replication");
        let headings: Vec<_> = some.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(headings, ["# Server", "# Replication"]);
        assert_eq!(desk.ask("INFO nosuch"), "");
        desk.table(&[("CLUSTER NODES", "-ERR This instance has cluster support disabled")]);
    }
}
