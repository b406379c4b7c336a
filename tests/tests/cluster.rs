//! Members that find each other over real sockets.
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    collections::BTreeSet,
    io,
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use heirloom_core::{Config, Delta, Durability, Event, MemberId, Node, ReadyCause, Time, Transmit};
use heirloom_runtime::Settings;
use heirloom_tests::{LONG, Lab, Member, await_event, await_until, introduce};

#[test]
fn ten_members_that_start_together_see_nine_others_and_one_was_first() {
    let lab = Lab::default();
    let group = lab.has_group();
    let settings = || if group { lab.settings_with_group() } else { lab.settings() };
    let members: Vec<_> = (0..10).map(|_| lab.start(settings(), lab.config())).collect();
    if !group {
        introduce(&members);
    }
    let ids: BTreeSet<_> = members.iter().map(|member| member.handle.id()).collect();
    let mut first = 0;
    for member in &members {
        let mut events = member.await_ready(9);
        events.extend(core::iter::from_fn(|| member.handle.next_event().try_now()));
        let was_first = events.contains(&Event::Ready(ReadyCause::FirstMember));
        assert!(was_first || events.contains(&Event::Ready(ReadyCause::Joined)), "{events:?}");
        first += usize::from(was_first);
        assert!(!events.iter().any(|event| matches!(event, Event::MemberRemoved(..))), "nobody was lost: {events:?}");
        let mut seen: BTreeSet<_> = member.handle.members().iter().map(|other| other.id).collect();
        assert!(seen.insert(member.handle.id()), "a member does not list itself");
        assert_eq!(seen, ids);
    }
    assert_eq!(first, 1);
    for member in members {
        assert_eq!(member.handle.driver_stats().frame_errors.total(), 0);
        member.stop();
    }
}

/// A sign of life says that something sends, not that it answers.
#[test]
fn a_member_that_announces_itself_but_does_not_answer_is_never_listed() {
    let lab = Lab::default();
    let a = lab.start(lab.settings(), lab.config());
    await_until(&a.handle, || a.handle.members().is_empty() && a.handle.state() == heirloom_core::MemberState::Ready);
    // One where nobody listens, and one where the kernel accepts but nobody is behind.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let deaf = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let announcers = [(MemberId(1), closed), (MemberId(2), deaf.local_addr().unwrap())];
    thread::scope(|scope| {
        for (id, address) in announcers {
            let (config, to) = (lab.config(), a.handle.address());
            scope.spawn(move || announce(id, address, config, to));
        }
        let until = Instant::now() + ANNOUNCED_FOR;
        while Instant::now() < until {
            let event = a.handle.next_event().wait_for(Duration::from_millis(50));
            assert!(matches!(event, None | Some(Some(Event::Ready(_)))), "{event:?}");
            assert_eq!(a.handle.members(), []);
        }
    });
    assert!(10 < a.handle.driver_stats().datagrams_received, "its beats have arrived");
    a.stop();
}

/// The beats of one go to an address behind which they are lost; its answers to probes go straight back.
#[test]
fn a_member_whose_beats_are_lost_but_which_answers_stays() {
    let lab = Lab::default();
    let quick = || Config { drop_time: Duration::from_millis(500), ..lab.config() };
    let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let front = streams.local_addr().unwrap();
    let datagrams = UdpSocket::bind(front).unwrap();
    let a = lab.start(Settings { advertise: Some(front), ..lab.settings() }, quick());
    let b = lab.start(lab.settings(), quick());
    let behind = a.handle.address();
    let lossy = Arc::new(AtomicBool::new(false));
    thread::spawn(move || forward_streams(&streams, behind));
    {
        let lossy = Arc::clone(&lossy);
        thread::spawn(move || forward_datagrams(&datagrams, behind, &lossy));
    }
    a.handle.set_peers(vec![b.handle.address()]);
    b.handle.set_peers(vec![front]);
    a.await_ready(1);
    b.await_ready(1);
    lossy.store(true, Ordering::SeqCst);
    let mut cleared = 0;
    while cleared < 3 {
        let event = a.handle.next_event().wait_for(LONG);
        cleared += usize::from(event == Some(Some(Event::MemberCleared(b.handle.id()))));
        assert!(!matches!(event, None | Some(None | Some(Event::MemberRemoved(..)))), "{event:?}");
    }
    assert_eq!(a.handle.members().len(), 1);
    assert_eq!(b.handle.members().len(), 1);
    let key = a.handle.key(0, b"s1").unwrap();
    let commit = a.handle.commit(key, Delta::new().set("n", "1"), Durability::All);
    assert_eq!(commit.wait().unwrap().members, [b.handle.id()]);
    a.stop();
    b.stop();
}

