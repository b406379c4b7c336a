//! Id changes among the actions of clients: each session gets another key now and then, as at a login, and most of its
//! clients follow.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Durability, SessionKey};

use crate::{action::Action, ask::Ask, chance::Draws, clients::key, clock::Moment, net::HostId};

/// The first of the keys that nobody uses before an id change.
const FRESH: u64 = 1 << 33;
/// Id changes are this much apart in time at the most when they are to race.
const RACE: Duration = Duration::from_millis(60);

/// Adds id changes to the actions of clients. Their later actions go to the new key, or to an older one.
pub(crate) fn log_in(draws: &mut Draws, actions: &mut Vec<(Moment, Action)>, hosts: u16, span: (Moment, Moment)) {
    let used: BTreeSet<SessionKey> = actions.iter().filter_map(|(_, action)| subject(action)).collect();
    let used: Vec<SessionKey> = used.into_iter().collect();
    if used.is_empty() {
        return;
    }
    let mut logins = Logins { draws, hosts, keys: BTreeMap::new(), fresh: FRESH, actions: Vec::new() };
    let count = logins.draws.between(1, 12);
    let length = span.1.since(span.0);
    let mut moments: Vec<_> = (0..count).map(|_| span.0 + logins.draws.duration(Duration::ZERO, length)).collect();
    moments.sort_unstable();
    for at in moments {
        let session = logins.draws.pick(&used);
        let other = logins.draws.pick(&used);
        logins.change(at, session, other);
    }
    let Logins { draws, keys, actions: changes, .. } = logins;
    for (at, action) in actions.iter_mut() {
        let known = subject(action).and_then(|session| keys.get(&session)).into_iter().flatten();
        let known: Vec<SessionKey> = known.filter(|(since, _)| since <= at).map(|(_, key)| *key).collect();
        if let Some(latest) = known.last().copied()
            && !draws.per_mille(150)
        {
            let follows = draws.per_mille(850);
            direct(action, if follows { latest } else { draws.pick(&known) });
        }
    }
    actions.extend(changes);
}

struct Logins<'a> {
    draws: &'a mut Draws,
    hosts: u16,
    /// The keys that each session was given, and when.
    keys: BTreeMap<SessionKey, Vec<(Moment, SessionKey)>>,
    fresh: u64,
    actions: Vec<(Moment, Action)>,
}

impl Logins<'_> {
    /// Draws an id change, and what comes along with it.
    fn change(&mut self, at: Moment, session: SessionKey, other: SessionKey) {
        let old = self.current(session);
        let new = match self.draws.below(10) {
            // A key in use, if that is another.
            0 => self.current(other),
            // A key that it had before.
            1 => session,
            _ => self.fresh(),
        };
        self.ask(at, old, new);
        self.keys.entry(session).or_default().push((at, new));
        match self.draws.below(10) {
            // Two members at once, to two keys or to one.
            0 | 1 => {
                let soon = self.soon(at);
                let rival = if self.draws.per_mille(700) { self.fresh() } else { new };
                self.ask(soon, old, rival);
            }
            // And on at once.
            2 | 3 => {
                let (soon, next) = (self.soon(at), self.fresh());
                self.ask(soon, new, next);
                self.keys.entry(session).or_default().push((soon, next));
            }
            4 => {
                let soon = self.soon(at);
                self.commit(soon, |durability| Ask::end(old, durability));
            }
            5 | 6 => {
                let (soon, attribute) = (self.soon(at), self.draws.below(5));
                let attribute = u8::try_from(attribute).unwrap_or(0);
                self.commit(soon, |durability| Ask::set(old, attribute, durability));
            }
            _ => {}
        }
    }

    fn current(&self, session: SessionKey) -> SessionKey {
        self.keys.get(&session).and_then(|keys| keys.last()).map_or(session, |(_, key)| *key)
    }

    fn fresh(&mut self) -> SessionKey {
        self.fresh += 1;
        key(self.fresh)
    }

    fn soon(&mut self, at: Moment) -> Moment {
        at + self.draws.duration(Duration::ZERO, RACE)
    }

    fn ask(&mut self, at: Moment, old: SessionKey, new: SessionKey) {
        self.commit(at, |durability| Ask::change_id(old, new, durability));
    }

    fn commit(&mut self, at: Moment, ask: impl FnOnce(Durability) -> Ask) {
        let durability = self.draws.pick(&[Durability::All, Durability::One, Durability::Local, Durability::Majority]);
        let host = HostId(u16::try_from(self.draws.below(u64::from(self.hosts))).unwrap_or(0));
        self.actions.push((at, Action::Commit(host, ask(durability))));
    }
}

/// The session that an action of a client is about.
fn subject(action: &Action) -> Option<SessionKey> {
    if let Action::Commit(_, Ask { key, .. }) | Action::Touch(_, key) = action { Some(*key) } else { None }
}

fn direct(action: &mut Action, to: SessionKey) {
    if let Action::Commit(_, Ask { key, .. }) | Action::Touch(_, key) = action {
        *key = to;
    }
}
