//! Which members must hold a copy of a session: a pure function of its key and the view.
//!
//! With backups these are the `k` + 1 ready members that rank highest for the key by rendezvous hashing (Thaler and
//! Ravishankar, 1998). The owner holds one too, whether it is among them or not; so a takeover by any of them moves
//! nothing, and a change of the view moves only the share that it must. A member that is joining counts for what it would
//! have to hold if it were ready: it is fed before it serves (P5).

use alloc::vec::Vec;

use crate::{copies::Copies, key::SessionKey, member::MemberId, rng::mix};

/// A member that may hold copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: MemberId,
}

/// Who there is to hold copies, in one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    copies: Copies,
    ready: Vec<Candidate>,
    joining: Vec<Candidate>,
}

impl Placement {
    pub(crate) fn new(copies: Copies, ready: Vec<Candidate>, joining: Vec<Candidate>) -> Self {
        Self { copies, ready, joining }
    }

    /// The same without a member.
    pub(crate) fn without(&self, member: MemberId) -> Self {
        let mut without = self.clone();
        without.ready.retain(|candidate| candidate.id != member);
        without.joining.retain(|candidate| candidate.id != member);
        without
    }

    /// Who must hold a session, the owner aside; a member that is joining if it had to if it were ready.
    pub(crate) fn holders(&self, key: &SessionKey) -> Vec<MemberId> {
        let most = match self.copies {
            Copies::Everywhere => usize::MAX,
            Copies::Backups(backups) => usize::from(backups) + 1,
            Copies::Nowhere => 0,
        };
        let mut ranked: Vec<_> = self.ready.iter().map(|member| rank(key, member)).collect();
        ranked.sort_unstable_by(|one, other| other.cmp(one));
        let joining = self.joining.iter().map(|member| rank(key, member));
        let joining = joining.filter(|joiner| ranked.iter().take_while(|ready| joiner < *ready).count() < most);
        let joining: Vec<_> = joining.collect();
        ranked.iter().take(most).chain(&joining).map(|&(_, member)| member).collect()
    }

    /// The ready member that must see to a session whose owner is gone.
    pub(crate) fn highest(&self, key: &SessionKey) -> Option<MemberId> {
        self.ready.iter().map(|member| rank(key, member)).max().map(|(_, member)| member)
    }
}

fn rank(key: &SessionKey, member: &Candidate) -> (u64, MemberId) {
    let [low, high] = [0, 8].map(|at| {
        let mut half = [0; 8];
        half.copy_from_slice(&key.0[at..at + 8]);
        u64::from_le_bytes(half)
    });
    (mix(mix(low ^ member.id.0) ^ high), member.id)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    fn members(ids: impl IntoIterator<Item = u64>) -> Vec<Candidate> {
        ids.into_iter().map(|id| Candidate { id: MemberId(id) }).collect()
    }

    fn keys() -> impl Iterator<Item = SessionKey> {
        (0..200).map(|n| SessionKey([n; 16]))
    }

    #[test]
    fn a_death_moves_only_what_the_dead_one_had() {
        let [all, left] =
            [members(1..=5), members(2..=5)].map(|ready| Placement::new(Copies::Backups(1), ready, Vec::new()));
        for key in keys() {
            let before: BTreeSet<_> = all.holders(&key).into_iter().collect();
            let after: BTreeSet<_> = left.holders(&key).into_iter().collect();
            assert_eq!((before.len(), after.len()), (2, 2));
            assert!(before.contains(&MemberId(1)) || before == after);
            assert!(before.iter().all(|member| *member == MemberId(1) || after.contains(member)));
        }
    }

    #[test]
    fn a_joiner_gets_what_it_will_hold_and_displaces_nobody_before_it_is_ready() {
        let before = Placement::new(Copies::Backups(2), members(1..=5), Vec::new());
        let joining = Placement::new(Copies::Backups(2), members(1..=5), members([6]));
        let after = Placement::new(Copies::Backups(2), members(1..=6), Vec::new());
        for key in keys() {
            assert!(before.holders(&key).iter().all(|member| joining.holders(&key).contains(member)));
            assert_eq!(joining.holders(&key).contains(&MemberId(6)), after.holders(&key).contains(&MemberId(6)));
        }
    }

    #[test]
    fn everywhere_is_everybody_and_nowhere_nobody_else() {
        for (copies, count) in [(Copies::Everywhere, 4), (Copies::Nowhere, 0)] {
            let placement = Placement::new(copies, members(1..=3), members([9]));
            assert!(keys().all(|key| placement.holders(&key).len() == count));
            assert!(keys().all(|key| placement.highest(&key).is_some()));
        }
    }
}
