//! What a session's record keeps of id changes: links from the births that have moved to the keys they have moved to.
//!
//! A link is kept beside the floor and raises none: of a birth that it does not name it says nothing, so one that was not
//! known to whoever changed the id, or that came later, stays a session of this key. What arrives for a birth that has
//! moved does not stay either: [`Session::take_moved`] tells where it goes.
//!
//! Births may come back to a key from which they had moved: a link of the record to itself, greater than the one away,
//! says that they are at home again.
//!
//! An end kills a birth that has moved if its writer did not know that it had (P3). That needs no word on the wire, for
//! whatever record has an end also has every link that the end's writer knew: so when two records meet, one of which does
//! not know that a birth has moved, the birth is dead if that one's ends kill it. Hence the dead births of a record follow
//! from what was heard and not from its order (P1).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Attribute, Ends, Session};
use crate::{
    key::SessionKey,
    life::{End, EndCause, Expired, Life},
    stamp::Stamp,
};

/// Links of one record at the most: past it the oldest goes.
pub(crate) const LINKS_MAX: usize = 16;
/// Births that one link names at the most.
pub(crate) const BIRTHS_MAX: usize = 8;

/// One id change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// When it was made. A life of this birth stands for it in the record: it says who sees to the end of the old key.
    pub(crate) at: Stamp,
    /// `None` if it came back.
    pub(crate) to: Option<SessionKey>,
    /// What has moved: ascending, below `at`.
    pub(crate) births: Vec<Stamp>,
}

impl Link {
    fn shares_births(&self, other: &Self) -> bool {
        self.births.iter().any(|birth| other.births.contains(birth))
    }
}

/// All id changes of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Ascending by stamp and target.
    links: Vec<Link>,
    /// Births that have moved and are dead for good, ascending.
    dead: Vec<Stamp>,
}

impl Moves {
    pub(crate) const NONE: &'static Self = &Self { links: Vec::new(), dead: Vec::new() };

    pub(crate) fn new(links: Vec<Link>, dead: Vec<Stamp>) -> Self {
        Self { links, dead }
    }

    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) fn dead(&self) -> &[Stamp] {
        &self.dead
    }

    pub(crate) fn covers(&self, birth: Stamp) -> bool {
        self.links.iter().any(|link| link.births.contains(&birth))
    }

    pub(crate) fn is_dead(&self, birth: Stamp) -> bool {
        self.dead.binary_search(&birth).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Where a birth has moved to, and who moved it there; `None` if it is at home. Of several links the greatest counts.
    fn away(&self, birth: Stamp) -> Option<SessionKey> {
        self.links.iter().rev().find(|link| link.births.contains(&birth))?.to
    }

    /// Whether a birth is dead by what one side knows.
    fn is_ended(&self, ends: &Ends, birth: Stamp) -> bool {
        if self.covers(birth) { self.is_dead(birth) } else { ends.kills(birth) }
    }

    fn insert(&mut self, link: &Link) {
        match self.links.binary_search_by(|mine| (mine.at, mine.to).cmp(&(link.at, link.to))) {
            Ok(at) => {
                let births = &mut self.links[at].births;
                births.extend(&link.births);
                births.sort_unstable();
                births.dedup();
                births.drain(..births.len().saturating_sub(BIRTHS_MAX));
            }
            Err(at) => self.links.insert(at, link.clone()),
        }
        self.links.drain(..self.links.len().saturating_sub(LINKS_MAX));
    }

    /// Two links for one session: the target of the lesser one moves on to that of the greater one.
    fn rivals(&self) -> impl Iterator<Item = (SessionKey, &Link, &Link)> {
        let pairs = self.links.iter().enumerate();
        let pairs = pairs.flat_map(|(at, lesser)| self.links[at + 1..].iter().map(move |greater| (lesser, greater)));
        let pairs = pairs.filter(|(lesser, greater)| lesser.to != greater.to && lesser.shares_births(greater));
        pairs.filter_map(|(lesser, greater)| Some((lesser.to?, lesser, greater)))
    }
}

impl Session {
    pub(crate) fn moves(&self) -> &Moves {
        self.moves.as_deref().unwrap_or(Moves::NONE)
    }

    /// The key that the session of this record has now, one step on; `None` unless it has moved.
    pub(crate) fn target(&self) -> Option<SessionKey> {
        let birth = self.head().filter(|life| !self.ends().kills(life.birth))?.birth;
        self.moves().links.iter().rev().find(|link| link.at == birth)?.to
    }

    /// Whether this birth is no session's, but a link's.
    pub(crate) fn is_link(&self, birth: Stamp) -> bool {
        self.moves().links.iter().any(|link| link.at == birth && link.to.is_some())
    }

    pub(crate) fn has_moved(&self, birth: Stamp) -> bool {
        self.moves().away(birth).is_some()
    }

    /// Whether a birth is this key's, and not dead for good.
    pub(crate) fn is_here(&self, birth: Stamp) -> bool {
        // Of most sessions nothing has ever moved.
        self.is_wanted(birth) && (self.moves.is_none() || !self.has_moved(birth) && !self.is_link(birth))
    }

