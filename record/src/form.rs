//! The form of a record: a line that says what it is, then blocks, each with its length and a check, of entries.

use core::{fmt, net::SocketAddr, time::Duration};

use heirloom_core::{AtLeast, CloseCause, CommitError, Demand, Durability, Purpose, Time, Transmit};
use serde::{Deserialize, Serialize};

/// The version of the form of records. Whatever changes it makes another one.
pub const VERSION: u32 = 1;
/// What a record begins with; its version follows, and the end of the line.
pub(crate) const MAGIC: &str = "heirloom record ";
/// What stands before the entries of a block: their length, and the first bytes of a hash of them.
pub(crate) const BLOCK_HEAD: usize = 8;
/// The longest block: more than one turn of a driver can bring.
pub(crate) const BLOCK_MAX: usize = 1 << 28;

/// What a node starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Which build recorded it.
    pub build: String,
    /// The id of the member.
    pub id: u64,
    /// Where others reach it.
    pub address: SocketAddr,
    /// Its settings, as JSON.
    pub config: String,
    /// All the entropy that it has.
    pub seed: u64,
    /// When it started.
    pub now: u64,
    /// Whether values stand in the record as they were.
    pub has_values: bool,
}

/// One thing that came to a node or came out of it, so long after the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// In nanoseconds; of two threads one may come with an older time.
    pub after: i64,
    /// What.
    pub input: Input,
}

/// What came to a node, or what it was asked for; and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Whether there is a group.
    Group(bool),
    /// A datagram.
    Datagram(SocketAddr, Vec<u8>),
    /// Another member has opened a stream; the node gave it this name.
    Accepted(SocketAddr, u64),
    /// A stream is open.
    Opened(u64),
    /// So many bytes came by a stream. What they are is said by `Contents`, which may come later.
    Bytes(u64, u32),
    /// The next bytes of a stream.
    Contents(u64, Vec<u8>),
    /// A stream is over.
    Closed(u64, Cause),
    /// A stream takes no more.
    Blocked(u64),
    /// A stream takes more.
    Writable(u64),
    /// A datagram could not be sent.
    SendFailed(SocketAddr),
    /// What the wall clock says, in microseconds.
    Wall(u64),
    /// Something is due.
    Timeout,
    /// The driver asked what to send, and was told this.
    Sends(Option<Output>),
    /// The driver took an answer to a commit.
    Outcome(Answer),
    /// The driver took an answer to a fetch.
    Fetched(Answer),
    /// The driver took a message of another application.
    Message(Answer),
    /// The driver took an event.
    Event(Answer),
    /// The driver took a session that has changed.
    Changed(Answer),
    /// The application commits: a session, the delta, and what it waits for.
    Commit([u8; 16], Vec<u8>, Wanted, Answer),
    /// It changes an id.
    ChangeId([u8; 16], [u8; 16], Wanted, Answer),
    /// It sets a name of the shared map.
    MapSet(Vec<u8>, Vec<u8>, Wanted, Answer),
    /// It removes one.
    MapRemove(Vec<u8>, Wanted, Answer),
    /// It uses a session.
    Touch([u8; 16]),
    /// It asks for a session.
    Fetch([u8; 16], For, Answer),
    /// It asks for a session that is not older than that.
    AtLeast([u8; 16], Vec<u8>, Answer),
    /// It sends a message to a member, or to all.
    Send(Option<u64>, Vec<u8>, Answer),
    /// It lets others know this of the member.
    Payload(Vec<u8>, Answer),
    /// Where others are looked for.
    Peers(Vec<SocketAddr>),
    /// Nobody else can be there.
    StartAlone,
    /// Who is missing is gone.
    Resume,
    /// It leaves.
    Leave,
    /// It leaves within this time.
    Drain(Duration),
    /// The record is over.
    End(Ending),
}

impl Input {
    /// Whether it comes to the node; else the driver takes something out of it.
    pub(crate) const fn comes_in(&self) -> bool {
        !matches!(
            self,
            Self::Contents(..)
                | Self::Sends(_)
                | Self::Outcome(_)
                | Self::Fetched(_)
                | Self::Message(_)
                | Self::Event(_)
                | Self::Changed(_)
                | Self::End(_)
        )
    }
}

/// What a node answered, as a hash of how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer(pub u64);

impl Answer {
    /// The hash of an answer that has no value of an application in it.
    pub fn of(answer: &impl fmt::Debug) -> Self {
        Self(hash(format!("{answer:?}").as_bytes()))
    }

    /// The hash of the answer to a question for a session, without what is in it.
    pub fn of_session(answer: &Result<AtLeast, CommitError>) -> Self {
        Self::of(&answer.as_ref().map(|answer| match answer {
            AtLeast::Here(_) => "here".to_owned(),
            AtLeast::Ended(cause) => format!("{cause:?}"),
            AtLeast::Asked(fetch) => format!("{fetch:?}"),
            AtLeast::Stale { .. } => "stale".to_owned(),
        }))
    }
}

/// Something that a node wants its driver to do, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What.
    pub what: Kind,
    /// How many bytes go out.
    pub length: u64,
    /// A hash of what it is and of its bytes.
    pub hash: u64,
}

