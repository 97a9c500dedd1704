//! How much of everything there is, and what fails. The counts read whole tables: callers cache the answer.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{PostgresStore, unreadable};
use crate::store::{FailureGroup, JobStatus, Result, Totals};

sql! {
    TOTALS = r"
SELECT cities, snapshots, jobs, unfinished_jobs, ledger_rows,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM search_history) AS searches,
    (SELECT count(*) FROM operations) AS operations,
    (SELECT count(*) FROM schedule_ticks) AS ticks
FROM (SELECT count(*) AS cities, count(observed_at) AS snapshots FROM cities) AS of_cities,
    (SELECT count(*) AS jobs,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'cancelling')) AS unfinished_jobs,
        coalesce(sum(processed - duplicates) FILTER (WHERE ledger = 'kept'), 0)::bigint
            AS ledger_rows
    FROM jobs) AS of_jobs
";
    BY_STATUS = "SELECT status, count(*) AS jobs FROM jobs GROUP BY status";
    FAILURES = r"
SELECT error_code AS code, count(*) AS failures, max(last_error) AS sample FROM job_tasks
WHERE status = 'failed' AND error_code IS NOT NULL
GROUP BY error_code ORDER BY failures DESC, code LIMIT $1
";
}

impl PostgresStore {
    pub async fn totals(&self) -> Result<Totals> {
        sqlx::query(TOTALS)
            .fetch_one(&self.pool)
            .await
            .and_then(|row| read(&row))
            .map_err(|error| self.failed(error))
    }

    pub async fn jobs_by_status(&self) -> Result<HashMap<JobStatus, u64>> {
        let read = |row: &PgRow| {
            let name: &str = row.try_get("status")?;
            let status = JobStatus::parse(name)
                .ok_or_else(|| unreadable(format!("status {name:?} of a job")))?;
            Ok((status, row.try_get::<i64, _>("jobs")? as u64))
        };
        sqlx::query(BY_STATUS)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn failures(&self, limit: u32) -> Result<Vec<FailureGroup>> {
        let read = |row: &PgRow| {
            Ok(FailureGroup {
                code: row.try_get("code")?,
                count: row.try_get::<i64, _>("failures")? as u64,
                sample: row.try_get::<Option<_>, _>("sample")?.unwrap_or_default(),
            })
        };
        sqlx::query(FAILURES)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<Totals> {
    let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
    Ok(Totals {
        cities: count("cities")?,
        snapshots: count("snapshots")?,
        jobs: count("jobs")?,
        unfinished_jobs: count("unfinished_jobs")?,
        ledger_rows: count("ledger_rows")?,
        dead_letters: count("dead_letters")?,
        searches: count("searches")?,
        operations: count("operations")?,
        ticks: count("ticks")?,
    })
}
