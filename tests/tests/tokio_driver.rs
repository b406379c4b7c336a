//! A driver for tokio, on nothing but the core: a member that it drives is one like any other.
//!
//! Whoever embeds the core in a runtime of their own may start from here or from `heirloom_core::embedding`.
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::{net::SocketAddr, time::Duration};
use std::{collections::BTreeMap, io, time::SystemTime};

use bytes::{Bytes, BytesMut};
use heirloom_core::{
    CloseCause, CommitId, Config, Delta, Durability, KeyMaker, MemberId, MemberState, Node, Outcome, SessionKey,
    StreamId, Time, Transmit, Wall,
};
use heirloom_tests::{Driven, LONG, Lab, Member, await_until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream, UdpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

/// What the tasks of the streams tell the one that has the node.
enum Arrived {
    Opened(StreamId, io::Result<TcpStream>),
    Bytes(StreamId, Bytes),
    /// What was given to be written was written; the writer comes back.
    Written(StreamId, OwnedWriteHalf),
    Closed(StreamId, CloseCause),
}

/// What an application asks.
enum Asked {
    Commit(SessionKey, Delta, Durability, oneshot::Sender<Outcome>),
    Peek(SessionKey, oneshot::Sender<Option<Bytes>>),
    SetPeers(Vec<SocketAddr>),
    ReadyOthers(oneshot::Sender<usize>),
}

struct Driver {
    node: Node,
    began: Instant,
    listener: TcpListener,
    datagrams: UdpSocket,
    /// The writers that are not at work.
    writers: BTreeMap<StreamId, OwnedWriteHalf>,
    commits: BTreeMap<CommitId, oneshot::Sender<Outcome>>,
    arrived: (mpsc::Sender<Arrived>, mpsc::Receiver<Arrived>),
}

impl Driver {
    async fn start(id: MemberId, config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let datagrams = UdpSocket::bind(listener.local_addr()?).await?;
        let node = Node::new(id, listener.local_addr()?, config, id.0, Time::ZERO).map_err(io::Error::other)?;
        let (writers, commits) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { node, began: Instant::now(), listener, datagrams, writers, commits, arrived: mpsc::channel(64) })
    }

    fn now(&self) -> Time {
        Time::ZERO + self.began.elapsed()
    }

    /// Turns until nobody asks any more.
    async fn run(mut self, mut asked: mpsc::Receiver<Asked>) {
        let mut buffer = vec![0; 65_536];
        loop {
            let due = self.node.poll_timeout().map_or(Duration::from_secs(1), |at| at.since(Time::ZERO));
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => self.answer(ask),
                    None => return,
                },
                Some(arrived) = self.arrived.1.recv() => self.take(arrived),
                Ok((length, from)) = self.datagrams.recv_from(&mut buffer) => {
                    let _noise = self.node.handle_datagram(self.now(), from, &buffer[..length]);
                }
                Ok((socket, from)) = self.listener.accept() => {
                    let stream = self.node.handle_accepted(self.now(), from);
                    self.insert(stream, socket);
                }
                () = sleep_until(self.began + due) => {}
            }
            let now = self.now();
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.node.handle_wall(now, Wall(u64::try_from(wall.as_micros()).unwrap()));
            if self.node.poll_timeout().is_some_and(|at| at <= now) {
                self.node.handle_timeout(now);
            }
            while let Some(transmit) = self.node.poll_transmit(now) {
                self.send(now, transmit);
            }
            while let Some((commit, outcome)) = self.node.poll_outcome() {
                // Whoever asked may have stopped waiting.
                let _unheard = self.commits.remove(&commit).map(|asker| asker.send(outcome));
            }
        }
    }

    fn take(&mut self, arrived: Arrived) {
        let now = self.now();
        match arrived {
            Arrived::Opened(stream, Ok(socket)) => {
                self.insert(stream, socket);
                self.node.handle_opened(now, stream);
            }
            Arrived::Opened(stream, Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.node.handle_closed(now, stream, CloseCause::Refused);
            }
            Arrived::Opened(stream, Err(_)) => self.node.handle_closed(now, stream, CloseCause::Broken),
            Arrived::Bytes(stream, bytes) => drop(self.node.handle_stream(now, stream, &bytes)),
            Arrived::Written(stream, writer) => {
                self.writers.insert(stream, writer);
                self.node.handle_writable(now, stream);
            }
            Arrived::Closed(stream, cause) => {
                self.writers.remove(&stream);
                self.node.handle_closed(now, stream, cause);
            }
        }
    }

    fn send(&mut self, now: Time, transmit: Transmit) {
        match transmit {
            Transmit::Datagram { to, bytes } => match self.datagrams.try_send_to(&bytes, to) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.node.handle_send_failed(now, to),
                _ => {}
            },
            Transmit::Multicast { .. } => {}
            Transmit::Open { stream, to } => {
                let arrived = self.arrived.0.clone();
                tokio::spawn(async move { arrived.send(Arrived::Opened(stream, TcpStream::connect(to).await)).await });
            }
            // Every write is one that blocks, until its task says that it is done.
            Transmit::Write { stream, bytes } => {
                self.node.handle_blocked(now, stream);
                let (arrived, writer) = (self.arrived.0.clone(), self.writers.remove(&stream));
                tokio::spawn(async move {
                    let Some(mut writer) = writer else { return };
                    // If it fails the reader finds out too, and tells.
                    if writer.write_all(&bytes).await.is_ok() {
                        let _gone = arrived.send(Arrived::Written(stream, writer)).await;
                    }
                });
            }
            Transmit::Close { stream } => drop(self.writers.remove(&stream)),
        }
    }

    fn insert(&mut self, stream: StreamId, socket: TcpStream) {
        let _slower = socket.set_nodelay(true);
        let (reader, writer) = socket.into_split();
        self.writers.insert(stream, writer);
        tokio::spawn(read(stream, reader, self.arrived.0.clone()));
    }

    fn answer(&mut self, asked: Asked) {
        let now = self.now();
        match asked {
            Asked::Commit(key, delta, durability, asker) => {
                let commit = self.node.commit(now, key, delta, durability).unwrap();
                self.commits.insert(commit, asker);
            }
            Asked::Peek(key, asker) => {
                let _unheard = asker.send(self.node.held(&key).and_then(|session| session.attribute(b"n").cloned()));
            }
            Asked::SetPeers(peers) => self.node.set_peers(now, peers),
            Asked::ReadyOthers(asker) => {
                let ready = self.node.members().filter(|member| member.state == MemberState::Ready).count();
                let _unheard = asker.send(if self.node.state() == MemberState::Ready { ready } else { 0 });
            }
        }
    }
}

