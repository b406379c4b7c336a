//! Whether this side of a partition is the greater one.
//!
//! The *last agreed view* is the set of ready members that all of them have announced to each other. Whoever sees another set,
//! and still has its majorities, announces that one, under a number that is above all that it knows, and from then on needs a
//! majority of both, until everybody in the new one has announced it under the same number: then it is agreed, and takes the
//! place of all lesser numbers with who is in it and hears of that. Who is counted must have told what it has announced on its
//! stream, and that binds who counts it: else a member could count one that has since agreed on a smaller view with others.
//!
//! A number is used once, so who comes back to a view that it has left needs the others to announce it anew: what they said
//! before does not count. Always true: no two members have their majorities, by what they have heard, without counting one in
//! common.

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

/// A view that a member has announced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) number: u64,
    pub(crate) view: View,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Quorum {
    /// The last agreed view, empty if there was none, and what was announced since, by number.
    announced: Vec<Announced>,
    /// The same of each member in view that has told it.
    words: BTreeMap<MemberId, Vec<Announced>>,
    /// Where members of these views are, or were.
    addresses: BTreeMap<MemberId, SocketAddr>,
    /// Members that are gone for sure: they left, or live again at the same address.
    gone: BTreeSet<MemberId>,
    /// Of how many members how few are seen, if these are no majority.
    lacking: Option<Lacking>,
    /// Something has changed since it was judged.
    stale: bool,
}

/// How many members of a view are seen.
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
        for announced in self.announced.iter_mut().chain(self.words.values_mut().flatten()) {
            announced.view.remove(&member);
        }
        self.stale = true;
    }

    /// A member in view has told what it has announced.
    pub(crate) fn handle_word(&mut self, member: MemberId, mut announced: Vec<Announced>) {
        for announced in &mut announced {
            announced.view.retain(|member| !self.gone.contains(member));
        }
        self.words.insert(member, announced);
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
        let before = self.announced.clone();
        self.adopt(me);
        if is_ready {
            // Who has told nothing yet comes later.
            let told = ready.iter().filter(|member| self.words.contains_key(*member));
            let view: View = told.copied().chain([me]).collect();
            self.announce(me, view);
            self.agree(me);
        }
        self.lacking = self.find_lacking(me);
        self.forget();
        self.announced != before
    }

    /// Judges without the word of others: all that were ever seen are there until they are gone for sure.
    pub(crate) fn presume(&mut self, me: MemberId, is_ready: bool, ready: &View) {
        self.words = ready.iter().map(|member| (*member, Vec::new())).collect();
        if is_ready {
            let known = self.announced.iter().flat_map(|announced| &announced.view);
            let view = known.chain(ready).copied().chain([me]).take(NAMED_MAX).collect();
            self.announced = [Announced { number: 0, view }].into();
        }
        self.lacking = self.find_lacking(me);
        self.forget();
    }

    /// An operator says that who is missing is gone: what is seen now is agreed.
    pub(crate) fn settle(&mut self, me: MemberId, ready: &View) {
        let missing: BTreeSet<_> =
            self.all_named().into_iter().filter(|named| *named != me && !ready.contains(named)).collect();
        missing.into_iter().for_each(|member| self.handle_gone(member));
    }

    /// What is to be told.
    pub(crate) fn announced(&self) -> &[Announced] {
        &self.announced
    }

    /// How many places that takes.
    pub(crate) fn places(&self) -> usize {
        places(&self.announced)
    }

    /// Of how many members how few are seen; `None` if there is a majority.
    pub(crate) fn lacking(&self) -> Option<Lacking> {
        self.lacking
    }

    /// What another has agreed on under a greater number, with this member in it, takes the place of all lesser ones.
    fn adopt(&mut self, me: MemberId) {
        let agreed = self.words.values().filter_map(|announced| announced.first());
        let of_mine = agreed.filter(|agreed| self.agreed() < agreed.number && agreed.view.contains(&me));
        let Some(agreed) = of_mine.max_by_key(|agreed| agreed.number) else { return };
        let agreed = agreed.clone();
        self.announced.retain(|announced| agreed.number < announced.number);
        self.announced.insert(0, agreed);
    }

    /// From now on a majority of this view is needed too, unless it was announced last.
    fn announce(&mut self, me: MemberId, view: View) {
        let has_room = self.places() + 4 + view.len() <= NAMED_MAX;
        if !has_room || self.find_lacking(me).is_some() {
            return;
        }
        let others = self.words.values().flatten();
        let own = self.announced.iter().map(|announced| announced.number).max().unwrap_or_default();
        // Who has announced the same before under a greater number is joined in that.
        let same =
            others.clone().filter(|other| other.view == view && own < other.number).map(|other| other.number).max();
        let number = match (same, self.announced.last()) {
            (Some(number), _) => number,
            (None, Some(last)) if last.view == view => return,
            (None, _) => others.map(|other| other.number).chain([own]).max().unwrap_or_default().saturating_add(1),
        };
        if self.announced.is_empty() {
            // It has agreed on nothing yet.
            self.announced.push(Announced::default());
        }
        let mut at = 0;
        self.announced.retain(|announced| {
            at += 1;
            at == 1 || announced.view != view
        });
        self.announced.push(Announced { number, view });
    }

    /// The view that was announced last is agreed when everybody in it has announced it too.
    fn agree(&mut self, me: MemberId) {
        let Some(last) = self.announced.last() else { return };
        let has_told = |member: &MemberId| self.words.get(member).is_some_and(|announced| announced.contains(last));
        if last.view.iter().all(|member| *member == me || has_told(member)) {
            self.announced = [last.clone()].into();
        }
    }

    /// The number of the last agreed view.
    fn agreed(&self) -> u64 {
        self.announced.first().map_or(0, |agreed| agreed.number)
    }

    /// The first view, of this member or of one that it sees, of which too few are seen. What is lower than the last agreed
    /// one is over.
    fn find_lacking(&self, me: MemberId) -> Option<Lacking> {
        let agreed = self.agreed();
        let is_seen = |member: &&MemberId| **member == me || self.words.contains_key(*member);
        let words = self.words.values().flatten().filter(|announced| agreed <= announced.number);
        let views = self.announced.iter().chain(words).map(|announced| &announced.view);
        let mut counts = views.map(|view| Lacking { seen: view.iter().filter(is_seen).count(), of: view.len() });
        counts.find(|Lacking { seen, of }| 0 < *of && seen * 2 <= *of)
    }

    fn all_named(&self) -> View {
        let all = self.announced.iter().chain(self.words.values().flatten());
        all.flat_map(|announced| &announced.view).copied().collect()
    }

    /// Forgets who is named nowhere.
    fn forget(&mut self) {
        if self.words.len() + KEPT_MAX < self.addresses.len() {
            let (named, words) = (self.all_named(), &self.words);
            self.addresses.retain(|member, _| named.contains(member) || words.contains_key(member));
        }
        while KEPT_MAX < self.gone.len() {
            self.gone.pop_first();
        }
    }
}

