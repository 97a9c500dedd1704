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
pub mod endpoint;
pub mod faults;
pub mod limiter;
pub mod options;
pub mod people;
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
