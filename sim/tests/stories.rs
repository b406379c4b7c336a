//! Runs as scenario files: what was written is read as the same plan, and happens the same.

use std::{fs, path::Path};

use heirloom_sim::{Action, Ask, Choice, HostId, Moment, Plan, Profile, Stored, Swarm, Tale, Trial, clients};

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder).expect("it is there").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("it can be read"))).collect()
}

/// Writes the story of a plan, and reads it again.
fn told(name: &str, plan: &Plan) -> Tale {
    let tale = Tale::of(plan, "A test.");
    let text = tale.text().unwrap_or_else(|story| panic!("{name}: {story}"));
    text.parse().unwrap_or_else(|error| panic!("{name}:{error}\n{text}"))
}

#[test]
fn every_stored_plan_is_a_story_that_happens_the_same() {
    for (name, text) in files("plans") {
        let plan = text.parse::<Stored>().unwrap_or_else(|error| panic!("{name}:{error}")).plan;
        let tale = told(&name, &plan);
        assert_eq!(*tale.plan(), plan, "{name}");
        let (one, other) = (Trial::of(&plan), tale.trial());
        assert_eq!((one.result, one.checks), (other.result, other.checks), "{name}");
    }
}

#[test]
fn every_seed_is_a_story_that_happens_the_same() {
    for profile in [Profile::Default, Profile::Hostile, Profile::Lockstep] {
        for seed in 0..4 {
            let plan = Swarm { profile, copies: Choice::Any }.plan(seed);
            let tale = told(&format!("seed {seed}"), &plan);
            assert_eq!(*tale.plan(), plan, "seed {seed}");
            let (one, other) = (Trial::of(&plan), tale.trial());
            assert_eq!((one.result, one.checks), (other.result, other.checks), "seed {seed}");
            assert!(0 < tale.expectations(), "seed {seed}");
        }
    }
}

#[test]
fn every_scenario_of_the_book_is_written_as_it_was_read() {
    for (name, text) in files("scenarios") {
        let tale = Tale::read(&name, &text).unwrap_or_else(|error| panic!("{name}:{error}"));
        let again: Tale = tale.text().unwrap_or_else(|story| panic!("{name}: {story}")).parse().unwrap();
        assert_eq!((again.plan(), again.about()), (tale.plan(), tale.about()), "{name}");
        assert_eq!((again.members(), again.catches()), (tale.members(), tale.catches()), "{name}");
        assert_eq!(again.expectations(), tale.expectations(), "{name}");
        // What no request and no expectation names has no name any more.
        let (one, other) = (again.trial(), tale.trial());
        assert_eq!((one.result, one.checks), (other.result, other.checks), "{name}");
    }
}

#[test]
fn a_story_reads_like_one() {
    let stored: Stored = "heirloom-sim 1\nseed 7\nhosts 3\nhealed 20s\nplain\nconfig idle 1m\nconfig ended_for 1m\n\
        fault 0s start n0\nfault 0s start n1\nfault 0s start n2\nclient 6s n0 write s4 set=0 durability=all\n\
        fault 8s split n0 n1,n2\nfault 9.5s join n0 n1,n2\nfault 12s kill n2 lost\nfault 13s pause n2\n\
        client 15s n1 write s4 set=0,3 remove=1 durability=one within=0.5s\n"
        .parse()
        .unwrap();
    let text = Tale::of(&stored.plan, "Two are cut off, and one dies.").text().unwrap();
    assert_eq!(text, STORY);
}

const STORY: &str = r#"version = 1
about = "Two are cut off, and one dies."
members = ["n0", "n1", "n2"]
seed = 7
until = "20 s"

timeline = [
    "at 6 s write s4 on n0 as w1",
    "from 8 s to 9.5 s cut between n0 and n1,n2",
    "at 12 s kill n2",
    "at 13 s pause n2 if it runs",
    "at 15 s write s4 on n1 set=0,3 remove=1 durability=one within=0.5s",
]

