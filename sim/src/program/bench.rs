//! How fast the simulator is, with every oracle watching.

use core::time::Duration;
use std::{fs, time::Instant};

use clap::Args;
use heirloom_core::{Config, Durability};
use heirloom_sim::{
    Action, Ask, Discovery, HostId, Moment, Places, Setup, Sim, Trial, Violation, Weather, clients::key,
};
use serde_json::json;

use super::{Done, Refused, Status, batch::rate, source::Kind};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// One line of JSON.
    #[arg(long)]
    json: bool,
    /// So many virtual seconds of writes; of idleness, a hundred times as many.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// So many seeds of a swarm.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    #[command(flatten)]
    kind: Kind,
}

const MEMBERS: u16 = 5;
/// Each member takes a write that often: 20 a second.
const EVERY: Duration = Duration::from_millis(50);
const BYTES: usize = 256;
/// How many sessions the writes of one member go to.
const SESSIONS: u64 = 100;

/// What was measured of a stretch of virtual time.
struct Measured {
    events: u64,
    simulated: f64,
    seconds: f64,
}

impl Bench {
    pub(crate) fn perform(&self) -> Done {
        let wrong = |violation: Violation| Refused(violation.to_string());
        let busy = writes(Duration::from_secs(self.seconds)).map_err(wrong)?;
        let idle = idle(Duration::from_secs(self.seconds * 100)).map_err(wrong)?;
        let began = Cpu::now();
        for seed in 0..self.seeds {
            Trial::of(&self.kind.swarm().plan(seed)).result.map_err(wrong)?;
        }
        let seed_ms = began.passed() * 1000.0 / Duration::from_secs(self.seeds.max(1)).as_secs_f64();
        let events_per_s = rate(busy.events, busy.seconds);
        let virtual_per_s = (idle.simulated / idle.seconds.max(1e-9)).round();
        let peak = peak_kib();
        if self.json {
            let line = json!({
                "events_per_s": events_per_s,
                "busy_virtual_per_s": (busy.simulated / busy.seconds.max(1e-9)).round(),
                "idle_virtual_per_s": virtual_per_s,
                "seed_ms": seed_ms,
                "peak_kib": peak,
            });
            println!("{line}");
            return Ok(Status::Kept);
        }
        println!("processor time, every oracle watching:");
        println!(
            "  {MEMBERS} members, 20 writes of {BYTES} bytes a second and member: {events_per_s} events a second, {:.0} \
             virtual seconds a second",
            busy.simulated / busy.seconds.max(1e-9)
        );
        println!("  {MEMBERS} idle members: {virtual_per_s:.0} virtual seconds a second");
        println!("  a seed of a swarm: {seed_ms:.1} ms");
        if let Some(peak) = peak {
            println!("  most memory at any time: {} MiB", peak / 1024);
        }
        Ok(Status::Kept)
    }
}

fn cluster() -> Result<Sim, Violation> {
    let config = Config { idle: Duration::from_secs(60), ended_for: Duration::from_secs(60), ..Config::default() };
    let (discovery, places) = (Discovery::Group, Places::Alike);
    let weather = Weather::calm();
    let own = std::collections::BTreeMap::new();
    let mut sim = Sim::new(Setup { seed: 1, hosts: MEMBERS, config, own, weather, discovery, places, is_plain: true });
    for host in (0..MEMBERS).map(HostId) {
        sim.act(Action::Start(host))?;
    }
    sim.run_until(Moment::ZERO + Duration::from_secs(10))?;
    Ok(sim)
}

fn writes(length: Duration) -> Result<Measured, Violation> {
    let mut sim = cluster()?;
    let (from, before, began) = (sim.now(), sim.cluster().counts().inputs, Cpu::now());
    let mut round = 0;
    while sim.now() < from + length {
        for host in 0..MEMBERS {
            let session = key(u64::from(host) * SESSIONS + round % SESSIONS);
            let ask = Ask { bytes: BYTES, ..Ask::set(session, 0, Durability::One) };
            sim.act(Action::Commit(HostId(host), ask))?;
        }
        round += 1;
        sim.run_until(sim.now() + EVERY)?;
    }
    Ok(measured(&sim, from, before, &began))
}

fn idle(length: Duration) -> Result<Measured, Violation> {
    let mut sim = cluster()?;
    let (from, before, began) = (sim.now(), sim.cluster().counts().inputs, Cpu::now());
    sim.run_until(from + length)?;
    Ok(measured(&sim, from, before, &began))
}

fn measured(sim: &Sim, from: Moment, before: u64, began: &Cpu) -> Measured {
    let (events, simulated) = (sim.cluster().counts().inputs - before, sim.now().since(from).as_secs_f64());
    Measured { events, simulated, seconds: began.passed() }
}

/// The processor time of this thread where the system tells it, else the time on the wall.
enum Cpu {
    Nanos(u64),
    Wall(Instant),
}

impl Cpu {
    fn now() -> Self {
        cpu_nanos().map_or_else(|| Self::Wall(Instant::now()), Self::Nanos)
    }

    fn passed(&self) -> f64 {
        match self {
            Self::Nanos(began) => {
                Duration::from_nanos(cpu_nanos().unwrap_or(*began).saturating_sub(*began)).as_secs_f64()
            }
            Self::Wall(began) => began.elapsed().as_secs_f64(),
        }
    }
}

fn cpu_nanos() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
