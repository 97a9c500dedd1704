//! Ledger rows of a commit: new ones inserted, lower tries replaced, both counted (I5).
//!
//! Guarantees: the statement that inserts also counts, so a repeat counts nothing. A row of a lower
//! try is locked and read before it is replaced, so the counters move from its real status.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::query::batch;
use crate::account::CommitTally;
use crate::ledger::{LATE, LedgerRow, REPLACE, RowStatus, where_not_ended};
use crate::row::Row;
use crate::sql::Batch;
use isobar_model::ids::{JobId, TaskId};

sql! {
    INSERT(LedgerRow) = concat!(r#"
WITH inserted AS (
    INSERT INTO job_tasks (job_id, task_id, try, "row", city_id, city, status, error_code,
        last_error, attempts, input, finished_at, rejected, batch, entry)
    SELECT * FROM given
"#, where_not_ended!(), r#"
    ON CONFLICT (job_id, task_id) DO NOTHING
    RETURNING job_id, status, rejected)
SELECT job_id, status, rejected, count(*) AS count FROM inserted GROUP BY job_id, status, rejected
"#);
    LOCK_LOWER_TRIES(LedgerRow) = r"
SELECT stored.job_id, stored.task_id, stored.status, stored.rejected
FROM given JOIN job_tasks AS stored
    ON stored.job_id = given.job_id AND stored.task_id = given.task_id AND stored.try < given.try
ORDER BY stored.job_id, stored.task_id
FOR UPDATE OF stored
";
}

pub(super) async fn insert_ledger_rows(
    tx: &mut PgConnection,
    ledger: &[LedgerRow],
    tally: &mut CommitTally,
) -> sqlx::Result<()> {
    let rows = Batch::sorted(&INSERT, ledger, |row| (row.job_id, row.task_id));
    let Some(insert) = batch(&rows) else { return Ok(()) };
    let mut inserted = 0;
    for row in insert.fetch_all(&mut *tx).await? {
        let count: i64 = row.get("count")?;
        inserted += count;
        tally.count_inserted(row.get("job_id")?, row.get("status")?, row.get("rejected")?, count);
    }
    if inserted < ledger.len() as i64 {
        let tasks: Vec<(JobId, TaskId)> =
            ledger.iter().map(|row| (row.job_id, row.task_id)).collect();
        if let Some(late) = batch(&Batch::new(&LATE, &tasks)) {
            for row in late.fetch_all(&mut *tx).await? {
                tally.count_late(row.get("job_id")?);
            }
        }
    }
    let retries: Vec<&LedgerRow> = ledger.iter().filter(|row| row.try_number > 1).collect();
    replace_lower_tries(tx, retries, tally).await
}

/// By now every task has a row: it was inserted just now, or before.
async fn replace_lower_tries(
    tx: &mut PgConnection,
    mut retries: Vec<&LedgerRow>,
    tally: &mut CommitTally,
) -> sqlx::Result<()> {
    let rows = Batch::new(&LOCK_LOWER_TRIES, retries.iter().copied());
    let Some(lock) = batch(&rows) else { return Ok(()) };
    let mut old: HashMap<(JobId, TaskId), (RowStatus, bool)> = HashMap::new();
    for row in lock.fetch_all(&mut *tx).await? {
        let status = (row.get("status")?, row.get("rejected")?);
        old.insert((row.get("job_id")?, row.get("task_id")?), status);
    }
    retries.retain(|row| old.contains_key(&(row.job_id, row.task_id)));
    if let Some(replace) = batch(&Batch::new(&REPLACE, retries.iter().copied())) {
        replace.execute(tx).await?;
    }
    for row in retries {
        let old = old[&(row.job_id, row.task_id)];
        tally.count_replaced(row.job_id, old, (row.status, row.rejected));
    }
    Ok(())
}
