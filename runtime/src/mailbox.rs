//! The door to what stands behind one lock, and the mailbox beside it for those who find it taken.
//!
//! Whoever has a command puts it into the mailbox and tries the lock. If it is free they go in, do all that is in the
//! mailbox (so the commands of one caller keep their order), leave, and look into the mailbox once more. If it is taken
//! they go: whoever is inside will look. Only the driver waits for the lock, and who asks what only the inside knows.
//!
//! What always holds: **while something is in the mailbox, somebody will come and take it.** The races:
//!
//! - *The holder looks before the command is put, and the command's owner finds the lock taken.* Both go through the
//!   mailbox's own lock. If the holder looked first, then it had let go of the door before, and the owner, who put the
//!   command after, sees the door open or in the hands of another, who will look when done.
//! - *A use is put by a reader*, who must not go in. It wakes the driver if it found the mailbox empty; if not, the
//!   first one in the mailbox is still there, so whoever answers for that one has not been yet and will take both.
//! - *The driver waits for the door while callers push in front of it.* It leaves word in the mailbox before it waits;
//!   from then on callers put their command and go. The word is taken back in the very step in which the driver takes
//!   the commands, so none is put after that step on the strength of it.
//! - *A caller would serve the others for ever.* After [`ROUNDS_MAX`] rounds it wakes the driver and goes.
//! - *The end.* A closed mailbox hands the command back; what was inside is dropped, and with it the completers.
//!
//! Holders that only look at something ([`Door::look`]) answer for the mailbox like all others. If a thread panicked
//! inside, what is there is not to be trusted: callers drop what is in the mailbox, and the driver hears of it and ends.

use core::ops::DerefMut as _;
use std::{
    collections::VecDeque,
    sync::{PoisonError, TryLockError},
};

use crate::sync::{Mutex, lock};

/// How often a caller goes in for the commands of others before the driver has to.
const ROUNDS_MAX: usize = 3;

/// Something behind a lock, with a mailbox for commands to it.
#[derive(Debug)]
pub(crate) struct Door<T, C> {
    inside: Mutex<Inside<T, C>>,
    mailbox: Mutex<Mailbox<C>>,
    /// How many commands wait at most, of those that can be refused.
    waiting_max: usize,
}

/// A command that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Untaken<C> {
    /// The mailbox holds as much as it may.
    Full(C),
    /// The door is closed for good.
    Closed(C),
}

/// Whether the driver has to be woken to do what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Left {
    Nothing,
    ForDriver,
}

