//! The poller where there is no epoll: poll(2) and a pair of sockets. It walks everything at each wait.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Interest, Ready};

#[derive(Debug)]
pub(super) struct System {
    /// By the number of the descriptor that was added.
    sources: Mutex<BTreeMap<RawFd, Source>>,
    word: UnixStream,
    said: UnixStream,
}

/// A descriptor of its own for the same socket, so that it is open for as long as it is waited for.
#[derive(Clone, Debug)]
struct Source {
    own: Arc<OwnedFd>,
    token: u64,
    interest: Interest,
}

impl System {
    pub(super) fn new() -> io::Result<Self> {
        let (word, said) = UnixStream::pair()?;
        word.set_nonblocking(true)?;
        said.set_nonblocking(true)?;
        Ok(Self { sources: Mutex::default(), word, said })
    }

    pub(super) fn add(&self, source: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let own = Arc::new(source.try_clone_to_owned()?);
        let mut sources = self.sources();
        if sources.contains_key(&source.as_raw_fd()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        sources.insert(source.as_raw_fd(), Source { own, token, interest });
        drop(sources);
        // A wait that has begun does not know of it.
        self.notify();
        Ok(())
    }

    pub(super) fn modify(&self, source: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let mut sources = self.sources();
        let known = sources.get_mut(&source.as_raw_fd()).ok_or(io::ErrorKind::NotFound)?;
        (known.token, known.interest) = (token, interest);
        drop(sources);
        self.notify();
        Ok(())
    }

    pub(super) fn delete(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        self.sources().remove(&source.as_raw_fd()).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn notify(&self) {
        // It fails only when the buffer is full, and then a word is there.
        let _ = (&self.word).write(&[1]);
    }

    pub(super) fn wait(&self, events: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let sources: Vec<Source> = self.sources().values().cloned().collect();
        let mut waits = vec![PollFd::new(&self.said, PollFlags::IN)];
        waits.extend(sources.iter().map(|source| PollFd::new(&*source.own, flags(source.interest))));
        // Longer than this is for ever.
        let timeout = timeout.and_then(|length| Timespec::try_from(length).ok());
        poll(&mut waits, timeout.as_ref())?;
        if !waits[0].revents().is_empty() {
            while matches!((&self.said).read(&mut [0; 64]), Ok(64)) {}
        }
        for (wait, source) in waits[1..].iter().zip(&sources) {
            let flags = wait.revents();
            if flags.is_empty() {
                continue;
            }
            let broken = flags.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
            let readable = broken || flags.intersects(PollFlags::IN);
            let writable = broken || flags.intersects(PollFlags::OUT);
            events.push(Ready { token: source.token, readable, writable });
        }
        Ok(())
    }

    fn sources(&self) -> MutexGuard<'_, BTreeMap<RawFd, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flags(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.reads());
    flags.set(PollFlags::OUT, interest.writes());
    flags
}
