//! The watermark of a job: its last batch, and the rule that decides about the next one.
//!
//! Guarantees: [`decide`] is the whole rule, the same as in `redis/scripts/append.lua`.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// First and last row of a batch in one lane.
pub(super) type Rows = Option<(i64, i64)>;

/// The last batch of a job.
pub(super) struct Watermark {
    pub seq: u64,
    pub hash: String,
    pub tasks: Rows,
    pub control: Rows,
    /// The last row of this job in each lane, of any batch.
    pub last_task: Option<i64>,
    pub last_control: Option<i64>,
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
    pub tasks: Vec<String>,
    pub control: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    AppendBatch,
    SentLast,
    SentBefore,
    Conflict,
    Gap { expected: u64 },
}

/// `watermark` is the sequence number and hash of the last batch.
pub(super) fn decide(watermark: Option<(u64, &str)>, batch: &BatchMark) -> Decision {
    let Some((last, hash)) = watermark else {
        return if batch.seq == batch.floor {
            Decision::AppendBatch
        } else {
            Decision::Gap { expected: batch.floor }
        };
    };
    if batch.seq < last {
        Decision::SentBefore
    } else if batch.seq > last + 1 {
        Decision::Gap { expected: last + 1 }
    } else if batch.seq == last {
        if batch.hash == hash { Decision::SentLast } else { Decision::Conflict }
    } else if batch.previous_hash == hash {
        Decision::AppendBatch
    } else {
        Decision::Conflict
    }
}

impl Watermark {
    pub fn find(db: &Connection, topic_id: i64, job_id: &str) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT seq, hash, tasks_first, tasks_last, control_first, control_last, \
                   last_task, last_control FROM watermarks WHERE topic_id = ?1 AND job_id = ?2";
        db.prepare_cached(sql)?
            .query_row(params![topic_id, job_id], |row| {
                let rows = |first: Option<i64>, last: Option<i64>| first.zip(last);
                Ok(Self {
                    seq: row.get::<_, i64>(0)? as u64,
                    hash: row.get(1)?,
                    tasks: rows(row.get(2)?, row.get(3)?),
                    control: rows(row.get(4)?, row.get(5)?),
                    last_task: row.get(6)?,
                    last_control: row.get(7)?,
                })
            })
            .optional()
    }

    pub fn save(&self, tx: &Transaction<'_>, topic_id: i64, job_id: &str) -> rusqlite::Result<()> {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO watermarks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            topic_id,
            job_id,
            self.seq as i64,
            self.hash,
            self.tasks.map(|rows| rows.0),
            self.tasks.map(|rows| rows.1),
            self.control.map(|rows| rows.0),
            self.control.map(|rows| rows.1),
            self.last_task,
            self.last_control,
        ])
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_decides() {
        let batch = |seq, hash: &str, previous_hash: &str, floor| BatchMark {
            seq,
            hash: hash.into(),
            previous_hash: previous_hash.into(),
            floor,
            ..BatchMark::default()
        };
        let last = Some((7, "g"));
        for (watermark, batch, expected) in [
            (None, batch(1, "a", "", 1), Decision::AppendBatch),
            (None, batch(5, "e", "d", 5), Decision::AppendBatch),
            (None, batch(5, "e", "d", 3), Decision::Gap { expected: 3 }),
            (last, batch(8, "h", "g", 1), Decision::AppendBatch),
            (last, batch(8, "h", "x", 1), Decision::Conflict),
            (last, batch(7, "g", "f", 1), Decision::SentLast),
            (last, batch(7, "x", "f", 1), Decision::Conflict),
            (last, batch(6, "f", "e", 1), Decision::SentBefore),
            (last, batch(9, "i", "h", 1), Decision::Gap { expected: 8 }),
        ] {
            assert_eq!(decide(watermark, &batch), expected, "{watermark:?} and {}", batch.seq);
        }
    }
}
