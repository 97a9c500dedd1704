//! The table of routes.
//!
//! A row names the path of a resource, whether it is public, its time limit and its handlers by
//! method. Both spellings of the final slash, the 405, the gate and the entry in the OpenAPI document
//! are made from the row.
//!
//! Guarantees: every route is documented, because a row takes `routes!`, which takes only handlers
//! with `#[utoipa::path]`. A new resource is a row here and a file in `resources/`.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use utoipa_axum::routes;

use crate::dashboard;
use crate::gate::{RequestGate, gate};
use crate::http::known_params::KnownParams;
use crate::http::problem::Problem;
use crate::openapi::resource::{Resource, TimeLimit, long, probe, quick};
use crate::resources::{
    air_quality, bulk, cache, cities, dead_letters, docs, health, history, login, metrics,
    operations, pause, schedules, snapshots, stats, stream, sync, users, weather,
};
use crate::state::SharedState;

/// For all bodies except uploads, which are counted while they are spooled.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

pub fn table() -> Vec<Resource> {
    vec![
        quick("/", routes!(dashboard::home::show)).public().any_query(),
        long("/live", routes!(dashboard::live::live)),
        quick("/assets/{file}", routes!(dashboard::assets::file)).public().any_query(),
        quick("/weather", routes!(weather::weather)).public().costs_quota(),
        quick("/air-quality", routes!(air_quality::show)).costs_quota(),
        quick("/history", routes!(history::list, history::clear)),
        quick("/cache", routes!(cache::show)),
        long("/bulk/import", routes!(bulk::import::import)),
        quick("/bulk/summary", routes!(bulk::summary::show)),
        quick("/bulk/jobs", routes!(bulk::jobs::list)),
        quick("/bulk/jobs/{id}", routes!(bulk::jobs::show)),
        quick("/bulk/jobs/{id}/results", routes!(bulk::results::list)),
        quick("/bulk/jobs/{id}/retry", routes!(bulk::retry::retry)),
        quick("/bulk/jobs/{id}/cancel", routes!(bulk::cancel::cancel)),
        quick("/bulk/jobs/{id}/pause", routes!(bulk::pause::pause)),
        quick("/bulk/jobs/{id}/resume", routes!(bulk::pause::resume)),
        long("/bulk/jobs/{id}/events", routes!(bulk::events::listen)),
        quick("/api/sync/", routes!(sync::start)),
        long("/api/weather/", routes!(snapshots::list)).public(),
        quick("/api/weather/{id}/", routes!(snapshots::show)).public(),
        quick("/cities/", routes!(cities::list::list)).public(),
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
        probe("/livez", routes!(health::livez)).public(),
        probe("/healthz", routes!(health::healthz)).public(),
        probe("/readyz", routes!(health::readyz)).public(),
        probe("/metrics", routes!(metrics::show)),
        quick("/login", routes!(login::form, login::sign_in)).public().any_query(),
        quick("/logout", routes!(login::sign_out)).public().any_query(),
        quick("/openapi.json", routes!(docs::document)).public(),
        quick("/docs", routes!(docs::docs)).public().any_query(),
        quick("/docs/{file}", routes!(docs::file)).public().any_query(),
    ]
}

pub fn router(app: &SharedState) -> Router {
    let mut router = Router::new();
    for resource in table() {
        let plain = resource.path.trim_end_matches('/');
        let route = if plain.is_empty() { "/" } else { plain };
        let Resource { public, costs_quota, time_limit, any_query, handlers, .. } = resource;
        let (_, paths, methods) = handlers;
        let params =
            if any_query { KnownParams::default() } else { KnownParams::documented(&paths) };
        let app = app.clone();
        let gated = RequestGate { app, route, public, costs_quota, time_limit, params };
        let methods = methods.fallback(method_not_allowed).layer(from_fn_with_state(gated, gate));
        if !plain.is_empty() {
            router = router.route(plain, methods.clone());
        }
        router = router.route(&format!("{plain}/"), methods);
    }
    let unknown = RequestGate {
        app: app.clone(),
        route: "none",
        public: false,
        costs_quota: false,
        time_limit: TimeLimit::Quick,
        params: KnownParams::default(),
    };
    router
        .fallback_service(
            any(not_found).layer(from_fn_with_state(unknown, gate)).with_state(app.clone()),
        )
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(app.clone())
}

async fn not_found() -> Problem {
    Problem::not_found("no such route; see /docs")
}

async fn method_not_allowed() -> Problem {
    let detail = "method not allowed; see Allow";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
