//! How many bytes the parts of a delta take at the most, so that it fits the frame that it is written to.

use super::{frame::FEED_ROOM, item::ITEM_ROOM};
use crate::{
    config::FRAME_ROOM,
    session::{BIRTHS_MAX, BURIALS_MAX, LINKS_MAX, LIVES_MAX, Session},
};

const AT_ROOM: usize = 10 + 3;
const BURIAL_ROOM: usize = AT_ROOM + 1 + 8;
const LIFE_ROOM: usize = AT_ROOM + 3 + 2 * 5 + 2 * 8;
const LIFETIME_ROOM: usize = 2 * AT_ROOM + 11 + 11 + 2 * 8;
const LINK_ROOM: usize = AT_ROOM + 16 + 2 + 8;
/// Of a birth that has moved, and once more if it is dead.
const BIRTH_ROOM: usize = 2 * AT_ROOM + 8;
const HEAD_ROOM: usize = 16 + 10 + 4 + AT_ROOM + 2 + 1 + 3 + 23 + 10 + 10 + 9 + 8 * 4 + 4;
/// Of a register, its name and its value not counted.
pub(super) const REGISTER_ROOM: usize = 2 * AT_ROOM + 2 * 5 + 1 + 2 * 8;

/// A part with the largest attribute fits the shortest frame, whatever else there is of the session.
const _: () = {
    let links = LINKS_MAX * (LINK_ROOM + BIRTHS_MAX * BIRTH_ROOM);
    let lives = LIVES_MAX * (LIFE_ROOM + LIFETIME_ROOM);
    assert!(
        FEED_ROOM + ITEM_ROOM + HEAD_ROOM + BURIALS_MAX * BURIAL_ROOM + lives + links + REGISTER_ROOM <= FRAME_ROOM
    );
};

/// What each part of a session takes besides its registers.
pub(super) fn beside_registers(session: &Session) -> usize {
    let births: usize = session.moves().links().iter().map(|link| link.births.len()).sum();
    let links = session.moves().links().len() * LINK_ROOM + births * BIRTH_ROOM;
    let burials = session.ends().burials().len() * BURIAL_ROOM;
    let lives = session.lives.len() * LIFE_ROOM + session.lifetimes.len() * LIFETIME_ROOM;
    HEAD_ROOM + burials + lives + links
}
