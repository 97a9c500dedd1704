//! Sent marks: which batches were sent.
//!
//! Marks wait in memory and are written with the next transaction. If a mark is lost, its batch is
//! appended once more, and the stream reports it as a duplicate.

use rusqlite::Transaction;

use super::columns::JobKey;

#[derive(Clone, Debug)]
pub struct SentMark {
    pub job: JobKey,
    pub seq: u64,
}

pub fn write(tx: &Transaction<'_>, marks: &[SentMark]) -> rusqlite::Result<()> {
    let mut update =
        tx.prepare_cached("UPDATE batches SET receipt = 'sent' WHERE job = ?1 AND seq = ?2")?;
    let mut job = tx
        .prepare_cached("UPDATE jobs SET was_published = 1 WHERE key = ?1 AND was_published = 0")?;
    for mark in marks {
        update.execute((mark.job, mark.seq as i64))?;
        job.execute([mark.job])?;
    }
    Ok(())
}
