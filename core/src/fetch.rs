//! Asking others for a session that this member need not hold.
//!
//! All who must hold it are asked at once, and all of them that stay in view must answer, so that the newest copy is among
//! the answers. Only if none of them has it everybody else is asked: nobody may create a session that somebody holds.

use crate::{key::SessionKey, member::MemberId, session::Session, time::Time, version::SessionVersion};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};

/// What a session is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To look at it without using it. Nothing is kept here.
    Peek,
    /// To use it without changing it: its owner, which stays the owner, is told. Nothing is kept here.
    Read,
    /// To change it: this member becomes its owner.
    Write,
}

/// What to do before a session is looked at or changed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fetch {
    /// Nothing: what this node holds of it, or that it holds nothing, is all there is.
    Here,
    /// Wait: others have been asked, and `poll_fetched` tells of this number.
    Asked(FetchId),
}

/// A question to others. Numbers rise in the order of the calls of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What others had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is here now: look at the node, or commit.
    Here,
    /// A copy to look at, and when it ends if it is not used any more. It may be one that has ended.
    Copy(Arc<Session>, Option<Time>),
    /// Every member of the view was asked, and there is none that lives. A commit may create it.
    Unknown,
    /// Some that may have it have not answered within `fetch_for`.
    Late,
    /// Nobody who was asked has all that was asked for.
    Stale {
        /// What they have together, if anything.
        have: Option<SessionVersion>,
        /// What was asked for.
        want: SessionVersion,
    },
}

/// One question of the application.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) id: FetchId,
    pub(crate) purpose: Purpose,
    /// The copy must not be older than this.
    pub(crate) floor: Option<SessionVersion>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fetches {
    asking: BTreeMap<SessionKey, Asking>,
    answers: VecDeque<(FetchId, Fetched)>,
    last: u64,
    /// Sessions of this node that others have asked for, and until when they may take them over.
    lent: BTreeMap<SessionKey, Time>,
}

/// Sessions that others have asked for are remembered up to this many.
const LENT_MAX: usize = 4096;

#[derive(Clone, Debug)]
struct Asking {
    wanted: Vec<Wanted>,
    /// Came when others had been asked already: their answers may be older than the question.
    later: Vec<Wanted>,
    until: Time,
    asked: BTreeSet<MemberId>,
    /// Whose answers are missing.
    missing: BTreeSet<MemberId>,
    found: Option<Found>,
}

/// What has been found so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) session: Session,
    /// When it ends unless it is used.
    pub(crate) until: Option<Time>,
    /// One of the copies was complete.
    pub(crate) whole: bool,
}

/// What becomes of a question for which all answers are in.
#[derive(Debug)]
pub(crate) enum Answered {
    /// None that was asked has it: others must be asked too.
    Widen,
    Found(Found, Vec<Wanted>),
    Unknown(Vec<Wanted>),
}

impl Fetches {
    /// Another asks for a session of this node, and may take it over until then.
    pub(crate) fn handle_lent(&mut self, now: Time, key: SessionKey, until: Time) {
        if LENT_MAX <= self.lent.len() {
            self.lent.retain(|_, until| now < *until);
        }
        if self.lent.len() < LENT_MAX {
            self.lent.insert(key, until);
        }
    }

    /// Until when somebody may take a session over who has asked for it.
    pub(crate) fn lent_until(&self, key: &SessionKey) -> Option<Time> {
        self.lent.get(key).copied()
    }

    /// Asks; tells whether that is not going on already.
    pub(crate) fn ask(
        &mut self,
        key: SessionKey,
        purpose: Purpose,
        floor: Option<SessionVersion>,
        until: Time,
    ) -> (FetchId, bool) {
        self.last += 1;
        let id = FetchId(self.last);
        let wanted = Wanted { id, purpose, floor };
        let news = !self.asking.contains_key(&key);
        if let Some(asking) = self.asking.get_mut(&key) {
            asking.later.push(wanted);
        } else {
            self.start(key, alloc::vec![wanted], until);
        }
        (id, news)
    }

