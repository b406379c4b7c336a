//! What clients do, as a plain list drawn from the seed.

use core::time::Duration;
use std::collections::BTreeSet;

use heirloom_core::{Durability, Lifetime, SessionKey};

use crate::{
    action::Action,
    ask::{Ask, Attribute, Start},
    chance::Draws,
    clock::Moment,
    names::Name,
    net::HostId,
};

/// How many attributes a session may have.
const ATTRIBUTES: u64 = 5;

/// How requests come to members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Routing {
    /// Those of one session to one member, as long as it serves.
    Sticky,
    /// To each member in turn.
    RoundRobin,
    /// To any.
    Random,
}

/// The key of the session with this number.
pub fn key(number: u64) -> SessionKey {
    let mut key = [0x5e; 16];
    key[..8].copy_from_slice(&crate::chance::mix(number.wrapping_add(1)).to_le_bytes());
    SessionKey(key)
}

/// The number of the session with this key, if it has one.
pub fn number(key: SessionKey) -> Option<u64> {
    let (word, rest) = key.0.split_first_chunk()?;
    let number = crate::chance::unmix(u64::from_le_bytes(*word)).wrapping_sub(1);
    (rest == [0x5e; 8]).then_some(number)
}

/// The actions of all clients from one moment to another.
pub(crate) fn actions(
    [mut draws, mut rare]: [Draws; 2],
    hosts: u16,
    from: Moment,
    until: Moment,
    is_large: bool,
) -> Vec<(Moment, Action)> {
    let sessions = draws.between(1, 20);
    let pause_max = Duration::from_millis(draws.pick(&[30, 100, 300, 1000]));
    let routing = draws.pick(&[Routing::Sticky, Routing::RoundRobin, Routing::Random]);
    let hot = draws.per_mille(300);
    let durabilities = draws.pick(&[
        &[Durability::Local, Durability::One, Durability::All][..],
        &[Durability::All],
        &[Durability::One],
        &[Durability::Local],
    ]);
    let demands = rare.pick(&[
        durabilities,
        durabilities,
        &[Durability::Majority],
        &[Durability::Copies(1), Durability::Copies(2), Durability::Majority, Durability::Local],
    ]);
    let patience = rare.pick(&[None, None, None, Some(Duration::from_millis(300)), Some(Duration::from_secs(2))]);
    let mut actions = Vec::new();
    let mut at = from;
    while at < until {
        let session = if hot && draws.per_mille(500) { 0 } else { draws.below(sessions) };
        let number = match routing {
            Routing::Sticky => session,
            Routing::RoundRobin => u64::try_from(actions.len()).unwrap_or(0),
            Routing::Random => draws.bits(),
        };
        let prefer = HostId(u16::try_from(number % u64::from(hosts)).unwrap_or(0));
        let durability = draws.pick(demands);
        let mut action = one(&mut draws, prefer, session, durability, is_large);
        if let Action::Commit(_, ask) = &mut action {
            ask.within = patience;
        }
        actions.push((at, action));
        // Some clients come at the same moment.
        if draws.per_mille(800) {
            at = at + draws.duration(Duration::from_micros(100), pause_max);
        }
    }
    actions
}

/// In one plan of six, applications write to the shared map and send each other messages.
pub(crate) fn shared(draws: &mut Draws, hosts: u16, from: Moment, until: Moment) -> Vec<(Moment, Action)> {
    let mut actions = Vec::new();
    if !draws.per_mille(170) {
        return actions;
    }
    let pause_max = Duration::from_millis(draws.pick(&[100, 400, 1500]));
    let mut at = from;
    while at < until {
        let host = |draws: &mut Draws| HostId(u16::try_from(draws.below(u64::from(hosts))).unwrap_or(0));
        let (prefer, other, name) = (host(draws), host(draws), Name(u8::try_from(draws.below(4)).unwrap_or(0)));
        let durability = draws.pick(&[Durability::Local, Durability::One, Durability::Majority, Durability::All]);
        let action = match draws.below(10) {
            0..5 => Action::SetName(prefer, name, durability),
            5..7 => Action::RemoveName(prefer, name, durability),
            7..9 => Action::Send(prefer, other),
            _ => Action::SendToAll(prefer),
        };
        actions.push((at, action));
        at = at + draws.duration(Duration::from_micros(100), pause_max);
    }
    actions
}

fn one(draws: &mut Draws, prefer: HostId, session: u64, durability: Durability, is_large: bool) -> Action {
    let key = key(session);
    let mut ask = Ask::set(key, 0, durability);
    ask.sets.clear();
    match draws.below(100) {
        0..30 => return Action::Touch(prefer, key),
        30..34 => return Action::Commit(prefer, Ask::end(key, durability)),
        34..37 => ask.start = Start::Anew,
        37..45 => ask.removes = attributes(draws, 2),
        45..50 => ask.lifetime = lifetime(draws, session),
        _ => {}
    }
    ask.sets = attributes(draws, 3);
    ask.removes.retain(|removed| !ask.sets.contains(removed));
    ask.bytes = match draws.below(10) {
        0 if is_large => draws.index(14 << 10),
        0 => draws.index(2000),
        _ => 16,
    };
    Action::Commit(prefer, ask)
}

/// A session has lifetimes of its own kind, if it has any: most follow the settings.
fn lifetime(draws: &mut Draws, session: u64) -> Option<Lifetime> {
    let ttl = Duration::from_secs(draws.between(2, 30));
    match session % 7 {
        1 => Some(Lifetime::Idle(ttl)),
        2 => Some(Lifetime::Fixed(ttl)),
        3 => Some(Lifetime::Never),
        _ => None,
    }
}

fn attributes(draws: &mut Draws, most: u64) -> BTreeSet<Attribute> {
    let count = draws.between(1, most);
    (0..count).map(|_| Attribute(u8::try_from(draws.below(ATTRIBUTES)).unwrap_or(0))).collect()
}
