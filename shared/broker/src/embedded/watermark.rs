//! The watermark of a job, the records of its batches, and the rule that decides about an append.
//!
//! Guarantees: [`decide`] is the whole rule, the same as in `redis/scripts/append.lua`.

use std::cmp::Ordering;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::broker::{lane_number, now_ms};
use crate::append::{BatchRecord, Publisher};
use crate::lane::Lane;

/// The last batch of a job.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    pub seq: u64,
    pub hash: String,
    /// The outbox that publishes the job; empty where no other can have it.
    pub outbox: String,
    pub seen_ms: i64,
    /// The rows of the whole list, once it is published to its end.
    pub total: Option<u64>,
}

/// An [`AppendBatch`](crate::append::AppendBatch) that owns its texts, for the writer's thread.
#[derive(Default)]
pub(super) struct BatchMark {
    pub job_id: String,
    pub seq: u64,
    pub hash: String,
    pub previous_hash: String,
    pub floor: u64,
    pub high_water: u64,
    pub outbox: String,
    pub total: Option<u64>,
    pub tasks: Vec<String>,
    pub control: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// The batch after the watermark.
    Next,
    /// A batch at or below the watermark of which entries were removed.
    Again,
    Duplicate,
    Conflict,
    Gap {
        expected: u64,
    },
}

/// `record` is the hash under which this batch was appended, and what is known of it.
pub(super) fn decide(
    watermark: Option<&Watermark>,
    record: Option<&(String, BatchRecord)>,
    batch: &BatchMark,
) -> Decision {
    let decision = match watermark {
        None if batch.seq == batch.floor => Decision::Next,
        None => return Decision::Gap { expected: batch.floor },
        Some(last) => match batch.seq.cmp(&(last.seq + 1)) {
            Ordering::Greater => return Decision::Gap { expected: last.seq + 1 },
            Ordering::Equal if batch.previous_hash != last.hash => return Decision::Conflict,
            Ordering::Equal => Decision::Next,
            Ordering::Less => Decision::Again,
        },
    };
    if watermark.is_some_and(|last| last.seq == batch.seq && last.hash != batch.hash) {
        return Decision::Conflict;
    }
    match record {
        Some((hash, _)) if *hash != batch.hash => Decision::Conflict,
        Some((_, record)) if !record.is_lost() => Decision::Duplicate,
        _ => decision,
    }
}

impl Watermark {
    pub fn find(db: &Connection, topic_id: i64, job_id: &str) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT seq, hash, outbox, seen_ms, total FROM watermarks \
                   WHERE topic_id = ?1 AND job_id = ?2";
        db.prepare_cached(sql)?
            .query_row(params![topic_id, job_id], |row| {
                Ok(Self {
                    seq: row.get::<_, i64>(0)? as u64,
                    hash: row.get(1)?,
                    outbox: row.get(2)?,
                    seen_ms: row.get(3)?,
                    total: row.get::<_, Option<i64>>(4)?.map(|rows| rows as u64),
                })
            })
            .optional()
    }

    /// The outbox that publishes the job, if another one could have it.
    pub fn publisher(&self) -> Option<Publisher> {
        (!self.outbox.is_empty()).then(|| Publisher {
            outbox: self.outbox.clone(),
            seq: self.seq,
            hash: self.hash.clone(),
            total: self.total,
            silent: Duration::from_millis((now_ms() - self.seen_ms).max(0) as u64),
        })
    }

    pub fn save(&self, tx: &Transaction<'_>, topic_id: i64, job_id: &str) -> rusqlite::Result<()> {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO watermarks (topic_id, job_id, seq, hash, outbox, seen_ms, total) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            topic_id,
            job_id,
            self.seq as i64,
            self.hash,
            self.outbox,
            self.seen_ms,
            self.total.map(|rows| rows as i64)
        ])
        .map(drop)
    }
}

/// The hash under which a batch was appended, and what is known of it.
pub(super) fn record(
    db: &Connection,
    topic_id: i64,
    job_id: &str,
    seq: u64,
) -> rusqlite::Result<Option<(String, BatchRecord)>> {
    let left = "EXISTS (SELECT 1 FROM entries WHERE topic_id = b.topic_id AND lane =";
    let within = "AND id BETWEEN b.first_id AND b.last_id)";
    let sql = format!(
        "SELECT hash, size, acked, {left} ?4 {within} OR {left} ?5 {within} FROM batches AS b \
         WHERE topic_id = ?1 AND job_id = ?2 AND seq = ?3"
    );
    let [tasks, control] = Lane::BOTH.map(lane_number);
    db.prepare_cached(&sql)?
        .query_row(params![topic_id, job_id, seq as i64, tasks, control], |row| {
            let record = BatchRecord {
                size: row.get::<_, i64>(1)? as u64,
                acked: row.get::<_, i64>(2)? as u64,
                is_left: row.get(3)?,
            };
            Ok((row.get(0)?, record))
        })
        .optional()
}

