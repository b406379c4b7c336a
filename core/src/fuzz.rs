//! A door to the wire for fuzzers. It is no part of the interface, and there only with the feature `fuzz`.
//!
//! Decoders are private, and from outside a fuzzer would spend its life on checksums. So here are: all decoders at once,
//! the round trip of whatever can be written, and a stranger whose frames are well formed and say whatever it likes.

mod made;

use alloc::{string::String, vec::Vec};
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use self::made::Maker;
use crate::{
    member::MemberId,
    session::Session,
    time::Time,
    wire::{
        Ack, Alive, Beat, BeatHead, ClusterTag, Declared, DeltaReader, DeltaWriter, FeedHead, FrameWriter, Hello,
        HelloHead, Item, ItemKind, ItemWriter, Items, Kind, Ping, Probe, Registers, Relay, Relayed, open, read,
        read_head, split,
    },
};

/// Where choices come from.
pub trait Choose {
    /// A number below `end`; zero once nothing is left to choose by, and if `end` is zero.
    fn below(&mut self, end: u64) -> u64;

    /// At most so many bytes.
    fn bytes(&mut self, most: usize) -> Vec<u8>;
}

/// Longer than what any target makes.
const ROOM: usize = 1 << 24;

/// Gives bytes to every decoder, as if the frames around them were right. What can be read is written again, and must
/// then be read as the same.
///
/// # Panics
///
/// It is not.
pub fn decode(bytes: &[u8], cluster: &str) {
    let cluster = ClusterTag::new(cluster);
    if let Ok(Some((frame, taken))) = split(bytes, 1 << 20) {
        assert!(taken <= bytes.len() && frame.len() < taken, "a frame lies within what has arrived");
    }
    for frame in [Some(bytes), bytes.get(4..)].into_iter().flatten() {
        if let Ok(frame) = open(frame, cluster) {
            stays(frame.body, |body| rewritten(frame.kind, body));
        }
    }
    for kind in Kind::ALL {
        stays(bytes, |body| rewritten(kind, body));
    }
    let _ = read_head::<BeatHead>(bytes);
    let _ = read_head::<HelloHead>(bytes);
    stays(bytes, |body| items(body, u64::MAX));
    let mut session = Session::default();
    if let Ok(delta) = DeltaReader::read(bytes, u64::MAX) {
        delta.merge_into(&mut session, Time::ZERO);
        assert!(!delta.merge_into(&mut session, Time::ZERO), "what is merged again changes nothing");
        let _ = (delta.knows(&session), delta.births(), delta.extent(), delta.is_bare());
    }
}

/// What a reader takes and writes again, it takes again, and writes the same.
fn stays(bytes: &[u8], rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    if let Some(written) = rewrite(bytes) {
        assert_eq!(rewrite(&written).as_ref(), Some(&written), "what was read can be told on");
    }
}

/// Reads the body of a frame and writes it again; `None` if it is not valid.
fn rewritten(kind: Kind, body: &[u8]) -> Option<Vec<u8>> {
    match kind {
        Kind::Beat => again::<Beat<'_>>(body),
        Kind::Probe => again::<Probe>(body),
        Kind::Alive => again::<Alive>(body),
        Kind::Relay => again::<Relay>(body),
        Kind::Relayed => again::<Relayed>(body),
        Kind::Declared => again::<Declared>(body),
        Kind::Bye => again::<MemberId>(body),
        Kind::Hello => again::<Hello<'_>>(body),
        Kind::Feed => {
            let (head, rest): (FeedHead, _) = read_head(body).ok()?;
            let mut written = postcard::to_extend(&head, Vec::new()).ok()?;
            written.extend(items(rest, head.clock)?);
            Some(written)
        }
        Kind::Ack => again::<Ack>(body),
        Kind::Ping | Kind::Pong => again::<Ping>(body),
        Kind::Message | Kind::Next => Some(body.to_vec()),
    }
}

fn again<'a, T: Deserialize<'a> + Serialize>(body: &'a [u8]) -> Option<Vec<u8>> {
    postcard::to_extend(&read::<T>(body).ok()?, Vec::new()).ok()
}

/// Reads items and writes them again; those of unknown kinds are left out. `None` if one is not valid.
fn items(bytes: &[u8], clock: u64) -> Option<Vec<u8>> {
    let mut written = Vec::new();
    let mut copy = Session::default();
    for item in Items::new(bytes, clock) {
        let mut to = ItemWriter(&mut written);
        match item.ok()? {
            None => {}
            Some(Item::Delta(delta)) => copy = rewrite_delta(&mut to, ItemKind::Delta, &delta, copy),
            Some(Item::Found(delta)) => copy = rewrite_delta(&mut to, ItemKind::Found, &delta, copy),
            Some(Item::Missing(key)) => to.missing(key),
            Some(Item::Use(key, remaining)) => to.use_of(key, remaining),
            Some(Item::Ask(key)) => to.ask(key),
            Some(Item::Answer(key, remaining)) => to.answer(key, remaining),
            Some(Item::Offer(key, held)) => to.offer(key, held),
            Some(Item::Offered(dead, asks)) => to.offered(dead, asks),
            Some(Item::Pull(key)) => to.pull(key),
            Some(Item::Round(round)) => to.round(round),
            Some(Item::Done(round, view, settled)) => to.done(round, view, settled),
            Some(Item::Fetch(key)) => to.fetch(key),
            Some(Item::Release(key, digest)) => to.release(key, digest),
            Some(Item::Entry(entry)) => to.entry(&entry),
            Some(Item::Map(digest, asks)) => to.map(digest, asks),
            Some(Item::Leaving) => to.leaving(),
            Some(Item::Views(views)) => to.views(&views),
            Some(Item::Digest(view, root)) => to.digest(view, root),
            Some(Item::Sums(view, sums)) => to.sums(view, sums.numbers()),
            Some(Item::Listing(listing)) => to.listing(&listing),
        }
    }
    Some(written)
}

