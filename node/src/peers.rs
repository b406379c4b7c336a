//! Looks up the hosts of other members.
//!
//! A lookup may block for seconds, so a thread does it, and asks again for as long as a host is not found. It ends when
//! all are, or when nobody wants the answers any more.

use core::{net::SocketAddr, time::Duration};
use std::{
    io,
    net::ToSocketAddrs as _,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
};

use heirloom_runtime::Poller;
use tracing::{debug, info, warn};

/// How long to wait before a host that was not found is looked up again.
const AGAIN: Duration = Duration::from_secs(3);

/// The addresses of peers, as far as they are known.
#[derive(Debug)]
pub(crate) struct Peers {
    found: Receiver<Vec<SocketAddr>>,
    /// Dropping it ends the thread.
    _wanted: Sender<()>,
}

impl Peers {
    /// Starts to look up these, each a host and a port. The poller is notified when there is an answer.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub(crate) fn new(hosts: Vec<String>, poller: Arc<Poller>) -> io::Result<Self> {
        let (answers, found) = mpsc::channel();
        let (_wanted, wanted) = mpsc::channel();
        if !hosts.is_empty() {
            let look_up = move || look_up(&hosts, &poller, &answers, &wanted);
            thread::Builder::new().name("peers".into()).spawn(look_up)?;
        }
        Ok(Self { found, _wanted })
    }

    /// All that is known of them, when more is known than before.
    pub(crate) fn poll(&self) -> Option<Vec<SocketAddr>> {
        self.found.try_iter().last()
    }
}

fn look_up(hosts: &[String], poller: &Poller, answers: &Sender<Vec<SocketAddr>>, wanted: &Receiver<()>) {
    let mut missing: Vec<&String> = hosts.iter().collect();
    let mut known: Vec<SocketAddr> = Vec::new();
    let mut is_first = true;
    loop {
        let before = missing.len();
        missing.retain(|host| match host.to_socket_addrs() {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.collect();
                info!(host, ?addresses, "a peer is found");
                known.extend(&addresses);
                addresses.is_empty()
            }
            Err(error) => {
                if is_first {
                    warn!(host, %error, "a peer is not found; it is looked up again until it is");
                } else {
                    debug!(host, %error, "a peer is still not found");
                }
                true
            }
        });
        is_first = false;
        if missing.len() < before {
            if answers.send(known.clone()).is_err() {
                return;
            }
            poller.notify();
        }
        if missing.is_empty() || wanted.recv_timeout(AGAIN) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
