//! Writes a record while the node runs.

use core::fmt;
use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
};

use heirloom_core::{Config, MemberId, Time, Transmit};

use crate::{
    bytes_of_streams::Streams,
    form::{BLOCK_HEAD, Ending, Entry, Header, Input, MAGIC, Output, VERSION, check, time},
    hide::Hider,
};

/// What is recorded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file. It is replaced.
    pub path: PathBuf,
    /// How long it gets at most.
    pub bytes_max: u64,
    /// Values stand in it as they are.
    pub values: bool,
}

/// What a recorder does at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    Off,
    /// It records; the file has so many bytes.
    On(u64),
    /// The file is as long as it may get.
    Full(u64),
    /// The file could not be written.
    Failed(u64),
}

/// Writes what comes to a node and what comes out of it. A turn of the driver is a block, so what was written when a
/// process dies is whole.
pub struct Recorder {
    file: File,
    block: Vec<u8>,
    bytes_max: u64,
    state: State,
    /// When the last thing happened.
    last: i64,
    hider: Option<Hider>,
    streams: Streams,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins a record of a node that starts from this; `key` hides values and is to be random.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn start(
        recording: &Recording,
        (id, address): (MemberId, core::net::SocketAddr),
        (config, seed, now): (&Config, u64, Time),
        key: [u8; 32],
    ) -> io::Result<Self> {
        let mut file = File::create(&recording.path)?;
        let config = serde_json::to_string(config).map_err(io::Error::other)?;
        let (build, has_values) = (env!("CARGO_PKG_VERSION").into(), recording.values);
        let header = Header { build, id: id.0, address, config, seed, now: now.as_nanos(), has_values };
        let line = format!("{MAGIC}{VERSION}\n");
        file.write_all(line.as_bytes())?;
        let written = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let mut recorder = Self {
            file,
            block: postcard::to_allocvec(&header).map_err(io::Error::other)?,
            bytes_max: recording.bytes_max,
            state: State::On(written),
            last: time(now),
            hider: (!recording.values).then(|| Hider::new(key)),
            streams: Streams::default(),
        };
        // Whatever the limit is, what the node starts from is said.
        let length = u64::try_from(recorder.block.len() + BLOCK_HEAD).unwrap_or(u64::MAX);
        recorder.state = State::On(written + length);
        if recorder.write() { Ok(recorder) } else { Err(io::Error::other("it takes no more")) }
    }

    /// What it does at present.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Something happened.
    pub fn note(&mut self, now: Option<Time>, input: Input) {
        let State::On(_) = self.state else { return };
        let at = now.map_or(self.last, time);
        let entry = Entry { after: at - self.last, input };
        self.last = at;
        let block = core::mem::take(&mut self.block);
        self.block = postcard::to_extend(&entry, block).expect("memory takes what is written to it");
    }

    /// Bytes came by a stream.
    pub fn note_bytes(&mut self, now: Time, stream: u64, bytes: &[u8]) {
        let State::On(_) = self.state else { return };
        self.note(Some(now), Input::Bytes(stream, u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        let contents = match &self.hider {
            Some(hider) => self.streams.take(stream, bytes, hider),
            None => bytes.to_vec(),
        };
        self.note_contents(stream, contents);
    }

    /// Nothing more comes by a stream.
    pub fn end_stream(&mut self, stream: u64) {
        let rest = self.hider.as_ref().map(|hider| self.streams.end(stream, hider));
        self.note_contents(stream, rest.unwrap_or_default());
    }

    /// The driver was told what to send.
    pub fn note_sends(&mut self, now: Time, sends: Option<&Transmit>) {
        let State::On(_) = self.state else { return };
        let hide = |bytes: &[u8]| self.hider.as_ref().map_or_else(|| bytes.to_vec(), |hider| hider.frames(bytes));
        let output = sends.map(|transmit| Output::of(transmit, hide));
        self.note(Some(now), Input::Sends(output));
        if let Some(Transmit::Close { stream }) = sends {
            self.end_stream(stream.0);
        }
        // Between the turns of a driver a node has nothing more to send.
        if sends.is_none() {
            self.end_turn();
        }
    }

    /// A value as it stands in the record.
    pub fn hide(&self, value: &mut [u8]) {
        if let Some(hider) = &self.hider {
            hider.value(value);
        }
    }

    /// Writes what has been noted.
    pub fn end_turn(&mut self) {
        let State::On(written) = self.state else { return };
        if self.block.is_empty() {
            return;
        }
        let length = u64::try_from(self.block.len() + BLOCK_HEAD).unwrap_or(u64::MAX);
        if self.bytes_max < written.saturating_add(length) {
            self.block.clear();
            self.note(None, Input::End(Ending::Full));
            self.write();
            self.state = State::Full(written);
            return;
        }
        self.state = State::On(written + length);
        if !self.write() {
            self.state = State::Failed(written);
        }
    }

    fn note_contents(&mut self, stream: u64, contents: Vec<u8>) {
        if !contents.is_empty() {
            self.note(None, Input::Contents(stream, contents));
        }
    }

    fn write(&mut self) -> bool {
        let block = core::mem::take(&mut self.block);
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX).to_le_bytes();
        let parts = [&length[..], &check(&block), &block].concat();
        self.file.write_all(&parts).is_ok()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for stream in self.streams.open() {
            self.end_stream(stream);
        }
        self.note(None, Input::End(Ending::Over));
        self.end_turn();
    }
}
