//! Properties of the codec: what is written is read again, and no bytes do harm.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::{ClusterTag, DeltaReader, DeltaWriter, FrameWriter, Kind, Registers, open};
use crate::{
    io::FrameError,
    key::SessionKey,
    life::{End, EndCause, Expired, Life},
    member::MemberId,
    session::{Change, Content, Incoming, Link, Session},
    stamp::Stamp,
    time::Time,
};

const KEY: SessionKey = SessionKey([9; 16]);

fn sessions() -> impl Strategy<Value = Session> {
    let attribute = (prop::collection::vec(any::<u8>(), 0..20), 0..9_u64, prop::option::of(0..2000_usize));
    let links = prop::collection::vec((0..50_u64, any::<bool>(), 1..4_u64), 0..20);
    (1000..1_u64 << 60, prop::collection::vec(attribute, 0..40), links).prop_map(|(clock, attributes, links)| {
        let birth = Stamp { clock, writer: MemberId(u64::MAX) };
        let mut session = Session::default();
        session.merge_life(Life { birth, counter: 1, owner: MemberId(3), expired: Expired::NEVER });
        for (at, away, births) in links {
            let at = Stamp { clock: clock - at, writer: MemberId(at) };
            let births = (1..=births).rev().map(|birth| Stamp { clock: clock - 50 - birth, writer: MemberId(birth) });
            session.add_link(Link { at, to: away.then_some(SessionKey([8; 16])), births: births.collect() });
            session.end(End { at: Stamp { clock: clock - 52, writer: MemberId(0) }, cause: EndCause::Ended });
        }
        for (name, writer, value) in attributes {
            let stamp = Stamp { clock: clock + writer, writer: MemberId(writer) };
            let value = value.map(|length| alloc::vec![7; length]);
            let value = value.as_deref().map(Content::Slice);
            let name = Content::Slice(&name);
            session.merge_attribute(Incoming { name, birth, stamp, value, changed: Change(1) });
        }
        session
    })
}

proptest! {
    #[test]
    fn a_session_in_parts_comes_over_whole(session in sessions(), target in 0..5000_usize) {
        let (mut skip, mut copy, mut parts) = (0, Session::default(), 0);
        loop {
            let registers = Registers { skip, ..Registers::default() };
            let delta = DeltaWriter { key: KEY, session: &session, registers, remaining: Some(Duration::ZERO), now: Time::ZERO };
            let mut bytes = Vec::new();
            let rest = delta.write(&mut bytes, target, 1 << 20).expect("there is room for one register");
            let read = DeltaReader::read(&bytes, u64::MAX >> 1).expect("it is valid");
            read.merge_into(&mut copy, Time::ZERO);
            parts += 1;
            prop_assert_eq!((read.more(), read.is_whole()), (rest.is_some(), true));
            match rest {
                Some(next) => skip = next,
                None => break,
            }
        }
        prop_assert!(parts <= session.registers().max(1));
        prop_assert_eq!(copy, session);
    }

    /// P7: bytes from anywhere give an error or a value.
    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::decode(&bytes, "heirloom");
    }

    #[test]
    fn a_changed_frame_is_refused(nonce in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let cluster = ClusterTag::new("heirloom");
        let mut bytes = FrameWriter::new(cluster).datagram(Kind::Ping, &super::Ping { nonce });
        prop_assert!(open(&bytes, cluster).is_ok());
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(matches!(
            open(&bytes, cluster),
            Err(FrameError::Version | FrameError::Cluster | FrameError::Checksum)
        ));
    }
}
