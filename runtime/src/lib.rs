//! What heirloom's drivers share: the handle that an application holds, the sockets, the lock around a node and the
//! mailbox beside it.
//!
//! A node is a value that knows nothing of sockets, threads and clocks. Here it gets them:
//!
//! - [`Handle`] is what an application holds. Reads go to a table beside the node (`published`); what is asked of the
//!   node goes through one door (`mailbox`): the caller does the work itself if the lock is free, sends included, and
//!   else leaves it to whoever is inside.
//! - [`Loop`] is what a driver holds. Its turn is the only place where sockets are read and timers run.
//! - [`Poller`] is what a driver waits on: its owner may add sockets of its own to it.
//!
//! Who wakes whom: a caller that leaves a command needs nobody, as whoever is inside looks again; a caller that leaves
//! an earlier deadline, or more to send than one turn may, wakes the driver (`alarm`); who gets a result is woken once,
//! after the lock is let go and after what was committed can be read (`completion`).
//!
//! This crate has no protocol: bytes go into the node, bytes come out of it.
#![forbid(unsafe_code)]

mod alarm;
mod blocking;
mod clock;
mod closing;
mod commit;
mod completion;
mod engine;
mod events;
mod fetch;
mod handle;
mod mailbox;
#[cfg(test)]
#[cfg(loom)]
mod models;
mod net;
mod outlet;
mod poller;
mod published;
mod recorded;
mod settings;
mod sockets;
mod stats;
mod stream;
mod sync;
mod turn;

pub use closing::Closing;
pub use commit::{Commit, CommitFailed};
pub use events::{Left, NextEvent, NextMessage};
pub use fetch::{FetchFailed, Fetching, Found};
pub use handle::{Handle, IdTooLong, SendFailed};
pub use heirloom_record::{Recording, State as RecordState};
pub use net::DRIVER_TOKENS;
pub use poller::{Interest, Poller, Ready};
pub use published::Published;
pub use settings::{Settings, StartError};
pub use stats::{DriverStats, FrameErrors};
pub use turn::Loop;
