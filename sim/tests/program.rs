//! The program as a person or a batch system calls it: what it says, and its exit status.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

struct Said {
    status: Option<i32>,
    out: String,
    wrong: String,
}

fn sim(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_heirloom-sim")).args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    Said { status: output.status.code(), out: text(output.stdout), wrong: text(output.stderr) }
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("it is written");
    path
}

#[test]
fn a_scenario_runs_by_its_name_with_settings_of_ones_own() {
    let said = sim(&["run", "failover", "--set", "copies=everywhere"]);
    assert_eq!(said.status, Some(0), "{}", said.wrong);
    assert!(said.out.starts_with("every promise is kept, and 6 expectations are met: "), "{}", said.out);
    let said = sim(&["run", "failover", "--set", "drop_time=1ms"]);
    assert_eq!(said.status, Some(2));
    assert!(said.wrong.contains("drop_time: must be 1s to 1h"), "{}", said.wrong);
}

#[test]
fn a_seed_can_be_kept_as_a_plan_and_replayed_without_a_drift() {
    let path = file("kept.plan", "");
    let path = path.to_str().unwrap();
    assert_eq!(sim(&["plan", "--seed", "3", "--out", path]).status, Some(0));
    let said = sim(&["replay", path]);
    assert_eq!((said.status, said.out), (Some(0), format!("{path}: every promise is kept\n")));
}

#[test]
fn a_plan_that_has_drifted_or_no_longer_fails_is_told() {
    let plan = sim(&["plan", "sleeper"]).out;
    let changed: Vec<&str> = plan.lines().filter(|line| !line.starts_with("check ")).collect();
    let path = file("drifted.plan", &format!("{}\ncheck 4096 0123456789abcdef\nwant P2 durable\n", changed.join("\n")));
    let said = sim(&["replay", path.to_str().unwrap()]);
    assert_eq!(said.status, Some(0));
    assert!(said.out.contains("P2 durable was broken when the plan was stored; it no longer is"), "{}", said.out);
    assert!(said.out.contains("drifted: among the first 4096 things sent"), "{}", said.out);
}

#[test]
fn a_bad_plan_is_refused_with_its_file_and_line() {
    let path = file("bad.plan", "heirloom-sim 1\nseed 1\nhosts 2\nhealed 9s\nfault 1s kill n7 lost\n");
    let said = sim(&["replay", path.to_str().unwrap()]);
    assert_eq!(said.status, Some(2));
    let story = format!("heirloom-sim: {}:5: `n7` is no member of this plan: n0 to n1\n", path.display());
    assert_eq!((said.wrong, said.out), (story, String::new()));
    let said = sim(&["run", "nonsense"]);
    assert_eq!(said.status, Some(2));
    assert!(said.wrong.contains("it is no scenario either: `heirloom-sim book` lists them"), "{}", said.wrong);
}

