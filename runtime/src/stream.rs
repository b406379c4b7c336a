//! One stream to another member: a socket that does not block, and the rest of one write.

use core::net::SocketAddr;
use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use bytes::{Buf as _, Bytes};
use heirloom_core::CloseCause;
use socket2::{Domain, Protocol, Socket, Type};

use crate::poller::Interest;

/// A stream as the driver holds it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    pub(crate) side: Side,
    pub(crate) phase: Phase,
    /// What was to be written and was not taken yet.
    rest: Bytes,
}

/// Who opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Here,
    There,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Opening,
    Open,
    /// The node has forgotten it. It is closed once the rest is written and the other side has closed too: closed
    /// earlier, with something unread in it, the kernel would reset it and what was written last could be lost.
    Closing,
}

/// How much of a write was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    Part,
}

impl Stream {
    /// Begins to open a stream. It is open once it is writable and `take_error` says nothing.
    pub(crate) fn open(to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&to.into()) {
            Err(error) if !is_under_way(&error) => Err(error),
            _ => Ok(Self { socket: socket.into(), side: Side::Here, phase: Phase::Opening, rest: Bytes::new() }),
        }
    }

    pub(crate) fn accepted(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, side: Side::There, phase: Phase::Open, rest: Bytes::new() })
    }

    /// Writes what the kernel takes at once and keeps the rest.
    pub(crate) fn write(&mut self, bytes: Bytes) -> io::Result<Written> {
        assert!(self.rest.is_empty(), "nothing is written to a stream that is blocked");
        self.rest = bytes;
        self.write_rest()
    }

    pub(crate) fn write_rest(&mut self) -> io::Result<Written> {
        while !self.rest.is_empty() {
            match self.socket.write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) if taken < self.rest.len() => {
                    // The kernel's buffer is full now: asking again would only say so.
                    self.rest.advance(taken);
                    return Ok(Written::Part);
                }
                Ok(_) => self.rest = Bytes::new(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Written::Part),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
    }

    pub(crate) fn rest(&self) -> usize {
        self.rest.len()
    }

    /// Reads what is there; `None` when nothing is, zero at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.socket.read(buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the other side that nothing more comes.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    pub(crate) fn interest(&self) -> Interest {
        match (self.phase, self.rest.is_empty()) {
            (Phase::Opening, _) => Interest::Writable,
            (Phase::Open | Phase::Closing, true) => Interest::Readable,
            (Phase::Open | Phase::Closing, false) => Interest::Both,
        }
    }
}

/// What an error of a stream means for the node.
pub(crate) fn cause(error: &io::Error) -> CloseCause {
    if error.kind() == io::ErrorKind::ConnectionRefused { CloseCause::Refused } else { CloseCause::Broken }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_rest_of_a_write_is_kept_until_there_is_room() {
        let (mut here, mut there) = pair();
        let bytes = Bytes::from(vec![7; 8 << 20]);
        assert_eq!(here.write(bytes.clone()).unwrap(), Written::Part);
        assert_eq!(here.interest(), Interest::Both);
        let mut read = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        while read.len() < bytes.len() {
            if let Some(length) = there.read(&mut buffer).unwrap() {
                read.extend_from_slice(&buffer[..length]);
            }
            here.write_rest().unwrap();
        }
        assert_eq!((here.rest(), here.interest()), (0, Interest::Readable));
        assert!(read == bytes, "nothing is lost or written twice");
    }

    #[test]
    fn a_refused_stream_says_so() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = match Stream::open(nobody) {
            Err(error) => error,
            Ok(stream) => loop {
                if let Some(error) = stream.socket.take_error().unwrap() {
                    break error;
                }
                std::thread::yield_now();
            },
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    pub(crate) fn pair() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = Stream::open(listener.local_addr().unwrap()).unwrap();
        let there = Stream::accepted(listener.accept().unwrap().0).unwrap();
        here.phase = Phase::Open;
        (here, there)
    }
}
