//! The HTTP API: weather by name, imports and their jobs, snapshots, health.
//!
//! [`serve`] is all that the binary needs. Handlers are thin: they read parameters, ask store,
//! broker, upstream or imports, and shape the answer; no rule of the pipeline is decided here.
//!
//! In the order of a request: `server` (accepts, drains) → `connection` → `router` (every route, in
//! one table) → `gate` (`rates`, `access`, problems, `guard_headers`, `request_log`) → one file per
//! resource: `weather/`, `history`, `cache`, `bulk/`, `sync`, `snapshots`, `stream`, `health`,
//! `metrics_page`, `login`, `openapi/`. Beside them `params` and `cursor` (reading input), `problem`
//! (every error), `limits`, `state`.
//!
//! What commands print is what the API answers, so the shapes of answers are public.
//!
//! This crate may import `shared` and `producer` (an upload is a producer run), nothing else of ours.

mod access;
mod actor;
mod bulk;
mod cache;
mod cities;
mod connection;
mod cursor;
mod dead;
mod etag;
mod gate;
mod guard_headers;
mod health;
mod heartbeats;
mod history;
mod limits;
mod linger;
mod login;
mod metrics_page;
mod openapi;
mod operations;
mod page;
mod params;
mod problem;
mod rates;
mod request_log;
mod router;
mod schedules;
mod server;
mod sessions;
mod slow_reader;
mod snapshots;
mod state;
mod stats;
mod stream;
mod switches;
mod sync;
mod users;
mod weather;
mod young;

use isobar_shared::metric::Metric;

pub use bulk::jobs::JobState;
pub use bulk::pauses::Pauses;
pub use bulk::results::ResultItem;
pub use dead::groups::DeadGroupItem;
pub use dead::list::DeadItem;
pub use limits::Limits;
pub use openapi::text as openapi;
pub use server::{DRAIN_LIMIT, serve};
pub use state::Parts;
pub use stats::{Standing, Stats};

/// The metrics of this crate.
pub const METRICS: &[&[Metric]] = {
    let [broker, producer, store] = metrics_page::ASKED;
    &[
        request_log::METRICS,
        weather::METRICS,
        history::METRICS,
        metrics_page::METRICS,
        broker,
        producer,
        store,
    ]
};
