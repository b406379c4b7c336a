//! Fixed seeds, in parts that run side by side. `HEIRLOOM_SEED=17` or `HEIRLOOM_SEEDS=0..1000` runs others in `one_seed`.

use core::ops::Range;

use heirloom_sim::{Plan, replay, run, run_twice};

fn run_all(seeds: Range<u64>) {
    let failed = seeds.filter_map(|seed| Some((seed, run(&Plan::draw(seed)).err()?)));
    let stories = failed.map(|(seed, violation)| format!("seed {seed}: {violation}\n  replay: {}\n", replay(seed)));
    let stories: String = stories.collect();
    assert!(stories.is_empty(), "\n{stories}");
}

#[test]
fn seeds_0_to_50() {
    run_all(0..50);
}

#[test]
fn seeds_50_to_100() {
    run_all(50..100);
}

#[test]
fn seeds_100_to_150() {
    run_all(100..150);
}

#[test]
fn seeds_150_to_200() {
    run_all(150..200);
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 200..206 {
        if let Err(violation) = run_twice(seed) {
            panic!("seed {seed}: {violation}\n  replay: {}", replay(seed));
        }
    }
}

#[test]
fn one_seed() {
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("HEIRLOOM_SEED") {
        let seed = number(&seed);
        println!("{:#?}", run(&Plan::draw(seed)));
        run_all(seed..seed + 1);
    }
    if let Ok(seeds) = std::env::var("HEIRLOOM_SEEDS") {
        let (first, end) = seeds.split_once("..").expect("seeds are given as first..end");
        run_all(number(first)..number(end));
    }
}
