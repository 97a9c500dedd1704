//! Every route, in one table.
//!
//! A row says where a resource lies, whether it needs the key, how long it may take and what
//! answers which method. The spelling with and without the final slash, the 405 and the gate are
//! made from the row, so that no route can lack one of them. A new resource is a new row here and
//! a file of its own.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};

use crate::gate::{Gate, Pace, gate};
use crate::problem::Problem;
use crate::state::Shared;
use crate::{bulk, cache, health, history, metrics_page, snapshots, stream, sync, weather};

/// Bodies of everything but uploads, which are counted as they are spooled.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

struct Resource {
    path: &'static str,
    open: bool,
    pace: Pace,
    methods: MethodRouter<Shared>,
}

fn table() -> Vec<Resource> {
    vec![
        quick("/weather", get(weather::weather)).open(),
        quick("/history", get(history::list).delete(history::clear)),
        quick("/cache", get(cache::show)),
        long("/bulk/import", post(bulk::import::import)),
        quick("/bulk/jobs", get(bulk::jobs::list)),
        quick("/bulk/jobs/{id}", get(bulk::jobs::show)),
        quick("/bulk/jobs/{id}/results", get(bulk::results::list)),
        quick("/api/sync", post(sync::start)),
        long("/api/weather", get(snapshots::list)).open(),
        quick("/api/weather/{id}", get(snapshots::show)).open(),
        quick("/stream", get(stream::show)),
        probe("/livez", get(health::livez)).open(),
        probe("/healthz", get(health::healthz)).open(),
        probe("/readyz", get(health::readyz)).open(),
        probe("/metrics", get(metrics_page::show)),
    ]
}

pub fn router(app: &Shared) -> Router {
    let mut router = Router::new();
    for resource in table() {
        let gated = Gate {
            app: app.clone(),
            route: resource.path,
            open: resource.open,
            pace: resource.pace,
        };
        let methods =
            resource.methods.fallback(method_not_allowed).layer(from_fn_with_state(gated, gate));
        router = router
            .route(&format!("{}/", resource.path), methods.clone())
            .route(resource.path, methods);
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

fn quick(path: &'static str, methods: MethodRouter<Shared>) -> Resource {
    Resource { path, open: false, pace: Pace::Quick, methods }
}

fn long(path: &'static str, methods: MethodRouter<Shared>) -> Resource {
    Resource { pace: Pace::Long, ..quick(path, methods) }
}

fn probe(path: &'static str, methods: MethodRouter<Shared>) -> Resource {
    Resource { pace: Pace::Probe, ..quick(path, methods) }
}

async fn not_found() -> Problem {
    Problem::not_found("there is nothing here; README.md, API, lists what there is")
}

async fn method_not_allowed() -> Problem {
    let detail = "this method has no meaning here; Allow names those that have";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
