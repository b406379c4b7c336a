//! How the nodes find each other: in a multicast group on the loopback interface, or by addresses they are told.

use core::{
    hash::{BuildHasher as _, Hasher as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};
use std::{
    env,
    hash::RandomState,
    io,
    net::{TcpListener, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Tomcat's group; the port is drawn.
const GROUP: Ipv4Addr = Ipv4Addr::new(228, 0, 0, 4);
/// How long a datagram may be on its way from this process to itself.
const ARRIVES_FOR: Duration = Duration::from_millis(500);
/// Set to `off`, no group is used, as on a machine that has none.
const MULTICAST: &str = "HEIRLOOM_DEMO_MULTICAST";

/// What the nodes are told about each other.
#[derive(Debug)]
pub(crate) enum Network {
    /// They meet in this group.
    Group(SocketAddrV4),
    /// Each has one of these addresses and knows the others.
    Addresses(Vec<SocketAddr>),
}

impl Network {
    /// Finds out what this machine has. If it is not a group, tells why.
    ///
    /// # Errors
    ///
    /// When there are not this many free ports either.
    pub(crate) fn find(nodes: usize) -> io::Result<(Self, Option<String>)> {
        let group = SocketAddrV4::new(GROUP, group_port());
        let tried = if env::var(MULTICAST).is_ok_and(|value| value == "off") {
            Err(io::Error::other(format!("{MULTICAST} is off")))
        } else {
            try_group(group)
        };
        match tried {
            Ok(()) => Ok((Self::Group(group), None)),
            Err(error) => Ok((Self::Addresses(free_addresses(nodes)?), Some(error.to_string()))),
        }
    }

    /// The flags for one of the nodes.
    pub(crate) fn flags(&self, node: usize) -> Vec<String> {
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: String| flags.extend([format!("--{name}"), value]);
        match self {
            Self::Group(group) => {
                flag("bind", "127.0.0.1:0".into());
                flag("multicast", group.to_string());
                flag("interface", "127.0.0.1".into());
            }
            Self::Addresses(addresses) => {
                flag("bind", addresses[node].to_string());
                flag("multicast", "off".into());
                for (_, peer) in addresses.iter().enumerate().filter(|(other, _)| *other != node) {
                    flag("peer", peer.to_string());
                }
            }
        }
        flags
    }
}

/// A number that another run does not draw.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Below the ports that systems give to outgoing connections.
fn group_port() -> u16 {
    let drawn = u16::try_from(random() % 20_000).unwrap_or_default();
    10_000 + drawn
}

/// Sends a datagram to the group and receives it.
fn try_group(group: SocketAddrV4) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::V4(group).into())?;
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST)?;
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    socket.set_multicast_loop_v4(true)?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(ARRIVES_FOR))?;
    socket.send_to(b"heirloom", group)?;
    let mut bytes = [0; 8];
    match socket.recv(&mut bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other("nothing arrives on the loopback interface")),
    }
}

fn free_addresses(nodes: usize) -> io::Result<Vec<SocketAddr>> {
    // All are held until the last is found, so they differ.
    let mut held = Vec::new();
    while held.len() < nodes {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        // A node needs the port for datagrams too.
        if let Ok(datagrams) = UdpSocket::bind(address) {
            held.push((address, listener, datagrams));
        }
    }
    Ok(held.into_iter().map(|(address, ..)| address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_with_an_address_knows_all_others() {
        let addresses = free_addresses(3).unwrap();
        let [a, b, c] = [0, 1, 2].map(|at| addresses[at].to_string());
        let flags = Network::Addresses(addresses).flags(1);
        assert_eq!(flags, ["--bind", &b, "--multicast", "off", "--peer", &a, "--peer", &c]);
    }
}