    /// Asks anew, for who came when others had been asked already.
    pub(crate) fn start(&mut self, key: SessionKey, wanted: Vec<Wanted>, until: Time) {
        let (asked, missing) = (BTreeSet::new(), BTreeSet::new());
        self.asking.insert(key, Asking { wanted, later: Vec::new(), until, asked, missing, found: None });
    }

    /// These members are being asked; returns those that have not been before.
    pub(crate) fn handle_asked(&mut self, key: &SessionKey, members: Vec<MemberId>) -> Vec<MemberId> {
        let Some(asking) = self.asking.get_mut(key) else { return Vec::new() };
        let new: Vec<_> = members.into_iter().filter(|member| asking.asked.insert(*member)).collect();
        asking.missing.extend(&new);
        new
    }

    /// A member has sent its copy.
    pub(crate) fn handle_found(&mut self, key: &SessionKey, from: MemberId, copy: &Found) {
        let Some(asking) = self.asking.get_mut(key) else { return };
        if asking.missing.remove(&from) {
            let found = asking.found.get_or_insert_default();
            found.session.merge(&copy.session);
            found.until = found.until.max(copy.until);
            found.whole |= copy.whole;
        }
    }

    /// A member has none.
    pub(crate) fn handle_missing(&mut self, key: &SessionKey, from: MemberId) {
        if let Some(asking) = self.asking.get_mut(key) {
            asking.missing.remove(&from);
        }
    }

    /// Nobody waits for the answer of a member that is gone.
    pub(crate) fn handle_removed(&mut self, member: MemberId) {
        self.asking.values_mut().for_each(|asking| {
            asking.missing.remove(&member);
        });
    }

    /// Takes one session for which all who were asked have answered. `others` are all that could be asked.
    pub(crate) fn poll_answered(&mut self, others: &BTreeSet<MemberId>) -> Option<(SessionKey, Answered, Vec<Wanted>)> {
        let (key, asking) = self.asking.iter().find(|(_, asking)| asking.missing.is_empty())?;
        let key = *key;
        let floors = || asking.wanted.iter().filter_map(|wanted| wanted.floor.as_ref());
        let enough = asking.found.as_ref().is_some_and(|found| {
            let have = floors().next().map(|_| found.session.version());
            found.whole && floors().all(|floor| have.as_ref().is_some_and(|have| have.covers(floor)))
        });
        if !enough && !others.is_subset(&asking.asked) {
            return Some((key, Answered::Widen, Vec::new()));
        }
        let asking = self.asking.remove(&key)?;
        let answered = match asking.found {
            // What no copy has whole is all there is.
            Some(found) => Answered::Found(found, asking.wanted),
            None => Answered::Unknown(asking.wanted),
        };
        Some((key, answered, asking.later))
    }

    /// Gives up what has been asked for too long.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.give_up(|asking| asking.until <= now);
    }

    /// This member has left: nobody answers it any more.
    pub(crate) fn handle_left(&mut self) {
        self.give_up(|_| true);
    }

    fn give_up(&mut self, is_late: impl Fn(&Asking) -> bool) {
        let answers = &mut self.answers;
        self.asking.retain(|_, asking| {
            let late = is_late(asking);
            if late {
                let all = asking.wanted.iter().chain(&asking.later);
                answers.extend(all.map(|wanted| (wanted.id, Fetched::Late)));
            }
            !late
        });
    }

    pub(crate) fn answer(&mut self, id: FetchId, fetched: Fetched) {
        self.answers.push_back((id, fetched));
    }

    pub(crate) fn poll_fetched(&mut self) -> Option<(FetchId, Fetched)> {
        self.answers.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.asking.values().map(|asking| asking.until).min()
    }

    /// Questions under way, and answers that were not fetched.
    pub(crate) fn len(&self) -> usize {
        let asking = self.asking.values().map(|asking| asking.wanted.len() + asking.later.len());
        asking.sum::<usize>() + self.answers.len()
    }
}
