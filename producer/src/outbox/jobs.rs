//! The jobs of an outbox: found by identity and slot, opened, sealed, ended.
//!
//! A job is `extracting` until its seal is frozen, `sealed` until every batch of it is confirmed,
//! then `done`: a small row that makes its slot "already done" for a month. `conflicted` means
//! that the stream holds something else under its numbers; only a person can judge that.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_sqlite::SqliteError;
use rusqlite::{OptionalExtension, Row, named_params};
use serde::Serialize;

use super::Outbox;
use super::republications::KIND;
use crate::source::{Cursor, JobSpec};

/// A job's number in this outbox: small, because every batch and key holds it.
pub type JobKey = i64;

/// A done job's row stays this long: its slot is known to be done.
const DONE_KEPT: Duration = Duration::from_hours(30 * 24);

const COLUMNS: &str = "SELECT key, job_id, identity, slot, kind, source, spec, cursor, state, error, total, tasks, rejected, duplicates, last_seq, last_hash, confirmed_seq, created_at_ms FROM jobs";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Extracting,
    Sealed,
    Done,
    Conflicted,
}

impl JobState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Extracting => "extracting",
            Self::Sealed => "sealed",
            Self::Done => "done",
            Self::Conflicted => "conflicted",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "extracting" => Self::Extracting,
            "sealed" => Self::Sealed,
            "done" => Self::Done,
            _ => Self::Conflicted,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewJob {
    pub job_id: JobId,
    pub slot: String,
    pub kind: JobKind,
    pub spec: JobSpec,
    pub created_at: DateTime<Utc>,
}

/// A job as the outbox knows it.
#[derive(Clone, Debug)]
pub struct Job {
    pub key: JobKey,
    pub job_id: JobId,
    pub slot: String,
    pub kind: JobKind,
    pub source: String,
    pub spec: JobSpec,
    pub cursor: Option<Cursor>,
    pub state: JobState,
    /// Why its source failed, where it did.
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

/// What the relay needs to know of a job that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenJob {
    pub key: JobKey,
    pub job_id: JobId,
    pub sealed: bool,
    pub last_seq: u64,
    pub confirmed_seq: u64,
    /// The lowest batch without a receipt in the file.
    pub first_unsent: u64,
}

impl Outbox {
    /// Adds the job, or finds it if it is there already. The flag says which.
    pub async fn open_job(&self, new: NewJob) -> Result<(Job, bool), SqliteError> {
        self.write(move |tx| {
            let spec = serde_json::to_string(&new.spec).expect("a spec is plain data");
            let added = tx.execute(
                "INSERT INTO jobs (job_id, identity, slot, kind, stream, source, spec, created_at_ms)
                 VALUES (:job_id, :identity, :slot, :kind, :stream, :source, :spec, :created_at_ms)
                 ON CONFLICT (job_id) DO NOTHING",
                named_params! {
                    ":job_id": new.job_id.to_string(),
                    ":identity": new.spec.identity(),
                    ":slot": new.slot,
                    ":kind": new.kind.as_str(),
                    ":stream": new.spec.pipeline.stream().as_str(),
                    ":source": new.spec.label(),
                    ":spec": spec,
                    ":created_at_ms": new.created_at.timestamp_millis(),
                },
            )?;
            let job = tx.query_row(
                &format!("{COLUMNS} WHERE job_id = ?1"),
                [new.job_id.to_string()],
                job,
            )?;
            Ok((job, added > 0))
        })
        .await
    }

