//! What follows from an input: machines are asked for what they found, and others are told.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Break, Leaving, Node};
use crate::{
    commits::Others,
    feed::{Feed, Note, Walk},
    io::{CloseCause, Event, ReadyCause, StreamId, Transmit},
    join::Progress,
    key::SessionKey,
    links::Gone,
    member::{MemberId, MemberState, RemovalCause},
    membership::{Change as ViewChange, Duty},
    neighbors::NeighborChange,
    planted::Bug,
    search::News,
    session::Change,
    time::Time,
    wire::{Declared, FrameWriter, Kind},
};

impl Node {
    /// Runs whatever is due by the clock.
    pub(super) fn run_timers(&mut self, now: Time) {
        if self.leaving == Leaving::Left {
            return;
        }
        self.membership.handle_timeout(now);
        while let Some(stream) = self.links.poll_late(now) {
            self.close(now, stream, CloseCause::Broken);
        }
        while let Some(key) = self.poll_due(now) {
            self.look_at(now, key);
        }
        while let Some(key) = self.ledger.poll_due(now) {
            self.forget(now, key);
        }
        self.ownership.forget_before(now - self.config.ended_for);
        self.commits.handle_timeout(now);
        self.map_commits.handle_timeout(now);
        self.forget_entries(now);
        self.walk_for_the_dead(now);
        self.relocate(now);
        self.fetches.handle_timeout(now);
        self.compare(now);
        self.start_first(now);
    }

    /// Passes on what the machines have found, until none has anything more.
    pub(super) fn advance(&mut self, now: Time) {
        self.handle_view_changes(now);
        while let Some(duty) = self.membership.poll_duty() {
            self.handle_duty(now, duty);
        }
        while let Some(change) = self.membership.poll_neighbor_change() {
            self.raise(match change {
                NeighborChange::Added(member) => Event::NeighborAdded(member),
                NeighborChange::Removed(member, cause) => Event::NeighborRemoved(member, cause),
            });
        }
        while let Some(news) = self.membership.poll_news() {
            self.raise(match news {
                News::Seeking(address, cause) => Event::Seeking(address, cause),
                News::Found(address, member) => Event::Found(address, member),
            });
        }
        while let Some((key, due)) = self.expiry.poll_answered() {
            self.expire_unless_used(now, key, due);
        }
        while let Some((key, expired)) = self.commits.poll_burial() {
            self.bury(now, key, &expired);
        }
        self.answer_fetches(now);
        self.make_room(now, None);
        self.forward_moved(now);
        self.settle();
        self.weigh();
        self.answer_joiners();
        self.join();
        self.assess();
        self.leave_when_done(now);
        self.check_debug();
    }

    pub(super) fn handle_view_changes(&mut self, now: Time) {
        while let Some(change) = self.membership.poll_change() {
            self.handle_view_change(now, change);
        }
    }

    fn handle_view_change(&mut self, now: Time, change: ViewChange) {
        match change {
            ViewChange::Added(member) => {
                if self.ownership.handle_added(member) && self.ownership.has_offered() {
                    // Who was told that it is gone relies on this member to see to what it owns.
                    self.feeds.values_mut().for_each(|feed| feed.note(Note::Offered));
                }
                self.raise(Event::MemberAdded(member));
                self.start_feed(now, member);
                self.count_in(member);
            }
            ViewChange::State(member, state) => {
                if state == MemberState::Leaving {
                    self.quorum.handle_gone(member);
                }
                let ready = state == MemberState::Ready;
                if ready && self.others.all.contains(&member) && !self.others.ready.contains(&member) {
                    self.raise(Event::MemberReady(member));
                    self.joiners.handle_over(member);
                    self.ownership.handle_ready(now);
                }
            }
            ViewChange::Payload(member) => self.raise(Event::MemberPayload(member)),
            ViewChange::Suspect(member, cause) => self.raise(Event::MemberSuspect(member, cause)),
            ViewChange::Cleared(member) => self.raise(Event::MemberCleared(member)),
            ViewChange::Mismatched(member, address) => self.raise(Event::Mismatched(member, address)),
            ViewChange::Incompatible(member, address, theirs) => {
                let ours = self.config.versions();
                self.raise(Event::Incompatible { member, address, theirs, ours });
            }
            ViewChange::Removed(member, cause) => self.handle_removed(now, member, cause),
        }
        self.count_others();
    }

