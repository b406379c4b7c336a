//! What an application asks of a session in one commit.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::{
    life::EndCause,
    limits::Limit,
    member::MemberId,
    quorum::Minority,
    session::{Lifetime, Session},
    version::{AttributeVersion, Conflict, SessionVersion},
};

/// Changes of one session that are made together.
///
/// ```
/// use heirloom_core::{Delta, Lifetime};
/// let login = Delta::new().set("user", "alice").remove("guest");
/// let fixed = Delta::anew().set("", "value").lifetime(Lifetime::Fixed(core::time::Duration::from_secs(60)));
/// let logout = Delta::end();
/// # let _ = (login, fixed, logout);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Delta {
    pub(crate) start: Start,
    pub(crate) changes: Vec<(Bytes, Option<Bytes>)>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) conditions: Vec<Condition>,
}

/// What must be there for a delta to be applied.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Attribute(Bytes, Option<AttributeVersion>),
    Session(Option<SessionVersion>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    #[default]
    FromWhatIsThere,
    Anew,
    End(EndCause),
}

impl Delta {
    /// Changes what is there; creates the session if it is not.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends what is there and creates the session again, in one step.
    pub fn anew() -> Self {
        Self { start: Start::Anew, ..Self::default() }
    }

    /// Ends the session.
    pub fn end() -> Self {
        Self { start: Start::End(EndCause::Ended), ..Self::default() }
    }

    /// Ends the session, to make room or because an operator says so.
    pub fn evict() -> Self {
        Self { start: Start::End(EndCause::Evicted), ..Self::default() }
    }

    /// Sets an attribute.
    #[must_use]
    pub fn set(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.changes.push((name.into(), Some(value.into())));
        self
    }

    /// Removes an attribute.
    #[must_use]
    pub fn remove(mut self, name: impl Into<Bytes>) -> Self {
        self.changes.push((name.into(), None));
        self
    }

    /// Sets how long the session lives. Without it a new session has the idle time of the configuration.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the greatest age of a session that this commit creates: it ends that long after its creation, however much it is
    /// used and whatever its lifetime becomes. Of one that is there already it changes nothing. Without it a new session has
    /// the greatest age of the configuration.
    #[must_use]
    pub fn max_age(mut self, length: Duration) -> Self {
        self.max_age = Some(length);
        self
    }

    /// Only if this version of an attribute is there, or none: the commit is refused if another is
    /// ([`CommitError::Conflict`]). Of several conditions all must hold.
    ///
    /// It is judged on the member that commits, against what that one holds; where not every member holds a session,
    /// [`Node::fetch`](crate::Node::fetch) brings it there. Across members it is no lock: two that write at once may both
    /// succeed, and their writes merge.
    #[must_use]
    pub fn if_attribute(mut self, name: impl Into<Bytes>, version: Option<AttributeVersion>) -> Self {
        self.conditions.push(Condition::Attribute(name.into(), version));
        self
    }

    /// Only if the session is as it was when it had this version, whoever owns it by now. As
    /// [`if_attribute`](Self::if_attribute).
    #[must_use]
    pub fn if_session(mut self, version: SessionVersion) -> Self {
        self.conditions.push(Condition::Session(Some(version)));
        self
    }

    /// Only if there is no such session. As [`if_attribute`](Self::if_attribute).
    #[must_use]
    pub fn if_no_session(mut self) -> Self {
        self.conditions.push(Condition::Session(None));
        self
    }

    /// Judges the conditions against the session that is there.
    pub(crate) fn check_conditions(&self, there: Option<&Session>) -> Result<(), Conflict> {
        for condition in &self.conditions {
            match condition {
                Condition::Attribute(name, wanted) => {
                    let there = there.and_then(|session| session.attribute_version(name));
                    if there != *wanted {
                        return Err(Conflict::Attribute { name: name.clone(), there });
                    }
                }
                Condition::Session(wanted) => {
                    let there = there.map(Session::version);
                    let holds = match (&there, wanted) {
                        (Some(there), Some(wanted)) => there.is_same_but_for_the_epoch(wanted),
                        (None, None) => true,
                        (Some(_), None) | (None, Some(_)) => false,
                    };
                    if !holds {
                        return Err(Conflict::Session { there });
                    }
                }
            }
        }
        Ok(())
    }
}

