//! Kept batches: what the stream has confirmed stays in the outbox for some time.
//!
//! A store can lose commits that it had acknowledged: a failover to an asynchronous replica, a
//! restored backup. Then the kept batches are sent again; the ledger makes repeats harmless.
//!
//! Next: `isobar verify --repair`, which finds out what the store lacks.

use std::time::Duration;

use chrono::Utc;
use isobar_model::ids::JobId;
use isobar_sqlite::SqliteError;
use rusqlite::OptionalExtension;

use super::batch_ids::{BatchIds, ids};
use super::columns::{JobKey, job_id, unsigned};
use super::file::Outbox;
use super::jobs::KIND as REPUBLICATION;

/// The most kept tasks.
const MOST_TASKS: i64 = 1_000_000;
/// Batches that one transaction deletes: they are large.
const DELETED_AT_ONCE: u32 = 50;

/// A job with confirmed batches that are still here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptJob {
    pub key: JobKey,
    pub job_id: JobId,
    /// Whether its tasks belong to other jobs.
    pub is_republication: bool,
    pub is_done: bool,
    /// The lowest batch from which on all are here.
    pub first: u64,
}

impl Outbox {
    /// Every batch up to `seq` is confirmed.
    pub async fn confirm(&self, job: JobKey, seq: u64) -> Result<(), SqliteError> {
        let now_ms = Utc::now().timestamp_millis();
        self.write(move |tx| {
            tx.execute(
                "UPDATE batches SET confirmed_at_ms = ?3
                 WHERE job = ?1 AND seq <= ?2 AND confirmed_at_ms IS NULL",
                (job, seq as i64, now_ms),
            )?;
            tx.execute(
                "UPDATE jobs SET confirmed_seq = max(confirmed_seq, ?2) WHERE key = ?1",
                (job, seq as i64),
            )?;
            Ok(())
        })
        .await
    }

    /// Deletes batches that were confirmed longer than `keep` ago, and the oldest beyond the limit.
    pub async fn delete_expired(&self, keep: Duration) -> Result<(), SqliteError> {
        let before_ms = Utc::now().timestamp_millis() - keep.as_millis() as i64;
        loop {
            let deleted = self
                .write(move |tx| {
                    let expired: Vec<i64> = tx
                        .prepare_cached(
                            "SELECT key FROM
                               (SELECT key, confirmed_at_ms, sum(n_tasks) OVER
                                  (ORDER BY confirmed_at_ms DESC, key DESC) AS tasks
                                FROM batches WHERE confirmed_at_ms IS NOT NULL)
                             WHERE confirmed_at_ms <= ?1 OR tasks > ?2 LIMIT ?3",
                        )?
                        .query_map((before_ms, MOST_TASKS, DELETED_AT_ONCE), |row| row.get(0))?
                        .collect::<rusqlite::Result<_>>()?;
                    for batch in &expired {
                        tx.execute("DELETE FROM payloads WHERE batch = ?1", [batch])?;
                        tx.execute("DELETE FROM batches WHERE key = ?1", [batch])?;
                    }
                    Ok(expired.len() as u32)
                })
                .await?;
            if deleted < DELETED_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// The jobs with kept batches.
    pub async fn kept_jobs(&self) -> Result<Vec<KeptJob>, SqliteError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT key, job_id, kind = ?1, state = 'done',
                   (SELECT max(seq) FROM (SELECT seq, lag(seq) OVER (ORDER BY seq) AS before
                      FROM batches WHERE job = jobs.key) WHERE before IS NULL OR before < seq - 1)
                 FROM jobs WHERE key IN (SELECT job FROM batches WHERE confirmed_at_ms IS NOT NULL)
                 ORDER BY key",
            )?
            .query_map([REPUBLICATION], |row| {
                Ok(KeptJob {
                    key: row.get(0)?,
                    job_id: job_id(row, 1)?,
                    is_republication: row.get(2)?,
                    is_done: row.get(3)?,
                    first: unsigned(row, 4)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// The kept batch of a job after `after`, with its ids.
    pub async fn kept_batch(
        &self,
        job: JobKey,
        after: u64,
    ) -> Result<Option<BatchIds>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT b.job, b.seq, b.receipt IS NOT NULL, b.n_tasks, p.payload
                 FROM batches b JOIN payloads p ON p.batch = b.key
                 WHERE b.job = ?1 AND b.seq > ?2 AND b.confirmed_at_ms IS NOT NULL
                 ORDER BY b.seq LIMIT 1",
            )?
            .query_row((job, after as i64), |row| ids(row).map(|(_, batch)| batch))
            .optional()
        })
        .await
    }

    /// Takes the confirmation of all batches from `seq` on back: the relay sends them again. False
    /// if they are not all here.
    pub async fn send_again(&self, job: JobKey, seq: u64) -> Result<bool, SqliteError> {
        let sends = self
            .write(move |tx| {
                // The job first: if batches are missing, those that are here stay confirmed.
                let updated = tx.execute(
                    "UPDATE jobs SET confirmed_seq = ?2 - 1, finished_at_ms = NULL,
                       state = CASE state WHEN 'done' THEN 'sealed' ELSE state END
                     WHERE key = ?1 AND state IN ('extracting', 'sealed', 'done')
                       AND last_seq - ?2 + 1 =
                         (SELECT count(*) FROM batches WHERE job = ?1 AND seq >= ?2)",
                    (job, seq as i64),
                )?;
                if updated > 0 {
                    tx.execute(
                        "UPDATE batches SET receipt = NULL, confirmed_at_ms = NULL
                         WHERE job = ?1 AND seq >= ?2",
                        (job, seq as i64),
                    )?;
                }
                Ok(updated > 0)
            })
            .await?;
        self.notify_relays();
        Ok(sends)
    }
}

#[cfg(test)]
mod tests {
    use isobar_model::pipeline::PipelineName;
    use isobar_model::task::JobKind;

