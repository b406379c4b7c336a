//! Where a request of a client ends, and what it says.
//!
//! A request is looked at twice. The scanner walks its headers alone, and goes on where the last bytes ended, so that a
//! request in a thousand pieces is walked once. It refuses what is nested, and passes over what is above a limit without
//! keeping it. Only what is complete, flat and within the limits reaches the parser, which recurses and starts over.

use core::ops::{Index, Range};

use redis_protocol::resp2::{decode::decode_range, types::RangeFrame};

/// The longest line of an inline command.
const INLINE_MAX: usize = 64 << 10;
/// The most arguments of a request.
const ARGUMENTS_MAX: usize = 1 << 20;
/// The longest argument that is passed over; above it the connection is closed.
const PASSED_MAX: usize = 512 << 20;

/// How much of one request is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest argument.
    pub(crate) argument_bytes_max: usize,
    /// The longest request.
    pub(crate) request_bytes_max: usize,
}

/// Bytes that are not the protocol: the client hears why, and the connection is closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

impl Violation {
    fn new(text: &str) -> Self {
        Self(format!("ERR Protocol error: {text}"))
    }
}

/// What the scanner found at the start of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// No whole request yet. That many bytes are of no use any more.
    Incomplete {
        /// Bytes to drop.
        passed: usize,
    },
    /// A request of that many bytes.
    Request {
        /// Its bytes.
        len: usize,
    },
    /// A request that asks for nothing.
    Empty {
        /// Its bytes.
        len: usize,
    },
    /// The end of a request that was too large to be kept.
    Refused {
        /// Bytes to drop.
        passed: usize,
        /// Why, for the client.
        refusal: String,
    },
}

/// Finds the end of requests in a stream of bytes.
#[derive(Debug)]
pub(crate) struct Scanner {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    /// The header of the next argument stands `at` bytes behind the start of the request.
    Within {
        left: usize,
        at: usize,
    },
    /// Of the argument that is being passed over `body` bytes are still to come.
    Passing {
        left: usize,
        body: usize,
        refusal: String,
    },
}

impl Scanner {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Start }
    }

    /// Looks at the bytes that begin where the last request ended, less those that were said to be of no use.
    ///
    /// # Errors
    ///
    /// What is not the protocol; the scanner is of no use after it.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Scan, Violation> {
        if let State::Start = self.state {
            match bytes.first() {
                None => return Ok(Scan::Incomplete { passed: 0 }),
                Some(b'*') => {}
                Some(_) => return inline_end(bytes),
            }
            let Some((count, at)) = number(bytes, 0).map_err(|()| Violation::new("invalid multibulk length"))? else {
                return Ok(Scan::Incomplete { passed: 0 });
            };
            match usize::try_from(count) {
                Err(_) | Ok(0) => return Ok(Scan::Empty { len: at }),
                Ok(left) if left <= ARGUMENTS_MAX => self.state = State::Within { left, at },
                Ok(_) => return Err(Violation::new("invalid multibulk length")),
            }
        }
        self.scan_arguments(bytes)
    }

    fn scan_arguments(&mut self, bytes: &[u8]) -> Result<Scan, Violation> {
        let State::Within { mut left, mut at } = self.state else { return self.pass(bytes, 0) };
        while 0 < left {
            let Some((length, body)) = argument(bytes, at)? else {
                self.state = State::Within { left, at };
                return Ok(Scan::Incomplete { passed: 0 });
            };
            let end = body + length + 2;
            if let Some(refusal) = self.refusal(length, end) {
                self.state = State::Passing { left: left - 1, body: length + 2, refusal };
                return self.pass(bytes, body);
            }
            if bytes.len() < end {
                self.state = State::Within { left, at };
                return Ok(Scan::Incomplete { passed: 0 });
            }
            (left, at) = (left - 1, end);
        }
        self.state = State::Start;
        Ok(Scan::Request { len: at })
    }

    fn refusal(&self, length: usize, end: usize) -> Option<String> {
        let Limits { argument_bytes_max: argument, request_bytes_max: request } = self.limits;
        if argument < length {
            return Some(format!("ERR an argument has {length} bytes, more than attribute_bytes_max ({argument})"));
        }
        (request < end).then(|| format!("ERR the request has more bytes than session_bytes_max allows ({request})"))
    }

    fn pass(&mut self, bytes: &[u8], mut at: usize) -> Result<Scan, Violation> {
        let State::Passing { left, body, refusal } = &mut self.state else {
            unreachable!("only a request above a limit is passed over");
        };
        loop {
            let here = (*body).min(bytes.len() - at);
            (*body, at) = (*body - here, at + here);
            if 0 < *body {
                return Ok(Scan::Incomplete { passed: at });
            }
            if *left == 0 {
                let refusal = core::mem::take(refusal);
                self.state = State::Start;
                return Ok(Scan::Refused { passed: at, refusal });
            }
            let Some((length, next)) = argument(bytes, at)? else { return Ok(Scan::Incomplete { passed: at }) };
            (*left, *body, at) = (*left - 1, length + 2, next);
        }
    }
}