expect = [
    "between 3 s and 4 s n0 is ready as first",
    "between 3 s and 4 s n1, n2 are ready as joined",
    "between 12 s and 13 s n0, n1 remove n2 for refused",
    "w1 is durable on n1, n2",
]

[cluster]
ended_for = "1m"
idle = "1m"
"#;

/// What plans can say and no scenario could is refused with what it is.
#[test]
fn what_there_are_no_words_for_is_refused() {
    let mut plan = Plan::draw(3, Choice::Any);
    plan.setup.seed = u64::MAX;
    assert_eq!(Tale::of(&plan, "").text(), Err("a seed greater than 9223372036854775807".into()));
    let mut plan = Plan::draw(3, Choice::Any);
    plan.setup.weather.unheard = &[1];
    assert_eq!(Tale::of(&plan, "").text(), Err("a scenario cannot say it: something in the network".into()));
    let mut plan = Plan::draw(3, Choice::Any);
    let mut ask = Ask::change_id(clients::key(1), clients::key(2), heirloom_core::Durability::All);
    ask.start = heirloom_sim::Start::There;
    plan.actions.insert(0, (Moment::ZERO, Action::Commit(HostId(0), ask)));
    let refused = Tale::of(&plan, "").text().unwrap_err();
    assert_eq!(refused, "at 0.000000 s: a write to s1 that changes its id, too");
}

const MINE: &str = r#"
version = 1
about = "The machine of a member fails while its sessions are in use."
members = ["a", "b", "c", "d"]
timeline = [
    "at 5 s write profile on b",
    "at 6 s create basket on a as begun",
    "from 7 s to 7.5 s cut b from c",
    "at 7 s touch basket on d",
    "at 8 s power off a",
    "at 8.5 s write basket on b as paid",
    "at 9 s write profile on c",
    "at 20 s start a",
]
expect = [
    EXPECTED
]
[cluster]
idle = "2m"
ended_for = "1m"
"#;

fn shrunk(expected: &str) -> (Tale, heirloom_sim::Violation) {
    let tale = Tale::read("mine.toml", &MINE.replace("EXPECTED", expected)).expect("it can be read");
    let mut runs = 0;
    let short = tale.shrink(|| {
        runs += 1;
        runs < 300
    });
    short.expect("it does not go as expected")
}

/// What is unmet stays so in the same way: whoever must have died has run and died.
#[test]
fn what_is_expected_in_vain_gets_short_and_keeps_what_it_is_about() {
    let (short, violation) = shrunk("\"between 8 s and 10 s b, c remove a for silence\",");
    let text = short.text().unwrap();
    assert_eq!(short.members(), ["a", "b", "c"], "{text}");
    assert!(text.contains("timeline = [\n    \"at 8 s power off a\",\n]"), "{text}");
    assert_eq!(short.plan().actions.len(), 4);
    assert!(violation.story.contains("nothing of the kind was heard"), "{violation}");
    let again: Tale = text.parse().unwrap();
    let told = |violation: &heirloom_sim::Violation| violation.story.split_once("expected").unwrap().1.to_owned();
    assert_eq!(told(&again.run().unwrap_err()), told(&violation));
}

/// What was expected and met must be met: that keeps the writes of which it speaks, under their numbers.
#[test]
fn what_is_expected_and_met_stays_so() {
    let (short, _) =
        shrunk("\"paid is durable on c\", \"before 10 s b, c remove a for silence\", \"at 15 s b, c show paid\",");
    let text = short.text().unwrap();
    assert!(text.contains(" write basket on b as paid\""), "{text}");
    assert!(text.contains("at 8 s power off a") && !text.contains("begun") && !text.contains("profile on"), "{text}");
    assert_eq!(short.expectations(), 3);
}

#[test]
fn what_goes_as_expected_is_nothing_to_shrink() {
    let tale = Tale::read("mine.toml", &MINE.replace("EXPECTED", "")).unwrap();
    assert!(tale.shrink(|| true).is_none());
}
