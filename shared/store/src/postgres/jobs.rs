//! Jobs: their rows are locked last in a commit, changed as `account.rs` decides, and read.
//!
//! A job may be heard of first through a task, its seal or its open, from any worker: whoever is
//! first makes the row. Counters are written by [`settle`] alone, in the ledger's transaction (I3).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{PostgresStore, unreadable};
use crate::account::{Account, Moves, Tally, kind_named, outcome_named};
use crate::nul::without_nul;
use crate::{Imbalance, JobRow, JobStatus, NewJob, Result};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::SealOutcome;

sql! {
    LOCK = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed, succeeded, failed,
    skipped, rejected, duplicates, started_at, finished_at
FROM jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id FOR UPDATE
";
    ADD = r"
INSERT INTO jobs (job_id, kind, source, status, created_at, known)
SELECT job_id, 'produce', '', 'queued', $2, false FROM unnest($1::uuid[]) AS given (job_id)
ORDER BY job_id
ON CONFLICT (job_id) DO NOTHING
";
    UPDATE = r"
UPDATE jobs SET known = $2, kind = $3, source = $4, created_at = $5, status = $6, sealed = $7,
    total = $8, processed = $9, succeeded = $10, failed = $11, skipped = $12, rejected = $13,
    duplicates = $14, started_at = $15, finished_at = $16, pipeline = $17
WHERE job_id = $1
";
    CREATE = r"
INSERT INTO jobs AS stored (job_id, kind, source, status, created_at, known, pipeline)
VALUES ($1, $2, $3, 'queued', $4, true, $5)
ON CONFLICT (job_id) DO UPDATE
SET kind = excluded.kind, source = excluded.source, created_at = excluded.created_at, known = true,
    pipeline = excluded.pipeline
WHERE NOT stored.known
";
    FAIL = r"
UPDATE jobs SET status = 'failed', finished_at = $2
WHERE job_id = $1 AND status IN ('queued', 'cancelling') AND processed = 0 AND sealed IS NULL
";
    JOB = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed, succeeded, failed,
    skipped, rejected, duplicates, started_at, finished_at
FROM jobs WHERE job_id = $1
";
    STATUSES = "SELECT job_id, status FROM jobs WHERE job_id = ANY($1::uuid[])";
    NEWEST = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed, succeeded, failed,
    skipped, rejected, duplicates, started_at, finished_at
FROM jobs ORDER BY created_at DESC, job_id DESC LIMIT $1
";
    OLDER = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed, succeeded, failed,
    skipped, rejected, duplicates, started_at, finished_at
FROM jobs WHERE (created_at, job_id) < ($2, $3)
ORDER BY created_at DESC, job_id DESC LIMIT $1
";
    COUNTS = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed, succeeded, failed,
    skipped, rejected, duplicates, started_at, finished_at,
    ledger_succeeded, ledger_failed, ledger_skipped, ledger_rejected
FROM jobs, LATERAL (
    SELECT count(*) FILTER (WHERE job_tasks.status = 'success') AS ledger_succeeded,
        count(*) FILTER (WHERE job_tasks.status = 'failed') AS ledger_failed,
        count(*) FILTER (WHERE job_tasks.status = 'skipped') AS ledger_skipped,
        count(*) FILTER (WHERE job_tasks.rejected) AS ledger_rejected
    FROM job_tasks WHERE job_tasks.job_id = jobs.job_id) AS counted
WHERE jobs.ledger = 'kept'
ORDER BY jobs.created_at, jobs.job_id
";
}

/// Enters the tally's changes into their jobs.
pub(super) async fn settle(
    tx: &mut PgConnection,
    tally: &mut Tally,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let changes = tally.take_changes();
    if changes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changes.iter().map(|(id, _)| id.0).collect();
    let mut accounts = lock(tx, &ids).await?;
    if accounts.len() < ids.len() {
        sqlx::query(ADD).bind(&ids).bind(now).execute(&mut *tx).await?;
        accounts = lock(tx, &ids).await?;
    }
    for (id, change) in changes {
        let before = accounts.get(&id).ok_or_else(|| unreadable(format!("job {id} is gone")))?;
        let after = before.after(&change, now);
        if after != *before {
            update(tx, &after).await?;
            tally.settled(before, &after);
        }
    }
    Ok(())
}

