//! One result on its way from whoever makes it to whoever waits, on a thread or in a task.
//!
//! What always holds: a [`Waiter`] gets exactly one result. If its [`Completer`] is dropped without a word the result is
//! [`Gone`], so nobody waits for a thing that has ceased to be.

use core::{
    task::{Poll, Waker},
    time::Duration,
};
use std::{sync::PoisonError, time::Instant};

use crate::sync::{Arc, Condvar, Mutex, Step, lock};

/// Makes the two ends.
pub(crate) fn completion<T>() -> (Completer<T>, Waiter<T>) {
    let state = State::Pending { waker: None, blocked: false };
    let slot = Arc::new(Slot { state: Mutex::new(state), done: Condvar::new() });
    (Completer { slot: Arc::clone(&slot) }, Waiter { slot })
}

/// Nobody will give a result any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// The end that gives the result.
#[derive(Debug)]
pub(crate) struct Completer<T> {
    slot: Arc<Slot<T>>,
}

impl<T> Completer<T> {
    pub(crate) fn complete(self, result: T) {
        self.slot.settle(Ok(result));
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        self.slot.settle(Err(Gone));
    }
}

/// The end that gets the result.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    slot: Arc<Slot<T>>,
}

impl<T> Waiter<T> {
    /// Blocks this thread until the result is there.
    pub(crate) fn wait(&mut self) -> Result<T, Gone> {
        let mut state = lock(&self.slot.state);
        loop {
            if let Some(result) = state.take() {
                return result;
            }
            state.block();
            state = self.slot.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Blocks this thread until the result is there or the time has passed.
    pub(crate) fn wait_for(&mut self, length: Duration) -> Option<Result<T, Gone>> {
        let until = Instant::now().checked_add(length);
        let mut state = lock(&self.slot.state);
        loop {
            if let Some(result) = state.take() {
                return Some(result);
            }
            let Some(until) = until else {
                drop(state);
                return Some(self.wait());
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state.block();
            (state, _) = self.slot.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The result if it is there.
    pub(crate) fn try_now(&mut self) -> Option<Result<T, Gone>> {
        lock(&self.slot.state).take()
    }

    /// The result if it is there; else the waker is woken once it is.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<T, Gone>> {
        let mut state = lock(&self.slot.state);
        match state.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.wake_later(waker);
                Poll::Pending
            }
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

impl<T> Slot<T> {
    /// The first result stays: the drop that follows each `complete` finds it settled.
    fn settle(&self, result: Result<T, Gone>) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Pending { .. }) {
            return;
        }
        let State::Pending { waker, blocked } = core::mem::replace(&mut *state, State::Done(result)) else { return };
        drop(state);
        if blocked && !Step::NotifyThread.is_missing() {
            self.done.notify_all();
        }
        if let Some(waker) = waker
            && !Step::WakeTask.is_missing()
        {
            waker.wake();
        }
    }
}

#[derive(Debug)]
enum State<T> {
    /// `blocked`: a thread sleeps on the condition variable. Telling it costs a system call even when there is none.
    Pending {
        waker: Option<Waker>,
        blocked: bool,
    },
    Done(Result<T, Gone>),
    Taken,
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Result<T, Gone>> {
        match core::mem::replace(self, Self::Taken) {
            pending @ Self::Pending { .. } => {
                *self = pending;
                None
            }
            Self::Done(result) => Some(result),
            Self::Taken => panic!("a result is taken once"),
        }
    }

    fn block(&mut self) {
        if let Self::Pending { blocked, .. } = self {
            *blocked = true;
        }
    }

    fn wake_later(&mut self, new: &Waker) {
        if let Self::Pending { waker, .. } = self {
            match waker {
                Some(old) => old.clone_from(new),
                None => *waker = Some(new.clone()),
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{task::Wake, thread};

    use super::*;
    use crate::sync::{AtomicBool, Ordering};

    #[test]
    fn a_result_reaches_a_thread_that_waits() {
        let (completer, mut waiter) = completion();
        let waiting = thread::spawn(move || waiter.wait());
        completer.complete(7);
        assert_eq!(waiting.join().unwrap(), Ok(7));
    }

    #[test]
    fn a_dropped_completer_says_that_it_is_gone() {
        let (completer, mut waiter) = completion::<()>();
        assert_eq!(waiter.try_now(), None);
        drop(completer);
        assert_eq!(waiter.wait_for(Duration::from_secs(10)), Some(Err(Gone)));
    }

    #[test]
    fn a_wait_ends_when_its_time_has_passed_and_the_result_can_still_come() {
        let (completer, mut waiter) = completion();
        assert_eq!(waiter.wait_for(Duration::from_millis(1)), None);
        completer.complete(1);
        assert_eq!(waiter.wait_for(Duration::MAX), Some(Ok(1)));
    }

    #[test]
    fn a_task_is_woken() {
        let (completer, mut waiter) = completion();
        let flag = Arc::new(Flag::default());
        assert!(waiter.poll(&Arc::clone(&flag).into()).is_pending());
        assert!(!flag.0.load(Ordering::SeqCst));
        completer.complete(1);
        assert!(flag.0.load(Ordering::SeqCst));
        assert_eq!(waiter.poll(Waker::noop()), Poll::Ready(Ok(1)));
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}
