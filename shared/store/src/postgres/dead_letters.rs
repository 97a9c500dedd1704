//! Dead letters, written in the ledger's transaction.
//!
//! The entry that a letter came from (`source`) is unique: a repeated commit buries nothing twice.
//! The payload is bytes, whatever they are.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{PostgresStore, column, jobs};
use crate::nul::without_nul;
use crate::{DeadFilter, DeadGroup, DeadLetter, Result};
use isobar_model::ids::{CityId, JobId, TaskId};

sql! {
    /// Not what another entry has ended: an entry that was sent again is no second letter (I5).
    BURY = r"
INSERT INTO dead_letters (task_id, job_id, city_id, code, reason, payload, deliveries, attempts,
    first_seen, last_seen, source, pipeline)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bytea[],
    $7::integer[], $8::integer[], $9::timestamptz[], $10::timestamptz[], $11::text[],
    $12::text[])
    AS given (task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
        last_seen, source, pipeline)
WHERE NOT EXISTS (
    SELECT 1 FROM job_tasks AS ended
    WHERE ended.job_id = given.job_id AND ended.task_id = given.task_id
        AND right(given.source, length(ended.entry) + 1) <> '/' || ended.entry)
ON CONFLICT (source) DO NOTHING
";
    PAGE = r"
SELECT id, task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source, pipeline
FROM dead_letters WHERE id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3
";
    PAGE_OF_CODE = r"
SELECT id, task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source, pipeline
FROM dead_letters WHERE code = $4 AND id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT $3
";
    PAGE_OF_JOB = r"
SELECT id, task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source, pipeline
FROM dead_letters
WHERE job_id = $4 AND ($5::text IS NULL OR code = $5) AND id BETWEEN $1 AND $2
ORDER BY id DESC LIMIT $3
";
    PAGE_OF_CITY = r"
SELECT id, task_id, job_id, city_id, code, reason, payload, deliveries, attempts, first_seen,
    last_seen, source, pipeline
FROM dead_letters WHERE city_id = $1 ORDER BY id DESC LIMIT $2
";
    GROUPS = r"
SELECT code, count(*) AS letters, max(reason) AS sample, min(first_seen) AS oldest,
    max(last_seen) AS newest
FROM dead_letters WHERE $1::uuid IS NULL OR job_id = $1
GROUP BY code ORDER BY letters DESC, code
";
    COUNT = "SELECT count(*) FROM dead_letters WHERE id BETWEEN $1 AND $2";
    COUNT_OF_CODE = "SELECT count(*) FROM dead_letters WHERE code = $3 AND id BETWEEN $1 AND $2";
    COUNT_OF_JOB = r"
SELECT count(*) FROM dead_letters
WHERE job_id = $3 AND ($4::text IS NULL OR code = $4) AND id BETWEEN $1 AND $2
";
    DELETE = "DELETE FROM dead_letters WHERE id = ANY($1)";
}

/// How many of `dead` were new.
pub(super) async fn bury(tx: &mut PgConnection, dead: &[DeadLetter]) -> sqlx::Result<u64> {
    if dead.is_empty() {
        return Ok(0);
    }
    let mut rows: Vec<&DeadLetter> = dead.iter().collect();
    rows.sort_unstable_by_key(|row| &row.source);
    let done = sqlx::query(BURY)
        .bind(column(&rows, |row| row.task_id.map(|id| id.0)))
        .bind(column(&rows, |row| row.job_id.map(|id| id.0)))
        .bind(column(&rows, |row| row.city_id.map(|id| id.0)))
        .bind(column(&rows, |row| without_nul(&row.code)))
        .bind(column(&rows, |row| without_nul(&row.reason)))
        .bind(column(&rows, |row| row.payload.as_slice()))
        .bind(column(&rows, |row| row.deliveries as i32))
        .bind(column(&rows, |row| row.attempts as i32))
        .bind(column(&rows, |row| row.first_seen))
        .bind(column(&rows, |row| row.last_seen))
        .bind(column(&rows, |row| row.source.as_str()))
        .bind(column(&rows, |row| row.pipeline.as_str()))
        .execute(tx)
        .await?;
    Ok(done.rows_affected())
}

impl PostgresStore {
    pub async fn dead_letters(
        &self,
        filter: &DeadFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        let (lowest, highest) = filter.ids(before);
        let code = filter.code.as_deref().map(without_nul);
        let ranged = |sql| sqlx::query(sql).bind(lowest).bind(highest).bind(i64::from(limit));
        let asked = match (filter.job_id, code) {
            (Some(job), code) => ranged(PAGE_OF_JOB).bind(job.0).bind(code),
            (None, Some(code)) => ranged(PAGE_OF_CODE).bind(code),
            (None, None) => ranged(PAGE),
        };
        asked
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn dead_letters_of_city(&self, id: CityId, limit: u32) -> Result<Vec<DeadLetter>> {
        sqlx::query(PAGE_OF_CITY)
            .bind(id.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn dead_letter_groups(&self, job: Option<JobId>) -> Result<Vec<DeadGroup>> {
        let read = |row: &PgRow| {
            Ok(DeadGroup {
                code: row.try_get("code")?,
                count: row.try_get::<i64, _>("letters")? as u64,
                sample: row.try_get("sample")?,
                oldest: row.try_get("oldest")?,
                newest: row.try_get("newest")?,
            })
        };
        sqlx::query(GROUPS)
            .bind(job.map(|job| job.0))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn count_dead_letters(&self, filter: &DeadFilter) -> Result<u64> {
        let (lowest, highest) = filter.ids(None);
        let code = filter.code.as_deref().map(without_nul);
        let ranged = |sql| sqlx::query(sql).bind(lowest).bind(highest);
        let asked = match (filter.job_id, code) {
            (Some(job), code) => ranged(COUNT_OF_JOB).bind(job.0).bind(code),
            (None, Some(code)) => ranged(COUNT_OF_CODE).bind(code),
            (None, None) => ranged(COUNT),
        };
        asked
            .fetch_one(&self.pool)
            .await
            .and_then(|row| row.try_get::<i64, _>(0))
            .map(|count| count as u64)
            .map_err(|error| self.failed(error))
    }
}

impl PostgresStore {
    pub async fn delete_dead_letters(&self, ids: &[i64]) -> Result<u64> {
        sqlx::query(DELETE)
            .bind(ids)
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.try_get("id")?,
        pipeline: jobs::pipeline(row)?,
        task_id: row.try_get::<Option<_>, _>("task_id")?.map(TaskId),
        job_id: row.try_get::<Option<_>, _>("job_id")?.map(JobId),
        city_id: row.try_get::<Option<_>, _>("city_id")?.map(CityId),
        code: row.try_get("code")?,
        reason: row.try_get("reason")?,
        payload: row.try_get("payload")?,
        deliveries: row.try_get::<i32, _>("deliveries")? as u32,
        attempts: row.try_get::<i32, _>("attempts")? as u32,
        first_seen: row.try_get("first_seen")?,
        last_seen: row.try_get("last_seen")?,
        source: row.try_get("source")?,
    })
}
