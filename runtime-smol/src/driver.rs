//! The driver and the task that runs it.

use core::time::Duration;
use std::{io, sync::Arc};

use heirloom_core::Config;
use heirloom_runtime::{Closing, Handle, Loop, Poller, Ready, Settings, StartError};
use smol::{Executor, Task};

use crate::wait::Wait;

/// A node with its sockets, and the turns that keep it alive.
///
/// When it is dropped, alone or within the future of [`Driver::run`], the node stops at once: others find out, and whoever
/// waits for it is answered `Gone`.
#[derive(Debug)]
pub struct Driver {
    // It holds on to the poller: it goes out of async-io's before the poller can be closed.
    wait: Wait<Arc<Poller>>,
    node: Loop,
}

impl Driver {
    /// Opens the sockets and makes the node. What the driver adds to the poller has tokens from
    /// [`heirloom_runtime::DRIVER_TOKENS`] on; all below are the caller's.
    ///
    /// # Errors
    ///
    /// Why it could not start; nothing is left open.
    pub fn new(settings: Settings, config: Config, poller: Arc<Poller>) -> Result<(Self, Handle), StartError> {
        let (node, handle) = Loop::start(&settings, config, Arc::clone(&poller))?;
        let address = handle.address();
        let wait = Wait::new(poller).map_err(|source| StartError::Poller { address, source })?;
        Ok((Self { wait, node }, handle))
    }

    /// One turn: the sockets that are ready, what callers left, what is due; then sends, publishes and answers commits.
    ///
    /// # Errors
    ///
    /// If a thread has panicked with the node in its hands. The node cannot go on.
    pub fn turn(&mut self, ready: &[Ready]) -> io::Result<()> {
        self.node.turn(ready)
    }

    /// How long the caller may wait before the next turn. To be asked after the last turn.
    pub fn timeout(&self) -> Option<Duration> {
        self.node.timeout()
    }

    /// Waits until something is ready, the poller is notified, or the time has passed. Replaces what is in `ready`. May be
    /// dropped and called again.
    ///
    /// # Errors
    ///
    /// Those of the poller and of async-io.
    pub async fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.wait.wait(ready, timeout).await
    }

    /// Until the next turn nothing is sent: what is committed till then goes out together.
    pub fn cork(&mut self) {
        self.node.cork();
    }

    /// The node has left the cluster, or nobody holds a handle any more.
    pub fn is_over(&self) -> bool {
        self.node.is_over()
    }

    /// Ends the node; what was written last gets a moment to arrive, two seconds at most.
    pub async fn finish(self) {
        let Self { wait, node } = self;
        drop(wait);
        if let Some(closing) = node.close() {
            // Without a wait the streams are closed at once.
            let _cut_short = close(closing).await;
        }
    }

    /// Waits and turns until the node has left or every handle is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`Driver::wait`] and of [`Driver::turn`].
    pub async fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        while !self.is_over() {
            self.wait(&mut ready, self.timeout()).await?;
            self.turn(&ready)?;
        }
        self.finish().await;
        Ok(())
    }
}

async fn close(mut closing: Closing) -> io::Result<()> {
    let mut ready = Vec::new();
    let mut wait = Wait::new(Arc::clone(closing.poller()))?;
    while !closing.is_over() {
        wait.wait(&mut ready, Some(closing.timeout())).await?;
        closing.turn(&ready);
    }
    Ok(())
}

/// Starts a task that runs a driver of its own. It ends when the node has left or every handle is dropped; to drop it
/// stops the node at once.
///
/// # Errors
///
/// Why it could not start; nothing is left open.
pub fn spawn(
    executor: &Executor<'_>,
    settings: Settings,
    config: Config,
) -> Result<(Handle, Task<io::Result<()>>), StartError> {
    let address = settings.bind;
    let poller = Poller::new().map_err(|source| StartError::Poller { address, source })?;
    let (driver, handle) = Driver::new(settings, config, Arc::new(poller))?;
    Ok((handle, executor.spawn(driver.run())))
}
