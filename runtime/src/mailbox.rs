//! The door to what stands behind one lock, and the mailbox beside it for those who come while somebody is inside.
//!
//! Whoever has a command puts it into the mailbox and learns, in the same step, whether somebody is inside. If nobody is,
//! they go in and do all that is in the mailbox (so the commands of one caller keep their order) until, again in one step,
//! they find it empty and are outside. If somebody is inside they go: their command will be done. Only the driver waits
//! for the lock, and who asks what only the inside knows.
//!
//! What always holds: **while something is in the mailbox, somebody will come and take it.** Who that is, is said under
//! the mailbox's own lock, with no flag beside it, so there is nothing to race with. The cases:
//!
//! - *A caller is inside, or on its way in.* It is outside only once it has found the mailbox empty, or the driver on its
//!   way, or, so that it does not serve the others for ever, after [`ROUNDS_MAX`] rounds; then it wakes the driver.
//! - *The driver is on its way or inside.* It says so before it waits for the lock: from then on callers put their command
//!   and go, so that no number of them can keep it out. It takes what is there when it comes in, and it looks once more
//!   before it sleeps. A caller that was on its way in waits for one turn of the driver at worst.
//! - *A use is put by a reader*, who must not go in. It wakes the driver if it was the first; if it was not, whoever
//!   answers for the first one has not been there yet and will take both.
//! - *Somebody only looks* ([`Door::look`]). That is short, and does not count as being inside: callers wait for it.
//! - *The end.* A closed mailbox hands the command back; what was in it is dropped, and with it the completers.
//! - *A thread panics inside.* What is there is not to be trusted any more. Commands are dropped, or stay until the driver
//!   takes its next turn, hears of it and ends.

use core::ops::DerefMut as _;
use std::{collections::VecDeque, sync::PoisonError};

use crate::sync::{Mutex, Step, lock};

