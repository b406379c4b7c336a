//! What a feed frame carries: items, each behind its kind and its length, so that an unknown kind can be skipped.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    blob::Blob,
    delta::DeltaReader,
    listing::{Fixed, Listing, read_sums},
    message::{CLOCK_MAX, read},
};
use crate::{
    digest::Sums,
    io::FrameError,
    key::SessionKey,
    map::Brought,
    member::MemberId,
    quorum::{Announced, NAMED_MAX, places},
    stamp::Stamp,
};

/// One thing that a member tells another. Sent until acknowledged, in order.
pub(crate) enum Item<'a> {
    /// Changes of a session.
    Delta(DeltaReader<'a>),
    /// The sender holds nothing of a session.
    Missing(SessionKey),
    /// A session was used and has this long to live.
    Use(SessionKey, Duration),
    /// The owner is about to expire a session: when was it used there?
    Ask(SessionKey),
    /// It lives on for that long by all that is known there; `None` if its time is over there too.
    Answer(SessionKey, Option<Duration>),
    /// The owner of a session is gone, or a dead member wrote to it, and the receiver is to see to it.
    Offer(SessionKey, Held),
    /// All offers for the sessions of these dead have been made; `true` asks for the same word of the receiver.
    Offered(Vec<MemberId>, bool),
    /// Asks for the whole session.
    Pull(SessionKey),
    /// A joiner asks for word when it has got everything.
    Round(u64),
    /// It has got everything; who the sender sees, and whose sessions it has settled.
    Done(u64, Vec<MemberId>, Vec<MemberId>),
    /// Asks for a copy to look at, or to take over.
    Fetch(SessionKey),
    /// The copy that was asked for.
    Found(DeltaReader<'a>),
    /// The receiver may drop its copy, if this is still its digest.
    Release(SessionKey, u64),
    /// An entry of the shared map.
    Entry(Brought<'a>),
    /// What the sender's shared map is, in short: who has another one sends all of it, and if `true` answers with the same.
    Map(u64, bool),
    /// The sender is leaving: others take its place.
    Leaving,
    /// The last agreed view and what the sender has announced since.
    Views(Vec<Announced>),
    /// The sender's view in short, and all that it owns and the receiver must hold.
    Digest(u64, u64),
    /// The sender's view, and the sums of all that the receiver owns and the sender must hold.
    Sums(u64, Sums),
    /// What the sender owns and the receiver must hold of a bucket over which they differ.
    Listing(Listing),
}

/// The kinds of items on the wire. New ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ItemKind {
    Delta = 1,
    Missing = 2,
    Use = 3,
    Ask = 4,
    Answer = 5,
    Offer = 6,
    Offered = 7,
    Pull = 8,
    Round = 9,
    Done = 10,
    Fetch = 11,
    Found = 12,
    Release = 13,
    Entry = 14,
    Map = 15,
    Leaving = 16,
    Views = 17,
    Digest = 18,
    Sums = 19,
    Listing = 20,
}

#[derive(Serialize, Deserialize)]
struct Millis {
    key: SessionKey,
    millis: Option<u64>,
}

/// What a member holds of a session, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    #[serde(with = "postcard::fixint::le")]
    pub(crate) digest: u64,
    /// The epoch.
    pub(crate) counter: u32,
    pub(crate) owner: MemberId,
}

#[derive(Serialize, Deserialize)]
struct Release {
    key: SessionKey,
    #[serde(with = "postcard::fixint::le")]
    digest: u64,
}

#[derive(Serialize, Deserialize)]
struct EntryForm<'a> {
    #[serde(borrow)]
    name: Blob<'a>,
    clock: u64,
    #[serde(with = "postcard::fixint::le")]
    writer: u64,
    value: Option<Blob<'a>>,
    /// Of a removal: how long it is remembered yet.
    remaining_millis: Option<u64>,
}

impl<'a> EntryForm<'a> {
    fn new(entry: &Brought<'a>) -> Self {
        Self {
            name: Blob(entry.name),
            clock: entry.stamp.clock,
            writer: entry.stamp.writer.0,
            value: entry.value.map(Blob),
            remaining_millis: entry.value.is_none().then(|| millis(entry.remaining)),
        }
    }

    fn read(self, clock: u64) -> Result<Brought<'a>, FrameError> {
        let Self { name, value, remaining_millis, .. } = self;
        if clock.min(CLOCK_MAX) < self.clock || value.is_some() == remaining_millis.is_some() {
            return Err(FrameError::Body);
        }
        let stamp = Stamp { clock: self.clock, writer: MemberId(self.writer) };
        let remaining = Duration::from_millis(remaining_millis.unwrap_or_default());
        Ok(Brought { name: name.0, stamp, value: value.map(|value| value.0), remaining })
    }
}

