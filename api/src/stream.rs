//! `/stream`: the backlog as numbers that add up, who works on it, and what holds it up.
//!
//! Everything here is read from the broker and the store at this moment; nothing is kept.

use axum::Json;
use axum::extract::State;
use isobar_shared::broker::QuotaUse;
use serde::Serialize;
use serde_json::Value;

use crate::heartbeats;
use crate::problem::Problem;
use crate::state::Shared;

#[derive(Debug, Serialize)]
pub struct StreamState {
    pub stream: String,
    /// Unfinished: undelivered and pending.
    pub backlog: u64,
    pub undelivered: u64,
    pub pending: u64,
    pub oldest_pending_seconds: f64,
    pub dead: u64,
    pub workers: Vec<WorkerState>,
    /// What the newest producer or import relay said of its outbox; `null` when none did lately.
    pub outbox: Option<Value>,
    pub breaker: &'static str,
    pub quota: QuotaUse,
}

#[derive(Debug, Serialize)]
pub struct WorkerState {
    pub name: String,
    pub pending: u64,
    pub idle_ms: u64,
}

pub async fn show(State(app): State<Shared>) -> Result<Json<StreamState>, Problem> {
    let (depth, consumers, heartbeats, totals, upstream) = tokio::join!(
        app.broker.depth(&app.topic, app.settings.claim_idle.0),
        app.broker.consumers(&app.topic),
        app.broker.heartbeats(),
        app.store.totals(),
        app.upstream.state(),
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
        oldest_pending_seconds: depth.oldest_pending_ms as f64 / 1000.0,
        dead: totals?.dead_letters,
        workers,
        outbox: heartbeats::outbox(&heartbeats?),
        breaker: upstream.breaker,
        quota: upstream.quota,
    }))
}
