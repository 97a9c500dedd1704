//! `GET /cache`: size and hit ratio of the cache of `/weather`.
//!
//! `entries` are those in the broker, which all processes share. Hits and misses are those of this
//! process since its start.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct CacheState {
    pub backend: &'static str,
    pub ttl_seconds: u64,
    pub entries: u64,
    pub hits: u64,
    pub misses: u64,
    /// 0 before the first request.
    pub hit_ratio: f64,
}

/// Cache statistics
#[utoipa::path(
    get,
    path = "/cache",
    responses((status = 200, body = CacheState, description = "size and use of the cache")),
)]
pub async fn show(State(app): State<SharedState>) -> Result<Json<CacheState>, Problem> {
    let (hits, misses) = app.weather.hits_and_misses();
    let requests = hits + misses;
    Ok(Json(CacheState {
        backend: app.broker.kind(),
        ttl_seconds: app.settings.cache_ttl.0.as_secs(),
        entries: app.broker.cache_len().await?,
        hits,
        misses,
        hit_ratio: if requests == 0 { 0.0 } else { hits as f64 / requests as f64 },
    }))
}