/// Where the value of an entry is, if it has one; `None` if the entry cannot be read.
pub(super) fn value_in_entry(item: &[u8]) -> Option<Vec<core::ops::Range<usize>>> {
    let entry: EntryForm<'_> = read(item).ok()?;
    // Behind a value there is nothing but that no time is told: one byte.
    let end = item.len().checked_sub(1).filter(|_| entry.value.is_none() || entry.remaining_millis.is_none())?;
    Some(entry.value.map(|Blob(value)| end - value.len()..end).into_iter().collect())
}

#[derive(Serialize, Deserialize)]
struct MapForm {
    #[serde(with = "postcard::fixint::le")]
    digest: u64,
    asks: bool,
}

#[derive(Serialize, Deserialize)]
struct Done {
    round: u64,
    view: Vec<MemberId>,
    settled: Vec<MemberId>,
}

/// Appends items to the body of a frame.
pub(crate) struct ItemWriter<'a>(pub(crate) &'a mut Vec<u8>);

/// Kind and length in front of an item.
pub(crate) const ITEM_ROOM: usize = 1 + 4;

/// The longest item of a fixed length: an offer.
pub(crate) const NOTE_ROOM: usize = ITEM_ROOM + 16 + 8 + 5 + ID_ROOM;

/// One member in a list of them.
pub(crate) const ID_ROOM: usize = 10;

/// A list of members, but for these: a round, and the lengths of two.
pub(crate) const LIST_ROOM: usize = ITEM_ROOM + 10 + 2 * 5 + 1;

/// An entry of the shared map, but for its name and value.
pub(crate) const ENTRY_ROOM: usize = ITEM_ROOM + 2 * 5 + 10 + 8 + 2 + 10;

impl ItemWriter<'_> {
    pub(crate) fn missing(&mut self, key: SessionKey) {
        self.put(ItemKind::Missing, &key);
    }

    pub(crate) fn use_of(&mut self, key: SessionKey, remaining: Duration) {
        self.put(ItemKind::Use, &Millis { key, millis: Some(millis(remaining)) });
    }

    pub(crate) fn ask(&mut self, key: SessionKey) {
        self.put(ItemKind::Ask, &key);
    }

    pub(crate) fn answer(&mut self, key: SessionKey, remaining: Option<Duration>) {
        self.put(ItemKind::Answer, &Millis { key, millis: remaining.map(millis) });
    }

    pub(crate) fn offer(&mut self, key: SessionKey, held: Held) {
        self.put(ItemKind::Offer, &(key, held));
    }

    pub(crate) fn offered(&mut self, dead: Vec<MemberId>, asks: bool) {
        self.put(ItemKind::Offered, &(dead, asks));
    }

    pub(crate) fn pull(&mut self, key: SessionKey) {
        self.put(ItemKind::Pull, &key);
    }

    pub(crate) fn round(&mut self, round: u64) {
        self.put(ItemKind::Round, &round);
    }

    pub(crate) fn done(&mut self, round: u64, view: Vec<MemberId>, settled: Vec<MemberId>) {
        self.put(ItemKind::Done, &Done { round, view, settled });
    }

    pub(crate) fn fetch(&mut self, key: SessionKey) {
        self.put(ItemKind::Fetch, &key);
    }

    pub(crate) fn release(&mut self, key: SessionKey, digest: u64) {
        self.put(ItemKind::Release, &Release { key, digest });
    }

    pub(crate) fn entry(&mut self, entry: &Brought<'_>) {
        self.put(ItemKind::Entry, &EntryForm::new(entry));
    }

    pub(crate) fn map(&mut self, digest: u64, asks: bool) {
        self.put(ItemKind::Map, &MapForm { digest, asks });
    }

    pub(crate) fn leaving(&mut self) {
        self.put(ItemKind::Leaving, &());
    }

    pub(crate) fn views(&mut self, views: &[Announced]) {
        self.put(ItemKind::Views, &views);
    }

    /// Appends an item whose body is written by `body`; if that fails, nothing is appended.
    pub(crate) fn write<T, E>(
        &mut self,
        kind: ItemKind,
        body: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let start = self.0.len();
        self.0.push(kind as u8);
        let from = self.0.len();
        let written = match body(self.0) {
            Ok(written) => written,
            Err(error) => {
                self.0.truncate(start);
                return Err(error);
            }
        };
        let length = self.0.len() - from;
        let mut prefix = [0; ITEM_ROOM];
        let length = u32::try_from(length).expect("an item is shorter than a frame");
        let prefix = postcard::to_slice(&length, &mut prefix).expect("a length has at most five bytes");
        let end = self.0.len();
        self.0.extend_from_slice(prefix);
        let added = prefix.len();
        self.0.copy_within(from..end, from + added);
        self.0[from..from + added].copy_from_slice(prefix);
        Ok(written)
    }

    pub(super) fn put(&mut self, kind: ItemKind, body: &impl Serialize) {
        let written: Result<(), core::convert::Infallible> = self.write(kind, |bytes| {
            let taken = core::mem::take(bytes);
            *bytes = postcard::to_extend(body, taken).expect("a vector takes all that is written");
            Ok(())
        });
        let Ok(()) = written;
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Reads the items of a frame; `None` for a kind that is not known.
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    clock: u64,
}

