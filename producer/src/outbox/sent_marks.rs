//! Sent marks: which batches were sent, and their receipts.
//!
//! Marks wait in memory and are written with the next transaction. If a mark is lost, its batch is
//! appended once more, and the stream reports it as a duplicate.

use isobar_broker::Receipt;
use rusqlite::Transaction;

use super::columns::JobKey;

#[derive(Clone, Debug)]
pub struct SentMark {
    pub job: JobKey,
    pub seq: u64,
    pub receipt: Receipt,
}

pub fn write(tx: &Transaction<'_>, marks: &[SentMark]) -> rusqlite::Result<()> {
    let mut update =
        tx.prepare_cached("UPDATE batches SET receipt = ?3 WHERE job = ?1 AND seq = ?2")?;
    for mark in marks {
        let receipt = serde_json::to_string(&mark.receipt).expect("a receipt is plain data");
        update.execute((mark.job, mark.seq as i64, receipt))?;
    }
    Ok(())
}
