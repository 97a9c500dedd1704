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
use crate::store::Store;

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
    /// Ends the pruning of a job: none of its rows is left.
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
        dispatch_timed!(self, backend => async {
            let rows = backend.prune_ledger(cutoff(now, jobs)).await?;
            backend.run_until_none(&TICKS, cutoff(now, jobs)).await?;
            let searches = backend.run_until_none(&SEARCHES, cutoff(now, searches)).await?;
            backend.run_until_none(&OPERATIONS, cutoff(now, OPERATIONS_KEPT)).await?;
            Ok((rows, searches))
        })
    }
}

fn cutoff(now: DateTime<Utc>, keep: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(keep)
        .ok()
        .and_then(|keep| now.checked_sub_signed(keep))
        .unwrap_or(DateTime::UNIX_EPOCH)
}
