//! What a node counts.

use crate::delta::Outcome;

/// What a node has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Commits taken.
    pub commits: u64,
    /// Commits that were refused, for whatever [`CommitError`](crate::CommitError); nothing has changed by them.
    pub commits_refused: u64,
    /// Commits taken that wrote nothing but what was there and had been acknowledged by all who must hold it: they were not
    /// sent, and count as uses.
    pub commits_unchanged: u64,
    /// Outcomes fetched of commits that as many others as was asked for have applied.
    pub commits_durable: u64,
    /// Outcomes fetched of commits that too few others can still apply.
    pub commits_not_durable: u64,
    /// Outcomes fetched of commits that had not been applied by as many when their time was over; they may be yet.
    pub commits_late: u64,
    /// Sessions that this node took over from another owner by a commit or a use.
    pub takeovers: u64,
    /// Sessions that another took over from this node: a later epoch than this node's came with another owner.
    pub epochs_lost: u64,
    /// Sessions that this node adopted from a dead owner.
    pub adoptions: u64,
    /// Sessions that this node expired.
    pub expiries: u64,
    /// Sessions that this node ended to make room, those included that had expired and might have come back.
    pub evictions: u64,
    /// Deltas sent, whole sessions included.
    pub deltas_sent: u64,
    /// Attributes in the deltas sent: one for each that a delta carries, removed ones included.
    pub registers_sent: u64,
    /// Deltas of others applied.
    pub deltas_applied: u64,
    /// Sessions that this node asked another for because it held something else.
    pub pulls: u64,
    /// Bytes handed to the driver for streams.
    pub stream_bytes_sent: u64,
    /// Frames and datagrams that were dropped because they were not valid.
    pub frames_refused: u64,
    /// Frames and items of a kind that this version does not know; they were skipped.
    pub kinds_unknown: u64,
    /// Entries of the shared map that others brought and that changed it.
    pub entries_applied: u64,
    /// Entries of the shared map that were dropped: they came from a member that was away for too long and may have been
    /// removed meanwhile.
    pub entries_refused: u64,
    /// Times that a member turned out to have another shared map, and was sent all of it.
    pub maps_sent: u64,
    /// Messages of the application that were handed to a stream.
    pub messages_sent: u64,
    /// Messages of others that were kept for the reader.
    pub messages_received: u64,
    /// Messages of the application that were dropped: a queue was full, here or at the reader, or the member left the view.
    pub messages_dropped: u64,
    /// Sessions of a member that was away for too long: their end may have been forgotten, so they were refused.
    pub sessions_refused: u64,
    /// Births of sessions that had as many already as one may have.
    pub births_refused: u64,
    /// Questions to others for a session that is not held here.
    pub fetches: u64,
    /// Copies that were dropped because others hold them.
    pub copies_released: u64,
    /// Probes that this node made for others of members that these suspected.
    pub relays: u64,
    /// Probes that others asked for and that were not made: who asked or who was meant was not in the view, or there were
    /// too many.
    pub relays_refused: u64,
    /// Sessions of which this member and their owner turned out to hold different things: zero as long as all members do
    /// what they must and all reach each other.
    pub repairs: u64,
    /// How often this node was run later than its timer by more than half of `drop_time`.
    pub sleeps: u64,
}

impl Stats {
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Durable(_) => &mut self.commits_durable,
            Outcome::NotDurable { late: false, .. } => &mut self.commits_not_durable,
            Outcome::NotDurable { late: true, .. } => &mut self.commits_late,
        };
        *counter += 1;
    }
}
