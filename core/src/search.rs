//! Addresses at which members are looked for.
//!
//! A configured address is tried as long as nobody is there, after waits that grow to `search_max`: so groups that started
//! apart, or whose members were declared dead, find each other as soon as they can. So is, for `LOST_FOR`, the address of
//! a member that was lost to silence: it may be on the other side of a broken network, and know nobody else here.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use crate::{
    backoff::Backoff,
    member::{MemberId, RemovalCause, SeekCause},
    time::Time,
};

#[derive(Clone, Debug)]
pub(crate) struct Search {
    backoff: Backoff,
    wait_max: Duration,
    lost_max: usize,
    sought: BTreeMap<SocketAddr, Sought>,
    due: BTreeSet<(Time, SocketAddr)>,
    news: VecDeque<News>,
}

/// What there is to tell of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nobody answers at a configured address: it is tried again and again.
    Seeking(SocketAddr, SeekCause),
    /// A member is there, of which that was told.
    Found(SocketAddr, MemberId),
}

#[derive(Clone, Copy, Debug)]
struct Sought {
    cause: SeekCause,
    /// When it is given up; never if it is configured.
    until: Option<Time>,
    /// How often it was tried since somebody was there.
    tries: u32,
    /// When to try it; never while somebody is there.
    at: Option<Time>,
    told: bool,
}

impl Search {
    pub(crate) fn new(backoff: Backoff, wait_max: Duration, lost_max: usize) -> Self {
        let (sought, due, news) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        Self { backoff, wait_max, lost_max, sought, due, news }
    }

    /// The configured addresses, in place of those before. At those in `there` a member is known.
    pub(crate) fn set_configured(&mut self, now: Time, addresses: &[SocketAddr], there: &BTreeSet<SocketAddr>) {
        let dropped = |(address, sought): (&SocketAddr, &Sought)| {
            (sought.until.is_none() && !addresses.contains(address)).then_some(*address)
        };
        let dropped: Vec<_> = self.sought.iter().filter_map(dropped).collect();
        dropped.iter().for_each(|address| self.forget(address));
        for address in addresses {
            if let Some(sought) = self.sought.get_mut(address) {
                sought.until = None;
                continue;
            }
            let at = (!there.contains(address)).then_some(now);
            let sought = Sought { cause: SeekCause::Configured, until: None, tries: 0, at, told: false };
            self.due.extend(at.map(|at| (at, *address)));
            self.sought.insert(*address, sought);
        }
    }

    /// Somebody is known to be at an address.
    pub(crate) fn handle_there(&mut self, address: &SocketAddr, member: MemberId) {
        let Some(sought) = self.sought.get_mut(address) else { return };
        if let Some(at) = sought.at.take() {
            self.due.remove(&(at, *address));
        }
        if core::mem::take(&mut sought.told) {
            self.news.push_back(News::Found(*address, member));
        }
        if sought.until.is_some() {
            self.sought.remove(address);
        }
    }

    /// Nobody is at an address any more: a member there was removed, or one that only announced itself went silent.
    pub(crate) fn handle_gone(&mut self, now: Time, address: SocketAddr, cause: Option<RemovalCause>) {
        let seek = cause.map_or(SeekCause::Configured, SeekCause::Removed);
        let at = now + self.backoff.wait(1, self.wait_max);
        if let Some(sought) = self.sought.get_mut(&address) {
            if sought.at.is_none() {
                *sought = Sought { cause: seek, tries: 1, at: Some(at), ..*sought };
                self.due.insert((at, address));
            }
            return;
        }
        let is_apart = matches!(cause, Some(RemovalCause::Silent | RemovalCause::Broken));
        let lost = self.sought.values().filter(|sought| sought.until.is_some()).count();
        if is_apart && lost < self.lost_max {
            let until = Some(now + LOST_FOR);
            self.sought.insert(address, Sought { cause: seek, until, tries: 1, at: Some(at), told: false });
            self.due.insert((at, address));
        }
    }

    pub(crate) fn is_configured(&self, address: &SocketAddr) -> bool {
        self.sought.get(address).is_some_and(|sought| sought.until.is_none())
    }

    /// Takes one address that is to be tried.
    pub(crate) fn poll_due(&mut self, now: Time) -> Option<SocketAddr> {
        let &(at, address) = self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, address));
        let sought = self.sought.get_mut(&address).expect("what is due is sought");
        if sought.until.is_some_and(|until| until <= now) {
            self.sought.remove(&address);
            return self.poll_due(now);
        }
        if 0 < sought.tries && sought.until.is_none() && !core::mem::replace(&mut sought.told, true) {
            self.news.push_back(News::Seeking(address, sought.cause));
        }
        sought.tries = sought.tries.saturating_add(1);
        let at = now + self.backoff.wait(sought.tries, self.wait_max);
        sought.at = Some(at);
        self.due.insert((at, address));
        Some(address)
    }

    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Looks for nobody any more.
    pub(crate) fn clear(&mut self) {
        self.sought.clear();
        self.due.clear();
        self.news.clear();
    }

    fn forget(&mut self, address: &SocketAddr) {
        if let Some(at) = self.sought.remove(address).and_then(|sought| sought.at) {
            self.due.remove(&(at, *address));
        }
    }
}