/// Records a batch that was appended, in place of an earlier append of it.
pub(super) fn save_record(
    tx: &Transaction<'_>,
    topic_id: i64,
    batch: &BatchMark,
    first_id: i64,
) -> rusqlite::Result<()> {
    let size = (batch.tasks.len() + batch.control.len()) as i64;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO batches (topic_id, first_id, last_id, job_id, seq, hash, size) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        topic_id,
        first_id,
        first_id + size - 1,
        batch.job_id,
        batch.seq as i64,
        batch.hash,
        size
    ])
    .map(drop)
}

/// Counts acknowledged rows, in ascending order, in the records of their batches.
pub(super) fn count_acked(
    tx: &Transaction<'_>,
    topic_id: i64,
    rows: &[i64],
) -> rusqlite::Result<()> {
    // The batch of a row is the last one that begins at or before it, if it reaches that far.
    let mut find = tx.prepare_cached(
        "SELECT first_id, last_id FROM batches \
         WHERE topic_id = ?1 AND first_id <= ?2 AND size > 0 ORDER BY first_id DESC LIMIT 1",
    )?;
    let mut add = tx.prepare_cached(
        "UPDATE batches SET acked = acked + ?3 WHERE topic_id = ?1 AND first_id = ?2 AND size > 0",
    )?;
    let mut rest = rows;
    while let Some(row) = rest.first() {
        let batch = find
            .query_row(params![topic_id, row], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
            .optional()?
            .filter(|(_, last): &(i64, i64)| last >= row);
        let Some((first, last)) = batch else {
            rest = &rest[1..];
            continue;
        };
        let count = rest.partition_point(|row| *row <= last);
        add.execute(params![topic_id, first, count as i64])?;
        rest = &rest[count..];
    }
    Ok(())
}

pub(super) fn forget_records(
    tx: &Transaction<'_>,
    topic_id: i64,
    job_id: &str,
    first: u64,
    last: u64,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM batches WHERE topic_id = ?1 AND job_id = ?2 AND seq BETWEEN ?3 AND ?4",
    )?
    .execute(params![topic_id, job_id, first as i64, last as i64])
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_and_the_record_decide() {
        let batch = |seq, hash: &str, previous_hash: &str, floor| BatchMark {
            seq,
            hash: hash.into(),
            previous_hash: previous_hash.into(),
            floor,
            ..BatchMark::default()
        };
        let last = Some(Watermark { seq: 7, hash: "g".into(), ..Watermark::default() });
        let record = |hash: &str, acked, is_left| {
            Some((hash.to_owned(), BatchRecord { size: 3, acked, is_left }))
        };
        for (watermark, record, batch, expected) in [
            (&None, None, batch(1, "a", "", 1), Decision::Next),
            (&None, None, batch(5, "e", "d", 5), Decision::Next),
            (&None, None, batch(5, "e", "d", 3), Decision::Gap { expected: 3 }),
            (&last, None, batch(8, "h", "g", 1), Decision::Next),
            (&last, None, batch(8, "h", "x", 1), Decision::Conflict),
            (&last, record("g", 0, true), batch(7, "g", "f", 1), Decision::Duplicate),
            (&last, record("g", 3, false), batch(7, "g", "f", 1), Decision::Duplicate),
            (&last, record("g", 2, false), batch(7, "g", "f", 1), Decision::Again),
            (&last, None, batch(7, "g", "f", 1), Decision::Again),
            (&last, None, batch(7, "x", "f", 1), Decision::Conflict),
            (&last, record("f", 0, true), batch(6, "f", "e", 1), Decision::Duplicate),
            (&last, record("f", 0, true), batch(6, "x", "e", 1), Decision::Conflict),
            (&last, record("f", 0, false), batch(6, "f", "e", 1), Decision::Again),
            (&None, record("e", 0, true), batch(5, "e", "d", 5), Decision::Duplicate),
            (&last, record("h", 0, true), batch(8, "h", "g", 1), Decision::Duplicate),
            (&last, None, batch(9, "i", "h", 1), Decision::Gap { expected: 8 }),
        ] {
            let decision = decide(watermark.as_ref(), record.as_ref(), &batch);
            assert_eq!(decision, expected, "{watermark:?}, {record:?} and {}", batch.seq);
        }
    }
}
