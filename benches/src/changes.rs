//! What may be done to the members of a net and to its wires.

use std::time::Duration;

use heirloom_core::{AtRisk, StreamId, Transmit};

use crate::Net;

impl Net {
    /// Keeps what a member has handed over until the next pump.
    pub fn later(&mut self, n: usize, transmits: Vec<Transmit>) {
        self.late.extend(transmits.into_iter().map(|transmit| (n, transmit)));
    }

    /// The streams of a member to another one, as the first calls them.
    pub fn streams(&self, n: usize, other: usize) -> Vec<StreamId> {
        let between = self.other_ends.iter().filter(|(end, (theirs, _))| end.0 == n && *theirs == other);
        between.map(|(end, _)| end.1).collect()
    }

    /// Makes a member hand over and leave while it serves; tells how long that took and what was at risk in the end.
    ///
    /// # Panics
    ///
    /// It takes longer than `within`.
    pub fn drain(&mut self, n: usize, within: Duration) -> (Duration, AtRisk) {
        let began = self.now;
        self.node_mut(n).drain(began, within);
        self.pump();
        loop {
            if let Some(at_risk) = self.left.remove(&n) {
                self.kill(n);
                return (self.now.since(began), at_risk);
            }
            assert!(self.now.since(began) < within, "it leaves in {within:?}");
            let at = self.next_timeout().expect("a member has beats to send");
            self.pass(at);
        }
    }

    /// From now on these reach nobody else, and nobody else reaches them; nobody reaches whom it could not reach before.
    pub fn split(&mut self, apart: impl IntoIterator<Item = usize>) {
        self.apart = apart.into_iter().collect();
    }

    /// Everybody reaches everybody again.
    ///
    /// # Panics
    ///
    /// There is a stream from one side to the other, so something that was written to it is lost.
    pub fn heal(&mut self) {
        let crosses = self.other_ends.iter().any(|(one, other)| self.is_cut(one.0, other.0));
        assert!(!crosses, "members close the streams to those whom they have removed");
        self.apart.clear();
    }

    pub(crate) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.apart.contains(&one) != self.apart.contains(&other)
    }
}