    pub async fn job(&self, id: JobId) -> Result<Option<Job>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(&format!("{COLUMNS} WHERE job_id = ?1 AND kind <> ?2"))?
                .query_row([id.to_string().as_str(), KIND], job)
                .optional()
        })
        .await
    }

    /// The sync that was asked for last.
    pub async fn newest_sync(&self) -> Result<Option<Job>, SqliteError> {
        self.read(|db| {
            db.prepare_cached(&format!("{COLUMNS} WHERE kind = 'sync' ORDER BY key DESC LIMIT 1"))?
                .query_row([], job)
                .optional()
        })
        .await
    }

    /// The job that has this slot, whatever its source; the newest if there are several.
    pub async fn job_of_slot(&self, slot: &str) -> Result<Option<Job>, SqliteError> {
        let slot = slot.to_owned();
        self.read(move |db| {
            db.prepare_cached(&format!("{COLUMNS} WHERE slot = ?1 ORDER BY key DESC LIMIT 1"))?
                .query_row([slot], job)
                .optional()
        })
        .await
    }

    /// All jobs whose source is not read to its end, oldest first; republications apart.
    pub async fn extracting(&self) -> Result<Vec<Job>, SqliteError> {
        self.read(|db| {
            db.prepare_cached(&format!(
                "{COLUMNS} WHERE state = 'extracting' AND kind <> ?1 ORDER BY key"
            ))?
            .query_map([KIND], job)?
            .collect()
        })
        .await
    }

    /// What the relay of a stream may have work for: every job that is neither done nor conflicted.
    pub async fn open_jobs(&self, pipeline: PipelineName) -> Result<Vec<OpenJob>, SqliteError> {
        self.read(move |db| {
            db.prepare_cached(
                "SELECT key, job_id, state, last_seq, confirmed_seq,
                   coalesce((SELECT min(seq) FROM batches WHERE job = jobs.key AND receipt IS NULL), last_seq + 1)
                 FROM jobs WHERE state IN ('extracting', 'sealed') AND stream = ?1 ORDER BY key",
            )?
            .query_map([pipeline.stream().as_str()], |row| {
                Ok(OpenJob {
                    key: row.get(0)?,
                    job_id: id(row, 1)?,
                    sealed: row.get::<_, String>(2)? == "sealed",
                    last_seq: unsigned(row, 3)?,
                    confirmed_seq: unsigned(row, 4)?,
                    first_unsent: unsigned(row, 5)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Every batch of it is confirmed: the job is done.
    pub async fn finish_job(&self, key: JobKey) -> Result<(), SqliteError> {
        let now_ms = Utc::now().timestamp_millis();
        self.write(move |tx| {
            tx.execute(
                "UPDATE jobs SET state = 'done', cursor = NULL, finished_at_ms = ?2 WHERE key = ?1 AND state = 'sealed'",
                (key, now_ms),
            )?;
            tx.execute(
                "DELETE FROM jobs WHERE state = 'done' AND finished_at_ms < ?1",
                [now_ms - DONE_KEPT.as_millis() as i64],
            )?;
            Ok(())
        })
        .await
    }

    /// The stream holds something else under this job's numbers.
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

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let cursor: Option<String> = row.get(7)?;
    Ok(Job {
        key: row.get(0)?,
        job_id: id(row, 1)?,
        slot: row.get(3)?,
        kind: match row.get::<_, String>(4)?.as_str() {
            "sync" => JobKind::Sync,
            "import" => JobKind::Import,
            _ => JobKind::Produce,
        },
        source: row.get(5)?,
        spec: json(6, &row.get::<_, String>(6)?)?,
        cursor: cursor.map(|text| json(7, &text)).transpose()?,
        state: JobState::parse(&row.get::<_, String>(8)?),
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

pub(super) fn id(row: &Row<'_>, at: usize) -> rusqlite::Result<JobId> {
    let text: String = row.get(at)?;
    text.parse().map_err(|error| unreadable(at, error))
}

pub(super) fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(|number| number as u64)
}

pub(super) fn json<T: serde::de::DeserializeOwned>(at: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(at, error))
}

pub(super) fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<DateTime<Utc>> {
    Ok(DateTime::from_timestamp_millis(row.get(at)?).unwrap_or_default())
}

fn unreadable(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
}
