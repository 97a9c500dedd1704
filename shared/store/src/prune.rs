//! Retention: removes old ledger rows, ticks, searches and operations in small transactions.
//!
//! The newest tick of a schedule stays, because missed ticks count from it. A job is marked first
//! (`ledger = 'going'`), because its counters, which stay, are from then on more than its rows.
//! A prune that was interrupted is completed by the next one.
//!
//! Next: `prune.rs` of each backend, which removes the ledger rows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Result;
use crate::operations::OPERATIONS_KEPT;
use crate::sql::Sql;
use crate::store::Store;

/// Rows that one transaction removes: some milliseconds of work.
pub(crate) const POSTGRES_CHUNK: u32 = 2_000;
/// Fewer, because all other writers wait.
pub(crate) const SQLITE_CHUNK: u32 = 500;

sql! {
    TICKS = r"
DELETE FROM schedule_ticks WHERE (schedule, tick) IN (
    SELECT schedule, tick FROM schedule_ticks AS old
    WHERE done_at < $1 AND EXISTS (
        SELECT 1 FROM schedule_ticks AS newer
        WHERE newer.schedule = old.schedule AND newer.tick > old.tick)
    ORDER BY done_at LIMIT $2)
";
    SEARCHES = r#"
DELETE FROM search_history WHERE id IN (
    SELECT id FROM search_history WHERE "timestamp" < $1 ORDER BY "timestamp" LIMIT $2)
"#;
    OPERATIONS = r"
DELETE FROM operations WHERE id IN (
    SELECT id FROM operations WHERE at < $1 ORDER BY at LIMIT $2)
";
    /// Ends the pruning of a job after its last row.
    PRUNED = "UPDATE jobs SET ledger = 'gone' WHERE job_id = $1";
}

impl Store {
    /// Removes ledger rows of jobs that ended more than `jobs` ago and ticks of that age, searches
    /// older than `searches`, operations older than a year. Returns (ledger rows, searches).
    pub async fn prune(
        &self,
        now: DateTime<Utc>,
        jobs: Duration,
        searches: Duration,
    ) -> Result<(u64, u64)> {
        let work = async {
            let rows = dispatch!(self, backend => backend.prune_ledger(cutoff(now, jobs)).await)?;
            self.remove_old(&TICKS, cutoff(now, jobs)).await?;
            let searches = self.remove_old(&SEARCHES, cutoff(now, searches)).await?;
            self.remove_old(&OPERATIONS, cutoff(now, OPERATIONS_KEPT)).await?;
            Ok((rows, searches))
        };
        self.timed(work).await
    }

    /// Removes the rows that a statement finds before a time, in chunks; returns how many.
    async fn remove_old(&self, sql: &'static Sql, before: DateTime<Utc>) -> Result<u64> {
        let chunk = match self {
            Self::Postgres(_) => POSTGRES_CHUNK,
            Self::Sqlite(_) => SQLITE_CHUNK,
        };
        let mut removed = 0;
        loop {
            let rows = self.run(sql, args![before, chunk]).await?;
            removed += rows;
            if rows == 0 {
                return Ok(removed);
            }
        }
    }
}

fn cutoff(now: DateTime<Utc>, keep: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(keep)
        .ok()
        .and_then(|keep| now.checked_sub_signed(keep))
        .unwrap_or(DateTime::UNIX_EPOCH)
}
