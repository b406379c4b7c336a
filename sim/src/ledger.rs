//! What the world did to the hosts, as the oracles may know it: which troubles there are, and when the last one ended.
//!
//! A rule that holds in calm is armed by this ledger alone, never by what a node believes.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::MemberId;

use crate::{clock::Moment, net::HostId};

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A cut, a sleep, a start or an end of a process: who can hear whom.
    Reach,
    /// A stream that broke, while datagrams and new streams pass.
    Break,
    /// Streams that stand still, while datagrams pass.
    Hold,
    /// Datagrams are lost.
    Loss,
    /// The network is much slower than it should be.
    Slow,
    /// A wire takes little at a time, or has little room: streams take long, and datagrams wait for as long as may be.
    Narrow,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Reach, Self::Break, Self::Hold, Self::Loss, Self::Slow, Self::Narrow];
}

/// Whom a trouble concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every pair.
    Everywhere,
    /// Every pair that this host is part of.
    Host(HostId),
    /// These two.
    Pair(HostId, HostId),
}

impl Scope {
    /// The scope of two hosts, whichever comes first.
    pub fn pair(one: HostId, other: HostId) -> Self {
        Self::Pair(one.min(other), one.max(other))
    }

    fn concerns(self, one: HostId, other: HostId) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Host(host) => host == one || host == other,
            Self::Pair(..) => self == Self::pair(one, other),
        }
    }
}

/// The troubles of a run.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    active: BTreeMap<(Trouble, Scope), u32>,
    ended: BTreeMap<(Trouble, Scope), Moment>,
    deaths: Vec<(Moment, MemberId)>,
    leavers: BTreeSet<MemberId>,
}

impl Ledger {
    /// A trouble begins.
    pub fn begin(&mut self, trouble: Trouble, scope: Scope) {
        *self.active.entry((trouble, scope)).or_default() += 1;
    }

    /// A trouble ends.
    pub fn end(&mut self, now: Moment, trouble: Trouble, scope: Scope) {
        self.ended.insert((trouble, scope), now);
        if let Some(count) = self.active.get_mut(&(trouble, scope)) {
            *count -= 1;
            self.active.retain(|_, count| 0 < *count);
        }
    }

    /// A trouble begins and ends at once.
    pub fn strike(&mut self, now: Moment, trouble: Trouble, scope: Scope) {
        let ended = self.ended.entry((trouble, scope)).or_insert(now);
        *ended = now.max(*ended);
    }

    /// A process is no more.
    pub fn handle_death(&mut self, now: Moment, life: MemberId) {
        self.deaths.push((now, life));
    }

    /// A process was asked to leave.
    pub fn handle_leave(&mut self, life: MemberId) {
        self.leavers.insert(life);
    }

    /// Since when none of these troubles concerned the two; `None` while one does.
    pub fn calm_between(&self, troubles: &[Trouble], one: HostId, other: HostId) -> Option<Moment> {
        self.calm(troubles, |scope| scope.concerns(one, other))
    }

    /// The same, whatever befell the first of the two alone.
    pub fn calm_towards(&self, troubles: &[Trouble], one: HostId, other: HostId) -> Option<Moment> {
        self.calm(troubles, |scope| scope != Scope::Host(one) && scope.concerns(one, other))
    }

    /// When what was under way between the two may have moved again at last, as a cut or a standstill had ended.
    pub fn released_between(&self, one: HostId, other: HostId) -> Moment {
        let of_links = self.ended.iter().filter(|((trouble, scope), _)| {
            matches!(trouble, Trouble::Reach | Trouble::Hold)
                && !matches!(scope, Scope::Host(_))
                && scope.concerns(one, other)
        });
        of_links.map(|(_, at)| *at).max().unwrap_or(Moment::ZERO)
    }

    /// Since when none of these troubles concerned anybody; `None` while one does.
    pub fn calm_everywhere(&self, troubles: &[Trouble]) -> Option<Moment> {
        self.calm(troubles, |_| true)
    }

    /// The processes that are no more, and since when.
    pub fn deaths(&self) -> &[(Moment, MemberId)] {
        &self.deaths
    }

    /// Whether this life was asked to leave.
    pub fn was_asked_to_leave(&self, life: MemberId) -> bool {
        self.leavers.contains(&life)
    }

    fn calm(&self, troubles: &[Trouble], concerns: impl Fn(Scope) -> bool) -> Option<Moment> {
        let counts = |(trouble, scope): &(Trouble, Scope)| troubles.contains(trouble) && concerns(*scope);
        if self.active.keys().any(counts) {
            return None;
        }
        let last = self.ended.iter().filter(|(key, _)| counts(key)).map(|(_, at)| *at).max();
        Some(last.unwrap_or(Moment::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);
    const C: HostId = HostId(2);

    #[test]
    fn calm_is_known_for_each_pair() {
        let mut ledger = Ledger::default();
        ledger.begin(Trouble::Reach, Scope::pair(B, A));
        assert_eq!(ledger.calm_between(&[Trouble::Reach], A, B), None);
        assert_eq!(ledger.calm_between(&[Trouble::Reach], A, C), Some(Moment::ZERO));
        ledger.end(Moment::from_nanos(5), Trouble::Reach, Scope::pair(A, B));
        assert_eq!(ledger.calm_everywhere(&Trouble::ALL), Some(Moment::from_nanos(5)));
    }

    #[test]
    fn two_troubles_of_a_kind_both_have_to_end() {
        let mut ledger = Ledger::default();
        ledger.begin(Trouble::Reach, Scope::Host(A));
        ledger.begin(Trouble::Reach, Scope::Host(A));
        ledger.end(Moment::from_nanos(5), Trouble::Reach, Scope::Host(A));
        assert_eq!(ledger.calm_between(&Trouble::ALL, A, C), None);
        assert_eq!(ledger.calm_between(&Trouble::ALL, B, C), Some(Moment::ZERO));
    }
}
