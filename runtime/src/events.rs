//! Waiting for what the node has to say.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::time::Instant;

use heirloom_core::{Event, Message};

use crate::{blocking::block_on, completion::Waiter, handle::Handle};

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

/// The next message of the application of another member, awaited in a task or on a thread; `None` once the driver has
/// stopped and all messages are read.
///
/// All handles of a node share one stream of messages: each goes to one reader. It can be dropped at any time without
/// losing one. What comes while `messages_max` of them wait is dropped and counted (`messages_dropped`).
#[derive(Debug)]
#[must_use = "a message is read only when it is awaited"]
pub struct NextMessage {
    handle: Handle,
}

impl NextMessage {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Blocks until there is a message.
    pub fn wait(self) -> Option<Message> {
        block_on(self, None).flatten()
    }

    /// Blocks until there is a message, or gives up after this long.
    pub fn wait_for(&mut self, length: Duration) -> Option<Option<Message>> {
        block_on(self, Instant::now().checked_add(length))
    }

    /// The message if there is one; `None` also at the end.
    pub fn try_now(&mut self) -> Option<Message> {
        self.handle.poll_message(None).map_or(None, |message| message)
    }
}

impl Future for NextMessage {
    type Output = Option<Message>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.handle.poll_message(Some(context.waker())) {
            Ok(Some(message)) => Poll::Ready(Some(message)),
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
