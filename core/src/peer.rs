//! What is known of one other member.

use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;

use crate::{
    member::{Member, MemberState, RemovalCause},
    time::Time,
    wire::Beat,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) frequency: Duration,
    pub(crate) drop_time: Duration,
    pub(crate) probe_time: Duration,
    pub(crate) probe_attempts: u32,
    pub(crate) search_max: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) member: Member,
    pub(crate) incarnation: u32,
    pub(crate) sequence: u64,
    /// In the view; before that it is only known by its beats.
    pub(crate) listed: bool,
    pub(crate) known: Time,
    /// When it started, on this node's clock, which may have started later.
    pub(crate) born: i128,
    pub(crate) heard: Time,
    /// Without a stream since then.
    pub(crate) unlinked: Option<Time>,
    pub(crate) dial_at: Time,
    /// How long to wait before the stream is dialed once more.
    pub(crate) dial_wait: Duration,
    /// How many greetings were refused since the last one that was not.
    pub(crate) refusals: u32,
    pub(crate) suspicion: Option<Suspicion>,
    /// Others have heard it and this node has not: its own word must come by then, or its stream is opened anew.
    pub(crate) hearsay: Option<Time>,
    /// It sends beats to this node's own address, so it wants them at its own.
    pub(crate) direct_until: Time,
    /// Its state, or what decides which copies it holds, is other than this node was told last.
    pub(crate) untold: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspicion {
    pub(crate) cause: RemovalCause,
    /// Names it among all that this node has had.
    pub(crate) number: u64,
    /// How often the suspect was asked.
    pub(crate) asked: u32,
    pub(crate) next_probe: Time,
    pub(crate) until: Time,
    /// Beyond this no chance to answer is given anew.
    pub(crate) limit: Time,
}

impl Timing {
    /// Until when a suspect may answer, and until when at the most if it is given another chance.
    pub(crate) fn patience(self, now: Time) -> (Time, Time) {
        (now + self.probe_time, now + self.drop_time + self.probe_time)
    }
}

/// A process that dies closes its streams before its listener: the second attempt is the one that is refused.
pub(crate) const DIAL_WAIT_MIN: Duration = Duration::from_millis(2);

impl Peer {
    pub(crate) fn new(now: Time, beat: &Beat<'_>, dial_at: Time) -> Self {
        Self {
            member: Member::announced(beat),
            incarnation: 0,
            sequence: 0,
            listed: false,
            known: now,
            born: i128::from(now.as_nanos()),
            heard: now,
            unlinked: Some(now),
            dial_at,
            dial_wait: DIAL_WAIT_MIN,
            refusals: 0,
            suspicion: None,
            hearsay: None,
            direct_until: now,
            untold: true,
        }
    }

    /// Tells whether it has replaced its payload since it was listed.
    pub(crate) fn take_word(&mut self, now: Time, beat: &Beat<'_>) -> bool {
        let is_replaced = self.listed && self.member.payload[..] != *beat.payload.0;
        (self.incarnation, self.sequence) = (beat.incarnation, beat.sequence);
        let before = self.member.state;
        self.untold |= self.member.take(beat);
        if before == MemberState::Leaving {
            // It said so on its stream; a beat may have been on its way meanwhile.
            self.member.state = MemberState::Leaving;
        }
        self.untold |= self.member.state != before;
        self.born = i128::from(now.as_nanos()) - i128::from(beat.age_millis) * 1_000_000;
        is_replaced
    }

    /// It lives: whoever suspected it suspects it no more. Tells whether that was so.
    pub(crate) fn clear(&mut self, now: Time) -> bool {
        self.heard = now;
        self.member.suspect = false;
        self.suspicion.take().is_some()
    }

    /// This node was run that late: nobody's silence counts for that time, and a suspect has a full chance to answer. Who is
    /// run late all the time finds the dead all the same.
    pub(crate) fn handle_slept(&mut self, now: Time, late: Duration, timing: Timing) {
        let Timing { drop_time, probe_time, .. } = timing;
        self.known = (self.known + late).min(now);
        self.heard = (self.heard + late).min(now);
        self.direct_until = self.direct_until + late;
        self.hearsay = self.hearsay.map(|until| until + late);
        self.unlinked = self.unlinked.map(|since| (since + late).max(now - drop_time).min(now));
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.limit = suspicion.limit + late;
            suspicion.until = suspicion.limit.min(now + probe_time);
            suspicion.next_probe = now;
        }
    }

    /// When to look at it next.
    pub(crate) fn poll_timeout(&self, timing: Timing) -> Time {
        let Timing { drop_time, probe_time, .. } = timing;
        let mut due = match &self.suspicion {
            Some(suspicion) => suspicion.next_probe.min(suspicion.until),
            None => self.heard + drop_time,
        };
        if let Some(since) = self.unlinked {
            due = due.min(self.dial_at);
            if self.listed {
                due = due.min(since + drop_time + probe_time);
            }
        }
        self.hearsay.map_or(due, |until| due.min(until))
    }
}

impl Member {
    /// One of which nothing is known but where it is.
    pub(crate) fn announced(beat: &Beat<'_>) -> Self {
        Self {
            id: beat.from,
            name: String::new(),
            weight: 1,
            host: String::new(),
            zone: String::new(),
            domain: String::new(),
            payload: Bytes::new(),
            address: beat.address,
            version: 0,
            state: MemberState::Joining,
            suspect: false,
            uptime: Duration::ZERO,
        }
    }

    /// What it says of itself. Tells whether it now holds other copies, whatever its state.
    pub(crate) fn take(&mut self, beat: &Beat<'_>) -> bool {
        self.state = beat.state;
        self.address = beat.address;
        self.uptime = Duration::from_millis(beat.age_millis);
        let is_other_weight = core::mem::replace(&mut self.weight, beat.weight) != beat.weight;
        let take = |held: &mut String, told: &str| {
            let is_other = held != told;
            if is_other {
                *held = told.into();
            }
            is_other
        };
        take(&mut self.name, beat.name);
        take(&mut self.domain, beat.domain);
        let is_elsewhere = [take(&mut self.host, beat.host), take(&mut self.zone, beat.zone)].contains(&true);
        if self.payload[..] != *beat.payload.0 {
            self.payload = Bytes::copy_from_slice(beat.payload.0);
        }
        is_other_weight || is_elsewhere
    }
}
