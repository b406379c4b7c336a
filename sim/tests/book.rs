//! The book: every scenario in `scenarios` goes as it says, and no two of them tell the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use heirloom_sim::Tale;

fn book() -> Vec<(String, Tale)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut paths: Vec<_> = fs::read_dir(&folder).expect("it is there").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read_to_string(path).expect("it can be read");
        let tale = Tale::read(&name, &text).unwrap_or_else(|error| panic!("{name}:{error}"));
        (name, tale)
    };
    paths.iter().map(|path| read(path)).collect()
}

#[test]
fn every_scenario_of_the_book_goes_as_it_says() {
    let told: Vec<String> = book().iter().filter_map(|(_, tale)| Some(tale.run().err()?.to_string())).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn every_scenario_of_the_book_expects_something_and_names_a_fault_that_it_catches() {
    let known: BTreeSet<&str> = heirloom_core::planted::Bug::ALL.iter().map(|(name, _)| *name).collect();
    for (name, tale) in book() {
        assert!(0 < tale.expectations() && !tale.about().is_empty(), "{name}");
        assert!(!tale.catches().is_empty(), "{name} names no fault that it catches");
        for fault in tale.catches() {
            assert!(known.contains(fault.as_str()), "{name}: there is no planted fault `{fault}`");
        }
    }
}

/// Each fault that can be planted is caught by some story.
#[test]
fn the_book_catches_every_planted_fault() {
    let caught: BTreeSet<String> = book().iter().flat_map(|(_, tale)| tale.catches().to_vec()).collect();
    for (fault, _) in heirloom_core::planted::Bug::ALL {
        assert!(caught.contains(fault), "no scenario catches `{fault}`");
    }
}

#[test]
fn no_two_scenarios_of_the_book_have_the_same_timeline() {
    let mut told = BTreeMap::new();
    for (name, tale) in book() {
        let other = told.insert(format!("{:?}", tale.plan().actions), name.clone());
        assert_eq!(other, None, "{name} tells the same");
    }
}
