//! The poller on Linux: epoll and an eventfd.

use core::{mem::MaybeUninit, time::Duration};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::event::{
    EventfdFlags, PollFd, PollFlags, Timespec,
    epoll::{self, CreateFlags, Event, EventData, EventFlags},
    eventfd, poll,
};

use super::{Interest, NOTIFY, Ready};

/// How many sockets one wait reports. The others keep their place in the kernel's queue and come next.
const EVENTS_MAX: usize = 256;

/// A wait that is shorter is given to ppoll, which counts nanoseconds; epoll rounds up to milliseconds.
/// (`epoll_pwait2` counts nanoseconds too, but kernels before 5.11 and some sandboxes do not know it.)
const SHORT: Duration = Duration::from_millis(10);

const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

#[derive(Debug)]
pub(super) struct System {
    epoll: OwnedFd,
    word: OwnedFd,
}

impl System {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let word = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &word, EventData::new_u64(NOTIFY), EventFlags::IN)?;
        Ok(Self { epoll, word })
    }

    pub(super) fn add(&self, source: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), flags(interest))?)
    }

    pub(super) fn modify(&self, source: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), flags(interest))?)
    }

    pub(super) fn delete(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    pub(super) fn notify(&self) {
        // It fails only when the counter is full, and then a word is there.
        let _ = rustix::io::write(&self.word, &1_u64.to_ne_bytes());
    }

    pub(super) fn wait(&self, events: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let mut room = [MaybeUninit::<Event>::uninit(); EVENTS_MAX];
        // Longer than this is for ever.
        let mut timeout = timeout.and_then(|length| Timespec::try_from(length).ok());
        if let Some(length) = timeout.as_mut()
            && *length != ZERO
            && *length < Timespec::try_from(SHORT).unwrap_or(ZERO)
        {
            poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(length))?;
            *length = ZERO;
        }
        let (ready, _) = epoll::wait(&self.epoll, &mut room, timeout.as_ref())?;
        for event in ready {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == NOTIFY {
                // Read to set it back; it is not blocking, and what it says does not matter.
                let _ = rustix::io::read(&self.word, &mut [0; 8]);
                continue;
            }
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            let readable = broken || flags.intersects(EventFlags::IN);
            let writable = broken || flags.intersects(EventFlags::OUT);
            events.push(Ready { token, readable, writable });
        }
        Ok(())
    }
}

impl AsFd for System {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.reads());
    flags.set(EventFlags::OUT, interest.writes());
    flags
}
