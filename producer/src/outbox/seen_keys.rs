//! Which cities a job has had: duplicates are found in bounded memory, however large the file.
//!
//! Keys are task ids (16 bytes). New ones are kept in memory and written beside their batch as one
//! blob, in the batch's own transaction; every [`FOLD_AT`] of them are sorted into the table
//! `seen` in one sweep. Put in one by one, random keys would touch a page of the table each, and
//! a large file would spend its time on writing the same pages again and again.

use std::collections::HashSet;

use isobar_model::ids::TaskId;
use isobar_sqlite::SqliteError;
use rusqlite::Transaction;
use uuid::Uuid;

use super::Outbox;
use super::jobs::JobKey;

/// Keys in memory (about 5 MiB) before they are sorted in.
const FOLD_AT: usize = 131_072;
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
    /// What was sorted in, roughly: nearly every new key is known to be new without looking.
    folded: Option<Filter>,
}

/// A Bloom filter of fixed size: "no" is certain, "yes" is to be looked up. With a million keys
/// one new key in 5,000 is looked up, with ten million one in four.
#[derive(Debug)]
struct Filter {
    bits: Vec<u64>,
}

impl Filter {
    const BITS: usize = 1 << 25;

    fn new() -> Self {
        Self { bits: vec![0; Self::BITS / 64] }
    }

    fn add(&mut self, id: &TaskId) {
        for at in places(id) {
            self.bits[at / 64] |= 1 << (at % 64);
        }
    }

    fn may_hold(&self, id: &TaskId) -> bool {
        places(id).all(|at| self.bits[at / 64] & (1 << (at % 64)) != 0)
    }
}

/// Ids are hashes already: their four quarters are as good as four hash functions.
fn places(id: &TaskId) -> impl Iterator<Item = usize> {
    let quarters = id.0.as_bytes().as_chunks::<4>().0;
    quarters.iter().map(|quarter| u32::from_le_bytes(*quarter) as usize % Filter::BITS)
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
                let mut folded = None;
                let mut keys = db.prepare_cached("SELECT key FROM seen WHERE job = ?1")?;
                let mut rows = keys.query([job])?;
                while let Some(row) = rows.next()? {
                    for id in unpack(row.get_ref(0)?.as_blob()?) {
                        folded.get_or_insert_with(Filter::new).add(&id);
                    }
                }
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
        let Some(filter) = &self.folded else { return Ok(first) };
        let asked: Vec<TaskId> = ids
            .iter()
            .zip(&first)
            .filter_map(|(id, first)| (*first && filter.may_hold(id)).then_some(*id))
            .collect();
        if asked.is_empty() {
            return Ok(first);
        }
        let job = self.job;
        let known: HashSet<TaskId> = outbox
            .read(move |db| {
                let mut find =
                    db.prepare_cached("SELECT 1 FROM seen WHERE job = ?1 AND key = ?2")?;
                let mut known = HashSet::new();
                for id in asked {
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
        let filter = self.folded.get_or_insert_with(Filter::new);
        for id in &keys {
            filter.add(id);
        }
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

#[cfg(test)]
mod tests {
    use isobar_model::ids::JobId;

    use super::*;

    fn ids(from: usize, to: usize) -> Vec<TaskId> {
        let job = JobId::derive("test", "slot");
        (from..to).map(|n| job.task(&n.to_string())).collect()
    }

    #[test]
    fn the_filter_never_denies_what_it_holds_and_seldom_holds_what_it_should_not() {
        let mut filter = Filter::new();
        for id in &ids(0, 50_000) {
            filter.add(id);
        }
        assert!(ids(0, 50_000).iter().all(|id| filter.may_hold(id)));
        let wrong = ids(50_000, 100_000).iter().filter(|id| filter.may_hold(id)).count();
        assert!(wrong < 20, "{wrong}");
    }

    #[tokio::test]
    async fn a_key_is_new_once_however_many_there_are_and_whoever_asks() {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = Outbox::open(&folder.path().join("outbox.db")).expect("opens");
        let mut seen = Seen::load(&outbox, 1).await.expect("loads");
        let first = seen.first_times(&outbox, &ids(0, FOLD_AT)).await.expect("asks");
        assert!(first.iter().all(|first| *first));
        seen.fold(&outbox).await.expect("folds");
        assert!(seen.lately.is_empty());
        for mut seen in [seen, Seen::load(&outbox, 1).await.expect("loads")] {
            let some = ids(FOLD_AT - 10, FOLD_AT + 10);
            let again = seen.first_times(&outbox, &some).await.expect("asks");
            assert_eq!(again.iter().filter(|first| **first).count(), 10);
            let third = seen.first_times(&outbox, &some).await.expect("asks");
            assert!(third.iter().all(|first| !first));
        }
        let mut other = Seen::load(&outbox, 2).await.expect("loads");
        assert_eq!(other.first_times(&outbox, &ids(0, 1)).await.expect("asks"), [true]);
    }
}
