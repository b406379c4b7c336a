//! x
mod chance;
mod clock;
mod datagrams;
mod net;
mod streams; mod host; mod violation; mod cluster;
pub use cluster::*; pub use host::*; pub use violation::*;
pub use chance::*; pub use clock::*; pub use net::*; pub use streams::*;
