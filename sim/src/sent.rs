//! What was sent, in short: a rolling hash of it, noted every so often, and the things themselves where somebody looks.
//!
//! Two runs are the same when they sent the same. Where they are not, the notes tell roughly where they parted, and a look
//! at that part tells which thing was the first (P8).

use core::ops::Range;

use heirloom_core::{Transmit, kinds};

use crate::{chance::mix, clock::Moment, net::HostId};

/// The hash is noted each time that so many things were sent.
pub const CHECK_EVERY: u64 = 4096;

/// All that was sent up to then, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// So many things were sent.
    pub count: u64,
    /// A hash of them: what, by whom and when.
    pub digest: u64,
}

/// What a cluster has sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    count: u64,
    digest: u64,
    checks: Vec<Check>,
    watched: Range<u64>,
    seen: Vec<String>,
    /// What kinds of things were sent, if somebody wants to know.
    shapes: Option<Vec<(Moment, String)>>,
}

impl Sent {
    /// Adds something that was sent.
    pub(crate) fn handle(&mut self, now: Moment, host: HostId, transmit: &Transmit) {
        let address = |at: &core::net::SocketAddr| HostId::at(*at).map_or(u64::MAX, HostId::word);
        let (words, bytes) = match transmit {
            Transmit::Datagram { to, bytes } => ([1, address(to)], Some(bytes)),
            Transmit::Multicast { bytes } => ([2, 0], Some(bytes)),
            Transmit::Open { stream, to } => ([3 | stream.0 << 8, address(to)], None),
            Transmit::Write { stream, bytes } => ([4, stream.0], Some(bytes)),
            Transmit::Close { stream } => ([5, stream.0], None),
        };
        let mut digest = self.digest;
        let mut add = |word: u64| digest = mix(digest.rotate_left(5) ^ word);
        [now.as_nanos(), host.word(), words[0], words[1]].into_iter().for_each(&mut add);
        for chunk in bytes.map(|bytes| bytes.chunks(8)).into_iter().flatten() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            add(u64::from_le_bytes(word));
        }
        self.digest = digest;
        if let Some(shapes) = &mut self.shapes {
            shapes.push((now, shape(now, host, transmit)));
        }
        if self.watched.contains(&self.count) {
            self.seen.push(describe(now, host, transmit, digest));
        }
        self.count += 1;
        if self.count.is_multiple_of(CHECK_EVERY) {
            self.checks.push(Check { count: self.count, digest });
        }
    }

    /// Notes from now on what kinds of things are sent.
    pub(crate) fn begin_shapes(&mut self) {
        self.shapes = Some(Vec::new());
    }

    /// What kinds of things were sent when, by whom and to whom.
    pub(crate) fn shapes(&self) -> &[(Moment, String)] {
        self.shapes.as_deref().unwrap_or_default()
    }

    /// A hash of everything sent, by whom and when.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// What was noted on the way, and at the end.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let last = Check { count: self.count, digest: self.digest };
        let noted = self.checks.iter().copied().filter(|check| check.count != last.count);
        noted.chain([last]).collect()
    }

    /// Looks at these things when they are sent; the first is number 0.
    pub(crate) fn watch(&mut self, watched: Range<u64>) {
        self.watched = watched;
    }

    /// The things that were looked at.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }
}

fn shape(now: Moment, host: HostId, transmit: &Transmit) -> String {
    let what = match transmit {
        Transmit::Datagram { to, bytes } => format!("{:?} to {to}", kinds::of(bytes, false)),
        Transmit::Multicast { bytes } => format!("{:?} to the group", kinds::of(bytes, false)),
        Transmit::Open { stream, to } => format!("{stream:?} to {to}"),
        Transmit::Write { stream, bytes } => format!("{:?} in {stream:?}", kinds::of(bytes, true)),
        Transmit::Close { stream } => format!("the end of {stream:?}"),
    };
    format!("{host} at {now} sends {what}")
}

fn describe(now: Moment, host: HostId, transmit: &Transmit, digest: u64) -> String {
    let what = match transmit {
        Transmit::Datagram { to, bytes } => format!("{} bytes in a datagram to {to}", bytes.len()),
        Transmit::Multicast { bytes } => format!("{} bytes to the group", bytes.len()),
        Transmit::Open { stream, to } => format!("a request for {stream:?} to {to}"),
        Transmit::Write { stream, bytes } => format!("{} bytes in {stream:?}", bytes.len()),
        Transmit::Close { stream } => format!("the end of {stream:?}"),
    };
    format!("{what}, by {host} at {now} (hash {digest:016x})")
}
