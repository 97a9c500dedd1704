//! `/livez`, `/healthz`, `/readyz`: probes for supervisors, monitors and load balancers.
//!
//! Alive: the process answers. Healthy: store and broker answer, and the disk has room; a failing weather service is only
//! `degraded`, because stored weather can still be served. Ready: store and broker have answered once
//! and the server is not draining; an open breaker never makes it unready.
//! Does not: show details of components, because these routes are public.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use isobar_producer::disk;
use isobar_upstream::{UpstreamState, WeatherService};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::state::SharedState;

/// A component that takes longer to answer counts as down.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// `Retry-After` of a server that is not ready.
const READY_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    pub status: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    pub status: &'static str,
    pub components: Components,
}

/// Each `ok`, `degraded` or `down`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Components {
    pub store: &'static str,
    pub broker: &'static str,
    pub upstream: &'static str,
    /// Only when the data folder has no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<&'static str>,
}

/// Liveness
#[utoipa::path(get, path = "/livez", responses((status = 200, body = Alive, description = "alive")))]
pub async fn livez() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Health of store, broker, disk and upstream
#[utoipa::path(
    get,
    path = "/healthz",
    responses(
        (status = 200, body = Health, description = "`ok`, or `degraded` if only the upstream fails"),
        (status = 503, body = Health, description = "`fail`: store or broker down, or the disk full"),
    ),
)]
pub async fn healthz(State(app): State<SharedState>) -> Response {
    let (store, broker, upstream) = tokio::join!(
        timeout(PING_LIMIT, app.store.ping()),
        timeout(PING_LIMIT, app.broker.ping()),
        timeout(PING_LIMIT, app.upstream.state(WeatherService::Forecast)),
    );
    let components = Components {
        store: up_or_down(matches!(store, Ok(Ok(())))),
        broker: up_or_down(matches!(broker, Ok(Ok(())))),
        disk: disk::has_no_room(&app.settings.data_dir.0).then_some("down"),
        upstream: if upstream.is_ok_and(|state| is_usable(&state)) { "ok" } else { "degraded" },
    };
    let (code, status) = overall(&components);
    (code, Json(Health { status, components })).into_response()
}

/// Readiness
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, body = Alive, description = "ready"),
        (status = 503, description = "starting or draining"),
    ),
)]
pub async fn readyz(State(app): State<SharedState>) -> Result<Json<Alive>, Problem> {
    let not_ready = |detail| Problem::unavailable("not_ready", detail, READY_PAUSE);
    if app.phase.is_draining() {
        return Err(not_ready("this server is shutting down"));
    }
    if !app.phase.was_ready() {
        let (store, broker) = tokio::join!(
            timeout(PING_LIMIT, app.store.ping()),
            timeout(PING_LIMIT, app.broker.ping()),
        );
        if !matches!((store, broker), (Ok(Ok(())), Ok(Ok(())))) {
            return Err(not_ready("the store or the broker has not answered yet"));
        }
        app.phase.mark_ready();
    }
    Ok(Json(Alive { status: "ready" }))
}

fn is_usable(state: &UpstreamState) -> bool {
    state.breaker != "open" && state.config_error.is_none()
}

fn up_or_down(up: bool) -> &'static str {
    if up { "ok" } else { "down" }
}

fn overall(components: &Components) -> (StatusCode, &'static str) {
    if [components.store, components.broker].contains(&"down") || components.disk.is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "fail")
    } else if components.upstream == "ok" {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::OK, "degraded")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_store_broker_and_disk_make_the_server_fail() {
        let status =
            |store, broker, upstream| overall(&Components { store, broker, upstream, disk: None });
        assert_eq!(status("ok", "ok", "ok"), (StatusCode::OK, "ok"));
        assert_eq!(status("ok", "ok", "degraded"), (StatusCode::OK, "degraded"));
        for (store, broker) in [("down", "ok"), ("ok", "down")] {
            assert_eq!(status(store, broker, "ok").0, StatusCode::SERVICE_UNAVAILABLE);
        }
        let full = Components { store: "ok", broker: "ok", upstream: "ok", disk: Some("down") };
        assert_eq!(overall(&full), (StatusCode::SERVICE_UNAVAILABLE, "fail"));
    }
}