    use super::*;
    use crate::outbox::{FrozenBatch, NewOutboxJob, OutboxJobState, SentMark};
    use crate::source::{JobSpec, SourceSpec};

    const KEEP: Duration = Duration::from_hours(1);

    /// An outbox whose file is removed with it.
    struct TestOutbox {
        _folder: tempfile::TempDir,
        outbox: Outbox,
        job: JobKey,
    }

    fn id() -> JobId {
        JobId::derive("test", "slot")
    }

    impl TestOutbox {
        /// With a job of `batches`, each of one line that counts as `n_tasks` tasks. They are sent
        /// and the last one has sealed the job.
        async fn with_batches(batches: u64, n_tasks: u64) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let outbox = Outbox::open(&folder.path().join("outbox.db")).expect("opens");
            let spec = JobSpec {
                pipeline: PipelineName::Weather,
                origin: SourceSpec::Gazetteer,
                limit: None,
                force: false,
            };
            let new = NewOutboxJob {
                job_id: id(),
                slot: "slot".to_owned(),
                kind: JobKind::Produce,
                spec,
                created_at: Utc::now(),
            };
            let (job, _) = outbox.open_job(new).await.expect("opens a job");
            let job = job.key;
            for seq in 1..=batches {
                let task_id = id().task(&seq.to_string());
                let frozen = FrozenBatch {
                    job,
                    seq,
                    previous_hash: (seq - 1).to_string(),
                    hash: seq.to_string(),
                    payload: format!("[\"task_id\",\"{task_id}\"]\n"),
                    n_tasks,
                    n_control: 0,
                    ids: vec![],
                    cursor: None,
                    rows: n_tasks,
                    rejected: 0,
                    duplicates: 0,
                    sealed: (seq == batches).then_some(("complete", None)),
                };
                assert!(outbox.commit(frozen).await.expect("commits"));
                outbox.mark_sent(SentMark { job, seq });
            }
            Self { _folder: folder, outbox, job }
        }

        /// With a done job.
        async fn done(batches: u64, n_tasks: u64) -> Self {
            let this = Self::with_batches(batches, n_tasks).await;
            this.outbox.confirm(this.job, batches).await.expect("confirms");
            this.outbox.finish_job(this.job).await.expect("ends the job");
            this
        }

