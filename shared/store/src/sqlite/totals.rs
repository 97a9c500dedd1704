//! How much of everything there is, and what fails. The counts read whole tables: callers cache the answer.

use std::collections::HashMap;

use super::SqliteStore;
use super::columns::word;
use crate::{FailureGroup, JobStatus, PipelineTotals, Result, Totals};
use isobar_model::pipeline::PipelineName;

sql! {
    TOTALS = r"
SELECT cities.*, jobs.*,
    (SELECT count(*) FROM dead_letters) AS dead_letters,
    (SELECT count(*) FROM search_history) AS searches,
    (SELECT count(*) FROM operations) AS operations,
    (SELECT count(*) FROM schedule_ticks) AS ticks,
    (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM addresses) AS addresses,
    (SELECT count(*) FROM credit_cards) AS cards
FROM (SELECT count(*) AS cities, count(observed_at) AS snapshots FROM cities) AS cities,
    (SELECT count(*) AS jobs,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'cancelling')) AS unfinished_jobs,
        coalesce(sum(processed - duplicates) FILTER (WHERE ledger = 'kept'), 0) AS ledger_rows
    FROM jobs) AS jobs
";
    BY_PIPELINE = "SELECT pipeline, status, count(*) AS jobs FROM jobs GROUP BY pipeline, status";
    DEAD_BY_PIPELINE = "SELECT pipeline, count(*) AS letters FROM dead_letters GROUP BY pipeline";
    FAILURES = r"
SELECT error_code AS code, count(*) AS failures, max(last_error) AS sample FROM job_tasks
WHERE status = 'failed' AND error_code IS NOT NULL
GROUP BY error_code ORDER BY failures DESC, code LIMIT ?1
";
}

impl SqliteStore {
    pub async fn totals(&self) -> Result<Totals> {
        self.read(|db| {
            db.prepare_cached(TOTALS)?.query_row([], |row| {
                let count = |name: &str| row.get::<_, i64>(name).map(|count| count as u64);
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
            })
        })
        .await
    }

    pub async fn pipeline_totals(&self) -> Result<HashMap<PipelineName, PipelineTotals>> {
        self.read(|db| {
            let mut totals: HashMap<PipelineName, PipelineTotals> = HashMap::new();
            let mut by_pipeline = db.prepare_cached(BY_PIPELINE)?;
            let mut rows = by_pipeline.query([])?;
            while let Some(row) = rows.next()? {
                let of = totals.entry(word(row, "pipeline", PipelineName::parse)?.stream());
                let status = word(row, "status", JobStatus::parse)?;
                let jobs: i64 = row.get("jobs")?;
                *of.or_default().jobs.entry(status).or_default() += jobs as u64;
            }
            let mut dead_by_pipeline = db.prepare_cached(DEAD_BY_PIPELINE)?;
            let mut rows = dead_by_pipeline.query([])?;
            while let Some(row) = rows.next()? {
                let of = totals.entry(word(row, "pipeline", PipelineName::parse)?.stream());
                of.or_default().dead_letters += row.get::<_, i64>("letters")? as u64;
            }
            Ok(totals)
        })
        .await
    }

    pub async fn failures(&self, limit: u32) -> Result<Vec<FailureGroup>> {
        self.read(move |db| {
            db.prepare_cached(FAILURES)?
                .query_map([limit], |row| {
                    Ok(FailureGroup {
                        code: row.get("code")?,
                        count: row.get::<_, i64>("failures")? as u64,
                        sample: row.get::<_, Option<_>>("sample")?.unwrap_or_default(),
                    })
                })?
                .collect()
        })
        .await
    }
}
