//! The HTTP API: weather by name, imports and their jobs, snapshots, health.
//!
//! [`serve`] is all that the binary needs. Handlers are thin: they read parameters, ask store,
//! broker, upstream or imports, and shape the answer; no rule of the pipeline is decided here.
//!
//! In the order of a request: `server` (accepts, drains) → `http/connection` → `router` (every
//! route, in one table) → `gate` (rate limit, access, problems, headers, log) → one file per
//! resource in `resources/`, the page in `dashboard/` and `panels/`. Beside them `http/` (reading
//! input, every error), `weather/` (which city a name means, and from where its weather comes),
//! `openapi/`, `state/`.
//!
//! What commands print is what the API answers, so the shapes of answers are public.
//!
//! This crate may import `shared` and `producer` (an upload is a producer run), nothing else of ours.

mod dashboard;
mod gate;
mod heartbeats;
mod http;
mod openapi;
mod panels;
mod resources;
mod router;
mod server;
mod state;
mod weather;

use isobar_telemetry::metric::Metric;

pub use http::limits::Limits;
pub use openapi::text as openapi;
pub use resources::bulk::jobs::JobState;
pub use resources::bulk::pauses::Pauses;
pub use resources::bulk::results::ResultItem;
pub use resources::dead_letters::groups::DeadGroupItem;
pub use resources::dead_letters::list::DeadItem;
pub use resources::stats::{Standing, Stats};
pub use server::{DRAIN_LIMIT, serve};
pub use state::Parts;

/// The metrics of this crate.
pub const METRICS: &[&[Metric]] = {
    let [broker, producer, store] = resources::metrics::ASKED;
    &[
        http::request_log::METRICS,
        weather::METRICS,
        resources::history::METRICS,
        resources::metrics::METRICS,
        broker,
        producer,
        store,
    ]
};
