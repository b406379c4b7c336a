//! Requests of clients. As in the node program, a member first fetches the session that it is asked for; where it has to
//! ask others, the request waits.

use std::collections::BTreeMap;

use heirloom_core::{
    CommitError, Durability, Fetch, FetchId, Fetched, MemberId, MemberState, Minority, Partition, Purpose, SessionKey,
};

use crate::{
    ask::{Ask, Serial, Start},
    clock::Moment,
    cluster::Fact,
    history::{Shown, There, shown, shown_in},
    names::{self, Name},
    net::HostId,
    oracles::{
        Read, View,
        limits::{self, Before},
    },
    record::{Happened, Step, Subject},
    sim::Sim,
    violation::{Promise, Violation},
};

/// The number of a look at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question(u64);

/// What became of a look at a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The session.
    Shown(Shown),
    /// There is none.
    Unknown,
    /// Some that may have it did not answer in time.
    Late,
}

/// The requests of clients that wait, and what became of those for a look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<(MemberId, FetchId), Request>,
    answers: BTreeMap<Question, Answer>,
    last: u64,
}

impl Requests {
    /// A request that its member has not answered yet.
    pub(crate) fn waiting(&self) -> Option<String> {
        let (_, request) = self.waiting.first_key_value()?;
        Some(format!("{} has not fetched {} since {}", request.host, request.key, request.at))
    }
}

#[derive(Clone, Debug)]
struct Request {
    host: HostId,
    key: SessionKey,
    at: Moment,
    wish: Wish,
}

#[derive(Clone, Debug)]
enum Wish {
    Change(Serial, Ask),
    Look(Question),
}

impl Sim {
    /// Commits on a ready host, at once or when it has fetched the session; `None` when the node refuses for a reason that
    /// a client may give it.
    ///
    /// # Errors
    ///
    /// The promise that was broken.
    pub fn commit(&mut self, host: HostId, ask: Ask) -> Result<Option<Serial>, Violation> {
        let Some(process) = self.cluster.process(host) else { return Ok(None) };
        let (life, serial, at) = (process.life, self.history.next_serial(), self.now());
        if self.must_pause(host).is_some() {
            self.cluster.marks.judged("a member that must pause is asked to write");
        }
        for key in self.needs(&ask) {
            if let Some(Fetch::Asked(id)) = self.fetch(host, key, Purpose::Write)? {
                self.history.reserve();
                self.note_step(host, Subject::Session(ask.key), serial, Step::Waits);
                self.requests.waiting.insert((life, id), Request { host, key, at, wish: Wish::Change(serial, ask) });
                self.cluster.settle(host)?;
                self.attend()?;
                return Ok(Some(serial));
            }
        }
        let is_taken = self.commit_now(host, serial, ask)?;
        Ok(Some(serial).filter(|_| is_taken))
    }

    /// The sessions that a request must find before it changes one: for an id change both, in this order. Who creates one
    /// anew need not ask for it, unless its id may have been changed.
    fn needs(&self, ask: &Ask) -> Vec<SessionKey> {
        let is_new = ask.start == Start::Anew && self.history.moves_from(ask.key).next().is_none();
        let old = Some(ask.key).filter(|_| !is_new);
        old.into_iter().chain(ask.moves_to).collect()
    }

    /// Looks at a session, which is a use of it; `None` where nothing serves.
    ///
    /// # Errors
    ///
    /// The promise that was broken.
    pub fn read(&mut self, host: HostId, key: SessionKey) -> Result<Option<Question>, Violation> {
        let Some(life) = self.cluster.process(host).map(|process| process.life) else { return Ok(None) };
        self.requests.last += 1;
        let (question, at) = (Question(self.requests.last), self.now());
        match self.fetch(host, key, Purpose::Read)? {
            Some(Fetch::Here) => self.use_now(host, key, question, at)?,
            Some(Fetch::Asked(id)) => {
                self.requests.waiting.insert((life, id), Request { host, key, at, wish: Wish::Look(question) });
            }
            None => return Ok(None),
        }
        self.cluster.settle(host)?;
        self.attend()?;
        Ok(Some(question))
    }

    /// What became of a look; `None` as long as its member waits for others.
    pub fn answer(&self, question: Question) -> Option<&Answer> {
        self.requests.answers.get(&question)
    }

