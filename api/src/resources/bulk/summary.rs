//! `GET /bulk/summary`: recent refreshes, failures by code, failed jobs, totals.
//!
//! Guarantees: each part reads a whole table, so all callers within a few seconds share one scan.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_admin::job_view::JobErrorView;
use isobar_model::ids::{CityId, JobId};
use isobar_store::{CityRow, FailureGroup, JobRow, TableCounts};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

const DEFAULT_TOP: u32 = 10;
const MAX_TOP: u32 = 100;

#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    pub recently_refreshed: Vec<RefreshedCity>,
    /// The ledger's failures by code, most frequent first.
    pub failures: Vec<FailureItem>,
    /// Jobs whose source failed, newest first.
    pub failed_jobs: Vec<FailedJobItem>,
    pub totals: TotalsItem,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefreshedCity {
    #[schema(value_type = i64)]
    pub city_id: CityId,
    pub name: String,
    pub country_code: Option<String>,
    /// °C.
    pub temperature: Option<f64>,
    pub last_refreshed_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailureItem {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailedJobItem {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    pub source: String,
    pub error: Option<JobErrorView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TotalsItem {
    pub cities: u64,
    pub snapshots: u64,
    pub jobs: u64,
    pub unfinished_jobs: u64,
    pub dead_letters: u64,
    pub searches: u64,
}

/// Recent refreshes, failures by code, failed jobs, totals
#[utoipa::path(
    get,
    path = "/bulk/summary",
    params(("top" = Option<u32>, Query, minimum = 1, maximum = 100, description = "length of each list (10)")),
    responses((status = 200, body = Summary, description = "at most a few seconds old")),
)]
pub async fn show(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<Summary>, Problem> {
    let top = params.number("top", 1..=MAX_TOP)?.unwrap_or(DEFAULT_TOP) as usize;
    let scans = &app.scans;
    let (refreshed, failures, failed_jobs, totals) = tokio::try_join!(
        scans.refreshed.get_or_load(app.store.recently_refreshed(MAX_TOP)),
        scans.failures.get_or_load(app.store.failures(MAX_TOP)),
        scans.failed_sources.get_or_load(app.store.failed_sources(MAX_TOP)),
        app.totals(),
    )?;
    Ok(Json(Summary {
        recently_refreshed: refreshed.into_iter().take(top).map(Into::into).collect(),
        failures: failures.into_iter().take(top).map(Into::into).collect(),
        failed_jobs: failed_jobs.into_iter().take(top).map(Into::into).collect(),
        totals: totals.into(),
    }))
}

impl From<CityRow> for RefreshedCity {
    fn from(row: CityRow) -> Self {
        Self {
            city_id: row.id,
            name: row.name,
            country_code: row.country_code,
            temperature: row.weather.and_then(|weather| weather.temperature),
            last_refreshed_at: row.last_refreshed_at,
        }
    }
}

impl From<JobRow> for FailedJobItem {
    fn from(row: JobRow) -> Self {
        Self { error: row.error().map(Into::into), job_id: row.id, source: row.source }
    }
}

impl From<FailureGroup> for FailureItem {
    fn from(group: FailureGroup) -> Self {
        Self { code: group.code, count: group.count, sample: group.sample }
    }
}

impl From<TableCounts> for TotalsItem {
    fn from(totals: TableCounts) -> Self {
        Self {
            cities: totals.cities,
            snapshots: totals.snapshots,
            jobs: totals.jobs,
            unfinished_jobs: totals.unfinished_jobs,
            dead_letters: totals.dead_letters,
            searches: totals.searches,
        }
    }
}
