//! Whether this side of a partition is the greater one.
//!
//! The *last agreed view* is the set of ready members that all of them have announced to each other. Whoever sees another set,
//! and still has its majorities, announces that one, and from then on needs a majority of both, until everybody in the new one
//! has announced it: then it is agreed, and takes the place of all before, also with who only hears that another has agreed on it. So two sets of which each was agreed by somebody share
//! a majority of the earlier one. Who is counted must have told its sets on its stream, and its sets bind who counts it: else a
//! member could count one that has since agreed on a smaller view with others.
//!
//! Always true: two members that both have their majorities, by what they have heard, count a third one in common.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    config::{ConfigError, MEMBERS_MAX},
    member::MemberId,
};

/// What a member does that sees too few others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partition {
    /// It goes on. What the sides of a partition have written merges when they meet.
    #[default]
    Serve,
    /// It refuses writes, until it sees enough others again.
    Pause,
}

/// Why a member sees too few others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minority {
    /// Fewer members are ready than `members_min`.
    BelowMin {
        /// How many are, this one included.
        ready: usize,
        /// How many must be.
        min: usize,
    },
    /// Of those that were last known to be there at most half are seen.
    NoMajority {
        /// How many are, this one included.
        seen: usize,
        /// How many there were, but for those that have left in order.
        of: usize,
    },
}

impl FromStr for Partition {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "serve" => Ok(Self::Serve),
            "pause" => Ok(Self::Pause),
            _ => Err(ConfigError { setting: "partition", allowed: "must be serve or pause".into() }),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "serve",
            Self::Pause => "pause",
        })
    }
}

impl fmt::Display for Minority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowMin { ready, min } => write!(f, "only {ready} of members_min ({min}) members are ready"),
            Self::NoMajority { seen, of } => write!(f, "only {seen} of {of} members are seen, which is no majority"),
        }
    }
}

/// Members that were ready together.
pub(crate) type View = BTreeSet<MemberId>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Quorum {
    /// The last agreed view, empty if there was none, and what was announced since.
    sets: Vec<View>,
    /// The sets of each member in view that has told them.
    words: BTreeMap<MemberId, Vec<View>>,
    /// Where members of these sets are, or were.
    addresses: BTreeMap<MemberId, SocketAddr>,
    /// Members that are gone for sure: they left, or live again at the same address.
    gone: BTreeSet<MemberId>,
    /// Of how many members how few are seen, if these are no majority.
    lacking: Option<Lacking>,
    /// Something has changed since it was judged.
    stale: bool,
}

/// How many members of a set are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) seen: usize,
    pub(crate) of: usize,
}

impl Quorum {
    /// A member came into the view.
    pub(crate) fn handle_added(&mut self, member: MemberId, address: SocketAddr) {
        self.words.remove(&member);
        self.gone.remove(&member);
        let before: Vec<_> = self.addresses.iter().filter(|(_, at)| **at == address).map(|(id, _)| *id).collect();
        for life in before.into_iter().filter(|life| *life != member) {
            self.handle_gone(life);
        }
        self.addresses.insert(member, address);
        self.stale = true;
    }

    /// A member is out of the view, and may be on the other side of a partition.
    pub(crate) fn handle_removed(&mut self, member: MemberId) {
        self.words.remove(&member);
        self.stale = true;
    }

    /// A member is no more, or will not be for long: it leaves, or another life is at its address.
    pub(crate) fn handle_gone(&mut self, member: MemberId) {
        self.words.remove(&member);
        self.addresses.remove(&member);
        self.gone.insert(member);
        let words = self.words.values_mut().flatten();
        self.sets.iter_mut().chain(words).for_each(|set| {
            set.remove(&member);
        });
        self.stale = true;
    }

    /// A member in view has told its sets.
    pub(crate) fn handle_word(&mut self, member: MemberId, sets: Vec<Vec<MemberId>>) {
        let still = |set: Vec<MemberId>| set.into_iter().filter(|member| !self.gone.contains(member)).collect();
        let sets = sets.into_iter().map(still).collect();
        self.words.insert(member, sets);
        self.stale = true;
    }

