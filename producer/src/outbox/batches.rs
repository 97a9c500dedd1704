//! Frozen batches: put in with the cursor, read by the relay, marked, pruned.
//!
//! A batch is never changed after [`Outbox::commit`] (I2); only its receipt comes and goes. Batches
//! are pruned from the lowest on, without gaps, so that what is left can always be sent again from
//! the lowest one and fits the chain of hashes.

use isobar_broker::Receipt;
use isobar_model::ids::{JobId, TaskId};
use isobar_model::task::{Control, Fields, TaskHead};
use isobar_sqlite::SqliteError;
use rusqlite::{OptionalExtension, Transaction, named_params};
use serde::Serialize;

use super::Outbox;
use super::jobs::{JobKey, json, unsigned};
use super::seen_keys;

/// A batch on its way into the outbox, with all that commits with it (I1).
#[derive(Clone, Debug)]
pub struct Frozen {
    pub job: JobKey,
    pub seq: u64,
    pub previous_hash: String,
    pub hash: String,
    pub payload: String,
    pub n_tasks: u64,
    pub n_control: u64,
    /// The tasks' ids: the keys that the job has now seen.
    pub ids: Vec<TaskId>,
    /// Where the source goes on, as JSON.
    pub cursor: Option<String>,
    /// What the batch adds to the job's accounts.
    pub rows: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Set with the last batch: how the source ended, and why if it failed.
    pub sealed: Option<(&'static str, Option<String>)>,
}

/// A batch as the relay sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    pub seq: u64,
    pub previous_hash: String,
    pub hash: String,
    pub payload: String,
    pub n_tasks: u64,
    pub n_control: u64,
}

impl StoredBatch {
    /// The lines, ready for the append: tasks, then control messages.
    pub fn lines(&self) -> (Vec<&str>, Vec<&str>) {
        let mut lines = self.payload.lines();
        let tasks = lines.by_ref().take(self.n_tasks as usize).collect();
        (tasks, lines.collect())
    }
}

/// That a batch was sent, and where it went.
#[derive(Clone, Debug)]
pub struct Mark {
    pub job: JobKey,
    pub seq: u64,
    pub receipt: Receipt,
}

/// A batch that has a receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct SentBatch {
    pub seq: u64,
    pub receipt: Receipt,
}

/// What a batch holds, for `verify`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchIds {
    pub seq: u64,
    pub sent: bool,
    /// Tasks and rejects: whatever will have a row in the ledger of its job.
    pub tasks: Vec<Published>,
}

/// A task as a batch holds it. Published again, it is of another job than the batch, or of none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    pub job_id: Option<JobId>,
    pub task_id: TaskId,
    pub try_number: u32,
}

