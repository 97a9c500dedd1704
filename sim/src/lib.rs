//! The upstreams, offline: a city service, Open-Meteo (forecast and geocoding), OpenWeather, and for
//! users JSONPlaceholder, DummyJSON and random-data-api, in one HTTP server on one port.
//!
//! It simulates the services' state, not canned replies: the weather of a place is a pure function
//! of its coordinates, the seed and the hour ([`weather`]), so a test can compute what every answer
//! must be and ask `/_sim/expected` when it would rather not. Faults come on a plan ([`faults`]).
//!
//! It knows nothing of the pipeline and imports none of its crates: a mistake the two shared would
//! be a mistake no test could see. It deliberately does not compress, speak TLS or HTTP/2.
//!
//! Read on: [`server`] (connections), [`dispatch`] (the way of one request), [`providers`] (one file
//! per upstream), [`control`] (`/_sim/`).

pub mod cities;
pub mod clock;
pub mod control;
pub mod counters;
pub mod decimal;
pub mod dispatch;
pub mod faults;
pub mod limiter;
pub mod people;
pub mod providers;
pub mod query;
pub mod reply;
pub mod request_window;
pub mod server;
pub mod weather;

#[cfg(test)]
mod over_http;

use std::time::Duration;

pub use clock::Clock;
pub use server::serve;

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
