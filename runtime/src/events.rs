//! Waiting for what the node has to say.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    sync::Arc,
    task::Wake,
    thread::{self, Thread},
    time::Instant,
};

use heirloom_core::Event;

use crate::{completion::Waiter, handle::Handle};

/// The next event, awaited in a task or on a thread; `None` once the driver has stopped and all events are read.
///
/// All handles of a node share one stream of events: each event goes to one reader. It can be dropped at any time
/// without losing one.
#[derive(Debug)]
#[must_use = "an event is read only when it is awaited"]
pub struct NextEvent {
    handle: Handle,
}

impl NextEvent {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Blocks until there is an event.
    pub fn wait(self) -> Option<Event> {
        block_on(self, None).flatten()
    }

    /// Blocks until there is an event, or gives up after this long.
    pub fn wait_for(&mut self, length: Duration) -> Option<Option<Event>> {
        block_on(self, Instant::now().checked_add(length))
    }

    /// The event if there is one; `None` also at the end.
    pub fn try_now(&mut self) -> Option<Event> {
        self.handle.poll_event(None).map_or(None, |event| event)
    }
}

impl Future for NextEvent {
    type Output = Option<Event>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.handle.poll_event(Some(context.waker())) {
            Ok(Some(event)) => Poll::Ready(Some(event)),
            Ok(None) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    }
}

/// Resolves when the node has left the cluster, or its driver has stopped. The node leaves whether it is awaited or not,
/// but not without a driver: as long as this is held, it runs.
#[derive(Debug)]
pub struct Left {
    waiter: Option<Waiter<()>>,
    _handle: Handle,
}

impl Left {
    pub(crate) fn new(waiter: Waiter<()>, handle: Handle) -> Self {
        Self { waiter: Some(waiter), _handle: handle }
    }

    /// Blocks until it has left.
    pub fn wait(self) {
        if let Some(mut waiter) = self.waiter {
            // Gone and left are the same here.
            let _ = waiter.wait();
        }
    }

    /// Blocks until it has left, and answers so, or gives up waiting after this long.
    pub fn wait_for(&mut self, length: Duration) -> bool {
        if self.waiter.as_mut().is_some_and(|waiter| waiter.wait_for(length).is_none()) {
            return false;
        }
        self.waiter = None;
        true
    }
}

impl Future for Left {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.waiter.as_mut().is_some_and(|waiter| waiter.poll(context.waker()).is_pending()) {
            return Poll::Pending;
        }
        self.waiter = None;
        Poll::Ready(())
    }
}

/// Polls a future on this thread until it is ready or the time has come.
fn block_on<F: Future + Unpin>(mut future: F, until: Option<Instant>) -> Option<F::Output> {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut context) {
            return Some(output);
        }
        let Some(until) = until else {
            thread::park();
            continue;
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}
