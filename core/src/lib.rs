//! To be written.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
mod delta;
mod io;
mod key;
mod member;
mod node;
mod session;
mod stamp;
mod time;

pub use config::{Config, ConfigError};
pub use delta::{CommitError, CommitId, Delta, Durability, Outcome, Receipt};
pub use io::{CloseCause, Event, FrameError, ReadyCause, StreamId, Transmit};
pub use key::{KeyMaker, SessionKey};
pub use member::{Member, MemberId, MemberState, RemovalCause};
pub use node::{Node, Stats};
pub use session::{EndCause, Lifetime, Session};
pub use time::{Time, Wall};
