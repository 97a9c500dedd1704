//! `/stats`: how much there is in each table, and how each pipeline stands.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use isobar_broker::{Depth, Topic};
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_store::{JobStatus, PipelineTotals, Totals};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;
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
    let depths = app.broker.depths(&app.settings);
    let (totals, pipelines, depths) =
        tokio::join!(app.totals(), app.store.pipeline_totals(), depths);
    let standing = Standing { totals: totals?, pipelines: pipelines?, depths: depths? };
    Ok(Json(Stats::of(&app.settings, &standing)))
}

/// What the numbers are made of.
#[derive(Debug)]
pub struct Standing {
    pub totals: Totals,
    pub pipelines: HashMap<PipelineName, PipelineTotals>,
    pub depths: HashMap<PipelineName, Depth>,
}

impl Stats {
    pub fn of(settings: &Settings, standing: &Standing) -> Self {
        let pipelines = PipelineName::streams().map(|pipeline| {
            let of = standing.pipelines.get(&pipeline).cloned().unwrap_or_default();
            let depth = standing.depths.get(&pipeline).copied().unwrap_or_default();
            let jobs = JobStatus::ALL
                .map(|status| (status.as_str(), of.jobs.get(&status).copied().unwrap_or_default()));
            let stats = PipelineStats {
                stream: Topic::of(pipeline, settings).stream,
                backlog: depth.undelivered + depth.pending,
                jobs: jobs.into(),
                dead_letters: of.dead_letters,
            };
            (pipeline.as_str(), stats)
        });
        Self { totals: standing.totals.tables().collect(), pipelines: pipelines.collect() }
    }
}
