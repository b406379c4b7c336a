//! A client at a node of its own: no sockets, and time passes when the test says so.
#![cfg_attr(not(test), allow(dead_code, reason = "a fuzzer uses a part of it"))]

use core::{
    cell::{Cell, RefCell},
    future::{Ready, ready},
    net::SocketAddr,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use heirloom_core::{
    AtRisk, AttributeTraffic, CommitError, CommitId, Config, Delta, Durability, EndCause, Handover, KeyMaker, Member,
    MemberId, MemberState, Minority, Node, Outcome, Purpose, Receipt, SessionKey, Stats, Time,
};
use heirloom_runtime::{CommitFailed, FetchFailed, Found, FrameErrors, IdTooLong, Published};

use super::{After, Call, Connection, Program, call::Counters, fetch, run};
use crate::{
    fetches::{Brought, Fetches},
    replies::Replies,
    resp::{Arguments, Version, parse},
    store::Store,
    waits::Wait,
};

/// The idle time at the desk.
pub(crate) const IDLE: Duration = Duration::from_secs(1800);

/// What the wall clock shows when the desk opens.
pub(crate) const WALL: Duration = Duration::from_secs(2_000_000_000);

/// A member without others.
pub(crate) struct Alone {
    node: RefCell<Node>,
    now: Cell<Time>,
    keys: KeyMaker,
    /// The sessions that others have to be asked for, and what they answer. As long as there is none, all are here.
    far: RefCell<BTreeMap<SessionKey, Later>>,
    /// What was asked for.
    pub(crate) asked: RefCell<Vec<(SessionKey, Purpose)>>,
}

/// An answer that the test gives.
#[derive(Clone, Default)]
pub(crate) struct Later(Rc<RefCell<Awaited>>);

#[derive(Default)]
struct Awaited {
    answer: Option<Result<Found, FetchFailed>>,
    waker: Option<Waker>,
}

/// A client and its node.
pub(crate) struct Desk {
    pub(crate) store: Alone,
    pub(crate) program: Program,
    connection: RefCell<Connection>,
    pub(crate) after: Cell<After>,
}

impl Desk {
    /// A node that serves.
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    /// A node that serves, with other settings.
    pub(crate) fn with(config: Config) -> Self {
        let desk = Self::start(Config { join_for: Duration::ZERO, ..config });
        desk.store.node.borrow_mut().start_alone(desk.store.now.get());
        desk.pass(Duration::from_secs(10));
        assert_eq!(desk.store.state(), MemberState::Ready);
        desk
    }

    /// A node that does not serve yet.
    pub(crate) fn joining() -> Self {
        Self::start(Config::default())
    }

    fn start(config: Config) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 4000));
        let (idle, copies) = (config.idle, config.copies);
        let (memory_max, when_full, partition) = (config.memory_max, config.when_full, config.partition);
        let node = Node::new(MemberId(1), address, config, 1, Time::ZERO).expect("the settings are allowed");
        let store = Alone {
            node: RefCell::new(node),
            now: Cell::default(),
            keys: KeyMaker::new("desk"),
            far: RefCell::default(),
            asked: RefCell::default(),
        };
        let program = Program {
            name: "desk".into(),
            cluster_name: "test".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 6379)),
            started: Instant::now(),
            idle,
            copies,
            memory_max,
            when_full,
            partition,
            host: "desk-host".into(),
            zone: String::new(),
            domain: String::new(),
            payload: "desk-payload".into(),
            weight: 100,
            version_max: 1,
            durability: None,
            drain_for: Duration::from_secs(20),
            clients_max: 10,
            reply_bytes_max: 1 << 20,
            counters: Counters::default(),
        };
        let connection = Connection::new(7, SocketAddr::from(([127, 0, 0, 1], 5000)));
        Self { store, program, connection: RefCell::new(connection), after: Cell::new(After::Next) }
    }

    /// Time passes for the node.
    pub(crate) fn pass(&self, length: Duration) {
        let end = self.store.now.get() + length;
        let mut node = self.store.node.borrow_mut();
        while let Some(at) = node.poll_timeout().filter(|at| *at <= end) {
            node.handle_timeout(at);
            while node.poll_transmit(at).is_some() {}
        }
        self.store.now.set(end);
    }

    /// Asks in words, and gives the reply as `redis-cli` would write it on one line.
    pub(crate) fn ask(&self, line: &str) -> String {
        self.ask_words(&line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>())
    }

    /// Asks in any bytes.
    pub(crate) fn ask_words(&self, words: &[&[u8]]) -> String {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend([format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat());
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        parse(&request, &mut ranges).expect("it is a request");
        self.ask_request(Arguments::new(&request, &ranges))
    }

    /// Asks what has been parsed.
    pub(crate) fn ask_request(&self, arguments: Arguments<'_>) -> String {
        let mut replies = Replies::new();
        let mut connection = self.connection.borrow_mut();
        let version = connection.version;
        let brought = self.bring(connection.space, arguments);
        let (start, reply) = replies.begin(version, self.program.reply_bytes_max);
        let mut commits = Vec::new();
        let after = run(Call {
            store: &self.store,
            program: &self.program,
            connection: &mut connection,
            arguments,
            brought,
            reply,
            commits: &mut commits,
            after: After::Next,
        });
        self.after.set(after);
        replies.hold(start, commits.into_iter());
        if let After::Wait { wanted, until } = after {
            replies.hold_count(start, Wait::new(wanted, until));
        }
        let context = &mut Context::from_waker(Waker::noop());
        replies.settle(context, &self.store);
        if let Some(until) = replies.poll_timeout() {
            self.pass(until.since(self.store.now.get()));
            replies.settle(context, &self.store);
        }
        let bytes = replies.released();
        if bytes.is_empty() && matches!(after, After::Wait { until: None, .. } | After::Shutdown) {
            return "nothing".into();
        }
        let (shown, rest) = show(bytes);
        assert!(rest.is_empty(), "one command has one reply");
        assert!(connection.version == Version::Three || !shown.starts_with('{'), "maps are for version three");
        shown
    }

    /// What others answer at once.
    fn bring(&self, space: u32, arguments: Arguments<'_>) -> Brought {
        if !self.store.fetches() {
            return Brought::default();
        }
        let mut fetches = Fetches::new(self.program.reply_bytes_max);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(fetch(&mut fetches, context, &self.store, space, arguments), "what is asked for is answered at once");
        fetches.into_brought()
    }

    /// From now on others answer this when they are asked for a session.
    pub(crate) fn set_far(&self, id: &str, answer: Result<Found, FetchFailed>) {
        self.store.set_far(self.key(id)).answer(answer);
    }

    /// The key of a session.
    pub(crate) fn key(&self, id: &str) -> SessionKey {
        self.store.keys.key(0, id.as_bytes())
    }

    /// Asks each, and compares the reply.
    pub(crate) fn table(&self, rows: &[(&str, &str)]) {
        for (line, reply) in rows {
            assert_eq!(&self.ask(line), reply, "{line}");
        }
    }
}

