//! What the tests over real sockets share: a cluster on loopback that nobody else is in.

use core::{
    fmt::Debug,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    net::UdpSocket,
    sync::Arc,
    task::Wake,
    thread::{self, JoinHandle, Thread},
    time::Instant,
};

use heirloom_core::{Config, Event, MemberState};
use heirloom_runtime::{DriverStats, Handle, Poller, Settings};
use heirloom_std::Driver;

/// Longer than anything takes, even on a machine that is busy with something else.
pub const LONG: Duration = Duration::from_secs(60);

/// A cluster with a name and a group of its own.
#[derive(Clone, Debug)]
pub struct Lab {
    name: String,
    group: SocketAddr,
}

impl Default for Lab {
    fn default() -> Self {
        let number = RandomState::new().build_hasher().finish();
        // A port that nobody has now; others that test at the same time have other names too.
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_or(45564, |at| at.port());
        let group = SocketAddr::from((Ipv4Addr::new(239, 255, 77, number.to_le_bytes()[0]), port));
        Self { name: format!("lab {number:016x}"), group }
    }
}

impl Lab {
    /// The group that members send their signs of life to.
    pub fn group(&self) -> SocketAddr {
        self.group
    }

    /// Any free port of loopback, without the group.
    pub fn settings(&self) -> Settings {
        Settings { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), multicast: None, ..Settings::default() }
    }

    /// The same with the group.
    pub fn settings_with_group(&self) -> Settings {
        Settings { multicast: Some(self.group), ..self.settings() }
    }

    /// As by default, but quicker.
    pub fn config(&self) -> Config {
        Config {
            cluster_name: self.name.clone(),
            frequency: Duration::from_millis(100),
            drop_time: Duration::from_secs(2),
            probe_time: Duration::from_secs(1),
            join_for: Duration::from_secs(1),
            ..Config::default()
        }
    }

    /// Whether this machine lets a process speak to a group on loopback; says so if not.
    pub fn has_group(&self) -> bool {
        let heard = (|| -> io::Result<()> {
            let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            let Ok(Ipv4Group(group)) = Ipv4Group::try_from(self.group) else { return Ok(()) };
            receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
            receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
            let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            sender.send_to(b"?", (group, receiver.local_addr()?.port()))?;
            receiver.recv(&mut [0; 8]).map(drop)
        })();
        if let Err(error) = &heard {
            println!("no multicast on loopback here: {error}");
        }
        heard.is_ok()
    }

    /// Starts a member with a thread of its own.
    ///
    /// # Panics
    ///
    /// If it cannot start.
    pub fn start(&self, settings: Settings, config: Config) -> Member {
        self.start_driven(Driven::ByThread, settings, config)
    }

    /// Starts a member.
    ///
    /// # Panics
    ///
    /// If it cannot start.
    pub fn start_driven(&self, driven: Driven, settings: Settings, config: Config) -> Member {
        let (handle, thread) = match driven {
            Driven::ByThread => heirloom_std::spawn(settings, config).expect("a member can start on loopback"),
            Driven::BySmol => {
                let poller = Arc::new(Poller::new().expect("there is room for a poller"));
                let (driver, handle) =
                    heirloom_smol::Driver::new(settings, config, poller).expect("a member can start on loopback");
                (handle, thread::spawn(|| smol::block_on(driver.run())))
            }
        };
        Member { handle, thread }
    }

    /// Starts members that know each other's addresses, and waits until all of them are ready.
    ///
    /// # Panics
    ///
    /// If they cannot start.
    pub fn start_known(&self, count: usize) -> Vec<Member> {
        let members: Vec<_> = (0..count).map(|_| self.start(self.settings(), self.config())).collect();
        introduce(&members);
        for member in &members {
            member.await_ready(count - 1);
        }
        members
    }
}

/// What drives a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driven {
    /// The driver for threads.
    ByThread,
    /// The driver for smol, on a thread of its own.
    BySmol,
}

struct Ipv4Group(Ipv4Addr);

