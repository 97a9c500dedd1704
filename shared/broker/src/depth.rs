//! The backlog of a stream, and the consumers that work on it.

use serde::Serialize;

/// The unfinished entries of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Unfinished tasks: undelivered and pending.
    pub tasks: u64,
    /// Unfinished control messages.
    pub control: u64,
    /// Entries of both lanes that were not delivered yet.
    pub undelivered: u64,
    /// Entries of both lanes that a consumer owns or that were given back.
    pub pending: u64,
    /// The pending entries that are parked because their job is paused.
    pub parked: u64,
    /// Age of the oldest pending entry, since its append.
    pub oldest_pending_ms: u64,
    /// Age of the oldest undelivered entry.
    pub oldest_undelivered_ms: u64,
    /// Time until the next pending entry may be claimed; `None` when nothing is pending.
    pub next_due_ms: Option<u64>,
}

impl Depth {
    pub fn is_empty(&self) -> bool {
        self.tasks == 0 && self.control == 0
    }
}

/// A worker's name in the consumer group, and what it owns in both lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerInfo {
    pub name: String,
    pub pending: u64,
    pub idle_ms: u64,
}

/// How the removal of a consumer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveOutcome {
    Removed,
    /// It owns entries.
    Busy,
    /// It was active within the idle time.
    Active,
    Unknown,
}
