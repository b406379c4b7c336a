//! What a run has reached: coverage that is seen.
//!
//! A swarm in which nobody ever joins while a member dies says nothing of that, however green it is. So runs count what was
//! sent, what members told, what clients were answered, what the world did, and how often each rule of an oracle had
//! something to judge; and a batch in which one of these never happened is inconclusive.

use std::{cell::RefCell, collections::BTreeMap};

use heirloom_core::{CommitError, Event, Fetched, Outcome, SeekCause, kinds};

use crate::{action::Action, ask::Start, net::LastBytes};

/// What kind of thing was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// A kind of frame, or of item in one.
    Sent,
    /// An event of a member, with its cause.
    Told,
    /// What a client was answered.
    Answered,
    /// What the world or a client did.
    Done,
    /// A rule of an oracle that had something to judge.
    Judged,
}

/// How often each thing was reached.
pub type Counts = BTreeMap<(Reached, String), u64>;

/// Counts what a run reaches, if it is asked to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(RefCell<Option<Counts>>);

impl Marks {
    /// Counts from now on.
    pub(crate) fn begin(&self) {
        self.0.replace(Some(Counts::new()));
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.borrow().clone().unwrap_or_default()
    }

    /// A rule of an oracle had something to judge.
    pub(crate) fn judged(&self, rule: &str) {
        self.hit(Reached::Judged, || rule.into());
    }

    pub(crate) fn told(&self, event: &Event) {
        self.hit(Reached::Told, || event_name(event));
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        let name = match outcome {
            Outcome::Durable(receipt) if receipt.members.is_empty() => "commit durable at once",
            Outcome::Durable(_) => "commit durable",
            Outcome::NotDurable { late: true, .. } => "commit late",
            Outcome::NotDurable { late: false, .. } => "commit not durable",
        };
        self.hit(Reached::Answered, || name.into());
    }

    pub(crate) fn fetched(&self, fetched: &Fetched) {
        let name = match fetched {
            Fetched::Here => "fetched",
            Fetched::Copy(..) => "copy shown",
            Fetched::Unknown => "nobody has it",
            Fetched::Late => "fetch late",
            Fetched::Stale { .. } => "fetch stale",
        };
        self.hit(Reached::Answered, || name.into());
    }

    pub(crate) fn refused(&self, error: &CommitError) {
        self.hit(Reached::Answered, || {
            let text = format!("{error:?}");
            let name = text.split([' ', '(', '{']).next().unwrap_or_default();
            format!("refused: {name}")
        });
    }

    /// A datagram found no room.
    pub(crate) fn crowded_out(&self) {
        self.hit(Reached::Done, || "datagram without room".into());
    }

    pub(crate) fn done(&self, action: &Action) {
        self.hit(Reached::Done, || action_name(action).into());
    }

    /// Counts the kinds in what is sent.
    pub(crate) fn sent(&self, bytes: &[u8], is_stream: bool) {
        if let Some(counts) = &mut *self.0.borrow_mut() {
            for kind in kinds::of(bytes, is_stream) {
                *counts.entry((Reached::Sent, kind.into())).or_default() += 1;
            }
        }
    }

    fn hit(&self, what: Reached, name: impl FnOnce() -> String) {
        if let Some(counts) = &mut *self.0.borrow_mut() {
            *counts.entry((what, name())).or_default() += 1;
        }
    }
}

