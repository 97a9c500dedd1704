//! One finished row of a job as operators see it.
//!
//! Next: [`crate::job_view`] (the job with its counters).

use chrono::{DateTime, Utc};
use isobar_model::ids::CityId;
use isobar_store::{LedgerRow, RowStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::schemas;

#[derive(Debug, Serialize, ToSchema)]
pub struct RowView {
    pub row: Option<u64>,
    pub city: Option<String>,
    #[schema(value_type = Option<i64>)]
    pub city_id: Option<CityId>,
    #[schema(value_type = schemas::RowStatus)]
    pub status: RowStatus,
    pub last_refreshed_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub error_code: Option<String>,
    pub attempts: u32,
}

impl From<LedgerRow> for RowView {
    fn from(row: LedgerRow) -> Self {
        Self {
            row: row.row,
            city: row.city,
            city_id: row.city_id,
            status: row.status,
            last_refreshed_at: row.last_refreshed_at,
            last_error: row.last_error,
            error_code: row.error_code,
            attempts: row.attempts,
        }
    }
}
