//! Commits for an instruction counter: each stage of a commit is a function of its own, so that it can be told apart.
//!
//! `benches/instructions` runs this.

use std::hint::black_box;

use bytes::Bytes;
use heirloom_benches::{Net, attribute, keys, value};
use heirloom_core::{Copies, Delta, Durability, Node, SessionKey, StreamId, Time, Transmit};

const WRITER: usize = 0;
const VALUE: usize = 100;
/// Numbers of values that are loaded are below this one: a write of what is there already would not be sent.
const LOADED: usize = 1 << 32;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [copies, members, sessions, batch, commits] = &arguments[..] else {
        eprintln!("usage: work everywhere|backups:K MEMBERS SESSIONS BATCH COMMITS");
        std::process::exit(2);
    };
    let copies: Copies = copies.parse().expect("a setting of copies");
    let count = |text: &String| text.parse::<usize>().expect("a number");
    let (members, sessions, batch, commits) = (count(members), count(sessions), count(batch), count(commits));
    let mut net = Net::ready(members, copies);
    let mut mine = keys(sessions * members);
    mine.retain(|key| net.holders(key).contains(&WRITER));
    mine.truncate(sessions);
    net.load(&mine, VALUE, |_, _, _| WRITER);
    let mut writes = (0..commits).map(|n| (mine[n % mine.len()], attribute(value(LOADED + n, VALUE)))).peekable();
    let mut applied = 0;
    while writes.peek().is_some() {
        let now = net.now();
        for (key, delta) in writes.by_ref().take(batch) {
            commit(net.node_mut(WRITER), now, key, delta);
        }
        applied += turn(&mut net);
        read(net.node_mut(WRITER));
        (1..members).for_each(|n| read_copy(net.node_mut(n)));
    }
    println!("{commits} commits, {applied} frames applied");
}

/// Brings what was committed to those who must hold it, and their answers back.
fn turn(net: &mut Net) -> usize {
    let now = net.now();
    let mut applied = 0;
    while let Some(transmit) = send(net.node_mut(WRITER), now) {
        let Some((other, stream, bytes)) = aim(net, WRITER, transmit) else { continue };
        apply(net.node_mut(other), now, stream, &bytes);
        applied += 1;
        while let Some(transmit) = acknowledge(net.node_mut(other), now) {
            let Some((writer, stream, bytes)) = aim(net, other, transmit) else { continue };
            hear(net.node_mut(writer), now, stream, &bytes);
        }
    }
    applied
}

fn aim(net: &Net, from: usize, transmit: Transmit) -> Option<(usize, StreamId, Bytes)> {
    let Transmit::Write { stream, bytes } = transmit else { return None };
    let (other, theirs) = net.other_end(from, stream)?;
    Some((other, theirs, bytes))
}

// What is measured. The compiler would make one function of two that do the same, so each says its name.

#[inline(never)]
fn commit(node: &mut Node, now: Time, key: SessionKey, delta: Delta) {
    node.commit(now, key, delta, Durability::All).expect("the node serves");
}

#[inline(never)]
fn send(node: &mut Node, now: Time) -> Option<Transmit> {
    black_box("send");
    node.poll_transmit(now)
}

#[inline(never)]
fn apply(node: &mut Node, now: Time, stream: StreamId, bytes: &[u8]) {
    black_box("apply");
    node.handle_stream(now, stream, bytes).expect("it is valid");
}

#[inline(never)]
fn acknowledge(node: &mut Node, now: Time) -> Option<Transmit> {
    black_box("acknowledge");
    node.poll_transmit(now)
}

#[inline(never)]
fn hear(node: &mut Node, now: Time, stream: StreamId, bytes: &[u8]) {
    black_box("hear");
    node.handle_stream(now, stream, bytes).expect("it is valid");
}

#[inline(never)]
fn read(node: &mut Node) {
    black_box("read");
    while node.poll_outcome().is_some() {}
    while node.poll_changed().is_some() {}
}

#[inline(never)]
fn read_copy(node: &mut Node) {
    black_box("read_copy");
    while node.poll_changed().is_some() {}
}
