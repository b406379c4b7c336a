//! The replies to one client, in the order of its requests.
//!
//! A reply is written when its command runs. That to a write stays here until the write has its copies, and all that
//! follow stay behind it; the commands of a pipeline run meanwhile, so they share one wait. What was held is never
//! copied, except where the write fails and its reply becomes an error.

use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::collections::VecDeque;

use heirloom_core::{CommitError, Receipt, SessionKey, Time};
use heirloom_runtime::CommitFailed;

use crate::{
    resp::{Reply, Version, write_error},
    waits::{Members, Wait, Writes, copies},
};

/// Memory that an idle client may keep for its next reply.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What a node that does not serve answers, word for word as Redis does: clients wait on it.
pub(crate) const LOADING: &str = "LOADING Redis is loading the dataset in memory";

/// What a node without room answers to what creates or grows, word for word as Redis does.
pub(crate) const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// Replies on their way to one client. `C` is a write that waits for its copies.
pub(crate) struct Replies<C> {
    bytes: Vec<u8>,
    sent: usize,
    held: VecDeque<Held<C>>,
    writes: Writes,
}

struct Held<C> {
    // Where the reply lies in the bytes. A command with several writes has as many of these, of one place.
    start: usize,
    end: usize,
    until: Until<C>,
}

enum Until<C> {
    Commit(Option<SessionKey>, C),
    /// The reply is how many members have what was written before.
    Counted(Wait<C>),
}

impl<C: Future<Output = Result<Receipt, CommitFailed>> + Unpin> Replies<C> {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), sent: 0, held: VecDeque::new(), writes: Writes::default() }
    }

    /// Begins the next reply; the place it will have names it.
    pub(crate) fn begin(&mut self, version: Version, bytes_max: usize) -> (usize, Reply<'_>) {
        (self.bytes.len(), Reply::new(&mut self.bytes, version, bytes_max))
    }

    /// Adds an error of the connection itself.
    pub(crate) fn error(&mut self, text: &str) {
        write_error(&mut self.bytes, text);
    }

    /// Holds the reply that was begun at `start`, and ends here, until all these commits are decided.
    pub(crate) fn hold(&mut self, start: usize, commits: impl Iterator<Item = (Option<SessionKey>, C)>) {
        let end = self.bytes.len();
        self.held.extend(commits.map(|(key, commit)| Held { start, end, until: Until::Commit(key, commit) }));
    }

    /// Holds the reply that was begun at `start` until this wait is over; it becomes the number of members that have
    /// the writes before it.
    pub(crate) fn hold_count(&mut self, start: usize, wait: Wait<C>) {
        self.held.push_back(Held { start, end: self.bytes.len(), until: Until::Counted(wait) });
    }

    /// Frees what has been decided; `context` is woken when there is more.
    pub(crate) fn settle(&mut self, context: &mut Context<'_>, members: &impl Members<C>) {
        while let Some(held) = self.held.front_mut() {
            let decided = match &mut held.until {
                Until::Counted(wait) => wait.poll(context, &mut self.writes, members).map(Decided::Count),
                Until::Commit(key, commit) => {
                    let key = *key;
                    Pin::new(commit).poll(context).map(|outcome| Decided::Commit(key, outcome))
                }
            };
            let Poll::Ready(decided) = decided else { return };
            let Some(held) = self.held.pop_front() else { return };
            match decided {
                Decided::Count(count) => self.replace(&held, |bytes| {
                    Reply::new(bytes, Version::Two, usize::MAX).count(count);
                }),
                Decided::Commit(key, outcome) => self.decide(&held, key, outcome),
            }
        }
    }

    /// When to settle although nothing was woken.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        match &self.held.front()?.until {
            Until::Counted(wait) => wait.poll_timeout(),
            Until::Commit(..) => None,
        }
    }

    /// What the client may have now.
    pub(crate) fn released(&self) -> &[u8] {
        let end = self.held.front().map_or(self.bytes.len(), |held| held.start);
        &self.bytes[self.sent..end]
    }

    /// The client has been sent that much of what was released.
    pub(crate) fn advance(&mut self, sent: usize) {
        self.sent += sent;
        assert!(self.sent <= self.bytes.len(), "only what was released is sent");
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES_MAX);
            self.sent = 0;
        } else if KEPT_BYTES_MAX <= self.sent && self.bytes.len() / 2 <= self.sent {
            self.bytes.drain(..self.sent);
            for held in &mut self.held {
                (held.start, held.end) = (held.start - self.sent, held.end - self.sent);
            }
            self.sent = 0;
        }
    }

    /// Bytes that the client has not been sent, held or not.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Writes that are waited for.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether the client has everything.
    pub(crate) fn is_done(&self) -> bool {
        self.pending_bytes() == 0
    }

    fn decide(&mut self, held: &Held<C>, key: Option<SessionKey>, outcome: Result<Receipt, CommitFailed>) {
        let text = match &outcome {
            // What was to be ended may have ended by itself a moment before, or by another.
            Ok(_) | Err(CommitFailed::Refused(CommitError::NoSession | CommitError::NoEntry)) => None,
            Err(failure) => Some(error_text(failure)),
        };
        if !matches!(outcome, Err(CommitFailed::Refused(_))) {
            self.writes.add(key, copies(&outcome));
        }
        let Some(text) = text else { return };
        // One error is the reply to the whole command.
        while self.held.front().is_some_and(|other| other.start == held.start) {
            self.held.pop_front();
        }
        self.replace(held, |bytes| write_error(bytes, &text));
    }

    fn replace(&mut self, held: &Held<C>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut reply = Vec::new();
        write(&mut reply);
        let (before, after) = (held.end - held.start, reply.len());
        self.bytes.splice(held.start..held.end, reply);
        for other in &mut self.held {
            (other.start, other.end) = (other.start + after - before, other.end + after - before);
        }
    }
}

