//! Republications: jobs of a further kind, whose source is the store.
//!
//! They lie among the other jobs, so that the relay sends, confirms and forgets them as it does
//! all. They have no open and no seal, and the store knows nothing of them: each task still belongs
//! to the job that it came from.
//!
//! Next: [`republish`](crate::republish), which fills their batches.

use chrono::Utc;
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_sqlite::SqliteError;
use isobar_store::{DeadFilter, LedgerCursor};
use rusqlite::{OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};

use super::Outbox;
use super::jobs::{JobKey, JobState, id, json, unsigned};

/// What the outbox calls them, where other jobs have how they were started.
pub(super) const KIND: &str = "again";

const COLUMNS: &str =
    "SELECT key, job_id, spec, cursor, state, last_seq, last_hash, confirmed_seq FROM jobs";

/// Which tasks are published again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The failed rows of a job that kept their input.
    Retry { job_id: JobId },
    /// The dead letters of a filter, up to the newest id at the request.
    Replay { filter: DeadFilter, newest: i64 },
}

impl Wanted {
    fn label(&self) -> String {
        match self {
            Self::Retry { job_id } => format!("retry of job {job_id}"),
            Self::Replay { .. } => "replay of dead letters".to_owned(),
        }
    }
}

/// What the job's row says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Spec {
    pipeline: PipelineName,
    wanted: Wanted,
    expected: u64,
}

/// Where a republication goes on, and the dead letters of the page behind it: they are safe in the
/// outbox and may be gone from the store already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    pub after: Place,
    pub letters: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The last row of the ledger.
    Row(LedgerCursor),
    /// The last dead letter; they are read downwards.
    Letter(i64),
}

#[derive(Clone, Debug)]
pub struct NewRepublication {
    pub identity: String,
    pub slot: String,
    /// Whose stream its tasks go to; tasks of another are none of its.
    pub pipeline: PipelineName,
    pub wanted: Wanted,
    /// Tasks there were at the request.
    pub expected: u64,
    /// Republications of this identity up to this one are known to be finished.
    pub finished: JobKey,
}

#[derive(Clone, Debug)]
pub struct Republication {
    pub key: JobKey,
    pub id: JobId,
    pub pipeline: PipelineName,
    pub wanted: Wanted,
    pub expected: u64,
    pub position: Option<Position>,
    pub state: JobState,
    pub last_seq: u64,
    pub last_hash: String,
    pub confirmed_seq: u64,
}

impl Outbox {
    /// Adds the republication, unless one of its identity is under way: then that is the answer.
    pub async fn open_republication(
        &self,
        new: NewRepublication,
    ) -> Result<Republication, SqliteError> {
        self.write(move |tx| {
            let running = tx
                .query_row(
                    &format!(
                        "{COLUMNS} WHERE identity = ?1 AND key > ?2
                           AND state IN ('extracting', 'sealed') ORDER BY key DESC LIMIT 1"
                    ),
                    (&new.identity, new.finished),
                    republication,
                )
                .optional()?;
            if let Some(running) = running {
                return Ok(running);
            }
            let id = JobId::derive(&new.identity, &new.slot).to_string();
            let source = new.wanted.label();
            let pipeline = new.pipeline.stream();
            let spec = Spec { pipeline, wanted: new.wanted, expected: new.expected };
            tx.execute(
                "INSERT INTO jobs (job_id, identity, slot, kind, stream, source, spec, created_at_ms)
                 VALUES (:job_id, :identity, :slot, :kind, :stream, :source, :spec, :created_at_ms)",
                named_params! {
                    ":job_id": id,
                    ":identity": new.identity,
                    ":slot": new.slot,
                    ":kind": KIND,
                    ":stream": pipeline.as_str(),
                    ":source": source,
                    ":spec": serde_json::to_string(&spec).expect("a spec is plain data"),
                    ":created_at_ms": Utc::now().timestamp_millis(),
                },
            )?;
            tx.query_row(&format!("{COLUMNS} WHERE job_id = ?1"), [id], republication)
        })
        .await
    }

    /// The newest of an identity that is neither done nor conflicted.
    pub async fn running_republication(
        &self,
        identity: &str,
    ) -> Result<Option<Republication>, SqliteError> {
        let identity = identity.to_owned();
        self.read(move |db| {
            db.prepare_cached(&format!(
                "{COLUMNS} WHERE identity = ?1 AND state IN ('extracting', 'sealed')
                 ORDER BY key DESC LIMIT 1"
            ))?
            .query_row([identity], republication)
            .optional()
        })
        .await
    }

    /// All whose source is not read to its end, oldest first.
    pub async fn republications(&self) -> Result<Vec<Republication>, SqliteError> {
        self.read(|db| {
            db.prepare_cached(&format!(
                "{COLUMNS} WHERE state = 'extracting' AND kind = ?1 ORDER BY key"
            ))?
            .query_map([KIND], republication)?
            .collect()
        })
        .await
    }

    /// Its source is read to its end: what is left is the relay's.
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
        self.announce();
        Ok(())
    }
}

fn republication(row: &Row<'_>) -> rusqlite::Result<Republication> {
    let spec: Spec = json(2, &row.get::<_, String>(2)?)?;
    let position: Option<String> = row.get(3)?;
    Ok(Republication {
        key: row.get(0)?,
        id: id(row, 1)?,
        pipeline: spec.pipeline,
        wanted: spec.wanted,
        expected: spec.expected,
        position: position.map(|text| json(3, &text)).transpose()?,
        state: JobState::parse(&row.get::<_, String>(4)?),
        last_seq: unsigned(row, 5)?,
        last_hash: row.get(6)?,
        confirmed_seq: unsigned(row, 7)?,
    })
}