    /// Writes to the shared map at a ready host, if the node takes it.
    pub(crate) fn write_name(
        &mut self,
        prefer: HostId,
        name: Name,
        sets: bool,
        durability: Durability,
    ) -> Result<(), Violation> {
        let Some(host) = self.serving(prefer) else { return Ok(()) };
        let Some(process) = self.cluster.process(host) else { return Ok(()) };
        let (life, seen, value) = (process.life, names::shown(&process.node, name), self.history.names().next_serial());
        let result = self.cluster.input(host, |node, time| match sets {
            true => node.map_set(time, name.bytes(), value.0.to_le_bytes().to_vec(), durability),
            false => node.map_remove(time, name.bytes(), durability),
        });
        if let Some(result) = &result {
            self.note_step(host, Subject::Name(name), value, Step::taken(result));
        }
        match result {
            Some(Ok(id)) => self.history.names_mut().handle_write((host, life), (name, sets), id, seen),
            Some(Err(error)) => self.cluster.marks.refused(&error),
            None => {}
        }
        self.cluster.settle(host)?;
        self.attend()
    }

    /// Sends a message of the application from a ready host to another, or to all.
    pub(crate) fn send(&mut self, prefer: HostId, to: Option<HostId>) -> Result<(), Violation> {
        let Some(host) = self.serving(prefer) else { return Ok(()) };
        let Some(from) = self.cluster.process(host).map(|process| process.life) else { return Ok(()) };
        let to = to.map(|to| self.cluster.process(to).map(|process| process.life));
        if to == Some(None) {
            return Ok(());
        }
        let (to, message) = (to.flatten(), self.history.mail().next_message().to_vec());
        let sent = self.cluster.input(host, |node, _| match to {
            Some(to) => node.send(to, message).is_ok(),
            None => node.send_to_all(message).is_ok(),
        });
        if sent == Some(true) {
            self.history.mail_mut().handle_sent(from, to);
        }
        self.cluster.settle(host)?;
        self.attend()
    }

    /// A fetch has been answered: the request goes on.
    pub(crate) fn hear_fetched(&mut self, fact: &Fact, id: FetchId, fetched: &Fetched) -> Result<(), Violation> {
        let Some(request) = self.requests.waiting.remove(&(fact.life, id)) else {
            let story = format!("{} answers {id:?}, which nobody waits for", fact.host);
            return Err(Violation { promise: Promise::Turn, at: self.now(), story });
        };
        let Request { host, key, at, wish } = request;
        match (wish, fetched) {
            (Wish::Change(serial, ask), Fetched::Here | Fetched::Unknown) => {
                let other = ask.moves_to.filter(|new| key != *new);
                match other.map(|new| self.fetch(host, new, Purpose::Write)).transpose()?.flatten() {
                    Some(Fetch::Asked(id)) => {
                        let request =
                            Request { host, key: ask.moves_to.unwrap_or(key), at, wish: Wish::Change(serial, ask) };
                        self.requests.waiting.insert((fact.life, id), request);
                        self.cluster.settle(host)?;
                    }
                    Some(Fetch::Here) | None => {
                        self.commit_now(host, serial, ask)?;
                    }
                }
            }
            (Wish::Change(..), Fetched::Late) => self.judge(Read { host, key, asked_at: at, shown: None })?,
            (Wish::Change(..), Fetched::Copy(..)) | (_, Fetched::Stale { .. }) => {
                let story = format!("{host} answers {id:?} with what nobody asked for: {fetched:?}");
                return Err(Violation { promise: Promise::Turn, at: self.now(), story });
            }
            (Wish::Look(question), Fetched::Here) => {
                self.use_now(host, key, question, at)?;
                self.cluster.settle(host)?;
            }
            (Wish::Look(question), Fetched::Copy(session, _)) => {
                let shown = shown_in(session);
                self.history.handle_use(self.now(), fact.life, key, &shown, false);
                self.requests.answers.insert(question, Answer::Shown(shown.clone()));
                self.judge(Read { host, key, asked_at: at, shown: Some(shown) })?;
            }
            (Wish::Look(question), Fetched::Unknown) => {
                self.requests.answers.insert(question, Answer::Unknown);
                self.judge(Read { host, key, asked_at: at, shown: Some(Shown::new()) })?;
            }
            (Wish::Look(question), Fetched::Late) => {
                self.requests.answers.insert(question, Answer::Late);
                self.judge(Read { host, key, asked_at: at, shown: None })?;
            }
        }
        Ok(())
    }

    /// A process is no more: nobody waits for it.
    pub(crate) fn handle_exit(&mut self, life: MemberId) {
        let pending = self.history.pending().filter(|attempt| attempt.life == life);
        for (host, key, serial) in pending.map(|attempt| (attempt.host, attempt.ask.key, attempt.serial)) {
            self.cluster.note(|_| Happened::Commit(host, Subject::Session(key), serial, Step::Unknown));
        }
        self.history.handle_death(life);
        self.requests.waiting.retain(|(of, _), _| *of != life);
    }

