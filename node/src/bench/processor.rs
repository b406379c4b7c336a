//! Processor time of processes and threads, as Linux tells it; elsewhere nothing is known.

use core::time::Duration;
use std::{fs, path::Path};

use rustix::time::{ClockId, clock_gettime};

/// What a process has used, all its threads that still run.
pub(super) fn of_process(pid: u32) -> Option<Duration> {
    of_tasks(&format!("/proc/{pid}/task"), |_| true)
}

/// What the threads of this process with this name have used.
pub(super) fn of_threads(name: &str) -> Option<Duration> {
    let is_named = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    of_tasks("/proc/self/task", is_named)
}

/// What this process has used, threads that have ended included.
pub(super) fn of_this() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// How many threads wanted a processor in the last minute, on average.
pub(super) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn of_tasks(tasks: &str, is_meant: impl Fn(&Path) -> bool) -> Option<Duration> {
    let tasks = fs::read_dir(tasks).ok()?.filter_map(Result::ok).map(|task| task.path());
    let used: Vec<Duration> = tasks.filter(|task| is_meant(task)).filter_map(|task| of_task(&task)).collect();
    (!used.is_empty()).then(|| used.into_iter().sum())
}

/// The first number of `schedstat` is the time on a processor, in nanoseconds.
fn of_task(task: &Path) -> Option<Duration> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_process_that_runs_has_used_some() {
        let of_all = of_process(process::id()).unwrap();
        assert!(Duration::ZERO < of_all && Duration::ZERO < of_this());
        assert_eq!(of_threads("no such thread"), None);
        assert!(load().is_some());
    }
}
