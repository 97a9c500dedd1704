//! Options: the settings that a simulator starts with.
//!
//! Next: [`crate::simulator`], the state built from them.

use std::time::Duration;

use crate::clock::Clock;

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cities the city service lists: the most populous real ones, then synthetic ones.
    pub cities: usize,
    /// Another seed is another weather everywhere.
    pub seed: u64,
    /// Every answer of an upstream is held back this long.
    pub latency: Duration,
    pub quota: Quota,
    pub now: Clock,
}

/// Whether the free tier's limits are enforced on `/v1/forecast`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    #[default]
    None,
    OpenMeteo,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cities: 34_006,
            seed: 0,
            latency: Duration::ZERO,
            quota: Quota::None,
            now: Clock::system(),
        }
    }
}
