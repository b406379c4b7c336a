//! x
mod chance;
mod clock;
mod datagrams;
mod net;
mod streams;
pub use chance::*; pub use clock::*; pub use net::*; pub use streams::*;
