//! The end of a member in order: it hands over, says so, and is gone; and what would be lost with it until then.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use super::Node;
use crate::{
    copies::Copies,
    feed::{Feed, Note},
    io::{Event, Transmit},
    key::SessionKey,
    member::{MemberId, MemberState},
    planted::Bug,
    risk::{AtRisk, Handover},
    session::Change,
    time::Time,
    wire::{FrameWriter, Kind},
};

/// How far a member is with leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// It hands over and serves until others have everything up to a change, or until the first time.
    Serving {
        until: Time,
        ends: Time,
        change: Change,
    },
    /// It takes no more commits.
    Closing {
        ends: Time,
    },
    Left,
}

impl Leaving {
    /// When something is to be done about it.
    pub(super) fn poll_timeout(self) -> Option<Time> {
        match self {
            Self::Serving { until, .. } => Some(until),
            Self::Closing { ends } => Some(ends),
            Self::No | Self::Left => None,
        }
    }
}

impl Node {
    /// Leaves the cluster and takes no more commits: waits until others have all that this member owned or wrote, says so and
    /// raises [`Event::Left`](crate::Event::Left), at the latest after `leave_for`. Where nobody is to be had that could take
    /// anything it does not wait.
    pub fn leave(&mut self, now: Time) {
        let now = self.moved_to(now);
        let ends = now + self.config.leave_for;
        match self.leaving {
            Leaving::No => self.close_down(now, ends),
            Leaving::Serving { ends: before, .. } => self.close_down(now, ends.min(before)),
            Leaving::Closing { .. } | Leaving::Left => {}
        }
        self.advance(now);
    }

    /// Leaves the cluster within a time, and goes on serving while it hands over: others count it out at once and take its
    /// place, and it takes commits until they have what it held. Then, or when half of the time is over or only `leave_for` is
    /// left of it, the rest is as with [`leave`](Self::leave).
    pub fn drain(&mut self, now: Time, within: Duration) {
        let now = self.moved_to(now);
        if self.leaving == Leaving::No {
            let ends = now + within;
            if self.state == MemberState::Ready {
                let until = ends - self.config.leave_for.min(within / 2);
                self.leaving = Leaving::Serving { until, ends, change: self.change };
                self.tell_of_leaving(now);
            } else {
                self.close_down(now, ends);
            }
        }
        self.advance(now);
    }

    /// How far this member is with leaving; `None` if it does not leave, or has left.
    pub fn handover(&self) -> Option<Handover> {
        let (serving, ends) = match self.leaving {
            Leaving::No | Leaving::Left => return None,
            Leaving::Serving { ends, .. } => (true, ends),
            Leaving::Closing { ends } => (false, ends),
        };
        let lacked = self.feeds.values().map(Feed::len_outstanding).max().unwrap_or_default();
        let remaining = lacked + self.relocation.len_pending();
        Some(Handover { serving, remaining, at_risk: self.at_risk(), ends_in: ends.since(self.now) })
    }

    /// What would be lost with this member alone, as far as it knows. It is counted as things change, so it costs nothing to
    /// ask. All sessions where only one member holds each, or no other member is ready.
    pub fn at_risk(&self) -> AtRisk {
        let sessions = self.risk.sessions(self.sessions.live());
        let all = self.map.len();
        let ready = self.feeds.iter().filter(|(member, _)| self.others.ready.contains(*member));
        AtRisk { sessions, entries: ready.map(|(_, feed)| feed.entries_owed(all)).min().unwrap_or(all) }
    }

    /// What this member says of itself: others count it out while it still serves.
    pub(super) fn told_state(&self) -> MemberState {
        match self.leaving {
            Leaving::Serving { .. } => MemberState::Leaving,
            Leaving::No | Leaving::Closing { .. } | Leaving::Left => self.state,
        }
    }

    /// Sees which sessions are at risk, after anything that may have changed it.
    pub(super) fn assess(&mut self) {
        let mut news = Vec::new();
        for feed in self.feeds.values_mut() {
            let mut more = feed.take_news();
            if news.is_empty() { news = more } else { news.append(&mut more) }
        }
        if self.risk.is_searching() && self.ownership.has_offered() && !self.relocation.is_walking() {
            self.risk.end_search();
        }
        let sure = self.copies_are_fed() && !self.risk.is_searching();
        if !sure {
            self.risk.set_unsure();
        } else if !self.risk.is_sure() || core::mem::take(&mut self.replaced) {
            self.risk.set_sure(self.unshared());
        } else {
            for key in news {
                if !self.risk.is_unshared(&key) && !self.is_shared(&key) {
                    self.risk.doubt(key);
                }
            }
        }
    }

    /// A member has acknowledged something of a session.
    pub(super) fn note_shared(&mut self, key: &SessionKey, member: MemberId) {
        if self.feeds.get(&member).is_some_and(|feed| !feed.carries(key)) {
            self.risk.handle_kept(key, member);
            if self.risk.is_unshared(key) && self.is_relied_on(key, member) {
                self.risk.trust(key);
            }
        }
    }

