//! Those that race, each as a cluster of so many members, and the way of a caller to it.

use std::{collections::VecDeque, io, net::SocketAddr, thread, time::Duration};

use bytes::Bytes;
use heirloom_benches::attribute;
use heirloom_core::Durability;
use heirloom_runtime::{Commit, Handle};
use heirloom_tests::{Lab, Member, introduce};

use crate::{
    processes::{self, Process, free},
    resp::{Client, Reply},
};

/// Who races.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The library: all members in this process.
    Library,
    /// Nodes as processes, in Redis' protocol.
    Node,
    /// One server of Redis: no copy at all.
    RedisAlone,
    /// A server with replicas; a write that needs copies is followed by `WAIT`.
    RedisReplica,
}

/// How many copies a write needs before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    None,
    One,
    All,
}

/// Members that are ready.
#[derive(Debug)]
pub(crate) enum Cluster {
    Library { members: Vec<Member>, copies: Copies },
    Nodes { nodes: Vec<Process>, binds: Vec<SocketAddr>, name: String },
    Redis { servers: Vec<Process>, wait: usize },
}

/// The way to the member that is written through.
#[derive(Debug)]
pub(crate) enum Caller {
    Library { handle: Handle, durability: Durability, asked: VecDeque<Option<Commit>> },
    Redis { client: Client, wait: usize },
}

/// Those that are installed, and how to get the others.
pub(crate) fn contestants() -> (Vec<Contestant>, Vec<String>) {
    let mut all = vec![Contestant::Library, Contestant::Node];
    let mut absent = Vec::new();
    if processes::version("redis-server").is_some() {
        all.extend([Contestant::RedisAlone, Contestant::RedisReplica]);
    } else {
        absent.push("Redis is left out: apt-get install redis-server".into());
    }
    (all, absent)
}

impl Copies {
    /// Of so many members.
    fn count(self, members: usize) -> usize {
        match self {
            Self::None => 0,
            Self::One => 1.min(members - 1),
            Self::All => members - 1,
        }
    }
}

impl Cluster {
    /// Starts so many members and waits until they are ready.
    pub(crate) fn start(contestant: Contestant, members: usize, copies: Copies) -> io::Result<Self> {
        match contestant {
            Contestant::Library => {
                let lab = Lab::default();
                let members: Vec<_> = (0..members).map(|_| lab.start(lab.settings(), lab.config())).collect();
                introduce(&members);
                members.iter().for_each(|member| drop(member.await_ready(members.len() - 1)));
                Ok(Self::Library { members, copies })
            }
            Contestant::Node => {
                let name = format!("race-{}-{}", std::process::id(), free()?.port());
                // More than at first, for those that join.
                let binds: Vec<SocketAddr> = (0..=members).map(|_| free()).collect::<io::Result<_>>()?;
                let mut cluster = Self::Nodes { nodes: Vec::new(), binds, name };
                for _ in 0..members {
                    cluster.add(copies)?;
                }
                let Self::Nodes { nodes, .. } = &cluster else { return Ok(cluster) };
                let others = (members - 1).to_string();
                for node in nodes {
                    node.await_info("heirloom", "state", |state| state == "ready")?;
                    node.await_info("heirloom", "members", |count| count == others)?;
                }
                Ok(cluster)
            }
            Contestant::RedisAlone | Contestant::RedisReplica => {
                let master = Process::redis(None)?;
                master.await_info("server", "redis_version", |_| true)?;
                let mut cluster = Self::Redis { servers: vec![master], wait: copies.count(members) };
                for _ in 1..members {
                    cluster.add(copies)?;
                }
                if let Self::Redis { servers, .. } = &cluster {
                    for replica in &servers[1..] {
                        replica.await_info("replication", "master_link_status", |status| status == "up")?;
                    }
                }
                Ok(cluster)
            }
        }
    }

    /// Starts one more, and waits for nothing.
    pub(crate) fn add(&mut self, copies: Copies) -> io::Result<()> {
        match self {
            Self::Library { .. } => return Err(io::Error::other("members of this process are started together")),
            Self::Nodes { nodes, binds, name } => {
                let durability = match copies {
                    Copies::None => Some("local"),
                    // By default a write needs one copy as long as there is another member.
                    Copies::One => None,
                    Copies::All => Some("all"),
                };
                nodes.push(Process::node(binds[nodes.len()], binds, name, durability)?);
            }
            Self::Redis { servers, .. } => {
                let master = servers[0].address;
                servers.push(Process::redis(Some(master))?);
            }
        }
        Ok(())
    }

    /// Its processes, the one that is written through first.
    pub(crate) fn processes(&mut self) -> &mut [Process] {
        match self {
            Self::Library { .. } => &mut [],
            Self::Nodes { nodes, .. } => nodes,
            Self::Redis { servers, .. } => servers,
        }
    }

