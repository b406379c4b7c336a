//! The driver's end of a node: everything a driver does but wait.

use core::time::Duration;
use std::{io, sync::Arc};

use heirloom_core::{Config, KeyMaker, MemberId, Node, Time};
use heirloom_record::Recorder;

use crate::{
    alarm::Alarm,
    clock::Clock,
    closing::Closing,
    engine::Inside,
    handle::{Handle, Shared},
    mailbox::{Broken, Door},
    net::Net,
    poller::{Poller, Ready},
    published::Table,
    recorded::Recorded,
    settings::{Settings, StartError},
    sockets::Sockets,
    sync::{AtomicBool, Ordering},
};

/// A node with its open sockets, to be driven: wait on the poller for as long as [`Loop::timeout`] says, then
/// [`Loop::turn`], until [`Loop::is_over`].
#[derive(Debug)]
pub struct Loop {
    shared: Arc<Shared>,
    /// When the next turn is due.
    at: Time,
    left: bool,
}

impl Loop {
    /// Opens the sockets, makes the node and adds the sockets to the poller.
    ///
    /// # Errors
    ///
    /// Why it could not start; nothing is left open.
    pub fn start(settings: &Settings, config: Config, poller: Arc<Poller>) -> Result<(Self, Handle), StartError> {
        config.check()?;
        let sockets = Sockets::open(settings)?;
        let clock = Clock::new();
        let id = MemberId(getrandom::u64().map_err(StartError::Random)?);
        let seed = getrandom::u64().map_err(StartError::Random)?;
        let (copies, commits_max, events_max) = (config.copies, config.commits_max, config.events_max);
        let (address, advertised) = (sockets.address, sockets.advertised);
        let keys = KeyMaker::new(&config.cluster_name);
        let now = clock.now();
        let recorder = settings.record.as_ref().map(|recording| {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(StartError::Random)?;
            Recorder::start(recording, (id, advertised), (&config, seed, now), key)
                .map(Box::new)
                .map_err(|source| StartError::Record { path: recording.path.clone(), source })
        });
        let recorder = recorder.transpose()?;
        let mut node = Recorded::new(Node::new(id, advertised, config, seed, now)?, recorder);
        node.set_group(sockets.group.is_some());
        let net = Net::new(settings, sockets, Arc::clone(&poller))?;
        let shared = Arc::new(Shared {
            id,
            copies,
            address,
            keys,
            id_bytes_max: settings.id_bytes_max,
            commits_max,
            clock,
            poller,
            door: Door::new(Inside::new(node, net, events_max), commits_max),
            table: Table::new(id),
            alarm: Alarm::new(),
            abandoned: AtomicBool::new(false),
        });
        let handle = Handle::new(Arc::clone(&shared));
        Ok((Self { shared, at: Time::ZERO, left: false }, handle))
    }

    /// One turn: what is ready, what was asked, what is due; then sends, publishes and answers commits.
    ///
    /// # Errors
    ///
    /// If a thread has panicked with the node in its hands. The node cannot go on.
    pub fn turn(&mut self, ready: &[Ready]) -> io::Result<()> {
        let Shared { clock, door, table, alarm, .. } = &*self.shared;
        let turned = door.enter(|inside, commands| inside.turn(commands, ready, clock.now(), table, alarm));
        let (told, turned) = turned.map_err(|Broken| io::Error::other("a thread panicked inside the node"))?;
        told.tell();
        (self.at, self.left) = (turned.at, turned.left);
        Ok(())
    }

    /// How long to wait at most before the next turn. Ask for it after the last turn, and wait then.
    pub fn timeout(&self) -> Option<Duration> {
        // Whoever put a command while the turn went on relies on this look.
        if self.is_over() || !self.shared.door.is_empty() {
            return Some(Duration::ZERO);
        }
        Some(self.at.since(self.shared.clock.now()))
    }

    /// Until the next turn nothing is sent: what is committed till then, by this thread or others, goes out together.
    /// For a thread that serves its clients and drives the node: cork, serve, turn.
    pub fn cork(&mut self) {
        self.at = Time::ZERO;
        self.shared.look_at_engine(crate::engine::Engine::cork);
    }

    /// The node has left the cluster, or nobody holds a handle any more.
    pub fn is_over(&self) -> bool {
        self.left || self.shared.abandoned.load(Ordering::Acquire)
    }

    /// What the sockets are added to.
    pub fn poller(&self) -> &Arc<Poller> {
        &self.shared.poller
    }

    /// Ends the node. What was written last gets a moment (two seconds at most) to arrive, as after a closing that is
    /// too quick the kernel may throw it away. Dropping ends the node without that moment.
    pub fn finish(self) {
        if let Some(closing) = self.close() {
            closing.wait();
        }
    }

    /// Ends the node, and answers what is left to do for the streams to be closed well, for a driver that must not block.
    pub fn close(self) -> Option<Closing> {
        self.stop().and_then(|net| net.close_all().ok())
    }

    /// Answers everybody who waits.
    fn stop(&self) -> Option<Net> {
        let (engine, readers) = self.shared.door.close(Inside::stop);
        self.shared.table.clear();
        let net = engine.map(|engine| engine.net);
        readers.into_iter().for_each(core::task::Waker::wake);
        net
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        drop(self.stop());
    }
}
