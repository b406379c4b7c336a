//! Which members must hold a copy of a session: a pure function of its key and the view.
//!
//! With backups these are `k` + 1 ready members: in the order of their rank the best of each zone, if these are too few the
//! best of each other host, and if these are too few the best of the rest. So no two are in one zone while another zone is
//! to be had, nor on one host while another host is. The owner holds a copy too, whether it is among them or not; so a
//! takeover by any of them moves nothing. A member that is joining counts for what it would have to hold if it alone of
//! those that are joining were ready: it is fed before it serves (P5).
//!
//! Always true, with labels too: a member that must hold a session must hold it in every smaller view that it is in. So a
//! removal moves only what the removed one had, and brings each of its sessions to one other member.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    copies::{BACKUPS_MAX, Copies},
    digest::Holders,
    key::SessionKey,
    member::MemberId,
    rank::{Rank, Ranking},
};

/// A member that may hold copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: MemberId,
    pub(crate) weight: u16,
    /// The machine that it runs on, of those in its zone; empty if that is not known.
    pub(crate) host: &'a str,
    /// Empty if that is not known: then its host is a zone of its own.
    pub(crate) zone: &'a str,
}

/// Who there is to hold copies, in one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    copies: Copies,
    ready: Vec<Place>,
    joining: Vec<Place>,
    /// Not all have the same weight.
    weighted: bool,
    /// There are members that share a zone.
    grouped: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: MemberId,
    weight: u16,
    /// Its zone, its host and itself, numbered: each is within the one before.
    groups: [usize; 3],
}

impl Placement {
    /// The order of the members does not matter.
    pub(crate) fn new(copies: Copies, ready: Vec<Candidate<'_>>, joining: Vec<Candidate<'_>>) -> Self {
        let mut groups = Groups::default();
        let [ready, joining] = [ready, joining].map(|mut members| {
            members.sort_unstable_by_key(|member| member.id);
            members.iter().map(|member| groups.place(member)).collect::<Vec<_>>()
        });
        let weights = || ready.iter().chain(&joining).map(|member| member.weight);
        let weighted = weights().min() != weights().max();
        let grouped = groups.zones.len() < groups.members;
        Self { copies, ready, joining, weighted, grouped }
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
            Copies::Everywhere => return self.ready.iter().chain(&self.joining).map(|member| member.id).collect(),
            Copies::Backups(backups) => usize::from(backups.min(BACKUPS_MAX)) + 1,
            Copies::Nowhere => return Vec::new(),
        };
        // Where each is a zone of its own, the best of the zones are the best of all.
        if self.grouped {
            self.select(key, Selection::<3>::new(most))
        } else {
            self.select(key, Selection::<1>::new(most))
        }
    }

    /// Who must hold a session, the owner aside, as far as it matters where.
    pub(crate) fn sharers(&self, key: &SessionKey) -> Holders {
        if self.copies == Copies::Everywhere { Holders::All } else { Holders::These(self.holders(key)) }
    }

    /// Between whom sessions are placed.
    pub(crate) fn ready(&self) -> impl Iterator<Item = MemberId> {
        self.ready.iter().map(|member| member.id)
    }

    /// The same, and those that are joining.
    pub(crate) fn members(&self) -> impl Iterator<Item = MemberId> {
        self.ready.iter().chain(&self.joining).map(|member| member.id)
    }

    /// The ready member that must see to a session whose owner is gone: with backups the first of its holders.
    pub(crate) fn highest(&self, key: &SessionKey) -> Option<MemberId> {
        let ranking = Ranking::new(key);
        self.ready.iter().map(|member| self.rank(ranking, member)).min().map(|rank| rank.id)
    }

    fn select<const LISTS: usize>(&self, key: &SessionKey, mut selection: Selection<LISTS>) -> Vec<MemberId> {
        let ranking = Ranking::new(key);
        for member in &self.ready {
            selection.offer(self.rank(ranking, member), member);
        }
        let mut holders = selection.take();
        for member in &self.joining {
            let mut with = selection;
            with.offer(self.rank(ranking, member), member);
            holders.extend(with.take().into_iter().find(|one| *one == member.id));
        }
        holders
    }

    fn rank(&self, ranking: Ranking, member: &Place) -> Rank {
        if self.weighted { ranking.weighted(member.id, member.weight) } else { ranking.even(member.id) }
    }
}

/// Numbers zones and hosts, so that they are compared fast.
#[derive(Debug, Default)]
struct Groups<'a> {
    zones: BTreeMap<Label<'a>, usize>,
    hosts: BTreeMap<Label<'a>, usize>,
    members: usize,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label<'a> {
    Zone(&'a str),
    Host(&'a str, &'a str),
    /// Nothing is known of where it runs.
    Alone(MemberId),
}