fn event_name(event: &Event) -> String {
    match event {
        Event::Ready(cause) => format!("ready: {cause:?}"),
        Event::MemberAdded(_) => "member added".into(),
        Event::MemberReady(_) => "member ready".into(),
        Event::MemberPayload(_) => "member payload".into(),
        Event::MemberSuspect(..) => "member suspect".into(),
        Event::MemberCleared(_) => "member cleared".into(),
        Event::MemberRemoved(_, cause) => format!("member removed: {cause:?}"),
        Event::NeighborAdded(_) => "neighbor added".into(),
        Event::NeighborRemoved(..) => "neighbor removed".into(),
        Event::Seeking(_, cause) => match cause {
            SeekCause::Configured => "seeking: Configured".into(),
            SeekCause::Removed(_) => "seeking: Removed".into(),
        },
        Event::Found(..) => "found".into(),
        Event::Mismatched(..) => "mismatched".into(),
        Event::Incompatible { .. } => "incompatible".into(),
        Event::Paused(_) => "paused".into(),
        Event::Resumed => "resumed".into(),
        Event::MajorityLost(_) => "majority lost".into(),
        Event::MajorityRegained => "majority regained".into(),
        Event::Settled(_) => "settled".into(),
        Event::SessionEnded(_, cause) => format!("session ended: {cause:?}"),
        Event::MapChanged(_) => "map changed".into(),
        Event::ClockAhead(..) => "clock ahead".into(),
        Event::Slept(_) => "slept".into(),
        Event::EndsForgotten => "ends forgotten".into(),
        Event::Overfull(_) => "overfull".into(),
        Event::Repaired(..) => "repaired".into(),
        Event::Left { at_risk } if at_risk.is_none() => "left".into(),
        Event::Left { .. } => "left: at risk".into(),
        Event::Lagged => "lagged".into(),
    }
}

const fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Start(_) => "start",
        Action::Install(..) => "install",
        Action::Kill(_, LastBytes::Delivered) => "kill: delivered",
        Action::Kill(_, LastBytes::Lost) => "kill: lost",
        Action::PowerOff(_) => "off",
        Action::Pause(_) => "pause",
        Action::Resume(_) => "resume",
        Action::Leave(_) => "leave",
        Action::Drain(..) => "drain",
        Action::CountOut(_) => "count out",
        Action::Cut(..) => "cut",
        Action::Mend(..) => "mend",
        Action::Mute(..) => "mute",
        Action::Thin(..) => "thin",
        Action::ThinGroup(..) => "thin: group",
        Action::Unmute(..) => "unmute",
        Action::Hold(..) => "hold",
        Action::Release(..) => "release",
        Action::Break(..) => "break",
        Action::Lag(..) => "lag",
        Action::Narrow(..) => "narrow",
        Action::Room(..) => "room",
        Action::Swallow(..) => "swallow",
        Action::Spare(..) => "spare",
        Action::Drift(..) => "drift",
        Action::StepWall(..) => "wall",
        Action::Weather(weather) if 0 < weather.garble => "garble",
        Action::Weather(weather) if 0 < weather.corrupt + weather.truncate => "noise",
        Action::Weather(weather) if 0 < weather.switch_loss => "switch",
        Action::Weather(_) => "weather",
        Action::Heal(_) => "heal",
        Action::Commit(_, ask) if ask.moves_to.is_some() => "change of id",
        Action::Commit(_, ask) => match ask.start {
            Start::There => "write",
            Start::Anew => "create",
            Start::End => "end",
        },
        Action::Touch(..) => "touch",
        Action::SetName(..) => "set a name",
        Action::RemoveName(..) => "remove a name",
        Action::Send(..) => "send",
        Action::SendToAll(_) => "send to all",
    }
}