    fn start_feed(&mut self, now: Time, member: MemberId) {
        let joining = self.membership.member(member).is_some_and(|member| member.state == MemberState::Joining);
        let walk = match self.state {
            // Where not everybody holds everything the walk that moves copies sees to it.
            _ if !self.is_everywhere() => None,
            MemberState::Joining => None,
            // Who was apart from this node may have missed anything.
            MemberState::Ready | MemberState::Leaving if joining => Some(Walk::Owned),
            MemberState::Ready | MemberState::Leaving => Some(Walk::All),
        };
        let mut feed = Feed::new(walk);
        for key in self.feeds.values().flat_map(Feed::outstanding) {
            if self.is_everywhere() || self.placement.holders(&key).contains(&member) {
                feed.lack(now, key, Change::default());
            }
        }
        if self.rounds.is_running() {
            feed.note(Note::Round);
        }
        let gone = self.ownership.gone();
        if !gone.is_empty() && self.ownership.has_offered() {
            feed.note(Note::Offered);
        }
        if self.told_state() == MemberState::Leaving {
            feed.note(Note::Leaving);
        }
        self.feeds.insert(member, feed);
        self.messages.handle_added(member);
        self.feed_map(member);
        if let Some(gap) = self.breaks.get_mut(&member) {
            gap.too_long = self.config.ended_for <= now.since(gap.since);
            gap.lurking = false;
        }
    }

    fn handle_removed(&mut self, now: Time, member: MemberId, cause: RemovalCause) {
        for stream in self.links.streams_of(member) {
            self.links.remove(stream);
            self.outbox.push_back(Transmit::Close { stream });
        }
        self.feeds.remove(&member);
        self.stats.messages_dropped += self.messages.handle_removed(member) as u64;
        self.count_others();
        let clock = self.clock.last();
        let since = now - self.config.drop_time - self.config.probe_time;
        let lurking = cause != RemovalCause::Left;
        match cause {
            RemovalCause::Left | RemovalCause::Superseded => self.quorum.handle_gone(member),
            RemovalCause::Silent | RemovalCause::Broken | RemovalCause::Refused => self.quorum.handle_removed(member),
        }
        self.breaks.insert(member, Break { since, clock, lurking, too_long: false });
        self.breaks.retain(|_, gap| now.since(gap.since) < BREAK_MAX);
        self.expiry.handle_removed(member);
        self.ownership.handle_removed(now, member);
        self.relocation.handle_removed(member);
        self.risk.handle_removed(member);
        self.fetches.handle_removed(member);
        self.joiners.handle_over(member);
        self.joiners.say_again();
        self.repair_map();
        if self.rounds.handle_removed(!self.others.ready.is_empty()) {
            self.feeds.values_mut().for_each(|feed| feed.note(Note::Round));
        } else {
            // Others may be ready that this joiner has not met: it looks for them anew.
            self.first_at = self.first_at.max(now + self.config.join_for);
        }
        self.raise(Event::MemberRemoved(member, cause));
    }

    pub(super) fn count_others(&mut self) {
        let state = |member: &&MemberId| self.membership.member(**member).map(|member| member.state);
        let all = self.feeds.keys().copied().collect();
        let ready = self.feeds.keys().filter(|member| state(member) == Some(MemberState::Ready)).copied().collect();
        self.others = Arc::new(Others { all, ready });
        self.quorum.handle_ready();
        self.place();
    }

    fn handle_duty(&mut self, now: Time, duty: Duty) {
        if self.leaving == Leaving::Left {
            return;
        }
        let writer = FrameWriter::new(self.cluster);
        match duty {
            Duty::BeatGroup => {
                let bytes = self.beat(now, false).into();
                self.outbox.push_back(Transmit::Multicast { bytes });
            }
            Duty::BeatTo(to, direct) => {
                let bytes = self.beat(now, direct).into();
                self.outbox.push_back(Transmit::Datagram { to, bytes });
            }
            Duty::Dial(member, to) => self.outbox.extend(self.links.dial(now, member, to)),
            Duty::Probe(member, to) => {
                let nonce = self.rng.next();
                self.send_probe(member, to, nonce);
                self.links.ping(member, nonce);
            }
            Duty::Relay { suspect, number, to } => self.send_relay(suspect, number, to),
            Duty::Reopen(member) => {
                if let Some(stream) = self.links.current(member) {
                    self.close(now, stream, CloseCause::Broken);
                }
            }
            Duty::Declare(member, to, incarnation) => {
                let declared = Declared { from: self.id, to: member, incarnation };
                let bytes = writer.datagram(Kind::Declared, &declared).into();
                self.outbox.push_back(Transmit::Datagram { to, bytes });
            }
        }
    }

