//! The delta of one session.
//!
//! Stamps dominate the size of a small delta, so they are written relative to it: writers as places in a table of the
//! delta's members, readings of the clock as differences from its base.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    blob::Blob,
    message::CLOCK_MAX,
    room::{REGISTER_ROOM, beside_registers},
    table::{At, Table},
};
use crate::{
    io::FrameError,
    key::SessionKey,
    life::{End, EndCause, Expired, Life},
    member::MemberId,
    session::{
        Attribute, BIRTHS_MAX, BURIALS_MAX, Change, Content, Ends, Incoming, LINKS_MAX, LIVES_MAX, Lifetime,
        LifetimeRegister, Link, Moves, Session,
    },
    stamp::Stamp,
    time::Time,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    key: SessionKey,
    base: u64,
    members: Vec<Fixed64>,
    /// More parts of this session follow.
    more: bool,
    /// It brings all that the sender's copy holds, and that copy is complete.
    whole: bool,
    floor: Option<(At, EndCause)>,
    burials: Vec<(At, EndCause)>,
    lives: Vec<(At, u32, u16, u32)>,
    moves: Option<MovesForm>,
    lifetimes: Vec<(At, At, LifetimeForm, Option<u64>)>,
    remaining_millis: Option<u64>,
    digest: Option<Fixed64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MovesForm {
    links: Vec<(At, SessionKey, Vec<At>)>,
    dead: Vec<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum LifetimeForm {
    Never,
    IdleMillis(u64),
    FixedMillis(u64),
}

/// Random bits: a varint would make them longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fixed64(#[serde(with = "postcard::fixint::le")] u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Register<'a> {
    #[serde(borrow)]
    name: Blob<'a>,
    birth: At,
    stamp: At,
    pub(super) value: Option<Blob<'a>>,
}

/// Which registers of a session a delta carries: those at or above a change, from a place in their order on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registers {
    pub(crate) from: Change,
    pub(crate) skip: usize,
    /// The receiver is to see whether it then holds the same.
    pub(crate) verify: bool,
    /// The sender's own copy is not complete.
    pub(crate) partial: bool,
}

/// Writes the delta of a session, perhaps in several parts.
pub(crate) struct DeltaWriter<'a> {
    pub(crate) key: SessionKey,
    pub(crate) session: &'a Session,
    pub(crate) registers: Registers,
    pub(crate) remaining: Option<Duration>,
    /// When it is said.
    pub(crate) now: Time,
}

/// What a frame has room for must hold the fixed parts of a delta with every member it can name.
const MEMBERS_MAX: usize = 1024;
/// What a session has besides its attributes names fewer: of each life a writer, an owner and who gave it a lifetime.
const _: () = assert!(3 * LIVES_MAX + 1 + BURIALS_MAX + LINKS_MAX * (1 + BIRTHS_MAX) + 2 <= MEMBERS_MAX);

impl DeltaWriter<'_> {
    /// Appends a part with at least one register, up to `room` bytes or a little more than `target`; `Some(skip)` when
    /// more must follow, from that place on. `None` in `Err` when not even one register fits.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>, target: usize, room: usize) -> Result<Option<usize>, NoRoom> {
        let start = bytes.len();
        let session = self.session;
        let chosen = |attribute: &&Attribute| self.registers.from <= attribute.changed;
        let mut size = beside_registers(session);
        let mut table = Table::new(session);
        let (mut last, mut any, mut more) = (self.registers.skip, false, None);
        for (place, attribute) in session.attributes.iter().enumerate().skip(self.registers.skip) {
            if !chosen(&attribute) {
                continue;
            }
            let value = attribute.value.as_ref().map_or(0, bytes::Bytes::len);
            let next = size + REGISTER_ROOM + attribute.name.len() + value;
            if room < next || (any && (target < next || MEMBERS_MAX < table.members.len() + 2)) {
                more = Some(place);
                break;
            }
            table.add(attribute.birth.writer);
            table.add(attribute.stamp.writer);
            (size, last, any) = (next, place + 1, true);
        }
        if room < size || (more.is_some() && !any) {
            return Err(NoRoom);
        }
        let part = session.attributes[self.registers.skip..last].iter().filter(chosen);
        put(bytes, &self.head(&table, more.is_some(), any || 0 < self.registers.skip));
        for attribute in part {
            put(
                bytes,
                &Register {
                    name: Blob(&attribute.name),
                    birth: table.at(attribute.birth),
                    stamp: table.at(attribute.stamp),
                    value: attribute.value.as_ref().map(|value| Blob(value)),
                },
            );
        }
        assert!(bytes.len() - start <= size, "a part is at most as long as was reckoned");
        Ok(more)
    }

    /// The attributes of the part that ends before that place, or with the last one.
    pub(crate) fn part(&self, until: Option<usize>) -> impl Iterator<Item = &Attribute> {
        let Registers { from, skip, .. } = self.registers;
        let part = &self.session.attributes[skip..until.unwrap_or(self.session.attributes.len())];
        part.iter().filter(move |attribute| from <= attribute.changed)
    }

    fn head(&self, table: &Table, more: bool, registers: bool) -> Head {
        let session = self.session;
        let Registers { from, verify, partial, .. } = self.registers;
        let lifetimes = session.lifetimes.iter().filter(|register| from <= register.changed);
        let whole = !partial && session.is_unchanged_before(from);
        let end = |end: End| (table.at(end.at), end.cause);
        Head {
            key: self.key,
            base: table.base,
            members: table.members.iter().map(|member| Fixed64(member.0)).collect(),
            more,
            whole,
            floor: session.ends().floor().map(end),
            burials: session.ends().burials().iter().copied().map(end).collect(),
            lives: session
                .lives
                .iter()
                .map(|life| (table.at(life.birth), life.counter, table.place(life.owner), life.expired.code()))
                .collect(),
            moves: (!session.moves().is_empty()).then(|| moves(table, self.key, session.moves())),
            lifetimes: lifetimes
                .map(|register| {
                    let form = match register.lifetime {
                        Lifetime::Never => LifetimeForm::Never,
                        Lifetime::Idle(length) => LifetimeForm::IdleMillis(millis(length)),
                        Lifetime::Fixed(length) => LifetimeForm::FixedMillis(millis(length)),
                    };
                    let age_left = register.until.map(|until| millis(until.since(self.now)));
                    (table.at(register.birth), table.at(register.stamp), form, age_left)
                })
                .collect(),
            remaining_millis: self.remaining.map(millis),
            // Who brings no content tells what it has: the receiver asks for what it lacks.
            digest: (verify || (!registers && from != Change::default())).then(|| Fixed64(session.digest())),
        }
    }
}

