//! One client: its socket, what it has asked and not been answered yet, and its replies.
//!
//! What a client can make the node keep is bounded. It is not read while too many of its replies are unsent or waited
//! for, so what waits is in its own kernel, and it has to read its replies before it can ask on.

use core::{
    mem,
    net::SocketAddr,
    ops::Range,
    task::{Context, Waker},
};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use heirloom_core::{SessionKey, Time};
use heirloom_runtime::Interest;

use crate::{
    commands::{After, Call, Connection, Program, fetch, run},
    fetches::{Brought, Fetches},
    replies::Replies,
    resp::{Arguments, Limits, Scan, Scanner, Violation, parse},
    store::Store,
    waits::Wait,
};

/// Replies that are not sent yet, in bytes, above which a client is not served on.
const UNSENT_BYTES_MAX: usize = 256 << 10;
/// Writes that are waited for, above which a client is not served on.
const HELD_MAX: usize = 4096;
/// Commands that a client runs in one round; then it is another's turn.
const ROUND_MAX: usize = 2048;
/// Memory that an idle client may keep for its next request.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What is shared by all clients while they are served.
pub(crate) struct Desk<S: Store> {
    pub(crate) store: S,
    pub(crate) program: Program,
    pub(crate) scratch: Scratch<S>,
}

/// Memory that is used again for every command.
pub(crate) struct Scratch<S: Store> {
    pub(crate) input: Box<[u8]>,
    ranges: Vec<Range<usize>>,
    commits: Vec<(Option<SessionKey>, S::Commit)>,
}

/// One client.
pub(crate) struct Client<S: Store> {
    socket: TcpStream,
    connection: Connection,
    scanner: Scanner,
    /// What arrived and is no whole request yet, or could not be served yet.
    input: Vec<u8>,
    replies: Replies<S::Commit>,
    waker: Waker,
    interest: Interest,
    phase: Phase,
    /// What its next command waits for.
    fetches: Option<Fetches<S::Fetch>>,
    is_waiting: bool,
    /// It has asked more than was served: it had its share of the round, or no room for replies.
    has_more: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The client sends no more; what it has asked is served.
    Finished,
    /// It gets the replies it has earned, and no command is run any more.
    Closing,
    /// It gets nothing any more.
    Broken,
}

/// What came of the first bytes that a client has sent, and how many they were.
enum Ran {
    /// A command, or what takes the place of one.
    Command(usize),
    /// A command that waits for others; it stays where it is.
    Waits,
    /// The command that makes the node leave.
    Shutdown(usize),
    /// No whole request is there.
    Nothing(usize),
}

/// Whether a client has asked the node to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Served {
    Done,
    Shutdown,
}

impl<S: Store> Scratch<S> {
    pub(crate) fn new() -> Self {
        let input = vec![0; 64 << 10].into_boxed_slice();
        Self { input, ranges: Vec::new(), commits: Vec::new() }
    }
}

