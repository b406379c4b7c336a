//! One node: how it is started, what it says, and how it ended if it was not to.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Instant,
};

use super::{
    Failed,
    children::{ChildId, Children},
};

/// How long a node may take until it is ready. A first member waits for others for a few seconds.
const READY_FOR: Duration = Duration::from_secs(30);
/// How long to wait before looking whether a node that is not ready yet has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many of the last lines that a node logged are kept.
const TAIL_MAX: usize = 8;

/// The last lines that a node has logged.
type Tail = Arc<Mutex<VecDeque<String>>>;

/// A node that was started and has not said yet that it is ready.
#[derive(Debug)]
pub(crate) struct Starting {
    name: String,
    child: ChildId,
    started: Instant,
    /// The line that says it is ready, and when it came.
    ready: Receiver<(String, Instant)>,
    tail: Tail,
}

/// A node that was ready once.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) child: ChildId,
    /// Which life it is, as others list it.
    pub(crate) id: String,
    /// Where clients reach it.
    pub(crate) listen: SocketAddr,
    /// Where members reach it.
    pub(crate) bind: SocketAddr,
    /// Whether it was the first of its cluster or has joined it.
    pub(crate) cause: String,
    /// From the start to the line that says it is ready.
    pub(crate) ready_after: Duration,
    tail: Tail,
}

impl Starting {
    /// Starts this program as a node.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn new(children: &Children, name: &str, flags: &[String]) -> Result<Self, Failed> {
        let failed = |error| Failed(format!("cannot start node {name}: {error}"));
        let program = env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("node").args(["--name", name, "--listen", "127.0.0.1:0"]).args(flags);
        // What is set for another node of this machine is not meant for these.
        for (variable, _) in env::vars_os().filter(|(variable, _)| is_setting(variable)) {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let pipes = |child: &mut Child| (child.stdout.take(), child.stderr.take());
        let (child, (stdout, stderr)) = children.start(&mut command, pipes).map_err(failed)?;
        let (found, ready) = mpsc::channel();
        let watch = move |line: String| {
            if line.starts_with("ready ") {
                // Nobody waits for it any more when another node has failed.
                let _unheard = found.send((line, Instant::now()));
            }
        };
        let tail = Tail::default();
        let kept = Arc::clone(&tail);
        follow(stdout, watch).and_then(|()| follow(stderr, move |line| keep(&kept, line))).map_err(failed)?;
        Ok(Self { name: name.into(), child, started, ready, tail })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the line that says it is ready.
    ///
    /// # Errors
    ///
    /// When it does not come, or tells too little.
    pub(crate) fn wait(self, children: &Children) -> Result<Member, Failed> {
        let name = &self.name;
        let (line, at) = loop {
            match self.ready.recv_timeout(LOOK_EVERY) {
                Ok(ready) => break ready,
                Err(RecvTimeoutError::Timeout) if self.started.elapsed() < READY_FOR => {
                    // A reader of its lines would also hear of the end, but not of how it was.
                    if matches!(children.ended(self.child), Ok(None)) {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            let last = self.tail.lock().unwrap_or_else(PoisonError::into_inner).back().cloned().unwrap_or_default();
            return Err(Failed(format!("node {name} did not become ready; the last it said: {last:?}")));
        };
        let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let address = |key| value(key).and_then(|text| text.parse().ok());
        let (Some(id), Some(listen), Some(bind), Some(cause)) =
            (value("id"), address("listen"), address("bind"), value("cause"))
        else {
            return Err(Failed(format!("node {name} does not tell its addresses: {line:?}")));
        };
        let (id, cause, ready_after) = (id.into(), cause.into(), at - self.started);
        Ok(Member { name: self.name, child: self.child, id, listen, bind, cause, ready_after, tail: self.tail })
    }
}

impl Member {
    /// The last lines it has logged, the oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

fn is_setting(variable: &OsString) -> bool {
    let variable = variable.to_string_lossy();
    variable.starts_with("HEIRLOOM_") && variable != "HEIRLOOM_LOG"
}

/// Reads lines for as long as there are some, on a thread of its own: a node must never wait for someone to read.
fn follow(
    pipe: Option<impl Read + Send + 'static>,
    mut handle: impl FnMut(String) + Send + 'static,
) -> std::io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let read = move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            handle(String::from_utf8_lossy(&line).into_owned());
        }
    };
    thread::Builder::new().name("lines".into()).spawn(read).map(drop)
}

fn keep(tail: &Mutex<VecDeque<String>>, line: String) {
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    if tail.len() == TAIL_MAX {
        tail.pop_front();
    }
    tail.push_back(line);
}
