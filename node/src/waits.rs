//! `WAIT`: how many other members have the writes of a client.
//!
//! The answer is the least number of members that any of the writes is known to have been applied by; so it is never more
//! than what is true. Where the acknowledgements that the writes waited for are too few, the sessions are asked about
//! once more: a commit without a change is acknowledged when everything before it is.

use core::{
    pin::Pin,
    task::{Context, Poll},
};

use heirloom_core::{Durability, Receipt, SessionKey, Time};
use heirloom_runtime::CommitFailed;

use crate::store::Store;

/// How many sessions are remembered that were written since the last answer. Of more than these, only what their own
/// commits have shown is known.
const KEYS_MAX: usize = 512;

/// What can be found out about the members. `C` is a commit.
pub(crate) trait Members<C> {
    /// How many other members serve.
    fn ready_peers(&self) -> usize;
    /// The present.
    fn now(&self) -> Time;
    /// A commit without a change, for as many copies; `None` if the session is gone.
    fn probe(&self, key: SessionKey, durability: Durability) -> Option<C>;
}

impl<S: Store> Members<S::Commit> for S {
    fn ready_peers(&self) -> usize {
        Store::ready_peers(self)
    }

    fn now(&self) -> Time {
        Store::now(self)
    }

    fn probe(&self, key: SessionKey, durability: Durability) -> Option<S::Commit> {
        self.peek(&key).map(|_| Store::probe(self, key, durability))
    }
}

/// The writes of one client since the last answer.
#[derive(Debug)]
pub(crate) struct Writes {
    keys: Vec<SessionKey>,
    /// Whether `keys` are all.
    is_whole: bool,
    /// How many members the write has that has the fewest; `None` without a write.
    least: Option<usize>,
    answered: Option<usize>,
}

impl Default for Writes {
    fn default() -> Self {
        Self { keys: Vec::new(), is_whole: true, least: None, answered: None }
    }
}

impl Writes {
    /// A write is decided, and that many members have it. Of one that is of no session no more can be found out.
    pub(crate) fn add(&mut self, key: Option<SessionKey>, members: usize) {
        self.least = Some(self.least.map_or(members, |least| least.min(members)));
        if !self.is_whole || (key.is_some() && self.keys.last().copied() == key) {
            return;
        }
        if self.keys.len() == KEYS_MAX {
            self.keys.sort_unstable();
            self.keys.dedup();
        }
        match key.filter(|_| self.keys.len() < KEYS_MAX) {
            Some(key) => self.keys.push(key),
            None => (self.is_whole, self.keys) = (false, Vec::new()),
        }
    }

    fn probes<C>(&mut self, members: &impl Members<C>, wanted: usize) -> Option<Vec<C>> {
        self.keys.sort_unstable();
        self.keys.dedup();
        let durability = if wanted == 1 { Durability::One } else { Durability::All };
        let probes = self.keys.iter().map(|key| members.probe(*key, durability));
        if self.is_whole { probes.collect() } else { None }
    }

    fn answer(&mut self, count: usize) -> usize {
        *self = Self { answered: Some(count), ..Self::default() };
        count
    }
}

/// A client that waits for an answer.
#[derive(Debug)]
pub(crate) struct Wait<C> {
    wanted: usize,
    until: Option<Time>,
    probes: Option<Vec<C>>,
    least: usize,
}

impl<C: Future<Output = Result<Receipt, CommitFailed>> + Unpin> Wait<C> {
    /// Waits for so many members, or until then.
    pub(crate) fn new(wanted: usize, until: Option<Time>) -> Self {
        Self { wanted, until, probes: None, least: usize::MAX }
    }

    /// When to poll again although nothing was woken.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.until
    }

    /// The answer. It is asked for once everything that the client wrote before is decided.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        writes: &mut Writes,
        members: &impl Members<C>,
    ) -> Poll<usize> {
        let ready = members.ready_peers();
        let Some(known) = writes.least else {
            let count = writes.answered.map_or(ready, |answered| answered.min(ready));
            return Poll::Ready(writes.answer(count));
        };
        let is_late = self.until.is_some_and(|at| at <= members.now());
        if self.wanted.min(ready) <= known || is_late {
            return Poll::Ready(writes.answer(known));
        }
        if self.probes.is_none() {
            self.probes = writes.probes(members, self.wanted);
        }
        let Some(probes) = &mut self.probes else { return Poll::Ready(writes.answer(known)) };
        let least = &mut self.least;
        probes.retain_mut(|probe| match Pin::new(probe).poll(context) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                *least = copies(&outcome).min(*least);
                false
            }
        });
        if probes.is_empty() { Poll::Ready(writes.answer(known.max(*least))) } else { Poll::Pending }
    }
}

