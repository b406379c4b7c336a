//! The processes that were started for something: none outlives it.
//!
//! They end with the value that holds them, so also when what they are for fails, and when a signal ends it.

use std::{
    io,
    process::{self, Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// All processes that were started. Dropping it kills those that still run.
#[derive(Debug)]
pub(crate) struct Children {
    all: Arc<Mutex<Vec<Child>>>,
}

/// One of the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChildId(usize);

impl Children {
    /// None yet; from now on a signal that ends this process ends them too.
    ///
    /// # Errors
    ///
    /// When signals cannot be taken.
    pub(crate) fn new() -> io::Result<Self> {
        let all = Arc::new(Mutex::new(Vec::new()));
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let doomed = Arc::clone(&all);
        let watch = move || {
            if let Some(signal) = signals.forever().next() {
                // Never unlocked again, so that nothing is started after this.
                let mut children = lock(&doomed);
                end(&mut children);
                process::exit(128 + signal);
            }
        };
        thread::Builder::new().name("signals".into()).spawn(watch)?;
        Ok(Self { all })
    }

    /// Starts a process and gives it to `take`, which may have its pipes.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start<T>(
        &self,
        command: &mut Command,
        take: impl FnOnce(&mut Child) -> T,
    ) -> io::Result<(ChildId, T)> {
        let mut all = lock(&self.all);
        let mut child = command.spawn()?;
        let taken = take(&mut child);
        all.push(child);
        Ok((ChildId(all.len() - 1), taken))
    }

    /// Ends a process at once, as `kill -9` does. Does nothing to one that has ended.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub(crate) fn kill(&self, child: ChildId) -> io::Result<()> {
        lock(&self.all)[child.0].kill()
    }

    /// Asks a process to end. Does nothing to one that has ended.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub(crate) fn terminate(&self, child: ChildId) -> io::Result<()> {
        let child = &mut lock(&self.all)[child.0];
        // Until it has been waited for, its number is nobody else's.
        match child.try_wait()? {
            Some(_) => Ok(()),
            None => Ok(kill_process(Pid::from_child(child), Signal::TERM)?),
        }
    }

    /// How a process has ended; `None` while it runs.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub(crate) fn ended(&self, child: ChildId) -> io::Result<Option<ExitStatus>> {
        lock(&self.all)[child.0].try_wait()
    }

    /// The number of a process.
    pub(crate) fn pid(&self, child: ChildId) -> u32 {
        lock(&self.all)[child.0].id()
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        end(&mut lock(&self.all));
    }
}

fn end(children: &mut [Child]) {
    for child in children.iter_mut() {
        // One that has ended is not there to be killed.
        let _gone = child.kill();
    }
    for child in children {
        let _gone = child.wait();
    }
}

/// Whoever panicked while it held the lock has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_started_ends_with_its_guard() {
        let children = Children::new().unwrap();
        let (sleeper, pid) = children.start(Command::new("sleep").arg("600"), |child| child.id()).unwrap();
        assert_eq!(children.pid(sleeper), pid);
        assert_eq!(children.ended(sleeper).unwrap(), None);
        drop(children);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
