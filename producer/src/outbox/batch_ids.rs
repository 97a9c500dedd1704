//! Batch ids: which tasks and rejects the batches of an outbox contain.
//!
//! Next: `isobar verify`, which compares them with the stream and the ledger.

use isobar_model::ids::{JobId, TaskId};
use isobar_model::task::{ControlMessage, Fields, Reject, TaskHeader};
use isobar_sqlite::SqliteError;
use rusqlite::Row;
use serde::Serialize;

use super::columns::{JobKey, unsigned};
use super::file::Outbox;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchIds {
    pub seq: u64,
    pub sent: bool,
    /// Tasks and rejects: everything that will have a row in the ledger of its job.
    pub tasks: Vec<BatchTask>,
}

/// A task of a batch. A republished task belongs to another job than the batch, or to none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BatchTask {
    pub job_id: Option<JobId>,
    pub task_id: TaskId,
    pub try_number: u32,
}

impl From<Reject> for BatchTask {
    fn from(reject: Reject) -> Self {
        Self { job_id: Some(reject.job_id), task_id: reject.task_id, try_number: 1 }
    }
}

impl Outbox {
    /// The ids of a page of batches that are not confirmed, in order; `after` is the last (job number, seq) of the page
    /// before.
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
                 WHERE (b.job, b.seq) > (?1, ?2) AND b.confirmed_at_ms IS NULL ORDER BY b.job, b.seq LIMIT ?3",
            )?
            .query_map((after.0, after.1 as i64, limit), ids)?
            .collect()
        })
        .await
    }
}

/// Job, seq, whether it is sent, number of tasks, payload.
pub(super) fn ids(row: &Row<'_>) -> rusqlite::Result<((JobKey, u64), BatchIds)> {
    let n_tasks = unsigned(row, 3)?;
    let payload: String = row.get(4)?;
    let mut tasks = Vec::with_capacity(n_tasks as usize);
    for (at, line) in payload.lines().enumerate() {
        if at < n_tasks as usize {
            tasks.push(task(line).ok_or(rusqlite::Error::InvalidQuery)?);
        } else {
            // Opens and seals have no row in the ledger.
            tasks.extend(reject(line).map(BatchTask::from));
        }
    }
    let seq = unsigned(row, 1)?;
    Ok(((row.get(0)?, seq), BatchIds { seq, sent: row.get(2)?, tasks }))
}

fn task(line: &str) -> Option<BatchTask> {
    let TaskHeader { task_id, job_id, try_number, .. } =
        TaskHeader::from_fields(&fields(line)?).ok()?;
    Some(BatchTask { job_id, task_id, try_number })
}

/// Whether a line of a control message is a reject.
pub fn is_reject(line: &str) -> bool {
    reject(line).is_some()
}

/// The reject in a line of a control message.
pub fn reject(line: &str) -> Option<Reject> {
    match ControlMessage::from_fields(&fields(line)?).ok()?? {
        ControlMessage::Reject(reject) => Some(reject),
        ControlMessage::Open(_) | ControlMessage::Seal(_) => None,
    }
}

/// A line is an array in which names and values alternate.
fn fields(line: &str) -> Option<Fields> {
    let flat: Vec<String> = serde_json::from_str(line).ok()?;
    let pair = |pair: &[String]| (pair[0].clone().into_bytes(), pair[1].clone().into_bytes());
    Some(Fields(flat.chunks_exact(2).map(pair).collect()))
}
