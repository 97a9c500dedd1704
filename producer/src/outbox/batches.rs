//! Frozen batches: committed with the cursor, read by the relay, sent.
//!
//! Guarantees: a batch never changes after [`Outbox::commit`] (I2); it is only marked as sent or
//! unsent. Batches are confirmed from the lowest upwards without gaps. So the rest can always be sent
//! again from its lowest one, and fits the chain of hashes. Next: [`kept`](super::kept).

use isobar_model::ids::TaskId;
use isobar_model::task::Reject;
use isobar_sqlite::SqliteError;
use rusqlite::{OptionalExtension, named_params};

use super::columns::{JobKey, unsigned};
use super::file::Outbox;
use super::{batch_ids, seen_keys};

/// A new batch, with everything that commits in its transaction (I1).
#[derive(Clone, Debug)]
pub struct FrozenBatch {
    pub job: JobKey,
    pub seq: u64,
    pub previous_hash: String,
    pub hash: String,
    pub payload: String,
    pub n_tasks: u64,
    pub n_control: u64,
    /// The ids of the tasks, which are the keys that the job has seen.
    pub ids: Vec<TaskId>,
    /// Where another process continues the source, as JSON.
    pub cursor: Option<String>,
    /// What the batch adds to the counters of the job.
    pub rows: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Set in the last batch: how the source ended, and why if it failed.
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
    /// The lines for the append: tasks, then control messages.
    pub fn lines(&self) -> (Vec<&str>, Vec<&str>) {
        let mut lines = self.payload.lines();
        let tasks = lines.by_ref().take(self.n_tasks as usize).collect();
        (tasks, lines.collect())
    }
}

impl Outbox {
    /// Writes batch, cursor, seen keys and counters in one transaction (I1). Returns false, and
    /// writes nothing, if the job is not extracting any more.
    pub async fn commit(&self, frozen: FrozenBatch) -> Result<bool, SqliteError> {
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
        self.notify_relays();
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

    /// The numbers of sent batches of a job above `after`, in order.
    pub async fn sent(&self, job: JobKey, after: u64, limit: u32) -> Result<Vec<u64>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT seq FROM batches
                 WHERE job = ?1 AND seq > ?2 AND receipt IS NOT NULL ORDER BY seq LIMIT ?3",
            )?
            .query_map((job, after as i64, limit), |row| unsigned(row, 0))?
            .collect()
        })
        .await
    }

    /// Marks batches as unsent: the stream has lost them.
    pub async fn unmark(&self, job: JobKey, seqs: Vec<u64>) -> Result<(), SqliteError> {
        self.write(move |tx| {
            let mut unmark =
                tx.prepare_cached("UPDATE batches SET receipt = NULL WHERE job = ?1 AND seq = ?2")?;
            seqs.iter().try_for_each(|seq| unmark.execute((job, *seq as i64)).map(drop))
        })
        .await
    }

    /// Unsent batches of all jobs, or of one. A batch with a seal may contain no task.
    pub async fn unsent_batches(&self, job: Option<JobKey>) -> Result<u64, SqliteError> {
        self.unsent("count(*)", job).await
    }

    /// Unsent tasks of all jobs, or of one.
    pub async fn unsent_tasks(&self, job: Option<JobKey>) -> Result<u64, SqliteError> {
        self.unsent("coalesce(sum(n_tasks), 0)", job).await
    }

    async fn unsent(&self, sum: &'static str, job: Option<JobKey>) -> Result<u64, SqliteError> {
        self.flush_marks().await?;
        self.read(move |db| {
            let unsent = format!(
                "SELECT {sum} FROM batches WHERE receipt IS NULL AND (?1 IS NULL OR job = ?1)
                   AND job IN (SELECT key FROM jobs WHERE state IN ('extracting', 'sealed'))"
            );
            db.prepare_cached(&unsent)?.query_row([job], |row| unsigned(row, 0))
        })
        .await
    }

    /// The rejects of a job, of those batches that are still here.
    pub async fn rejects(&self, job: JobKey) -> Result<Vec<Reject>, SqliteError> {
        let (mut rejects, mut after) = (Vec::new(), 0);
        loop {
            let next = self
                .read(move |db| {
                    db.prepare_cached(
                        "SELECT min(seq) FROM batches WHERE job = ?1 AND seq > ?2 AND n_control > 0",
                    )?
                    .query_row((job, after as i64), |row| row.get::<_, Option<i64>>(0))
                })
                .await?;
            let Some(seq) = next else { return Ok(rejects) };
            after = seq as u64;
            if let Some(batch) = self.batch(job, after).await? {
                rejects.extend(batch.lines().1.into_iter().filter_map(batch_ids::reject));
            }
        }
    }
}
