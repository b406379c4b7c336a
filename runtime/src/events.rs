//! Waiting for what the node has to say.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::time::Instant;

use heirloom_core::{AtRisk, Event, Message};

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

/// Resolves when the node has left the cluster, with what was at risk then, or its driver has stopped: then `None`. The node
/// leaves whether it is awaited or not, but not without a driver: as long as this is held, it runs.
#[derive(Debug)]
pub struct Left {
    waiter: Option<Waiter<AtRisk>>,
    at_risk: Option<AtRisk>,
    _handle: Handle,
}

impl Left {
    pub(crate) fn new(waiter: Waiter<AtRisk>, handle: Handle) -> Self {
        Self { waiter: Some(waiter), at_risk: None, _handle: handle }
    }

    /// Blocks until it has left.
    pub fn wait(mut self) -> Option<AtRisk> {
        match &mut self.waiter {
            Some(waiter) => waiter.wait().ok(),
            None => self.at_risk,
        }
    }

    /// Blocks until it has left, or gives up waiting after this long.
    pub fn wait_for(&mut self, length: Duration) -> Option<Option<AtRisk>> {
        if let Some(waiter) = &mut self.waiter {
            self.at_risk = waiter.wait_for(length)?.ok();
            self.waiter = None;
        }
        Some(self.at_risk)
    }
}

impl Future for Left {
    type Output = Option<AtRisk>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AtRisk>> {
        if let Some(waiter) = &mut self.waiter {
            let Poll::Ready(at_risk) = waiter.poll(context.waker()) else { return Poll::Pending };
            self.at_risk = at_risk.ok();
            self.waiter = None;
        }
        Poll::Ready(self.at_risk)
    }
}