impl TryFrom<SocketAddr> for Ipv4Group {
    type Error = ();

    fn try_from(address: SocketAddr) -> Result<Self, ()> {
        match address {
            SocketAddr::V4(v4) => Ok(Self(*v4.ip())),
            SocketAddr::V6(_) => Err(()),
        }
    }
}

/// A running member.
#[derive(Debug)]
pub struct Member {
    /// The way to it.
    pub handle: Handle,
    /// Ends when it has left or its handles are dropped.
    pub thread: JoinHandle<io::Result<()>>,
}

impl Member {
    /// Waits until it is ready and lists so many others, all of them ready. Answers the events up to then.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn await_ready(&self, others: usize) -> Vec<Event> {
        await_until(&self.handle, || {
            let members = self.handle.members();
            self.handle.state() == MemberState::Ready
                && members.len() == others
                && members.iter().all(|member| member.state == MemberState::Ready)
        })
    }

    /// Drops the handle and waits until the thread has ended.
    ///
    /// # Panics
    ///
    /// If the driver has failed.
    pub fn stop(self) {
        drop(self.handle);
        self.thread.join().expect("the driver does not panic").expect("the driver does not fail");
    }
}

/// Tells each member the addresses of all others.
pub fn introduce(members: &[Member]) {
    for member in members {
        let others = members.iter().map(|other| other.handle.address());
        member.handle.set_peers(others.filter(|&address| address != member.handle.address()).collect());
    }
}

/// Reads events until something holds, and answers them. What it is must come with an event.
///
/// # Panics
///
/// If that takes too long.
pub fn await_until(handle: &Handle, mut holds: impl FnMut() -> bool) -> Vec<Event> {
    let until = Instant::now() + LONG;
    let mut events = Vec::new();
    while !holds() {
        let left = until.saturating_duration_since(Instant::now());
        match handle.next_event().wait_for(left) {
            Some(Some(event)) => events.push(event),
            ended => {
                let (id, members, now) = (handle.id(), handle.members(), holds());
                panic!("{ended:?} after {events:?} at {id}; members {members:?}; what is awaited holds by now: {now}")
            }
        }
    }
    events
}

/// Reads events until one that is looked for, and answers them all.
///
/// # Panics
///
/// If that takes too long.
pub fn await_event(handle: &Handle, mut is_it: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let until = Instant::now() + LONG;
    let mut events = Vec::new();
    while !events.last().is_some_and(&mut is_it) {
        let left = until.saturating_duration_since(Instant::now());
        match handle.next_event().wait_for(left) {
            Some(Some(event)) => events.push(event),
            ended => panic!("{ended:?} after {events:?} at {}", handle.id()),
        }
    }
    events
}

/// Waits until the counters of a driver are so.
///
/// # Panics
///
/// When that takes long.
pub fn await_stats(handle: &Handle, mut holds: impl FnMut(DriverStats) -> bool) {
    await_seen(|| handle.driver_stats(), |stats| holds(*stats));
}

/// Waits until something is so that comes with no event: it is looked at again and again.
///
/// # Panics
///
/// When that takes long.
pub fn await_seen<T: Debug>(mut look: impl FnMut() -> T, mut holds: impl FnMut(&T) -> bool) {
    let until = Instant::now() + LONG;
    loop {
        let seen = look();
        if holds(&seen) {
            return;
        }
        assert!(Instant::now() < until, "{seen:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Drives a node on this thread until something holds.
///
/// # Panics
///
/// If that takes too long, or the driver fails.
pub fn turn_until(driver: &mut Driver, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    let mut ready = Vec::new();
    while !holds() {
        assert!(Instant::now() < until, "it takes too long");
        // What is waited for may happen on the other member, which wakes nobody here.
        let timeout = driver.timeout().map(|timeout| timeout.min(Duration::from_millis(20)));
        driver.poller().wait(&mut ready, timeout).expect("the driver goes on");
        driver.turn(&ready).expect("the driver goes on");
    }
}

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The examples of the README, compiled and run as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
