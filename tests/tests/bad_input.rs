//! What cannot be set up is told by a typed error, and streams of strangers that do everything wrong are closed and
//! counted, take no room that lasts, and hold up nobody (P7); whatever drives the member.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use core::time::Duration;
use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use heirloom_core::{Delta, Durability, Event};
use heirloom_runtime::{Poller, Settings, StartError};
use heirloom_tests::{Driven, LONG, Lab, Member, await_stats, introduce};

/// An address of documentation: no machine has it.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const BOTH: [Driven; 2] = [Driven::ByThread, Driven::BySmol];

fn start(driven: Driven, lab: &Lab, settings: Settings) -> Result<(), StartError> {
    match driven {
        Driven::ByThread => heirloom_std::spawn(settings, lab.config()).map(drop),
        Driven::BySmol => {
            heirloom_smol::Driver::new(settings, lab.config(), Arc::new(Poller::new().unwrap())).map(drop)
        }
    }
}

#[test]
fn an_address_that_is_not_here_is_named() {
    let lab = Lab::default();
    for driven in BOTH {
        let bind = SocketAddr::new(NOWHERE, 4000);
        let error = start(driven, &lab, Settings { bind, insecure: true, ..lab.settings() }).unwrap_err();
        assert!(matches!(error, StartError::Bind { address, .. } if address == bind), "{driven:?}: {error}");
    }
}

#[test]
fn an_interface_that_has_no_group_is_named() {
    let lab = Lab::default();
    for driven in BOTH {
        let settings = Settings { interface: Some(NOWHERE), ..lab.settings_with_group() };
        let error = start(driven, &lab, settings).unwrap_err();
        let is_named = matches!(&error, StartError::Multicast { group, interface, .. }
            if *group == lab.group() && *interface == NOWHERE.to_string());
        assert!(is_named, "{driven:?}: {error}");
    }
}

/// Two members, and the address of the one that strangers turn to.
fn members(driven: Driven) -> ([Member; 2], SocketAddr) {
    let lab = Lab::default();
    let members = [(); 2].map(|()| lab.start_driven(driven, lab.settings(), lab.config()));
    introduce(&members);
    members.iter().for_each(|member| drop(member.await_ready(1)));
    let address = members[0].handle.address();
    (members, address)
}

/// The other member has noticed nothing, and no stream is left but its own.
fn assert_unharmed(members: [Member; 2], driven: Driven) {
    let [a, b] = &members;
    let key = a.handle.key(0, b"s1").unwrap();
    let commit = a.handle.commit(key, Delta::new().set("n", "1"), Durability::All);
    assert_eq!(commit.wait().unwrap().members, [b.handle.id()], "{driven:?}");
    await_stats(&a.handle, |stats| stats.streams <= 1);
    let lost = |event: &Event| matches!(event, Event::MemberRemoved(..) | Event::MemberSuspect(..));
    assert!(!core::iter::from_fn(|| a.handle.next_event().try_now()).any(|event| lost(&event)), "{driven:?}");
    members.into_iter().for_each(Member::stop);
}

/// The beginning of a frame of 64 KiB.
fn begun(len: usize) -> Vec<u8> {
    let mut bytes = (64_u32 << 10).to_le_bytes().to_vec();
    bytes.resize(len, 1);
    bytes
}

#[test]
fn streams_that_end_or_are_reset_within_a_frame_leave_nothing() {
    for driven in BOTH {
        let (members, address) = members(driven);
        let before = resident();
        for round in 0..200 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&begun(32 << 10)).unwrap();
            if round % 2 == 0 {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            }
        }
        assert!(resident() < before + (32 << 20), "{driven:?}: {} bytes more", resident() - before);
        assert_unharmed(members, driven);
    }
}

#[test]
fn a_stream_that_sends_a_byte_a_second_is_closed_in_time() {
    for driven in BOTH {
        let (members, address) = members(driven);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let (began, mut bytes) = (Instant::now(), begun(64).into_iter());
        // It never greets, and bytes alone are no greeting.
        while stream.write_all(&[bytes.next().unwrap()]).is_ok() {
            match stream.read(&mut [0; 8]) {
                Ok(0) => break,
                Ok(_) => panic!("there is nothing to say to it"),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
            assert!(began.elapsed() < LONG, "{driven:?}: it is still open");
        }
        assert_unharmed(members, driven);
    }
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}
