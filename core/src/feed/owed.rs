//! What a peer is still owed: of that it is not known whether the peer has it.

use alloc::vec::Vec;

use super::{Carried, Feed, Note, Walk};
use crate::{key::SessionKey, map::EntryId, session::Change, time::Time};

impl Feed {
    /// Takes the sessions of which the peer has come to be owed something.
    pub(crate) fn take_news(&mut self) -> Vec<SessionKey> {
        core::mem::take(&mut self.news)
    }

    /// The peer may not have all of a session that this node has to bring to it, and may not have answered an offer of it.
    pub(crate) fn owes(&self, key: &SessionKey) -> bool {
        self.unheard || self.carries(key)
    }

    /// Whether something of a session is unsent or unacknowledged, an offer included.
    pub(crate) fn carries(&self, key: &SessionKey) -> bool {
        self.is_unsent(key) || self.in_flight.carries(key) || self.notes.contains(&Note::Offer(*key))
    }

    /// Whether anything may be owed: the peer is brought the whole table, or has not heard that this member is leaving, so it
    /// may be leaving itself.
    pub(crate) fn owes_all(&self) -> bool {
        self.unheard || matches!(self.walk, Some((Walk::All, _)))
    }

    /// How many sessions the peer lacks something of, as far as the walk has come.
    pub(crate) fn len_outstanding(&self) -> usize {
        self.lacking.len() + self.in_flight.len()
    }

    /// How many entries of the shared map the peer may lack, of so many that there are.
    pub(crate) fn entries_owed(&self, entries: usize) -> usize {
        let compared = |note: &Note| matches!(note, Note::Map | Note::MapBack);
        let sent = || self.in_flight.carried();
        if self.notes.iter().any(compared)
            || sent().any(|carried| matches!(carried, Carried::Note(note) if compared(note)))
        {
            return entries;
        }
        let flying = sent().filter(|carried| matches!(carried, Carried::Entry(..))).count();
        entries.min(self.entries.len() + flying)
    }

    /// Since when the peer lacks the oldest change of a session that it has not acknowledged; `None` if it has all. Of what
    /// is unsent the oldest change counts, and of sessions that go whole the one that goes next; what a walk has not come to
    /// does not count yet.
    pub(crate) fn lags_since(&self) -> Option<Time> {
        let since = |carried: &Carried| match carried {
            Carried::Changes(_, lack, _) => Some(lack.since),
            Carried::Entry(..) | Carried::Note(_) => None,
        };
        let sent = self.in_flight.carried().filter_map(since);
        let parts = self.parts.as_ref().and_then(|parts| since(&parts.purpose));
        let whole = self.order.first();
        let changed = self.order.range((Change(1), SessionKey([0; 16]))..).next();
        let unsent = whole.into_iter().chain(changed).filter_map(|(_, key)| self.lacking(key));
        unsent.map(|lack| lack.since).chain(parts).chain(sent).min()
    }

    /// The sessions of which something is unsent or unacknowledged, an offer included.
    pub(crate) fn owed(&self) -> impl Iterator<Item = SessionKey> {
        let offers = self.notes.iter().filter_map(|note| if let Note::Offer(key) = note { Some(*key) } else { None });
        self.outstanding().chain(offers).chain(self.in_flight.offers())
    }

    /// Whether something of an entry of the shared map is unsent or unacknowledged.
    pub(crate) fn is_entry_outstanding(&self, id: EntryId) -> bool {
        let mut sent = self.in_flight.carried();
        self.entries.contains_key(&id) || sent.any(|carried| matches!(carried, Carried::Entry(sent, ..) if *sent == id))
    }

    /// The sessions of which something is unsent or unacknowledged.
    pub(crate) fn outstanding(&self) -> impl Iterator<Item = SessionKey> {
        let parts = self.parts.iter().filter(|parts| parts.is_change()).map(|parts| parts.key);
        self.lacking.keys().copied().chain(parts).chain(self.in_flight.sessions())
    }

    /// Whether something of a session is unsent or unacknowledged.
    pub(crate) fn is_outstanding(&self, key: &SessionKey) -> bool {
        self.is_unsent(key) || self.in_flight.has_changes(key)
    }

    /// Whether something of a session is unsent, or on its way in parts.
    fn is_unsent(&self, key: &SessionKey) -> bool {
        let ahead = self.walk.is_some_and(|(walk, cursor)| walk == Walk::All && cursor < Some(*key));
        ahead
            || self.lacking.contains_key(key)
            || self.parts.as_ref().is_some_and(|parts| parts.is_change() && parts.key == *key)
    }

    /// Whether every change up to this one is acknowledged.
    pub(crate) fn has_acked(&self, change: Change) -> bool {
        let mut sent = self.in_flight.carried();
        self.walk.is_none()
            && self.parts.is_none()
            && self.order.first().is_none_or(|(oldest, _)| change < *oldest)
            && sent.all(|carried| match carried {
                Carried::Changes(_, lack, _) => change < lack.from,
                Carried::Entry(..) | Carried::Note(_) => true,
            })
    }
}
