//! Messages of the application between members: to one or to all, at most once, in order, beside the replication.

mod net;

use std::time::Duration;

use heirloom_core::{Delta, Durability, MemberId, Message, MessageError, StreamId};
use net::Net;

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_message_reaches_one_member_or_all_with_the_id_of_its_sender() {
    let mut net = started(3);
    assert_eq!(net.nodes[0].send(MemberId(2), "for one"), Ok(()));
    assert_eq!(net.nodes[1].send_to_all("for all"), Ok(2));
    assert_eq!(net.nodes[0].send(MemberId(1), "for itself"), Err(MessageError::NotInView));
    assert_eq!(net.nodes[0].send(MemberId(9), "for nobody"), Err(MessageError::NotInView));
    net.run(MILLI * 5);
    assert_eq!(read(&mut net, 0), [from(2, "for all")]);
    assert_eq!(read(&mut net, 1), [from(1, "for one")]);
    assert_eq!(read(&mut net, 2), [from(2, "for all")]);
    assert_eq!((net.nodes[1].stats().messages_sent, net.nodes[1].stats().messages_received), (2, 1));
}

#[test]
fn messages_and_writes_to_one_member_keep_their_order() {
    let mut net = started(2);
    let long = "x".repeat(30 << 10);
    for step in 0..50 {
        assert_eq!(net.nodes[0].send(MemberId(2), format!("{step} {long}")), Ok(()));
    }
    let write = net.commit(0, Delta::new().set("user", "alice"), Durability::One);
    // One write takes what the member lacks of the session, and only so many messages.
    net.run_alone(0, 1);
    net.run_alone(1, 0);
    assert!(matches!(net.nodes[0].poll_outcome(), Some((id, _)) if id == write));
    net.run(MILLI * 5);
    let came: Vec<_> = read(&mut net, 1).into_iter().map(|(_, text)| text).collect();
    let sent: Vec<_> = (0..50).map(|step| format!("{step} {long}")).collect();
    assert!(came == sent, "{} came", came.len());
}

/// P7: a hung member costs those that send to it a bounded queue, and the others nothing.
#[test]
fn a_full_queue_refuses_and_what_nobody_reads_is_dropped() {
    let mut net = started(3);
    net.hang(1);
    // No stream of the first member takes anything.
    (1..=9).map(StreamId).for_each(|stream| net.nodes[0].handle_blocked(net.now, stream));
    for _ in 0..256 {
        assert_eq!(net.nodes[0].send(MemberId(2), "waits"), Ok(()));
    }
    assert_eq!(net.nodes[0].send(MemberId(2), "more"), Err(MessageError::QueueFull { max: 256 }));
    assert_eq!(net.nodes[0].send_to_all("more"), Ok(1));
    assert_eq!(net.nodes[0].stats().messages_dropped, 1);
    let long = vec![0; (32 << 10) + 1];
    let refused = MessageError::TooLarge { bytes: long.len(), max: 32 << 10 };
    assert_eq!(net.nodes[0].send(MemberId(3), long), Err(refused));
    for step in 0..300 {
        assert_eq!(net.nodes[2].send(MemberId(1), format!("{step}")), Ok(()));
        net.run(MILLI);
    }
    assert_eq!((read(&mut net, 0).len(), net.nodes[0].stats().messages_received), (256, 256));
    assert_eq!(net.nodes[0].stats().messages_dropped, 1 + 44);
}

/// What waits for a member goes with it.
#[test]
fn a_member_that_leaves_the_view_gets_nothing_any_more() {
    let mut net = started(2);
    net.hold();
    assert_eq!(net.nodes[0].send(MemberId(2), "on its way"), Ok(()));
    net.run(MILLI);
    net.kill(1);
    assert_eq!(net.nodes[0].send(MemberId(2), "waits"), Ok(()));
    net.run(Duration::from_secs(6));
    assert_eq!(net.nodes[0].stats().messages_dropped, 1);
    assert_eq!(net.nodes[0].send(MemberId(2), "too late"), Err(MessageError::NotInView));
}

fn started(count: usize) -> Net {
    let mut net = Net::new(count);
    (0..count).for_each(|n| net.start(n));
    net.run(Duration::from_secs(6));
    net
}

fn read(net: &mut Net, n: usize) -> Vec<(MemberId, String)> {
    let messages = std::iter::from_fn(|| net.nodes[n].poll_message());
    messages.map(|Message { from, bytes }| (from, String::from_utf8_lossy(&bytes).into_owned())).collect()
}

fn from(member: u64, text: &str) -> (MemberId, String) {
    (MemberId(member), text.into())
}