    /// Closes a stream from this side.
    pub(super) fn close(&mut self, now: Time, stream: StreamId, cause: CloseCause) {
        if self.links.get_mut(stream).is_some() {
            self.outbox.push_back(Transmit::Close { stream });
            self.drop_stream(now, stream, cause);
        }
    }

    /// A stream is gone: what was on its way on it may not have arrived.
    pub(super) fn drop_stream(&mut self, now: Time, stream: StreamId, cause: CloseCause) {
        let lag = self.links.lag(stream);
        match self.links.remove(stream) {
            Some(Gone::Current(member)) => {
                if let Some(feed) = self.feeds.get_mut(&member) {
                    feed.handle_broken();
                }
                if lag.is_zero() {
                    self.membership.handle_unlinked(now, member, cause);
                } else {
                    self.membership.handle_unlinked_asleep(now, member);
                }
            }
            Some(Gone::Dialed(member)) => self.membership.handle_unlinked(now, member, cause),
            Some(Gone::Refused(member)) => self.membership.handle_refused(now, member, cause),
            None => {}
        }
    }

    /// Tells others of a use here: the owner, or if this is the owner, everybody who holds a copy.
    pub(super) fn tell_use(&mut self, now: Time, key: &SessionKey) {
        let Some(session) = self.sessions.record(key) else { return };
        let Some(owner) = session.owner().filter(|_| !Bug::SilentUse.is_planted()) else { return };
        if session.lifetime().is_none() {
            // What it lives on for, only others can tell.
            self.tell_use_elsewhere(*key, Some(owner));
        } else if owner == self.id {
            self.note_holders(key, Note::Use(*key), None);
        } else if let Some(feed) = self.feeds.get_mut(&owner) {
            feed.note(Note::Use(*key));
        } else {
            // The owner is out of the view: a use takes over.
            self.stats.takeovers += 1;
            self.sessions.take_over(*key, self.id);
            self.feed_holders(*key, Change::default());
            self.settle_record(now, *key, None);
        }
    }

    fn answer_joiners(&mut self) {
        if self.relocation.is_walking() {
            return;
        }
        loop {
            let feeds = &self.feeds;
            let waiting = self.joiners.waiting(|member| feeds.get(&member).is_some_and(Feed::is_drained));
            let Some(member) = waiting else { return };
            let Some((settled, open)) = self.ownership.taken() else { return };
            let view = self.others.all.iter().copied().chain(open).collect();
            self.joiners.say_done(member, view, settled);
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.note(Note::Done);
            }
        }
    }

    fn join(&mut self) {
        if self.state != MemberState::Joining {
            return;
        }
        if !self.others.ready.is_empty() && self.rounds.start() {
            self.feeds.values_mut().for_each(|feed| feed.note(Note::Round));
        }
        match self.rounds.poll(self.id, &self.others.all) {
            Progress::Waiting => {}
            Progress::Ask => self.feeds.values_mut().for_each(|feed| feed.note(Note::Round)),
            Progress::Complete => self.become_ready(self.now, ReadyCause::Joined),
        }
    }

    /// When to see whether this node may start alone.
    pub(super) fn first_member_at(&self) -> Option<Time> {
        let looking = self.state == MemberState::Joining && !self.rounds.is_running();
        looking.then_some(self.first_at)
    }

    fn start_first(&mut self, now: Time) {
        if self.first_member_at().is_some_and(|at| at <= now) {
            let waits = self.membership.waits_for_others(now) && !Bug::EachIsFirst.is_planted();
            if waits || self.is_below_min() {
                self.first_at = now + self.config.frequency;
            } else {
                self.become_first(now);
            }
        }
    }

    pub(super) fn become_first(&mut self, now: Time) {
        if self.state == MemberState::Joining {
            self.become_ready(now, ReadyCause::FirstMember);
        }
    }

    fn become_ready(&mut self, now: Time, cause: ReadyCause) {
        self.state = MemberState::Ready;
        self.quorum.handle_ready();
        self.place();
        self.raise(Event::Ready(cause));
        self.ownership.handle_ready(now);
        self.membership.beats().hasten(now);
    }
}

/// How long an absence is remembered at the most: after that everything that the absent one could bring has long expired.
const BREAK_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
