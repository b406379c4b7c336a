//! Whether two members differ in what both of them hold, and where.
//!
//! Each pair has two sums: of the sessions that the one owns and the other must hold, and the other way round. The owner sums
//! what it owns for each member that must hold it, and what others own is summed by owner; where all hold everything, what
//! this member owns has one sum for all. A sum is 256 numbers: of each session that lives, a hash of its key and its digest
//! is added to the one that the first byte of the key picks. So a change costs two additions, a range of keys is what stands
//! behind each number, and a member takes 4 KiB for each other one.
//!
//! What is summed of a session stands with the session, where it is found without a search.
//!
//! Always true: while `resumming` is at a key, the sums are those of the sessions up to it; else of all that are summed.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{num::NonZeroU64, ops::Bound, time::Duration};

use crate::{key::SessionKey, member::MemberId, rng::mix, time::Time};

/// How many numbers a sum has.
pub(crate) const BUCKETS: usize = 256;

/// Sessions of one bucket that are listed together.
pub(crate) const LISTED_MAX: usize = 512;

/// What stands for the sessions of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums(Box<[u64; BUCKETS]>);

/// What is summed of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summed {
    /// Not zero: that is listed of what another owns.
    hash: NonZeroU64,
    owner: MemberId,
}

/// What was summed of a session, and what is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resummed {
    pub(crate) key: SessionKey,
    pub(crate) before: Option<Summed>,
    /// `None` if it does not live.
    pub(crate) now: Option<Summed>,
}

/// Who must hold a session besides its owner.
pub(crate) enum Holders {
    All,
    These(Vec<MemberId>),
}

/// Two sums that were not the same, and since when they are what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    ours: u64,
    theirs: u64,
    since: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Digests {
    me: MemberId,
    /// Zero: nothing is compared.
    every: Duration,
    /// How long two sums must be what they are before their difference counts: what is on its way has arrived by then.
    quiet_for: Duration,
    due: Time,
    /// Who is in the view, in short: those who differ in that need not hold the same.
    view: u64,
    members: BTreeSet<MemberId>,
    /// The sums are being made anew, and this is how far that is.
    resumming: Option<Option<SessionKey>>,
    /// What this node owns, by who must hold it; where all hold everything under its own id.
    given: BTreeMap<MemberId, Sums>,
    /// What this node must hold, by owner.
    held: BTreeMap<MemberId, Sums>,
    doubts: BTreeMap<MemberId, BTreeMap<u8, Doubt>>,
    /// When this node last held the same as an owner, or met it.
    agreed: BTreeMap<MemberId, Time>,
}

impl Default for Sums {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

impl Sums {
    pub(crate) fn new(numbers: [u64; BUCKETS]) -> Self {
        Self(Box::new(numbers))
    }

    pub(crate) fn numbers(&self) -> &[u64; BUCKETS] {
        &self.0
    }

    /// All of it in one number.
    pub(crate) fn root(&self) -> u64 {
        self.0.iter().fold(0, |root, number| root.wrapping_add(*number))
    }

    fn add(&mut self, key: &SessionKey, hash: u64) {
        let number = &mut self.0[usize::from(bucket(key))];
        *number = number.wrapping_add(hash);
    }
}

impl Summed {
    /// A session that lives, by its digest.
    pub(crate) fn new(key: &SessionKey, digest: u64, owner: MemberId) -> Self {
        let half = |at: usize| {
            let mut half = [0; 8];
            half.copy_from_slice(&key.0[at..at + 8]);
            u64::from_le_bytes(half)
        };
        let hash = mix(mix(half(0) ^ digest) ^ half(8));
        Self { hash: NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN), owner }
    }
}

/// The place of a session in a sum.
pub(crate) fn bucket(key: &SessionKey) -> u8 {
    key.0[0]
}

