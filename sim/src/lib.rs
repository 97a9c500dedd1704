//! Simulator: all upstreams of Isobar, offline, in one HTTP server on one port.
//!
//! It serves a city service, Open-Meteo (forecast, air quality, geocoding), OpenWeather, JSONPlaceholder,
//! DummyJSON and random-data-api. Faults follow a plan ([`faults`]).
//!
//! Guarantees: weather and air at a location are pure functions of its coordinates, the seed and
//! the hour ([`weather`], [`air_quality`]). A test can compute every right answer, or read it from `/_sim/expected`.
//! Does not: import any crate of the pipeline, because a shared error would be invisible to every
//! test. It does not compress, and it speaks neither TLS nor HTTP/2.
//! Next: [`server`] (connections), [`dispatch`] (one request), [`providers`] (one file per
//! upstream), [`control`] (`/_sim/`).

pub mod air_quality;
pub mod cities;
pub mod clock;
pub mod control;
pub mod counters;
pub mod decimal;
pub mod dispatch;
pub mod endpoint;
pub mod fake_users;
pub mod faults;
pub mod limiter;
pub mod options;
pub mod providers;
pub mod query;
pub mod reply;
pub mod request_window;
pub mod server;
pub mod simulator;
pub mod weather;

#[cfg(test)]
mod over_http;

pub use clock::Clock;
pub use options::{Options, Quota};
pub use server::serve;
