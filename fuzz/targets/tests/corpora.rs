//! Replays all that is kept of the inputs of fuzz targets, on a stable toolchain.
//!
//! `HEIRLOOM_BLESS=1 cargo test -p heirloom-fuzz-targets` writes the inputs anew that targets start from.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use heirloom_fuzz_targets::{TARGETS, Target, noise};

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(target.name)
}

fn kept(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    files.iter().map(|path| (path.display().to_string(), fs::read(path).expect("it can be read"))).collect()
}

fn run(target: &Target, what: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("the target {} fails for {what}: {hex}", target.name);
    }
}

#[test]
fn what_is_kept_of_every_target_passes() {
    if env::var_os("HEIRLOOM_BLESS").is_some() {
        for target in &TARGETS {
            fs::create_dir_all(folder(target)).expect("a folder can be made");
            for (number, seed) in (target.seeds)().iter().enumerate() {
                fs::write(folder(target).join(format!("seed-{number:02}")), seed).expect("a file can be written");
            }
        }
    }
    for target in &TARGETS {
        let kept = kept(target);
        assert!(!kept.is_empty(), "{} starts from something", target.name);
        kept.iter().for_each(|(path, input)| run(target, path, input));
    }
}

/// A run of the simulator takes as long as thousands of messages.
fn runs(target: &Target) -> u64 {
    match target.name {
        "plan" => 4,
        "pair" | "node" | "resp" => 300,
        _ => 3000,
    }
}

/// What is kept with some bytes changed, and noise.
#[test]
fn inputs_that_nobody_has_seen_pass() {
    for target in &TARGETS {
        let kept = kept(target);
        for number in 0..runs(target) {
            let mut noise = noise(number);
            let mut byte = || usize::from(noise.next().expect("it has no end"));
            let mut input = kept[(byte() << 8 | byte()) % kept.len()].1.clone();
            for _ in 0..byte() % 6 {
                let at = (byte() << 8 | byte()) % input.len().max(1);
                match byte() % 3 {
                    0 => input.truncate(at),
                    1 => input.insert(at, u8::try_from(byte()).expect("a byte")),
                    _ => input.iter_mut().skip(at).take(1).for_each(|changed| *changed ^= 1 << (byte() % 8)),
                }
            }
            if number % 8 == 0 {
                let len = byte() << 2;
                input = (0..len).map(|_| u8::try_from(byte()).expect("a byte")).collect();
            }
            run(target, &format!("number {number}"), &input);
        }
    }
}
