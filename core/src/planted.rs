//! Faults that are here on purpose, to see that the simulator finds them. A build without `--cfg planted` has none of them.

#[cfg(planted)]
use core::sync::atomic::{AtomicU8, Ordering};

/// One of the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// A suspect is given time for one probe.
    OneProbe = 1,
    /// A member that wakes believes its timers: everybody was silent.
    SleeperEvicts,
    /// A late beat brings back a member that has left, or was removed.
    LateBeat,
    /// A commit is not counted again when the view changes.
    NoRecount,
    /// A commit is durable when nobody is left to ask.
    DurableAlone,
    /// A join is over when the first member has said that it is done.
    FirstDone,
    /// What a joiner is fed are the sessions that live, not the ends.
    NoEnds,
    /// A lost backup is not replaced.
    NoReplacement,
    /// The last arrival wins.
    LastArrival,
    /// A use is told to nobody.
    SilentUse,
    /// A session that is received was just used.
    AgeZero,
    /// An owner asks nobody before it lets a session expire.
    NoQuestion,
    /// An end is forgotten though a member has not heard of it.
    ForgetsEarly,
    /// Nobody adopts the sessions of a dead owner.
    NoAdoption,
    /// What comes of a session that is not there is dropped, unless it is all of it.
    DropsUnknown,
    /// What was sent on a stream counts as received when the stream breaks.
    SentIsHad,
    /// Who sees too few others takes writes all the same.
    MinorityServes,
    /// A member that leaves does not wait until others have what it held.
    LeavesEarly,
    /// What others' clocks say is not heard: stamps come from one's own alone.
    DeafClock,
    /// Of members that start at once each is the first.
    EachIsFirst,
    /// A writer does not look at how large what it writes is.
    TakesTooLarge,
    /// What comes under the old id of a session is not brought to the new one.
    NoForwarding,
    /// What was written after its creation makes room first.
    WrittenFirst,
}

impl Bug {
    /// All of them, with the names that they are planted by.
    pub const ALL: [(&str, Self); 23] = [
        ("one-probe", Self::OneProbe),
        ("sleeper-evicts", Self::SleeperEvicts),
        ("late-beat", Self::LateBeat),
        ("no-recount", Self::NoRecount),
        ("durable-alone", Self::DurableAlone),
        ("first-done", Self::FirstDone),
        ("no-ends", Self::NoEnds),
        ("no-replacement", Self::NoReplacement),
        ("last-arrival", Self::LastArrival),
        ("silent-use", Self::SilentUse),
        ("age-zero", Self::AgeZero),
        ("no-question", Self::NoQuestion),
        ("forgets-early", Self::ForgetsEarly),
        ("no-adoption", Self::NoAdoption),
        ("drops-unknown", Self::DropsUnknown),
        ("sent-is-had", Self::SentIsHad),
        ("minority-serves", Self::MinorityServes),
        ("leaves-early", Self::LeavesEarly),
        ("deaf-clock", Self::DeafClock),
        ("each-is-first", Self::EachIsFirst),
        ("takes-too-large", Self::TakesTooLarge),
        ("no-forwarding", Self::NoForwarding),
        ("written-first", Self::WrittenFirst),
    ];

    /// Whether this is the one that is planted.
    #[cfg(planted)]
    pub(crate) fn is_planted(self) -> bool {
        PLANTED.load(Ordering::Relaxed) == self as u8
    }

    /// None is.
    #[cfg(not(planted))]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

/// Which one is planted: zero for none.
#[cfg(planted)]
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants one, in every node of this process.
#[cfg(planted)]
pub fn plant(bug: Bug) {
    PLANTED.store(bug as u8, Ordering::Relaxed);
}