        /// The numbers of the batches that are kept.
        async fn kept(&self) -> Vec<u64> {
            let mut kept = Vec::new();
            loop {
                let after = kept.last().copied().unwrap_or_default();
                match self.outbox.kept_batch(self.job, after).await.expect("reads") {
                    Some(batch) => kept.push(batch.seq),
                    None => return kept,
                }
            }
        }
    }

    #[tokio::test]
    async fn a_confirmed_batch_is_kept_with_its_ids() {
        let test = TestOutbox::with_batches(3, 1).await;
        assert_eq!(test.outbox.kept_jobs().await.expect("reads"), []);
        test.outbox.confirm(test.job, 2).await.expect("confirms");
        assert_eq!(test.kept().await, [1, 2]);
        let batch = test.outbox.kept_batch(test.job, 1).await.expect("reads").expect("a batch");
        assert!(batch.sent);
        assert_eq!(batch.tasks.len(), 1);
        assert_eq!(batch.tasks[0].task_id, id().task("2"));
        let job = test.outbox.job(id()).await.expect("reads").expect("a job");
        assert_eq!(job.confirmed_seq, 2);
    }

    #[tokio::test]
    async fn expired_batches_are_deleted_however_many() {
        // One more than a transaction deletes.
        let batches = u64::from(DELETED_AT_ONCE) + 1;
        let test = TestOutbox::done(batches, 1).await;
        test.outbox.delete_expired(KEEP).await.expect("deletes");
        assert_eq!(test.kept().await.len() as u64, batches, "their time has not come");
        test.outbox.delete_expired(Duration::ZERO).await.expect("deletes");
        assert!(test.kept().await.is_empty());
        assert_eq!(test.outbox.kept_jobs().await.expect("reads"), []);
    }

    #[tokio::test]
    async fn an_unconfirmed_batch_never_expires() {
        let test = TestOutbox::with_batches(2, 1).await;
        test.outbox.confirm(test.job, 1).await.expect("confirms");
        test.outbox.delete_expired(Duration::ZERO).await.expect("deletes");
        assert_eq!(test.outbox.batch(test.job, 1).await.expect("reads"), None);
        assert!(test.outbox.batch(test.job, 2).await.expect("reads").is_some());
    }

    #[tokio::test]
    async fn the_oldest_batches_beyond_the_limit_are_deleted() {
        let test = TestOutbox::done(3, MOST_TASKS as u64 / 2).await;
        test.outbox.delete_expired(KEEP).await.expect("deletes");
        assert_eq!(test.kept().await, [2, 3]);
        let kept = KeptJob {
            key: test.job,
            job_id: id(),
            is_republication: false,
            is_done: true,
            first: 2,
        };
        assert_eq!(test.outbox.kept_jobs().await.expect("reads"), [kept]);
    }

    #[tokio::test]
    async fn kept_batches_can_be_sent_again() {
        let test = TestOutbox::done(3, 1).await;
        assert_eq!(test.outbox.unsent_batches(None).await.expect("reads"), 0);
        assert!(test.outbox.send_again(test.job, 2).await.expect("writes"));
        assert_eq!(test.kept().await, [1]);
        assert_eq!(test.outbox.unsent_batches(None).await.expect("reads"), 2);
        let job = test.outbox.job(id()).await.expect("reads").expect("a job");
        assert_eq!((job.state, job.confirmed_seq), (OutboxJobState::Sealed, 1));
    }

    #[tokio::test]
    async fn a_job_with_deleted_batches_is_not_sent_again() {
        let test = TestOutbox::done(3, MOST_TASKS as u64 / 2).await;
        test.outbox.delete_expired(KEEP).await.expect("deletes");
        assert!(!test.outbox.send_again(test.job, 1).await.expect("writes"));
        let job = test.outbox.job(id()).await.expect("reads").expect("a job");
        assert_eq!((job.state, job.confirmed_seq), (OutboxJobState::Done, 3));
        assert_eq!(test.kept().await, [2, 3], "what is here stays confirmed");
    }
}
