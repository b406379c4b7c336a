//! The small measurements by time: `cargo bench -p heirloom-benches`.
//!
//! Tables that are there for their size have 100,000 sessions, or as many as `SESSIONS` says.

use std::{
    env,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use heirloom_benches::micro;

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
    criterion.final_summary();
}