    /// Asserts that the sessions which nobody else has were followed rightly.
    pub(super) fn check_risk(&self) {
        if self.risk.is_sure() && self.leaving != Leaving::Left {
            assert!(self.risk.unshared().eq(self.unshared()), "what nobody else has is known");
        }
    }

    pub(super) fn leave_when_done(&mut self, now: Time) {
        match self.leaving {
            Leaving::No | Leaving::Left => {}
            Leaving::Serving { until, ends, change } => {
                let taken = self.is_released() && self.feeds.values().all(|feed| feed.has_acked(change));
                let taken = taken || Bug::LeavesEarly.is_planted();
                if until <= now || self.is_last() || taken && self.is_safe() {
                    self.close_down(now, ends);
                    self.assess();
                    self.leave_when_done(now);
                }
            }
            Leaving::Closing { ends } => {
                let taken =
                    self.is_released() && (Bug::LeavesEarly.is_planted() || self.feeds.values().all(Feed::is_empty));
                if ends <= now || self.is_last() || taken && self.is_safe() {
                    self.say_goodbye();
                }
            }
        }
    }

    fn close_down(&mut self, now: Time, ends: Time) {
        self.state = MemberState::Leaving;
        let is_told = matches!(self.leaving, Leaving::Serving { .. });
        self.leaving = Leaving::Closing { ends };
        if !is_told {
            self.tell_of_leaving(now);
        }
    }

    /// Others hear it on their streams too: who acknowledges that knows it when it leaves itself, so no two members rely on
    /// each other.
    fn tell_of_leaving(&mut self, now: Time) {
        self.place();
        self.feeds.values_mut().for_each(|feed| feed.note(Note::Leaving));
        self.membership.beats().hasten(now);
    }

    /// Whether what the gone ones have left has been offered, and no copy is left that another has to take.
    fn is_released(&self) -> bool {
        Bug::LeavesEarly.is_planted() || self.ownership.has_offered() && self.relocation.is_settled()
    }

    /// Whether nothing is at risk, or nothing can be done about it.
    fn is_safe(&self) -> bool {
        self.config.copies == Copies::Nowhere || self.at_risk().is_none() || Bug::LeavesEarly.is_planted()
    }

    /// Whether nobody is there who stays, or comes: who could take anything.
    fn is_last(&self) -> bool {
        let stays = |member: &MemberId| {
            self.membership.member(*member).is_some_and(|member| member.state != MemberState::Leaving)
        };
        !self.others.all.iter().any(stays)
    }

    /// Whether there is somebody of whom it is known session by session what is lacking.
    fn copies_are_fed(&self) -> bool {
        let mut fed =
            self.others.ready.iter().map(|member| self.feeds.get(member).is_some_and(|feed| !feed.owes_all()));
        match self.config.copies {
            Copies::Everywhere => fed.any(|fed| fed),
            // Each session has others that hold it.
            Copies::Backups(_) => !self.others.ready.is_empty() && fed.all(|fed| fed),
            Copies::Nowhere => false,
        }
    }

    /// The sessions of which something is owed to somebody, and everything to nobody.
    fn unshared(&self) -> Vec<SessionKey> {
        let owed: BTreeSet<_> = self.feeds.values().flat_map(Feed::owed).collect();
        owed.into_iter().filter(|key| !self.is_shared(key)).collect()
    }

    /// Whether a ready member that must hold a session has acknowledged all that is to be brought to it.
    fn is_shared(&self, key: &SessionKey) -> bool {
        if self.is_everywhere() {
            return self.others.ready.iter().any(|member| self.is_relied_on(key, *member));
        }
        self.placement.holders(key).into_iter().any(|member| self.is_relied_on(key, member))
    }

    fn is_relied_on(&self, key: &SessionKey, member: MemberId) -> bool {
        self.others.ready.contains(&member)
            && self.feeds.get(&member).is_some_and(|feed| !feed.owes(key))
            && (self.is_everywhere() || self.placement.holders(key).contains(&member))
    }

    fn say_goodbye(&mut self) {
        let at_risk = self.at_risk();
        self.leaving = Leaving::Left;
        let writer = FrameWriter::new(self.cluster);
        let bytes: bytes::Bytes = writer.datagram(Kind::Bye, &self.id).into();
        self.outbox.push_back(Transmit::Multicast { bytes: bytes.clone() });
        for member in self.membership.members().into_iter().chain(self.membership.neighbors().listed()) {
            self.outbox.push_back(Transmit::Datagram { to: member.address, bytes: bytes.clone() });
        }
        let streams: Vec<_> = self.links.streams().collect();
        for stream in streams {
            let mut bye = FrameWriter::new(self.cluster);
            bye.speak(self.links.version(stream));
            bye.frame(Kind::Bye, &self.id);
            let blocked = self.links.get_mut(stream).is_some_and(|link| link.blocked);
            if self.links.peer(stream).is_some() && !blocked {
                self.outbox.push_back(Transmit::Write { stream, bytes: bye.into_bytes().into() });
            }
            self.outbox.push_back(Transmit::Close { stream });
            self.links.remove(stream);
        }
        self.feeds.clear();
        self.messages.clear();
        self.fetches.handle_left();
        self.membership.forget_all();
        self.count_others();
        self.raise(Event::Left { at_risk });
    }
}
