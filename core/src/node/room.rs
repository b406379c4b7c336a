//! Room for sessions: what a member does that holds more than it may.

use super::Node;
use crate::{
    io::Event, key::SessionKey, life::EndCause, limits::Load, member::MemberState, pressure::Relief,
    sessions::MakesRoom, time::Time,
};

impl Node {
    /// Whose sessions a commit may cost.
    pub(super) fn makes_room(&self) -> MakesRoom {
        match (self.limits.evicts(), self.pressure.is_stalled()) {
            (false, _) => MakesRoom::No,
            (true, false) => MakesRoom::All,
            (true, true) => MakesRoom::Own,
        }
    }

    /// Ends sessions of this member, but for `keep`, if more are held than may be. What others own is theirs to end: a
    /// member without room kills nothing that lives elsewhere.
    pub(super) fn make_room(&mut self, now: Time, keep: Option<SessionKey>) {
        let excess = self.limits.excess(self.sessions.load());
        let relief = self.pressure.poll(now, excess).filter(|_| self.state == MemberState::Ready);
        if excess == Load::NONE {
            return;
        }
        if self.limits.evicts()
            && let Some(relief) = relief
        {
            let (victims, more) = match relief {
                Relief::Coldest => self.sessions.coldest(excess, self.limits.reserve(), keep),
                Relief::Share => (self.sessions.own_share(excess, keep), false),
            };
            victims.into_iter().for_each(|key| self.evict(now, key));
            if more {
                self.pressure.go_on(now);
            }
            let rest = self.limits.excess(self.sessions.load());
            self.pressure.wait(now, rest, self.config.frequency * 2);
        }
        let is_stuck = !self.limits.evicts() || self.pressure.is_stalled();
        let limit = self.limits.overfull(self.sessions.load()).filter(|_| is_stuck);
        if let Some(limit) = limit.filter(|_| self.pressure.tell()) {
            self.raise(Event::Overfull(limit));
        }
    }

    /// Ends a session that this member owns: what is known here of it, so that what others create under its key lives.
    fn evict(&mut self, now: Time, key: SessionKey) {
        let births = self.sessions.record(&key).map(|session| session.movable()).unwrap_or_default();
        if births.is_empty() {
            return;
        }
        self.stats.evictions += 1;
        self.sessions.bury(key, &births, EndCause::Evicted);
        let change = self.next_change();
        self.feed_holders(key, change);
        // Also what had expired: no use brings it back any more.
        self.settle_record(now, key, Some(EndCause::Evicted));
        self.look_at_ended(now, key);
    }
}
