//! Scenario files: what they may say, what they are refused for, and how it is told that something is not as expected.

use core::time::Duration;

use heirloom_sim::{Action, Promise, Tale};

const HEAD: &str = "version = 1\nabout = \"A test.\"\nmembers = [\"a\", \"b\", \"c\"]\n";

fn with(rest: &str) -> String {
    format!("{HEAD}{rest}\n")
}

fn refused(rest: &str) -> String {
    match Tale::read("mine.toml", &with(rest)) {
        Ok(_) => panic!("it is read: {rest}"),
        Err(error) => error.to_string(),
    }
}

fn line(line: &str) -> String {
    refused(&format!("timeline = [\n    \"at 1 s touch basket on a\",\n    \"{line}\",\n]"))
}

fn expecting(timeline: &str, expectation: &str) -> Tale {
    let text = format!(
        "timeline = [{timeline}]\nuntil = \"12 s\"\nexpect = [\n    \"{expectation}\",\n]\n[cluster]\nidle = \"30s\"\nended_for = \"30s\""
    );
    Tale::read("mine.toml", &with(&text)).unwrap_or_else(|error| panic!("{expectation}: {error}"))
}

#[test]
fn what_a_line_names_must_be_there() {
    assert_eq!(line("at 2 s kill d"), "6: `d` is no member: a, b, c");
    assert_eq!(line("at 2 s kill a,a"), "6: a is named twice");
    assert!(line("at 2 s explode b").starts_with("6: `explode b` is nothing that happens: start b; kill b;"));
    assert!(line("kill b").starts_with("6: a line begins with `at 12 s`, `from 20 s to 30 s` or `when b is ready`"));
    assert_eq!(line("at 2 s create a on b"), "6: `a` is already the name of something else");
    assert_eq!(line("at 2 s write basket on b as basket"), "6: `basket` is already the name of something else");
    assert_eq!(line("at 2 s create all on b"), "6: `all` can be no name: lines have it as a word");
    assert!(line("at 2 s write basket on b loss=3").starts_with("6: `loss=3` says nothing of a commit:"));
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(line("at 2 x kill b"), "6: `2` is no time: a number and s, ms, us or ns, like 12.4s");
    assert_eq!(line("at 90000 s kill b"), "6: `90000s` is too late: 0 s to 86400 s");
    assert_eq!(line("from 9 s to 3 s cut a from b"), "6: it ends at 3s, and begins at 9s");
    assert_eq!(line("from 3 s to 9 s kill b"), "6: `kill b` is done at one moment: at 3 s ...");
    assert_eq!(line("at 3 s cut {a,b} from {b,c}"), "6: b is on both sides");
    assert!(line("at 3 s drop 101 % of datagrams to c").contains("`101%` is no share: 0 % to 100 %"));
    let twice = "timeline = [\n    \"from 1 s to 9 s cut a from {b,c}\",\n    \"from 5 s to 12 s cut a from b\",\n]";
    assert_eq!(refused(twice), "6: line 5 says the same of a part of this time");
    let dead = "timeline = [\n    \"at 5 s kill a\",\n    \"at 9 s pause a\",\n]";
    assert_eq!(refused(dead), "6: a does not run at 9.000000 s: no line before starts it");
    assert_eq!(
        refused("timeline = [\n    \"at 5 s start a\",\n    \"at 9 s start a\",\n]"),
        "6: a runs already at 9.000000 s"
    );
    assert_eq!(
        refused("until = \"5 s\"\ntimeline = [\"at 9 s kill a\"]"),
        "4: all ends at 5.000000 s, and the timeline goes on until 9.000000 s"
    );
}