/// The length in the header of an argument, and where its body begins.
fn argument(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, Violation> {
    match bytes.get(at) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(&other) => {
            return Err(Violation::new(&format!("expected '$', got '{}'", other.escape_ascii())));
        }
    }
    let wrong = || Violation::new("invalid bulk length");
    let Some((length, body)) = number(bytes, at).map_err(|()| wrong())? else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= PASSED_MAX).ok_or_else(wrong)?;
    Ok(Some((length, body)))
}

/// The number between the byte at `at` and the end of its line, and where the next line begins.
fn number(bytes: &[u8], at: usize) -> Result<Option<(i64, usize)>, ()> {
    let start = at + 1;
    let negative = bytes.get(start) == Some(&b'-');
    let digits = start + usize::from(negative);
    let (mut end, mut value) = (digits, 0_i64);
    loop {
        match bytes.get(end) {
            None => return Ok(None),
            Some(b'\r') => break,
            Some(digit @ b'0'..=b'9') => {
                value = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit - b'0'))).ok_or(())?;
                end += 1;
            }
            Some(_) => return Err(()),
        }
    }
    match bytes.get(end + 1) {
        _ if end == digits => Err(()),
        None => Ok(None),
        Some(b'\n') => Ok(Some((if negative { -value } else { value }, end + 2))),
        Some(_) => Err(()),
    }
}

fn inline_end(bytes: &[u8]) -> Result<Scan, Violation> {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) if end <= INLINE_MAX => Ok(Scan::Request { len: end + 1 }),
        None if bytes.len() <= INLINE_MAX => Ok(Scan::Incomplete { passed: 0 }),
        _ => Err(Violation::new("too big inline request")),
    }
}

/// Finds the arguments of one whole request. `ranges` is given so that its memory is used again.
///
/// # Errors
///
/// What the parser refuses.
pub(crate) fn parse(request: &[u8], ranges: &mut Vec<Range<usize>>) -> Result<(), Violation> {
    ranges.clear();
    if request.first() != Some(&b'*') {
        let mut at = 0;
        for word in request.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                ranges.push(at..at + word.len());
            }
            at += word.len() + 1;
        }
        return Ok(());
    }
    let Ok(Some((RangeFrame::Array(frames), _))) = decode_range(request) else {
        return Err(Violation::new("not an array of bulk strings"));
    };
    for frame in &frames {
        let RangeFrame::BulkString((from, to)) = *frame else {
            return Err(Violation::new("not an array of bulk strings"));
        };
        ranges.push(from..to);
    }
    Ok(())
}

/// A request: the name of a command and what follows it.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    request: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl<'a> Arguments<'a> {
    /// The arguments that [`parse`] found in the request.
    pub(crate) fn new(request: &'a [u8], ranges: &'a [Range<usize>]) -> Self {
        Self { request, ranges }
    }

    pub(crate) fn len(self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn get(self, at: usize) -> Option<&'a [u8]> {
        self.ranges.get(at).map(|range| &self.request[range.clone()])
    }

    /// Those from a place on.
    pub(crate) fn from(self, at: usize) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator {
        let Self { request, ranges } = self;
        ranges.get(at..).unwrap_or_default().iter().map(|range| &request[range.clone()])
    }
}

