//! The signs of life that this node gives: when, to whom, and what they say.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use crate::{
    config::Config,
    member::{MemberId, MemberState},
    time::Time,
    wire::{Beat, Blob},
};

#[derive(Clone, Debug)]
pub(crate) struct Beats {
    me: MemberId,
    address: SocketAddr,
    frequency: Duration,
    started: Time,
    /// Counts the refutations of this life.
    incarnation: u32,
    sequence: u64,
    due: Time,
    /// There is a group that beats are sent to.
    group: bool,
}

/// What a beat says beside who it is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) state: MemberState,
    pub(crate) clock: u64,
    pub(crate) config: &'a Config,
    pub(crate) payload: &'a [u8],
}

impl Beats {
    pub(crate) fn new(me: MemberId, address: SocketAddr, frequency: Duration, now: Time) -> Self {
        Self { me, address, frequency, started: now, incarnation: 0, sequence: 0, due: now, group: true }
    }

    pub(crate) fn set_group(&mut self, group: bool) {
        self.group = group;
    }

    /// Something about this member has changed: the next beat is due now.
    pub(crate) fn hasten(&mut self, now: Time) {
        self.due = now;
    }

    /// Another has removed this incarnation of this node: refute it. `true` if that is news.
    pub(crate) fn handle_declared(&mut self, now: Time, incarnation: u32) -> bool {
        let news = self.incarnation <= incarnation && incarnation < u32::MAX;
        if news {
            self.incarnation = incarnation + 1;
            self.hasten(now);
        }
        news
    }

    /// Whether it is time for beats; the next are due a `frequency` later.
    pub(crate) fn poll_due(&mut self, now: Time) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + self.frequency;
        }
        due
    }

    pub(crate) fn poll_timeout(&self) -> Time {
        self.due
    }

    /// The next beat. `listed` are the addresses of the view: a different slice of them goes along each time.
    pub(crate) fn beat<'a>(&mut self, now: Time, word: Word<'a>, listed: Vec<SocketAddr>, direct: bool) -> Beat<'a> {
        self.sequence += 1;
        let skip = usize::try_from(self.sequence % listed.len().max(1) as u64).unwrap_or(0);
        let others = listed.iter().cycle().skip(skip).take(listed.len().min(OTHERS_MAX)).copied().collect();
        Beat {
            versions: word.config.versions(),
            from: self.me,
            incarnation: self.incarnation,
            sequence: self.sequence,
            state: word.state,
            clock: word.clock,
            age_millis: u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX),
            address: self.address,
            name: &word.config.name,
            weight: word.config.weight,
            host: &word.config.host,
            zone: &word.config.zone,
            domain: &word.config.domain,
            others,
            direct,
            payload: Blob(word.payload),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn has_group(&self) -> bool {
        self.group
    }

    /// The addresses that want beats, this member's own left out.
    pub(crate) fn addresses(&self, wanting: impl Iterator<Item = SocketAddr>) -> BTreeSet<SocketAddr> {
        wanting.filter(|address| *address != self.address).collect()
    }
}

/// Addresses of others in one beat: they must fit a datagram.
pub(crate) const OTHERS_MAX: usize = 24;