    /// Others are ready than before, or this member is.
    pub(crate) fn handle_ready(&mut self) {
        self.stale = true;
    }

    /// Whether it is time to judge anew.
    pub(crate) fn take_stale(&mut self) -> bool {
        core::mem::take(&mut self.stale)
    }

    /// Judges what is seen: `me`, if it is ready to stay, and these other ready members. Tells whether there is something new
    /// to tell others.
    pub(crate) fn judge(&mut self, me: MemberId, is_ready: bool, ready: &View) -> bool {
        let before = self.sets.clone();
        // Who has told nothing yet comes later.
        let told = ready.iter().filter(|member| self.words.contains_key(*member));
        let target: View = told.copied().chain([me]).collect();
        self.adopt();
        if is_ready {
            self.announce(me, &target);
            let has_told = |member: &MemberId| self.words.get(member).is_some_and(|sets| sets.contains(&target));
            if self.sets.contains(&target) && target.iter().all(|member| *member == me || has_told(member)) {
                self.sets = [target].into();
            }
        }
        self.lacking = self.find_lacking(me);
        self.forget();
        self.sets != before
    }

    /// Judges without the word of others: all that were ever seen are there until they are gone for sure.
    pub(crate) fn presume(&mut self, me: MemberId, is_ready: bool, ready: &View) {
        self.words = ready.iter().map(|member| (*member, Vec::new())).collect();
        let seen = ready.iter().copied().chain([me]);
        if is_ready {
            let all = self.sets.iter().flatten().copied().chain(seen).take(NAMED_MAX).collect();
            self.sets = [all].into();
        }
        self.lacking = self.find_lacking(me);
        self.forget();
    }

    /// An operator says that who is missing is gone: what is seen now is agreed.
    pub(crate) fn settle(&mut self, me: MemberId, ready: &View) {
        let mut seen = ready.clone();
        seen.insert(me);
        let missing: BTreeSet<_> = self.sets.iter().chain(self.words.values().flatten()).flatten().copied().collect();
        missing.difference(&seen).for_each(|member| self.handle_gone(*member));
    }

    /// What is to be told.
    pub(crate) fn sets(&self) -> Vec<Vec<MemberId>> {
        self.sets.iter().map(|set| set.iter().copied().collect()).collect()
    }

    /// How many places that takes.
    pub(crate) fn named(&self) -> usize {
        self.sets.iter().map(|set| 1 + set.len()).sum()
    }

    /// Of how many members how few are seen; `None` if there is a majority.
    pub(crate) fn lacking(&self) -> Option<Lacking> {
        self.lacking
    }

    /// Takes what another has agreed on for agreed: everybody in it has announced it.
    fn adopt(&mut self) {
        for agreed in self.words.values().filter_map(|sets| sets.first()).filter(|agreed| !agreed.is_empty()) {
            if let Some(at) = self.sets.iter().position(|set| set == agreed) {
                self.sets.drain(..at);
            }
        }
    }

    /// From now on a majority of this set is needed too. Not of one that would need more than is seen.
    fn announce(&mut self, me: MemberId, target: &View) {
        let has_room = self.named() + 2 + target.len() <= NAMED_MAX;
        if !has_room || self.sets.contains(target) || self.find_lacking(me).is_some() {
            return;
        }
        if self.sets.is_empty() {
            // It has agreed on nothing yet.
            self.sets.push(View::new());
        }
        self.sets.push(target.clone());
        if self.find_lacking(me).is_some() {
            self.sets.pop();
        }
    }

    /// A set of which too few are seen, if there is one whoever is counted: those that this member's own sets name, as what
    /// others remember need not matter to who does well without them, or all.
    fn find_lacking(&self, me: MemberId) -> Option<Lacking> {
        let by_all = self.lacking_of(me, |_| true);
        if self.sets.iter().all(View::is_empty) {
            return by_all;
        }
        by_all.and(self.lacking_of(me, |member| self.sets.iter().any(|set| set.contains(member))))
    }

