//! Imbalances: jobs whose counters differ from their ledger. `isobar verify` reports them.
//!
//! Does not: look at pruned jobs; their ledger rows are removed, their counters stay.
//! Next: [`crate::account`], which compares.

use serde::Serialize;

use crate::account::{Account, CounterDelta};
use crate::error::Result;
use crate::row::{FromRow, Row};
use crate::store::Store;
use isobar_model::ids::JobId;

/// A job whose counters and ledger differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Imbalance {
    pub job_id: JobId,
    /// Each difference, with both numbers.
    pub detail: String,
}

sql! {
    /// Each job with what its ledger holds.
    COUNTS = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed,
    succeeded, failed, skipped, rejected, duplicates, late_rows, started_at, finished_at,
    ledger_succeeded, ledger_failed, ledger_skipped, ledger_rejected
FROM jobs, LATERAL (
    SELECT count(*) FILTER (WHERE job_tasks.status = 'success') AS ledger_succeeded,
        count(*) FILTER (WHERE job_tasks.status = 'failed') AS ledger_failed,
        count(*) FILTER (WHERE job_tasks.status = 'skipped') AS ledger_skipped,
        count(*) FILTER (WHERE job_tasks.rejected) AS ledger_rejected
    FROM job_tasks WHERE job_tasks.job_id = jobs.job_id) AS counted
WHERE jobs.ledger = 'kept'
ORDER BY jobs.created_at, jobs.job_id
" => r"
SELECT jobs.*, coalesce(counted.succeeded, 0) AS ledger_succeeded,
    coalesce(counted.failed, 0) AS ledger_failed, coalesce(counted.skipped, 0) AS ledger_skipped,
    coalesce(counted.rejected, 0) AS ledger_rejected
FROM jobs LEFT JOIN (
    SELECT job_id, count(*) FILTER (WHERE status = 'success') AS succeeded,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'skipped') AS skipped,
        count(*) FILTER (WHERE rejected) AS rejected
    FROM job_tasks GROUP BY job_id) AS counted ON counted.job_id = jobs.job_id
WHERE jobs.ledger = 'kept'
ORDER BY jobs.created_at, jobs.job_id
";
}

row! { CounterDelta {
    succeeded: "ledger_succeeded", failed: "ledger_failed", skipped: "ledger_skipped",
    rejected: "ledger_rejected",
} }

impl FromRow for Option<Imbalance> {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        let account = Account::from_row(row)?;
        let detail = account.mismatch(row.get("processed")?, CounterDelta::from_row(row)?);
        Ok(detail.map(|detail| Imbalance { job_id: account.id, detail }))
    }
}

impl Store {
    /// Jobs whose counters differ from their ledger; there should be none.
    pub async fn imbalances(&self) -> Result<Vec<Imbalance>> {
        let found: Vec<Option<Imbalance>> = self.all(&COUNTS, args![]).await?;
        Ok(found.into_iter().flatten().collect())
    }
}