#[test]
fn wrong_usage_is_status_2() {
    for wrong in
        [&["swarm", "--seeds", "9..3"][..], &["swarm", "--seeds", "0.."], &["swarm", "--shard", "0/2"], &["run"]]
    {
        assert_eq!(sim(wrong).status, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_run_is_shown_in_parts_as_text_or_json() {
    let said = sim(&["show", "failover", "--session", "s1", "--kind", "commit", "--to", "6.5s"]);
    assert_eq!((said.status, said.out.lines().count()), (Some(0), 5), "{}", said.out);
    assert!(said.out.contains("\nn0 a, n1 b, n2 c, n3 d, s1 basket, s2 profile\n"), "{}", said.out);
    let said = sim(&["show", "failover", "--json", "--kind", "commit", "--node", "n2"]);
    let first: serde_json::Value = serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["kind"], &first["step"], &first["write"]), (&"commit".into(), &"taken".into(), &5.into()));
    let said = sim(&["show", "failover", "--kind", "nonsense"]);
    assert!(said.status == Some(2) && said.wrong.contains("one of fault client"), "{}", said.wrong);
}

#[test]
fn a_scenario_of_ones_own_is_judged_by_what_it_expects() {
    let story = |cause: &str| {
        format!(
            "version = 1\nabout = \"A member dies.\"\nmembers = [\"a\", \"b\"]\ntimeline = [\"at 6 s kill a\"]\n\
             expect = [\n    \"before 7 s b removes a for {cause}\",\n]\n[cluster]\nidle = \"30s\"\nended_for = \"30s\"\n"
        )
    };
    let path = file("mine.toml", &story("refused"));
    let path = path.to_str().unwrap();
    let said = sim(&["run", path]);
    assert_eq!(said.status, Some(0), "{}", said.out);
    assert!(said.out.starts_with("every promise is kept, and the expectation is met: "), "{}", said.out);
    file("mine.toml", &story("silence"));
    let said = sim(&["run", path]);
    let told = format!("{path}:6: expected `before 7 s b removes a for silence`, but heard was b at 6.0");
    assert!(said.status == Some(1) && said.out.contains(&told), "{}", said.out);
    assert_eq!(sim(&["replay", path]).status, Some(1));
    assert_eq!(sim(&["show", path]).status, Some(1));
    file("mine.toml", &story("fun"));
    let said = sim(&["run", path]);
    let told = format!("heirloom-sim: {path}:6: `for fun` is no cause: left, silence, broken, refused, superseded\n");
    assert_eq!((said.status, said.wrong), (Some(2), told));
}

#[test]
fn a_nodes_own_file_is_the_base_of_what_if_runs() {
    let path = file(
        "node.toml",
        "copies = \"backups:1\"\nidle = 30\nlisten = \"127.0.0.1:1\"\n[cluster]\nended_for = \"30s\"\n",
    );
    let path = path.to_str().unwrap();
    let said = sim(&["run", "--config", path, "--members", "4"]);
    assert_eq!(said.status, Some(0), "{}{}", said.out, said.wrong);
    for told in ["every promise is kept: ", "sessions: ", "what travelled", "n0 was killed at ", "n1 was off at "] {
        assert!(said.out.contains(told), "{told}: {}", said.out);
    }
    let said = sim(&["run", "failover", "--config", path]);
    assert!(said.status == Some(0) && said.out.contains("out of the first view after"), "{}{}", said.out, said.wrong);
    file("node.toml", "idle = 30\nlissen = \"127.0.0.1:1\"\n");
    let said = sim(&["run", "--config", path]);
    let told = format!("heirloom-sim: {path}:2: unknown key `lissen`, expected one of name, ");
    assert!(said.status == Some(2) && said.wrong.starts_with(&told), "{}", said.wrong);
    assert_eq!(sim(&["run", "--members", "4"]).status, Some(2));
}

#[test]
fn the_book_is_listed_and_each_story_can_be_taken_from_it() {
    let said = sim(&["book"]);
    assert!(said.status == Some(0) && said.out.lines().any(|line| line.starts_with("classic ")), "{}", said.out);
    for name in said.out.lines().filter_map(|line| line.split_whitespace().next()) {
        let printed = sim(&["book", name]);
        assert!(printed.status == Some(0) && printed.out.starts_with("version = 1\n"), "{name}: {}", printed.wrong);
    }
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap().count();
    assert_eq!(said.out.lines().count(), files, "each scenario has a name");
    assert_eq!(sim(&["book", "nonsense"]).status, Some(2));
}

/// Parts of a swarm are disjoint and together all of it, and how many threads there are makes no difference.
#[test]
fn a_swarm_tells_the_same_on_any_number_of_threads_and_in_parts() {
    let sums = |arguments: &[&str]| {
        let common = ["swarm", "--seeds", "0..6", "--profile", "smoke", "--json"];
        let said = sim(&[&common[..], arguments].concat());
        assert_eq!(said.status, Some(0), "{}{}", said.out, said.wrong);
        let last: serde_json::Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
        assert!(["events_per_s", "virtual_per_s"].iter().all(|key| 0.0 < last[key].as_f64().unwrap()));
        ["seeds", "violations", "events", "commits"].map(|key| last[key].as_u64().unwrap())
    };
    let whole = sums(&["--jobs", "1"]);
    assert_eq!((whole[0], whole[1], sums(&["--jobs", "3"])), (6, 0, whole));
    let parts = [sums(&["--shard", "1/2"]), sums(&["--shard", "2/2"])];
    assert_eq!([0, 1, 2, 3].map(|at| parts[0][at] + parts[1][at]), whole);
}

#[test]
fn runs_are_the_same_twice() {
    let said = sim(&["twice", "--seeds", "0..2", "--profile", "smoke"]);
    assert_eq!((said.status, said.out), (Some(0), "2 seeds, each of them twice\n".into()));
}
