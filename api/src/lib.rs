//! The HTTP API and the dashboard: weather by name, imports and their jobs, snapshots, health.
//!
//! [`serve`] is all that the binary needs. Handlers are thin: they read parameters, ask store, broker,
//! upstream or imports, and shape the answer. No rule of the pipeline is decided here.
//!
//! In the order of a request: `server` → `http/connection` → `router` (the table of routes) → `gate`
//! (rate limit, access, problems, headers, log) → `resources/` or `dashboard/`. Below them, lowest
//! first: `http/` (knows HTTP and nothing of Isobar's state), `weather/` and `panels/`, `state/`,
//! `openapi/`, `cache`. No import runs upwards.

mod cache;
mod context;
mod dashboard;
mod gate;
mod http;
mod openapi;
mod panels;
mod resources;
mod router;
mod server;
mod state;
mod weather;

use isobar_telemetry::metric::Metric;

pub use context::Parts;
pub use http::limits::ServerLimits;
pub use server::{DRAIN_LIMIT, serve};

/// The OpenAPI document as it is served and committed.
pub fn openapi() -> String {
    openapi::text(&router::table())
}

/// The metrics of this crate.
pub const METRICS: &[&[Metric]] = {
    let [broker, producer, store] = resources::metrics::SCRAPED;
    &[
        http::request_log::METRICS,
        weather::METRICS,
        state::history_writer::METRICS,
        resources::metrics::METRICS,
        broker,
        producer,
        store,
    ]
};
