//! Every plan that is kept: the failures of the past.

use std::{fs, path::Path};

use heirloom_sim::Stored;

fn plans(folder: &str) -> Vec<(String, Stored)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder).expect("it is there").flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "plan"));
    paths.sort();
    let read = |path: &Path| {
        let name = path.display().to_string();
        let stored = fs::read_to_string(path).expect("it can be read").parse();
        (name.clone(), stored.unwrap_or_else(|error| panic!("{name}:{error}")))
    };
    paths.iter().map(|path| read(path)).collect()
}

/// A plan that was stored for a broken promise keeps it by now. Whether it is still the same story is told, not judged.
#[test]
fn every_stored_plan_keeps_every_promise() {
    let all = plans("plans");
    assert!(4 <= all.len());
    for (name, stored) in all {
        let replayed = stored.replay();
        assert!(replayed.trial.result.is_ok(), "{name}: {:?}", replayed.trial.result);
        if let Some(check) = replayed.drifted {
            println!("{name} has drifted before {} things were sent", check.count);
        }
    }
}
