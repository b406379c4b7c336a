//! As much of a Redis client as a cluster on this machine needs: requests in RESP2, many sent together.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

/// How long a node has to accept a connection.
const CONNECT_FOR: Duration = Duration::from_secs(2);
/// How long a node has for a reply: a write may wait for a member that is dead and not yet declared so.
const REPLY_FOR: Duration = Duration::from_secs(10);
/// More than the longest reply that is asked for.
const BULK_BYTES_MAX: usize = 64 << 20;
/// How much is shown of a reply.
const SHOWN_MAX: usize = 80;

/// A connection to a node.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    requests: Vec<u8>,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    Array(Vec<Self>),
}

impl Client {
    /// Connects to a node.
    ///
    /// # Errors
    ///
    /// When it does not accept.
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_FOR)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_FOR))?;
        stream.set_write_timeout(Some(REPLY_FOR))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), requests: Vec::new() })
    }

    /// Adds a request to those that are sent together.
    pub(crate) fn push<'a>(&mut self, words: impl ExactSizeIterator<Item = &'a [u8]>) {
        push_header(&mut self.requests, '*', words.len());
        for word in words {
            push_header(&mut self.requests, '$', word.len());
            self.requests.extend_from_slice(word);
            self.requests.extend_from_slice(b"\r\n");
        }
    }

    /// Sends the requests that were added.
    ///
    /// # Errors
    ///
    /// When the connection breaks. Nobody knows then which of the requests have arrived.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.requests);
        self.requests.clear();
        sent
    }

    /// The reply to the oldest request that has none.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or a reply takes too long or is none.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.stream)
    }

    /// Sends one request and waits for its reply.
    ///
    /// # Errors
    ///
    /// Those of `send` and `reply`.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.push(words.iter().copied());
        self.send()?;
        self.reply()
    }
}

impl Reply {
    /// That this is not what a command is answered with.
    pub(crate) fn unexpected(&self, command: &str) -> io::Error {
        let shown: String = format!("{self:?}").chars().take(SHOWN_MAX).collect();
        io::Error::other(format!("{command} was answered with {shown}"))
    }
}

fn push_header(requests: &mut Vec<u8>, kind: char, length: usize) {
    write!(requests, "{kind}{length}\r\n").expect("a vector takes what is written");
}

fn read_reply(stream: &mut impl io::BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    // A line is short; without an end it would be read for ever.
    stream.take(64 << 10).read_line(&mut line)?;
    let Some(line) = line.strip_suffix("\r\n") else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("not a reply: {line:?}"));
    let (kind, rest) = line.split_at_checked(1).ok_or_else(wrong)?;
    let length = || match rest.parse::<usize>() {
        Ok(length) if length <= BULK_BYTES_MAX => Ok(length),
        Ok(_) | Err(_) => Err(wrong()),
    };
    match kind {
        "+" => Ok(Reply::Simple(rest.into())),
        "-" => Ok(Reply::Error(rest.into())),
        ":" => Ok(Reply::Integer(rest.parse().map_err(|_| wrong())?)),
        "$" | "*" if rest == "-1" => Ok(Reply::Null),
        "$" => {
            let mut bytes = vec![0; length()? + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(Reply::Bulk(bytes))
        }
        "*" => (0..length()?).map(|_| read_reply(stream)).collect::<io::Result<_>>().map(Reply::Array),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_is_read() {
        let mut bytes: &[u8] = b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n*2\r\n$-1\r\n$0\r\n\r\n*-1\r\n";
        let replies: Vec<_> = (0..6).map(|_| read_reply(&mut bytes).unwrap()).collect();
        let expected = [
            Reply::Simple("OK".into()),
            Reply::Error("ERR no".into()),
            Reply::Integer(-7),
            Reply::Bulk(b"a\r\n".into()),
            Reply::Array(vec![Reply::Null, Reply::Bulk(Vec::new())]),
            Reply::Null,
        ];
        assert_eq!(replies, expected);
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_no_whole_reply_is_an_error() {
        for bytes in ["", "+OK", "$3\r\nab", "$-2\r\n", "$99999999999\r\n", "?\r\n", "\r\n", "*1\r\n"] {
            assert!(read_reply(&mut bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }
}