impl<'a> Groups<'a> {
    fn place(&mut self, member: &Candidate<'a>) -> Place {
        let Candidate { id, weight, host, zone } = *member;
        let machine = || if host.is_empty() { Label::Alone(id) } else { Label::Host(zone, host) };
        let area = if zone.is_empty() { machine() } else { Label::Zone(zone) };
        let (zones, hosts) = (self.zones.len(), self.hosts.len());
        let groups =
            [*self.zones.entry(area).or_insert(zones), *self.hosts.entry(machine()).or_insert(hosts), self.members];
        self.members += 1;
        Place { id, weight, groups }
    }
}

/// Selects holders while members pass by once.
#[derive(Clone, Copy, Debug)]
struct Selection<const LISTS: usize> {
    most: usize,
    /// Of zones; and where some share one, of hosts and of all.
    bests: [Best; LISTS],
}

impl<const LISTS: usize> Selection<LISTS> {
    fn new(most: usize) -> Self {
        Self { most, bests: [Best::NONE; LISTS] }
    }

    fn offer(&mut self, rank: Rank, member: &Place) {
        for (best, group) in self.bests.iter_mut().zip(member.groups) {
            best.offer(rank, group, self.most);
        }
    }

    fn take(&self) -> Vec<MemberId> {
        let mut holders = Vec::with_capacity(self.most);
        for best in &self.bests {
            for (rank, _) in best.list.iter().take_while(|(rank, _)| *rank != Rank::NONE) {
                if holders.len() < self.most && !holders.contains(&rank.id) {
                    holders.push(rank.id);
                }
            }
        }
        holders
    }
}

/// The best of each group, best first.
#[derive(Clone, Copy, Debug)]
struct Best {
    list: [(Rank, usize); HOLDERS_MAX],
}

impl Best {
    const NONE: Self = Self { list: [(Rank::NONE, usize::MAX); HOLDERS_MAX] };

    /// Keeps at most so many. A group that is crowded out comes back with a better one, as no place ever gets worse.
    fn offer(&mut self, rank: Rank, group: usize, most: usize) {
        let list = &mut self.list[..most];
        let mut at = most - 1;
        if list[at].0 < rank {
            return;
        }
        if let Some(same) = list.iter().position(|(_, other)| *other == group) {
            if list[same].0 < rank {
                return;
            }
            at = same;
        }
        while 0 < at && rank < list[at - 1].0 {
            list[at] = list[at - 1];
            at -= 1;
        }
        list[at] = (rank, group);
    }
}

/// The most members that must hold one session, the owner aside.
const HOLDERS_MAX: usize = BACKUPS_MAX as usize + 1;