#[test]
fn what_a_file_cannot_have_is_told_with_its_line() {
    let unknown = refused("\nwether = 3");
    assert!(unknown.starts_with("5: unknown field `wether`, expected one of `version`, `about`"), "{unknown}");
    assert_eq!(refused("[cluster]\nidle = \"30s\"\ndrop_time = \"5ms\""), "6: drop_time: must be 1s to 1h");
    let setting = refused("[cluster]\nidle = \"30s\"\ndrop = \"5ms\"");
    assert!(setting.starts_with("6: unknown field `drop`, expected one of"), "{setting}");
    assert!(refused("[cluster]\nidle = \"30 parsecs\"").starts_with("5: `30 parsecs` is not a duration"));
    assert_eq!(refused("[member.d]\nsessions_max = 5"), "4: `d` is no member: a, b, c");
    assert!(refused("[network]\nrain = 3").starts_with("5: `rain` is no part of the weather: delay_min"));
    assert_eq!(refused("[network]\nloss = 1001"), "5: loss is `1001`: 0 to 1000 of a thousand");
    let two = Tale::read("mine.toml", "version = 2\nabout = \"x\"\nmembers = [\"a\"]").unwrap_err();
    assert_eq!(two.to_string(), "1: this scenario has version 2, and version 1 is what is read here");
    assert!(
        Tale::read("mine.toml", "version = 1\nabout = \"x\"").unwrap_err().story.contains("missing field `members`")
    );
    assert!(Tale::read("mine.toml", "version = 1\n= 3").unwrap_err().to_string().starts_with("2: "));
}

#[test]
fn what_is_expected_must_mean_something() {
    let wrong = |text: &str| {
        refused(&format!("timeline = [\"at 6 s write basket on a as filled\"]\nexpect = [\n\"{text}\",\n]"))
    };
    assert!(wrong("at 9 s b flies").starts_with("6: `flies` is nothing to expect: WHO"));
    assert_eq!(wrong("at 9 s b shows trolley"), "6: `trolley` is no session and no write with a name: basket, filled");
    assert_eq!(wrong("a removes b for fun"), "6: `for fun` is no cause: left, silence, broken, refused, superseded");
    assert!(wrong("between 9 s and 3 s a removes b").contains("it must be before 3s, and after that"));
    assert!(
        wrong("at 9 s a removes b").contains("is heard at some time: between 12 s and 16 s, before, after, or never")
    );
    assert!(wrong("before 9 s a shows basket").contains("is so at a moment: at 12 s, or in the end"));
}

#[test]
fn an_expectation_that_is_not_met_is_told_with_its_file_and_line_and_what_was_instead() {
    let told = |timeline: &str, expectation: &str| {
        let violation = expecting(timeline, expectation).run().expect_err(expectation);
        assert_eq!(violation.promise, Promise::Script);
        violation.story
    };
    let kill = "'at 6 s create basket on a as filled', 'at 8 s power off b'";
    assert_eq!(
        told(kill, "at 9 s a lists c"),
        "mine.toml:7: expected `at 9 s a lists c`, but a is ready, lists b, c, and shows basket with filled"
    );
    assert_eq!(
        told(kill, "before 10 s a removes b for left"),
        "mine.toml:7: expected `before 10 s a removes b for left`, but nothing of the kind was heard"
    );
    let late = told(kill, "before 13 s a removes b for left");
    assert!(late.contains("but heard was a at 1") && late.contains("removed (Silent)"), "{late}");
    assert!(told(kill, "filled is refused").contains("but it was durable at 6.00"));
    assert!(told(kill, "never a removes b").contains("but heard was a at 1"));
    assert_eq!(told(kill, "at 7 s 2 members hold filled").split_once("but ").unwrap().1, "a, b, c hold it");
}