    /// The first set, of this member or of one that it counts, of which too few are seen.
    fn lacking_of(&self, me: MemberId, counts: impl Fn(&MemberId) -> bool) -> Option<Lacking> {
        let is_seen = |member: &&MemberId| **member == me || self.words.contains_key(*member) && counts(member);
        let words = self.words.iter().filter(|(member, _)| counts(member)).flat_map(|(_, sets)| sets);
        let parts = self.sets.iter().chain(words);
        let mut parts = parts.map(|set| Lacking { seen: set.iter().filter(is_seen).count(), of: set.len() });
        parts.find(|Lacking { seen, of }| 0 < *of && seen * 2 <= *of)
    }

    /// Forgets who is named nowhere.
    fn forget(&mut self) {
        if self.words.len() + KEPT_MAX < self.addresses.len() {
            let named: BTreeSet<_> = self.sets.iter().chain(self.words.values().flatten()).flatten().copied().collect();
            let words = &self.words;
            self.addresses.retain(|member, _| named.contains(member) || words.contains_key(member));
        }
        while KEPT_MAX < self.gone.len() {
            self.gone.pop_first();
        }
    }
}

/// How many members the sets of one name together at the most. Past it no further change of the view is announced, so none
/// is agreed on until all of an earlier one are seen again.
pub(crate) const NAMED_MAX: usize = 3 * MEMBERS_MAX;

