//! The jobs of an outbox: opened, found by identity and slot, ended.
//!
//! A job is `extracting` until its seal is frozen, `sealed` until all its batches are confirmed,
//! then `done`: for a month its row marks the slot as already done. `superseded` means the same, but
//! another outbox has published another list for the slot. `conflicted` means that the stream holds
//! other content under its numbers, which needs a person.
//!
//! A republication is a job without open and seal, of which the store knows nothing: each of its
//! tasks still belongs to the job that it came from. The relay treats it like any job.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_sqlite::SqliteError;
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, named_params};
use serde::Serialize;

use super::columns::{JobKey, job_id, json, time, unsigned};
use super::file::Outbox;
use crate::source::{JobSpec, SourceCursor};

/// The stored kind of republications; other jobs store how they were started.
pub(super) const KIND: &str = "again";
/// The row of a done job is kept for this long.
const DONE_KEPT: Duration = Duration::from_hours(30 * 24);

const COLUMNS: &str = "SELECT key, job_id, identity, slot, kind, source, spec, cursor, state, error, total, tasks, rejected, duplicates, last_seq, last_hash, confirmed_seq, created_at_ms FROM jobs";

const RUNNING: &str = "identity = ?1 AND key > ?2 AND state IN ('extracting', 'sealed')";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxJobState {
    Extracting,
    Sealed,
    Done,
    Superseded,
    Conflicted,
}

impl OutboxJobState {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "extracting" => Self::Extracting,
            "sealed" => Self::Sealed,
            "done" => Self::Done,
            "superseded" => Self::Superseded,
            _ => Self::Conflicted,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewOutboxJob {
    pub job_id: JobId,
    pub slot: String,
    /// Not stored for a republication.
    pub kind: JobKind,
    pub spec: JobSpec,
    pub created_at: DateTime<Utc>,
}

/// A job as the outbox stores it.
#[derive(Clone, Debug)]
pub struct OutboxJob {
    pub key: JobKey,
    pub job_id: JobId,
    pub slot: String,
    pub kind: JobKind,
    pub source: String,
    pub spec: JobSpec,
    pub cursor: Option<SourceCursor>,
    pub state: OutboxJobState,
    /// Why its source failed, if it did.
    pub error: Option<String>,
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub last_seq: u64,
    pub last_hash: String,
    pub confirmed_seq: u64,
    pub created_at: DateTime<Utc>,
}

/// What the relay needs of a job that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJob {
    pub key: JobKey,
    pub job_id: JobId,
    pub sealed: bool,
    /// The rows of the list so far.
    pub rows: u64,
    pub last_seq: u64,
    pub confirmed_seq: u64,
    /// Whether no other outbox can have it.
    pub is_republication: bool,
    /// Whether a batch of it was ever in the stream.
    pub was_published: bool,
    /// The lowest batch that is not marked as sent.
    pub first_unsent: u64,
}

impl Outbox {
    /// Adds the job unless it exists. The flag is true if it is new.
    pub async fn open_job(&self, new: NewOutboxJob) -> Result<(OutboxJob, bool), SqliteError> {
        self.write(move |tx| insert(tx, &new)).await
    }

    /// Adds the republication, unless one of its identity with a key above `finished` is running:
    /// then that one is returned.
    pub async fn open_republication(
        &self,
        new: NewOutboxJob,
        finished: JobKey,
    ) -> Result<OutboxJob, SqliteError> {
        self.write(move |tx| match find(tx, RUNNING, (new.spec.identity(), finished))? {
            Some(running) => Ok(running),
            None => insert(tx, &new).map(|(job, _)| job),
        })
        .await
    }

    /// The newest job of an identity that is neither done nor conflicted.
    pub async fn running_job(&self, identity: String) -> Result<Option<OutboxJob>, SqliteError> {
        self.read(|db| find(db, RUNNING, (identity, 0))).await
    }

    /// A job by its id; a republication is not found.
    pub async fn job(&self, id: JobId) -> Result<Option<OutboxJob>, SqliteError> {
        self.read(move |db| find(db, "job_id = ?1 AND kind <> ?2", (id.to_string(), KIND))).await
    }

