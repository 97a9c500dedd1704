//! When a worker's run ends, and how it went.

use std::time::Duration;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Stopped,
    /// Or once the stream is empty and nothing is pending for anyone; what is left for later than
    /// this is left.
    Drained {
        max_wait: Duration,
    },
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    pub entries: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Why a drain ended before the stream was empty.
    pub left: Option<Left>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It falls due later than the drain was to wait.
    Later(String),
    /// Only a person can mend the configuration.
    Config(String),
}
