//! What spoils the ways between hosts.

use core::time::Duration;

use super::{HostId, Net};
use crate::{clock::Moment, wires::Wires};

impl Net {
    /// Cuts one direction: datagrams are lost, streams wait and break after a while.
    pub fn cut(&mut self, now: Moment, from: HostId, to: HostId) {
        self.paths.cut.insert((from, to));
        self.review_streams(now);
    }

    /// Mends what `cut` did.
    pub fn mend(&mut self, now: Moment, from: HostId, to: HostId) {
        self.paths.cut.remove(&(from, to));
        self.review_streams(now);
    }

    /// Loses so many of a thousand datagrams of one direction.
    pub fn thin(&mut self, from: HostId, to: HostId, loss: u64) {
        self.paths.thin.insert((from, to), loss);
    }

    /// Carries the datagrams of this direction again.
    pub fn thicken(&mut self, from: HostId, to: HostId) {
        self.paths.thin.remove(&(from, to));
    }

    /// Loses so many of a thousand multicast datagrams of one direction; zero ends it.
    pub fn thin_group(&mut self, from: HostId, to: HostId, loss: u64) {
        self.paths.thin_group.insert((from, to), loss);
        self.paths.thin_group.retain(|_, loss| 0 < *loss);
    }

    /// Keeps the bytes of streams in this direction back, without ever breaking a stream for it.
    pub fn hold(&mut self, now: Moment, from: HostId, to: HostId) {
        self.paths.held.insert((from, to));
        self.review_streams(now);
    }

    /// Lets them go.
    pub fn release(&mut self, now: Moment, from: HostId, to: HostId) {
        self.paths.held.remove(&(from, to));
        self.review_streams(now);
    }

    /// Makes one direction slower by so much.
    pub fn lag(&mut self, from: HostId, to: HostId, length: Duration) {
        self.paths.lag.insert((from, to), length);
        self.paths.lag.retain(|_, length| !length.is_zero());
    }

    /// Breaks every stream between two hosts; what is on its way is lost.
    pub fn break_streams(&mut self, now: Moment, one: HostId, other: HostId) {
        self.streams.break_between(now, one, other);
    }

    /// Lets streams between two hosts open and take bytes, and bring nothing of it. What they carry is lost as well.
    pub(crate) fn swallow(&mut self, now: Moment, one: HostId, other: HostId) {
        self.paths.swallowed.insert((one.min(other), one.max(other)));
        self.streams.handle_swallow(now, one, other);
    }

    /// Ends that: a stream of which something may be missing breaks.
    pub(crate) fn spare(&mut self, now: Moment, one: HostId, other: HostId) {
        self.paths.swallowed.remove(&(one.min(other), one.max(other)));
        self.streams.break_between(now, one, other);
    }

    /// Takes a limit from a wire: what waited for it goes on.
    pub(crate) fn widen(&mut self, now: Moment, how: impl FnOnce(&mut Wires)) {
        how(&mut self.wires);
        self.review_streams(now);
    }
}
