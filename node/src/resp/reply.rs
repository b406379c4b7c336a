//! How replies are written, in either version of the protocol.
//!
//! A value is copied once, into the bytes on their way to the client. A reply that would be longer than its limit becomes
//! an error: what a client can make the node keep is bounded.

/// Which version of the protocol a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    /// What every client understands.
    #[default]
    Two,
    /// What a client asks for with `HELLO 3`: it has maps, and one null.
    Three,
}

/// One reply that is being written.
pub(crate) struct Reply<'a> {
    bytes: &'a mut Vec<u8>,
    version: Version,
    start: usize,
    bytes_max: usize,
    is_too_long: bool,
}

impl<'a> Reply<'a> {
    /// A reply behind what is written already, of at most `bytes_max` bytes.
    pub(crate) fn new(bytes: &'a mut Vec<u8>, version: Version, bytes_max: usize) -> Self {
        let start = bytes.len();
        Self { bytes, version, start, bytes_max, is_too_long: false }
    }

    /// What is written from here on is of this version.
    pub(crate) fn speak(&mut self, version: Version) {
        self.version = version;
    }

    pub(crate) fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// Takes back what was written of this reply. The text begins with the kind of the error, mostly `ERR`; a line break
    /// in it would end the reply, so it becomes a space.
    pub(crate) fn error(&mut self, text: &str) {
        self.is_too_long = false;
        self.bytes.truncate(self.start);
        write_error(self.bytes, text);
    }

    pub(crate) fn integer(&mut self, value: i64) {
        self.line(b':', itoa::Buffer::new().format(value).as_bytes());
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(crate) fn bulk(&mut self, value: &[u8]) {
        if self.has_room(value.len()) {
            self.header(b'$', value.len());
            self.bytes.extend_from_slice(value);
            self.bytes.extend_from_slice(b"\r\n");
        }
    }

    /// A value, or null where there is none.
    pub(crate) fn bulk_or_null(&mut self, value: Option<impl AsRef<[u8]>>) {
        match value {
            Some(value) => self.bulk(value.as_ref()),
            None => self.null(),
        }
    }

    pub(crate) fn null(&mut self) {
        self.bytes.extend_from_slice(match self.version {
            Version::Two => b"$-1\r\n",
            Version::Three => b"_\r\n",
        });
    }

    /// The null that stands where an array was to be.
    pub(crate) fn null_array(&mut self) {
        self.bytes.extend_from_slice(match self.version {
            Version::Two => b"*-1\r\n",
            Version::Three => b"_\r\n",
        });
    }

    /// Begins an array of that many items.
    pub(crate) fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// Begins a map of that many pairs.
    pub(crate) fn map(&mut self, len: usize) {
        match self.version {
            Version::Two => self.header(b'*', len * 2),
            Version::Three => self.header(b'%', len),
        }
    }

    /// Text for people.
    pub(crate) fn verbatim(&mut self, text: &str) {
        match self.version {
            Version::Two => self.bulk(text.as_bytes()),
            Version::Three => {
                self.header(b'=', text.len() + 4);
                self.bytes.extend_from_slice(b"txt:");
                self.bytes.extend_from_slice(text.as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Ends the reply.
    pub(crate) fn finish(mut self) {
        if self.is_too_long {
            let text = format!("ERR the reply has more than {} bytes", self.bytes_max);
            self.error(&text);
        }
    }

    fn has_room(&mut self, len: usize) -> bool {
        self.is_too_long |= self.bytes_max < self.bytes.len() - self.start + len;
        !self.is_too_long
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn header(&mut self, kind: u8, len: usize) {
        self.line(kind, itoa::Buffer::new().format(len).as_bytes());
    }
}

/// Writes an error reply behind what is there.
pub(crate) fn write_error(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'-');
    bytes.extend(text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_nulls_maps_and_text() {
        let write = |version| {
            let mut bytes = Vec::new();
            let mut reply = Reply::new(&mut bytes, version, 1000);
            reply.null();
            reply.null_array();
            reply.map(1);
            reply.simple("a");
            reply.integer(-1);
            reply.verbatim("b");
            reply.finish();
            String::from_utf8(bytes).expect("it is text")
        };
        assert_eq!(write(Version::Two), "$-1\r\n*-1\r\n*2\r\n+a\r\n:-1\r\n$1\r\nb\r\n");
        assert_eq!(write(Version::Three), "_\r\n_\r\n%1\r\n+a\r\n:-1\r\n=5\r\ntxt:b\r\n");
    }

    #[test]
    fn an_error_takes_back_its_own_reply_alone_and_is_one_line() {
        let mut bytes = b"+before\r\n".to_vec();
        let mut reply = Reply::new(&mut bytes, Version::Two, 1000);
        reply.array(2);
        reply.error("ERR a\r\nb");
        reply.finish();
        assert_eq!(bytes, b"+before\r\n-ERR a  b\r\n");
    }

    #[test]
    fn a_reply_over_its_limit_becomes_an_error() {
        let mut bytes = Vec::new();
        let mut reply = Reply::new(&mut bytes, Version::Two, 20);
        reply.array(3);
        reply.bulk(&[b'x'; 10]);
        reply.bulk(&[b'x'; 10]);
        reply.bulk(b"");
        reply.finish();
        assert_eq!(bytes, b"-ERR the reply has more than 20 bytes\r\n");
    }
}