/// How often a caller serves what came in the meantime before the driver has to.
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
        let mailbox = Mailbox { waiting: VecDeque::new(), caller_inside: false, driver: Driver::Away, closed: false };
        let inside = Inside { value, taken: VecDeque::new() };
        Self { inside: Mutex::new(inside), mailbox: Mutex::new(mailbox), waiting_max }
    }

    /// Puts a command, and serves what is in the mailbox if nobody is inside.
    ///
    /// What serving comes to is gathered in an `A`, which `after` gets when the lock is let go.
    ///
    /// # Errors
    ///
    /// The command, if it was not taken.
    pub(crate) fn pass<A: Default>(
        &self,
        command: C,
        serve: impl FnMut(&mut T, &mut VecDeque<C>, &mut A),
        after: impl FnOnce(A),
    ) -> Result<Left, Untaken<C>> {
        let mut mailbox = lock(&self.mailbox);
        if self.waiting_max <= mailbox.waiting.len() {
            return Err(Untaken::Full(command));
        }
        mailbox.put(command)?;
        let goes_in = mailbox.lets_in();
        mailbox.caller_inside |= goes_in;
        drop(mailbox);
        Ok(if goes_in { self.serve(serve, after) } else { Left::Nothing })
    }

    /// The same for a command that is never refused for want of room.
    ///
    /// # Errors
    ///
    /// The command, if the door is closed.
    pub(crate) fn pass_always<A: Default>(
        &self,
        command: C,
        serve: impl FnMut(&mut T, &mut VecDeque<C>, &mut A),
        after: impl FnOnce(A),
    ) -> Result<Left, Untaken<C>> {
        let mut mailbox = lock(&self.mailbox);
        mailbox.put(command)?;
        let goes_in = mailbox.lets_in();
        mailbox.caller_inside |= goes_in;
        drop(mailbox);
        Ok(if goes_in { self.serve(serve, after) } else { Left::Nothing })
    }

    /// Puts a command that is never refused for want of room, and does not go in.
    ///
    /// # Errors
    ///
    /// The command, if the door is closed.
    pub(crate) fn leave(&self, command: C) -> Result<Left, Untaken<C>> {
        let mut mailbox = lock(&self.mailbox);
        let first = mailbox.waiting.is_empty();
        mailbox.put(command)?;
        let first = first && !Step::WakeDriver.is_missing();
        Ok(if first && mailbox.lets_in() { Left::ForDriver } else { Left::Nothing })
    }

    /// The driver's turn: waits for the lock and gets all that is in the mailbox.
    ///
    /// The driver must look at [`Self::is_empty`] before it sleeps.
    ///
    /// # Errors
    ///
    /// If a thread panicked inside.
    pub(crate) fn enter<R>(&self, serve: impl FnOnce(&mut T, &mut VecDeque<C>) -> R) -> Result<R, Broken> {
        lock(&self.mailbox).driver = Driver::Here;
        let Ok(mut guard) = self.inside.lock() else {
            self.give_up();
            return Err(Broken);
        };
        let Inside { value, taken } = guard.deref_mut();
        lock(&self.mailbox).take(taken);
        let served = serve(value, taken);
        drop(guard);
        lock(&self.mailbox).driver = Driver::Away;
        Ok(served)
    }

    /// Waits for the lock to look at something, or to change it. It must be short.
    ///
    /// # Errors
    ///
    /// If a thread panicked inside.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> Result<R, Broken> {
        self.inside.lock().map_or(Err(Broken), |mut guard| Ok(look(&mut guard.value)))
    }

    /// Closes the mailbox for good and goes in a last time; `last` is told whether a thread panicked inside.
    pub(crate) fn close<R>(&self, last: impl FnOnce(&mut T, bool) -> R) -> R {
        lock(&self.mailbox).closed = true;
        if !Step::GiveUp.is_missing() {
            self.give_up();
        }
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

    /// For a caller that was let in.
    fn serve<A: Default>(
        &self,
        mut serve: impl FnMut(&mut T, &mut VecDeque<C>, &mut A),
        after: impl FnOnce(A),
    ) -> Left {
        let Ok(mut guard) = self.inside.lock() else {
            lock(&self.mailbox).caller_inside = false;
            self.give_up();
            return Left::ForDriver;
        };
        let Inside { value, taken } = guard.deref_mut();
        let mut done = A::default();
        let mut rounds = 0;
        let left = loop {
            let mut mailbox = lock(&self.mailbox);
            let left = match mailbox.driver {
                _ if mailbox.waiting.is_empty() => Some(Left::Nothing),
                _ if rounds == 1 && Step::LookAgain.is_missing() => Some(Left::Nothing),
                Driver::Here => Some(Left::Nothing),
                Driver::Away if rounds == ROUNDS_MAX => Some(Left::ForDriver),
                Driver::Away => None,
            };
            if let Some(left) = left {
                mailbox.caller_inside = false;
                break left;
            }
            mailbox.take(taken);
            drop(mailbox);
            serve(value, taken, &mut done);
            rounds += 1;
        };
        drop(guard);
        after(done);
        left
    }

    /// Drops what is in the mailbox. Dropping a command wakes whoever waits for it: not with the lock in hand.
    fn give_up(&self) {
        let waiting = core::mem::take(&mut lock(&self.mailbox).waiting);
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
    /// A caller is inside, or has been let in.
    caller_inside: bool,
    driver: Driver,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Away,
    /// It waits for the lock or has it.
    Here,
}

impl<C> Mailbox<C> {
    fn put(&mut self, command: C) -> Result<(), Untaken<C>> {
        if self.closed {
            return Err(Untaken::Closed(command));
        }
        self.waiting.push_back(command);
        Ok(())
    }

    /// Whether a caller may go in; whoever is there already will take what is put.
    fn lets_in(&self) -> bool {
        !self.caller_inside && self.driver == Driver::Away
    }

    fn take(&mut self, into: &mut VecDeque<C>) {
        assert!(into.is_empty(), "what was taken before is done");
        core::mem::swap(&mut self.waiting, into);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_command_is_served_at_once_when_nobody_is_inside() {
        let door = Door::new(Vec::new(), 8);
        let mut after = 0;
        assert_eq!(door.pass(1, collect, |served: usize| after += served), Ok(Left::Nothing));
        assert_eq!((after, seen(&door)), (1, vec![1]));
    }

    #[test]
    fn a_command_left_behind_goes_first() {
        let door = Door::new(Vec::new(), 8);
        assert_eq!(door.leave(1), Ok(Left::ForDriver));
        assert_eq!(door.leave(2), Ok(Left::Nothing), "the first one has called the driver");
        assert_eq!(door.pass_always(3, collect, drop), Ok(Left::Nothing));
        assert_eq!(seen(&door), [1, 2, 3]);
    }

    #[test]
    fn whoever_is_inside_serves_what_is_put_in_the_meantime() {
        let door = Door::new(Vec::new(), 8);
        let mut put = false;
        let serve = |inside: &mut Vec<i32>, commands: &mut VecDeque<i32>, served: &mut usize| {
            if !put {
                put = true;
                assert_eq!(door.pass(2, collect, drop), Ok(Left::Nothing), "somebody is inside");
                assert_eq!(door.leave(3), Ok(Left::Nothing));
            }
            collect(inside, commands, served);
        };
        assert_eq!(door.pass(1, serve, |served| assert_eq!(served, 3)), Ok(Left::Nothing));
        assert_eq!(seen(&door), [1, 2, 3]);
    }

    #[test]
    fn what_is_put_while_the_driver_is_inside_is_found_when_it_looks() {
        let door = Door::new(Vec::new(), 8);
        let entered = door.enter(|inside, commands| {
            assert_eq!(door.pass(1, collect, drop), Ok(Left::Nothing));
            assert_eq!(door.leave(2), Ok(Left::Nothing));
            assert!(inside.is_empty() && commands.is_empty());
        });
        assert_eq!((entered, door.is_empty()), (Ok(()), false));
        assert_eq!(door.pass(3, collect, drop), Ok(Left::Nothing), "a caller that comes before is let in");
        assert_eq!(seen(&door), [1, 2, 3]);
    }

    #[test]
    fn a_caller_does_not_serve_others_for_ever() {
        let door = Door::new(Vec::new(), 8);
        let serve = |inside: &mut Vec<i32>, commands: &mut VecDeque<i32>, served: &mut usize| {
            assert_eq!(door.leave(0), Ok(Left::Nothing));
            collect(inside, commands, served);
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
        let door = Door::new(Vec::new(), 8);
        thread::scope(|scope| {
            let panics = scope.spawn(|| door.look(|_| panic!("on purpose")));
            assert!(panics.join().is_err());
        });
        assert_eq!(door.pass(1, collect, drop), Ok(Left::ForDriver));
        assert!(door.is_empty());
        assert_eq!(door.enter(|_, _| ()), Err(Broken));
    }

    #[test]
    fn nothing_is_lost_between_many_callers_and_a_driver() {
        const EACH: usize = 2_000;
        let door = Door::new(Vec::new(), usize::MAX);
        thread::scope(|scope| {
            for caller in 0..3 {
                let door = &door;
                scope.spawn(move || {
                    for number in 0..EACH {
                        // The driver never sleeps here, so it need not be woken.
                        let _ = door.pass(caller * EACH + number, collect, drop).unwrap();
                    }
                });
            }
            while door.enter(|inside, commands| collect(inside, commands, &mut 0)).is_ok() {
                if seen(&door).len() == 3 * EACH {
                    break;
                }
            }
        });
        assert!(door.is_empty());
        let seen = seen(&door);
        for caller in 0..3 {
            let of_one = seen.iter().filter(|&&command| command / EACH == caller);
            assert!(of_one.is_sorted(), "the commands of one caller keep their order");
        }
    }

    fn collect<C>(inside: &mut Vec<C>, commands: &mut VecDeque<C>, served: &mut usize) {
        *served += commands.len();
        inside.extend(commands.drain(..));
    }

    fn seen<C: Clone>(door: &Door<Vec<C>, C>) -> Vec<C> {
        door.look(|inside| inside.clone()).unwrap()
    }
}
