//! To be written.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod commits;
pub mod config;
mod delta;
mod expiry;
mod feed;
mod io;
mod join;
mod key;
mod links;
mod member;
mod membership;
mod node;
mod ownership;
mod rng;
mod session;
mod sessions;
mod stamp;
mod time;
mod wire;

pub use config::{Config, ConfigError};
pub use delta::{CommitError, CommitId, Delta, Durability, Outcome, Receipt};
pub use io::{CloseCause, Event, FrameError, ReadyCause, StreamId, Transmit};
pub use key::{KeyMaker, SessionKey};
pub use member::{Member, MemberId, MemberState, RemovalCause};
pub use node::{Node, Stats};
pub use session::{EndCause, Lifetime, Session};
pub use time::{Time, Wall};