/// A thread panicked inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl<T, C> Door<T, C> {
    pub(crate) fn new(value: T, waiting_max: usize) -> Self {
        let mailbox = Mailbox { waiting: VecDeque::new(), driver_comes: false, closed: false };
        let inside = Inside { value, taken: VecDeque::new() };
        Self { inside: Mutex::new(inside), mailbox: Mutex::new(mailbox), waiting_max }
    }

    /// Puts a command and serves what is in the mailbox if the lock is free. `after` runs when the lock is let go.
    ///
    /// # Errors
    ///
    /// The command, if it was not taken.
    pub(crate) fn pass<A>(
        &self,
        command: C,
        serve: impl FnMut(&mut T, &mut VecDeque<C>) -> A,
        after: impl FnMut(A),
    ) -> Result<Left, Untaken<C>> {
        match self.put(command, self.waiting_max)? {
            Put::DriverComes => Ok(Left::Nothing),
            Put::First | Put::Behind => Ok(self.serve(serve, after)),
        }
    }

    /// Puts a command that is never refused for want of room and leaves it to others.
    ///
    /// # Errors
    ///
    /// The command, if the door is closed.
    pub(crate) fn leave(&self, command: C) -> Result<Left, Untaken<C>> {
        match self.put(command, usize::MAX)? {
            Put::First => Ok(Left::ForDriver),
            Put::Behind | Put::DriverComes => Ok(Left::Nothing),
        }
    }

    /// Serves what is in the mailbox as long as the lock is free.
    pub(crate) fn serve<A>(
        &self,
        mut serve: impl FnMut(&mut T, &mut VecDeque<C>) -> A,
        mut after: impl FnMut(A),
    ) -> Left {
        for _ in 0..ROUNDS_MAX {
            let done = match self.inside.try_lock() {
                Ok(mut guard) => {
                    let Inside { value, taken } = guard.deref_mut();
                    lock(&self.mailbox).take(taken);
                    serve(value, taken)
                }
                Err(TryLockError::WouldBlock) => return Left::Nothing,
                Err(TryLockError::Poisoned(_)) => {
                    self.drop_waiting();
                    return Left::ForDriver;
                }
            };
            after(done);
            if self.is_empty() {
                return Left::Nothing;
            }
        }
        Left::ForDriver
    }

    /// The driver's turn: waits for the lock and gets all that is in the mailbox.
    ///
    /// The driver must look at [`Self::is_empty`] before it sleeps.
    ///
    /// # Errors
    ///
    /// If a thread panicked inside.
    pub(crate) fn enter<R>(&self, serve: impl FnOnce(&mut T, &mut VecDeque<C>) -> R) -> Result<R, Broken> {
        lock(&self.mailbox).driver_comes = true;
        let Ok(mut guard) = self.inside.lock() else {
            self.drop_waiting();
            return Err(Broken);
        };
        let Inside { value, taken } = guard.deref_mut();
        let mut mailbox = lock(&self.mailbox);
        mailbox.driver_comes = false;
        mailbox.take(taken);
        drop(mailbox);
        Ok(serve(value, taken))
    }

    /// Waits for the lock to look at something or to change it, not at the mailbox.
    ///
    /// # Errors
    ///
    /// If a thread panicked inside.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> Result<(R, Left), Broken> {
        let Ok(mut guard) = self.inside.lock() else { return Err(Broken) };
        let seen = look(&mut guard.value);
        drop(guard);
        let left = if self.is_empty() { Left::Nothing } else { Left::ForDriver };
        Ok((seen, left))
    }

    /// Closes the mailbox for good and goes in a last time; `last` is told whether a thread panicked inside.
    pub(crate) fn close<R>(&self, last: impl FnOnce(&mut T, bool) -> R) -> R {
        let waiting = {
            let mut mailbox = lock(&self.mailbox);
            mailbox.closed = true;
            core::mem::take(&mut mailbox.waiting)
        };
        // Dropping a command wakes whoever waits for it: not with a lock in hand.
        drop(waiting);
        let (mut guard, broken) = match self.inside.lock() {
            Ok(guard) => (guard, false),
            Err(poisoned) => (PoisonError::into_inner(poisoned), true),
        };
        let taken = core::mem::take(&mut guard.taken);
        let result = last(&mut guard.value, broken);
        drop(guard);
        drop(taken);
        result
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.mailbox).waiting.is_empty()
    }

    fn put(&self, command: C, waiting_max: usize) -> Result<Put, Untaken<C>> {
        let mut mailbox = lock(&self.mailbox);
        if mailbox.closed {
            return Err(Untaken::Closed(command));
        }
        if waiting_max <= mailbox.waiting.len() {
            return Err(Untaken::Full(command));
        }
        let first = mailbox.waiting.is_empty();
        mailbox.waiting.push_back(command);
        Ok(match (mailbox.driver_comes, first) {
            (true, _) => Put::DriverComes,
            (false, true) => Put::First,
            (false, false) => Put::Behind,
        })
    }

    fn drop_waiting(&self) {
        let mut mailbox = lock(&self.mailbox);
        mailbox.driver_comes = false;
        let waiting = core::mem::take(&mut mailbox.waiting);
        drop(mailbox);
        drop(waiting);
    }
}

#[derive(Debug)]
struct Inside<T, C> {
    value: T,
    /// What was taken from the mailbox; kept between two takings for its room.
    taken: VecDeque<C>,
}

#[derive(Debug)]
struct Mailbox<C> {
    waiting: VecDeque<C>,
    /// The driver waits for the lock and will take what is here.
    driver_comes: bool,
    closed: bool,
}