    /// The births that an id change of now would move: what lasts, and what has expired but may yet be voided.
    pub(crate) fn movable(&self) -> Vec<Stamp> {
        self.lives.iter().map(|life| life.birth).filter(|birth| self.is_here(*birth)).collect()
    }

    /// Whether this record takes in births that move to its key and shows them, and no other session's.
    pub(crate) fn has_room_for(&self, births: &[Stamp]) -> bool {
        !self.is_unburied() && births.iter().all(|birth| self.is_wanted(*birth))
    }

    /// What follows for this record from a link of another to its key: what had moved away before is at home again, and
    /// what a later link moved on takes along what came together with it.
    pub(crate) fn answers(&self, link: &Link) -> Vec<Link> {
        let own = self.moves().links.iter().filter(|own| own.to.is_some() && own.shares_births(link));
        let answer = |own: &Link| if own.at < link.at { (link.at, None) } else { (own.at, own.to) };
        own.map(answer).map(|(at, to)| Link { at, to, births: link.births.clone() }).collect()
    }

    /// Marks births as moved.
    pub(crate) fn add_link(&mut self, link: Link) -> bool {
        self.merge_ends(Ends::NONE, &Moves::new([link].into(), Vec::new()))
    }

    /// Marks births as dead that have ever moved and are at home: no end says anything of these by itself.
    pub(super) fn end_at_home(&mut self, is_ended: impl Fn(Stamp) -> bool) {
        if let Some(moves) = &mut self.moves {
            let births = moves.links.iter().flat_map(|link| &link.births).copied();
            let here = births.filter(|birth| is_ended(*birth) && moves.away(*birth).is_none());
            let dead: BTreeSet<_> = here.chain(moves.dead.iter().copied()).collect();
            moves.dead = dead.into_iter().collect();
        }
    }

    /// Merges the ends and the links that another record has. They go together: see the module's documentation.
    pub(crate) fn merge_ends(&mut self, ends: &Ends, theirs: &Moves) -> bool {
        let mut changed = false;
        if self.moves.is_some() || !theirs.is_empty() {
            let mine = self.moves.take().unwrap_or_default();
            let mut both = mine.clone();
            theirs.links.iter().for_each(|link| both.insert(link));
            let births = both.links.iter().flat_map(|link| &link.births).copied();
            let dead = births.filter(|birth| mine.is_ended(self.ends(), *birth) || theirs.is_ended(ends, *birth));
            both.dead = dead.collect::<BTreeSet<_>>().into_iter().collect();
            changed = both != mine;
            let away = both.links.iter().filter(|link| link.to.is_some());
            let links: Vec<_> = away.map(|link| link.at).collect();
            self.moves = Some(both);
            if changed {
                for at in links {
                    self.merge_life(Life { birth: at, counter: 1, owner: at.writer, expired: Expired::NEVER });
                }
                self.prune();
            }
        }
        let ended = ends != Ends::NONE && self.ends.get_or_insert_default().merge(ends);
        if ended {
            self.prune();
        }
        changed | ended
    }

    /// Takes out of the record of `key` what does not stay: for each key that something goes to, a record of just that.
    pub(crate) fn take_moved(&mut self, key: SessionKey) -> BTreeMap<SessionKey, Self> {
        let mut out: BTreeMap<SessionKey, Self> = BTreeMap::new();
        let Some(moves) = self.moves.take() else { return out };
        // Ends first and links last: none of these ends knows of a link, and what comes with one is to stay.
        for (link, to) in moves.links.iter().filter_map(|link| Some((link, link.to?))) {
            for birth in link.births.iter().filter(|birth| moves.is_dead(**birth)) {
                let target = out.entry(to).or_default();
                target.merge_life(Life { birth: *birth, counter: 1, owner: link.at.writer, expired: Expired::NEVER });
                target.merge_floor(End { at: *birth, cause: EndCause::Ended });
            }
        }
        for life in self.lives.take_out(|life| moves.away(life.birth).is_some()) {
            if let Some(to) = moves.away(life.birth) {
                out.entry(to).or_default().merge_life(life);
            }
        }
        for register in self.lifetimes.take_out(|register| moves.away(register.birth).is_some()) {
            if let Some(to) = moves.away(register.birth) {
                out.entry(to).or_default().merge_lifetime(register);
            }
        }
        let away = |attribute: &Attribute| moves.away(attribute.birth);
        if self.attributes.iter().any(|attribute| away(attribute).is_some()) {
            let all = core::mem::take(&mut self.attributes).into_iter();
            let (moved, kept): (Vec<_>, _) = all.partition(|attribute| away(attribute).is_some());
            self.set_attributes(kept);
            for attribute in &moved {
                if let Some(to) = away(attribute) {
                    out.entry(to).or_default().merge_attribute(attribute.into());
                }
            }
        }
        for (from, lesser, greater) in moves.rivals() {
            let to = greater.to.unwrap_or(key);
            let link = Link { at: greater.at, to: Some(to), births: lesser.births.clone() };
            out.entry(from).or_default().add_link(link);
        }
        self.moves = Some(moves);
        out
    }
}
