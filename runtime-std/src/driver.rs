//! The driver and the thread that runs it.

use core::time::Duration;
use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use heirloom_core::Config;
use heirloom_runtime::{Handle, Loop, Poller, Ready, Settings, StartError};

/// A node with its sockets, and the turns that keep it alive.
///
/// When it is dropped the node stops at once: others find out, and whoever waits for it is answered `Gone`.
#[derive(Debug)]
pub struct Driver {
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
        let (node, handle) = Loop::start(&settings, config, poller)?;
        Ok((Self { node }, handle))
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

    /// Until the next turn nothing is sent: what is committed till then goes out together.
    pub fn cork(&mut self) {
        self.node.cork();
    }

    /// The node has left the cluster, or nobody holds a handle any more.
    pub fn is_over(&self) -> bool {
        self.node.is_over()
    }

    /// What the sockets are added to.
    pub fn poller(&self) -> &Arc<Poller> {
        self.node.poller()
    }

    /// Ends the node; what was written last gets a moment to arrive, two seconds at most.
    pub fn finish(self) {
        self.node.finish();
    }

    /// Waits and turns until the node has left or every handle is dropped.
    ///
    /// # Errors
    ///
    /// Those of the poller and of [`Driver::turn`].
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        while !self.is_over() {
            self.node.poller().wait(&mut ready, self.timeout())?;
            self.turn(&ready)?;
        }
        self.finish();
        Ok(())
    }
}

/// Starts a thread that runs a driver of its own. It ends when the node has left or every handle is dropped.
///
/// # Errors
///
/// Why it could not start; nothing is left open.
pub fn spawn(settings: Settings, config: Config) -> Result<(Handle, JoinHandle<io::Result<()>>), StartError> {
    let address = settings.bind;
    let poller = Poller::new().map_err(|source| StartError::Poller { address, source })?;
    let (driver, handle) = Driver::new(settings, config, Arc::new(poller))?;
    let address = handle.address();
    let thread = thread::Builder::new().name(format!("heirloom {}", address.port()));
    let thread = thread.spawn(move || driver.run()).map_err(|source| StartError::Thread { address, source })?;
    Ok((handle, thread))
}