/// Reads a stream to its end. The channel is bounded: who does not take what is read is not brought more.
async fn read(stream: StreamId, mut reader: OwnedReadHalf, arrived: mpsc::Sender<Arrived>) {
    let mut buffer = BytesMut::with_capacity(65_536);
    let cause = loop {
        buffer.reserve(4_096);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => break CloseCause::Closed,
            Ok(_) if arrived.send(Arrived::Bytes(stream, buffer.split().freeze())).await.is_err() => return,
            Ok(_) => {}
            Err(_) => break CloseCause::Broken,
        }
    };
    let _gone = arrived.send(Arrived::Closed(stream, cause)).await;
}

#[test]
fn members_of_three_runtimes_are_one_cluster() {
    let lab = Lab::default();
    let members =
        [Driven::ByThread, Driven::BySmol].map(|driven| lab.start_driven(driven, lab.settings(), lab.config()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let driver = Driver::start(MemberId(0x70_6b_69_6f), lab.config()).await.unwrap();
        let (id, address) = (driver.node.id(), driver.listener.local_addr().unwrap());
        let mut addresses: Vec<_> = members.iter().map(|member| member.handle.address()).collect();
        addresses.push(address);
        members.iter().for_each(|member| member.handle.set_peers(addresses.clone()));
        let (asks, asked) = mpsc::channel(8);
        let drives = tokio::spawn(driver.run(asked));
        asks.send(Asked::SetPeers(addresses)).await.unwrap_or_else(|_| panic!("the driver goes on"));
        while ask(&asks, Asked::ReadyOthers).await < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for member in &members {
            await_until(&member.handle, || {
                member.handle.members().iter().filter(|other| other.state == MemberState::Ready).count() == 2
            });
        }

        let key = KeyMaker::new(&lab.config().cluster_name).key(0, b"s");
        let delta = Delta::new().set("n", vec![7; 1_000_000]);
        let outcome = ask(&asks, |asker| Asked::Commit(key, delta, Durability::All, asker)).await;
        assert!(matches!(outcome, Outcome::Durable(receipt) if receipt.members.len() == 2));
        for member in &members {
            let seen = member.handle.peek(&key).unwrap();
            assert_eq!(seen.attribute(b"n"), Some(&Bytes::from(vec![7; 1_000_000])));
        }
        for member in &members {
            let delta = Delta::new().set("n", member.handle.id().0.to_string());
            let receipt = timeout(LONG, member.handle.commit(key, delta, Durability::All)).await.unwrap().unwrap();
            assert!(receipt.members.contains(&id), "{receipt:?}");
            let there = ask(&asks, |asker| Asked::Peek(key, asker)).await;
            assert_eq!(there, Some(Bytes::from(member.handle.id().0.to_string())));
        }
        drop(asks);
        drives.await.unwrap();
    });
    members.into_iter().for_each(Member::stop);
}

async fn ask<T>(asks: &mpsc::Sender<Asked>, asked: impl FnOnce(oneshot::Sender<T>) -> Asked) -> T {
    let (asker, answer) = oneshot::channel();
    asks.send(asked(asker)).await.unwrap_or_else(|_| panic!("the driver goes on"));
    timeout(LONG, answer).await.expect("it answers in time").unwrap()
}
