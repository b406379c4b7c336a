//! Waiting for sockets and for a word of another thread, in safe code.
//!
//! Level-triggered: what is ready and not dealt with is reported again. Words coalesce: however many
//! [`Poller::notify`] came since the last wait, the next one ends at once, and the one after it sleeps again.

use core::time::Duration;
use std::{io, os::fd::AsFd};

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
use epoll::System;
#[cfg(not(target_os = "linux"))]
mod poll;
#[cfg(not(target_os = "linux"))]
use poll::System;

/// Waits for many sockets at once: epoll on Linux, poll(2) elsewhere.
#[derive(Debug)]
pub struct Poller {
    system: System,
}

/// A socket that is ready. An error or a hang-up makes it ready for everything, so that whoever tries will see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The number under which it was added.
    pub token: u64,
    /// There is something to read or to accept.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing but errors.
    Nothing,
    /// Something to read.
    Readable,
    /// Room to write.
    Writable,
    /// Either.
    Both,
}

impl Interest {
    fn reads(self) -> bool {
        matches!(self, Self::Readable | Self::Both)
    }

    fn writes(self) -> bool {
        matches!(self, Self::Writable | Self::Both)
    }
}

/// The number that is never reported: it stands for `notify`.
const NOTIFY: u64 = u64::MAX;

impl Poller {
    /// Makes one with nothing to wait for.
    ///
    /// # Errors
    ///
    /// Those of the system, mostly that there are too many open files.
    pub fn new() -> io::Result<Self> {
        System::new().map(|system| Self { system })
    }

    /// Waits for this socket too. `u64::MAX` is no token.
    ///
    /// # Errors
    ///
    /// Those of the system; `InvalidInput` for the token that is none.
    pub fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        if token == NOTIFY {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.system.add(source.as_fd(), token, interest)
    }

    /// Waits for something else of a socket that was added.
    ///
    /// # Errors
    ///
    /// Those of the system, mostly that it was not added.
    pub fn modify(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        if token == NOTIFY {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.system.modify(source.as_fd(), token, interest)
    }

    /// Waits for it no more. To be called before the socket is closed.
    ///
    /// # Errors
    ///
    /// Those of the system, mostly that it was not added.
    pub fn delete(&self, source: impl AsFd) -> io::Result<()> {
        self.system.delete(source.as_fd())
    }

    /// Ends the wait of another thread, or the next one if none waits.
    pub fn notify(&self) {
        self.system.notify();
    }

    /// Waits until something is ready, `notify` is called or the time has passed, and never less than that.
    /// Replaces what is in `events`.
    ///
    /// # Errors
    ///
    /// Those of the system. A signal is none: it ends the wait early.
    pub fn wait(&self, events: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        match self.system.wait(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            ended => ended,
        }
    }
}

#[cfg(target_os = "linux")]
impl AsFd for Poller {
    /// Readable when a wait would end at once: for a runtime that has a reactor of its own.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.system.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Instant};

    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(30));

    #[test]
    fn what_is_ready_is_reported_until_it_is_dealt_with() {
        let poller = Poller::new().unwrap();
        let (here, there) = sockets();
        poller.add(&here, 5, Interest::Readable).unwrap();
        there.send(b"x").unwrap();
        for _ in 0..2 {
            assert_eq!(wait(&poller, LONG), [Ready { token: 5, readable: true, writable: false }]);
        }
        here.recv(&mut [0; 8]).unwrap();
        assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
    }

    #[test]
    fn interest_can_be_changed_and_taken_back() {
        let poller = Poller::new().unwrap();
        let (here, _there) = sockets();
        poller.add(&here, 5, Interest::Nothing).unwrap();
        assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
        poller.modify(&here, 6, Interest::Both).unwrap();
        assert_eq!(wait(&poller, LONG), [Ready { token: 6, readable: false, writable: true }]);
        poller.delete(&here).unwrap();
        assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
        assert!(poller.delete(&here).is_err());
        assert!(poller.add(&here, u64::MAX, Interest::Both).is_err());
    }

    #[test]
    fn many_words_end_one_wait() {
        let poller = Poller::new().unwrap();
        for _ in 0..5 {
            poller.notify();
        }
        assert_eq!(wait(&poller, LONG), []);
        let before = Instant::now();
        assert_eq!(wait(&poller, Some(Duration::from_millis(20))), []);
        assert!(Duration::from_millis(20) <= before.elapsed(), "the second wait has slept");
    }

    #[test]
    fn a_wait_never_ends_before_its_time() {
        let poller = Poller::new().unwrap();
        for micros in [1, 300, 1_000, 2_500, 12_300] {
            let length = Duration::from_micros(micros);
            let before = Instant::now();
            wait(&poller, Some(length));
            assert!(length <= before.elapsed());
        }
    }

    #[test]
    fn a_word_of_another_thread_ends_a_wait_without_end() {
        let poller = Poller::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| poller.notify());
            assert_eq!(wait(&poller, None), []);
        });
    }

    fn wait(poller: &Poller, timeout: Option<Duration>) -> Vec<Ready> {
        let mut events = Vec::new();
        poller.wait(&mut events, timeout).unwrap();
        events
    }

    fn sockets() -> (UdpSocket, UdpSocket) {
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        there.connect(here.local_addr().unwrap()).unwrap();
        (here, there)
    }
}
