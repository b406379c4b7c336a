//! What each fuzz target does with its bytes. A target panics when something is not as it must be.
//!
//! They stand here, in the workspace, so that a stable toolchain builds them and its tests replay all that is kept of
//! their inputs. The crate beside this one hands them to the fuzzer.

#![forbid(unsafe_code)]

mod choices;
mod node;
mod pair;
mod plan;
mod resp;
mod stream;
mod wire;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of the folder of its inputs.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
    /// What an input is made from that stands for others of its kind, so that there is something to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "frame", run: frame, seeds: wire::golden },
    Target { name: "stream", run: stream, seeds: drawn },
    Target { name: "wire", run: wire, seeds: drawn },
    Target { name: "node", run: node, seeds: drawn },
    Target { name: "pair", run: pair, seeds: drawn },
    Target { name: "plan", run: plan, seeds: plan::seeds },
    Target { name: "resp", run: resp, seeds: resp::seeds },
];

/// Any bytes, to every decoder.
pub fn frame(input: &[u8]) {
    wire::decode(input);
}

/// Valid and invalid frames of a stream, cut anywhere.
pub fn stream(input: &[u8]) {
    stream::run(input);
}

/// A message of any kind comes over as it was written.
pub fn wire(input: &[u8]) {
    wire::round_trip(input);
}

/// What happens to one node: frames of strangers, garbage, the application's verbs, and time.
pub fn node(input: &[u8]) {
    node::run(input);
}

/// Two nodes and a bad network between them, then quiet: they must agree.
pub fn pair(input: &[u8]) {
    pair::run(input);
}

/// The choices of a run of the simulator, under all its oracles.
pub fn plan(input: &[u8]) {
    plan::run(input);
}

/// What a client of the node program sends.
pub fn resp(input: &[u8]) {
    resp::run(input);
}

/// Some inputs of mixed lengths without any form: each choice is as likely as the others.
fn drawn() -> Vec<Vec<u8>> {
    let mut bytes = noise(1);
    [10, 20, 40, 80, 160, 320, 640, 960].iter().map(|&len| bytes.by_ref().take(len).collect()).collect()
}

pub use choices::noise;