/// How many other members must have applied a commit before it counts as done.
///
/// Only ready members that must hold a copy of the session count: all of the view, or with backups those that are to
/// hold this one. When that changes, every commit in flight is counted again; none becomes durable because nobody is left
/// to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// None: it is done at once and travels behind.
    Local,
    /// One besides this one.
    One,
    /// All of them, and one at the least.
    All,
    /// So many besides this one.
    Copies(u16),
    /// With this one more than half of those that must hold it, and one other at the least.
    Majority,
}

impl Durability {
    /// The same, but no longer than that: then the commit ends as [`Outcome::NotDurable`].
    ///
    /// ```
    /// # use core::time::Duration;
    /// use heirloom_core::{Demand, Durability};
    /// let demand = Durability::Majority.within(Duration::from_secs(1));
    /// assert_eq!(demand, Demand { durability: Durability::Majority, within: Some(Duration::from_secs(1)) });
    /// ```
    pub fn within(self, length: Duration) -> Demand {
        Demand { durability: self, within: Some(length) }
    }
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// For how many other members.
    pub durability: Durability,
    /// For how long; without an end only until too few members are left that could apply it.
    pub within: Option<Duration>,
}

impl From<Durability> for Demand {
    fn from(durability: Durability) -> Self {
        Self { durability, within: None }
    }
}

/// A commit in flight. Numbers rise in the order of the commits of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// How a commit ended. Its changes stay in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As many members as were asked for have applied it.
    Durable(Receipt),
    /// Fewer have, and too few are left that could, or the time is over.
    NotDurable {
        /// Those that have applied it, besides this one.
        have: Vec<MemberId>,
        /// The ready members that must hold it too and have not acknowledged it.
        missing: Vec<MemberId>,
        /// How many were asked for, besides this one.
        want: usize,
        /// Its time was over: the missing ones may still apply it.
        late: bool,
    },
}

/// Who has applied a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The members whose acknowledgement was counted, besides this one.
    pub members: Vec<MemberId>,
    /// The ready members that must hold it too and had not acknowledged it. It still travels to them.
    pub missing: Vec<MemberId>,
}

/// A commit that was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The node does not serve yet.
    #[error("the node has not received the sessions yet")]
    NotReady,
    /// The node is leaving.
    #[error("the node is leaving the cluster")]
    Leaving,
    /// The node sees too few others to take writes.
    #[error("writes are paused: {0}")]
    Paused(Minority),
    /// A condition of the delta does not hold.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The new id is in use, or what is remembered of it stands in the way: copy the session instead.
    #[error("the new id is taken")]
    TargetTaken,
    /// There is no session to end.
    #[error("no such session")]
    NoSession,
    /// An attribute, name and value, is longer than `attribute_bytes_max`.
    #[error("the attribute has {bytes} bytes, more than attribute_bytes_max ({max})")]
    AttributeTooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The session would be longer than `session_bytes_max`.
    #[error("the session would have {bytes} bytes, more than session_bytes_max ({max})")]
    SessionTooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The session would have more attributes than `attributes_max`.
    #[error("the session would have {attributes} attributes, removed ones included, more than attributes_max ({max})")]
    TooManyAttributes {
        /// Their count.
        attributes: usize,
        /// The limit.
        max: usize,
    },
    /// The node has no room for it: the commit would create a session or make one larger.
    #[error("the node is full: it may hold {limit} ({max})")]
    Full {
        /// Which limit is reached.
        limit: Limit,
        /// What it is set to, in sessions or bytes.
        max: usize,
    },
    /// There is no such entry in the shared map to remove.
    #[error("no such entry")]
    NoEntry,
    /// The shared map has `map_entries_max` entries, removed ones that are still remembered included.
    #[error("the map has map_entries_max ({max}) entries, removed ones included")]
    TooManyEntries {
        /// The limit.
        max: usize,
    },
    /// The shared map would be longer than `map_bytes_max`.
    #[error("the map would have {bytes} bytes, more than map_bytes_max ({max})")]
    MapTooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// `commits_max` commits are in flight.
    #[error("commits_max ({max}) commits are in flight")]
    TooManyCommits {
        /// The limit.
        max: usize,
    },
    /// The lifetime is longer than a session can live.
    #[error("the lifetime is longer than 68 years")]
    LifetimeTooLong,
}
