//! A node as a process of its own, killed when the test ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// Longer than anything here takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What was built with the tests.
const PROGRAM: &str = env!("CARGO_BIN_EXE_heirloom");

/// A node that runs.
pub(crate) struct Process {
    child: Child,
    pub(crate) id: String,
    pub(crate) listen: SocketAddr,
    pub(crate) bind: SocketAddr,
    pub(crate) cause: String,
}

impl Process {
    /// Starts a cluster of its own.
    pub(crate) fn first(flags: &[&str]) -> Self {
        let settings = file("[cluster]\njoin_for = \"100ms\"\n");
        let mut child = start(&[flags, &["--config", settings.to_str().expect("a plain path")]].concat());
        Self::ready(&mut child).into_process(child)
    }

    /// Starts a cluster of its own with this program.
    pub(crate) fn first_of(program: &Path, flags: &[&str]) -> Self {
        let mut child = start_program(program, flags);
        Self::ready(&mut child).into_process(child)
    }

    /// Starts a member of the cluster that this one is in.
    pub(crate) fn join(&self, flags: &[&str]) -> Self {
        self.join_as(Path::new(PROGRAM), flags)
    }

    /// Starts this program as a member of the cluster that this one is in.
    pub(crate) fn join_as(&self, program: &Path, flags: &[&str]) -> Self {
        let peer = format!("--peer={}", self.bind);
        let mut child = start_program(program, &[flags, &[&peer]].concat());
        let process = Self::ready(&mut child).into_process(child);
        assert_eq!(process.cause, "joined");
        process
    }

    /// Starts a node by a command that runs the one behind it, and waits until it serves.
    pub(crate) fn start_on(command: &[&str], flags: &[&str]) -> Self {
        let mut child = start_by(command, Path::new(PROGRAM), flags);
        Self::ready(&mut child).into_process(child)
    }

    /// Waits for the line that says it is ready.
    fn ready(child: &mut Child) -> ReadyLine {
        let stdout = child.stdout.take().expect("it is piped");
        let (lines, line) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut line = String::new();
            // Without a reader left nobody waits any more.
            let _unheard = BufReader::new(stdout).read_line(&mut line).map(|_| lines.send(line));
        });
        let line = line.recv_timeout(PATIENCE).expect("the node becomes ready");
        reader.join().expect("the reader ends with its line");
        ReadyLine(line)
    }

    pub(crate) fn client(&self) -> redis::Connection {
        self.client_of("")
    }

    /// A client that speaks the third version of the protocol.
    pub(crate) fn client_of_three(&self) -> redis::Connection {
        self.client_of("?protocol=resp3")
    }

    fn client_of(&self, query: &str) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}/{query}", self.listen)).expect("the address is one");
        client.get_connection().expect("the node lets clients in")
    }

    /// A bare connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.listen).expect("the node lets clients in");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        stream
    }

    /// Sends it a signal, as an operator does.
    pub(crate) fn signal(&self, signal: &str) {
        let killed = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(killed.expect("there is a kill").success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the node does not end");
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs").count()
    }

    /// The memory it has, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let pages = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("it runs");
        let resident = pages.split(' ').nth(1).expect("the second is the resident set");
        resident.parse::<usize>().expect("it is a number") * 4096
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// A node that may never become ready.
pub(crate) struct Waiting(Child);

impl Waiting {
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self(start(flags))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _gone = self.0.wait();
    }
}

struct ReadyLine(String);

impl ReadyLine {
    fn into_process(self, child: Child) -> Process {
        let words: Vec<_> = self.0.split_whitespace().collect();
        assert_eq!(words.first(), Some(&"ready"), "{}", self.0);
        let value = |key: &str| {
            let word = words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            word.unwrap_or_else(|| panic!("{key} in {}", self.0)).to_owned()
        };
        assert!(!value("name").is_empty() && !value("id").is_empty());
        Process {
            child,
            id: value("id"),
            listen: value("listen").parse().expect("an address"),
            bind: value("bind").parse().expect("an address"),
            cause: value("cause"),
        }
    }
}

/// Starts a node on ports of its own, away from every other cluster.
fn start(flags: &[&str]) -> Child {
    start_program(Path::new(PROGRAM), flags)
}

fn start_program(program: &Path, flags: &[&str]) -> Child {
    start_by(&[], program, flags)
}

fn start_by(command: &[&str], program: &Path, flags: &[&str]) -> Child {
    let fixed = ["node", "--listen=127.0.0.1:0", "--bind=127.0.0.1:0", "--multicast=off"];
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    let given = |flag: &&&str| flags.iter().any(|other| name(other) == name(flag));
    let program = program.to_str().expect("a plain path");
    let words: Vec<&str> = command.iter().copied().chain([program]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(fixed.iter().filter(|flag| !given(flag))).args(flags);
    command.env("HEIRLOOM_LOG", "warn").stdout(Stdio::piped()).spawn().expect("the program starts")
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command.output().expect("the program starts")
}

/// A file with this text.
pub(crate) fn file(text: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}-{}.toml", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the folder is there");
    path
}

/// Sends bytes and reads until that many have come back.
pub(crate) fn exchange(stream: &mut TcpStream, request: &[u8], len: usize) -> String {
    stream.write_all(request).expect("it is open");
    let mut reply = vec![0; len];
    stream.read_exact(&mut reply).expect("the reply comes");
    String::from_utf8(reply).expect("it is text")
}
