//! Which cities a job has had: duplicates are found in bounded memory, however large the file.
//!
//! Keys are task ids (16 bytes). New ones are kept in memory and written beside their batch as one
//! blob, in the batch's own transaction; every [`FOLD_AT`] of them are sorted into the table
//! `seen` in one sweep. Put in one by one, random keys would touch a page of the table each, and
//! a large file would spend its time on writing the same pages again and again.

use std::collections::HashSet;

use isobar_shared::ids::TaskId;
use isobar_shared::sqlite::SqliteError;
use rusqlite::Transaction;
use uuid::Uuid;

use super::Outbox;
use super::jobs::JobKey;

/// Keys in memory (about 2 MiB) before they are sorted in.
const FOLD_AT: usize = 32_768;
/// Keys a transaction: short enough not to hold the relay's marks up.
const FOLD_CHUNK: usize = 8_192;
const KEY_BYTES: usize = 16;
/// Transactions in which the keys of a sealed job are dropped.
const DROP_STEPS: u16 = 16;

/// The keys of one job.
#[derive(Debug)]
pub struct Seen {
    job: JobKey,
    lately: HashSet<TaskId>,
    /// Whether anything was sorted in; before that there is no need to look.
    folded: bool,
}

impl Seen {
    /// Reads what an earlier process left.
    pub async fn load(outbox: &Outbox, job: JobKey) -> Result<Self, SqliteError> {
        let (lately, folded) = outbox
            .read(move |db| {
                let mut lately = HashSet::new();
                let mut blobs = db.prepare_cached("SELECT keys FROM seen_lately WHERE job = ?1")?;
                let mut rows = blobs.query([job])?;
                while let Some(row) = rows.next()? {
                    lately.extend(unpack(row.get_ref(0)?.as_blob()?));
                }
                let folded = db
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM seen WHERE job = ?1)")?
                    .query_row([job], |row| row.get(0))?;
                Ok((lately, folded))
            })
            .await?;
        Ok(Self { job, lately, folded })
    }

    /// For each id whether the job has it for the first time; remembers it from now on.
    pub async fn first_times(
        &mut self,
        outbox: &Outbox,
        ids: &[TaskId],
    ) -> Result<Vec<bool>, SqliteError> {
        let mut first: Vec<bool> = ids.iter().map(|id| self.lately.insert(*id)).collect();
        if !self.folded {
            return Ok(first);
        }
        let job = self.job;
        let asked: Vec<TaskId> =
            ids.iter().zip(&first).filter_map(|(id, first)| first.then_some(*id)).collect();
        let mut known = outbox
            .read(move |db| {
                let mut find =
                    db.prepare_cached("SELECT 1 FROM seen WHERE job = ?1 AND key = ?2")?;
                asked
                    .iter()
                    .map(|id| find.exists((job, id.0.as_bytes())))
                    .collect::<rusqlite::Result<Vec<bool>>>()
            })
            .await?
            .into_iter();
        for (id, first) in ids.iter().zip(&mut first) {
            if *first && known.next().unwrap_or_default() {
                *first = false;
                self.lately.remove(id);
            }
        }
        Ok(first)
    }

    /// Sorts the new keys in, once there are enough. Call it between batches: every key in memory
    /// must be committed with its batch, or a crash would leave keys of rows that are read again.
    pub async fn fold(&mut self, outbox: &Outbox) -> Result<(), SqliteError> {
        if self.lately.len() < FOLD_AT {
            return Ok(());
        }
        let mut keys: Vec<TaskId> = self.lately.drain().collect();
        keys.sort_unstable();
        let job = self.job;
        for chunk in keys.chunks(FOLD_CHUNK) {
            let chunk = chunk.to_vec();
            outbox
                .write(move |tx| {
                    let mut insert =
                        tx.prepare_cached("INSERT OR IGNORE INTO seen (job, key) VALUES (?1, ?2)")?;
                    for id in &chunk {
                        insert.execute((job, id.0.as_bytes()))?;
                    }
                    Ok(())
                })
                .await?;
        }
        // Only now: until here a crash finds every key in one place or in both.
        outbox
            .write(move |tx| {
                tx.execute("DELETE FROM seen_lately WHERE job = ?1", [job])?;
                Ok(())
            })
            .await?;
        self.folded = true;
        Ok(())
    }
}

impl Outbox {
    /// Drops the keys of jobs that are sealed: nothing more will be compared with them.
    pub async fn drop_seen(&self) -> Result<(), SqliteError> {
        let jobs: Vec<JobKey> = self
            .read(|db| {
                db.prepare_cached(
                    "SELECT key FROM jobs WHERE state <> 'extracting' AND
                       (EXISTS (SELECT 1 FROM seen WHERE job = key) OR EXISTS (SELECT 1 FROM seen_lately WHERE job = key))",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
            })
            .await?;
        for job in jobs {
            // In steps, so that no transaction is long: keys are spread evenly.
            for step in 1..=DROP_STEPS {
                let head = (step * (256 / DROP_STEPS) - 1) as u8;
                let below = [vec![head], vec![0xff; KEY_BYTES]].concat();
                self.write(move |tx| {
                    tx.execute("DELETE FROM seen WHERE job = ?1 AND key <= ?2", (job, below))?;
                    tx.execute("DELETE FROM seen_lately WHERE job = ?1", [job])?;
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }
}

/// Writes the keys of one batch, in the batch's transaction.
pub(super) fn record(
    tx: &Transaction<'_>,
    job: JobKey,
    seq: u64,
    ids: &[TaskId],
) -> rusqlite::Result<()> {
    let packed: Vec<u8> = ids.iter().flat_map(|id| *id.0.as_bytes()).collect();
    tx.prepare_cached("INSERT INTO seen_lately (job, seq, keys) VALUES (?1, ?2, ?3)")?
        .execute((job, seq as i64, packed))?;
    Ok(())
}

fn unpack(blob: &[u8]) -> impl Iterator<Item = TaskId> {
    blob.as_chunks::<KEY_BYTES>().0.iter().map(|bytes| TaskId(Uuid::from_bytes(*bytes)))
}
