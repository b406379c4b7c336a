//! The core of heirloom: one member of a cluster that keeps its users' web sessions through the death of any other.
//!
//! A [`Node`] finds the other members by beats, copies every change of a session to them, receives the state before it
//! serves, and expires idle sessions once for all. It does no IO and reads no clock: whoever embeds it hands in what has
//! arrived and what time it is, and pulls out what is to be sent. The same inputs give the same outputs, byte for byte,
//! on every machine, so a whole cluster can be simulated with its real code.
//!
//! # The turn of a driver
//!
//! Every driver, and the simulator, does the same again and again: what has arrived goes in, what is due is handled, what
//! is to be sent comes out, and then it waits until [`Node::poll_timeout`].
//!
//! ```
//! use heirloom_core::{Config, Delta, Durability, Event, MemberId, Node, Outcome, ReadyCause, Time, Transmit};
//! # use core::time::Duration;
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let address = "192.0.2.1:4000".parse()?;
//! let mut now = Time::ZERO;
//! let mut node = Node::new(MemberId(0x5eed), address, Config::default(), 42, now)?;
//!
//! // Nobody answers here, so the node looks for others for a while and then starts alone.
//! while node.poll_event() != Some(Event::Ready(ReadyCause::FirstMember)) {
//!     if node.poll_timeout().is_some_and(|at| at <= now) {
//!         node.handle_timeout(now);
//!     }
//!     while let Some(transmit) = node.poll_transmit(now) {
//!         match transmit {
//!             Transmit::Datagram { to, bytes } => { /* send it there */ }
//!             Transmit::Multicast { bytes } => { /* send it to the group */ }
//!             Transmit::Open { stream, to } => { /* connect, then handle_opened or handle_closed */ }
//!             Transmit::Write { stream, bytes } => { /* write, and handle_blocked if only a part is taken */ }
//!             Transmit::Close { stream } => { /* close it, after what was written */ }
//!         }
//!     }
//!     // A driver waits here for its sockets, at the longest until this:
//!     now = node.poll_timeout().expect("a member has beats to send").max(now);
//! }
//!
//! let key = heirloom_core::KeyMaker::new("heirloom").key(0, b"the id in the user's cookie");
//! let commit = node.commit(now, key, Delta::new().set("user", "alice"), Durability::Local)?;
//! assert!(matches!(node.poll_outcome(), Some((id, Outcome::Durable(_))) if id == commit));
//! assert_eq!(node.session(&key).and_then(|session| session.attribute(b"user")).map(|user| &user[..]), Some(&b"alice"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! [`embedding`] has a whole driver over real sockets.
//!
//! The design, with the promises P1 to P10 that the code names, is in `docs/design.md`; the form of everything that
//! travels in `docs/wire.md`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;

mod backoff;
mod beats;
mod commits;
mod copies;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod costs;
mod delta;
mod digest;
#[doc = include_str!("embedding.md")]
pub mod embedding {}
mod expiry;
mod feed;
mod fetch;
mod few;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod io;
mod join;
mod key;
mod life;
mod limits;
mod links;
mod map;
mod member;
mod membership;
mod messages;
mod neighbors;
mod node;
mod ownership;
mod peer;
mod placement;
#[doc(hidden)]
pub mod planted;
mod pressure;
mod protocol;
mod quorum;
mod rank;
#[doc(hidden)]
pub mod recording;
mod relays;
mod relocation;
mod risk;
mod rng;
mod search;
mod session;
mod sessions;
mod stamp;
mod stats;
mod time;
mod traffic;
mod version;
mod wire;

pub use config::{Config, ConfigError, PAYLOAD_MAX};
pub use copies::{Copies, Unit};
pub use delta::{CommitError, CommitId, Delta, Demand, Durability, Outcome, Receipt};
pub use digest::Difference;
pub use fetch::{Fetch, FetchId, Fetched, Purpose};
pub use io::{CloseCause, Event, FrameError, ReadyCause, StreamId, Transmit};
pub use key::{KeyMaker, SessionKey};
pub use life::EndCause;
pub use limits::{ATTRIBUTE_OVERHEAD, Limit, SESSION_OVERHEAD, WhenFull};
pub use member::{Member, MemberId, MemberState, PayloadTooLong, RemovalCause, SeekCause};
pub use messages::{Message, MessageError};
pub use node::Node;
pub use protocol::Versions;
pub use quorum::{Minority, Partition};
pub use risk::{AtRisk, Handover};
pub use session::{Lifetime, Session};
#[doc(hidden)]
pub use sessions::Damage;
pub use stats::Stats;
pub use time::{Time, Wall};
pub use traffic::AttributeTraffic;
pub use version::{AtLeast, AttributeVersion, Conflict, NoVersion, SessionVersion};
#[doc(hidden)]
pub use wire::kinds;
