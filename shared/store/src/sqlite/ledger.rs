//! Ledger rows of a commit: new ones inserted, lower tries replaced, both counted (I5).

use rusqlite::Transaction;

use super::query::{one, run, write_row};
use crate::account::CommitTally;
use crate::ledger::{LATE, LedgerRow, REPLACE, RowStatus, where_not_ended};
use crate::row::{FromRow, Row};
use crate::sql::Batch;

sql! {
    INSERT(LedgerRow) = concat!(r#"
INSERT INTO job_tasks (job_id, task_id, try, "row", city_id, city, status, error_code, last_error,
    attempts, input, finished_at, rejected, batch, entry)
SELECT * FROM given
"#, where_not_ended!(), r#"
ON CONFLICT (job_id, task_id) DO NOTHING
"#);
    LOWER_TRY = r"
SELECT status, rejected FROM job_tasks WHERE job_id = $1 AND task_id = $2 AND try < $3
";
}

impl FromRow for (RowStatus, bool) {
    fn from_row<R: Row>(row: &R) -> Result<Self, R::Error> {
        Ok((row.get("status")?, row.get("rejected")?))
    }
}

pub(super) fn insert_ledger_rows(
    tx: &Transaction<'_>,
    ledger: &[LedgerRow],
    tally: &mut CommitTally,
) -> rusqlite::Result<()> {
    let mut rows: Vec<&LedgerRow> = ledger.iter().collect();
    rows.sort_unstable_by_key(|row| (row.job_id, row.task_id));
    let batch = Batch::new(&INSERT, rows.iter().copied());
    for (row, values) in rows.into_iter().zip(&batch.rows) {
        if write_row(tx, &INSERT, values)? == 1 {
            tally.count_inserted(row.job_id, row.status, row.rejected, 1);
        } else if let Some(job) = one(tx, &LATE, &args![row.job_id, row.task_id])? {
            tally.count_late(job);
        } else if row.try_number > 1 {
            let key = args![row.job_id, row.task_id, row.try_number];
            if let Some(old) = one(tx, &LOWER_TRY, &key)? {
                run(tx, &REPLACE, values)?;
                tally.count_replaced(row.job_id, old, (row.status, row.rejected));
            }
        }
    }
    Ok(())
}
