//! How much of everything there is, and what fails. The counts read whole tables: callers cache the answer.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{PostgresStore, jobs, unreadable};
use crate::{FailureGroup, JobStatus, PipelineTotals, Result, Totals};
use isobar_model::pipeline::PipelineName;

sql! {
    TOTALS = r"
SELECT cities, snapshots, jobs, unfinished_jobs, ledger_rows,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM search_history) AS searches,
    (SELECT count(*) FROM operations) AS operations,
    (SELECT count(*) FROM schedule_ticks) AS ticks,
    (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM addresses) AS addresses,
    (SELECT count(*) FROM credit_cards) AS cards
FROM (SELECT count(*) AS cities, count(observed_at) AS snapshots FROM cities) AS of_cities,
    (SELECT count(*) AS jobs,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'cancelling')) AS unfinished_jobs,
        coalesce(sum(processed - duplicates) FILTER (WHERE ledger = 'kept'), 0)::bigint
            AS ledger_rows
    FROM jobs) AS of_jobs
";
    BY_PIPELINE = "SELECT pipeline, status, count(*) AS jobs FROM jobs GROUP BY pipeline, status";
    DEAD_BY_PIPELINE = "SELECT pipeline, count(*) AS letters FROM dead_letters GROUP BY pipeline";
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

    pub async fn pipeline_totals(&self) -> Result<HashMap<PipelineName, PipelineTotals>> {
        self.by_pipeline().await.map_err(|error| self.failed(error))
    }

    async fn by_pipeline(&self) -> sqlx::Result<HashMap<PipelineName, PipelineTotals>> {
        let mut totals: HashMap<PipelineName, PipelineTotals> = HashMap::new();
        for row in sqlx::query(BY_PIPELINE).fetch_all(&self.pool).await? {
            let of = totals.entry(jobs::pipeline(&row)?.stream()).or_default();
            let name: &str = row.try_get("status")?;
            let status = JobStatus::parse(name)
                .ok_or_else(|| unreadable(format!("status {name:?} of a job")))?;
            *of.jobs.entry(status).or_default() += row.try_get::<i64, _>("jobs")? as u64;
        }
        for row in sqlx::query(DEAD_BY_PIPELINE).fetch_all(&self.pool).await? {
            let of = totals.entry(jobs::pipeline(&row)?.stream()).or_default();
            of.dead_letters += row.try_get::<i64, _>("letters")? as u64;
        }
        Ok(totals)
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
        users: count("users")?,
        addresses: count("addresses")?,
        cards: count("cards")?,
    })
}