impl Index<usize> for Arguments<'_> {
    type Output = [u8];

    fn index(&self, at: usize) -> &[u8] {
        &self.request[self.ranges[at].clone()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { argument_bytes_max: 8, request_bytes_max: 64 };

    #[test]
    fn a_request_is_found_however_it_is_cut() {
        let whole = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
        let mut scanner = Scanner::new(LIMITS);
        for cut in 0..whole.len() {
            assert_eq!(scanner.scan(&whole[..cut]), Ok(Scan::Incomplete { passed: 0 }), "{cut}");
        }
        assert_eq!(scanner.scan(whole), Ok(Scan::Request { len: whole.len() }));
        assert_eq!(words(whole), ["GET", "a"]);
    }

    #[test]
    fn an_inline_request_is_split_at_white_space() {
        let whole = b"  set a  1\r\nget a\r\n";
        assert_eq!(Scanner::new(LIMITS).scan(whole), Ok(Scan::Request { len: 12 }));
        assert_eq!(words(&whole[..12]), ["set", "a", "1"]);
        assert_eq!(words(b"\r\n"), [""; 0]);
    }

    #[test]
    fn what_is_too_large_is_passed_over_and_not_kept() {
        let mut scanner = Scanner::new(LIMITS);
        let mut kept: Vec<u8> = Vec::new();
        let mut seen = Vec::new();
        for byte in b"*3\r\n$1\r\na\r\n$9\r\n123456789\r\n$2\r\nbb\r\n*1\r\n$4\r\nPING\r\n" {
            kept.push(*byte);
            assert!(kept.len() < 32, "nothing is kept of it");
            match scanner.scan(&kept).expect("it is the protocol") {
                Scan::Incomplete { passed } => drop(kept.drain(..passed)),
                Scan::Refused { passed, refusal } => {
                    seen.push(refusal);
                    kept.drain(..passed);
                }
                Scan::Request { len } => {
                    seen.push(words(&kept[..len]).concat());
                    kept.drain(..len);
                }
                Scan::Empty { .. } => unreachable!("no empty request was sent"),
            }
        }
        assert_eq!(seen, ["ERR an argument has 9 bytes, more than attribute_bytes_max (8)", "PING"]);
    }

    #[test]
    fn what_is_not_the_protocol_is_named_as_redis_names_it() {
        let cases: [(&[u8], &str); 8] = [
            (b"*x\r\n", "invalid multibulk length"),
            (b"*\r\n", "invalid multibulk length"),
            (b"*9999999999\r\n", "invalid multibulk length"),
            (b"*99999999999999999999", "invalid multibulk length"),
            (b"*1\r\n*1\r\n", "expected '$', got '*'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$600000000\r\n", "invalid bulk length"),
            (b"*1\r\n$+1\r\n", "invalid bulk length"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Scanner::new(LIMITS).scan(bytes), Err(Violation::new(text)));
        }
        assert_eq!(Scanner::new(LIMITS).scan(&[b'a'; INLINE_MAX + 1]), Err(Violation::new("too big inline request")));
    }

    #[test]
    fn an_array_of_nothing_asks_for_nothing() {
        assert_eq!(Scanner::new(LIMITS).scan(b"*0\r\n*1"), Ok(Scan::Empty { len: 4 }));
        assert_eq!(Scanner::new(LIMITS).scan(b"*-1\r\n"), Ok(Scan::Empty { len: 5 }));
    }

    proptest! {
        /// P7: whatever arrives, in whatever pieces, the scanner ends and what it finds can be parsed.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(prop_oneof![
            Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'3'), Just(b'-'), any::<u8>()
        ], 0..200), cut in 1_usize..20) {
            let mut scanner = Scanner::new(LIMITS);
            let mut kept = Vec::new();
            'all: for piece in bytes.chunks(cut) {
                kept.extend_from_slice(piece);
                loop {
                    match scanner.scan(&kept) {
                        Ok(Scan::Incomplete { passed }) => {
                            kept.drain(..passed);
                            break;
                        }
                        Ok(Scan::Request { len }) => {
                            prop_assert!(parse(&kept[..len], &mut Vec::new()).is_ok());
                            kept.drain(..len);
                        }
                        Ok(Scan::Empty { len }) => drop(kept.drain(..len)),
                        Ok(Scan::Refused { passed, .. }) => drop(kept.drain(..passed)),
                        Err(_) => break 'all,
                    }
                }
            }
        }
    }

    fn words(request: &[u8]) -> Vec<String> {
        let mut ranges = Vec::new();
        parse(request, &mut ranges).expect("it is a request");
        Arguments::new(request, &ranges).from(0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }
}
