//! The handoffs between threads, checked by loom in every order that the memory model allows.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p heirloom-runtime --release --lib models`, in a target folder of its
//! own; with `--nocapture` each says how many orders it has seen. A deadlock here is a wakeup that was lost: a thread that
//! sleeps for good is all that loom can see of it. That a model would see what it is there for is shown by running it without
//! that step, in a process of its own: it has to fail.

use std::{
    collections::VecDeque,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Poll, Wake},
    time::Instant,
};

use heirloom_core::{MemberId, SessionKey, Time};
use loom::{
    model::Builder,
    sync::{Arc, Notify},
    thread,
};

use crate::{
    alarm::{Alarm, Sleep},
    completion::{Gone, completion},
    mailbox::{Door, Left, Untaken},
    published::{Live, Table},
    sync::Step,
};

const KEY: SessionKey = SessionKey([7; 16]);

#[test]
fn every_command_is_served_whoever_holds_the_lock() {
    check(|| {
        let door = Arc::new(Door::new(0, usize::MAX));
        let driver = Arc::new(Notify::new());
        let other = {
            let (door, driver) = (Arc::clone(&door), Arc::clone(&driver));
            thread::spawn(move || pass(&door, &driver))
        };
        pass(&door, &driver);
        other.join().unwrap();
        // No driver was there: what two callers leave, they leave to each other.
        assert_eq!(door.look(|served| *served), Ok(2));
    });
}

#[test]
fn the_driver_sleeps_only_when_nothing_is_left_to_it() {
    check(|| {
        let door = Arc::new(Door::new(0, usize::MAX));
        let driver = Arc::new(Notify::new());
        let others: Vec<_> = [pass, leave]
            .into_iter()
            .map(|put| {
                let (door, driver) = (Arc::clone(&door), Arc::clone(&driver));
                thread::spawn(move || put(&door, &driver))
            })
            .collect();
        // The loop of a driver: a turn, a look, a sleep. Whoever serves the last of two commands wakes it to end it.
        while door.enter(|served, commands| serve(served, commands, &driver)) != Ok(2) {
            if door.is_empty() {
                driver.wait();
            }
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_command_that_meets_the_end_is_answered() {
    check(|| {
        let door = Arc::new(Door::new(0, usize::MAX));
        let (completer, mut waiter) = completion::<()>();
        let (completer_2, mut waiter_2) = completion::<()>();
        let other = {
            let door = Arc::clone(&door);
            thread::spawn(move || {
                let take = |_: &mut i32, commands: &mut VecDeque<_>, (): &mut ()| commands.clear();
                // One is left to a driver that may not come any more, the other one served by whoever is inside.
                let answers = [door.leave(completer), door.pass(completer_2, take, drop)];
                assert!(answers.iter().all(|answer| !matches!(answer, Err(Untaken::Full(_)))), "there is room");
            })
        };
        door.close(|_, broken| assert!(!broken));
        assert_eq!((waiter.wait(), waiter_2.wait()), (Err(Gone), Err(Gone)));
        other.join().unwrap();
    });
}

#[test]
fn a_thread_and_a_task_get_their_results() {
    check(|| {
        let (completer, mut waiter) = completion();
        let (completer_2, mut waiter_2) = completion::<()>();
        let other = thread::spawn(move || {
            completer.complete(1);
            drop(completer_2);
        });
        assert_eq!(waiter.wait(), Ok(1));
        let task = std::sync::Arc::new(Task(Notify::new()));
        let awaited = loop {
            match waiter_2.poll(&std::sync::Arc::clone(&task).into()) {
                Poll::Ready(result) => break result,
                Poll::Pending => task.0.wait(),
            }
        };
        assert_eq!(awaited, Err(Gone));
        other.join().unwrap();
    });
}

#[test]
fn the_driver_never_sleeps_past_a_deadline() {
    check(|| {
        let alarm = Arc::new(Alarm::new());
        let driver = Arc::new(Notify::new());
        let other = {
            let (alarm, driver) = (Arc::clone(&alarm), Arc::clone(&driver));
            thread::spawn(move || {
                if alarm.use_later(at(5), KEY) == Sleep::TooLong {
                    driver.notify();
                }
            })
        };
        // It sleeps until 10 if it has not heard of the use at 5, and then it must be woken.
        while alarm.arm(at(10)) == at(10) {
            driver.wait();
        }
        assert_eq!(alarm.poll_use(at(5)), Some(KEY));
        other.join().unwrap();
    });
}

struct Task(Notify);

impl Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

fn live() -> Live {
    Live { session: std::sync::Arc::default(), deadline: None, ends_by: None }
}

/// Whoever is answered reads what was answered, whatever else is published meanwhile.
#[test]
fn an_answer_comes_after_what_it_answers_can_be_read() {
    check(|| {
        let table = Arc::new(Table::new(MemberId(1)));
        let (completer, mut waiter) = completion();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.publish(KEY, Some(live()));
                completer.complete(());
                table.publish(SessionKey([8; 16]), Some(live()));
            })
        };
        assert_eq!(waiter.wait(), Ok(()));
        assert!(table.peek(&KEY, at(1)).is_some());
        assert!(1 <= table.sessions());
        other.join().unwrap();
        assert_eq!(table.sessions(), 2);
    });
}

/// The models and what each is there for. (That a published session is seen rests on one lock and no step of ours.)
const CONTROLS: [(&str, Step); 6] = [
    ("every_command_is_served_whoever_holds_the_lock", Step::LookAgain),
    ("the_driver_sleeps_only_when_nothing_is_left_to_it", Step::WakeDriver),
    ("a_command_that_meets_the_end_is_answered", Step::GiveUp),
    ("a_thread_and_a_task_get_their_results", Step::NotifyThread),
    ("a_thread_and_a_task_get_their_results", Step::WakeTask),
    ("the_driver_never_sleeps_past_a_deadline", Step::TellOfSleep),
];

#[test]
fn without_its_step_each_model_fails() {
    for (model, step) in CONTROLS {
        let mut control = Command::new(std::env::current_exe().unwrap());
        control.args(["--exact", &format!("models::{model}")]).env("HEIRLOOM_WITHOUT", format!("{step:?}"));
        let output = control.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("running 1 test"), "{model} is a test: {said}");
        assert!(!output.status.success(), "{model} does not need {step:?}: {said}");
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let before = Instant::now();
    let orders = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&orders);
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} orders in {:?}", orders.load(Ordering::Relaxed), before.elapsed());
}

fn pass(door: &Door<usize, ()>, driver: &Notify) {
    let serve = |served: &mut usize, commands: &mut VecDeque<()>, (): &mut ()| {
        serve(served, commands, driver);
    };
    if door.pass((), serve, drop) == Ok(Left::ForDriver) {
        driver.notify();
    }
}

fn leave(door: &Door<usize, ()>, driver: &Notify) {
    if door.leave(()) == Ok(Left::ForDriver) {
        driver.notify();
    }
}

/// The second command is the last one, and whoever serves it says so.
fn serve(served: &mut usize, commands: &mut VecDeque<()>, driver: &Notify) -> usize {
    *served += commands.drain(..).count();
    if *served == 2 {
        driver.notify();
    }
    *served
}

fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}