enum Decided {
    Count(usize),
    Commit(Option<SessionKey>, Result<Receipt, CommitFailed>),
}

pub(crate) fn error_text(failure: &CommitFailed) -> String {
    match failure {
        CommitFailed::NotDurable { have, want, late, .. } => {
            let (have, late) = (have.len(), if *late { " in time" } else { "" });
            format!("NOREPLICAS the write stays, but only {have} of {want} other members have it{late}")
        }
        CommitFailed::Refused(error) => refusal_text(error),
        CommitFailed::Gone => "ERR the node has stopped".into(),
    }
}

/// What a client hears whose command the node refuses.
pub(crate) fn refusal_text(error: &CommitError) -> String {
    if *error == CommitError::NotReady {
        LOADING.into()
    } else if *error == CommitError::Leaving {
        "LOADING the node is leaving the cluster".into()
    } else if let CommitError::Paused(minority) = error {
        // Nothing has changed, as with a Redis cluster that is down.
        format!("CLUSTERDOWN writes are refused: {minority}")
    } else if matches!(error, CommitError::Full { .. }) {
        OUT_OF_MEMORY.into()
    } else {
        format!("ERR {error}")
    }
}

#[cfg(test)]
mod tests {
    use core::{cell::RefCell, task::Waker};
    use std::rc::Rc;

    use heirloom_core::{Durability, MemberId};

    use super::*;

    type Outcome = Result<Receipt, CommitFailed>;

    /// A commit that the test decides.
    #[derive(Clone, Default)]
    struct Later(Rc<RefCell<Option<Outcome>>>);

