//! `/stats`: how much there is in each table, and how each pipeline stands.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use isobar_shared::store::JobStatus;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::Shared;

#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// Rows by table, some seconds old at most.
    pub totals: BTreeMap<&'static str, u64>,
    pub pipelines: BTreeMap<&'static str, PipelineStats>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PipelineStats {
    pub stream: String,
    /// Unfinished: undelivered and pending.
    pub backlog: u64,
    /// Jobs by status.
    pub jobs: BTreeMap<&'static str, u64>,
    pub dead_letters: u64,
}

/// How much there is of everything
#[utoipa::path(
    get,
    path = "/stats",
    responses((status = 200, body = Stats, description = "totals by table and by pipeline")),
)]
pub async fn show(State(app): State<Shared>) -> Result<Json<Stats>, Problem> {
    let depth = app.broker.depth(&app.topic, app.settings.claim_idle.0);
    let (totals, by_status, depth) = tokio::join!(app.totals(), app.store.jobs_by_status(), depth);
    let (totals, by_status, depth) = (totals?, by_status?, depth?);
    let jobs = JobStatus::ALL
        .map(|status| (status.as_str(), by_status.get(&status).copied().unwrap_or_default()));
    let weather = PipelineStats {
        stream: app.settings.stream.clone(),
        backlog: depth.undelivered + depth.pending,
        jobs: jobs.into(),
        dead_letters: totals.dead_letters,
    };
    let totals = [
        ("cities", totals.cities),
        ("weather", totals.snapshots),
        ("jobs", totals.jobs),
        ("job_tasks", totals.ledger_rows),
        ("dead_letters", totals.dead_letters),
        ("search_history", totals.searches),
        ("operations", totals.operations),
        ("schedule_ticks", totals.ticks),
    ];
    Ok(Json(Stats { totals: totals.into(), pipelines: [("weather", weather)].into() }))
}