/// One reply as text, and the bytes behind it.
fn show(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a reply has a line");
    let (line, rest) = (core::str::from_utf8(&bytes[..end]).expect("a line is text"), &bytes[end + 2..]);
    let (kind, text) = line.split_at(1);
    let several = |count: usize, mut rest| {
        let mut items = Vec::new();
        for _ in 0..count {
            let (item, behind) = show(rest);
            items.push(item);
            rest = behind;
        }
        (items.join(" "), rest)
    };
    let len = || text.parse::<usize>().expect("a length");
    match (kind, text) {
        ("+" | "-" | ":", _) => (line.into(), rest),
        ("$" | "*", "-1") => ("(nil)".into(), rest),
        ("_", "") => ("(null)".into(), rest),
        ("$" | "=", _) => {
            let (body, behind) = rest.split_at(len());
            let body = if kind == "=" { body.strip_prefix(b"txt:").expect("it is plain text") } else { body };
            (body.escape_ascii().to_string().replace("\\r\\n", "\n"), &behind[2..])
        }
        ("*", _) => {
            let (items, rest) = several(len(), rest);
            (format!("[{items}]"), rest)
        }
        ("%", _) => {
            let (items, rest) = several(len() * 2, rest);
            (format!("{{{items}}}"), rest)
        }
        _ => panic!("no such reply: {line}"),
    }
}

impl Alone {
    /// From now on others have to be asked for this session.
    pub(crate) fn set_far(&self, key: SessionKey) -> Later {
        let later = Later::default();
        self.far.borrow_mut().insert(key, later.clone());
        later
    }

    fn outcome(&self, made: Result<CommitId, CommitError>) -> Result<Receipt, CommitFailed> {
        made.map_err(CommitFailed::Refused).and_then(|id| {
            self.settle();
            let (decided, outcome) = self.node.borrow_mut().poll_outcome().expect("alone, nothing is waited for");
            assert_eq!(decided, id);
            match outcome {
                Outcome::Durable(receipt) => Ok(receipt),
                Outcome::NotDurable { have, missing, want, late } => {
                    Err(CommitFailed::NotDurable { have, missing, want, late })
                }
            }
        })
    }

    fn settle(&self) {
        let mut node = self.node.borrow_mut();
        while node.poll_transmit(self.now.get()).is_some() {}
    }
}