/// How many lives are kept in mind that nobody names any more.
const KEPT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// From whom, to whom, and what.
    type Word = (u64, u64, Vec<Vec<MemberId>>);

    /// Members that hear each other as they are told to.
    struct Cluster(BTreeMap<u64, (Quorum, View)>);

    impl Cluster {
        fn agreed(members: u64) -> Self {
            let mut cluster = Self((1..=members).map(|id| (id, (Quorum::default(), View::new()))).collect());
            let all: Vec<_> = (1..=members).collect();
            cluster.meet(&all);
            cluster
        }

        fn see(&mut self, one: u64, other: u64) {
            let (quorum, view) = self.0.get_mut(&one).expect("it is there");
            quorum.handle_added(MemberId(other), ([127, 0, 0, 1], u16::try_from(other).expect("small")).into());
            view.insert(MemberId(other));
        }

        fn miss(&mut self, one: u64, other: u64) {
            let (quorum, view) = self.0.get_mut(&one).expect("it is there");
            quorum.handle_removed(MemberId(other));
            view.remove(&MemberId(other));
            self.judge(one);
        }

        fn judge(&mut self, one: u64) -> bool {
            let (quorum, view) = self.0.get_mut(&one).expect("it is there");
            quorum.judge(MemberId(one), true, &view.clone())
        }

        fn judge_each(&mut self, members: &[u64]) {
            for one in members {
                self.judge(*one);
            }
        }

        fn tell(&mut self, one: u64, other: u64) {
            let sets = self.0[&one].0.sets();
            self.0.get_mut(&other).expect("it is there").0.handle_word(MemberId(one), sets);
        }

        /// These see each other, and talk until nothing is new.
        fn meet(&mut self, members: &[u64]) {
            for (one, other) in pairs(members) {
                if !self.0[&one].1.contains(&MemberId(other)) {
                    self.see(one, other);
                }
            }
            self.talk(members);
        }

        fn talk(&mut self, members: &[u64]) {
            for _ in 0..10 {
                self.judge_each(members);
                pairs(members).for_each(|(one, other)| self.tell(one, other));
            }
            self.judge_each(members);
        }

        fn split(&mut self, one: &[u64], other: &[u64]) {
            for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
                self.miss(a, b);
                self.miss(b, a);
            }
            self.talk(one);
            self.talk(other);
        }

        fn has_majority(&self, member: u64) -> bool {
            self.0[&member].0.lacking().is_none()
        }
    }

    fn pairs(members: &[u64]) -> impl Iterator<Item = (u64, u64)> {
        members
            .iter()
            .flat_map(|one| members.iter().map(move |other| (*one, *other)))
            .filter(|(one, other)| one != other)
    }

    #[test]
    fn the_larger_side_of_a_split_goes_on_and_both_do_when_they_meet() {
        let mut cluster = Cluster::agreed(5);
        cluster.split(&[1, 2], &[3, 4, 5]);
        assert_eq!([1, 2, 3, 4, 5].map(|member| cluster.has_majority(member)), [false, false, true, true, true]);
        assert_eq!(cluster.0[&1].0.lacking(), Some(Lacking { seen: 2, of: 5 }));
        cluster.meet(&[1, 2, 3, 4, 5]);
        assert!((1..=5).all(|member| cluster.has_majority(member)));
        assert!(cluster.0.values().all(|(quorum, _)| quorum.sets().len() == 1), "they agree");
    }

    #[test]
    fn halves_have_no_majority() {
        let mut cluster = Cluster::agreed(4);
        cluster.split(&[1, 2], &[3, 4]);
        assert!((1..=4).all(|member| !cluster.has_majority(member)));
        let mut two = Cluster::agreed(2);
        two.split(&[1], &[2]);
        assert!(!two.has_majority(1) && !two.has_majority(2));
    }

    #[test]
    fn members_that_die_one_by_one_shrink_the_view_down_to_two() {
        let mut cluster = Cluster::agreed(5);
        for (dead, rest) in [(5, vec(4)), (4, vec(3)), (3, vec(2))] {
            cluster.split(&[dead], &rest);
            assert!(rest.iter().all(|member| cluster.has_majority(*member)), "after {dead}");
        }
        cluster.split(&[2], &[1]);
        assert!(!cluster.has_majority(1));
    }

    #[test]
    fn who_leaves_in_order_or_lives_again_is_not_waited_for() {
        let mut cluster = Cluster::agreed(2);
        let (mut left, mut again) = (cluster.0[&1].0.clone(), cluster.0[&1].0.clone());
        left.handle_gone(MemberId(2));
        left.judge(MemberId(1), true, &View::new());
        assert_eq!(left.lacking(), None);
        cluster.split(&[1], &[2]);
        again.handle_removed(MemberId(2));
        again.judge(MemberId(1), true, &View::new());
        assert_eq!(again.lacking(), Some(Lacking { seen: 1, of: 2 }));
        again.handle_added(MemberId(7), ([127, 0, 0, 1], 2).into());
        again.judge(MemberId(1), true, &View::new());
        assert_eq!(again.lacking(), None);
    }

    /// One has agreed on the smaller view, and another was counted for it, when the rest come back for that other one.
    #[test]
    fn who_counts_a_member_is_bound_by_what_that_one_has_announced() {
        let mut cluster = Cluster::agreed(5);
        for (one, other) in [1, 2, 3].into_iter().flat_map(|one| [4, 5].map(|other| (one, other))) {
            cluster.miss(one, other);
            cluster.miss(other, one);
        }
        // All three announce the smaller view, and only the first hears that they all did.
        for (one, other) in [(2, 1), (3, 1)] {
            cluster.tell(one, other);
        }
        assert!(cluster.judge(1));
        cluster.miss(1, 3);
        for one in [1, 2] {
            cluster.miss(3, one);
        }
        cluster.meet(&[3, 4, 5]);
        cluster.talk(&[1, 2]);
        assert!(cluster.has_majority(1) && cluster.has_majority(2), "two of three");
        assert!([3, 4, 5].iter().all(|member| !cluster.has_majority(*member)), "three of five, and one of three");
    }

    #[test]
    fn an_operator_may_say_that_the_missing_are_gone() {
        let mut cluster = Cluster::agreed(2);
        cluster.split(&[1], &[2]);
        let (quorum, view) = cluster.0.get_mut(&1).expect("it is there");
        quorum.settle(MemberId(1), &view.clone());
        cluster.judge(1);
        assert!(cluster.has_majority(1));
    }

    #[test]
    fn the_memory_of_one_that_comes_back_binds_nobody_who_does_well_without_it() {
        let mut cluster = Cluster::agreed(7);
        for (dead, rest) in [(7, vec(6)), (6, vec(5)), (5, vec(4)), (4, vec(3)), (3, vec(2))] {
            cluster.split(&[dead], &rest);
        }
        assert!(cluster.has_majority(1) && cluster.has_majority(2));
        // It remembers all seven.
        for (one, other) in [(1, 7), (7, 1)] {
            cluster.see(one, other);
            cluster.tell(other, one);
        }
        cluster.judge(1);
        cluster.judge(7);
        assert!(cluster.has_majority(1) && !cluster.has_majority(7), "two of two, and two of seven");
        cluster.meet(&[1, 2, 7]);
        assert!([1, 2].iter().all(|member| cluster.has_majority(*member)));
    }

    #[test]
    fn who_hears_no_word_counts_all_that_it_has_seen_until_they_are_gone() {
        let (mut quorum, me) = (Quorum::default(), MemberId(1));
        let [three, two, one] =
            [&[2, 3][..], &[2], &[]].map(|ids| ids.iter().map(|id| MemberId(*id)).collect::<View>());
        quorum.presume(me, true, &three);
        quorum.presume(me, true, &two);
        assert_eq!(quorum.lacking(), None);
        quorum.presume(me, true, &one);
        assert_eq!(quorum.lacking(), Some(Lacking { seen: 1, of: 3 }));
        quorum.handle_gone(MemberId(2));
        quorum.handle_gone(MemberId(3));
        quorum.presume(me, true, &one);
        assert_eq!(quorum.lacking(), None);
    }

    /// Connections come and go, words are late, and views change one by one: on no two sides that have nobody in common there
    /// are majorities at once, and who sees all has one in the end.
    #[test]
    fn no_two_sides_have_majorities_whatever_is_heard_when() {
        for seed in 0..300 {
            let (mut rng, members) = (Rng::new(seed), 3 + seed % 5);
            let mut cluster = Cluster::agreed(members);
            let all: Vec<u64> = (1..=members).collect();
            let mut sides: BTreeMap<u64, u64> = all.iter().map(|member| (*member, 0)).collect();
            let (mut late, mut majorities): (Vec<Word>, _) = (Vec::new(), 0);
            for _ in 0..150 {
                match rng.next() % 12 {
                    0 => {
                        let moves = all[index(&mut rng, all.len())];
                        sides.insert(moves, rng.next() % 3);
                        late.retain(|(from, to, _)| sides[from] == sides[to]);
                        for other in all.iter().filter(|other| sides[*other] != sides[&moves]) {
                            cluster.miss(moves, *other);
                            cluster.miss(*other, moves);
                        }
                    }
                    1 | 2 => {
                        let (one, other) = (all[index(&mut rng, all.len())], all[index(&mut rng, all.len())]);
                        let apart = !cluster.0[&one].1.contains(&MemberId(other));
                        if one != other && apart && sides[&one] == sides[&other] {
                            for (one, other) in [(one, other), (other, one)] {
                                cluster.see(one, other);
                                late.push((one, other, cluster.0[&one].0.sets()));
                            }
                        }
                    }
                    _ if late.is_empty() => {}
                    _ => {
                        // Words between two members keep their order.
                        let (from, to, _) = late[index(&mut rng, late.len())];
                        let at = late.iter().position(|(a, b, _)| (*a, *b) == (from, to)).expect("it is there");
                        let (from, to, sets) = late.remove(at);
                        if cluster.0[&to].1.contains(&MemberId(from)) {
                            cluster.0.get_mut(&to).expect("it is there").0.handle_word(MemberId(from), sets);
                        }
                    }
                }
                for one in &all {
                    if cluster.judge(*one) {
                        let seen = cluster.0[one].1.clone();
                        late.extend(seen.iter().map(|other| (*one, other.0, cluster.0[one].0.sets())));
                    }
                }
                let with: BTreeSet<u64> =
                    all.iter().filter(|one| cluster.has_majority(**one)).map(|one| sides[one]).collect();
                assert!(with.len() <= 1, "seed {seed}: {sides:?}");
                majorities += with.len();
            }
            assert!(0 < majorities);
            cluster.meet(&all);
            assert!(all.iter().all(|member| cluster.has_majority(*member)), "seed {seed}");
        }
    }

    fn index(rng: &mut Rng, below: usize) -> usize {
        usize::try_from(rng.next() % u64::try_from(below).expect("small")).expect("small")
    }

    fn vec(to: u64) -> Vec<u64> {
        (1..=to).collect()
    }
}
