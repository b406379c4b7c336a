//! As much of a Redis client as a race needs: the same for all that speak its protocol.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    requests: Vec<u8>,
    line: Vec<u8>,
}

/// What is answered. Values are told by their length and first bytes: the race needs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple,
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), requests: Vec::new(), line: Vec::new() })
    }

    /// Adds a request to those that are sent together.
    pub(crate) fn push(&mut self, words: &[&[u8]]) {
        let mut write = |bytes: &[u8]| self.requests.extend_from_slice(bytes);
        write(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            write(format!("${}\r\n", word.len()).as_bytes());
            write(word);
            write(b"\r\n");
        }
    }

    pub(crate) fn send(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.requests);
        self.requests.clear();
        sent
    }

    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        self.line.clear();
        (&mut self.stream).take(64 << 10).read_until(b'\n', &mut self.line)?;
        let Some(line) = self.line.strip_suffix(b"\r\n") else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let Some((kind, rest)) = line.split_first() else { return Err(io::ErrorKind::InvalidData.into()) };
        let rest = String::from_utf8_lossy(rest);
        match kind {
            b'+' => Ok(Reply::Simple),
            b'-' => Ok(Reply::Error(rest.into_owned())),
            b':' => rest.parse().map(Reply::Integer).map_err(io::Error::other),
            b'$' if rest == "-1" => Ok(Reply::Null),
            b'$' => {
                let length: usize = rest.parse().map_err(io::Error::other)?;
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Reply::Bulk(bytes))
            }
            _ => Err(io::Error::other(format!("not expected: {rest:?}"))),
        }
    }

    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.push(words);
        self.send()?;
        self.reply()
    }

    /// The value of a line of `INFO`.
    pub(crate) fn info(&mut self, section: &str, key: &str) -> io::Result<Option<String>> {
        let Reply::Bulk(info) = self.ask(&[b"INFO", section.as_bytes()])? else { return Ok(None) };
        let info = String::from_utf8_lossy(&info);
        Ok(info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::to_owned)))
    }
}
