//! `GET /stats`: row counts by table, and backlog, jobs and dead letters by pipeline.
//!
//! Next: `isobar_admin::stats` (what `isobar stats` prints, too).

use axum::Json;
use axum::extract::State;
use isobar_admin::stats::{Stats, StatsInput};

use crate::http::problem::Problem;
use crate::state::SharedState;

/// Row counts
#[utoipa::path(
    get,
    path = "/stats",
    responses((status = 200, body = Stats, description = "totals by table and by pipeline")),
)]
pub async fn show(State(app): State<SharedState>) -> Result<Json<Stats>, Problem> {
    let depths = app.broker.depths(&app.settings);
    let (totals, pipelines, depths) =
        tokio::join!(app.totals(), app.store.pipeline_totals(), depths);
    let input = StatsInput { totals: totals?, pipelines: pipelines?, depths: depths? };
    Ok(Json(Stats::of(&app.settings, &input)))
}
