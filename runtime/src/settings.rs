//! What can be set about the sockets of a node, and why it could not start.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::io;

use heirloom_core::ConfigError;
use heirloom_record::Recording;

/// The settings of the sockets. None of them is protocol; those are in [`heirloom_core::Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where streams and datagrams of other members are taken, both on the same port number. Port 0 is any free one.
    pub bind: SocketAddr,
    /// How many ports are tried, from that of `bind` upwards.
    pub ports: u16,
    /// Where others reach this member, if that is not the bound address. With port 0 the bound port is told.
    pub advertise: Option<SocketAddr>,
    /// The group to send signs of life to; without one they go to the configured peers alone.
    pub multicast: Option<SocketAddr>,
    /// The interface of the group, by its address. Without it that of `bind`, or of `advertise` if `bind` is all of
    /// them. An IPv6 group names its interface by the scope of its address instead.
    pub interface: Option<IpAddr>,
    /// The room that the kernel is asked to keep for datagrams, in bytes. What it gave is in the statistics.
    pub receive_buffer: usize,
    /// The longest id of a session, in bytes.
    pub id_bytes_max: usize,
    /// How many streams that others opened are held at once; further ones are closed unread.
    pub accepted_max: usize,
    /// Allows an address that others than this host reach, though nothing on the network is authenticated (P10).
    pub insecure: bool,
    /// Writes down all that comes to the node, to run it again.
    pub record: Option<Recording>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4000),
            ports: 100,
            advertise: None,
            multicast: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(228, 0, 0, 4)), 45564)),
            interface: None,
            receive_buffer: 4 << 20,
            id_bytes_max: 512,
            accepted_max: 1024,
            insecure: false,
            record: None,
        }
    }
}

/// Why a node could not start. Nothing is left open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting of the protocol is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address can be reached from other hosts, and nothing is authenticated.
    #[error(
        "{address} is reached from other hosts and nothing is authenticated: bind to loopback, or allow `insecure`"
    )]
    Insecure {
        /// The address of the settings.
        address: SocketAddr,
    },
    /// The address cannot be listened on, for another reason than that it is taken.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address that was tried.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Every port of the range is taken, by a stream or a datagram socket.
    #[error("every port of {first} to {last} is taken at {address}")]
    PortsTaken {
        /// The address that was tried.
        address: IpAddr,
        /// The first port that was tried.
        first: u16,
        /// The last port that was tried.
        last: u16,
    },
    /// A node that is bound to all addresses does not know which one others reach.
    #[error("{bind} is not an address that others can reach: set `advertise`")]
    NoAddress {
        /// The address of the settings.
        bind: SocketAddr,
    },
    /// It is not known on which interface the group is meant, or it is of the other address family.
    #[error("which interface the group {group} is on is not known: set `interface` to an address of the same family")]
    NoInterface {
        /// The group of the settings.
        group: SocketAddr,
    },
    /// The kernel refuses the group. Without `multicast`, and with peers, the node could start.
    #[error("cannot join the group {group} on {interface}: {source}")]
    Multicast {
        /// The group of the settings.
        group: SocketAddr,
        /// The interface, by its address or, for IPv6, by its number.
        interface: String,
        /// What the system says.
        source: io::Error,
    },
    /// The poller does not take the sockets.
    #[error("cannot wait for the sockets of {address}: {source}")]
    Poller {
        /// The bound address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The record cannot be written.
    #[error("cannot write the record {}: {source}", path.display())]
    Record {
        /// Its file.
        path: std::path::PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    /// The thread of the driver could not be started.
    #[error("cannot start a thread for {address}: {source}")]
    Thread {
        /// The bound address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}