fn moves(table: &Table, key: SessionKey, moves: &Moves) -> MovesForm {
    let all = |stamps: &[Stamp]| stamps.iter().map(|stamp| table.at(*stamp)).collect();
    let links = moves.links().iter().map(|link| (table.at(link.at), link.to.unwrap_or(key), all(&link.births)));
    MovesForm { links: links.collect(), dead: all(moves.dead()) }
}

/// The frame is too full for even one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

fn put(bytes: &mut Vec<u8>, value: &impl Serialize) {
    let taken = core::mem::take(bytes);
    *bytes = postcard::to_extend(value, taken).expect("a vector takes all that is written");
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a delta; what it holds is borrowed from the frame.
pub(crate) struct DeltaReader<'a> {
    head: Head,
    registers: &'a [u8],
}

impl<'a> DeltaReader<'a> {
    /// Checks a whole delta. `clock` is the reading that its frame carries: no stamp may be above it.
    pub(crate) fn read(body: &'a [u8], clock: u64) -> Result<Self, FrameError> {
        let (head, registers): (Head, _) = postcard::take_from_bytes(body).map_err(|_| FrameError::Body)?;
        let delta = Self { head, registers };
        delta.check(clock).ok_or(FrameError::Body)?;
        Ok(delta)
    }

    pub(crate) fn key(&self) -> SessionKey {
        self.head.key
    }

