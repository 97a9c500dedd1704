//! Jobs: changed at the end of a commit as `account.rs` decides, and read.
//!
//! A job may be heard of first through a task, its seal or its open, from any worker: whoever is
//! first makes the row. Counters are written by [`settle`] alone, in the ledger's transaction (I3).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::SqliteStore;
use super::columns::{Id, Time, word};
use crate::account::{Account, Moves, Tally, kind_named, outcome_named};
use crate::nul::without_nul;
use crate::{Imbalance, JobRow, JobStatus, NewJob, Result};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::SealOutcome;

sql! {
    JOB = "SELECT * FROM jobs WHERE job_id = ?1";
    WRITE = r"
INSERT INTO jobs (job_id, known, kind, source, created_at, status, sealed, total, processed,
    succeeded, failed, skipped, rejected, duplicates, started_at, finished_at, pipeline)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (job_id) DO UPDATE SET known = ?2, kind = ?3, source = ?4, created_at = ?5, status = ?6,
    sealed = ?7, total = ?8, processed = ?9, succeeded = ?10, failed = ?11, skipped = ?12,
    rejected = ?13, duplicates = ?14, started_at = ?15, finished_at = ?16, pipeline = ?17
";
    CREATE = r"
INSERT INTO jobs AS stored (job_id, kind, source, status, created_at, known, pipeline)
VALUES (?1, ?2, ?3, 'queued', ?4, true, ?5)
ON CONFLICT (job_id) DO UPDATE
SET kind = excluded.kind, source = excluded.source, created_at = excluded.created_at, known = true,
    pipeline = excluded.pipeline
WHERE NOT stored.known
";
    FAIL = r"
UPDATE jobs SET status = 'failed', finished_at = ?2
WHERE job_id = ?1 AND status IN ('queued', 'cancelling') AND processed = 0 AND sealed IS NULL
";
    STATUS = "SELECT status FROM jobs WHERE job_id = ?1";
    NEWEST = "SELECT * FROM jobs ORDER BY created_at DESC, job_id DESC LIMIT ?1";
    OLDER = r"
SELECT * FROM jobs WHERE (created_at, job_id) < (?2, ?3)
ORDER BY created_at DESC, job_id DESC LIMIT ?1
";
    COUNTS = r"
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

/// Enters the tally's changes into their jobs.
pub(super) fn settle(
    tx: &Transaction<'_>,
    tally: &mut Tally,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    for (id, change) in tally.take_changes() {
        let found = tx.prepare_cached(JOB)?.query_row([Id(id.0)], account).optional()?;
        let is_new = found.is_none();
        let before = found.unwrap_or_else(|| Account::unknown(id, now));
        let after = before.after(&change, now);
        if is_new || after != before {
            write(tx, &after)?;
            tally.settled(&before, &after);
        }
    }
    Ok(())
}

fn write(tx: &Transaction<'_>, account: &Account) -> rusqlite::Result<()> {
    tx.prepare_cached(WRITE)?.execute(params![
        Id(account.id.0),
        account.known,
        account.kind.as_str(),
        account.source,
        Time(account.created_at),
        account.status.as_str(),
        account.sealed.map(SealOutcome::as_str),
        account.total,
        account.processed(),
        account.succeeded,
        account.failed,
        account.skipped,
        account.rejected,
        account.duplicates,
        account.started_at.map(Time),
        account.finished_at.map(Time),
        account.pipeline.as_str(),
    ])?;
    Ok(())
}

impl SqliteStore {
    pub async fn create_job(&self, job: &NewJob) -> Result<()> {
        let job = job.clone();
        self.write(move |tx| {
            tx.prepare_cached(CREATE)?.execute(params![
                Id(job.id.0),
                job.kind.as_str(),
                without_nul(&job.source),
                Time(job.created_at),
                job.pipeline.as_str(),
            ])?;
            Ok(())
        })
        .await
    }

    pub async fn fail_job(&self, id: JobId, now: DateTime<Utc>) -> Result<()> {
        self.write(move |tx| {
            tx.prepare_cached(FAIL)?.execute(params![Id(id.0), Time(now)]).map(drop)
        })
        .await
    }

    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>> {
        self.read(move |db| db.prepare_cached(JOB)?.query_row([Id(id.0)], job).optional()).await
    }

    pub async fn job_statuses(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobStatus>> {
        let jobs = jobs.to_vec();
        self.read(move |db| {
            let mut status = db.prepare_cached(STATUS)?;
            let mut found = HashMap::with_capacity(jobs.len());
            for id in jobs {
                let known = status
                    .query_row([Id(id.0)], |row| word(row, "status", JobStatus::parse))
                    .optional()?;
                found.extend(known.map(|known| (id, known)));
            }
            Ok(found)
        })
        .await
    }

    pub async fn jobs(
        &self,
        before: Option<(DateTime<Utc>, JobId)>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        self.read(move |db| match before {
            Some((created_at, id)) => db
                .prepare_cached(OLDER)?
                .query_map(params![limit, Time(created_at), Id(id.0)], job)?
                .collect(),
            None => db.prepare_cached(NEWEST)?.query_map([limit], job)?.collect(),
        })
        .await
    }

    pub async fn imbalances(&self) -> Result<Vec<Imbalance>> {
        self.read(|db| {
            db.prepare_cached(COUNTS)?
                .query_map([], imbalance)?
                .filter_map(rusqlite::Result::transpose)
                .collect()
        })
        .await
    }
}

fn imbalance(row: &Row<'_>) -> rusqlite::Result<Option<Imbalance>> {
    let account = account(row)?;
    let counted = Moves {
        succeeded: row.get("ledger_succeeded")?,
        failed: row.get("ledger_failed")?,
        skipped: row.get("ledger_skipped")?,
        rejected: row.get("ledger_rejected")?,
    };
    let detail = account.contradiction(row.get("processed")?, counted);
    Ok(detail.map(|detail| Imbalance { job_id: account.id, detail }))
}

fn job(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    account(row).map(Account::into_row)
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let time = |name: &str| row.get::<_, Option<Time>>(name).map(|time| time.map(|time| time.0));
    let sealed: Option<String> = row.get("sealed")?;
    Ok(Account {
        id: JobId(row.get::<_, Id>("job_id")?.0),
        known: row.get("known")?,
        kind: word(row, "kind", kind_named)?,
        pipeline: word(row, "pipeline", PipelineName::parse)?,
        source: row.get("source")?,
        created_at: row.get::<_, Time>("created_at")?.0,
        status: word(row, "status", JobStatus::parse)?,
        sealed: sealed.as_deref().and_then(outcome_named),
        total: row.get("total")?,
        succeeded: row.get("succeeded")?,
        failed: row.get("failed")?,
        skipped: row.get("skipped")?,
        rejected: row.get("rejected")?,
        duplicates: row.get("duplicates")?,
        started_at: time("started_at")?,
        finished_at: time("finished_at")?,
    })
}
