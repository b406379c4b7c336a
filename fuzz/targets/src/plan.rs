//! The simulator, with bytes for its choices.

use heirloom_sim::{Choice, Plan, run as run_plan};

use crate::noise;

/// Two bytes for each choice of settings, and for those of about two faults in three.
const SETTINGS: usize = 48;
const FAULTS: usize = 96;

/// Eight bytes are the seed, for whatever nobody chooses: above all what becomes of each packet.
pub(crate) fn run(input: &[u8]) {
    let (seed, rest) = input.split_at(input.len().min(8));
    let seed = seed.iter().fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let (settings, rest) = rest.split_at(rest.len().min(SETTINGS));
    let (faults, clients) = rest.split_at(rest.len().min(FAULTS));
    let plan = Plan::choose(seed, Choice::Any, [settings, faults, clients]);
    if let Err(violation) = run_plan(&plan) {
        panic!("{violation}");
    }
}

/// The first seeds, with nothing, something and everything chosen.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let lens = [0, 20, SETTINGS, SETTINGS + 20, SETTINGS + FAULTS, SETTINGS + FAULTS + 100];
    let lens = lens.iter().zip(1_u64..);
    lens.map(|(&len, seed)| seed.to_be_bytes().into_iter().chain(noise(seed).take(len)).collect()).collect()
}
