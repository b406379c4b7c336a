//! A record of a run, and what is made of it.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_sim::{
    Choice, HostId, Plan, Record, Tale, Trial,
    clients::key,
    record::{Fate, Happened, State, Step, Way},
    show::{Filter, KINDS, json, moment, page, svg, text},
    stats,
};

/// What is written down about a run is seen from outside: it is the same run, to the last byte.
#[test]
fn a_record_changes_nothing_in_a_run() {
    for seed in 0..4 {
        let plan = Plan::draw(seed, Choice::Any);
        let (trial, plain) = (Record::of(&plan).0, Trial::of(&plan));
        assert_eq!((trial.result, trial.checks), (plain.result, plain.checks));
    }
}

#[test]
fn a_record_tells_of_states_copies_and_commits_of_a_failover() {
    let record = failover();
    let mut states = Vec::new();
    let mut owners = BTreeSet::new();
    for entry in &record.entries {
        if let Happened::State(HostId(0), state) = entry.what {
            states.push(state);
        }
        if let Happened::Copy(_, session, Some(copy)) = &entry.what
            && *session == key(1)
        {
            owners.extend(copy.owner);
        }
    }
    assert_eq!(states[..5], [State::Joining, State::Ready, State::Down, State::Joining, State::Ready]);
    assert!(1 < owners.len(), "another took it over");
    let mut steps: BTreeMap<u64, Vec<&Step>> = BTreeMap::new();
    for entry in &record.entries {
        if let Happened::Commit(_, _, serial, step) = &entry.what {
            steps.entry(serial.0).or_default().push(step);
        }
    }
    assert!(matches!(steps[&1][..], [Step::Taken, Step::Durable(have)] if have.len() == 2), "{:?}", steps[&1]);
}

/// What is sent to who does not run is lost, what arrives does so after it was sent, and most of it does.
#[test]
fn a_record_tells_what_became_of_messages() {
    let record = failover();
    let mut is_down = BTreeSet::new();
    let (mut arrived, mut lost) = (0, 0);
    for entry in &record.entries {
        if let Happened::State(host, state) = &entry.what {
            is_down.remove(host);
            is_down.extend(Some(*host).filter(|_| *state == State::Down));
        }
        if let Happened::Message(message) = &entry.what {
            let is_for_nobody = is_down.contains(&message.to) && message.way != Way::Stream;
            assert!(!is_for_nobody || message.fate == Fate::Lost, "{message:?}");
            assert_eq!(message.arrived.is_none(), message.fate == Fate::Lost);
            assert!(message.arrived.is_none_or(|at| entry.at <= at) && !message.kinds.is_empty());
            *if message.arrived.is_some() { &mut arrived } else { &mut lost } += 1;
        }
    }
    assert!(1000 < arrived && 0 < lost, "{arrived} arrived, {lost} lost");
}

#[test]
fn text_has_a_column_for_each_member_and_a_line_for_each_change() {
    let record = failover();
    let all = text(&record, &Filter::default());
    assert!(all.contains("    7.002000  [-]   R    R    R    state     n0 is down\n"), "{all}");
    assert!(!all.contains(" beat "), "messages are not asked for");
    let part = Filter { session: Some(key(1)), kinds: vec!["copy".into(), "delta".into()], ..Filter::default() };
    let part = text(&record, &part);
    let first = "    6.000000  [R*]  R    R    R    copy      n0 holds s1 with #1, owned by n0\n";
    assert!(part.contains(first) && part.contains(" message   n0 to n1: feed, delta s1 ("), "{part}");
    assert!(!part.contains(" holds s2"), "{part}");
}

#[test]
fn every_line_of_json_has_a_time_a_kind_and_a_text() {
    let record = failover();
    let kinds = Filter { kinds: KINDS.map(String::from).to_vec(), ..Filter::default() };
    let lines: Vec<String> = json(&record, &kinds).collect();
    assert_eq!(lines.len(), record.entries.len());
    let mut before = 0;
    for line in lines {
        let object: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        let at = object["at_ns"].as_u64().expect("it has a time");
        assert!(before <= at && KINDS.contains(&object["kind"].as_str().unwrap()) && object["text"].is_string());
        assert!(object["kind"] != "message" || object["sessions"].is_array() && object["fate"].is_string(), "{line}");
        before = at;
    }
}

/// Nothing in a page comes from elsewhere, and the record in it can be read whatever the title is.
#[test]
fn a_page_stands_alone() {
    let record = failover();
    let page = page(&record, "a </script> & more", "heirloom-sim run failover");
    for wrong in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
    assert!(!page.contains("{record}") && !page.contains("{lanes}"), "every part is there");
    let data = page.split("id=\"record\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
    let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    assert_eq!(data["messages"].as_array().unwrap().len(), record.messages().count() * 8);
    assert_eq!(data["entries"].as_array().unwrap().len() + record.messages().count(), record.entries.len());
    assert_eq!((&data["hosts"], &data["title"]), (&4.into(), &"a </script> & more".into()));
}

/// The picture of the README is what the program makes of that scenario. Where a member sent something a little earlier
/// or later is not compared: numbers are left out.
#[test]
fn the_picture_of_a_failover_is_what_the_program_makes() {
    let (from, to) = (moment("6.9985s").ok(), moment("7.0045s").ok());
    let made = svg(&failover(), &Filter { session: Some(key(1)), from, to, ..Filter::default() });
    let opened = made.matches('<').count();
    assert_eq!(made.matches("/>").count() * 2 + made.matches("</").count() * 2 - made.matches("/>").count(), opened);
    let plain = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let stored = include_str!("../../docs/failover.svg");
    assert!(
        plain(stored) == plain(&made),
        "write it anew: heirloom-sim show failover --svg docs/failover.svg --session s1 --from 6.9985s --to 7.0045s"
    );
}

#[test]
fn faults_that_begin_and_end_together_are_one_band() {
    let tale: Tale = include_str!("../scenarios/split.toml").parse().expect("it is a scenario");
    let bands = Record::of(tale.plan()).1.bands();
    assert!(bands.iter().any(|band| band.text.starts_with("cut n0 ") && band.text.contains(" | ")), "{bands:?}");
    assert!(bands.iter().all(|band| band.from < band.to));
}

#[test]
fn numbers_of_a_run_tell_of_traffic_writes_deaths_and_memory() {
    let told = stats(&failover());
    for part in [
        "  datagrams to the group ",
        "  with delta ",
        "  durable ",
        "  n0 was killed at 7.002000 s: out of the first view after 0.000",
        "1 of its 1 sessions owned by others after 0.000",
        "  held by n2 ",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

fn failover() -> Record {
    let tale: Tale = include_str!("../scenarios/failover.toml").parse().expect("it is a scenario");
    let (trial, record) = Record::of(tale.plan());
    assert!(trial.result.is_ok());
    record
}
