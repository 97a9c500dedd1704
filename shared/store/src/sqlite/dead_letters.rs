//! Dead letters, written in the ledger's transaction.
//!
//! The entry that a letter came from (`source`) is unique: a repeated commit buries nothing twice.
//! The payload is bytes, whatever they are.

use rusqlite::{Row, Transaction, params};

use super::SqliteStore;
use super::columns::{Id, Time, word};
use crate::nul::without_nul;
use crate::{DeadFilter, DeadGroup, DeadLetter, Result};
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_model::pipeline::PipelineName;

sql! {
    /// Not what another entry has ended: an entry that was sent again is no second letter (I5).
    BURY = r"
INSERT INTO dead_letters (task_id, job_id, city_id, code, reason, payload, deliveries, attempts,
    first_seen, last_seen, source, pipeline)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
WHERE NOT EXISTS (
    SELECT 1 FROM job_tasks AS ended
    WHERE ended.job_id = ?2 AND ended.task_id = ?1
        AND substr(?11, -(length(ended.entry) + 1)) <> '/' || ended.entry)
ON CONFLICT (source) DO NOTHING
";
    PAGE = r"
SELECT * FROM dead_letters WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3
";
    PAGE_OF_CODE = r"
SELECT * FROM dead_letters WHERE code = ?4 AND id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3
";
    PAGE_OF_JOB = r"
SELECT * FROM dead_letters
WHERE job_id = ?4 AND (?5 IS NULL OR code = ?5) AND id BETWEEN ?1 AND ?2
ORDER BY id DESC LIMIT ?3
";
    PAGE_OF_CITY = "SELECT * FROM dead_letters WHERE city_id = ?1 ORDER BY id DESC LIMIT ?2";
    GROUPS = r"
SELECT code, count(*) AS letters, max(reason) AS sample, min(first_seen) AS oldest,
    max(last_seen) AS newest
FROM dead_letters WHERE ?1 IS NULL OR job_id = ?1
GROUP BY code ORDER BY letters DESC, code
";
    COUNT = "SELECT count(*) FROM dead_letters WHERE id BETWEEN ?1 AND ?2";
    COUNT_OF_CODE = "SELECT count(*) FROM dead_letters WHERE code = ?3 AND id BETWEEN ?1 AND ?2";
    COUNT_OF_JOB = r"
SELECT count(*) FROM dead_letters
WHERE job_id = ?3 AND (?4 IS NULL OR code = ?4) AND id BETWEEN ?1 AND ?2
";
    DELETE = "DELETE FROM dead_letters WHERE id = ?1";
}

/// How many of `dead` were new.
pub(super) fn bury(tx: &Transaction<'_>, dead: &[DeadLetter]) -> rusqlite::Result<u64> {
    let mut bury = tx.prepare_cached(BURY)?;
    let mut new = 0;
    for row in dead {
        new += bury.execute(params![
            row.task_id.map(|id| Id(id.0)),
            row.job_id.map(|id| Id(id.0)),
            row.city_id.map(|id| id.0),
            without_nul(&row.code),
            without_nul(&row.reason),
            row.payload,
            row.deliveries,
            row.attempts,
            Time(row.first_seen),
            Time(row.last_seen),
            row.source,
            row.pipeline.as_str(),
        ])?;
    }
    Ok(new as u64)
}

impl SqliteStore {
    pub async fn dead_letters(
        &self,
        filter: &DeadFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        let (lowest, highest) = filter.ids(before);
        let (job, code) = parts(filter);
        self.read(move |db| match (job, code) {
            (Some(job), code) => db
                .prepare_cached(PAGE_OF_JOB)?
                .query_map(params![lowest, highest, limit, job, code], read)?
                .collect(),
            (None, Some(code)) => db
                .prepare_cached(PAGE_OF_CODE)?
                .query_map(params![lowest, highest, limit, code], read)?
                .collect(),
            (None, None) => {
                db.prepare_cached(PAGE)?.query_map(params![lowest, highest, limit], read)?.collect()
            }
        })
        .await
    }

    pub async fn dead_letters_of_city(&self, id: CityId, limit: u32) -> Result<Vec<DeadLetter>> {
        self.read(move |db| {
            db.prepare_cached(PAGE_OF_CITY)?.query_map(params![id.0, limit], read)?.collect()
        })
        .await
    }

    pub async fn dead_letter_groups(&self, job: Option<JobId>) -> Result<Vec<DeadGroup>> {
        let job = job.map(|job| Id(job.0));
        self.read(move |db| {
            db.prepare_cached(GROUPS)?
                .query_map([job], |row| {
                    Ok(DeadGroup {
                        code: row.get("code")?,
                        count: row.get::<_, i64>("letters")? as u64,
                        sample: row.get("sample")?,
                        oldest: row.get::<_, Time>("oldest")?.0,
                        newest: row.get::<_, Time>("newest")?.0,
                    })
                })?
                .collect()
        })
        .await
    }

    pub async fn count_dead_letters(&self, filter: &DeadFilter) -> Result<u64> {
        let (lowest, highest) = filter.ids(None);
        let (job, code) = parts(filter);
        let count = |row: &Row<'_>| row.get::<_, i64>(0).map(|count| count as u64);
        self.read(move |db| match (job, code) {
            (Some(job), code) => db
                .prepare_cached(COUNT_OF_JOB)?
                .query_row(params![lowest, highest, job, code], count),
            (None, Some(code)) => {
                db.prepare_cached(COUNT_OF_CODE)?.query_row(params![lowest, highest, code], count)
            }
            (None, None) => db.prepare_cached(COUNT)?.query_row(params![lowest, highest], count),
        })
        .await
    }
}

impl SqliteStore {
    pub async fn delete_dead_letters(&self, ids: &[i64]) -> Result<u64> {
        let ids = ids.to_vec();
        self.write(move |tx| {
            let mut delete = tx.prepare_cached(DELETE)?;
            let mut gone = 0;
            for id in ids {
                gone += delete.execute([id])? as u64;
            }
            Ok(gone)
        })
        .await
    }
}

/// Job and code, as they are bound.
fn parts(filter: &DeadFilter) -> (Option<Id>, Option<String>) {
    let code = filter.code.as_deref().map(|code| without_nul(code).into_owned());
    (filter.job_id.map(|id| Id(id.0)), code)
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let id = |name: &str| row.get::<_, Option<Id>>(name).map(|id| id.map(|id| id.0));
    Ok(DeadLetter {
        id: row.get("id")?,
        pipeline: word(row, "pipeline", PipelineName::parse)?,
        task_id: id("task_id")?.map(TaskId),
        job_id: id("job_id")?.map(JobId),
        city_id: row.get::<_, Option<i64>>("city_id")?.map(CityId),
        code: row.get("code")?,
        reason: row.get("reason")?,
        payload: row.get("payload")?,
        deliveries: row.get("deliveries")?,
        attempts: row.get("attempts")?,
        first_seen: row.get::<_, Time>("first_seen")?.0,
        last_seen: row.get::<_, Time>("last_seen")?.0,
        source: row.get("source")?,
    })
}
