//! Seen keys: finds the duplicates of a job in bounded memory, however large the file.
//!
//! Keys are task ids (16 bytes). New keys stay in memory and are written as one blob in the
//! transaction of their batch. Every [`COMPACT_AT`] keys they are sorted into the table `seen`. One
//! by one, random keys would each rewrite a page of the table, which is slow for a large file.

use std::collections::HashSet;

use isobar_model::ids::TaskId;
use isobar_sqlite::SqliteError;
use rusqlite::Transaction;
use uuid::Uuid;

use super::bloom_filter::BloomFilter;
use super::columns::JobKey;
use super::file::Outbox;

/// Keys in memory (about 5 MiB) before they are compacted.
const COMPACT_AT: usize = 131_072;
/// Keys in one transaction: short enough not to delay the marks of the relay.
const COMPACT_CHUNK: usize = 8_192;
const KEY_BYTES: usize = 16;
/// The number of transactions that drop the keys of a sealed job.
const DROP_STEPS: u16 = 16;

/// The keys of one job.
#[derive(Debug)]
pub struct SeenKeys {
    job: JobKey,
    recent: HashSet<TaskId>,
    /// The compacted keys; shows for nearly every new key that it is new, without a query.
    compacted: Option<BloomFilter>,
}

impl SeenKeys {
    /// Loads the keys that an earlier process has committed.
    pub async fn load(outbox: &Outbox, job: JobKey) -> Result<Self, SqliteError> {
        let (recent, compacted) = outbox
            .read(move |db| {
                let mut recent = HashSet::new();
                let mut blobs = db.prepare_cached("SELECT keys FROM seen_lately WHERE job = ?1")?;
                let mut rows = blobs.query([job])?;
                while let Some(row) = rows.next()? {
                    recent.extend(unpack(row.get_ref(0)?.as_blob()?));
                }
                let mut compacted = None;
                let mut keys = db.prepare_cached("SELECT key FROM seen WHERE job = ?1")?;
                let mut rows = keys.query([job])?;
                while let Some(row) = rows.next()? {
                    for id in unpack(row.get_ref(0)?.as_blob()?) {
                        compacted.get_or_insert_with(BloomFilter::new).add(&id);
                    }
                }
                Ok((recent, compacted))
            })
            .await?;
        Ok(Self { job, recent, compacted })
    }

    /// Adds the ids; returns for each whether it is new.
    pub async fn insert_new(
        &mut self,
        outbox: &Outbox,
        ids: &[TaskId],
    ) -> Result<Vec<bool>, SqliteError> {
        let mut first: Vec<bool> = ids.iter().map(|id| self.recent.insert(*id)).collect();
        let Some(filter) = &self.compacted else { return Ok(first) };
        let uncertain: Vec<TaskId> = ids
            .iter()
            .zip(&first)
            .filter_map(|(id, first)| (*first && filter.may_contain(id)).then_some(*id))
            .collect();
        if uncertain.is_empty() {
            return Ok(first);
        }
        let job = self.job;
        let known: HashSet<TaskId> = outbox
            .read(move |db| {
                let mut find =
                    db.prepare_cached("SELECT 1 FROM seen WHERE job = ?1 AND key = ?2")?;
                let mut known = HashSet::new();
                for id in uncertain {
                    if find.exists((job, id.0.as_bytes()))? {
                        known.insert(id);
                    }
                }
                Ok(known)
            })
            .await?;
        for (id, first) in ids.iter().zip(&mut first) {
            if known.contains(id) {
                *first = false;
                self.recent.remove(id);
            }
        }
        Ok(first)
    }

    /// Compacts the new keys once there are enough. Call it between batches: every key in memory
    /// must be committed with its batch, or a crash would leave keys of rows that are read again.
    pub async fn compact(&mut self, outbox: &Outbox) -> Result<(), SqliteError> {
        if self.recent.len() < COMPACT_AT {
            return Ok(());
        }
        let mut keys: Vec<TaskId> = self.recent.drain().collect();
        keys.sort_unstable();
        let filter = self.compacted.get_or_insert_with(BloomFilter::new);
        for id in &keys {
            filter.add(id);
        }
        let job = self.job;
        for chunk in keys.chunks(COMPACT_CHUNK) {
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
        // Last: after a crash before this point every key is in one of the tables, or in both.
        outbox
            .write(move |tx| {
                tx.execute("DELETE FROM seen_lately WHERE job = ?1", [job])?;
                Ok(())
            })
            .await?;
        Ok(())
    }
}

impl Outbox {
    /// Drops the keys of sealed jobs, which have no more rows to compare.
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
            // In steps, so that no transaction is long; keys are distributed evenly.
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

#[cfg(test)]
mod tests {
    use isobar_model::ids::JobId;

    use super::*;

    fn ids(from: usize, to: usize) -> Vec<TaskId> {
        let job = JobId::derive("test", "slot");
        (from..to).map(|n| job.task(&n.to_string())).collect()
    }

    #[tokio::test]
    async fn a_key_is_new_once_in_every_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = Outbox::open(&folder.path().join("outbox.db")).expect("opens");
        let mut seen = SeenKeys::load(&outbox, 1).await.expect("loads");
        let first = seen.insert_new(&outbox, &ids(0, COMPACT_AT)).await.expect("inserts");
        assert!(first.iter().all(|first| *first));
        seen.compact(&outbox).await.expect("compacts");
        assert!(seen.recent.is_empty());
        for mut seen in [seen, SeenKeys::load(&outbox, 1).await.expect("loads")] {
            let some = ids(COMPACT_AT - 10, COMPACT_AT + 10);
            let again = seen.insert_new(&outbox, &some).await.expect("inserts");
            assert_eq!(again.iter().filter(|first| **first).count(), 10);
            let third = seen.insert_new(&outbox, &some).await.expect("inserts");
            assert!(third.iter().all(|first| !first));
        }
        let mut other = SeenKeys::load(&outbox, 2).await.expect("loads");
        assert_eq!(other.insert_new(&outbox, &ids(0, 1)).await.expect("inserts"), [true]);
    }
}
