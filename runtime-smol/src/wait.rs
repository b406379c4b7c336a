//! Waiting for a poller, or for a time, without blocking the thread.

use core::{borrow::Borrow, time::Duration};
use std::{io, os::fd::AsFd};

use async_io::{Async, Timer};
use futures_lite::future;
use heirloom_runtime::{Poller, Ready};

/// A poller that stands in async-io's own, and one timer for all its waits.
#[derive(Debug)]
pub(crate) struct Wait<P> {
    poller: Async<P>,
    timer: Timer,
}

impl<P: Borrow<Poller> + AsFd> Wait<P> {
    pub(crate) fn new(poller: P) -> io::Result<Self> {
        Ok(Self { poller: Async::new_nonblocking(poller)?, timer: Timer::never() })
    }

    /// Waits until something is ready, the poller is notified, or the time has passed; replaces what is in `ready`. It
    /// always lets others run once.
    pub(crate) async fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        match timeout {
            Some(Duration::ZERO) => future::yield_now().await,
            Some(length) => {
                self.timer.set_after(length);
                let timer = async {
                    (&mut self.timer).await;
                    Ok(())
                };
                future::or(self.poller.readable(), timer).await?;
            }
            None => self.poller.readable().await?,
        }
        self.poller.get_ref().borrow().wait(ready, Some(Duration::ZERO))
    }
}
