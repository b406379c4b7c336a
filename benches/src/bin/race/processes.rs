//! The processes of a race: each ends with the value that holds it.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::resp::Client;

/// One of them, with the folder that it may write to.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: Option<PathBuf>,
}

/// How long anything here may take until it answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Builds the program that is raced.
pub(crate) fn build() -> io::Result<()> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "heirloom", "--bin", "heirloom"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if built.success() { Ok(()) } else { Err(io::Error::other("heirloom cannot be built")) }
}

/// Whether a program can be started.
pub(crate) fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}

/// A free port of loopback.
pub(crate) fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl Process {
    /// A node; it knows the addresses of the others.
    pub(crate) fn node(
        bind: SocketAddr,
        peers: &[SocketAddr],
        cluster: &str,
        durability: Option<&str>,
    ) -> io::Result<Self> {
        let address = free()?;
        let program = env::current_exe()?.with_file_name("heirloom");
        let mut command = Command::new(program);
        command.args(["node", "--cluster-name", cluster, "--multicast", "off"]);
        command.args(durability.iter().flat_map(|durability| ["--durability", *durability]));
        command.args(["--listen", &address.to_string(), "--bind", &bind.to_string()]).env("HEIRLOOM_LOG", "error");
        for peer in peers.iter().filter(|peer| **peer != bind) {
            command.args(["--peer", &peer.to_string()]);
        }
        Self::start(&mut command, address, None)
    }

    /// A server of Redis that keeps nothing on disk, perhaps as a replica.
    pub(crate) fn redis(master: Option<SocketAddr>) -> io::Result<Self> {
        let address = free()?;
        let folder = env::temp_dir().join(format!("heirloom-race-{}-{}", std::process::id(), address.port()));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(["--repl-diskless-sync-delay", "0", "--dir"]).arg(&folder);
        if let Some(master) = master {
            command.args(["--replicaof", "127.0.0.1", &master.port().to_string()]);
        }
        Self::start(&mut command, address, Some(folder))
    }

    fn start(command: &mut Command, address: SocketAddr, folder: Option<PathBuf>) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        Ok(Self { child, address, folder })
    }

    /// Waits until a line of `INFO` has a value.
    pub(crate) fn await_info(&self, section: &str, key: &str, is_it: impl Fn(&str) -> bool) -> io::Result<()> {
        let until = Instant::now() + ANSWERS_WITHIN;
        while Instant::now() < until {
            let mut told = Client::connect(self.address).and_then(|mut client| client.info(section, key));
            while let Ok(Some(value)) = &told {
                if is_it(value) {
                    return Ok(());
                }
                if until < Instant::now() {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
                told = Client::connect(self.address).and_then(|mut client| client.info(section, key));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Err(io::Error::other(format!("{key} of {} does not become what it should", self.address)))
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// The memory that it has of the machine.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        if let Some(folder) = &self.folder {
            let _gone = fs::remove_dir_all(folder);
        }
    }
}
