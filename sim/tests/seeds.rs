//! Fixed seeds, for each way of copying, in parts that run side by side. `HEIRLOOM_SEED=17` or `HEIRLOOM_SEEDS=0..1000` runs
//! others in `one_seed`, with `HEIRLOOM_COPIES=everywhere` or `backups:2` for one way of copying.

use core::ops::Range;

use heirloom_core::Copies;
use heirloom_sim::{Choice, Plan, Profile, Swarm, run, run_twice};

const EVERYWHERE: Choice = Choice::Only(Copies::Everywhere);

fn replay(seed: u64, copies: Choice) -> String {
    Swarm { profile: Profile::Default, copies }.replay(seed)
}

fn run_all(seeds: Range<u64>, choice: Choice) {
    let failed = seeds.filter_map(|seed| Some((seed, run(&Plan::draw(seed, choice)).err()?)));
    let story = |(seed, violation)| format!("seed {seed}: {violation}\n  replay: {}\n", replay(seed, choice));
    let stories: String = failed.map(story).collect();
    assert!(stories.is_empty(), "\n{stories}");
}

#[test]
fn seeds_0_to_100_everywhere() {
    run_all(0..100, EVERYWHERE);
}

#[test]
fn seeds_100_to_200_everywhere() {
    run_all(100..200, EVERYWHERE);
}

#[test]
fn seeds_0_to_100_with_backups() {
    run_all(0..100, Choice::Backups);
}

#[test]
fn seeds_100_to_200_with_backups() {
    run_all(100..200, Choice::Backups);
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for (seed, choice) in (200..206).zip([EVERYWHERE, Choice::Backups].into_iter().cycle()) {
        if let Err(violation) = run_twice(&Plan::draw(seed, choice)) {
            panic!("seed {seed}: {violation}\n  replay: {}", replay(seed, choice));
        }
    }
}

#[test]
fn one_seed() {
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    let copies = std::env::var("HEIRLOOM_COPIES").unwrap_or("any".into());
    let choice = copies.parse().expect("copies are any, everywhere, backups, or backups:1 to backups:8");
    if let Ok(seed) = std::env::var("HEIRLOOM_SEED") {
        let seed = number(&seed);
        println!("{:#?}", run(&Plan::draw(seed, choice)));
        run_all(seed..seed + 1, choice);
    }
    if let Ok(seeds) = std::env::var("HEIRLOOM_SEEDS") {
        let (first, end) = seeds.split_once("..").expect("seeds are given as first..end");
        run_all(number(first)..number(end), choice);
    }
}
