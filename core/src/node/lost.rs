//! What becomes of a session of which only a part is left.

use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use crate::{
    config::Config,
    copies::Copies,
    io::Event,
    key::SessionKey,
    life::{EndCause, Expired, Life},
    member::MemberId,
    session::{Change, Content, Incoming, Session},
    sessions::Brought,
    stamp::Stamp,
    time::Time,
};

const KEY: SessionKey = SessionKey([1; 16]);
const BIRTH: Stamp = Stamp { clock: 1, writer: MemberId(9) };

/// A node that is alone and holds a part of a session whose owner is gone.
fn holding(part: &Session) -> Node {
    let config = Config { copies: Copies::Backups(1), ..Config::default() };
    let address = "192.0.2.1:4000".parse().expect("it is an address");
    let mut node = Node::new(MemberId(1), address, config, 1, Time::ZERO).expect("the config is valid");
    node.start_alone(Time::ZERO);
    node.sessions.apply_whole(Time::ZERO, KEY, part, Brought { whole: false, until: None });
    node.see_to(Time::ZERO, KEY);
    let mut now = Time::ZERO;
    for _ in 0..8 {
        node.relocation.keep(now, KEY);
        now = now + Duration::from_secs(1);
        node.handle_timeout(now);
    }
    node
}

fn known_by_its_birth_alone() -> Session {
    let mut part = Session::default();
    part.merge_life(Life { birth: BIRTH, counter: 1, owner: BIRTH.writer, expired: Expired::NEVER });
    part
}

#[test]
fn a_session_of_which_nobody_has_any_content_is_lost_and_says_so() {
    let mut node = holding(&known_by_its_birth_alone());
    assert_eq!(node.ended(&KEY), Some(EndCause::Lost));
    let events: Vec<_> = core::iter::from_fn(|| node.poll_event()).collect();
    assert!(events.contains(&Event::SessionEnded(KEY, EndCause::Lost)));
}

/// P2: who has its content may come back.
#[test]
fn what_was_lost_is_there_again_when_its_content_comes() {
    let mut node = holding(&known_by_its_birth_alone());
    let mut whole = known_by_its_birth_alone();
    let (name, changed) = (Content::Slice(b"user"), Change::default());
    let value = Some(Content::Slice(b"alice"));
    whole.merge_attribute(Incoming { name, birth: BIRTH, stamp: BIRTH, value, changed });
    whole.merge_life(Life { birth: BIRTH, counter: 9, owner: BIRTH.writer, expired: Expired::NEVER });
    node.sessions.apply_whole(node.now, KEY, &whole, Brought { whole: true, until: None });
    assert!(node.sessions.record(&KEY).is_some_and(|session| session.is_live()));
}

#[test]
fn what_is_left_of_a_session_is_served_and_ends_in_its_time() {
    let mut part = known_by_its_birth_alone();
    let value = Some(Content::Slice(b"alice"));
    let (name, changed) = (Content::Slice(b"user"), Change::default());
    part.merge_attribute(Incoming { name, birth: BIRTH, stamp: BIRTH, value, changed });
    let node = holding(&part);
    let session = node.session(&KEY).expect("it is all that there is");
    assert_eq!(session.attribute(b"user").map(|user| &user[..]), Some(&b"alice"[..]));
    assert!(node.deadline(&KEY).is_some());
}