/// How long the address of a lost member is tried that is not configured.
const LOST_FOR: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: MemberId = MemberId(7);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn search() -> Search {
        Search::new(Backoff::new(1, Duration::from_millis(500)), Duration::from_secs(2), 2)
    }

    /// When an address is tried, up to a time.
    fn tries(search: &mut Search, end: Time) -> Vec<(Time, SocketAddr)> {
        let mut tries = Vec::new();
        while let Some(now) = search.poll_timeout().filter(|now| *now <= end) {
            tries.extend(search.poll_due(now).map(|address| (now, address)));
        }
        tries
    }

    fn news(search: &mut Search) -> Vec<News> {
        core::iter::from_fn(|| search.poll_news()).collect()
    }

    #[test]
    fn a_configured_address_is_tried_for_ever_and_less_and_less_often() {
        let mut search = search();
        search.set_configured(at(0), &[address(1)], &BTreeSet::new());
        let tried = tries(&mut search, at(100_000_000));
        assert_eq!(tried[0].0, at(0));
        let waits: Vec<_> = tried.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect();
        let millis = Duration::from_millis;
        assert!(waits[0] <= millis(500) && waits[1] <= millis(1000), "{:?}", &waits[..4]);
        assert!(waits[2..].iter().all(|wait| millis(1000) <= *wait && *wait <= millis(2000)));
        assert!(50_000 < waits.len(), "as long as nobody is there");
        assert_eq!(news(&mut search), [News::Seeking(address(1), SeekCause::Configured)], "once");
    }

    #[test]
    fn nothing_is_tried_where_somebody_is() {
        let mut search = search();
        search.set_configured(at(0), &[address(1), address(2)], &BTreeSet::from([address(2)]));
        assert!(tries(&mut search, at(9000)).iter().all(|(_, tried)| *tried == address(1)));
        search.handle_there(&address(1), MEMBER);
        assert_eq!(search.poll_timeout(), None);
    }

    #[test]
    fn who_answers_at_once_is_no_news_and_who_was_told_of_is_found() {
        let mut search = search();
        search.set_configured(at(0), &[address(1)], &BTreeSet::new());
        search.poll_due(at(0));
        search.handle_there(&address(1), MEMBER);
        assert_eq!(news(&mut search), []);
        search.handle_gone(at(5000), address(1), Some(RemovalCause::Refused));
        tries(&mut search, at(6000));
        search.handle_there(&address(1), MEMBER);
        let cause = SeekCause::Removed(RemovalCause::Refused);
        assert_eq!(news(&mut search), [News::Seeking(address(1), cause), News::Found(address(1), MEMBER)]);
    }

    #[test]
    fn a_lost_member_is_looked_for_for_a_day_and_one_that_is_gone_is_not() {
        let mut search = search();
        for (port, cause) in [(1, RemovalCause::Left), (2, RemovalCause::Refused), (3, RemovalCause::Superseded)] {
            search.handle_gone(at(0), address(port), Some(cause));
        }
        search.handle_gone(at(0), address(4), None);
        assert_eq!(search.poll_timeout(), None);
        search.handle_gone(at(0), address(5), Some(RemovalCause::Silent));
        search.handle_gone(at(0), address(6), Some(RemovalCause::Broken));
        search.handle_gone(at(0), address(7), Some(RemovalCause::Broken));
        let tried: BTreeSet<_> = tries(&mut search, at(10_000)).into_iter().map(|(_, address)| address).collect();
        assert_eq!(news(&mut search), []);
        assert_eq!(tried, BTreeSet::from([address(5), address(6)]), "as many as there may be members");
        tries(&mut search, Time::ZERO + LOST_FOR * 2);
        assert!(search.sought.is_empty() && search.due.is_empty());
    }

    #[test]
    fn what_is_no_longer_configured_is_no_longer_tried() {
        let mut search = search();
        search.set_configured(at(0), &[address(1), address(2)], &BTreeSet::new());
        search.set_configured(at(1), &[address(2)], &BTreeSet::new());
        assert!(tries(&mut search, at(9000)).iter().all(|(_, tried)| *tried == address(2)));
        assert!(search.is_configured(&address(2)) && !search.is_configured(&address(1)));
    }
}