/// What a batch of seeds must reach, besides what is sent: of that, all.
const WANTED: [(Reached, &[&str]); 4] = [
    (
        Reached::Told,
        &[
            "ready: FirstMember",
            "ready: Joined",
            "member added",
            "member ready",
            "member suspect",
            "member cleared",
            "member removed: Left",
            "member removed: Silent",
            "member removed: Broken",
            "member removed: Refused",
            "member removed: Superseded",
            "seeking: Configured",
            "seeking: Removed",
            "found",
            "paused",
            "resumed",
            "majority lost",
            "majority regained",
            "settled",
            "session ended: Idle",
            "session ended: MaxAge",
            "session ended: Ended",
            "session ended: Replaced",
            "session ended: Forgotten",
            "session ended: Moved",
            "session ended: Lost",
            "session ended: Evicted",
            "overfull",
            "map changed",
            "clock ahead",
            "slept",
            "left",
            "left: at risk",
            "lagged",
        ],
    ),
    (
        Reached::Answered,
        &[
            "commit durable",
            "commit durable at once",
            "commit not durable",
            "commit late",
            "fetched",
            "copy shown",
            "nobody has it",
            "fetch late",
            "refused: TooManyCommits",
            "refused: Paused",
            "refused: NoSession",
            "refused: TargetTaken",
            "refused: Full",
            "refused: AttributeTooLarge",
            "refused: SessionTooLarge",
            "refused: TooManyAttributes",
            "refused: NoEntry",
        ],
    ),
    (
        Reached::Done,
        &[
            "start",
            "kill: delivered",
            "kill: lost",
            "off",
            "pause",
            "resume",
            "leave",
            "drain",
            "cut",
            "mend",
            "mute",
            "unmute",
            "hold",
            "release",
            "break",
            "thin",
            "lag",
            "narrow",
            "room",
            "datagram without room",
            "swallow",
            "spare",
            "drift",
            "noise",
            "switch",
            "wall",
            "weather",
            "heal",
            "write",
            "create",
            "end",
            "touch",
            "change of id",
            "install",
            "set a name",
            "remove a name",
            "send",
            "send to all",
        ],
    ),
    (Reached::Judged, &RULES),
];

/// The rules that oracles note when they have something to judge.
const RULES: [&str; 22] = [
    "P2 a receipt names a member that runs",
    "P2 a look in calm must show a write",
    "P2 a write must be there at the end",
    "P2 a write may be lost at the end",
    "P2 a receipt of the map names a member that runs",
    "P2 a write to the map must be there at the end",
    "P2 a member leaves before its time is over",
    "P3 an end stands against what is shown",
    "P4 an expiry is too early for a use",
    "P4 an owner that lets expire had to ask of a use",
    "P5 a joiner must hold a write at once",
    "P5 a joiner must hold a write soon",
    "P5 a member starts alone",
    "P5 one of those that start together starts alone",
    "P6 two members with one view name holders",
    "P7 what is too large is refused",
    "P7 what was never written makes room first",
    "P9 a live member is removed with an excuse",
    "P9 a dead member is removed",
    "P9 a view in calm is due",
    "P9 who has slept suspects another",
    "a member that must pause is asked to write",
];

/// Everything that a batch must reach and that is not among these counts.
pub fn missing(counts: &Counts) -> Vec<(Reached, String)> {
    let told = WANTED.iter().flat_map(|(what, names)| names.iter().map(|name| (*what, (*name).to_owned())));
    let sent = kinds::all().into_iter().map(|name| (Reached::Sent, name.to_owned()));
    sent.chain(told).filter(|mark| !counts.contains_key(mark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Choice, Plan},
        trial::Trial,
    };

    /// A name that an oracle notes and that no list has would be missed by nobody.
    #[test]
    fn what_is_judged_is_listed() {
        let mut all = Counts::new();
        for seed in 0..3 {
            let (_, counts) = Trial::marked(&Plan::draw(seed, Choice::Any));
            all.extend(counts);
        }
        let judged = all.keys().filter(|(what, _)| *what == Reached::Judged);
        let judged: Vec<&str> = judged.map(|(_, name)| name.as_str()).collect();
        assert!(!judged.is_empty() && judged.iter().all(|name| RULES.contains(name)), "{judged:?}");
        assert!(all.contains_key(&(Reached::Sent, "feed: delta".into())), "{all:?}");
        assert!(!missing(&all).contains(&(Reached::Done, "start".into())));
        assert!(missing(&Counts::new()).len() > missing(&all).len());
    }
}