/// How many other members are known to have applied a commit.
pub(crate) fn copies(outcome: &Result<Receipt, CommitFailed>) -> usize {
    match outcome {
        Ok(receipt) => receipt.members.len(),
        Err(CommitFailed::NotDurable { have, .. }) => have.len(),
        Err(CommitFailed::Refused(_) | CommitFailed::Gone) => 0,
    }
}

#[cfg(test)]
mod tests {
    use core::{cell::Cell, future, task::Waker, time::Duration};

    use heirloom_core::MemberId;

    use super::*;

    const KEY: SessionKey = SessionKey([1; 16]);

    /// A cluster where a probe is answered by so many, or not at all.
    #[derive(Default)]
    struct Cluster {
        ready: usize,
        answer: Option<usize>,
        now: Cell<Time>,
        probes: Cell<usize>,
    }

    type Probe = Pin<Box<dyn Future<Output = Result<Receipt, CommitFailed>>>>;

    impl Members<Probe> for Cluster {
        fn ready_peers(&self) -> usize {
            self.ready
        }

        fn now(&self) -> Time {
            self.now.get()
        }

        fn probe(&self, _: SessionKey, _: Durability) -> Option<Probe> {
            self.probes.set(self.probes.get() + 1);
            Some(match self.answer {
                Some(count) => Box::pin(future::ready(Ok(durable(count)))),
                None => Box::pin(future::pending()),
            })
        }
    }

    #[test]
    fn without_a_write_the_ready_peers_are_the_answer() {
        let cluster = Cluster { ready: 2, ..Cluster::default() };
        assert_eq!(ask(&cluster, &mut Writes::default(), 1), Poll::Ready(2));
    }

    #[test]
    fn what_the_writes_have_shown_is_enough_when_it_is_as_much_as_is_wanted_or_there() {
        let cluster = Cluster { ready: 2, ..Cluster::default() };
        for (wanted, copies, ready) in [(1, 1, 2), (0, 0, 2), (5, 2, 2)] {
            let mut writes = Writes::default();
            writes.add(Some(KEY), 2);
            writes.add(Some(KEY), copies);
            let cluster = Cluster { ready, ..Cluster::default() };
            assert_eq!(ask(&cluster, &mut writes, wanted), Poll::Ready(copies));
            assert_eq!(cluster.probes.get(), 0);
        }
        let mut writes = Writes::default();
        writes.add(Some(KEY), 1);
        assert_eq!(ask(&cluster, &mut writes, 1), Poll::Ready(1));
        assert_eq!(ask(&cluster, &mut writes, 1), Poll::Ready(1), "the answer is kept without a further write");
    }

    #[test]
    fn each_session_is_asked_about_once_more_when_too_little_is_known() {
        let cluster = Cluster { ready: 2, answer: Some(2), ..Cluster::default() };
        let mut writes = Writes::default();
        for byte in [1, 2, 1, 2] {
            writes.add(Some(SessionKey([byte; 16])), 0);
        }
        assert_eq!(ask(&cluster, &mut writes, 2), Poll::Ready(2));
        assert_eq!(cluster.probes.get(), 2);
    }

    #[test]
    fn who_has_waited_long_enough_is_told_what_is_known() {
        let cluster = Cluster { ready: 2, ..Cluster::default() };
        let mut writes = Writes::default();
        writes.add(Some(KEY), 1);
        let mut wait = Wait::new(2, Some(Time::ZERO + Duration::from_secs(1)));
        let context = &mut Context::from_waker(Waker::noop());
        assert_eq!(wait.poll(context, &mut writes, &cluster), Poll::Pending);
        cluster.now.set(Time::ZERO + Duration::from_secs(1));
        assert_eq!(wait.poll(context, &mut writes, &cluster), Poll::Ready(1));
    }

    #[test]
    fn of_too_many_sessions_only_what_their_commits_have_shown_is_told() {
        let cluster = Cluster { ready: 2, answer: Some(2), ..Cluster::default() };
        let mut writes = Writes::default();
        for number in 0..=KEYS_MAX {
            let mut key = KEY;
            key.0[..8].copy_from_slice(&number.to_le_bytes());
            writes.add(Some(key), 1);
        }
        assert_eq!(ask(&cluster, &mut writes, 2), Poll::Ready(1));
        assert_eq!(cluster.probes.get(), 0);
    }

    #[test]
    fn of_a_write_of_no_session_only_what_it_has_shown_is_told() {
        let cluster = Cluster { ready: 2, answer: Some(2), ..Cluster::default() };
        let mut writes = Writes::default();
        writes.add(Some(KEY), 2);
        writes.add(None, 1);
        assert_eq!(ask(&cluster, &mut writes, 2), Poll::Ready(1));
    }

    fn durable(count: usize) -> Receipt {
        Receipt { members: vec![MemberId(1); count], missing: Vec::new() }
    }

    fn ask(cluster: &Cluster, writes: &mut Writes, wanted: usize) -> Poll<usize> {
        Wait::new(wanted, None).poll(&mut Context::from_waker(Waker::noop()), writes, cluster)
    }
}