impl<'a> Items<'a> {
    pub(crate) fn new(body: &'a [u8], clock: u64) -> Self {
        Self { rest: body, clock }
    }

    fn read(&mut self) -> Result<Option<Item<'a>>, FrameError> {
        let (&kind, rest) = self.rest.split_first().ok_or(FrameError::Body)?;
        let (length, rest): (u32, _) = postcard::take_from_bytes(rest).map_err(|_| FrameError::Body)?;
        let length = usize::try_from(length).map_err(|_| FrameError::Body)?;
        let (body, rest) = rest.split_at_checked(length).ok_or(FrameError::Body)?;
        self.rest = rest;
        let Some(kind) = ItemKind::ALL.into_iter().find(|known| *known as u8 == kind) else { return Ok(None) };
        Ok(Some(match kind {
            ItemKind::Delta => Item::Delta(DeltaReader::read(body, self.clock)?),
            ItemKind::Missing => Item::Missing(read(body)?),
            ItemKind::Use => {
                let Millis { key, millis } = read(body)?;
                Item::Use(key, Duration::from_millis(millis.ok_or(FrameError::Body)?))
            }
            ItemKind::Ask => Item::Ask(read(body)?),
            ItemKind::Answer => {
                let Millis { key, millis } = read(body)?;
                Item::Answer(key, millis.map(Duration::from_millis))
            }
            ItemKind::Offer => {
                let (key, held) = read(body)?;
                Item::Offer(key, held)
            }
            ItemKind::Offered => {
                let (dead, asks) = read(body)?;
                Item::Offered(dead, asks)
            }
            ItemKind::Pull => Item::Pull(read(body)?),
            ItemKind::Round => Item::Round(read(body)?),
            ItemKind::Done => {
                let Done { round, view, settled } = read(body)?;
                Item::Done(round, view, settled)
            }
            ItemKind::Fetch => Item::Fetch(read(body)?),
            ItemKind::Found => Item::Found(DeltaReader::read(body, self.clock)?),
            ItemKind::Release => {
                let Release { key, digest } = read(body)?;
                Item::Release(key, digest)
            }
            ItemKind::Entry => Item::Entry(read::<EntryForm<'_>>(body)?.read(self.clock)?),
            ItemKind::Map => {
                let MapForm { digest, asks } = read(body)?;
                Item::Map(digest, asks)
            }
            ItemKind::Leaving => {
                let () = read(body)?;
                Item::Leaving
            }
            ItemKind::Views => {
                let views: Vec<Announced> = read(body)?;
                if NAMED_MAX < places(&views) {
                    return Err(FrameError::Body);
                }
                Item::Views(views)
            }
            ItemKind::Digest => {
                let (Fixed(view), Fixed(root)) = read(body)?;
                Item::Digest(view, root)
            }
            ItemKind::Sums => {
                let (view, sums) = read_sums(body)?;
                Item::Sums(view, sums)
            }
            ItemKind::Listing => Item::Listing(read::<Listing>(body)?.check()?),
        }))
    }
}

/// The items in this body, as far as their kinds are known, each with a body of its own; what they say is not read.
pub(super) fn items(body: &[u8]) -> impl Iterator<Item = (ItemKind, &[u8])> {
    let mut rest = body;
    let items = core::iter::from_fn(move || {
        let (&kind, behind) = rest.split_first()?;
        let (length, behind): (u32, _) = postcard::take_from_bytes(behind).ok()?;
        let (body, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
        rest = behind;
        Some((kind, body))
    });
    items.filter_map(|(kind, body)| Some((ItemKind::ALL.into_iter().find(|known| *known as u8 == kind)?, body)))
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Option<Item<'a>>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| {
            let item = self.read();
            if item.is_err() {
                self.rest = &[];
            }
            item
        })
    }
}