#[cfg(test)]
mod tests {
    use alloc::{
        borrow::ToOwned,
        collections::BTreeSet,
        string::{String, ToString},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    #[derive(Clone, Debug, PartialEq)]
    struct Labelled {
        id: MemberId,
        weight: u16,
        host: String,
        zone: String,
    }

    fn plain(ids: impl IntoIterator<Item = u64>) -> Vec<Labelled> {
        let labelled = |id| Labelled { id: MemberId(id), weight: 100, host: String::new(), zone: String::new() };
        ids.into_iter().map(labelled).collect()
    }

    /// Few labels, so that they meet: hosts of one name in two zones, in none, and zones without a host.
    fn labelled() -> impl Strategy<Value = Vec<Labelled>> {
        let label = || prop::sample::select(["", "a", "b", "c"].as_slice());
        let weight = prop_oneof![Just(100), 1..=1000_u16];
        prop::collection::btree_map(any::<u64>(), (weight, label(), label()), 1..16).prop_map(|members| {
            let labelled = |(id, (weight, host, zone)): (u64, (u16, &str, &str))| Labelled {
                id: MemberId(id),
                weight,
                host: host.to_owned(),
                zone: zone.to_owned(),
            };
            members.into_iter().map(labelled).collect()
        })
    }

    fn backups() -> impl Strategy<Value = Copies> {
        (1..=BACKUPS_MAX).prop_map(Copies::Backups)
    }

    fn keys() -> impl Strategy<Value = SessionKey> {
        any::<[u8; 16]>().prop_map(SessionKey)
    }

    fn many_keys(count: usize) -> impl Iterator<Item = SessionKey> {
        let mut rng = Rng::new(1);
        let next = move || SessionKey((u128::from(rng.next()) << 64 | u128::from(rng.next())).to_le_bytes());
        core::iter::repeat_with(next).take(count)
    }

    fn placement(copies: Copies, ready: &[Labelled], joining: &[Labelled]) -> Placement {
        let [ready, joining] = [ready, joining].map(|members| {
            members
                .iter()
                .map(|Labelled { id, weight, host, zone }| Candidate { id: *id, weight: *weight, host, zone })
                .collect()
        });
        Placement::new(copies, ready, joining)
    }

    fn holders(copies: Copies, members: &[Labelled], key: &SessionKey) -> Vec<MemberId> {
        placement(copies, members, &[]).holders(key)
    }

    fn share_a_host(one: &Labelled, other: &Labelled) -> bool {
        !one.host.is_empty() && (&one.host, &one.zone) == (&other.host, &other.zone)
    }

    fn share_a_zone(one: &Labelled, other: &Labelled) -> bool {
        share_a_host(one, other) || !one.zone.is_empty() && one.zone == other.zone
    }

    fn meets(members: &[&Labelled], one: &Labelled, share: fn(&Labelled, &Labelled) -> bool) -> bool {
        members.iter().any(|other| share(one, other))
    }

    /// What is selected, by the words of the design.
    fn selected(copies: Copies, members: &[Labelled], key: &SessionKey) -> Vec<MemberId> {
        let Copies::Backups(backups) = copies else { panic!("there is a number") };
        let mut ranked: Vec<_> = members.iter().collect();
        ranked.sort_by_key(|member| Ranking::new(key).weighted(member.id, member.weight));
        let mut chosen: Vec<&Labelled> = Vec::new();
        let shares: [fn(&Labelled, &Labelled) -> bool; 3] = [share_a_zone, share_a_host, |one, other| one == other];
        for share in shares {
            for member in &ranked {
                if chosen.len() <= usize::from(backups) && !chosen.contains(member) && !meets(&chosen, member, share) {
                    chosen.push(member);
                }
            }
        }
        chosen.into_iter().map(|member| member.id).collect()
    }

    proptest! {
        #[test]
        fn the_best_of_zones_go_before_the_best_of_hosts_and_these_before_the_rest(
            members in labelled(), copies in backups(), key in keys(),
        ) {
            let placement = placement(copies, &members, &[]);
            prop_assert_eq!(placement.holders(&key), selected(copies, &members, &key));
            prop_assert_eq!(placement.highest(&key), placement.holders(&key).first().copied());
        }

        #[test]
        fn there_are_as_many_as_asked_for_or_all(members in labelled(), copies in backups(), key in keys()) {
            let Copies::Backups(backups) = copies else { panic!("there is a number") };
            let holders: BTreeSet<_> = holders(copies, &members, &key).into_iter().collect();
            prop_assert_eq!(holders.len(), members.len().min(usize::from(backups) + 1));
        }

        #[test]
        fn the_order_of_the_members_does_not_matter(
            (members, shuffled) in labelled().prop_flat_map(|members| (Just(members.clone()), Just(members).prop_shuffle())),
            ready in 0..16_usize,
        ) {
            let of = |members: &[Labelled]| {
                let is_ready = |member: &&Labelled| member.id.0 % 16 < ready as u64;
                let (ready, joining): (Vec<_>, Vec<_>) = members.iter().partition(is_ready);
                let [ready, joining] = [ready, joining].map(|some| some.into_iter().cloned().collect::<Vec<_>>());
                placement(Copies::Backups(2), &ready, &joining)
            };
            prop_assert_eq!(of(&members), of(&shuffled));
        }

        #[test]
        fn no_two_share_a_zone_or_a_host_while_another_is_to_be_had(
            members in labelled(), copies in backups(), key in keys(),
        ) {
            let holders = holders(copies, &members, &key);
            let (chosen, others): (Vec<_>, Vec<_>) = members.iter().partition(|member| holders.contains(&member.id));
            for share in [share_a_zone, share_a_host] {
                let twice = chosen.iter().any(|one| chosen.iter().any(|other| one != other && share(one, other)));
                let another = others.iter().any(|other| !meets(&chosen, other, share));
                prop_assert!(!(twice && another));
            }
        }

        /// With labels too, as they group members in trees: hosts in zones.
        #[test]
        fn who_must_hold_must_hold_in_every_smaller_view(
            members in labelled(), copies in backups(), key in keys(), gone in any::<u16>(),
        ) {
            let left = members.iter().enumerate().filter(|(at, _)| gone >> at & 1 == 0);
            let left: Vec<_> = left.map(|(_, member)| member.clone()).collect();
            let after = holders(copies, &left, &key);
            for holder in holders(copies, &members, &key) {
                prop_assert!(after.contains(&holder) || left.iter().all(|member| member.id != holder));
            }
        }

        #[test]
        fn a_removal_brings_what_the_removed_one_had_to_one_other_and_moves_nothing_else(
            mut members in labelled(), copies in backups(), key in keys(), at in any::<prop::sample::Index>(),
        ) {
            let before: BTreeSet<_> = holders(copies, &members, &key).into_iter().collect();
            let all = placement(copies, &members, &[]);
            let removed = members.remove(at.index(members.len())).id;
            let left = holders(copies, &members, &key);
            prop_assert_eq!(&all.without(removed).holders(&key), &left);
            let after: BTreeSet<_> = left.into_iter().collect();
            let (lost, won) = (before.difference(&after).count(), after.difference(&before).count());
            let had = before.contains(&removed);
            prop_assert_eq!(lost, usize::from(had));
            prop_assert_eq!(won, usize::from(had && before.len() <= members.len()));
        }

        /// P5.
        #[test]
        fn a_joiner_gets_what_it_alone_would_hold_and_displaces_nobody(
            members in labelled(), copies in backups(), key in keys(), ready in any::<prop::sample::Index>(),
        ) {
            let (ready, joining) = members.split_at(ready.index(members.len()));
            let (before, during) = (holders(copies, ready, &key), placement(copies, ready, joining).holders(&key));
            prop_assert!(during.starts_with(&before));
            for joiner in joining {
                let alone = [ready, core::slice::from_ref(joiner)].concat();
                let holds = holders(copies, &alone, &key).contains(&joiner.id);
                prop_assert_eq!(during.contains(&joiner.id), holds);
            }
            for holder in holders(copies, &members, &key) {
                prop_assert!(during.contains(&holder));
            }
        }
    }

    /// Of 20,000 sessions, how many each must hold and for how many it ranks highest.
    fn shares(copies: Copies, members: &[Labelled]) -> Vec<[u64; 2]> {
        let placement = placement(copies, members, &[]);
        let mut counts: BTreeMap<_, [u64; 2]> = members.iter().map(|member| (member.id, [0; 2])).collect();
        for key in many_keys(20_000) {
            placement.holders(&key).iter().for_each(|member| counts.get_mut(member).expect("it is there")[0] += 1);
            let highest = placement.highest(&key).expect("there is one");
            counts.get_mut(&highest).expect("it is there")[1] += 1;
        }
        counts.into_values().collect()
    }

    /// Within four standard deviations, which are no more than the root of what is expected.
    fn assert_near(shares: &[[u64; 2]], expected: &[[u64; 2]]) {
        let mut pairs = shares.iter().flatten().zip(expected.iter().flatten());
        let near = pairs.all(|(share, expected)| share.abs_diff(*expected).pow(2) <= 16 * expected);
        assert!(near && shares.len() == expected.len(), "{shares:?} instead of {expected:?}");
    }

    #[test]
    fn shares_follow_the_weights() {
        let members = (1..).zip(plain(1..=3)).map(|(n, member)| Labelled { weight: n * 100, ..member });
        let members: Vec<_> = members.collect();
        // Each holds what it ranks highest for, and of what is left of the others its share among two.
        let expected = [[8333, 3333], [14_667, 6667], [17_000, 10_000]];
        assert_near(&shares(Copies::Backups(1), &members), &expected);
        let mut members = plain(1..=40);
        members.iter_mut().take(20).for_each(|member| member.weight = 1000);
        let expected: Vec<_> = (0..40).map(|at| if at < 20 { [1815, 909] } else { [185, 91] }).collect();
        assert_near(&shares(Copies::Backups(1), &members), &expected);
    }

    #[test]
    fn equal_weights_have_equal_shares() {
        assert_near(&shares(Copies::Backups(2), &plain(1..=10)), &[[6000, 2000]; 10]);
        let zoned = (0..).zip(plain(1..=10)).map(|(n, member)| Labelled { zone: (n % 5).to_string(), ..member });
        assert_near(&shares(Copies::Backups(2), &zoned.collect::<Vec<_>>()), &[[6000, 2000]; 10]);
    }

    #[test]
    fn everywhere_is_everybody_and_nowhere_nobody_else() {
        for (copies, count) in [(Copies::Everywhere, 4), (Copies::Nowhere, 0)] {
            let placement = placement(copies, &plain(1..=3), &plain([9]));
            assert!(many_keys(200).all(|key| placement.holders(&key).len() == count));
            assert!(many_keys(200).all(|key| placement.highest(&key).is_some()));
        }
    }
}