    /// The sync that was requested last.
    pub async fn newest_sync(&self) -> Result<Option<OutboxJob>, SqliteError> {
        self.read(|db| find(db, "kind = 'sync'", ())).await
    }

    /// The newest job with this slot, whatever its source.
    pub async fn job_of_slot(&self, slot: String) -> Result<Option<OutboxJob>, SqliteError> {
        self.read(|db| find(db, "slot = ?1", [slot])).await
    }

    /// All jobs whose source is not read to its end, oldest first; republications too.
    pub async fn extracting(&self) -> Result<Vec<OutboxJob>, SqliteError> {
        self.read(|db| {
            db.prepare_cached(&format!("{COLUMNS} WHERE state = 'extracting' ORDER BY key"))?
                .query_map([], job)?
                .collect()
        })
        .await
    }

    /// The jobs of a stream that are neither done nor conflicted, for its relay.
    pub async fn open_jobs(&self, pipeline: PipelineName) -> Result<Vec<OpenJob>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT key, job_id, state, total, last_seq, confirmed_seq, kind, was_published,
                   coalesce((SELECT min(seq) FROM batches WHERE job = jobs.key AND receipt IS NULL), last_seq + 1)
                 FROM jobs WHERE state IN ('extracting', 'sealed') AND stream = ?1 ORDER BY key",
            )?
            .query_map([pipeline.stream().as_str()], |row| {
                Ok(OpenJob {
                    key: row.get(0)?,
                    job_id: job_id(row, 1)?,
                    sealed: row.get::<_, String>(2)? == "sealed",
                    rows: unsigned(row, 3)?,
                    last_seq: unsigned(row, 4)?,
                    confirmed_seq: unsigned(row, 5)?,
                    is_republication: row.get::<_, String>(6)? == KIND,
                    was_published: row.get(7)?,
                    first_unsent: unsigned(row, 8)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Ends the extraction of a republication; the relay does the rest.
    pub async fn end_republication(&self, key: JobKey) -> Result<(), SqliteError> {
        self.write(move |tx| {
            tx.execute(
                "UPDATE jobs SET state = 'sealed', cursor = NULL
                 WHERE key = ?1 AND state = 'extracting'",
                [key],
            )?;
            Ok(())
        })
        .await?;
        self.notify_relays();
        Ok(())
    }

    /// Marks the job as done: every batch of it is confirmed.
    pub async fn finish_job(&self, key: JobKey) -> Result<(), SqliteError> {
        let now_ms = Utc::now().timestamp_millis();
        self.write(move |tx| {
            tx.execute(
                "UPDATE jobs SET state = 'done', cursor = NULL, finished_at_ms = ?2 WHERE key = ?1 AND state = 'sealed'",
                (key, now_ms),
            )?;
            tx.execute(
                "DELETE FROM jobs WHERE state IN ('done', 'superseded') AND finished_at_ms < ?1",
                [now_ms - DONE_KEPT.as_millis() as i64],
            )?;
            Ok(())
        })
        .await
    }

    /// Ends a job whose slot another outbox publishes, and drops its batches. With a reason the lists
    /// differ, and it is superseded.
    pub async fn leave_to_other(
        &self,
        key: JobKey,
        why: Option<String>,
    ) -> Result<(), SqliteError> {
        let now_ms = Utc::now().timestamp_millis();
        self.write(move |tx| {
            drop_batches(tx, key)?;
            tx.execute(
                "UPDATE jobs SET state = CASE WHEN ?2 IS NULL THEN 'done' ELSE 'superseded' END,
                   error = ?2, outcome = 'other_outbox', cursor = NULL, confirmed_seq = last_seq, finished_at_ms = ?3
                 WHERE key = ?1",
                (key, why, now_ms),
            )?;
            Ok(())
        })
        .await
    }

    /// Ends the jobs in conflict whose source a later job has read again to its end, and drops their
    /// batches. Returns them.
    pub async fn end_settled_conflicts(&self) -> Result<Vec<JobId>, SqliteError> {
        let now_ms = Utc::now().timestamp_millis();
        self.write(move |tx| {
            let settled: Vec<(JobKey, JobId)> = tx
                .prepare_cached(
                    "SELECT key, job_id FROM jobs WHERE state = 'conflicted' AND EXISTS
                       (SELECT 1 FROM jobs AS later
                        WHERE later.identity = jobs.identity AND later.key > jobs.key
                          AND later.state IN ('sealed', 'done') AND later.outcome = 'complete')",
                )?
                .query_map([], |row| Ok((row.get(0)?, job_id(row, 1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (key, _) in &settled {
                drop_batches(tx, *key)?;
                tx.execute(
                    "UPDATE jobs SET state = 'superseded', cursor = NULL, confirmed_seq = last_seq,
                       finished_at_ms = ?2 WHERE key = ?1",
                    (key, now_ms),
                )?;
            }
            Ok(settled.into_iter().map(|(_, job_id)| job_id).collect())
        })
        .await
    }

    /// The stream holds other content under the numbers of this job.
    pub async fn mark_conflicted(&self, key: JobKey, why: &str) -> Result<(), SqliteError> {
        let why = why.to_owned();
        self.write(move |tx| {
            tx.execute(
                "UPDATE jobs SET state = 'conflicted', error = ?2 WHERE key = ?1",
                (key, why),
            )?;
            Ok(())
        })
        .await
    }
}

fn drop_batches(tx: &Transaction<'_>, job: JobKey) -> rusqlite::Result<()> {
    let payloads = "DELETE FROM payloads WHERE batch IN (SELECT key FROM batches WHERE job = ?1)";
    tx.execute(payloads, [job])?;
    tx.execute("DELETE FROM batches WHERE job = ?1", [job]).map(drop)
}

/// The newest job that meets the condition.
fn find(
    db: &Connection,
    condition: &str,
    params: impl Params,
) -> rusqlite::Result<Option<OutboxJob>> {
    db.prepare_cached(&format!("{COLUMNS} WHERE {condition} ORDER BY key DESC LIMIT 1"))?
        .query_row(params, job)
        .optional()
}

fn insert(tx: &Transaction<'_>, new: &NewOutboxJob) -> rusqlite::Result<(OutboxJob, bool)> {
    let kind = if new.spec.is_republication() { KIND } else { new.kind.as_str() };
    let added = tx.execute(
        "INSERT INTO jobs (job_id, identity, slot, kind, stream, source, spec, created_at_ms)
         VALUES (:job_id, :identity, :slot, :kind, :stream, :source, :spec, :created_at_ms)
         ON CONFLICT (job_id) DO NOTHING",
        named_params! {
            ":job_id": new.job_id.to_string(),
            ":identity": new.spec.identity(),
            ":slot": new.slot,
            ":kind": kind,
            ":stream": new.spec.pipeline.stream().as_str(),
            ":source": new.spec.label(),
            ":spec": serde_json::to_string(&new.spec).expect("a spec is plain data"),
            ":created_at_ms": new.created_at.timestamp_millis(),
        },
    )?;
    let job = find(tx, "job_id = ?1", [new.job_id.to_string()])?;
    Ok((job.ok_or(rusqlite::Error::QueryReturnedNoRows)?, added > 0))
}

fn job(row: &Row<'_>) -> rusqlite::Result<OutboxJob> {
    let has_cursor = row.get::<_, Option<String>>(7)?.is_some();
    Ok(OutboxJob {
        key: row.get(0)?,
        job_id: job_id(row, 1)?,
        slot: row.get(3)?,
        kind: match row.get::<_, String>(4)?.as_str() {
            "sync" => JobKind::Sync,
            "import" => JobKind::Import,
            _ => JobKind::Produce,
        },
        source: row.get(5)?,
        spec: json(row, 6)?,
        cursor: has_cursor.then(|| json(row, 7)).transpose()?,
        state: OutboxJobState::parse(&row.get::<_, String>(8)?),
        error: row.get(9)?,
        rows: unsigned(row, 10)?,
        tasks: unsigned(row, 11)?,
        rejected: unsigned(row, 12)?,
        duplicates: unsigned(row, 13)?,
        last_seq: unsigned(row, 14)?,
        last_hash: row.get(15)?,
        confirmed_seq: unsigned(row, 16)?,
        created_at: time(row, 17)?,
    })
}