impl<S: Store> Client<S> {
    /// A client that has just come; `waker` is woken when one of its writes is decided.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) fn new(
        socket: TcpStream,
        address: SocketAddr,
        id: u64,
        limits: Limits,
        waker: Waker,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        // A client that is gone without a word is noticed after some minutes; one that is merely idle stays.
        rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
        #[cfg(target_os = "linux")]
        rustix::net::sockopt::set_tcp_keepidle(&socket, core::time::Duration::from_secs(300))?;
        Ok(Self {
            socket,
            connection: Connection::new(id, address),
            scanner: Scanner::new(limits),
            input: Vec::new(),
            replies: Replies::new(),
            waker,
            interest: Interest::Readable,
            phase: Phase::Open,
            fetches: None,
            is_waiting: false,
            has_more: false,
        })
    }

    /// The socket has something to read, and what is read is served.
    pub(crate) fn handle_readable(&mut self, desk: &mut Desk<S>) -> Served {
        if !matches!(self.interest, Interest::Readable | Interest::Both) {
            // This was not asked for, so it tells that the connection is gone.
            self.phase = Phase::Broken;
            return Served::Done;
        }
        let len = match self.socket.read(&mut desk.scratch.input) {
            Ok(0) => {
                self.phase = Phase::Finished;
                return self.serve(desk);
            }
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Served::Done;
            }
            Err(_) => {
                self.phase = Phase::Broken;
                return Served::Done;
            }
        };
        if !self.input.is_empty() {
            self.input.extend_from_slice(&desk.scratch.input[..len]);
            return self.serve(desk);
        }
        // What is served at once is never copied.
        let arrived = mem::take(&mut desk.scratch.input);
        let (used, served) = self.run_all(desk, &arrived[..len]);
        self.input.extend_from_slice(&arrived[used..len]);
        desk.scratch.input = arrived;
        served
    }

    /// Serves what has arrived, as far as the client has room for replies.
    pub(crate) fn serve(&mut self, desk: &mut Desk<S>) -> Served {
        let mut input = mem::take(&mut self.input);
        let (used, served) = self.run_all(desk, &input);
        input.drain(..used);
        if input.is_empty() {
            input.shrink_to(KEPT_BYTES_MAX);
        }
        self.input = input;
        served
    }

    /// Frees replies whose writes are decided, and the command that has what it waited for. Call it also when the waker was
    /// not woken.
    pub(crate) fn settle(&mut self, desk: &Desk<S>) {
        let context = &mut Context::from_waker(&self.waker);
        self.replies.settle(context, &desk.store);
        self.is_waiting = self.fetches.as_mut().is_some_and(|fetches| !fetches.settle(context));
    }

    /// When to settle although nobody was woken.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.replies.poll_timeout()
    }

    /// Sends what is freed, in one write.
    pub(crate) fn flush(&mut self) {
        let released = self.replies.released();
        if released.is_empty() || self.phase == Phase::Broken {
            return;
        }
        match self.socket.write(released) {
            Ok(sent) => self.replies.advance(sent),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.phase = Phase::Broken,
        }
    }

    /// Closes it once it has its replies; no command is run any more.
    pub(crate) fn close(&mut self) {
        if self.phase != Phase::Broken {
            self.phase = Phase::Closing;
        }
    }

    /// Whether nothing is left to do for it.
    pub(crate) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Finished => self.replies.is_done() && !self.has_more,
            Phase::Closing => self.replies.is_done(),
            Phase::Broken => true,
        }
    }

    /// Whether it is to be served again although nothing new arrives.
    pub(crate) fn can_go_on(&self) -> bool {
        self.has_more && self.has_room() && !self.is_waiting
    }

    /// What the poller has to tell, if that has changed.
    pub(crate) fn poll_interest(&mut self) -> Option<Interest> {
        let reads = self.phase == Phase::Open && self.has_room() && !self.has_more;
        let writes = !self.replies.released().is_empty();
        let interest = match (reads, writes) {
            (true, true) => Interest::Both,
            (true, false) => Interest::Readable,
            (false, true) => Interest::Writable,
            (false, false) => Interest::Nothing,
        };
        (mem::replace(&mut self.interest, interest) != interest).then_some(interest)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn has_room(&self) -> bool {
        self.replies.pending_bytes() < UNSENT_BYTES_MAX && self.replies.held() < HELD_MAX
    }

    fn run_all(&mut self, desk: &mut Desk<S>, input: &[u8]) -> (usize, Served) {
        let mut used = 0;
        self.has_more = false;
        for _ in 0..ROUND_MAX {
            if matches!(self.phase, Phase::Closing | Phase::Broken) {
                return (input.len(), Served::Done);
            }
            if !self.has_room() {
                break;
            }
            match self.run_one(desk, &input[used..]) {
                Ok(Ran::Command(len)) => used += len,
                Ok(Ran::Waits) => break,
                Ok(Ran::Nothing(len)) => return (used + len, Served::Done),
                Ok(Ran::Shutdown(len)) => {
                    self.has_more = used + len < input.len();
                    return (used + len, Served::Shutdown);
                }
                Err(Violation(text)) => {
                    self.replies.error(&text);
                    self.phase = Phase::Closing;
                }
            }
        }
        self.has_more = used < input.len();
        (used, Served::Done)
    }

    /// Runs the first request.
    fn run_one(&mut self, desk: &mut Desk<S>, input: &[u8]) -> Result<Ran, Violation> {
        let len = match self.scanner.scan(input)? {
            Scan::Incomplete { passed } => return Ok(Ran::Nothing(passed)),
            Scan::Empty { len } => return Ok(Ran::Command(len)),
            Scan::Refused { passed, refusal } => {
                self.replies.error(&refusal);
                return Ok(Ran::Command(passed));
            }
            Scan::Request { len } => len,
        };
        let Desk { store, program, scratch: Scratch { ranges, commits, .. } } = desk;
        parse(&input[..len], ranges)?;
        if ranges.is_empty() {
            return Ok(Ran::Command(len));
        }
        let arguments = Arguments::new(&input[..len], ranges);
        let brought = if store.fetches() {
            let mut fetches = self.fetches.take().unwrap_or_else(|| Fetches::new(program.reply_bytes_max));
            let context = &mut Context::from_waker(&self.waker);
            if !fetch(&mut fetches, context, &*store, self.connection.space, arguments) {
                self.fetches = Some(fetches);
                return Ok(Ran::Waits);
            }
            fetches.into_brought()
        } else {
            Brought::default()
        };
        program.counters.commands.set(program.counters.commands.get() + 1);
        let (start, reply) = self.replies.begin(self.connection.version, program.reply_bytes_max);
        let after = run(Call {
            store: &*store,
            program,
            connection: &mut self.connection,
            arguments,
            brought,
            reply,
            commits,
            after: After::Next,
        });
        self.replies.hold(start, commits.drain(..));
        match after {
            After::Next => {}
            After::Wait { wanted, until } => self.replies.hold_count(start, Wait::new(wanted, until)),
            After::Close => self.phase = Phase::Closing,
            After::Shutdown => return Ok(Ran::Shutdown(len)),
        }
        Ok(Ran::Command(len))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use heirloom_runtime::Found;

    use super::*;
    use crate::commands::testing::{Alone, Desk as Tests};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_command_that_waits_for_others_is_answered_in_its_place() {
        let (tests, elsewhere) = (Tests::new(), Tests::new());
        elsewhere.ask("SET far 7");
        let key = elsewhere.key("far");
        let copy = elsewhere.store.peek(&key).expect("it was written");
        let later = tests.store.set_far(key);
        let mut desk = Desk { store: tests.store, program: tests.program, scratch: Scratch::new() };
        let wakes = Arc::new(Wakes::default());
        let (mut client, mut peer) = pair(&wakes);

        peer.write_all(b"SET near 1\r\nGET far\r\nGET near\r\nPING\r\n").expect("it is open");
        while client.input.is_empty() {
            assert_eq!(client.handle_readable(&mut desk), Served::Done);
        }
        assert_eq!(replies(&mut client, &desk, &mut peer), "+OK\r\n");
        assert!(!client.can_go_on() && !client.is_over());
        assert_eq!(client.poll_interest(), Some(Interest::Nothing), "what it sends stays where it is");

        later.answer(Ok(Found::Copy(copy)));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(replies(&mut client, &desk, &mut peer), "");
        assert!(client.can_go_on());
        assert_eq!(client.serve(&mut desk), Served::Done);
        assert_eq!(replies(&mut client, &desk, &mut peer), "$1\r\n7\r\n$1\r\n1\r\n+PONG\r\n");
        assert_eq!(client.poll_interest(), Some(Interest::Readable));
        assert_eq!(desk.program.counters.commands.get(), 4);
    }

    fn pair(wakes: &Arc<Wakes>) -> (Client<Alone>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (socket, address) = listener.accept().expect("somebody has come");
        let limits = Limits { argument_bytes_max: 100, request_bytes_max: 1000 };
        let client = Client::new(socket, address, 1, limits, wakes.clone().into()).expect("it is a socket");
        (client, peer)
    }

    /// What the client is sent.
    fn replies(client: &mut Client<Alone>, desk: &Desk<Alone>, peer: &mut TcpStream) -> String {
        client.settle(desk);
        let mut sent = vec![0; client.replies.released().len()];
        client.flush();
        peer.read_exact(&mut sent).expect("it was sent");
        String::from_utf8(sent).expect("it is text")
    }
}
