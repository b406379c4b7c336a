//! Asking others for a session that this member need not hold.

use alloc::sync::Arc;

use crate::{session::Session, time::Time};

/// What a session is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To look at it. Nothing is kept here, and its owner stays; it is told of the use.
    Read,
    /// To change it: this member becomes its owner.
    Write,
}

/// What to do before a session is looked at or changed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fetch {
    /// Nothing: what this node holds of it, or that it holds nothing, is all there is.
    Here,
    /// Wait: others have been asked, and `poll_fetched` tells of this number.
    Asked(FetchId),
}

/// A question to others. Numbers rise in the order of the calls of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What others had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is here now: look at the node, or commit.
    Here,
    /// A copy to look at, and when it ends if it is not used any more.
    Copy(Arc<Session>, Option<Time>),
    /// Every member of the view was asked, and there is none. A commit may create it.
    Unknown,
    /// Some that may have it have not answered within `fetch_for`.
    Late,
}
