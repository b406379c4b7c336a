//! Opening the sockets of a node: one port number for streams and datagrams, and the group.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{
    io,
    net::{TcpListener, UdpSocket},
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{
    net::{DATAGRAMS, GROUP, LISTENER, OTHER},
    poller::{Interest, Poller},
    settings::{Settings, StartError},
};

/// How often a port that the kernel chose for streams may turn out to be taken for datagrams.
const ANY_PORT_TRIES: usize = 100;
/// How many streams wait to be accepted.
const BACKLOG: i32 = 1024;

/// The open sockets of a node. None of them blocks.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) listener: TcpListener,
    pub(crate) datagrams: UdpSocket,
    /// For members that have addresses of the other family, where the host has it: what is sent to them leaves here, and they
    /// answer here.
    pub(crate) other: Option<UdpSocket>,
    pub(crate) group: Option<Group>,
    /// What the node is bound to.
    pub(crate) address: SocketAddr,
    /// What others are told.
    pub(crate) advertised: SocketAddr,
    /// The room for datagrams that the kernel gave.
    pub(crate) receive_buffer: usize,
}

/// The group that signs of life are sent to.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) socket: UdpSocket,
    pub(crate) address: SocketAddr,
}

impl Sockets {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// Which address could not be had, and why.
    pub(crate) fn open(settings: &Settings) -> Result<Self, StartError> {
        if !settings.insecure && !settings.bind.ip().is_loopback() {
            return Err(StartError::Insecure { address: settings.bind });
        }
        let (listener, datagrams, address) = bind_range(settings.bind, settings.ports)?;
        let failed = |source| StartError::Bind { address, source };
        listener.set_nonblocking(true).map_err(failed)?;
        datagrams.set_nonblocking(true).map_err(failed)?;
        let receive_buffer = grow(&datagrams, settings.receive_buffer).map_err(failed)?;
        // A host that has one family only has no members of the other.
        let other = other_family(address, settings.receive_buffer).ok();
        let advertised = advertised(settings, address)?;
        let group = match settings.multicast {
            Some(group) => Some(join(settings, group, &datagrams)?),
            None => None,
        };
        Ok(Self { listener, datagrams, other, group, address, advertised, receive_buffer })
    }

    /// Has a poller wait for what comes.
    ///
    /// # Errors
    ///
    /// Those of the poller.
    pub(crate) fn add_to(&self, poller: &Poller) -> io::Result<()> {
        poller.add(&self.listener, LISTENER, Interest::Readable)?;
        poller.add(&self.datagrams, DATAGRAMS, Interest::Readable)?;
        if let Some(other) = &self.other {
            poller.add(other, OTHER, Interest::Readable)?;
        }
        match &self.group {
            Some(group) => poller.add(&group.socket, GROUP, Interest::Readable),
            None => Ok(()),
        }
    }

    /// The poller need not wait for any of them; a socket of which it does not know is no matter.
    pub(crate) fn remove_from(&self, poller: &Poller) {
        let _ = poller.delete(&self.listener);
        let _ = poller.delete(&self.datagrams);
        if let Some(other) = &self.other {
            let _ = poller.delete(other);
        }
        if let Some(group) = &self.group {
            let _ = poller.delete(&group.socket);
        }
    }

    /// Sends a datagram to one member.
    pub(crate) fn send(&self, to: SocketAddr, bytes: &[u8]) -> Sent {
        let same = to.is_ipv4() == self.address.is_ipv4();
        match self.other.as_ref().filter(|_| !same) {
            Some(other) => Sent::from(other.send_to(bytes, to)),
            None => Sent::from(self.datagrams.send_to(bytes, to)),
        }
    }

    /// Where datagrams of this token come in.
    pub(crate) fn receiver(&self, token: u64) -> &UdpSocket {
        let socket = match token {
            GROUP => self.group.as_ref().map(|group| &group.socket),
            OTHER => self.other.as_ref(),
            _ => None,
        };
        socket.unwrap_or(&self.datagrams)
    }

