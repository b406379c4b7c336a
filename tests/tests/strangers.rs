//! What comes from those who are no members hurts nobody (P7).
#![allow(clippy::unwrap_used, reason = "the lint does not see that helpers of tests are tests")]

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
};

use heirloom_core::{Delta, Durability, Event};
use heirloom_runtime::Settings;
use heirloom_tests::{LONG, Lab, await_stats, introduce};

#[test]
fn noise_is_counted_and_changes_nothing() {
    let lab = Lab::default();
    let members = lab.start_known(2);
    let [a, b] = &members[..] else { panic!("two were started") };
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let noise: Vec<u8> = (0..1_400_u32).map(|number| (number * number % 251).to_le_bytes()[0]).collect();
    for length in [0, 1, 7, 40, 1_400] {
        stranger.send_to(&noise[..length], a.handle.address()).unwrap();
    }
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &noise[..], &[0xff; 64][..]] {
        let mut stream = TcpStream::connect(a.handle.address()).unwrap();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // Closed or reset: there is no answer, and it does not last.
        assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    }
    await_stats(&a.handle, |stats| 8 <= stats.frame_errors.total());
    let key = a.handle.key(0, b"s1").unwrap();
    let commit = a.handle.commit(key, Delta::new().set("n", "1"), Durability::All);
    assert_eq!(commit.wait().unwrap().members, [b.handle.id()]);
    let lost = |event: &Event| matches!(event, Event::MemberRemoved(..) | Event::MemberSuspect(..));
    assert!(!core::iter::from_fn(|| a.handle.next_event().try_now()).any(|event| lost(&event)));
    for member in members {
        member.stop();
    }
}

#[test]
fn streams_beyond_the_limit_are_closed_and_members_keep_theirs() {
    let lab = Lab::default();
    let members: Vec<_> =
        (0..2).map(|_| lab.start(Settings { accepted_max: 3, ..lab.settings() }, lab.config())).collect();
    introduce(&members);
    let [a, b] = &members[..] else { panic!("two were started") };
    a.await_ready(1);
    b.await_ready(1);
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(a.handle.address()).unwrap()).collect();
    await_stats(&a.handle, |stats| 5 <= stats.streams_refused);
    assert!(a.handle.driver_stats().streams <= 4);
    let key = a.handle.key(0, b"s1").unwrap();
    let commit = a.handle.commit(key, Delta::new().set("n", "1"), Durability::All);
    assert_eq!(commit.wait().unwrap().members, [b.handle.id()]);
    // Those that say nothing are closed in time, and there is room again.
    await_stats(&a.handle, |stats| stats.streams <= 1);
    drop(silent);
    for member in members {
        member.stop();
    }
}