    impl Future for Later {
        type Output = Outcome;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
            self.0.borrow_mut().take().map_or(Poll::Pending, Poll::Ready)
        }
    }

    impl Later {
        fn decide(&self, outcome: Outcome) {
            *self.0.borrow_mut() = Some(outcome);
        }
    }

    /// Members of whom nothing can be found out.
    struct Nobody;

    impl Members<Later> for Nobody {
        fn ready_peers(&self) -> usize {
            0
        }

        fn now(&self) -> Time {
            Time::ZERO
        }

        fn probe(&self, _: SessionKey, _: Durability) -> Option<Later> {
            None
        }
    }

    const ME: MemberId = MemberId(1);
    const OTHER: MemberId = MemberId(2);

    #[test]
    fn a_held_reply_holds_those_behind_it_and_no_other() {
        let mut replies = Replies::new();
        write(&mut replies, "a", &[]);
        let [first, second] = [Later::default(), Later::default()];
        write(&mut replies, "b", &[&first]);
        write(&mut replies, "c", &[]);
        write(&mut replies, "d", &[&second]);
        assert_eq!(taken(&mut replies), "+a\r\n");
        second.decide(durable(&[ME]));
        assert_eq!(taken(&mut replies), "");
        first.decide(durable(&[ME]));
        assert_eq!(taken(&mut replies), "+b\r\n+c\r\n+d\r\n");
        assert!(replies.is_done());
    }

    #[test]
    fn a_failed_write_makes_its_reply_an_error_and_moves_those_behind_it() {
        let mut replies = Replies::new();
        let [first, second] = [Later::default(), Later::default()];
        write(&mut replies, "a", &[&first]);
        write(&mut replies, "b", &[]);
        write(&mut replies, "c", &[&second]);
        first.decide(short(&[ME], 2));
        let error = "-NOREPLICAS the write stays, but only 1 of 2 other members have it\r\n";
        assert_eq!(taken(&mut replies), format!("{error}+b\r\n"));
        second.decide(Err(CommitFailed::Refused(CommitError::NotReady)));
        assert_eq!(taken(&mut replies), format!("-{LOADING}\r\n"));
    }

    #[test]
    fn a_command_with_several_writes_is_answered_once() {
        let mut replies = Replies::new();
        let [first, second, third] = [Later::default(), Later::default(), Later::default()];
        write(&mut replies, "a", &[&first, &second]);
        write(&mut replies, "b", &[&third]);
        first.decide(short(&[], 1));
        third.decide(durable(&[ME]));
        let error = "-NOREPLICAS the write stays, but only 0 of 1 other members have it\r\n";
        assert_eq!(taken(&mut replies), format!("{error}+b\r\n"));
    }

    #[test]
    fn a_count_takes_its_place_among_the_replies() {
        let mut replies = Replies::new();
        let commit = Later::default();
        write(&mut replies, "a", &[&commit]);
        let (start, mut reply) = replies.begin(Version::Two, 1000);
        reply.integer(0);
        replies.hold_count(start, Wait::new(1, None));
        write(&mut replies, "b", &[]);
        assert_eq!(taken(&mut replies), "");
        commit.decide(durable(&[ME; 12]));
        assert_eq!(taken(&mut replies), "+a\r\n:12\r\n+b\r\n");
    }

    fn write(replies: &mut Replies<Later>, text: &str, commits: &[&Later]) {
        let (start, mut reply) = replies.begin(Version::Two, 1000);
        reply.simple(text);
        reply.finish();
        replies.hold(start, commits.iter().map(|&commit| (Some(SessionKey([0; 16])), commit.clone())));
    }

    fn taken(replies: &mut Replies<Later>) -> String {
        replies.settle(&mut Context::from_waker(Waker::noop()), &Nobody);
        let text = String::from_utf8(replies.released().to_vec()).expect("it is text");
        replies.advance(text.len());
        text
    }

    fn durable(members: &[MemberId]) -> Outcome {
        Ok(Receipt { members: members.to_vec(), missing: Vec::new() })
    }

    fn short(have: &[MemberId], want: usize) -> Outcome {
        Err(CommitFailed::NotDurable { have: have.to_vec(), missing: vec![OTHER], want, late: false })
    }
}
