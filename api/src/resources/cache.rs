//! `/cache`: how the answers of `/weather` are kept, and how often that spared work.
//!
//! `entries` are those in the broker, shared by all; hits and misses are this process' own since
//! its start.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::state::Shared;

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

/// How the cache does
#[utoipa::path(
    get,
    path = "/cache",
    responses((status = 200, body = CacheState, description = "size and use of the cache")),
)]
pub async fn show(State(app): State<Shared>) -> Result<Json<CacheState>, Problem> {
    let (hits, misses) = app.weather.hits_and_misses();
    let asked = hits + misses;
    Ok(Json(CacheState {
        backend: app.broker.kind(),
        ttl_seconds: app.settings.cache_ttl.0.as_secs(),
        entries: app.broker.cache_len().await?,
        hits,
        misses,
        hit_ratio: if asked == 0 { 0.0 } else { hits as f64 / asked as f64 },
    }))
}