/// How many places these take on the wire: one for each member, and two for each view.
pub(crate) fn places(announced: &[Announced]) -> usize {
    announced.iter().map(|announced| 2 + announced.view.len()).sum()
}

/// How many places what one member has announced takes at the most. Past it no further change of the view is announced, so
/// none is agreed on until an earlier view is seen again.
pub(crate) const NAMED_MAX: usize = 3 * MEMBERS_MAX;

/// How many lives are kept in mind that nobody names any more.
const KEPT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// From whom, to whom, and what.
    type Word = (u64, u64, Vec<Announced>);

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
            let sets = self.0[&one].0.announced().to_vec();
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
        assert!(cluster.0.values().all(|(quorum, _)| quorum.announced().len() == 1), "they agree");
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

    /// Two views of three, both announced by all in them, and agreed on by one each, would part what they have in common.
    #[test]
    fn what_was_said_before_a_view_was_left_does_not_count_when_it_is_seen_again() {
        let mut cluster = Cluster::agreed(4);
        let meet = |cluster: &mut Cluster, one, other| {
            cluster.see(one, other);
            cluster.see(other, one);
        };
        let part = |cluster: &mut Cluster, one, other| {
            cluster.miss(one, other);
            cluster.miss(other, one);
        };
        [2, 3, 4].iter().for_each(|other| part(&mut cluster, 1, *other));
        [(3, 4), (4, 3)].iter().for_each(|(from, to)| cluster.tell(*from, *to));
        [3, 4].iter().for_each(|other| part(&mut cluster, 2, *other));
        [3, 4].iter().for_each(|other| meet(&mut cluster, 1, *other));
        [(1, 3), (3, 1), (1, 4), (4, 1)].iter().for_each(|(from, to)| cluster.tell(*from, *to));
        cluster.judge_each(&[1, 3, 4]);
        cluster.tell(3, 1);
        cluster.judge(1);
        [(1, 4), (3, 4)].iter().for_each(|(from, to)| cluster.tell(*from, *to));
        cluster.judge(4);
        assert_eq!(cluster.0[&4].0.announced().len(), 1, "it has agreed on the later view");
        // The third has not heard that, and sees the earlier view again.
        meet(&mut cluster, 2, 3);
        cluster.tell(2, 3);
        cluster.judge(3);
        part(&mut cluster, 1, 3);
        part(&mut cluster, 3, 4);
        cluster.talk(&[2, 3]);
        cluster.talk(&[1, 4]);
        assert_eq!([1, 2, 3, 4].map(|member| cluster.has_majority(member)), [true, false, false, true]);
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
        for seed in 0..5000 {
            let (mut rng, members) = (Rng::new(seed), 3 + seed % 5);
            let mut cluster = Cluster::agreed(members);
            let all: Vec<u64> = (1..=members).collect();
            let mut sides: BTreeMap<u64, u64> = all.iter().map(|member| (*member, 0)).collect();
            let (mut late, mut majorities): (Vec<Word>, _) = (Vec::new(), 0);
            for _ in 0..150 {
                match rng.next() % 5 {
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
                                late.push((one, other, cluster.0[&one].0.announced().to_vec()));
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
                        late.extend(seen.iter().map(|other| (*one, other.0, cluster.0[one].0.announced().to_vec())));
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
