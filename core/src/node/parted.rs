//! What a member does that sees too few others.

use super::{Leaving, Node};
use crate::{
    feed::Note,
    io::Event,
    member::{MemberId, MemberState},
    planted::Bug,
    quorum::{Minority, Partition},
    time::Time,
};

impl Node {
    /// Why this member sees too few others; `None` if it sees enough, or was never ready.
    pub fn minority(&self) -> Option<Minority> {
        self.minority
    }

    /// Why writes are refused; `None` if they are not.
    pub fn paused(&self) -> Option<Minority> {
        match self.config.partition {
            Partition::Serve => None,
            Partition::Pause => self.minority.filter(|_| !Bug::MinorityServes.is_planted()),
        }
    }

    /// Who is missing is gone for good, an operator says: a majority of those that are seen now is enough from now on. If
    /// who is missing lives, both sides of the partition take writes.
    pub fn resume(&mut self, now: Time) {
        let now = self.moved_to(now);
        self.quorum.settle(self.id, &self.others.ready);
        self.tell_views();
        self.advance(now);
    }

    /// A member came into the view.
    pub(super) fn count_in(&mut self, member: MemberId) {
        if let Some(member) = self.membership.member(member) {
            self.quorum.handle_added(member.id, member.address);
        }
        self.tell_views_to(member);
    }

    /// A member knows nothing of this one's views, or not any more.
    pub(super) fn tell_views_to(&mut self, member: MemberId) {
        if let (Partition::Pause, Some(feed)) = (self.config.partition, self.feeds.get_mut(&member)) {
            feed.note(Note::Views);
        }
    }

    /// Whether fewer members are in sight than a first one waits for.
    pub(super) fn is_below_min(&self) -> bool {
        match self.config.partition {
            Partition::Serve => false,
            Partition::Pause => self.others.all.len() + 1 < self.config.members_min,
        }
    }

    /// Sees whether there are enough others, after anything that may have changed it.
    pub(super) fn weigh(&mut self) {
        if !self.quorum.take_stale() {
            return;
        }
        let stays = self.state == MemberState::Ready && self.leaving == Leaving::No;
        match self.config.partition {
            Partition::Serve => self.quorum.presume(self.id, stays, &self.others.ready),
            Partition::Pause => {
                if self.quorum.judge(self.id, stays, &self.others.ready) {
                    self.tell_views();
                }
            }
        }
        if self.state != MemberState::Ready {
            return;
        }
        let before = self.minority;
        self.minority = self.find_minority();
        let event = match (self.config.partition, before, self.minority) {
            (_, None, None) | (_, Some(_), Some(_)) => return,
            (Partition::Serve, None, Some(minority)) => Event::MajorityLost(minority),
            (Partition::Serve, Some(_), None) => Event::MajorityRegained,
            (Partition::Pause, None, Some(minority)) => Event::Paused(minority),
            (Partition::Pause, Some(_), None) => Event::Resumed,
        };
        self.raise(event);
    }

    fn find_minority(&self) -> Option<Minority> {
        let (ready, min) = (self.others.ready.len() + 1, self.config.members_min);
        if ready < min {
            return Some(Minority::BelowMin { ready, min });
        }
        self.quorum.lacking().map(|lacking| Minority::NoMajority { seen: lacking.seen, of: lacking.of })
    }

    fn tell_views(&mut self) {
        if self.config.partition == Partition::Pause {
            self.feeds.values_mut().for_each(|feed| feed.note(Note::Views));
        }
    }
}
