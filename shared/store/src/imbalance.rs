//! Imbalances: jobs whose counters differ from their ledger. `isobar verify` reports them.
//!
//! Does not: look at pruned jobs; their ledger rows are removed, their counters stay.
//! Next: [`crate::account`], which compares.

use std::collections::HashMap;

use chrono::Utc;
use serde::Serialize;

use crate::account::Account;
use crate::counter_delta::CounterDelta;
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
    succeeded, failed, skipped, rejected, duplicates, late_rows, error_code, error_detail,
    started_at, finished_at,
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
    /// What the ledgers of some jobs hold.
    OF_JOBS = r"
SELECT job_id, count(*) FILTER (WHERE status = 'success') AS ledger_succeeded,
    count(*) FILTER (WHERE status = 'failed') AS ledger_failed,
    count(*) FILTER (WHERE status = 'skipped') AS ledger_skipped,
    count(*) FILTER (WHERE rejected) AS ledger_rejected
FROM job_tasks WHERE job_id = ANY($1::uuid[]) GROUP BY job_id
";
}

/// The accounts with the counters of their ledgers.
pub(crate) fn recount(accounts: &[Account], counted: &[LedgerCount]) -> Vec<Account> {
    let counted: HashMap<JobId, CounterDelta> =
        counted.iter().map(|ledger| (ledger.job_id, ledger.counted)).collect();
    let now = Utc::now();
    let recounted = accounts.iter().map(|account| {
        let counted = counted.get(&account.id).copied().unwrap_or_default();
        account.recounted(counted, now)
    });
    recounted.collect()
}

/// What the ledger of a job holds.
pub(crate) struct LedgerCount {
    job_id: JobId,
    counted: CounterDelta,
}

impl FromRow for LedgerCount {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        Ok(Self { job_id: row.get("job_id")?, counted: CounterDelta::from_row(row)? })
    }
}

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

    /// Takes the counters of these jobs from their ledgers.
    pub async fn recount(&self, jobs: &[JobId]) -> Result<()> {
        dispatch!(self, backend => backend.recount(jobs).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_ledger_rows_counts_nothing() {
        let account = |slot| Account {
            succeeded: 9,
            ..Account::unknown(JobId::derive("test", slot), Utc::now())
        };
        let accounts = [account("with rows"), account("without")];
        let counted = CounterDelta { succeeded: 2, ..CounterDelta::default() };
        let counted = [LedgerCount { job_id: accounts[0].id, counted }];
        let recounted: Vec<(JobId, i64)> = recount(&accounts, &counted)
            .iter()
            .map(|account| (account.id, account.succeeded))
            .collect();
        assert_eq!(recounted, [(accounts[0].id, 2), (accounts[1].id, 0)]);
    }
}