    fn fetch(&mut self, host: HostId, key: SessionKey, purpose: Purpose) -> Result<Option<Fetch>, Violation> {
        let is_ready = self.cluster.is_ready(host);
        match self.cluster.fetch(host, key, purpose) {
            Some(Ok(_)) if !is_ready => {
                let story = format!("{host} fetches {key} though it does not serve");
                Err(Violation { promise: Promise::Join, at: self.now(), story })
            }
            Some(Err(error @ CommitError::TooManyCommits { .. })) => {
                self.cluster.marks.refused(&error);
                Ok(None)
            }
            Some(Err(error @ CommitError::Paused(_))) if self.is_paused(host) && purpose == Purpose::Write => {
                self.cluster.marks.refused(&error);
                Ok(None)
            }
            Some(Err(error)) if is_ready => {
                let story = format!("{host} is ready and refuses to fetch: {error}");
                Err(Violation { promise: Promise::Turn, at: self.now(), story })
            }
            Some(Ok(fetch)) => Ok(Some(fetch)),
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// Commits; tells whether the node took it.
    fn commit_now(&mut self, host: HostId, serial: Serial, ask: Ask) -> Result<bool, Violation> {
        let Some(process) = self.cluster.process(host) else { return Ok(false) };
        let mut there = There::at(&process.node, &ask.key, &self.history.kin(ask.key));
        let (life, state) = (process.life, process.node.state());
        let (before, paused) = (Before::of(&self.cluster, host, &process.node), self.must_pause(host));
        let result = match ask.moves_to {
            Some(new) => self.cluster.change_id(host, ask.key, new, ask.demand()),
            None => self.cluster.commit(host, ask.key, ask.delta(serial), ask.demand()),
        };
        if let Some(result) = &result {
            self.note_step(host, Subject::Session(ask.key), serial, Step::taken(result));
            limits::check_size(self.view(), host, &ask, result)?;
        }
        let wrong = |promise, story| Err(Violation { promise, at: self.now(), story });
        let is_taken = match result {
            Some(Ok(_)) if state != MemberState::Ready => {
                return wrong(Promise::Join, format!("{host} takes a commit though it is {state:?}"));
            }
            Some(Ok(_)) if paused.is_some() => {
                return wrong(Promise::Turn, format!("{host} takes a commit though it has paused: {paused:?}"));
            }
            Some(Err(CommitError::Paused(why))) if paused != Some(why) => {
                return wrong(Promise::Turn, format!("{host} refuses a commit as if it had paused: {why}"));
            }
            Some(Ok(id)) => {
                if ask.start == Start::End {
                    let left = self.cluster.process(host).and_then(|process| process.node.record(&ask.key));
                    there.left = left.map(|session| session.version());
                }
                self.history.handle_commit(self.now(), (host, life), (serial, ask), id, &there);
                if let Some(attempt) = self.history.attempt(serial) {
                    let view = View::new(&self.cluster, &self.history, &self.ledger);
                    limits::check_commit(view, host, &attempt.ask, &before)?;
                    self.oracles.handle_commit(view, attempt)?;
                }
                true
            }
            Some(Err(CommitError::NotReady)) if state == MemberState::Ready => {
                return wrong(Promise::Turn, format!("{host} is ready and says that it is not"));
            }
            Some(Err(error)) => {
                self.cluster.marks.refused(&error);
                false
            }
            None => false,
        };
        self.cluster.settle(host)?;
        self.attend()?;
        Ok(is_taken)
    }

    /// Why a member must take no writes: it sees too few others, by its own word, and is set to pause then.
    fn must_pause(&self, host: HostId) -> Option<Minority> {
        let pauses = self.cluster.config_of(host).partition == Partition::Pause;
        self.cluster.process(host).filter(|_| pauses).and_then(|process| process.node.minority())
    }

    fn is_paused(&self, host: HostId) -> bool {
        self.cluster.process(host).is_some_and(|process| process.node.paused().is_some())
    }

    /// Uses a session where it is shown.
    fn use_now(&mut self, host: HostId, key: SessionKey, question: Question, at: Moment) -> Result<(), Violation> {
        let Some(process) = self.cluster.process(host) else { return Ok(()) };
        let (life, seen) = (process.life, shown(&process.node, &key));
        let answer = match process.node.session(&key) {
            Some(_) => {
                self.history.handle_use(self.now(), life, key, &seen, true);
                Answer::Shown(seen.clone())
            }
            None => Answer::Unknown,
        };
        self.cluster.touch(host, &key);
        self.requests.answers.insert(question, answer);
        self.judge(Read { host, key, asked_at: at, shown: Some(seen) })
    }

    fn judge(&mut self, read: Read) -> Result<(), Violation> {
        self.cluster.note(|_| Happened::Read(read.host, read.key, read.shown.clone()));
        let view = View::new(&self.cluster, &self.history, &self.ledger);
        self.oracles.handle_answer(view, &read)
    }
}