async fn lock(tx: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<JobId, Account>> {
    let rows = sqlx::query(LOCK).bind(ids).fetch_all(tx).await?;
    rows.iter().map(|row| account(row).map(|account| (account.id, account))).collect()
}

async fn update(tx: &mut PgConnection, account: &Account) -> sqlx::Result<()> {
    sqlx::query(UPDATE)
        .bind(account.id.0)
        .bind(account.known)
        .bind(account.kind.as_str())
        .bind(&account.source)
        .bind(account.created_at)
        .bind(account.status.as_str())
        .bind(account.sealed.map(SealOutcome::as_str))
        .bind(account.total)
        .bind(account.processed())
        .bind(account.succeeded)
        .bind(account.failed)
        .bind(account.skipped)
        .bind(account.rejected)
        .bind(account.duplicates)
        .bind(account.started_at)
        .bind(account.finished_at)
        .bind(account.pipeline.as_str())
        .execute(tx)
        .await
        .map(drop)
}

impl PostgresStore {
    pub async fn create_job(&self, job: &NewJob) -> Result<()> {
        sqlx::query(CREATE)
            .bind(job.id.0)
            .bind(job.kind.as_str())
            .bind(without_nul(&job.source))
            .bind(job.created_at)
            .bind(job.pipeline.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    pub async fn fail_job(&self, id: JobId, now: DateTime<Utc>) -> Result<()> {
        sqlx::query(FAIL)
            .bind(id.0)
            .bind(now)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>> {
        sqlx::query(JOB)
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .and_then(|row| row.as_ref().map(job).transpose())
            .map_err(|error| self.failed(error))
    }

    pub async fn job_statuses(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobStatus>> {
        let ids: Vec<Uuid> = jobs.iter().map(|id| id.0).collect();
        sqlx::query(STATUSES)
            .bind(ids)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| {
                rows.iter().map(|row| Ok((JobId(row.try_get("job_id")?), status(row)?))).collect()
            })
            .map_err(|error| self.failed(error))
    }

    pub async fn jobs(
        &self,
        before: Option<(DateTime<Utc>, JobId)>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        let limit = i64::from(limit);
        let query = match before {
            Some((created_at, id)) => sqlx::query(OLDER).bind(limit).bind(created_at).bind(id.0),
            None => sqlx::query(NEWEST).bind(limit),
        };
        query
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(job).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn imbalances(&self) -> Result<Vec<Imbalance>> {
        sqlx::query(COUNTS)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().filter_map(|row| imbalance(row).transpose()).collect())
            .map_err(|error| self.failed(error))
    }
}

fn imbalance(row: &PgRow) -> sqlx::Result<Option<Imbalance>> {
    let account = account(row)?;
    let counted = Moves {
        succeeded: row.try_get("ledger_succeeded")?,
        failed: row.try_get("ledger_failed")?,
        skipped: row.try_get("ledger_skipped")?,
        rejected: row.try_get("ledger_rejected")?,
    };
    let detail = account.contradiction(row.try_get("processed")?, counted);
    Ok(detail.map(|detail| Imbalance { job_id: account.id, detail }))
}

fn job(row: &PgRow) -> sqlx::Result<JobRow> {
    account(row).map(Account::into_row)
}

fn status(row: &PgRow) -> sqlx::Result<JobStatus> {
    let name: &str = row.try_get("status")?;
    JobStatus::parse(name).ok_or_else(|| unreadable(format!("status {name:?} of a job")))
}

fn account(row: &PgRow) -> sqlx::Result<Account> {
    let kind: &str = row.try_get("kind")?;
    let sealed: Option<&str> = row.try_get("sealed")?;
    Ok(Account {
        id: JobId(row.try_get("job_id")?),
        known: row.try_get("known")?,
        kind: kind_named(kind).ok_or_else(|| unreadable(format!("kind {kind:?} of a job")))?,
        pipeline: pipeline(row)?,
        source: row.try_get("source")?,
        created_at: row.try_get("created_at")?,
        status: status(row)?,
        sealed: sealed.and_then(outcome_named),
        total: row.try_get("total")?,
        succeeded: row.try_get("succeeded")?,
        failed: row.try_get("failed")?,
        skipped: row.try_get("skipped")?,
        rejected: row.try_get("rejected")?,
        duplicates: row.try_get("duplicates")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}

/// Of a job or a dead letter.
pub(super) fn pipeline(row: &PgRow) -> sqlx::Result<PipelineName> {
    let name: &str = row.try_get("pipeline")?;
    PipelineName::parse(name).ok_or_else(|| unreadable(format!("pipeline {name:?}")))
}