impl Outbox {
    /// Batch, cursor, seen keys and accounts in one transaction (I1). False if the job is not
    /// extracting any more: then nothing was written.
    pub async fn commit(&self, frozen: Frozen) -> Result<bool, SqliteError> {
        let committed = self
            .write(move |tx| {
                let (outcome, error) = match &frozen.sealed {
                    Some((outcome, error)) => (Some(*outcome), error.as_deref()),
                    None => (None, None),
                };
                let updated = tx
                    .prepare_cached(
                        "UPDATE jobs SET cursor = :cursor, total = total + :rows, tasks = tasks + :tasks,
                           rejected = rejected + :rejected, duplicates = duplicates + :duplicates,
                           last_seq = :seq, last_hash = :hash, outcome = :outcome, error = :error,
                           state = CASE WHEN :outcome IS NULL THEN state ELSE 'sealed' END
                         WHERE key = :job AND state = 'extracting' AND last_seq = :seq - 1",
                    )?
                    .execute(named_params! {
                        ":cursor": frozen.cursor,
                        ":rows": frozen.rows as i64,
                        ":tasks": frozen.n_tasks as i64,
                        ":rejected": frozen.rejected as i64,
                        ":duplicates": frozen.duplicates as i64,
                        ":seq": frozen.seq as i64,
                        ":hash": frozen.hash,
                        ":outcome": outcome,
                        ":error": error,
                        ":job": frozen.job,
                    })?;
                if updated == 0 {
                    return Ok(false);
                }
                tx.prepare_cached(
                    "INSERT INTO batches (job, seq, previous_hash, hash, n_tasks, n_control)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute((
                    frozen.job,
                    frozen.seq as i64,
                    &frozen.previous_hash,
                    &frozen.hash,
                    frozen.n_tasks as i64,
                    frozen.n_control as i64,
                ))?;
                tx.prepare_cached("INSERT INTO payloads (batch, payload) VALUES (?1, ?2)")?
                    .execute((tx.last_insert_rowid(), &frozen.payload))?;
                if !frozen.ids.is_empty() {
                    seen_keys::record(tx, frozen.job, frozen.seq, &frozen.ids)?;
                }
                Ok(true)
            })
            .await?;
        self.announce();
        Ok(committed)
    }

    pub async fn batch(&self, job: JobKey, seq: u64) -> Result<Option<StoredBatch>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT seq, previous_hash, hash, payload, n_tasks, n_control
                 FROM batches JOIN payloads ON batch = key WHERE job = ?1 AND seq = ?2",
            )?
            .query_row((job, seq as i64), |row| {
                Ok(StoredBatch {
                    seq: unsigned(row, 0)?,
                    previous_hash: row.get(1)?,
                    hash: row.get(2)?,
                    payload: row.get(3)?,
                    n_tasks: unsigned(row, 4)?,
                    n_control: unsigned(row, 5)?,
                })
            })
            .optional()
        })
        .await
    }

    /// Remembers that a batch was sent; written with the next transaction.
    pub fn remember_sent(&self, mark: Mark) {
        self.marks().push(mark);
    }

    pub fn unwritten_marks(&self) -> usize {
        self.marks().len()
    }

    /// Writes the marks that wait for a transaction.
    pub async fn flush_marks(&self) -> Result<(), SqliteError> {
        if self.unwritten_marks() == 0 {
            return Ok(());
        }
        self.write(|_| Ok(())).await
    }

    /// Sent batches of a job above `after`, in order.
    pub async fn sent(
        &self,
        job: JobKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SentBatch>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT seq, receipt FROM batches
                 WHERE job = ?1 AND seq > ?2 AND receipt IS NOT NULL ORDER BY seq LIMIT ?3",
            )?
            .query_map((job, after as i64, limit), |row| {
                Ok(SentBatch {
                    seq: unsigned(row, 0)?,
                    receipt: json(1, &row.get::<_, String>(1)?)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Takes the receipts back from `seq` on: what they say is not so any more.
    pub async fn unmark_from(&self, job: JobKey, seq: u64) -> Result<(), SqliteError> {
        self.write(move |tx| {
            tx.execute(
                "UPDATE batches SET receipt = NULL WHERE job = ?1 AND seq >= ?2 AND receipt IS NOT NULL",
                (job, seq as i64),
            )?;
            Ok(())
        })
        .await
    }

    /// Deletes confirmed batches: all up to `seq`.
    pub async fn prune(&self, job: JobKey, seq: u64) -> Result<(), SqliteError> {
        self.write(move |tx| {
            tx.execute(
                "DELETE FROM payloads WHERE batch IN
                   (SELECT key FROM batches WHERE job = ?1 AND seq <= ?2)",
                (job, seq as i64),
            )?;
            tx.execute("DELETE FROM batches WHERE job = ?1 AND seq <= ?2", (job, seq as i64))?;
            tx.execute(
                "UPDATE jobs SET confirmed_seq = max(confirmed_seq, ?2) WHERE key = ?1",
                (job, seq as i64),
            )?;
            Ok(())
        })
        .await
    }

    /// Batches of all jobs that are to be sent still: a seal may be one without a task.
    pub async fn unsent_batches(&self, job: Option<JobKey>) -> Result<u64, SqliteError> {
        self.flush_marks().await?;
        self.read(move |db| {
            db.query_row(
                "SELECT count(*) FROM batches WHERE receipt IS NULL AND (?1 IS NULL OR job = ?1)
                   AND job IN (SELECT key FROM jobs WHERE state IN ('extracting', 'sealed'))",
                [job],
                |row| unsigned(row, 0),
            )
        })
        .await
    }

    /// Tasks of all jobs (or of one) that are to be sent still.
    pub async fn unsent_tasks(&self, job: Option<JobKey>) -> Result<u64, SqliteError> {
        self.flush_marks().await?;
        self.read(move |db| {
            db.query_row(
                "SELECT coalesce(sum(n_tasks), 0) FROM batches WHERE receipt IS NULL AND (?1 IS NULL OR job = ?1)
                   AND job IN (SELECT key FROM jobs WHERE state IN ('extracting', 'sealed'))",
                [job],
                |row| unsigned(row, 0),
            )
        })
        .await
    }

    /// The control messages of a job's batches that are still here, for its list of rejects.
    pub async fn control_lines(
        &self,
        job: JobKey,
        after: u64,
    ) -> Result<Option<(u64, Vec<String>)>, SqliteError> {
        let next = self
            .read(move |db| {
                db.prepare_cached(
                    "SELECT min(seq) FROM batches WHERE job = ?1 AND seq > ?2 AND n_control > 0",
                )?
                .query_row((job, after as i64), |row| row.get::<_, Option<i64>>(0))
            })
            .await?;
        let Some(seq) = next else { return Ok(None) };
        let batch = self.batch(job, seq as u64).await?;
        Ok(batch.map(|batch| {
            let lines = batch.lines().1.into_iter().map(str::to_owned).collect();
            (batch.seq, lines)
        }))
    }

    /// The ids of a page of batches, in order; `after` is the last (job number, seq) seen.
    pub async fn batch_ids(
        &self,
        after: (JobKey, u64),
        limit: u32,
    ) -> Result<Vec<((JobKey, u64), BatchIds)>, SqliteError> {
        self.flush_marks().await?;
        self.read(move |db| {
            db.prepare_cached(
                "SELECT b.job, b.seq, b.receipt IS NOT NULL, b.n_tasks, p.payload
                 FROM batches b JOIN payloads p ON p.batch = b.key
                 WHERE (b.job, b.seq) > (?1, ?2) ORDER BY b.job, b.seq LIMIT ?3",
            )?
            .query_map((after.0, after.1 as i64, limit), |row| {
                let n_tasks = unsigned(row, 3)?;
                let payload: String = row.get(4)?;
                let mut tasks = Vec::with_capacity(n_tasks as usize);
                for (at, line) in payload.lines().enumerate() {
                    if at < n_tasks as usize {
                        tasks.push(task(line).ok_or(rusqlite::Error::InvalidQuery)?);
                    } else {
                        tasks.extend(reject(line));
                    }
                }
                let seq = unsigned(row, 1)?;
                Ok(((row.get(0)?, seq), BatchIds { seq, sent: row.get(2)?, tasks }))
            })?
            .collect()
        })
        .await
    }
}

pub(super) fn mark_sent(tx: &Transaction<'_>, marks: &[Mark]) -> rusqlite::Result<()> {
    let mut update =
        tx.prepare_cached("UPDATE batches SET receipt = ?3 WHERE job = ?1 AND seq = ?2")?;
    for mark in marks {
        let receipt = serde_json::to_string(&mark.receipt).expect("a receipt is plain data");
        update.execute((mark.job, mark.seq as i64, receipt))?;
    }
    Ok(())
}

fn task(line: &str) -> Option<Published> {
    let TaskHead { task_id, job_id, try_number, .. } =
        TaskHead::from_fields(&fields(line)?).ok()?;
    Some(Published { job_id, task_id, try_number })
}

/// A reject; opens and seals have no row in the ledger.
fn reject(line: &str) -> Option<Published> {
    match Control::from_fields(&fields(line)?).ok()?? {
        Control::Reject(reject) => {
            Some(Published { job_id: Some(reject.job_id), task_id: reject.task_id, try_number: 1 })
        }
        Control::Open(_) | Control::Seal(_) => None,
    }
}

/// A line is an array of names and values in turn.
fn fields(line: &str) -> Option<Fields> {
    let flat: Vec<String> = serde_json::from_str(line).ok()?;
    let pair = |pair: &[String]| (pair[0].clone().into_bytes(), pair[1].clone().into_bytes());
    Some(Fields(flat.chunks_exact(2).map(pair).collect()))
}
