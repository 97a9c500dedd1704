//! `/livez`, `/healthz`, `/readyz`: for whoever restarts, watches and routes to this process.
//!
//! Alive is whoever answers. Healthy is a store and a broker that answer; a weather service that
//! does not is `degraded`, for what is stored can still be served. Ready is a server that has once
//! reached both and is not draining; an open breaker never makes it unready. These routes are open,
//! so they name components and nothing about them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use isobar_upstream::UpstreamState;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::state::Shared;

/// A component that takes longer to say that it is there counts as down.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// When to ask again whether this process is ready.
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
}

/// Whether the process lives
#[utoipa::path(get, path = "/livez", responses((status = 200, body = Alive, description = "it does")))]
pub async fn livez() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether the components answer
#[utoipa::path(
    get,
    path = "/healthz",
    responses(
        (status = 200, body = Health, description = "`ok`, or `degraded` by the upstream alone"),
        (status = 503, body = Health, description = "`fail`: the store or the broker is down"),
    ),
)]
pub async fn healthz(State(app): State<Shared>) -> Response {
    let (store, broker, upstream) = tokio::join!(
        timeout(PING_LIMIT, app.store.ping()),
        timeout(PING_LIMIT, app.broker.ping()),
        timeout(PING_LIMIT, app.upstream.state()),
    );
    let components = Components {
        store: up_or_down(matches!(store, Ok(Ok(())))),
        broker: up_or_down(matches!(broker, Ok(Ok(())))),
        upstream: if upstream.is_ok_and(|state| serves(&state)) { "ok" } else { "degraded" },
    };
    let (code, status) = verdict(&components);
    (code, Json(Health { status, components })).into_response()
}

/// Whether to send requests here
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, body = Alive, description = "yes"),
        (status = 503, description = "not yet, or no longer"),
    ),
)]
pub async fn readyz(State(app): State<Shared>) -> Result<Json<Alive>, Problem> {
    let not_ready = |detail| Problem::unavailable("not_ready", detail, READY_PAUSE);
    if app.is_draining() {
        return Err(not_ready("this server is shutting down"));
    }
    if !app.was_ready() {
        let (store, broker) = tokio::join!(
            timeout(PING_LIMIT, app.store.ping()),
            timeout(PING_LIMIT, app.broker.ping()),
        );
        if !matches!((store, broker), (Ok(Ok(())), Ok(Ok(())))) {
            return Err(not_ready("the store or the broker has not answered yet"));
        }
        app.now_ready();
    }
    Ok(Json(Alive { status: "ready" }))
}

fn serves(state: &UpstreamState) -> bool {
    state.breaker != "open" && state.config_error.is_none()
}

fn up_or_down(up: bool) -> &'static str {
    if up { "ok" } else { "down" }
}

fn verdict(components: &Components) -> (StatusCode, &'static str) {
    if components.store == "down" || components.broker == "down" {
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
    fn only_store_and_broker_decide_whether_we_are_down() {
        let of = |store, broker, upstream| verdict(&Components { store, broker, upstream });
        assert_eq!(of("ok", "ok", "ok"), (StatusCode::OK, "ok"));
        assert_eq!(of("ok", "ok", "degraded"), (StatusCode::OK, "degraded"));
        for (store, broker) in [("down", "ok"), ("ok", "down")] {
            assert_eq!(of(store, broker, "ok").0, StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
