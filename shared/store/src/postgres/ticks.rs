//! Ticks of schedules. The lease is the database's: its clock sets it and its clock ends it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{PostgresStore, unreadable};
use crate::nul::without_nul;
use crate::{Result, Tick, TickClaim, TickEnding};
use isobar_model::ids::JobId;
use isobar_model::schedule::TickOutcome;

sql! {
    /// One of both does something, or none: who loses the row or its place in one of the indexes to
    /// another waits for them and then finds nothing to do.
    CLAIM = r"
WITH taken AS (
    UPDATE schedule_ticks
    SET owner = $3, job_id = $4, lease_until = clock_timestamp() + make_interval(secs => $6)
    WHERE schedule = $1 AND tick = $2 AND done_at IS NULL AND lease_until <= clock_timestamp()
    RETURNING tick
), added AS (
    INSERT INTO schedule_ticks (schedule, tick, owner, job_id, started_at, lease_until)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6))
    ON CONFLICT DO NOTHING
    RETURNING tick
)
SELECT EXISTS (SELECT FROM taken UNION ALL SELECT FROM added)
";
    RENEW = r"
UPDATE schedule_ticks SET lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE schedule = $1 AND tick = $2 AND owner = $3 AND done_at IS NULL
";
    FINISH = r"
UPDATE schedule_ticks SET done_at = $4, outcome = $5, detail = $6
WHERE schedule = $1 AND tick = $2 AND owner = $3 AND done_at IS NULL
";
    NOTE = r"
INSERT INTO schedule_ticks (schedule, tick, owner, started_at, lease_until, done_at, outcome, detail)
VALUES ($1, $2, $3, $4, $4, $4, $5, $6)
ON CONFLICT DO NOTHING
";
    UNFINISHED = r"
SELECT schedule, tick, owner, started_at, done_at, outcome, detail, job_id
FROM schedule_ticks WHERE schedule = $1 AND done_at IS NULL
";
    PAGE = r"
SELECT schedule, tick, owner, started_at, done_at, outcome, detail, job_id
FROM schedule_ticks WHERE schedule = $1 AND tick < $2 ORDER BY tick DESC LIMIT $3
";
}

impl PostgresStore {
    pub async fn claim_tick(&self, claim: &TickClaim) -> Result<bool> {
        sqlx::query_scalar(CLAIM)
            .bind(&claim.schedule)
            .bind(claim.tick)
            .bind(&claim.owner)
            .bind(claim.job_id.map(|id| id.0))
            .bind(claim.started_at)
            .bind(claim.lease.as_secs_f64())
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.failed(error))
    }

    pub async fn renew_tick(&self, claim: &TickClaim, lease: Duration) -> Result<bool> {
        let renewed = sqlx::query(RENEW)
            .bind(&claim.schedule)
            .bind(claim.tick)
            .bind(&claim.owner)
            .bind(lease.as_secs_f64())
            .execute(&self.pool)
            .await;
        renewed.map(|done| done.rows_affected() > 0).map_err(|error| self.failed(error))
    }

    pub async fn finish_tick(&self, claim: &TickClaim, ending: &TickEnding) -> Result<bool> {
        self.end_tick(FINISH, claim, ending).await
    }

    pub async fn note_tick(&self, claim: &TickClaim, ending: &TickEnding) -> Result<bool> {
        self.end_tick(NOTE, claim, ending).await
    }

    async fn end_tick(
        &self,
        sql: &'static str,
        claim: &TickClaim,
        ending: &TickEnding,
    ) -> Result<bool> {
        let ended = sqlx::query(sql)
            .bind(&claim.schedule)
            .bind(claim.tick)
            .bind(&claim.owner)
            .bind(ending.at)
            .bind(ending.outcome.as_str())
            .bind(without_nul(&ending.detail))
            .execute(&self.pool)
            .await;
        ended.map(|done| done.rows_affected() > 0).map_err(|error| self.failed(error))
    }

    pub async fn unfinished_tick(&self, schedule: &str) -> Result<Option<Tick>> {
        sqlx::query(UNFINISHED)
            .bind(schedule)
            .fetch_optional(&self.pool)
            .await
            .and_then(|row| row.as_ref().map(read).transpose())
            .map_err(|error| self.failed(error))
    }

    pub async fn ticks(
        &self,
        schedule: &str,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Tick>> {
        sqlx::query(PAGE)
            .bind(schedule)
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<Tick> {
    let outcome: Option<&str> = row.try_get("outcome")?;
    let named = |name| {
        TickOutcome::parse(name).ok_or_else(|| unreadable(format!("outcome {name:?} of a tick")))
    };
    Ok(Tick {
        schedule: row.try_get("schedule")?,
        tick: row.try_get("tick")?,
        owner: row.try_get("owner")?,
        started_at: row.try_get("started_at")?,
        done_at: row.try_get("done_at")?,
        outcome: outcome.map(named).transpose()?,
        detail: row.try_get("detail")?,
        job_id: row.try_get::<Option<_>, _>("job_id")?.map(JobId),
    })
}