    /// Sends a datagram to the group, if there is one.
    pub(crate) fn send_to_group(&self, bytes: &[u8]) -> Option<Sent> {
        let group = self.group.as_ref()?;
        // From the address that others know, unless it is of the other family.
        let same = group.address.is_ipv4() == self.address.is_ipv4();
        let sender = if same { &self.datagrams } else { &group.socket };
        Some(Sent::from(sender.send_to(bytes, group.address)))
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    /// The kernel had no room for it, which says nothing about the other side.
    NoRoom,
    Failed,
}

impl From<io::Result<usize>> for Sent {
    fn from(sent: io::Result<usize>) -> Self {
        let no_room = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
                || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
        };
        match sent {
            Ok(_) => Self::Yes,
            Err(error) if no_room(&error) => Self::NoRoom,
            Err(_) => Self::Failed,
        }
    }
}

fn advertised(settings: &Settings, bound: SocketAddr) -> Result<SocketAddr, StartError> {
    let mut told = settings.advertise.unwrap_or(bound);
    if told.ip().is_unspecified() {
        return Err(StartError::NoAddress { bind: bound });
    }
    if told.port() == 0 {
        told.set_port(bound.port());
    }
    Ok(told)
}

fn bind_range(bind: SocketAddr, ports: u16) -> Result<(TcpListener, UdpSocket, SocketAddr), StartError> {
    let first = bind.port();
    let last = first.saturating_add(ports.saturating_sub(1));
    let tries = if first == 0 { vec![0; ANY_PORT_TRIES] } else { (first..=last).collect() };
    for port in tries {
        let address = SocketAddr::new(bind.ip(), port);
        match bind_both(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(StartError::Bind { address, source }),
            Ok(bound) => return Ok(bound),
        }
    }
    Err(StartError::PortsTaken { address: bind.ip(), first, last })
}

fn bind_both(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket, SocketAddr)> {
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // An address means one family, whatever the system's setting: a mapped address would be another member's.
        listener.set_only_v6(true)?;
    }
    // A member that starts again takes its port back though old streams of it linger.
    listener.set_reuse_address(true)?;
    listener.bind(&address.into())?;
    listener.listen(BACKLOG)?;
    let listener = TcpListener::from(listener);
    let bound = listener.local_addr()?;
    let datagrams = Socket::new(Domain::for_address(bound), Type::DGRAM, Some(Protocol::UDP))?;
    if bound.is_ipv6() {
        datagrams.set_only_v6(true)?;
    }
    datagrams.bind(&bound.into())?;
    Ok((listener, datagrams.into(), bound))
}

