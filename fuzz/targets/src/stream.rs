//! The bytes of one stream, which tell the same however they are cut.

use core::time::Duration;

use heirloom_core::{
    Config, FrameError, MemberId, Node, StreamId, Time,
    fuzz::{Choose as _, Stranger},
};

use crate::choices::Choices;

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let config = Config { attribute_bytes_max: 1000, frame_max: 40_000, ..Config::default() };
    let stranger = Stranger::new(MemberId(1), ([127, 0, 0, 1], 4001).into(), &config.cluster_name);
    let bytes = sent(&stranger, &mut choices);
    let mut node = Node::new(MemberId(5), ([127, 0, 0, 1], 4005).into(), config, 7, Time::ZERO).expect("it is allowed");
    node.start_alone(Time::ZERO);
    let stream = node.handle_accepted(Time::ZERO, stranger.address);
    let mut whole = node.clone();
    let told = whole.handle_stream(Time::ZERO, stream, &bytes);
    let told_in_pieces = in_pieces(&mut node, stream, &bytes, &mut choices);
    // Between two pieces the node may close the stream by itself, say because the other side has left.
    if told_in_pieces != Err(FrameError::NoStream) {
        assert_eq!(told_in_pieces, told, "it is refused however it is cut");
        let seen = |node: &Node| (node.stats().frames_refused, node.stats().kinds_unknown, node.members().count());
        assert_eq!(seen(&node), seen(&whole), "it says the same however it is cut");
    }
    for mut node in [node, whole] {
        node.check();
        for _ in 0..100 {
            while node.poll_transmit(Time::ZERO).is_some() {}
            let Some(at) = node.poll_timeout().filter(|at| *at <= Time::ZERO + Duration::from_secs(10)) else { break };
            node.handle_timeout(at);
        }
        node.check();
    }
}

/// Mostly a greeting and frames, and perhaps one byte of it is wrong.
fn sent(stranger: &Stranger, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = if choices.one_in(16) { Vec::new() } else { stranger.hello(choices) };
    let mut number = 1;
    for _ in 0..choices.below(8) {
        let frame = if choices.one_in(32) { choices.bytes(50) } else { stranger.frame(&mut number, choices) };
        bytes.extend(frame);
    }
    if choices.one_in(4) && !bytes.is_empty() {
        let at = choices.index(bytes.len());
        bytes[at] ^= choices.pick(&[1, 2, 4, 8, 16, 32, 64, 128]);
    }
    bytes
}

fn in_pieces(node: &mut Node, stream: StreamId, bytes: &[u8], choices: &mut Choices<'_>) -> Result<(), FrameError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = if choices.is_empty() { rest.len() } else { choices.index(rest.len().min(300) + 1) };
        let (piece, behind) = rest.split_at(len);
        rest = behind;
        node.handle_stream(Time::ZERO, stream, piece)?;
    }
    Ok(())
}
