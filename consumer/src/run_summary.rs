//! Run summary: when a worker's run ends, and its result.
//!
//! Next: [`crate::worker`], which runs and counts.

use std::time::Duration;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum RunUntil {
    Stopped,
    /// When stopped, or once the stream is empty and no entry is pending at any worker. Entries
    /// that fall due later than `max_wait` remain.
    Drained {
        max_wait: Duration,
    },
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    pub entries: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Why a drain ended before the stream was empty.
    pub left: Option<StopReason>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The rest falls due later than the drain waits.
    Later(String),
    /// An operator must fix the configuration.
    Config(String),
}
