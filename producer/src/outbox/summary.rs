//! The summary of an outbox: its jobs with their counters, and its depth.
//!
//! Next: `isobar outbox status` and the dashboard, which show it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_sqlite::SqliteError;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::columns::{job_id, time, unsigned};
use super::file::Outbox;
use super::jobs::OutboxJobState;

const COLUMNS: &str =
    "SELECT job_id, kind, source, slot, state, error, total, tasks, rejected, duplicates, last_seq,
   (SELECT count(*) FROM batches WHERE job = jobs.key AND receipt IS NULL),
   (SELECT coalesce(sum(n_tasks), 0) FROM batches WHERE job = jobs.key AND receipt IS NULL),
   last_seq - confirmed_seq, created_at_ms, finished_at_ms
 FROM jobs";

/// One line of `isobar outbox status`.
#[derive(Clone, Debug, Serialize)]
pub struct JobSummary {
    pub job_id: JobId,
    pub kind: String,
    pub source: String,
    pub slot: String,
    pub state: OutboxJobState,
    pub error: Option<String>,
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub batches: u64,
    pub unsent_batches: u64,
    pub unsent_tasks: u64,
    pub unconfirmed_batches: u64,
    pub created_at: DateTime<Utc>,
    pub age_seconds: u64,
    #[serde(skip)]
    pub finished_at: Option<DateTime<Utc>>,
}

/// The backlog of an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxDepth {
    pub jobs: u64,
    pub extracting: u64,
    pub unsent_tasks: u64,
    pub unconfirmed_batches: u64,
    pub conflicts: u64,
    /// Age of the oldest job with unsent tasks; `None` if there are none.
    #[serde(default)]
    pub oldest_unsent_seconds: Option<u64>,
}

impl Outbox {
    /// Jobs that are not done, then jobs that are done; the newest first.
    pub async fn summaries(&self, limit: u32) -> Result<Vec<JobSummary>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(&format!(
                "{COLUMNS} ORDER BY state IN ('done', 'superseded'), key DESC LIMIT ?1"
            ))?
            .query_map([limit], summary)?
            .collect()
        })
        .await
    }

    pub async fn summary(&self, job_id: JobId) -> Result<Option<JobSummary>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(&format!("{COLUMNS} WHERE job_id = ?1"))?
                .query_row([job_id.to_string()], summary)
                .optional()
        })
        .await
    }

    /// All jobs whose list is complete, except those that another outbox publishes, and except
    /// republications, of which the store knows nothing.
    pub async fn complete_jobs(&self) -> Result<Vec<JobSummary>, SqliteError> {
        self.read(|db| {
            let which = "state IN ('sealed', 'done') AND kind <> 'again'
               AND outcome IS NOT 'other_outbox'";
            db.prepare_cached(&format!("{COLUMNS} WHERE {which} ORDER BY key"))?
                .query_map([], summary)?
                .collect()
        })
        .await
    }

    /// All jobs that wait for a decision: another outbox has published under their numbers.
    pub async fn conflicted_jobs(&self) -> Result<Vec<JobSummary>, SqliteError> {
        self.read(|db| {
            db.prepare_cached(&format!("{COLUMNS} WHERE state = 'conflicted' ORDER BY key"))?
                .query_map([], summary)?
                .collect()
        })
        .await
    }

    /// The jobs that were made within `age` and whose source failed, newest first.
    pub async fn failed_jobs(&self, age: Duration) -> Result<Vec<JobSummary>, SqliteError> {
        let since_ms = Utc::now().timestamp_millis() - age.as_millis() as i64;
        self.read(move |db| {
            let which = "outcome = 'failed' AND created_at_ms >= ?1";
            db.prepare_cached(&format!("{COLUMNS} WHERE {which} ORDER BY key DESC"))?
                .query_map([since_ms], summary)?
                .collect()
        })
        .await
    }

    pub async fn depth(&self) -> Result<OutboxDepth, SqliteError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT count(*), coalesce(sum(state = 'extracting'), 0),
                   (SELECT coalesce(sum(n_tasks), 0) FROM batches WHERE receipt IS NULL),
                   coalesce(sum(last_seq - confirmed_seq), 0), coalesce(sum(state = 'conflicted'), 0),
                   (SELECT min(created_at_ms) FROM jobs j WHERE EXISTS
                     (SELECT 1 FROM batches b WHERE b.job = j.key AND b.receipt IS NULL))
                 FROM jobs WHERE state NOT IN ('done', 'superseded')",
            )?
            .query_row([], |row| {
                let oldest: Option<i64> = row.get(5)?;
                let age = |at: i64| (Utc::now().timestamp_millis() - at).max(0) as u64 / 1_000;
                Ok(OutboxDepth {
                    jobs: unsigned(row, 0)?,
                    extracting: unsigned(row, 1)?,
                    unsent_tasks: unsigned(row, 2)?,
                    unconfirmed_batches: unsigned(row, 3)?,
                    conflicts: unsigned(row, 4)?,
                    oldest_unsent_seconds: oldest.map(age),
                })
            })
        })
        .await
    }

    /// Whether a batch is marked as sent and not confirmed.
    pub async fn has_sent(&self) -> Result<bool, SqliteError> {
        self.read(|db| {
            db.query_row(
                "SELECT EXISTS (SELECT 1 FROM batches WHERE receipt IS NOT NULL AND confirmed_at_ms IS NULL)",
                [],
                |row| row.get(0),
            )
        })
        .await
    }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<JobSummary> {
    let created_at = time(row, 14)?;
    Ok(JobSummary {
        job_id: job_id(row, 0)?,
        kind: row.get(1)?,
        source: row.get(2)?,
        slot: row.get(3)?,
        state: OutboxJobState::parse(&row.get::<_, String>(4)?),
        error: row.get(5)?,
        rows: unsigned(row, 6)?,
        tasks: unsigned(row, 7)?,
        rejected: unsigned(row, 8)?,
        duplicates: unsigned(row, 9)?,
        batches: unsigned(row, 10)?,
        unsent_batches: unsigned(row, 11)?,
        unsent_tasks: unsigned(row, 12)?,
        unconfirmed_batches: unsigned(row, 13)?,
        created_at,
        finished_at: row.get::<_, Option<i64>>(15)?.and_then(DateTime::from_timestamp_millis),
        age_seconds: (Utc::now() - created_at).num_seconds().max(0) as u64,
    })
}
