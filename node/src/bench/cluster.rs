//! The nodes that are measured: processes of their own, nodes that run already, or nodes in this process.

use core::net::{Ipv4Addr, SocketAddr};
use std::{
    io, thread,
    time::{Duration, Instant},
};

use heirloom_core::{Config, Copies, Durability, MemberState, Unit};
use heirloom_runtime::{Handle, Settings};

use super::{Front, Plan, events::View, line::Line, processor};
use crate::local::{
    Failed,
    children::Children,
    client::{Client, Reply},
    member::{Member, Starting},
    network::{Network, random},
    watch,
};

/// How long members may take to see each other.
const SEE_FOR: Duration = Duration::from_secs(30);
/// How long to wait before looking again.
const AGAIN: Duration = Duration::from_millis(1);

/// The nodes; the callers write through the first one.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) sites: Vec<Site>,
    /// Those that this process has started end with it.
    _children: Option<Children>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Redis { address: SocketAddr, process: Option<u32> },
    Handle { handle: Handle, durability: Durability },
}

/// What a node tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) wire_bytes: u64,
    pub(super) registers: u64,
    pub(super) view: View,
    /// Whether every other member has acknowledged all that it should have.
    pub(super) caught_up: bool,
}

/// Looks at a node again and again.
#[derive(Debug)]
pub(super) enum Scout<'a> {
    Redis(Client),
    Handle(&'a Handle),
}

impl Cluster {
    /// The nodes of a plan, which all see each other.
    ///
    /// # Errors
    ///
    /// When one cannot be started or reached.
    pub(super) fn start(plan: &Plan) -> Result<Self, Failed> {
        match plan.front {
            Front::Redis if plan.at.is_empty() => Self::processes(plan),
            Front::Redis => Self::running(&plan.at),
            Front::Handle => Self::inside(plan.nodes, plan.copies, plan.durability.durability, Unit::Delta),
        }
    }

    fn processes(plan: &Plan) -> Result<Self, Failed> {
        let children = Children::new().map_err(|error| Failed(format!("cannot take signals: {error}")))?;
        let cluster = format!("bench-{:08x}", random() >> 32);
        let (network, _) = Network::find(plan.nodes.into())
            .map_err(|error| Failed(format!("there are not enough free ports on 127.0.0.1: {error}")))?;
        let start = |node: usize| {
            let named = [("cluster-name", &cluster), ("durability", &plan.durability.text)];
            let mut flags: Vec<_> =
                named.iter().flat_map(|(name, text)| [format!("--{name}"), (*text).clone()]).collect();
            flags.extend(["--copies".into(), plan.copies.to_string()]);
            flags.extend(network.flags(node));
            Starting::new(&children, &name(node), &flags)
        };
        let starting: Vec<_> = (0..plan.nodes.into()).map(start).collect::<Result<_, _>>()?;
        let ready = starting.into_iter().map(|starting| starting.wait(&children));
        let members: Vec<Member> = ready.collect::<Result<_, _>>()?;
        let all: Vec<_> = members.iter().collect();
        watch::wait(&all, Instant::now() + SEE_FOR, |me, view| {
            view.all_ready && view.lists(members.iter().filter(|other| other.id != me.id))
        })?;
        let site = |member: Member| {
            let process = Some(children.pid(member.child));
            Site { name: member.name, way: Way::Redis { address: member.listen, process } }
        };
        Ok(Self { sites: members.into_iter().map(site).collect(), _children: Some(children) })
    }

    fn running(at: &[SocketAddr]) -> Result<Self, Failed> {
        let sites = at.iter().map(|address| Site::running(*address)).collect::<Result<_, _>>()?;
        Ok(Self { sites, _children: None })
    }

