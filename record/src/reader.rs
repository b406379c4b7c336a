//! Reads a record, block by block, and tells where it is cut off or damaged.

use crate::form::{BLOCK_HEAD, BLOCK_MAX, BadRecord, Ending, Entry, Header, Input, MAGIC, VERSION, check};

/// Whether bytes begin as a record does.
pub fn is_record(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC.as_bytes())
}

/// Reads a record.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The entries of the block that is being read, and where it begins.
    block: (&'a [u8], usize),
    /// What it starts from.
    pub header: Header,
}

impl<'a> Reader<'a> {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// It is no record, or one that is not read here.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BadRecord> {
        let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or(BadRecord::NoRecord)?;
        let line = rest.iter().position(|byte| *byte == b'\n').filter(|end| *end < 20).ok_or(BadRecord::NoRecord)?;
        let version = String::from_utf8_lossy(&rest[..line]);
        if version != VERSION.to_string() {
            return Err(BadRecord::Version(version.into_owned()));
        }
        let mut at = MAGIC.len() + line + 1;
        let start = at;
        let Ok(block) = next_block(bytes, &mut at)? else { return Err(BadRecord::Senseless(place(start))) };
        let header = postcard::from_bytes(block).map_err(|_| BadRecord::Senseless(place(start)))?;
        Ok(Self { bytes, at, block: (&[], at), header })
    }

    /// The next thing that happened, or how the record ends.
    ///
    /// # Errors
    ///
    /// What is wrong with the file from here on.
    pub fn next_entry(&mut self) -> Result<Result<Entry, Ending>, BadRecord> {
        while self.block.0.is_empty() {
            let start = self.at;
            match next_block(self.bytes, &mut self.at)? {
                Ok(block) => self.block = (block, start),
                Err(ending) => return Ok(Err(ending)),
            }
        }
        let (block, start) = self.block;
        let (entry, rest): (Entry, _) =
            postcard::take_from_bytes(block).map_err(|_| BadRecord::Senseless(place(start)))?;
        self.block.0 = rest;
        Ok(if let Input::End(ending) = entry.input { Err(ending) } else { Ok(entry) })
    }
}

fn next_block<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Result<&'a [u8], Ending>, BadRecord> {
    let rest = &bytes[*at..];
    if rest.is_empty() {
        return Ok(Err(Ending::Died));
    }
    let cut = Ok(Err(Ending::Cut(place(bytes.len()))));
    let Some((head, rest)) = rest.split_first_chunk::<BLOCK_HEAD>() else { return cut };
    let [a, b, c, d, checked @ ..] = *head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let damaged = |length: usize| BadRecord::Damaged { at: place(*at), length: place(length) };
    if BLOCK_MAX < length {
        return Err(damaged(BLOCK_HEAD));
    }
    let Some(block) = rest.get(..length) else { return cut };
    if check(block) != checked {
        return Err(damaged(BLOCK_HEAD + length));
    }
    *at += BLOCK_HEAD + length;
    Ok(Ok(block))
}

fn place(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}