/// A socket of the other address family, on any port. Bound to loopback it reaches loopback alone, as the first one does.
fn other_family(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let other = match (address.is_ipv4(), address.ip().is_loopback()) {
        (true, true) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        (true, false) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        (false, true) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        (false, false) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let other = SocketAddr::new(other, 0);
    let socket = Socket::new(Domain::for_address(other), Type::DGRAM, Some(Protocol::UDP))?;
    if other.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&other.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    grow(&socket, receive_buffer)?;
    Ok(socket)
}

/// The kernel gives what it wants to: the answer is what it gave.
fn grow(socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    if socket.recv_buffer_size()? < bytes {
        // Some systems refuse what is too much instead of giving less.
        let _ = socket.set_recv_buffer_size(bytes);
    }
    socket.recv_buffer_size()
}

/// Joins on one interface, never on whichever the kernel likes: that would be the default route, not loopback.
fn join(settings: &Settings, group: SocketAddr, sender: &UdpSocket) -> Result<Group, StartError> {
    let unknown = StartError::NoInterface { group };
    let joined = match group {
        SocketAddr::V4(v4) => {
            let known = settings.interface.or_else(|| known_address(settings));
            let Some(IpAddr::V4(interface)) = known else { return Err(unknown) };
            (interface.to_string(), join_v4(*v4.ip(), v4.port(), interface, sender))
        }
        SocketAddr::V6(v6) if v6.scope_id() == 0 => return Err(unknown),
        SocketAddr::V6(v6) => {
            let interface = v6.scope_id();
            (interface.to_string(), join_v6(*v6.ip(), v6.port(), interface, sender))
        }
    };
    let (interface, joined) = joined;
    let refused = |source| StartError::Multicast { group, interface, source };
    let socket = joined
        .and_then(|socket| {
            socket.set_nonblocking(true)?;
            grow(&socket, settings.receive_buffer)?;
            Ok(socket)
        })
        .map_err(refused)?;
    Ok(Group { socket, address: group })
}

fn known_address(settings: &Settings) -> Option<IpAddr> {
    let told = settings.advertise.map(|address| address.ip());
    [Some(settings.bind.ip()), told].into_iter().flatten().find(|address| !address.is_unspecified())
}

fn join_v4(group: Ipv4Addr, port: u16, interface: Ipv4Addr, sender: &UdpSocket) -> io::Result<UdpSocket> {
    let socket = group_socket(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    socket.join_multicast_v4(&group, &interface)?;
    let socket = UdpSocket::from(socket);
    for socket in [SockRef::from(&socket), SockRef::from(sender)] {
        // The sender may be an IPv6 socket, from which nothing is sent to this group.
        if socket.domain_is_v4() {
            #[cfg(target_os = "linux")]
            socket.set_multicast_all_v4(false)?;
            socket.set_multicast_if_v4(&interface)?;
            socket.set_multicast_ttl_v4(1)?;
        }
    }
    Ok(socket)
}

fn join_v6(group: Ipv6Addr, port: u16, interface: u32, sender: &UdpSocket) -> io::Result<UdpSocket> {
    let socket = group_socket(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    socket.join_multicast_v6(&group, interface)?;
    let socket = UdpSocket::from(socket);
    for socket in [SockRef::from(&socket), SockRef::from(sender)] {
        if !socket.domain_is_v4() {
            #[cfg(target_os = "linux")]
            socket.set_multicast_all_v6(false)?;
            socket.set_multicast_if_v6(interface)?;
            socket.set_multicast_hops_v6(1)?;
        }
    }
    Ok(socket)
}

fn group_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Several members on one host listen to one group.
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "linux")))]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

trait Family {
    fn domain_is_v4(&self) -> bool;
}