#[test]
fn a_process_that_dies_is_gone_long_before_its_silence_would_be_noticed() {
    let lab = Lab::default();
    let config = || Config { drop_time: Duration::from_secs(600), ..lab.config() };
    let members: Vec<_> = (0..4).map(|_| lab.start(lab.settings(), config())).collect();
    introduce(&members);
    for member in &members {
        member.await_ready(3);
    }
    let mut members = members;
    let dead: Member = members.remove(0);
    let id = dead.handle.id();
    let before = Instant::now();
    dead.stop();
    for member in &members {
        await_event(&member.handle, |event| matches!(event, Event::MemberRemoved(gone, _) if *gone == id));
        assert_eq!(member.handle.members().len(), 2);
    }
    println!("gone everywhere after {:?}", before.elapsed());
    members.into_iter().for_each(Member::stop);
}

#[test]
fn commits_go_on_while_members_come_and_go() {
    const ROUNDS: u32 = 4;
    let lab = Lab::default();
    let members = lab.start_known(2);
    let [a, b] = &members[..] else { panic!("two were started") };
    let over = AtomicBool::new(false);
    let counts: Vec<u32> = thread::scope(|scope| {
        let committers: Vec<_> = (0..2_u32)
            .map(|committer| {
                let over = &over;
                scope.spawn(move || {
                    let mut count = 0_u32;
                    while !over.load(Ordering::SeqCst) {
                        let key = a.handle.key(committer, &(count % 500).to_le_bytes()).unwrap();
                        let delta = Delta::new().set("count", count.to_string());
                        let commit = a.handle.commit(key, delta, Durability::One);
                        assert_ne!(commit.wait().expect("one other is always there").members, []);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for round in 0..ROUNDS {
            let c = lab.start(lab.settings(), lab.config());
            c.handle.set_peers(vec![a.handle.address(), b.handle.address()]);
            c.await_ready(2);
            assert_ne!(c.handle.sessions(), 0, "it has received what there is");
            if round % 2 == 0 {
                c.handle.leave().wait();
            }
            c.stop();
            await_until(&a.handle, || a.handle.members().len() == 1);
        }
        over.store(true, Ordering::SeqCst);
        committers.into_iter().map(|committer| committer.join().unwrap()).collect()
    });
    for (space, count) in (0..).zip(counts) {
        assert_ne!(count, 0);
        for last in count.saturating_sub(500)..count {
            let key = b.handle.key(space, &(last % 500).to_le_bytes()).unwrap();
            // The receipts of some name the third one alone; the second one has them soon.
            let until = Instant::now() + LONG;
            let session = |member: &Member| member.handle.peek(&key).map(|published| published.share());
            while session(b) != session(a) {
                assert!(Instant::now() < until, "copies become equal (P1)");
                thread::yield_now();
            }
        }
    }
    members.into_iter().for_each(Member::stop);
}

const ANNOUNCED_FOR: Duration = Duration::from_secs(4);

/// Sends the beats of a node that hears nothing.
fn announce(id: MemberId, address: SocketAddr, config: Config, to: SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let start = Instant::now();
    let now = || Time::ZERO + start.elapsed();
    let mut node = Node::new(id, address, config, 7, now()).unwrap();
    node.set_peers(now(), vec![to]);
    while start.elapsed() < ANNOUNCED_FOR {
        if let Some(at) = node.poll_timeout() {
            thread::sleep(at.since(now()));
            node.handle_timeout(now());
        }
        while let Some(transmit) = node.poll_transmit(now()) {
            if let Transmit::Datagram { to, bytes } = transmit {
                socket.send_to(&bytes, to).unwrap();
            }
        }
    }
}

fn forward_datagrams(front: &UdpSocket, behind: SocketAddr, lossy: &AtomicBool) {
    let mut buffer = [0; 2048];
    while let Ok(length) = front.recv(&mut buffer) {
        if !lossy.load(Ordering::SeqCst) {
            front.send_to(&buffer[..length], behind).unwrap();
        }
    }
}

fn forward_streams(front: &TcpListener, behind: SocketAddr) {
    for here in front.incoming() {
        let pass = |mut from: TcpStream, mut to: TcpStream| {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        };
        let (Ok(here), Ok(there)) = (here, TcpStream::connect(behind)) else { continue };
        let (here_2, there_2) = (here.try_clone().unwrap(), there.try_clone().unwrap());
        thread::spawn(move || pass(here, there));
        thread::spawn(move || pass(there_2, here_2));
    }
}
