//! Every route, in one table.
//!
//! A row says where a resource lies, whether it needs the key, how long it may take and what
//! answers which method. The spelling with and without the final slash, the 405, the gate and the
//! entry in the OpenAPI document are made from the row, so that no route can lack one of them: a
//! row takes `routes!`, which takes only handlers that carry `#[utoipa::path]`. A new resource is
//! a new row here and a file of its own.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::dashboard;
use crate::gate::{Gate, Pace, gate};
use crate::http::problem::Problem;
use crate::resources::{
    bulk, cache, cities, dead_letters, docs, health, history, login, metrics, operations, pause,
    schedules, snapshots, stats, stream, sync, users,
};
use crate::state::Shared;
use crate::weather;

/// Bodies of everything but uploads, which are counted as they are spooled.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

pub struct Resource {
    /// As the document spells it, and each handler's own `path`; both spellings are answered.
    pub path: &'static str,
    pub open: bool,
    pub pace: Pace,
    /// The handlers by method, with what they say of themselves.
    pub handlers: UtoipaMethodRouter<Shared>,
}

pub fn table() -> Vec<Resource> {
    vec![
        quick("/", routes!(dashboard::home::show)).open(),
        long("/live", routes!(dashboard::live::live)),
        quick("/assets/{file}", routes!(dashboard::assets::file)).open(),
        quick("/weather", routes!(weather::weather)).open(),
        quick("/history", routes!(history::list, history::clear)),
        quick("/cache", routes!(cache::show)),
        long("/bulk/import", routes!(bulk::import::import)),
        quick("/bulk/summary", routes!(bulk::summary::show)),
        quick("/bulk/jobs", routes!(bulk::jobs::list)),
        quick("/bulk/jobs/{id}", routes!(bulk::jobs::show)),
        quick("/bulk/jobs/{id}/results", routes!(bulk::results::list)),
        quick("/bulk/jobs/{id}/retry", routes!(bulk::retry::retry)),
        quick("/bulk/jobs/{id}/cancel", routes!(bulk::cancel::cancel)),
        quick("/bulk/jobs/{id}/pause", routes!(pause::pause_job)),
        quick("/bulk/jobs/{id}/resume", routes!(pause::resume_job)),
        long("/bulk/jobs/{id}/events", routes!(bulk::events::listen)),
        quick("/api/sync/", routes!(sync::start)),
        long("/api/weather/", routes!(snapshots::list)).open(),
        quick("/api/weather/{id}/", routes!(snapshots::show)).open(),
        quick("/cities/", routes!(cities::list::list)).open(),
        quick("/cities/{id}", routes!(cities::show::show)),
        quick("/map", routes!(cities::map::show)),
        quick("/stream", routes!(stream::show)),
        quick("/stream/pause", routes!(pause::pause)),
        quick("/stream/resume", routes!(pause::resume)),
        quick("/stream/breaker/reset", routes!(pause::reset_breaker)),
        quick("/operations", routes!(operations::list)),
        long("/dead-letters", routes!(dead_letters::list::list, dead_letters::discard::discard)),
        long("/dead-letters/replay", routes!(dead_letters::replay::replay)),
        quick("/dead-letters/groups", routes!(dead_letters::groups::list)),
        quick("/dead-letters/{id}", routes!(dead_letters::list::show)),
        quick("/stats", routes!(stats::show)),
        quick("/users", routes!(users::list::list)),
        quick("/users/ui", routes!(users::ui::page)),
        quick("/users/{id}", routes!(users::show::show)),
        quick("/schedules", routes!(schedules::list)),
        quick("/schedules/{name}", routes!(schedules::show)),
        probe("/livez", routes!(health::livez)).open(),
        probe("/healthz", routes!(health::healthz)).open(),
        probe("/readyz", routes!(health::readyz)).open(),
        probe("/metrics", routes!(metrics::show)),
        quick("/login", routes!(login::form, login::sign_in)).open(),
        quick("/logout", routes!(login::sign_out)).open(),
        quick("/openapi.json", routes!(docs::document)).open(),
        quick("/docs", routes!(docs::docs)).open(),
        quick("/docs/{file}", routes!(docs::file)).open(),
    ]
}

pub fn router(app: &Shared) -> Router {
    let mut router = Router::new();
    for resource in table() {
        let plain = resource.path.trim_end_matches('/');
        let route = if plain.is_empty() { "/" } else { plain };
        let gated = Gate { app: app.clone(), route, open: resource.open, pace: resource.pace };
        let (_, _, methods) = resource.handlers;
        let methods = methods.fallback(method_not_allowed).layer(from_fn_with_state(gated, gate));
        if !plain.is_empty() {
            router = router.route(plain, methods.clone());
        }
        router = router.route(&format!("{plain}/"), methods);
    }
    let nowhere = Gate { app: app.clone(), route: "none", open: false, pace: Pace::Quick };
    router
        .fallback_service(
            any(not_found).layer(from_fn_with_state(nowhere, gate)).with_state(app.clone()),
        )
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(app.clone())
}

impl Resource {
    fn open(self) -> Self {
        Self { open: true, ..self }
    }
}

fn quick(path: &'static str, handlers: UtoipaMethodRouter<Shared>) -> Resource {
    Resource { path, open: false, pace: Pace::Quick, handlers }
}

fn long(path: &'static str, handlers: UtoipaMethodRouter<Shared>) -> Resource {
    Resource { pace: Pace::Long, ..quick(path, handlers) }
}

fn probe(path: &'static str, handlers: UtoipaMethodRouter<Shared>) -> Resource {
    Resource { pace: Pace::Probe, ..quick(path, handlers) }
}

async fn not_found() -> Problem {
    Problem::not_found("there is nothing here; /docs lists what there is")
}

async fn method_not_allowed() -> Problem {
    let detail = "this method has no meaning here; Allow names those that have";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
