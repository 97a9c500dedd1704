//! `/stats`: how much there is in each table, and how each pipeline stands.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use isobar_shared::broker::Depth;
use isobar_shared::store::{JobStatus, Totals};
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
    let standing = Standing { totals: totals?, jobs: by_status?, depth: depth? };
    Ok(Json(Stats::of(&app.settings.stream, &standing)))
}

/// What the numbers are made of.
#[derive(Debug)]
pub struct Standing {
    pub totals: Totals,
    pub jobs: HashMap<JobStatus, u64>,
    pub depth: Depth,
}

impl Stats {
    pub fn of(stream: &str, standing: &Standing) -> Self {
        let Standing { totals, jobs, depth } = standing;
        let jobs = JobStatus::ALL
            .map(|status| (status.as_str(), jobs.get(&status).copied().unwrap_or_default()));
        let weather = PipelineStats {
            stream: stream.to_owned(),
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
        Self { totals: totals.into(), pipelines: [("weather", weather)].into() }
    }
}
