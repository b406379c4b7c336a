//! What a driver counts. A thing that is dropped is counted where it is dropped (P7).

use heirloom_core::FrameError;
use heirloom_record::State;

/// What the driver has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverStats {
    /// Turns of the driver.
    pub turns: u64,
    /// Times that a caller found the lock free and did the work itself.
    pub turns_of_callers: u64,
    /// Datagrams that came.
    pub datagrams_received: u64,
    /// Datagrams that were sent, to the group or to one member.
    pub datagrams_sent: u64,
    /// Datagrams that were dropped because the kernel had no room for them.
    pub datagrams_dropped: u64,
    /// Datagrams to one member that the kernel refused to send.
    pub datagrams_failed: u64,
    /// Datagrams to the group that the kernel refused to send.
    pub multicasts_failed: u64,
    /// Bytes that were read from streams.
    pub bytes_read: u64,
    /// Bytes that were written to streams.
    pub bytes_written: u64,
    /// Writes of which a stream took only a part.
    pub writes_blocked: u64,
    /// Streams that others opened.
    pub streams_accepted: u64,
    /// Streams that others opened and that were closed unread, because `accepted_max` are held.
    pub streams_refused: u64,
    /// Times that no stream could be accepted, mostly because the process has too many open files.
    pub accepts_failed: u64,
    /// Streams that this node opened.
    pub streams_opened: u64,
    /// Streams that this node could not open.
    pub opens_failed: u64,
    /// Frames and datagrams that meant nothing.
    pub frame_errors: FrameErrors,
    /// The bytes that the kernel keeps for datagrams: what it gave, not what was asked for.
    pub receive_buffer: usize,
    /// Streams that are open now, those that are being opened or closed included.
    pub streams: usize,
    /// What becomes of the record of this node, as of the last turn.
    pub record: State,
}

/// What came from the network and was dropped, by what was wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameErrors {
    /// It ended before it was complete.
    pub cut: u64,
    /// It was longer than `frame_max`.
    pub too_long: u64,
    /// Its checksum was wrong.
    pub checksum: u64,
    /// It had a version that the node does not speak.
    pub version: u64,
    /// It was of another cluster.
    pub cluster: u64,
    /// Its kind was not known.
    pub kind: u64,
    /// Its body did not parse or broke a limit.
    pub body: u64,
    /// It came at the wrong point of a stream.
    pub unexpected: u64,
    /// Its sender placed copies differently.
    pub copies: u64,
    /// Its sender was of another domain.
    pub domain: u64,
    /// There was no such stream.
    pub no_stream: u64,
}

impl FrameErrors {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.by_cause().iter().map(|(_, count)| count).sum()
    }

    /// Each of them with the name of its cause, in the order of [`FrameError`].
    pub fn by_cause(&self) -> [(&'static str, u64); 11] {
        let Self { cut, too_long, checksum, version, cluster, kind, body, unexpected, copies, domain, no_stream } =
            *self;
        [
            ("cut", cut),
            ("too_long", too_long),
            ("checksum", checksum),
            ("version", version),
            ("cluster", cluster),
            ("kind", kind),
            ("body", body),
            ("unexpected", unexpected),
            ("copies", copies),
            ("domain", domain),
            ("no_stream", no_stream),
        ]
    }

    pub(crate) fn count(&mut self, error: FrameError) {
        let counter = match error {
            FrameError::Cut => &mut self.cut,
            FrameError::TooLong => &mut self.too_long,
            FrameError::Checksum => &mut self.checksum,
            FrameError::Version => &mut self.version,
            FrameError::Cluster => &mut self.cluster,
            FrameError::Kind => &mut self.kind,
            FrameError::Body => &mut self.body,
            FrameError::Unexpected => &mut self.unexpected,
            FrameError::Copies => &mut self.copies,
            FrameError::Domain => &mut self.domain,
            FrameError::NoStream => &mut self.no_stream,
        };
        *counter += 1;
    }
}
