//! The small measurements by time: `cargo bench -p heirloom-benches`.
//!
//! Tables that are there for their size have 100,000 sessions, or as many as `SESSIONS` says.

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use heirloom_benches::micro;
use heirloom_core::{Delta, Durability};
use heirloom_tests::Lab;

fn main() {
    let large = env::var("SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for recipe in micro::recipes(large) {
        for mut case in recipe() {
            let mut group = criterion.benchmark_group("core");
            group.throughput(Throughput::Elements(case.operations)).warm_up_time(Duration::from_millis(300));
            group.measurement_time(Duration::from_secs(2)).bench_function(&case.name, |bencher| {
                bencher.iter_custom(|times| {
                    let shots = (0..times).map(|_| {
                        let shot = (case.prepare)();
                        let began = Instant::now();
                        shot();
                        began.elapsed()
                    });
                    shots.sum()
                });
            });
            group.finish();
        }
    }
    reads(&mut criterion);
    criterion.final_summary();
}

/// Reads of an application through the handle, and apart from them the hashing of an id.
fn reads(criterion: &mut Criterion) {
    let lab = Lab::default();
    let member = lab.start(lab.settings(), lab.config());
    member.handle.start_alone();
    member.await_ready(0);
    let handle = &member.handle;
    let key = |session: u32| handle.key(0, &session.to_le_bytes()).expect("the id is short");
    let keys: Vec<_> = (0..1_000).map(key).collect();
    for key in &keys {
        let delta = Delta::new().set("user", vec![b'x'; 1024]);
        handle.commit(*key, delta, Durability::Local).wait().expect("the member serves");
    }
    let mut group = criterion.benchmark_group("handle");
    let mut next = (0..keys.len()).cycle();
    group.bench_function("read a session by its key", |bencher| {
        bencher.iter(|| handle.session(&keys[next.next().unwrap_or_default()]).expect("it is there"));
    });
    group.bench_function("hash an id", |bencher| bencher.iter(|| key(black_box(7))));
    group.finish();
    member.stop();
}
