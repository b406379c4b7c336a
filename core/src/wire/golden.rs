//! Golden files: the bytes of every kind of message, pinned in `tests/golden`.
//!
//! `HEIRLOOM_BLESS=1 cargo test -p heirloom-core golden` writes them anew, for a new version of the protocol.

use alloc::{string::String, vec::Vec};
use core::{fmt::Write as _, net::SocketAddr, time::Duration};
use std::{fs, path::PathBuf};

use super::{
    Ack, Alive, Beat, Blob, ClusterTag, Declared, DeltaWriter, FeedHead, FrameWriter, Held, Hello, Item, ItemKind,
    ItemWriter, Items, Kind, Listing, Ping, Probe, Registers, Relay, Relayed, open, read, read_head, split,
};
use crate::{
    copies::Copies,
    digest::{self, BUCKETS},
    key::SessionKey,
    life::{End, EndCause, Expired, Life},
    map::Brought,
    member::{MemberId, MemberState},
    protocol::{FIRST, Versions},
    quorum::Announced,
    session::{Change, Content, Incoming, Lifetime, LifetimeRegister, Link, Session},
    stamp::Stamp,
    time::Time,
};

const FROM: MemberId = MemberId(0x0123_4567_89ab_cdef);
const TO: MemberId = MemberId(0xfedc_ba98_7654_3210);
const KEY: SessionKey = SessionKey(*b"a session's key.");
const CLOCK: u64 = 1_795_000_000_000_000 << 10;

fn beat() -> Beat<'static> {
    let address: SocketAddr = "192.0.2.1:4000".parse().expect("an address");
    Beat {
        versions: Versions { first: 1, last: 3 },
        from: FROM,
        incarnation: 1,
        sequence: 300,
        state: MemberState::Ready,
        clock: CLOCK,
        age_millis: 86_400_000,
        address,
        name: "a",
        weight: 300,
        host: "b",
        zone: "c",
        domain: "d",
        others: ["192.0.2.2:4000", "[2001:db8::2]:4001"].map(|other| other.parse().expect("an address")).into(),
        direct: true,
        payload: Blob(b"payload"),
    }
}

pub(super) fn session() -> Session {
    let birth = Stamp { clock: CLOCK - 1000, writer: FROM };
    let stamp = Stamp { clock: CLOCK - 10, writer: TO };
    let mut session = Session::default();
    session.merge_floor(End { at: Stamp { clock: CLOCK - 2000, writer: TO }, cause: EndCause::Replaced });
    session.merge_life(Life { birth, counter: 2, owner: TO, expired: Expired { counter: 1, by_age: true } });
    session.bury(&[Stamp { clock: CLOCK - 1800, writer: TO }], EndCause::Idle);
    let [moved, at] = [CLOCK - 1500, CLOCK - 1200].map(|clock| Stamp { clock, writer: FROM });
    session.add_link(Link { at, to: Some(SessionKey(*b"another's key...")), births: [moved].into() });
    let lifetime = Lifetime::Idle(Duration::from_secs(1800));
    let until = Some(Time::ZERO + Duration::from_secs(7200));
    session.merge_lifetime(LifetimeRegister { birth, stamp: birth, lifetime, until, changed: Change(1) });
    let values: [(&[u8], Option<Content<'_>>); 2] = [(b"user", Some(Content::Slice(b"alice"))), (b"guest", None)];
    for (name, value) in values {
        session.merge_attribute(Incoming { name: Content::Slice(name), birth, stamp, value, changed: Change(2) });
    }
    session
}

fn frame(kind: Kind) -> Vec<u8> {
    let mut writer = FrameWriter::new(ClusterTag::new("heirloom"));
    match kind {
        Kind::Beat => return writer.datagram(kind, &beat()),
        Kind::Probe => return writer.datagram(kind, &Probe { from: FROM, to: TO, nonce: 7 }),
        Kind::Alive => return writer.datagram(kind, &Alive { from: TO, to: FROM, nonce: 7 }),
        Kind::Declared => return writer.datagram(kind, &Declared { from: FROM, to: TO, incarnation: 3 }),
        Kind::Bye => return writer.datagram(kind, &FROM),
        Kind::Relay => return writer.datagram(kind, &Relay { from: FROM, suspect: TO, nonce: 7 }),
        Kind::Relayed => {
            let suspect = MemberId(0x1122_3344_5566_7788);
            return writer.datagram(kind, &Relayed { from: FROM, to: TO, suspect, nonce: 7 });
        }
        Kind::Hello => {
            let copies = Copies::Backups(2).code();
            writer.frame(kind, &Hello { fresh: true, copies, beat: beat() });
        }
        Kind::Feed => {
            let start = writer.start(kind);
            writer.put(&FeedHead { number: 1, clock: CLOCK });
            ItemWriter(writer.bytes()).pull(KEY);
            writer.finish(start);
        }
        Kind::Ack => writer.frame(kind, &Ack { number: 300, clock: CLOCK }),
        Kind::Ping | Kind::Pong => writer.frame(kind, &Ping { nonce: 7 }),
        Kind::Next => unreachable!("it is of the next version"),
        Kind::Message => writer.frame_of_bytes(kind, b"a message"),
    }
    writer.into_bytes()
}

fn item(kind: ItemKind) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut items = ItemWriter(&mut bytes);
    match kind {
        ItemKind::Delta | ItemKind::Found => {
            let (session, remaining) = (session(), Some(Duration::from_secs(1799)));
            let registers = Registers::default();
            let delta = DeltaWriter { key: KEY, session: &session, registers, remaining, now: Time::ZERO };
            let rest = items.write(kind, |bytes| delta.write(bytes, 1 << 16, 1 << 20)).expect("there is room");
            assert_eq!(rest, None);
        }
        ItemKind::Missing => items.missing(KEY),
        ItemKind::Use => items.use_of(KEY, Duration::from_secs(1800)),
        ItemKind::Ask => items.ask(KEY),
        ItemKind::Answer => items.answer(KEY, Some(Duration::from_secs(60))),
        ItemKind::Offer => items.offer(KEY, Held { digest: 0x1122_3344_5566_7788, counter: 3, owner: TO }),
        ItemKind::Offered => items.offered([FROM, TO].into(), true),
        ItemKind::Pull => items.pull(KEY),
        ItemKind::Round => items.round(2),
        ItemKind::Done => items.done(2, [FROM].into(), [TO].into()),
        ItemKind::Fetch => items.fetch(KEY),
        ItemKind::Release => items.release(KEY, 0x1122_3344_5566_7788),
        ItemKind::Entry => {
            let stamp = Stamp { clock: CLOCK - 10, writer: TO };
            let remaining = Duration::from_secs(1800);
            items.entry(&Brought { name: b"name", stamp, value: Some(b"value"), remaining });
            items.entry(&Brought { name: b"removed", stamp, value: None, remaining });
        }
        ItemKind::Map => items.map(0x1122_3344_5566_7788, true),
        ItemKind::Leaving => items.leaving(),
        ItemKind::Views => items
            .views(&[Announced { number: 300, view: [FROM, TO].into() }, Announced { number: 301, view: [TO].into() }]),
        ItemKind::Digest => items.digest(0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00),
        ItemKind::Sums => {
            let mut numbers = [0; BUCKETS];
            (numbers[1], numbers[255]) = (0x1122_3344_5566_7788, 3);
            items.sums(0x99aa_bbcc_ddee_ff00, &numbers);
        }
        ItemKind::Listing => items.listing(&Listing {
            view: 0x99aa_bbcc_ddee_ff00,
            ours: 0x1122_3344_5566_7788,
            theirs: 1,
            from: digest::first(KEY.0[0]),
            until: Some(digest::last(KEY.0[0])),
            listed: [(KEY, 2)].into(),
        }),
    }
    bytes
}

fn check(name: &str, bytes: &[u8]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let path = folder.join(alloc::format!("v{FIRST}-{}.hex", name.to_lowercase()));
    let mut text = String::new();
    for row in bytes.chunks(32) {
        row.iter().for_each(|byte| write!(text, "{byte:02x}").expect("a string takes all"));
        text.push('\n');
    }
    if std::env::var_os("HEIRLOOM_BLESS").is_some() {
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(&path, &text).expect("the file can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} has no golden file {}", path.display()));
    assert_eq!(golden, text, "the bytes of {name} have changed");
}

#[test]
fn every_kind_of_frame_has_its_golden_bytes() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Next) {
        check(&alloc::format!("frame-{kind:?}"), &frame(kind));
    }
}

