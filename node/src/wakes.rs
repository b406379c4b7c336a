//! Who was woken: the tokens of clients whose writes are decided, and of the program's own waits.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
    thread::{self, ThreadId},
};

use heirloom_runtime::Poller;

/// The tokens that were woken since they were last taken.
pub(crate) struct Wakes {
    tokens: Mutex<Vec<u64>>,
    poller: Arc<Poller>,
    /// The thread that waits at the poller: what it wakes itself it will see before it waits.
    thread: ThreadId,
}

struct TokenWaker {
    token: u64,
    wakes: Arc<Wakes>,
}

impl Wakes {
    /// Wakes for the thread that calls this.
    pub(crate) fn new(poller: Arc<Poller>) -> Arc<Self> {
        Arc::new(Self { tokens: Mutex::default(), poller, thread: thread::current().id() })
    }

    /// A waker that notes this token.
    pub(crate) fn waker(self: &Arc<Self>, token: u64) -> Waker {
        Arc::new(TokenWaker { token, wakes: self.clone() }).into()
    }

    /// Takes what was woken; `tokens` must be empty, and its memory is used again.
    pub(crate) fn take(&self, tokens: &mut Vec<u64>) {
        assert!(tokens.is_empty(), "what was woken before is dealt with");
        mem::swap(&mut *self.tokens(), tokens);
    }

    // A vector of numbers is whole whatever happened to a thread that held it.
    fn tokens(&self) -> MutexGuard<'_, Vec<u64>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.tokens().push(self.token);
        if thread::current().id() != self.wakes.thread {
            self.wakes.poller.notify();
        }
    }
}
