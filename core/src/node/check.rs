//! What is true of a node between calls.

use super::Node;
use crate::feed::Feed;

impl Node {
    /// Asserts what is true between calls. Debug builds do so after every input.
    ///
    /// # Panics
    ///
    /// Something is not true that must be: a fault of this crate.
    pub fn check(&self) {
        self.sessions.check_table();
        self.expiry.check(self.sessions.all_armed());
        self.map.check_table();
        self.feeds.values().for_each(Feed::check);
        let listed = self.membership.members().into_iter().map(|member| member.id);
        assert!(listed.into_iter().all(|member| self.feeds.contains_key(&member)), "every member of the view is fed");
        assert!(self.feeds.len() == self.others.all.len(), "only members of the view are fed");
        assert!(self.others.ready.is_subset(&self.others.all), "the ready ones are in the view");
        self.check_risk();
        assert!(self.events.len() <= self.config.events_max, "events are bounded");
    }

    /// What is true between calls costs a walk over the table, so only debug builds look at all of it, and only while
    /// the table is small.
    pub(super) fn check_debug(&self) {
        if cfg!(debug_assertions) && self.sessions.live() < CHECKED_MAX {
            self.check();
        }
    }
}

/// The most sessions with which debug builds check after every input: the check walks the table.
const CHECKED_MAX: usize = 256;