impl Family for SockRef<'_> {
    fn domain_is_v4(&self) -> bool {
        self.local_addr().is_ok_and(|address| address.is_ipv4())
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn streams_and_datagrams_have_one_port() {
        let sockets = Sockets::open(&any_port()).unwrap();
        assert_ne!(sockets.address.port(), 0);
        assert_eq!(sockets.listener.local_addr().unwrap(), sockets.address);
        assert_eq!(sockets.datagrams.local_addr().unwrap(), sockets.address);
        assert_eq!(sockets.advertised, sockets.address);
        assert!(0 < sockets.receive_buffer);
    }

    #[test]
    fn a_taken_port_is_skipped_whoever_has_it() {
        let (first, last) = free_ports();
        let tcp = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let udp = UdpSocket::bind(("127.0.0.1", first + 1)).unwrap();
        let settings = Settings { bind: SocketAddr::from(([127, 0, 0, 1], first)), ports: 3, ..any_port() };
        let sockets = Sockets::open(&settings).unwrap();
        assert_eq!(sockets.address.port(), last);
        let error = Sockets::open(&settings).unwrap_err();
        assert_eq!(error.to_string(), format!("every port of {first} to {last} is taken at 127.0.0.1"));
        drop((tcp, udp));
    }

    #[test]
    fn an_address_that_is_not_here_is_named() {
        let bind = SocketAddr::from(([192, 0, 2, 1], 4000));
        let error = Sockets::open(&Settings { bind, insecure: true, ..any_port() }).unwrap_err();
        assert!(matches!(error, StartError::Bind { address, .. } if address == bind), "{error}");
        assert!(error.to_string().starts_with("cannot listen on 192.0.2.1:4000: "), "{error}");
    }

    #[test]
    fn others_are_told_an_address_that_they_can_reach() {
        let bind = SocketAddr::from(([0, 0, 0, 0], 0));
        let settings = Settings { bind, ..any_port() };
        assert!(matches!(Sockets::open(&settings), Err(StartError::Insecure { address }) if address == bind));
        let settings = Settings { insecure: true, ..settings };
        assert!(matches!(Sockets::open(&settings), Err(StartError::NoAddress { .. })));
        let advertise = Some(SocketAddr::from(([127, 0, 0, 9], 0)));
        let sockets = Sockets::open(&Settings { advertise, ..settings }).unwrap();
        assert_eq!(sockets.advertised, SocketAddr::from(([127, 0, 0, 9], sockets.address.port())));
    }

    #[test]
    fn an_ipv6_address_works_too() {
        let bind = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        if UdpSocket::bind(bind).is_err() {
            println!("skipped: no IPv6 here");
            return;
        }
        let six = Sockets::open(&Settings { bind, ..any_port() }).unwrap();
        assert!(six.address.is_ipv6());
        // Members of both families reach each other and answer where they were asked from.
        let four = Sockets::open(&any_port()).unwrap();
        for (one, other) in [(&six, &four), (&four, &six)] {
            assert_eq!(one.send(other.address, b"probe"), Sent::Yes);
            let (length, from) = received(&other.datagrams);
            assert_eq!((length, from.is_ipv4()), (5, other.address.is_ipv4()));
            assert_eq!(other.send(from, b"alive!"), Sent::Yes);
            assert_eq!(received(one.receiver(OTHER)), (6, other.address));
        }
    }

    #[test]
    fn every_member_of_a_group_hears_what_one_sends() {
        let port = Sockets::open(&any_port()).unwrap().address.port();
        let group = SocketAddr::from(([239, 255, 77, 1], port));
        let settings = Settings { multicast: Some(group), ..any_port() };
        let members = match [Sockets::open(&settings), Sockets::open(&settings)] {
            [Ok(one), Ok(two)] => [one, two],
            [Err(error), _] | [_, Err(error)] => {
                assert!(matches!(error, StartError::Multicast { .. }), "{error}");
                println!("skipped: {error}");
                return;
            }
        };
        if let Err(error) = members[0].datagrams.send_to(b"beat", group) {
            println!("skipped: {error}");
            return;
        }
        for member in &members {
            let socket = &member.group.as_ref().unwrap().socket;
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut buffer = [0; 16];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"beat"[..], members[0].address));
        }
    }

    #[test]
    fn an_address_that_is_no_group_is_refused_with_its_name() {
        let group = SocketAddr::from(([127, 0, 0, 1], 45564));
        let error = Sockets::open(&Settings { multicast: Some(group), ..any_port() }).unwrap_err();
        assert!(matches!(error, StartError::Multicast { .. }), "{error}");
        assert!(error.to_string().starts_with("cannot join the group 127.0.0.1:45564 on 127.0.0.1: "), "{error}");
        let group = SocketAddr::from((Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), 45564));
        let error = Sockets::open(&Settings { multicast: Some(group), ..any_port() }).unwrap_err();
        assert!(matches!(error, StartError::NoInterface { .. }), "{error}");
    }

    fn received(socket: &UdpSocket) -> (usize, SocketAddr) {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.recv_from(&mut [0; 16]).unwrap()
    }

    fn any_port() -> Settings {
        Settings { bind: SocketAddr::from(([127, 0, 0, 1], 0)), multicast: None, ..Settings::default() }
    }

    /// The first and last of three ports that nobody has.
    fn free_ports() -> (u16, u16) {
        for _ in 0..100 {
            let port = Sockets::open(&any_port()).unwrap().address.port();
            let free = |port: u16| bind_both(SocketAddr::from(([127, 0, 0, 1], port))).is_ok();
            if port < u16::MAX - 2 && (port..port + 3).all(free) {
                return (port, port + 2);
            }
        }
        panic!("there are three free ports in a row");
    }
}