#[test]
fn what_is_as_expected_is_found_so() {
    let kill = "'at 6 s create basket on a as filled', 'at 8 s power off b', 'at 11 s write basket on b as more'";
    for expectation in [
        "before 4 s a is ready as first",
        "before 4 s b, c are ready as joined",
        "at 7 s every member shows basket",
        "at 7 s b holds filled",
        "at 7 s a owns basket",
        "at 7 s anybody owns basket",
        "at 13 s b is not ready",
        "filled is durable on b, c",
        "before 13 s a, c remove b for silence",
        "never anybody removes a",
        "after 20 s a, c end basket as expired",
        "2 members hold more",
        "a, c are ready",
    ] {
        if let Err(violation) = expecting(kill, expectation).run() {
            panic!("{violation}");
        }
    }
}

#[test]
fn a_story_becomes_a_plan_with_names_settings_and_links() {
    let text = with(
        "seed = 7\nlinks = [\"delay from a to b by 20 ms\"]\ntimeline = [\"from 6 s to 8 s drop 60 % of multicast to c\", \"at 7 s start b\"]\n\
         [cluster]\nidle = \"30s\"\n[member.b]\nsessions_max = 5\n[network]\nloss = \"5 %\"\nreorder = true\n\
         [[traffic]]\nfrom = \"6 s\"\nto = \"7 s\"\nevery = \"100 ms\"\nreads = \"50 %\"\n",
    );
    let tale = Tale::read("mine.toml", &text).unwrap();
    let plan = tale.plan();
    assert_eq!((plan.setup.seed, plan.setup.hosts, plan.setup.config.idle), (7, 3, Duration::from_secs(30)));
    assert_eq!((plan.setup.weather.loss, plan.setup.weather.reorder), (50, true));
    let own: Vec<usize> = plan.setup.own.values().map(|config| config.sessions_max).collect();
    assert_eq!(own, [5]);
    let count = |is: fn(&Action) -> bool| plan.actions.iter().filter(|(_, action)| is(action)).count();
    assert_eq!(count(|action| matches!(action, Action::Start(_))), 3);
    assert_eq!(count(|action| matches!(action, Action::ThinGroup(..))), 4);
    assert_eq!(count(|action| matches!(action, Action::Lag(..))), 1);
    assert_eq!(count(Action::is_of_a_client), 10);
}

#[test]
fn single_packets_have_a_fate_of_their_own() {
    let text =
        with("packets = [\"lose multicast 3 from a to b\", \"delay piece 4 from b to a by 200 ms\"]\ntimeline = []\n");
    let plan = Tale::read("mine.toml", &text).unwrap().plan().clone();
    let text = heirloom_sim::Stored::of(plan).0.to_string();
    assert!(text.contains("\npacket n0>n1 group 3 lost\npacket n1>n0 stream 4 late 0.2s\n"), "{text}");
    let text = with("packets = [\n\"lose piece 3 from a to b\"]\ntimeline = []\n");
    let story = Tale::read("mine.toml", &text).unwrap_err().to_string();
    assert!(story.contains(": `lose piece 3 from a to b` says nothing of a packet: lose, repeat or damage"), "{story}");
}

#[test]
fn a_line_may_wait_for_something() {
    let lines = "timeline = [\"when the 2nd delta reaches b cut a from b\", \"when c is ready pause b\", \"when a removes c touch basket on a\"]\n";
    let plan = Tale::read("mine.toml", &with(lines)).unwrap().plan().clone();
    let text = heirloom_sim::Stored::of(plan).0.to_string();
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with("when ")).collect();
    let cuts = ["when 2 delta reaches n1 fault cut n0>n1", "when 2 delta reaches n1 fault cut n1>n0"];
    assert_eq!(
        told,
        [&cuts[..], &["when 1 n2 ready fault pause n1", "when 1 n0 removes n2 client n0 touch s1"]].concat()
    );
    for wrong in ["when the zeroth delta reaches b kill a", "when b sleeps kill a", "when"] {
        let story = Tale::read("mine.toml", &with(&format!("timeline = [\"{wrong}\"]"))).unwrap_err().to_string();
        assert!(story.contains("waits for nothing: when the first feed") || story.contains("a line begins"), "{story}");
    }
}
