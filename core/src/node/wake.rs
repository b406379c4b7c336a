//! A timer that ran late: this node was asleep, because its process was stopped or its machine had no time for it.
//!
//! Others may have made of its silence what they must, and what it finds to read has waited for it. So it doubts itself
//! before it doubts others: nobody's silence counts for that time, a suspect may answer anew, and how long sessions live
//! on by what has waited counts from before the sleep.

use super::Node;
use crate::{io::Event, planted::Bug, time::Time};

impl Node {
    /// Time as the node sees it: it never goes back.
    pub(super) fn moved_to(&mut self, now: Time) -> Time {
        if self.now + self.config.drop_time / 2 < now {
            self.doubt_itself(now);
        }
        self.now = self.now.max(now);
        self.now
    }

    /// Sees whether what was due has waited for longer than others might take for a death.
    pub(super) fn doubt_itself(&mut self, now: Time) {
        // What was told late may have been due in the past.
        let Some(due) = self.poll_timeout().map(|due| due.max(self.woken).max(self.now)) else { return };
        let late = now.since(due);
        if late <= self.config.drop_time / 2 || Bug::SleeperEvicts.is_planted() {
            return;
        }
        let since = self.now.min(due);
        self.woken = now;
        self.stats.sleeps += 1;
        self.raise(Event::Slept(late));
        self.first_at = self.first_at + late;
        self.membership.handle_slept(now, late);
        let nonce = self.rng.next();
        self.links.handle_slept(now, since, late, nonce);
    }
}