/// What a node wants its driver to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Send a datagram.
    Datagram(SocketAddr),
    /// Send one to the group.
    Multicast,
    /// Open a stream.
    Open(u64, SocketAddr),
    /// Write to a stream.
    Write(u64),
    /// Close a stream.
    Close(u64),
}

impl Output {
    /// Of what a node wants, with its bytes as `hide` leaves them.
    pub(crate) fn of(transmit: &Transmit, hide: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        let (what, bytes) = match transmit {
            Transmit::Datagram { to, bytes } => (Kind::Datagram(*to), bytes.to_vec()),
            Transmit::Multicast { bytes } => (Kind::Multicast, bytes.to_vec()),
            Transmit::Open { stream, to } => (Kind::Open(stream.0, *to), Vec::new()),
            Transmit::Write { stream, bytes } => (Kind::Write(stream.0), hide(bytes)),
            Transmit::Close { stream } => (Kind::Close(stream.0), Vec::new()),
        };
        Self { what, length: u64::try_from(bytes.len()).unwrap_or(u64::MAX), hash: hash(&bytes) }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, length, hash } = self;
        match what {
            Kind::Datagram(to) => write!(f, "a datagram of {length} bytes to {to} ({hash:016x})"),
            Kind::Multicast => write!(f, "a datagram of {length} bytes to the group ({hash:016x})"),
            Kind::Open(stream, to) => write!(f, "a stream {stream} to open to {to}"),
            Kind::Write(stream) => write!(f, "{length} bytes for stream {stream} ({hash:016x})"),
            Kind::Close(stream) => write!(f, "a stream {stream} to close"),
        }
    }
}

/// Why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Nothing listens.
    Refused,
    /// The other side closed it.
    Closed,
    /// It broke.
    Broken,
}

impl From<CloseCause> for Cause {
    fn from(cause: CloseCause) -> Self {
        match cause {
            CloseCause::Refused => Self::Refused,
            CloseCause::Closed => Self::Closed,
            CloseCause::Broken => Self::Broken,
        }
    }
}

impl From<Cause> for CloseCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Refused => Self::Refused,
            Cause::Closed => Self::Closed,
            Cause::Broken => Self::Broken,
        }
    }
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted(Copies, Option<Duration>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Copies {
    Local,
    One,
    All,
    Count(u16),
    Majority,
}

impl From<Demand> for Wanted {
    fn from(Demand { durability, within }: Demand) -> Self {
        let copies = match durability {
            Durability::Local => Copies::Local,
            Durability::One => Copies::One,
            Durability::All => Copies::All,
            Durability::Copies(count) => Copies::Count(count),
            Durability::Majority => Copies::Majority,
        };
        Self(copies, within)
    }
}

impl From<Wanted> for Demand {
    fn from(Wanted(copies, within): Wanted) -> Self {
        let durability = match copies {
            Copies::Local => Durability::Local,
            Copies::One => Durability::One,
            Copies::All => Durability::All,
            Copies::Count(count) => Durability::Copies(count),
            Copies::Majority => Durability::Majority,
        };
        Self { durability, within }
    }
}

/// What a session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum For {
    /// To look at it.
    Peek,
    /// To use it.
    Read,
    /// To change it.
    Write,
}

impl From<Purpose> for For {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Peek => Self::Peek,
            Purpose::Read => Self::Read,
            Purpose::Write => Self::Write,
        }
    }
}

impl From<For> for Purpose {
    fn from(purpose: For) -> Self {
        match purpose {
            For::Peek => Self::Peek,
            For::Read => Self::Read,
            For::Write => Self::Write,
        }
    }
}

/// How a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The node ended.
    Over,
    /// The file had got as long as it may.
    Full,
    /// It does not say: the process died.
    Died,
    /// The file ends at this byte, in the middle of a block.
    Cut(u64),
    /// It ends with bytes of a stream of which the rest never came.
    Unfinished,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the node ended then"),
            Self::Full => f.write_str("then the record was full, and the node went on"),
            Self::Died => f.write_str("the record does not say how it went on: the process died, or still runs"),
            Self::Cut(at) => write!(f, "the file is cut off at byte {at}, in the middle of what follows"),
            Self::Unfinished => f.write_str("then the process died with a part of a frame in its hands"),
        }
    }
}

/// A file that is no record, or one that is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// It begins otherwise.
    #[error("this is no record of a node")]
    NoRecord,
    /// It has another form.
    #[error("this record has version {0}, and version {VERSION} is what is read here")]
    Version(String),
    /// Something was changed after it was written.
    #[error("the record is damaged in the {length} bytes from byte {at} on")]
    Damaged {
        /// Where the block begins.
        at: u64,
        /// How long it is.
        length: u64,
    },
    /// It says what cannot be.
    #[error("the record says what cannot be, from byte {0} on")]
    Senseless(u64),
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has more bytes"))
}

/// The check of a block.
pub(crate) fn check(block: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(block);
    hash.as_bytes()[..4].try_into().expect("a hash has more bytes")
}

pub(crate) fn time(now: Time) -> i64 {
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
