//! x
mod chance;
mod clock;
mod datagrams;
mod net;
mod streams; mod ledger; mod history; pub use ledger::*; pub use history::*; mod host; mod violation; mod cluster;
pub use cluster::*; pub use host::*; pub use violation::*;
pub use chance::*; pub use clock::*; pub use net::*; pub use streams::*;