    /// A way to the first member.
    pub(crate) fn caller(&self) -> io::Result<Caller> {
        match self {
            Self::Library { members, copies } => {
                let durability = match copies {
                    Copies::None => Durability::Local,
                    Copies::One => Durability::One,
                    Copies::All => Durability::All,
                };
                Ok(Caller::Library { handle: members[0].handle.clone(), durability, asked: VecDeque::new() })
            }
            Self::Nodes { nodes, .. } => Ok(Caller::Redis { client: Client::connect(nodes[0].address)?, wait: 0 }),
            Self::Redis { servers, wait } => {
                Ok(Caller::Redis { client: Client::connect(servers[0].address)?, wait: *wait })
            }
        }
    }

    /// Waits until the copies have everything.
    pub(crate) fn await_applied(&self) -> io::Result<()> {
        match self {
            Self::Library { members, .. } => {
                let handle = &members[0].handle;
                let lags =
                    || members[1..].iter().any(|other| handle.lag(other.handle.id()).is_some_and(|lag| !lag.is_zero()));
                while lags() {
                    thread::sleep(Duration::from_micros(200));
                }
                Ok(())
            }
            Self::Nodes { nodes, .. } => {
                let mut client = Client::connect(nodes[0].address)?;
                loop {
                    let Reply::Bulk(info) = client.ask(&[b"INFO", b"heirloom"])? else { continue };
                    let info = String::from_utf8_lossy(&info);
                    let mut lags =
                        info.split(',').filter_map(|word| word.strip_prefix("lag_ms=")).map(|lag| lag.lines().next());
                    if lags.all(|lag| lag == Some("0")) {
                        return Ok(());
                    }
                    thread::sleep(Duration::from_micros(200));
                }
            }
            Self::Redis { servers, .. } => {
                let mut client = Client::connect(servers[0].address)?;
                let replicas = (servers.len() - 1).to_string();
                // It waits for what this very connection has written.
                client.ask(&[b"SET", b"last", b"last"])?;
                client.ask(&[b"WAIT", replicas.as_bytes(), b"0"]).map(drop)
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Self::Library { members, .. } = self {
            members.drain(..).for_each(Member::stop);
        }
    }
}

impl Caller {
    /// Asks for a write.
    pub(crate) fn write(&mut self, session: u32, value: &[u8]) {
        match self {
            Self::Library { handle, durability, asked } => {
                let key = handle.key(0, &session.to_le_bytes()).expect("the id is short");
                asked.push_back(Some(handle.commit(key, attribute(Bytes::copy_from_slice(value)), *durability)));
            }
            Self::Redis { client, wait } => {
                client.push(&[b"SET", id(session).as_bytes(), value]);
                if 0 < *wait {
                    client.push(&[b"WAIT", wait.to_string().as_bytes(), b"0"]);
                }
            }
        }
    }

    /// Asks for a read.
    pub(crate) fn read(&mut self, session: u32) {
        match self {
            Self::Library { handle, asked, .. } => {
                let key = handle.key(0, &session.to_le_bytes()).expect("the id is short");
                assert!(handle.session(&key).is_some(), "it was written");
                asked.push_back(None);
            }
            Self::Redis { client, .. } => client.push(&[b"GET", id(session).as_bytes()]),
        }
    }

    /// Sends what was asked.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        match self {
            Self::Library { .. } => Ok(()),
            Self::Redis { client, .. } => client.send(),
        }
    }

    /// Waits for the answer to the oldest write.
    pub(crate) fn written(&mut self) -> io::Result<()> {
        match self {
            Self::Library { asked, .. } => match asked.pop_front() {
                Some(Some(commit)) => commit.wait().map(drop).map_err(io::Error::other),
                Some(None) | None => Ok(()),
            },
            Self::Redis { client, wait } => {
                good(client.reply()?)?;
                if *wait == 0 {
                    return Ok(());
                }
                let reply = client.reply()?;
                let copies = if let Reply::Integer(copies) = reply { usize::try_from(copies).unwrap_or(0) } else { 0 };
                if copies < *wait {
                    return Err(io::Error::other(format!("WAIT was answered with {reply:?}")));
                }
                Ok(())
            }
        }
    }

    /// Waits for the answer to the oldest read.
    pub(crate) fn was_read(&mut self) -> io::Result<()> {
        match self {
            Self::Library { asked, .. } => {
                asked.pop_front();
                Ok(())
            }
            Self::Redis { client, .. } => good(client.reply()?),
        }
    }
}

/// How a session is called in Redis' protocol.
pub(crate) fn id(session: u32) -> String {
    format!("race:{session}")
}

fn good(reply: Reply) -> io::Result<()> {
    match reply {
        Reply::Simple | Reply::Bulk(_) => Ok(()),
        Reply::Error(_) | Reply::Integer(_) | Reply::Null => Err(io::Error::other(format!("{reply:?}"))),
    }
}
