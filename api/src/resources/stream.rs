//! `GET /stream`: the backlog of the weather stream, its workers, and what pauses them.
//!
//! Guarantees: every value is read from broker and store at this moment.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_admin::heartbeats;
use isobar_model::quota::QuotaUsage;
use isobar_store::DeadLetterFilter;
use isobar_upstream::WeatherService;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct StreamState {
    pub stream: String,
    /// Unfinished entries: undelivered and pending.
    pub backlog: u64,
    pub undelivered: u64,
    pub pending: u64,
    pub oldest_undelivered_seconds: f64,
    pub oldest_pending_seconds: f64,
    pub dead: u64,
    pub workers: Vec<WorkerState>,
    /// The outbox of the newest producer or import relay; `null` if none has reported lately.
    #[schema(value_type = Option<Object>)]
    pub outbox: Option<Value>,
    pub breaker: &'static str,
    pub quota: QuotaView,
    /// Set while an operator has paused the workers.
    pub paused: Option<Paused>,
}

/// Who paused the workers, and when.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paused {
    pub by: String,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerState {
    pub name: String,
    pub pending: u64,
    pub idle_ms: u64,
}

/// Used requests in the windows of the upstream's quota.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaView {
    pub minute: u64,
    pub hour: u64,
    pub day: u64,
    /// Set while a window is used up, or the provider has reported it.
    pub shut_until: Option<DateTime<Utc>>,
}

/// Backlog, workers and pauses
#[utoipa::path(
    get,
    path = "/stream",
    responses((status = 200, body = StreamState, description = "current values")),
)]
pub async fn show(State(app): State<SharedState>) -> Result<Json<StreamState>, Problem> {
    let all = DeadLetterFilter::default();
    let (depth, consumers, heartbeats, dead, upstream, switches) = tokio::join!(
        app.broker.depth(&app.topic, app.settings.claim_idle.0),
        app.broker.consumers(&app.topic),
        app.broker.heartbeats(),
        app.store.count_dead_letters(&all),
        app.upstream.state(WeatherService::Forecast),
        app.broker.flags(&app.topic),
    );
    let depth = depth?;
    let workers = consumers?
        .into_iter()
        .map(|consumer| WorkerState {
            name: consumer.name,
            pending: consumer.pending,
            idle_ms: consumer.idle_ms,
        })
        .collect();
    Ok(Json(StreamState {
        stream: app.settings.stream.clone(),
        backlog: depth.undelivered + depth.pending,
        undelivered: depth.undelivered,
        pending: depth.pending,
        oldest_undelivered_seconds: depth.oldest_undelivered_ms as f64 / 1000.0,
        oldest_pending_seconds: depth.oldest_pending_ms as f64 / 1000.0,
        dead: dead?,
        workers,
        outbox: heartbeats::outbox(&heartbeats?),
        breaker: upstream.breaker,
        quota: upstream.quota.into(),
        paused: switches?.reading().map(|set_by| Paused { by: set_by.by.clone(), at: set_by.at }),
    }))
}

impl From<QuotaUsage> for QuotaView {
    fn from(used: QuotaUsage) -> Self {
        Self { minute: used.minute, hour: used.hour, day: used.day, shut_until: used.blocked_until }
    }
}
