//! What drives the member: the driver for threads or that for smol. Which one makes no difference to anybody else.

use core::time::Duration;
use std::{io, sync::Arc};

use heirloom_core::Config;
use heirloom_runtime::{Handle, Poller, Ready, Settings, StartError};

/// Which driver is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// Waits in the kernel.
    #[default]
    Std,
    /// Waits in async-io.
    Smol,
}

impl Runtime {
    /// Runs a future on this thread, which under smol is also that of the reactor: nothing it waits for needs another.
    pub(crate) fn block_on<T>(self, future: impl Future<Output = T>) -> T {
        match self {
            Self::Std => smol::future::block_on(future),
            Self::Smol => smol::block_on(future),
        }
    }
}

/// The driver that was chosen.
#[derive(Debug)]
pub(crate) enum Driver {
    Std(heirloom_std::Driver),
    Smol(heirloom_smol::Driver),
}

impl Driver {
    /// Opens the sockets and makes the node.
    pub(crate) fn new(
        runtime: Runtime,
        settings: Settings,
        config: Config,
        poller: Arc<Poller>,
    ) -> Result<(Self, Handle), StartError> {
        match runtime {
            Runtime::Std => {
                heirloom_std::Driver::new(settings, config, poller).map(|(driver, handle)| (Self::Std(driver), handle))
            }
            Runtime::Smol => heirloom_smol::Driver::new(settings, config, poller)
                .map(|(driver, handle)| (Self::Smol(driver), handle)),
        }
    }

    pub(crate) fn turn(&mut self, ready: &[Ready]) -> io::Result<()> {
        match self {
            Self::Std(driver) => driver.turn(ready),
            Self::Smol(driver) => driver.turn(ready),
        }
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Std(driver) => driver.timeout(),
            Self::Smol(driver) => driver.timeout(),
        }
    }

    /// Waits for the sockets of the poller. The driver for threads blocks in it.
    pub(crate) async fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Std(driver) => driver.poller().wait(ready, timeout),
            Self::Smol(driver) => driver.wait(ready, timeout).await,
        }
    }

    pub(crate) fn cork(&mut self) {
        match self {
            Self::Std(driver) => driver.cork(),
            Self::Smol(driver) => driver.cork(),
        }
    }

    pub(crate) async fn finish(self) {
        match self {
            Self::Std(driver) => driver.finish(),
            Self::Smol(driver) => driver.finish().await,
        }
    }
}