    /// So many nodes in this process, on loopback.
    ///
    /// # Errors
    ///
    /// When one cannot be started, or they do not see each other.
    pub(super) fn inside(nodes: u8, copies: Copies, durability: Durability, unit: Unit) -> Result<Self, Failed> {
        let cluster_name = format!("bench-{:08x}", random() >> 32);
        let start = |node: usize| {
            let name = name(node);
            let settings = Settings { bind: (Ipv4Addr::LOCALHOST, 0).into(), multicast: None, ..Settings::default() };
            let cluster_name = cluster_name.clone();
            let config = Config { cluster_name, name: name.clone(), copies, unit, ..Config::default() };
            let failed = |error| Failed(format!("cannot start node {name}: {error}"));
            // It ends when the last handle is dropped.
            let (handle, _thread) = heirloom_std::spawn(settings, config).map_err(failed)?;
            Ok(Site { name, way: Way::Handle { handle, durability } })
        };
        let sites: Vec<Site> = (0..nodes.into()).map(start).collect::<Result<_, Failed>>()?;
        let handles: Vec<&Handle> = sites.iter().filter_map(Site::handle).collect();
        let addresses: Vec<SocketAddr> = handles.iter().map(|handle| handle.address()).collect();
        for handle in &handles {
            handle.set_peers(addresses.iter().copied().filter(|address| *address != handle.address()).collect());
        }
        let until = Instant::now() + SEE_FOR;
        let sees_all = |handle: &Handle| {
            let members = handle.members();
            handle.state() == MemberState::Ready
                && members.len() + 1 == handles.len()
                && members.iter().all(|member| member.state == MemberState::Ready)
        };
        if handles.len() == 1 {
            handles.iter().for_each(|handle| handle.start_alone());
        }
        while !handles.iter().all(|handle| sees_all(handle)) {
            if until < Instant::now() {
                return Err(Failed("the nodes do not see each other".into()));
            }
            thread::sleep(AGAIN);
        }
        Ok(Self { sites, _children: None })
    }

    /// The node that the callers write through.
    pub(super) fn writer(&self) -> &Site {
        &self.sites[0]
    }

    /// The others.
    pub(super) fn copies(&self) -> &[Site] {
        &self.sites[1..]
    }

    /// What each node has used of the processors so far.
    pub(super) fn processor(&self) -> Vec<Option<Duration>> {
        let mut used: Vec<_> = self.sites.iter().map(Site::processor).collect();
        if let Some(Way::Handle { .. }) = self.sites.first().map(|site| &site.way) {
            // The callers work in the node that they write through.
            let others = used[1..].iter().flatten().sum();
            used[0] = Some(processor::of_this().saturating_sub(others));
        }
        used
    }
}

impl Site {
    /// A node that runs already, of this version.
    fn running(address: SocketAddr) -> Result<Self, Failed> {
        let unreachable = |error: io::Error| Failed(format!("node {address} cannot be reached: {error}"));
        let mut client = Client::connect(address).map_err(unreachable)?;
        let reply = client.ask(&[b"INFO"]).map_err(unreachable)?;
        let Reply::Bulk(info) = reply else { return Err(Failed(reply.unexpected("INFO").to_string())) };
        let info = String::from_utf8_lossy(&info);
        let ours = env!("CARGO_PKG_VERSION");
        match value(&info, "heirloom_version") {
            Some(theirs) if theirs == ours => {}
            Some(theirs) => return Err(Failed(format!("node {address} has version {theirs}, and this is {ours}"))),
            None => return Err(Failed(format!("what answers at {address} is no node of heirloom"))),
        }
        let process = value(&info, "process_id").and_then(|process| process.parse().ok());
        let process = process.filter(|_| address.ip().is_loopback());
        Ok(Self { name: value(&info, "name").unwrap_or_default().into(), way: Way::Redis { address, process } })
    }

    /// A way to it.
    ///
    /// # Errors
    ///
    /// When it lets nobody in.
    pub(super) fn line(&self) -> Result<Line, Failed> {
        match &self.way {
            Way::Redis { address, .. } => {
                Client::connect(*address).map(Line::Redis).map_err(|error| self.broken(&error))
            }
            Way::Handle { handle, durability } => {
                Ok(Line::Handle { handle: handle.clone(), durability: *durability, asked: Default::default() })
            }
        }
    }

    /// The handle of a node in this process.
    pub(super) fn handle(&self) -> Option<&Handle> {
        match &self.way {
            Way::Handle { handle, .. } => Some(handle),
            Way::Redis { .. } => None,
        }
    }

    /// That it does not answer as it should.
    pub(super) fn broken(&self, error: &io::Error) -> Failed {
        Failed(format!("node {} breaks off: {error}", self.name))
    }

