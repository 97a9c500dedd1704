//! Failed rows and dead letters of the store as a source: a retry or a replay.
//!
//! Guarantees: a dead letter is deleted only after the batch with its task is committed, so a kill
//! anywhere loses nothing; until then the cursor names it, so a kill anywhere repeats nothing. If
//! the task fails again, it becomes a new letter. The ledger accepts only a higher try (I5), so the
//! counters of the job stay right however often a task is published.
//!
//! Does not: republish control messages, bytes that are not text, and tasks of cancelled jobs,
//! which a worker would only skip. They stay where they are.
//! Next: [`imports::republish`](crate::imports), which accepts the requests.

use std::collections::{HashSet, VecDeque};

use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_store::{DeadLetter, DeadLetterFilter, LedgerCursor, Store, StoreError};

use super::cursor::{RepublishCursor, RepublishPoint};
use super::job_spec::RepublishRequest;
use super::republished_task::RepublishedTask;

/// Rows or letters that the store is asked for at a time.
const PAGE: u32 = 500;

pub struct Republication {
    store: Store,
    pipeline: PipelineName,
    request: RepublishRequest,
    cursor: RepublishCursor,
    /// Tasks that were read and not yet given, and the point up to which that is.
    ahead: VecDeque<LoadedPage>,
    read_to: Option<RepublishPoint>,
}

struct LoadedPage {
    task: RepublishedTask,
    letters: Vec<i64>,
    point: RepublishPoint,
}

impl Republication {
    /// `pipeline` is the job's own for a retry, and that of the stream for a replay.
    pub fn new(
        store: Store,
        pipeline: PipelineName,
        request: RepublishRequest,
        cursor: RepublishCursor,
    ) -> Self {
        let read_to = cursor.after;
        Self { store, pipeline, request, cursor, ahead: VecDeque::new(), read_to }
    }

    pub fn cursor(&self) -> RepublishCursor {
        self.cursor.clone()
    }

    /// Up to `limit` tasks; none at the end.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<RepublishedTask>, StoreError> {
        while self.ahead.is_empty() {
            if !self.load().await? {
                return Ok(Vec::new());
            }
        }
        let found = self.ahead.drain(..limit.min(self.ahead.len()));
        Ok(found
            .map(|LoadedPage { task, letters, point }| {
                self.cursor.after = Some(point);
                self.cursor.letters.extend(letters);
                task
            })
            .collect())
    }

    /// Deletes the letters whose tasks are committed; a repeat changes nothing.
    pub async fn delete_committed(&mut self) -> Result<(), StoreError> {
        if !self.cursor.letters.is_empty() {
            isobar_failpoint::hit("republish.delete.before");
            self.store.delete_dead_letters(&self.cursor.letters).await?;
            isobar_failpoint::hit("republish.delete.after");
            self.cursor.letters.clear();
        }
        Ok(())
    }

    /// Reads the next page; false if there is none.
    async fn load(&mut self) -> Result<bool, StoreError> {
        match self.request.clone() {
            RepublishRequest::Retry { job_id } => self.load_rows(job_id).await,
            RepublishRequest::Replay { filter, newest } => self.load_letters(&filter, newest).await,
        }
    }

    async fn load_rows(&mut self, job: JobId) -> Result<bool, StoreError> {
        let after = match self.read_to {
            Some(RepublishPoint::Row(cursor)) => Some(cursor),
            _ => None,
        };
        let rows = self.store.failed_inputs(job, after, PAGE).await?;
        let is_end = rows.is_empty();
        for row in rows {
            let point = RepublishPoint::Row(LedgerCursor { row: row.row, task_id: row.task_id });
            self.read_to = Some(point);
            let input = row.input.as_bytes();
            let task = RepublishedTask::from_input(self.pipeline, input, row.try_number);
            self.ahead.extend(task.map(|task| LoadedPage { task, letters: row.letters, point }));
        }
        Ok(!is_end)
    }

    async fn load_letters(
        &mut self,
        filter: &DeadLetterFilter,
        newest: i64,
    ) -> Result<bool, StoreError> {
        let below = match self.read_to {
            Some(RepublishPoint::Letter(id)) => id,
            _ => newest.saturating_add(1),
        };
        let page = self.store.dead_letters(filter, Some(below), PAGE).await?;
        let Some(last) = page.last() else { return Ok(false) };
        self.read_to = Some(RepublishPoint::Letter(last.id));
        for (id, task) in replayable(&self.store, &page).await? {
            if task.pipeline == self.pipeline {
                let point = RepublishPoint::Letter(id);
                self.ahead.push_back(LoadedPage { task, letters: vec![id], point });
            }
        }
        Ok(true)
    }
}

/// Those of a page of dead letters that can be published again, as the tasks that they become.
pub async fn replayable(
    store: &Store,
    letters: &[DeadLetter],
) -> Result<Vec<(i64, RepublishedTask)>, StoreError> {
    let task =
        |letter: &DeadLetter| RepublishedTask::from_input(letter.pipeline, &letter.payload, 1);
    let mut found: Vec<(i64, RepublishedTask)> =
        letters.iter().filter_map(|letter| Some((letter.id, task(letter)?))).collect();
    let of_jobs: Vec<(JobId, TaskId)> =
        found.iter().filter_map(|(_, task)| Some((task.job_id?, task.task_id))).collect();
    let mut jobs: Vec<JobId> = of_jobs.iter().map(|(job, _)| *job).collect();
    jobs.sort_unstable();
    jobs.dedup();
    let states = store.job_statuses(&jobs).await?;
    found.retain(|(_, task)| {
        let state = task.job_id.and_then(|job| states.get(&job));
        !state.is_some_and(|state| state.skips_tasks())
    });
    // A row whose ledger was pruned would be counted twice: its job's counters are final.
    let rows = store.ledger_rows(&of_jobs).await?;
    let kept: HashSet<(JobId, TaskId)> = rows.iter().map(|row| (row.job_id, row.task_id)).collect();
    Ok(found
        .into_iter()
        .map(|(id, task)| match task.job_id {
            Some(job) if !kept.contains(&(job, task.task_id)) => (id, task.without_job()),
            _ => (id, task),
        })
        .collect())
}
