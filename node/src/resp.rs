//! The Redis protocol, RESP2 and RESP3: what a client asks, and how it is answered.
//!
//! Nothing here knows a socket or a session. A length that a client sends sizes nothing: memory follows what has arrived.

mod reply;
mod request;

pub(crate) use reply::{Reply, Version, write_error};
pub(crate) use request::{Arguments, Limits, Scan, Scanner, Violation, parse};