    /// Looks at it once.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(super) fn look(&self) -> io::Result<State> {
        self.scout()?.look()
    }

    /// Looks at it, with one connection.
    ///
    /// # Errors
    ///
    /// When it lets nobody in.
    pub(super) fn scout(&self) -> io::Result<Scout<'_>> {
        match &self.way {
            Way::Redis { address, .. } => Client::connect(*address).map(Scout::Redis),
            Way::Handle { handle, .. } => Ok(Scout::Handle(handle)),
        }
    }

    fn processor(&self) -> Option<Duration> {
        match &self.way {
            Way::Redis { process, .. } => processor::of_process((*process)?),
            // As its driver's thread is called.
            Way::Handle { handle, .. } => processor::of_threads(&format!("heirloom {}", handle.address().port())),
        }
    }
}

impl Scout<'_> {
    /// What the node tells now.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub(super) fn look(&mut self) -> io::Result<State> {
        match self {
            Self::Redis(client) => {
                let reply = client.ask(&[b"INFO", b"heirloom"])?;
                let Reply::Bulk(info) = reply else { return Err(reply.unexpected("INFO")) };
                Ok(State::parse(&String::from_utf8_lossy(&info)))
            }
            Self::Handle(handle) => {
                let (stats, members) = (handle.stats(), handle.members());
                let lag = members.iter().filter_map(|member| handle.lag(member.id)).max();
                let state = |member: &heirloom_core::Member| match (member.suspect, member.state) {
                    (true, _) => "suspect",
                    (false, MemberState::Joining) => "joining",
                    (false, MemberState::Ready) => "ready",
                    (false, MemberState::Leaving) => "leaving",
                };
                Ok(State {
                    wire_bytes: stats.stream_bytes_sent,
                    registers: stats.registers_sent,
                    view: members.iter().map(|member| (member.name.clone(), state(member).into())).collect(),
                    caught_up: lag.is_none_or(|lag| lag.is_zero()),
                })
            }
        }
    }
}

impl State {
    fn parse(info: &str) -> Self {
        let number = |key| value(info, key).and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut state = Self {
            wire_bytes: number("stream_bytes_sent"),
            registers: number("registers_sent"),
            caught_up: true,
            ..Self::default()
        };
        for (key, member) in info.lines().filter_map(|line| line.split_once(':')) {
            if key.strip_prefix("member").is_some_and(|at| at.parse::<usize>().is_ok()) {
                let word = |key: &str| member.split(',').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
                let is_suspect = word("suspect") == Some("yes");
                let shown = if is_suspect { "suspect" } else { word("state").unwrap_or_default() };
                state.view.insert(word("name").unwrap_or_default().into(), shown.into());
                state.caught_up &= word("lag_ms").is_none_or(|lag| lag == "0");
            }
        }
        state
    }
}

fn value<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
}

fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_is_read() {
        let info = "name:n1\r\nmember0:id=1,name=n2,address=x,state=ready,suspect=no,lag_ms=0\r\n\
                    member1:id=2,name=n3,address=y,state=ready,suspect=yes,lag_ms=3\r\n\
                    registers_sent:5\r\nstream_bytes_sent:700\r\n";
        let view = [("n2", "ready"), ("n3", "suspect")].map(|(name, state)| (name.into(), state.into()));
        let told = State { wire_bytes: 700, registers: 5, view: view.into(), caught_up: false };
        assert_eq!(State::parse(info), told);
    }

    #[test]
    fn nodes_in_this_process_see_each_other_and_count_what_they_send() {
        let cluster = Cluster::inside(2, Copies::Everywhere, Durability::One, Unit::Delta).unwrap();
        let mut line = cluster.writer().line().unwrap();
        let place = super::super::line::Place { session: 1, attribute: None };
        let value = [7; 100];
        let written = line.ask(|line| line.write(place, &value)).unwrap();
        assert_eq!(written, super::super::line::Answer::Written);
        let state = cluster.writer().look().unwrap();
        assert_eq!((state.registers, state.view.len(), state.caught_up), (1, 1, true));
        assert!(100 < state.wire_bytes);
        assert!(cluster.copies()[0].line().unwrap().holds(place).unwrap());
    }
}