    pub(crate) fn more(&self) -> bool {
        self.head.more
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.head.whole
    }

    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.head.remaining_millis.map(Duration::from_millis)
    }

    pub(crate) fn digest(&self) -> Option<u64> {
        self.head.digest.map(|digest| digest.0)
    }

    /// Whether it brings no register.
    pub(crate) fn is_bare(&self) -> bool {
        self.registers.is_empty() && self.head.lifetimes.is_empty()
    }

    /// Whether its sender knows all lives and ends of a copy.
    pub(crate) fn knows(&self, session: &Session) -> bool {
        let lives = self.head.lives.iter().filter_map(|&(birth, counter, owner, expired)| {
            Some(Life {
                birth: self.stamp(birth)?,
                counter,
                owner: self.member(owner)?,
                expired: Expired::of_code(expired),
            })
        });
        let lives: Vec<_> = lives.collect();
        self.ends() == *session.ends() && session.lives.iter().all(|life| lives.contains(life))
    }

    /// The births of its lives, ascending.
    pub(crate) fn births(&self) -> Vec<Stamp> {
        self.head.lives.iter().filter_map(|life| self.stamp(life.0)).collect()
    }

    /// Merges it into a copy; tells whether that changed.
    pub(crate) fn merge_into(&self, session: &mut Session, now: Time) -> bool {
        let mut changed = session.merge_ends(&self.ends(), &self.moves().unwrap_or_default());
        for &(birth, counter, owner, expired) in &self.head.lives {
            if let (Some(birth), Some(owner)) = (self.stamp(birth), self.member(owner)) {
                changed |= session.merge_life(Life { birth, counter, owner, expired: Expired::of_code(expired) });
            }
        }
        for &(birth, stamp, form, age_left) in &self.head.lifetimes {
            let (Some(birth), Some(stamp)) = (self.stamp(birth), self.stamp(stamp)) else { continue };
            let lifetime = match form {
                LifetimeForm::Never => Lifetime::Never,
                LifetimeForm::IdleMillis(millis) => Lifetime::Idle(Duration::from_millis(millis)),
                LifetimeForm::FixedMillis(millis) => Lifetime::Fixed(Duration::from_millis(millis)),
            };
            let until = age_left.map(|millis| now + Duration::from_millis(millis));
            let changed_here = Change::default();
            changed |=
                session.merge_lifetime(LifetimeRegister { birth, stamp, lifetime, until, changed: changed_here });
        }
        for register in self.registers() {
            if let (Some(birth), Some(stamp)) = (self.stamp(register.birth), self.stamp(register.stamp)) {
                changed |= session.merge_attribute(Incoming {
                    name: Content::Slice(register.name.0),
                    birth,
                    stamp,
                    value: register.value.map(|value| Content::Slice(value.0)),
                    changed: Change::default(),
                });
            }
        }
        changed
    }

    /// The bytes of the longest attribute, and how many there are.
    pub(crate) fn extent(&self) -> (usize, usize) {
        self.registers().fold((0, 0), |(longest, count), register| {
            (longest.max(register.name.0.len() + register.value.map_or(0, |value| value.0.len())), count + 1)
        })
    }

    fn ends(&self) -> Ends {
        let end = |&(at, cause): &(At, EndCause)| Some(End { at: self.stamp(at)?, cause });
        Ends::new(self.head.floor.as_ref().and_then(end), self.head.burials.iter().filter_map(end))
    }

    fn moves(&self) -> Option<Moves> {
        let MovesForm { links, dead } = self.head.moves.as_ref()?;
        let all = |stamps: &[At]| stamps.iter().map(|at| self.stamp(*at)).collect::<Option<Vec<_>>>();
        let links = links.iter().map(|(at, to, births)| {
            let to = Some(*to).filter(|to| *to != self.head.key);
            Some(Link { at: self.stamp(*at)?, to, births: all(births)? })
        });
        Some(Moves::new(links.collect::<Option<Vec<_>>>()?, all(dead)?))
    }

    fn registers(&self) -> impl Iterator<Item = Register<'a>> {
        let mut rest = self.registers;
        core::iter::from_fn(move || {
            let (register, after) = postcard::take_from_bytes(rest).ok()?;
            rest = after;
            Some(register)
        })
    }

    fn check(&self, clock: u64) -> Option<()> {
        let head = &self.head;
        let holds = |condition: bool| condition.then_some(());
        let known = |at: At| self.stamp(at).filter(|stamp| stamp.clock <= clock.min(CLOCK_MAX));
        holds(!head.lives.is_empty() && head.members.len() <= MEMBERS_MAX)?;
        holds(head.lives.len() <= LIVES_MAX && head.lifetimes.len() <= LIVES_MAX)?;
        holds(head.burials.len() <= BURIALS_MAX)?;
        for (at, _) in head.floor.iter().chain(&head.burials) {
            known(*at)?;
        }
        let burials = head.burials.iter().map(|(at, _)| self.stamp(*at));
        holds(burials.is_sorted() && self.ends().burials().len() == head.burials.len())?;
        let mut before = None;
        for &(birth, counter, owner, expired) in &head.lives {
            let birth = known(birth)?;
            self.member(owner)?;
            holds(before < Some(birth) && 0 < counter && counter.max(expired / 2) < COUNTER_MAX)?;
            before = Some(birth);
        }
        if let Some(MovesForm { links, dead }) = &head.moves {
            holds(!links.is_empty() && links.len() <= LINKS_MAX && dead.len() <= LINKS_MAX * BIRTHS_MAX)?;
            for (at, _, births) in links {
                let at = known(*at)?;
                holds(!births.is_empty() && births.len() <= BIRTHS_MAX)?;
                for birth in births {
                    holds(known(*birth)? < at)?;
                }
            }
            for birth in dead {
                known(*birth)?;
            }
            let moves = self.moves()?;
            let births = moves.links().iter().map(|link| &link.births[..]).chain([moves.dead()]);
            holds(births.into_iter().all(|births| births.is_sorted_by(|one, other| one < other)))?;
            holds(moves.links().is_sorted_by(|one, other| (one.at, one.to) < (other.at, other.to)))?;
        }
        for &(birth, stamp, ..) in &head.lifetimes {
            known(birth)?;
            known(stamp)?;
        }
        let mut rest = self.registers;
        while !rest.is_empty() {
            let (register, after): (Register<'_>, _) = postcard::take_from_bytes(rest).ok()?;
            known(register.birth)?;
            known(register.stamp)?;
            rest = after;
        }
        Some(())
    }

    fn member(&self, place: u16) -> Option<MemberId> {
        self.head.members.get(usize::from(place)).map(|member| MemberId(member.0))
    }

    fn stamp(&self, at: At) -> Option<Stamp> {
        Some(Stamp { clock: self.head.base.wrapping_add_signed(at.clock), writer: self.member(at.writer)? })
    }
}

/// Epoch counters stay below this, so that counting up from one that was heard cannot overflow.
const COUNTER_MAX: u32 = 1 << 30;