impl Digests {
    pub(crate) fn new(me: MemberId, every: Duration, quiet_for: Duration, now: Time) -> Self {
        Self {
            me,
            every,
            quiet_for,
            due: now + every,
            view: 0,
            members: BTreeSet::new(),
            resumming: None,
            given: BTreeMap::new(),
            held: BTreeMap::new(),
            doubts: BTreeMap::new(),
            agreed: BTreeMap::new(),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.every.is_zero()
    }

    /// Who must hold what has changed. `ready` are those between which sessions are placed, `members` all that are fed. The
    /// next comparison is soon.
    pub(crate) fn handle_view(
        &mut self,
        now: Time,
        ready: impl Iterator<Item = MemberId>,
        members: BTreeSet<MemberId>,
    ) {
        self.view = ready.fold(0, |view, member| view.wrapping_add(mix(member.0)));
        self.agreed.retain(|member, _| members.contains(member));
        for member in &members {
            self.agreed.entry(*member).or_insert(now);
        }
        self.members = members;
        self.given.clear();
        self.held.clear();
        self.doubts.clear();
        self.resumming = self.is_on().then_some(None);
        self.due = self.due.min(now + self.every / SOONER);
    }

    /// A session is another than it was.
    pub(crate) fn handle_changed(&mut self, changed: Resummed, holders: impl Fn(&SessionKey) -> Holders) {
        let Resummed { key, before, now } = changed;
        let is_counted = self.resumming.is_none_or(|cursor| Some(key) <= cursor);
        if !is_counted || before == now {
            return;
        }
        if let Some(before) = before {
            self.count(&key, before.owner, before.hash.get().wrapping_neg(), &holders);
        }
        if let Some(now) = now {
            self.count(&key, now.owner, now.hash.get(), &holders);
        }
    }

    /// The sums are being made anew: which keys are to come.
    pub(crate) fn resums(&self) -> Option<(Bound<SessionKey>, Bound<SessionKey>)> {
        let cursor = self.resumming?;
        Some((cursor.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// Goes on making the sums anew, by so many of the sessions that are to come.
    pub(crate) fn resum(
        &mut self,
        most: usize,
        coming: impl Iterator<Item = (SessionKey, Summed)>,
        holders: impl Fn(&SessionKey) -> Holders,
    ) {
        let (mut last, mut count) = (None, 0);
        for (key, summed) in coming.take(most) {
            self.count(&key, summed.owner, summed.hash.get(), &holders);
            (last, count) = (Some(key), count + 1);
        }
        self.resumming = last.filter(|_| count == most).map(Some);
    }

    /// Whether it is time to compare; the next time is a period later.
    pub(crate) fn poll_due(&mut self, now: Time) -> bool {
        let due = self.is_on() && self.due <= now;
        if due {
            self.due = now + self.every;
        }
        due
    }

    /// There is more to sum than one slice: go on after the others had their turn.
    pub(crate) fn put_off(&mut self, now: Time) {
        self.due = now + SLICE_AGAIN;
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.is_on().then_some(self.due)
    }

    /// Whether the sums are whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.resumming.is_none()
    }

    /// The view in short.
    pub(crate) fn view(&self) -> u64 {
        self.view
    }

    /// The sum of what this node owns and a member must hold.
    pub(crate) fn given(&self, member: MemberId) -> Sums {
        self.given.get(&member).or_else(|| self.given.get(&self.me)).cloned().unwrap_or_default()
    }

    /// The sum of what a member owns and this node must hold.
    pub(crate) fn held(&self, owner: MemberId) -> Sums {
        self.held.get(&owner).cloned().unwrap_or_default()
    }

    /// An owner tells all that this node must hold of its sessions, in short. Tells whether it is the same here.
    pub(crate) fn handle_root(&mut self, now: Time, owner: MemberId, root: u64) -> bool {
        let same = self.held(owner).root() == root;
        if same && let Some(agreed) = self.agreed.get_mut(&owner) {
            *agreed = now;
        }
        same
    }

    /// Whether this node and an owner have held the same at a time or later, or did not know each other before it.
    pub(crate) fn has_agreed_since(&self, owner: MemberId, since: Time) -> bool {
        self.agreed.get(&owner).is_some_and(|agreed| since <= *agreed)
    }

    /// A member tells its sums of what this node owns: those that differ, and that are what they were for long enough.
    pub(crate) fn handle_sums(&mut self, now: Time, member: MemberId, theirs: &Sums) -> Vec<u8> {
        let ours = self.given(member);
        let before = self.doubts.remove(&member).unwrap_or_default();
        let mut doubts = BTreeMap::new();
        let mut certain = Vec::new();
        for (bucket, (ours, theirs)) in (0..=u8::MAX).zip(ours.0.iter().copied().zip(theirs.0.iter().copied())) {
            if ours == theirs {
                continue;
            }
            let lasting = before.get(&bucket).filter(|doubt| (doubt.ours, doubt.theirs) == (ours, theirs));
            let since = lasting.map_or(now, |doubt| doubt.since);
            if since + self.quiet_for <= now {
                certain.push(bucket);
            }
            doubts.insert(bucket, Doubt { ours, theirs, since });
        }
        self.doubts.insert(member, doubts);
        certain
    }

    /// The two numbers of a bucket over which this node and a member differ, if this node's is still that.
    pub(crate) fn doubt(&self, member: MemberId, bucket: u8) -> Option<(u64, u64)> {
        let doubt = self.doubts.get(&member)?.get(&bucket)?;
        let ours = self.given(member).0[usize::from(bucket)];
        (doubt.ours == ours).then_some((doubt.ours, doubt.theirs))
    }

    /// What a member must hold of what is summed in a range of keys; so many, and the key of the next one. What this node does
    /// not own itself has no hash.
    pub(crate) fn list(
        &self,
        member: MemberId,
        summed: impl Iterator<Item = (SessionKey, Summed)>,
        holders: impl Fn(&SessionKey) -> Holders,
    ) -> (Vec<(SessionKey, u64)>, Option<SessionKey>) {
        let is_held = |key: &SessionKey| match holders(key) {
            Holders::All => true,
            Holders::These(these) => these.contains(&member),
        };
        let mut shared = summed.filter(|(key, _)| is_held(key));
        let hash = |summed: Summed| if summed.owner == self.me { summed.hash.get() } else { ELSEWHERE };
        let listed = shared.by_ref().take(LISTED_MAX).map(|(key, summed)| (key, hash(summed))).collect();
        (listed, shared.next().map(|(key, _)| key))
    }

    fn count(&mut self, key: &SessionKey, owner: MemberId, hash: u64, holders: impl Fn(&SessionKey) -> Holders) {
        let me = self.me;
        let is_mine = owner == me;
        if !is_mine && !self.members.contains(&owner) {
            // Nobody can be asked.
            return;
        }
        match holders(key) {
            Holders::All if is_mine => self.given.entry(me).or_default().add(key, hash),
            Holders::All => self.held.entry(owner).or_default().add(key, hash),
            Holders::These(these) if is_mine => {
                for member in these.into_iter().filter(|member| *member != me) {
                    self.given.entry(member).or_default().add(key, hash);
                }
            }
            Holders::These(these) if these.contains(&me) => self.held.entry(owner).or_default().add(key, hash),
            Holders::These(_) => {}
        }
    }
}

/// How a copy is not what its owner has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There is none.
    Lacking,
    /// It holds something else.
    Other,
    /// The owner has none.
    Unknown,
}

/// Where what an owner has listed is not what is summed here, in the same range of keys. `None` of what one of the two takes for
/// another's: word of that may still be on its way from the other.
pub(crate) fn differences(
    owner: MemberId,
    listed: &BTreeMap<SessionKey, u64>,
    here: &BTreeMap<SessionKey, Summed>,
    must_hold: impl Fn(&SessionKey) -> bool,
) -> Vec<(SessionKey, Option<Difference>)> {
    let theirs = listed.iter().filter_map(|(key, hash)| match (here.get(key), *hash) {
        (Some(mine), ELSEWHERE) => (mine.owner == owner).then_some((*key, None)),
        (None, ELSEWHERE) => None,
        (Some(mine), _) if mine.owner != owner => Some((*key, None)),
        (Some(mine), hash) => (mine.hash.get() != hash).then_some((*key, Some(Difference::Other))),
        (None, _) => Some((*key, Some(Difference::Lacking))),
    });
    let mine = here.iter().filter(|(key, summed)| summed.owner == owner && !listed.contains_key(key));
    let mine = mine.filter(|(key, _)| must_hold(key)).map(|(key, _)| (*key, Some(Difference::Unknown)));
    theirs.chain(mine).collect()
}

/// The keys of a bucket from one on, up to another or to the end.
pub(crate) fn range(from: SessionKey, until: Option<SessionKey>) -> (Bound<SessionKey>, Bound<SessionKey>) {
    (Bound::Included(from), until.map_or(Bound::Included(last(bucket(&from))), Bound::Excluded))
}

/// Stands for the hash of a session that its lister does not own.
const ELSEWHERE: u64 = 0;

/// The first key of a bucket.
pub(crate) fn first(bucket: u8) -> SessionKey {
    let mut key = [0; 16];
    key[0] = bucket;
    SessionKey(key)
}

/// The last key of a bucket.
pub(crate) fn last(bucket: u8) -> SessionKey {
    let mut key = [u8::MAX; 16];
    key[0] = bucket;
    SessionKey(key)
}

/// How much sooner than usual is compared after a change of the view.
const SOONER: u32 = 4;

/// After which time is gone on with sums for which one slice was too short.
const SLICE_AGAIN: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MemberId = MemberId(1);
    const OTHER: MemberId = MemberId(2);
    const THIRD: MemberId = MemberId(3);
    const QUIET: Duration = Duration::from_secs(3);

    fn key(bucket: u8, number: u8) -> SessionKey {
        let mut key = [number; 16];
        key[0] = bucket;
        SessionKey(key)
    }

    fn summed(key: SessionKey, digest: u64, owner: MemberId) -> Option<Summed> {
        Some(Summed::new(&key, digest, owner))
    }

    fn all(_: &SessionKey) -> Holders {
        Holders::All
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    /// Digests, and what is summed of each session.
    struct Member {
        digests: Digests,
        summed: BTreeMap<SessionKey, Summed>,
    }

    impl Member {
        fn set(&mut self, key: SessionKey, now: Option<Summed>, holders: impl Fn(&SessionKey) -> Holders) {
            let before = match now {
                Some(now) => self.summed.insert(key, now),
                None => self.summed.remove(&key),
            };
            self.digests.handle_changed(Resummed { key, before, now }, holders);
        }

        fn resum(&mut self, most: usize, holders: impl Fn(&SessionKey) -> Holders) {
            let Some(keys) = self.digests.resums() else { return };
            self.digests.resum(most, all_of(self.summed.range(keys)), holders);
        }
    }

    fn all_of<'a>(
        some: impl Iterator<Item = (&'a SessionKey, &'a Summed)>,
    ) -> impl Iterator<Item = (SessionKey, Summed)> {
        some.map(|(key, summed)| (*key, *summed))
    }

    fn digests(me: MemberId) -> Member {
        let mut digests = Digests::new(me, Duration::from_secs(2), QUIET, Time::ZERO);
        digests.handle_view(
            Time::ZERO,
            [ME, OTHER].into_iter(),
            [ME, OTHER, THIRD].into_iter().filter(|id| *id != me).collect(),
        );
        let mut member = Member { digests, summed: BTreeMap::new() };
        member.resum(1, all);
        member
    }

    #[test]
    fn two_that_hold_the_same_have_the_same_sums_whatever_came_before() {
        let (mut mine, mut theirs) = (digests(ME), digests(OTHER));
        for number in 0..200 {
            let key = key(number, 7);
            mine.set(key, summed(key, 1, ME), all);
            mine.set(key, summed(key, 2, if number < 100 { ME } else { OTHER }), all);
        }
        for number in (0..200).rev() {
            let key = key(number, 7);
            theirs.set(key, summed(key, 2, if number < 100 { ME } else { OTHER }), all);
        }
        let gone = key(3, 7);
        mine.set(gone, None, all);
        theirs.set(gone, None, all);
        assert_ne!(mine.digests.given(OTHER).root(), 0);
        assert_eq!(mine.digests.given(OTHER), theirs.digests.held(ME));
        assert_eq!(mine.digests.held(OTHER), theirs.digests.given(ME));
    }

    #[test]
    fn sums_made_anew_are_those_that_were_kept_also_when_sessions_change_meanwhile() {
        let holders = |key: &SessionKey| {
            Holders::These(if key.0[0].is_multiple_of(2) { [ME, OTHER] } else { [OTHER, THIRD] }.into())
        };
        let (mut kept, mut anew) = (digests(ME), digests(ME));
        let set = |member: &mut Member, number: u8, digest, owner| {
            member.set(key(number, 1), summed(key(number, 1), digest, owner), holders);
        };
        for number in 0..50 {
            set(&mut kept, number, 1, ME);
            set(&mut anew, number, 1, OTHER);
        }
        anew.digests.handle_view(at(1), [ME, OTHER].into_iter(), [OTHER, THIRD].into());
        assert!(!anew.digests.is_whole());
        anew.resum(20, holders);
        (0..50).for_each(|number| set(&mut anew, number, 1, ME));
        while !anew.digests.is_whole() {
            anew.resum(20, holders);
        }
        for member in [OTHER, THIRD] {
            assert_eq!(kept.digests.given(member), anew.digests.given(member));
            assert_eq!(kept.digests.held(member), anew.digests.held(member));
        }
        assert_ne!(kept.digests.given(OTHER), kept.digests.given(THIRD));
    }

    #[test]
    fn a_difference_counts_when_neither_side_has_changed_for_long_enough() {
        let mut mine = digests(ME);
        mine.set(key(5, 1), summed(key(5, 1), 1, ME), all);
        mine.set(key(6, 1), summed(key(6, 1), 1, ME), all);
        let theirs = Sums::default();
        assert_eq!(mine.digests.handle_sums(at(1), OTHER, &theirs), []);
        assert_eq!(mine.digests.handle_sums(at(3), OTHER, &theirs), []);
        mine.set(key(6, 1), summed(key(6, 1), 2, ME), all);
        assert_eq!(mine.digests.handle_sums(at(4), OTHER, &theirs), [5]);
        assert_eq!(mine.digests.handle_sums(at(7), OTHER, &theirs), [5, 6]);
        assert_eq!(mine.digests.doubt(OTHER, 7), None);
        assert!(mine.digests.doubt(OTHER, 6).is_some());
        mine.set(key(6, 1), summed(key(6, 1), 3, ME), all);
        assert_eq!(mine.digests.doubt(OTHER, 6), None, "it has changed since");
        assert_eq!(mine.digests.handle_sums(at(8), OTHER, &mine.digests.given(OTHER)), []);
    }

    #[test]
    fn a_bucket_is_listed_in_pieces_and_each_way_to_differ_is_told() {
        let (mut owner, mut holder) = (digests(ME), digests(OTHER));
        let many = |number: usize| {
            let mut key = first(9);
            key.0[1..3].copy_from_slice(&u16::try_from(number).expect("it is small").to_be_bytes());
            key
        };
        for number in 0..LISTED_MAX * 2 {
            let lacking = [3, 600].contains(&number);
            let other = u64::from(number == 700);
            owner.set(many(number), summed(many(number), 0, ME), all);
            holder.set(many(number), summed(many(number), other, ME).filter(|_| !lacking), all);
        }
        // What one of the two takes for another's.
        for (number, [at_owner, at_holder]) in [(10, [OTHER, ME]), (11, [ME, THIRD]), (12, [OTHER, THIRD])] {
            owner.set(many(number), summed(many(number), 0, at_owner), all);
            holder.set(many(number), summed(many(number), 1, at_holder), all);
        }
        let unknown = last(9);
        holder.set(unknown, summed(unknown, 0, ME), all);
        let mut differences = Vec::new();
        let mut from = Some(first(9));
        while let Some(start) = from {
            let (listed, next) = owner.digests.list(OTHER, all_of(owner.summed.range(range(start, None))), all);
            assert!(listed.len() <= LISTED_MAX);
            let here = all_of(holder.summed.range(range(start, next))).collect();
            differences.extend(super::differences(ME, &listed.into_iter().collect(), &here, |_| true));
            from = next;
        }
        let expected = [
            (many(3), Some(Difference::Lacking)),
            (many(10), None),
            (many(11), None),
            (many(600), Some(Difference::Lacking)),
            (many(700), Some(Difference::Other)),
            (unknown, Some(Difference::Unknown)),
        ];
        assert_eq!(differences, expected);
    }

    /// P7: owners that nobody knows take no sums.
    #[test]
    fn sums_are_kept_only_for_members_of_the_view() {
        let mut mine = digests(ME);
        for number in 0..=u8::MAX {
            mine.set(key(number, 1), summed(key(number, 1), 1, MemberId(1000 + u64::from(number))), all);
        }
        assert!(mine.digests.held.is_empty() && mine.digests.given.is_empty());
    }
}
