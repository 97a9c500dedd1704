//! Options: the settings that a simulator starts with.
//!
//! Guarantees: the defaults serve all real cities, without latency and without a quota.
//! Next: [`crate::simulator`], the state built from them.

use std::time::Duration;

use crate::clock::Clock;

#[derive(Clone, Debug)]
pub struct Options {
    /// How many cities the city service lists: the most populous real ones, then synthetic ones.
    pub cities: usize,
    /// Another seed gives another weather everywhere.
    pub seed: u64,
    /// How long each answer of an upstream takes.
    pub latency: Duration,
    pub quota: Quota,
    pub now: Clock,
}

/// Whether `/v1/forecast` and `/v1/air-quality` have the limits of the free tier.
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