impl<C> Mailbox<C> {
    fn take(&mut self, into: &mut VecDeque<C>) {
        assert!(into.is_empty(), "what was taken before is done");
        core::mem::swap(&mut self.waiting, into);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    First,
    Behind,
    DriverComes,
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_command_is_served_at_once_when_the_lock_is_free() {
        let door = Door::new(Vec::new(), 8);
        let mut after = 0;
        assert_eq!(door.pass(1, collect, |served| after += served), Ok(Left::Nothing));
        assert_eq!((after, seen(&door)), (1, vec![1]));
    }

    #[test]
    fn a_command_left_behind_goes_first() {
        let door = Door::new(Vec::new(), 8);
        assert_eq!(door.leave(1), Ok(Left::ForDriver));
        assert_eq!(door.leave(2), Ok(Left::Nothing), "the first one has called the driver");
        assert_eq!(door.pass(3, collect, drop), Ok(Left::Nothing));
        assert_eq!(seen(&door), [1, 2, 3]);
    }

    #[test]
    fn whoever_is_inside_serves_what_was_put_in_the_meantime() {
        let door = Door::new(Vec::new(), 8);
        let mut put = false;
        let left = door.pass(
            1,
            |inside, commands| {
                if !put {
                    put = true;
                    assert_eq!(door.pass(2, collect, drop), Ok(Left::Nothing), "the lock is taken");
                }
                collect(inside, commands)
            },
            drop,
        );
        assert_eq!((left, seen(&door)), (Ok(Left::Nothing), vec![1, 2]));
    }

    #[test]
    fn a_caller_does_not_serve_others_for_ever() {
        let door = Door::new(Vec::new(), 8);
        let serve = |inside: &mut Vec<i32>, commands: &mut VecDeque<i32>| {
            let _ = door.leave(0).unwrap();
            collect(inside, commands)
        };
        assert_eq!(door.pass(1, serve, drop), Ok(Left::ForDriver));
        assert_eq!(seen(&door).len(), ROUNDS_MAX);
        assert!(!door.is_empty());
    }

    #[test]
    fn a_full_mailbox_hands_the_command_back_and_a_closed_one_too() {
        let door = Door::new(Vec::new(), 1);
        assert_eq!(door.leave(1), Ok(Left::ForDriver));
        assert_eq!(door.pass(2, collect, drop), Err(Untaken::Full(2)));
        door.close(|inside, broken| assert!(inside.is_empty() && !broken));
        assert_eq!(door.pass(2, collect, drop), Err(Untaken::Closed(2)));
        assert_eq!(door.leave(3), Err(Untaken::Closed(3)));
    }

    #[test]
    fn the_driver_hears_of_a_panic_and_callers_are_let_go() {
        let door = Door::new((), 8);
        thread::scope(|scope| {
            let panics = scope.spawn(|| door.look(|()| panic!("on purpose")));
            assert!(panics.join().is_err());
        });
        assert_eq!(door.pass(1, |(), _| (), drop), Ok(Left::ForDriver));
        assert!(door.is_empty());
        assert_eq!(door.enter(|(), _| ()), Err(Broken));
    }

    #[test]
    fn nothing_is_lost_between_many_callers() {
        const EACH: usize = 2_000;
        let door = Door::new(Vec::new(), usize::MAX);
        thread::scope(|scope| {
            for caller in 0..4 {
                let door = &door;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let left = door.pass(caller * EACH + number, collect, drop).unwrap();
                        if left == Left::ForDriver {
                            door.enter(collect).unwrap();
                        }
                    }
                });
            }
        });
        assert!(door.is_empty());
        let seen = seen(&door);
        assert_eq!(seen.len(), 4 * EACH);
        for caller in 0..4 {
            let of_one = seen.iter().filter(|&&command| command / EACH == caller);
            assert!(of_one.is_sorted(), "the commands of one caller keep their order");
        }
    }

    fn collect<C>(inside: &mut Vec<C>, commands: &mut VecDeque<C>) -> i32 {
        let count = commands.len();
        inside.extend(commands.drain(..));
        i32::try_from(count).unwrap()
    }

    fn seen<C: Clone>(door: &Door<Vec<C>, C>) -> Vec<C> {
        door.look(|inside| inside.clone()).unwrap().0
    }
}