/// Writes the session that a delta brings, after its last part; gives what it is until then.
fn rewrite_delta(to: &mut ItemWriter<'_>, kind: ItemKind, delta: &DeltaReader<'_>, mut copy: Session) -> Session {
    delta.merge_into(&mut copy, Time::ZERO);
    if delta.more() {
        return copy;
    }
    let mut skip = 0;
    loop {
        let registers = Registers { skip, ..Registers::default() };
        let (remaining, now) = (delta.remaining(), Time::ZERO);
        let writer = DeltaWriter { key: delta.key(), session: &copy, registers, remaining, now };
        let rest = to.write(kind, |bytes| writer.write(bytes, ROOM, ROOM)).expect("there is room");
        match rest {
            Some(next) => skip = next,
            None => return Session::default(),
        }
    }
}

/// Makes a message of any kind, writes it, and reads it again.
///
/// # Panics
///
/// It is not read as it was written.
pub fn round_trip(choices: &mut dyn Choose) {
    let cluster = ClusterTag::new("heirloom");
    let kind = Kind::ALL[made::index(choices, Kind::ALL.len())];
    let body = Maker { choices, tame: true }.body(kind, 1);
    let mut writer = FrameWriter::new(cluster);
    writer.frame_of_bytes(kind, &body);
    let bytes = writer.into_bytes();
    let (frame, taken) = split(&bytes, ROOM).expect("it is short enough").expect("it is whole");
    assert_eq!(taken, bytes.len());
    let opened = open(frame, cluster).expect("it is whole");
    assert_eq!((opened.kind, opened.body), (kind, &body[..]));
    assert_eq!(rewritten(kind, opened.body).as_deref(), Some(&body[..]), "{kind:?} is read as it was written");
    let cut = made::index(choices, bytes.len());
    assert_eq!(split(&bytes[..cut], ROOM), Ok(None), "a part of a frame is no frame");
}

/// Somebody whose frames are well formed and say whatever it likes.
#[derive(Clone, Debug)]
pub struct Stranger {
    /// Who it says that it is.
    pub id: MemberId,
    /// Where it says that it is.
    pub address: SocketAddr,
    cluster_name: String,
}

impl Stranger {
    /// A stranger to the cluster of this name.
    pub fn new(id: MemberId, address: SocketAddr, cluster_name: &str) -> Self {
        Self { id, address, cluster_name: cluster_name.into() }
    }

    /// A datagram.
    pub fn datagram(&self, choices: &mut dyn Choose) -> Vec<u8> {
        let datagrams = [Kind::Probe, Kind::Alive, Kind::Relay, Kind::Relayed, Kind::Declared, Kind::Bye];
        let kinds = [[Kind::Beat; 4].as_slice(), &datagrams].concat();
        let kind = kinds[made::index(choices, kinds.len())];
        // A beat is mostly its own, or it would never be listed.
        let body = if kind == Kind::Beat && choices.below(8) != 0 {
            made::written(&Maker { choices, tame: false }.beat_of(self))
        } else {
            Maker { choices, tame: false }.body(kind, 1)
        };
        self.sealed(kind, &body).split_off(4)
    }

    /// What it says first on a stream.
    pub fn hello(&self, choices: &mut dyn Choose) -> Vec<u8> {
        let body = made::written(&Maker { choices, tame: false }.hello_of(self));
        self.sealed(Kind::Hello, &body)
    }

    /// A later frame of a stream; `number` is that of the next feed frame, and counted up if it is one.
    pub fn frame(&self, number: &mut u64, choices: &mut dyn Choose) -> Vec<u8> {
        let rare = [Kind::Ack, Kind::Ping, Kind::Pong, Kind::Message, Kind::Bye, Kind::Hello, Kind::Next];
        let kind = match made::index(choices, rare.len() * 3) {
            at if at < rare.len() => rare[at],
            _ => Kind::Feed,
        };
        let body = match choices.below(32) {
            31 => choices.bytes(64),
            _ => Maker { choices, tame: false }.body(kind, *number),
        };
        if kind == Kind::Feed {
            *number += 1;
        }
        self.sealed(kind, &body)
    }

    /// A frame of a stream with any kind and body, whose checksum is right.
    fn sealed(&self, kind: Kind, body: &[u8]) -> Vec<u8> {
        let mut writer = FrameWriter::new(ClusterTag::new(&self.cluster_name));
        writer.frame_of_bytes(kind, body);
        writer.into_bytes()
    }
}