impl Later {
    /// The answer has come.
    pub(crate) fn answer(&self, answer: Result<Found, FetchFailed>) {
        let mut state = self.0.borrow_mut();
        state.answer = Some(answer);
        state.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Future for Later {
    type Output = Result<Found, FetchFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.borrow_mut();
        match state.answer.clone() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Store for Alone {
    type Commit = Ready<Result<Receipt, CommitFailed>>;
    type Fetch = Later;

    fn fetches(&self) -> bool {
        !self.far.borrow().is_empty()
    }

    fn fetch(&self, key: SessionKey, purpose: Purpose) -> Later {
        self.asked.borrow_mut().push((key, purpose));
        self.far.borrow().get(&key).cloned().unwrap_or_else(|| {
            let here = Later::default();
            here.answer(Ok(Found::Here));
            here
        })
    }

    fn key(&self, space: u32, id: &[u8]) -> Result<SessionKey, IdTooLong> {
        if id.len() <= 512 { Ok(self.keys.key(space, id)) } else { Err(IdTooLong { bytes: id.len(), max: 512 }) }
    }

    fn session(&self, key: &SessionKey) -> Option<Published> {
        self.node.borrow_mut().touch(self.now.get(), key);
        self.peek(key)
    }

    fn peek(&self, key: &SessionKey) -> Option<Published> {
        let node = self.node.borrow();
        let deadline = node.deadline(key);
        let session = node.session(key).filter(|_| deadline.is_none_or(|at| self.now.get() < at))?;
        Some(Published::new(session.clone(), deadline))
    }

    fn commit(&self, key: SessionKey, delta: Delta) -> Self::Commit {
        let made = self.node.borrow_mut().commit(self.now.get(), key, delta, Durability::Local);
        ready(self.outcome(made))
    }

    fn change_id(&self, old: SessionKey, new: SessionKey) -> Self::Commit {
        let made = self.node.borrow_mut().change_id(self.now.get(), old, new, Durability::Local);
        ready(self.outcome(made))
    }

    fn moved(&self, key: &SessionKey) -> Option<SessionKey> {
        self.node.borrow().moved(key)
    }

    fn probe(&self, key: SessionKey, _: Durability) -> Self::Commit {
        self.commit(key, Delta::new())
    }

    fn map_get(&self, name: &[u8]) -> Option<Bytes> {
        self.node.borrow().map_get(name).cloned()
    }

    fn map(&self) -> Arc<BTreeMap<Bytes, Bytes>> {
        Arc::new(self.node.borrow().map_iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn map_write(&self, name: &[u8], value: Option<&[u8]>) -> Self::Commit {
        let (name, now) = (Bytes::copy_from_slice(name), self.now.get());
        let made = match value.map(Bytes::copy_from_slice) {
            Some(value) => self.node.borrow_mut().map_set(now, name, value, Durability::Local),
            None => self.node.borrow_mut().map_remove(now, name, Durability::Local),
        };
        ready(self.outcome(made))
    }

    fn state(&self) -> MemberState {
        self.node.borrow().state()
    }

    fn ready_peers(&self) -> usize {
        0
    }

    fn members(&self) -> Vec<Member> {
        Vec::new()
    }

    fn neighbors(&self) -> Vec<Member> {
        Vec::new()
    }

    fn id(&self) -> MemberId {
        self.node.borrow().id()
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 4000))
    }

    fn sessions(&self) -> usize {
        self.node.borrow().sessions()
    }

    fn memory(&self) -> usize {
        self.node.borrow().memory()
    }

    fn sessions_owned(&self) -> usize {
        self.node.borrow().sessions()
    }

    fn copies_received(&self) -> u64 {
        0
    }

    fn holders(&self, key: &SessionKey) -> Vec<MemberId> {
        self.node.borrow().holders(key)
    }

    fn ended(&self, key: &SessionKey) -> Option<EndCause> {
        self.node.borrow().ended(key)
    }

    fn is_settled(&self) -> bool {
        self.node.borrow().is_settled()
    }

    fn at_risk(&self) -> AtRisk {
        self.node.borrow().at_risk()
    }

    fn handover(&self) -> Option<Handover> {
        self.node.borrow().handover()
    }

    fn minority(&self) -> Option<Minority> {
        self.node.borrow().minority()
    }

    fn resume(&self) {
        self.node.borrow_mut().resume(self.now.get());
    }

    fn stats(&self) -> Stats {
        self.node.borrow().stats()
    }

    fn lag(&self, member: MemberId) -> Option<Duration> {
        self.node.borrow().lag(self.now.get(), member)
    }

    fn attribute_traffic(&self) -> Vec<AttributeTraffic> {
        self.node.borrow().attribute_traffic()
    }

    fn frame_errors(&self) -> FrameErrors {
        FrameErrors::default()
    }

    fn now(&self) -> Time {
        self.now.get()
    }

    fn wall(&self) -> Duration {
        WALL + self.now.get().since(Time::ZERO)
    }
}