#[test]
fn every_kind_of_item_has_its_golden_bytes() {
    for kind in ItemKind::ALL {
        check(&alloc::format!("item-{kind:?}"), &item(kind));
    }
}

#[test]
fn what_is_written_is_read_again() {
    let cluster = ClusterTag::new("heirloom");
    let bytes = frame(Kind::Beat);
    let opened = open(&bytes, cluster).expect("it is whole");
    assert_eq!(read::<Beat<'_>>(opened.body), Ok(beat()));
    let bytes = frame(Kind::Feed);
    let (inner, taken) = split(&bytes, 1 << 20).expect("it is short enough").expect("it is whole");
    assert_eq!(taken, bytes.len());
    let opened = open(inner, cluster).expect("it is whole");
    let (head, items): (FeedHead, _) = read_head(opened.body).expect("it has a head");
    assert_eq!(head.number, 1);
    assert!(matches!(Items::new(items, head.clock).next(), Some(Ok(Some(Item::Pull(KEY))))));
}

#[test]
fn a_delta_brings_a_session_over_whole() {
    let bytes = item(ItemKind::Delta);
    let mut items = Items::new(&bytes, CLOCK);
    let Some(Ok(Some(Item::Delta(delta)))) = items.next() else { panic!("it is a delta") };
    let mut copy = Session::default();
    assert!(delta.merge_into(&mut copy, Time::ZERO));
    assert_eq!((&copy, copy.age_until()), (&session(), session().age_until()));
    assert_eq!((delta.key(), delta.more(), delta.is_whole(), delta.digest()), (KEY, false, true, None));
}

#[test]
fn a_stamp_above_the_frame_s_clock_is_refused() {
    let bytes = item(ItemKind::Delta);
    assert!(matches!(Items::new(&bytes, CLOCK - 11).next(), Some(Err(_))));
}

#[test]
fn an_unknown_kind_of_item_is_skipped() {
    let mut bytes = [200, 3, 1, 2, 3].to_vec();
    ItemWriter(&mut bytes).pull(KEY);
    let mut items = Items::new(&bytes, CLOCK);
    assert!(matches!(items.next(), Some(Ok(None))));
    assert!(matches!(items.next(), Some(Ok(Some(Item::Pull(KEY))))));
    assert!(items.next().is_none());
}
