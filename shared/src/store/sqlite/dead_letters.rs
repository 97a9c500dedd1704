//! Dead letters, written in the ledger's transaction.
//!
//! The entry that a letter came from (`source`) is unique: a repeated commit buries nothing twice.
//! The payload is bytes, whatever they are.

use rusqlite::{Row, Transaction, params};

use super::SqliteStore;
use super::text::{Id, Time};
use crate::ids::{CityId, JobId, TaskId};
use crate::store::nul::without_nul;
use crate::store::{DeadLetter, Result};

sql! {
    BURY = r"
INSERT INTO dead_letters (task_id, job_id, city_id, code, reason, payload, deliveries, attempts,
    first_seen, last_seen, source)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (source) DO NOTHING
";
    PAGE = "SELECT * FROM dead_letters WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
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
        ])?;
    }
    Ok(new as u64)
}

impl SqliteStore {
    pub async fn dead_letters(&self, before: Option<i64>, limit: u32) -> Result<Vec<DeadLetter>> {
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(params![before.unwrap_or(i64::MAX), limit], read)?
                .collect()
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let id = |name: &str| row.get::<_, Option<Id>>(name).map(|id| id.map(|id| id.0));
    Ok(DeadLetter {
        id: row.get("id")?,
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
