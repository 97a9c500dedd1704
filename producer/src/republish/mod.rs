//! Republication: failed rows and dead letters become tasks once more.
//!
//! One [`step`](Republishing::step) freezes a page of them and the place behind it in one
//! transaction (I1); then the dead letters of that page are deleted by their ids, which a step that
//! was cut short repeats harmlessly. So a letter leaves the list when its task is safe in the
//! outbox, and comes back as a new one if the task fails again. The ledger lets only the higher try
//! in (I5), so the accounts of its job stay right however often a task is published.
//!
//! What is no task (a control message, bytes that are no text) and what a worker would only skip
//! (the job was cancelled) is left where it is.
//!
//! Next: [`requeued_task`] (what a task becomes), [`imports`](crate::imports) (who asks for it).

mod requeued_task;

use isobar_model::ids::{JobId, TaskId};
use isobar_sqlite::SqliteError;
use isobar_store::{DeadFilter, DeadLetter, LedgerCursor, Store, StoreError};
use std::collections::HashSet;

pub use requeued_task::{Again, again};

use crate::batch::{self, Draft};
use crate::outbox::{Frozen, Outbox, Place, Position, Republication, Wanted};

/// A republication on its way through.
pub struct Republishing {
    outbox: Outbox,
    store: Store,
    work: Republication,
    batch_size: u32,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Froze,
    /// There is nothing more to publish.
    Ended,
}

#[derive(Debug, thiserror::Error)]
pub enum RepublishError {
    #[error("the store does not give what is to be published again")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Outbox(#[from] SqliteError),
    /// Another process works on it, which the outbox's lock should prevent.
    #[error("the republication was ended by someone else")]
    Taken,
}

/// What a step publishes, and where the next one goes on.
struct Page {
    tasks: Vec<Again>,
    position: Position,
}

impl Republishing {
    pub fn new(outbox: Outbox, store: Store, work: Republication, batch_size: usize) -> Self {
        let batch_size = u32::try_from(batch_size).unwrap_or(u32::MAX);
        Self { outbox, store, work, batch_size }
    }

    /// Deletes the letters of the page before, then freezes the next page.
    pub async fn step(&mut self) -> Result<Step, RepublishError> {
        self.delete_frozen().await?;
        let Some(page) = self.next_page().await? else {
            isobar_failpoint::hit("republish.end.before");
            self.outbox.end_republication(self.work.key).await?;
            isobar_failpoint::hit("republish.end.after");
            return Ok(Step::Ended);
        };
        self.freeze(page).await?;
        Ok(Step::Froze)
    }

    /// Tasks that are frozen, of this process and those before it.
    pub fn batches(&self) -> u64 {
        self.work.last_seq
    }

    async fn delete_frozen(&mut self) -> Result<(), RepublishError> {
        let Some(position) = &mut self.work.position else { return Ok(()) };
        if !position.letters.is_empty() {
            isobar_failpoint::hit("republish.delete.before");
            self.store.delete_dead_letters(&position.letters).await?;
            isobar_failpoint::hit("republish.delete.after");
            position.letters.clear();
        }
        Ok(())
    }

    async fn freeze(&mut self, page: Page) -> Result<(), RepublishError> {
        let mut draft = Draft::default();
        for task in &page.tasks {
            draft.again(task);
        }
        let seq = self.work.last_seq + 1;
        let place =
            batch::Place { job: self.work.key, seq, previous_hash: self.work.last_hash.clone() };
        let position = serde_json::to_string(&page.position).expect("a position is plain data");
        let frozen = Frozen { cursor: Some(position), ..draft.freeze(place, None, None) };
        let hash = frozen.hash.clone();
        isobar_failpoint::hit("republish.freeze.before");
        if !self.outbox.commit(frozen).await? {
            return Err(RepublishError::Taken);
        }
        isobar_failpoint::hit("republish.freeze.after");
        self.work.last_seq = seq;
        self.work.last_hash = hash;
        self.work.position = Some(page.position);
        Ok(())
    }

    /// The next page with a task in it; what cannot be published is passed over.
    async fn next_page(&self) -> Result<Option<Page>, StoreError> {
        match &self.work.wanted {
            Wanted::Retry { job_id } => self.next_rows(*job_id).await,
            Wanted::Replay { filter, newest } => self.next_letters(filter, *newest).await,
        }
    }

    async fn next_rows(&self, job: JobId) -> Result<Option<Page>, StoreError> {
        let mut after = match self.work.position.as_ref().map(|position| position.after) {
            Some(Place::Row(cursor)) => Some(cursor),
            _ => None,
        };
        loop {
            let rows = self.store.failed_inputs(job, after, self.batch_size).await?;
            let Some(last) = rows.last() else { return Ok(None) };
            let cursor = LedgerCursor { row: last.row, task_id: last.task_id };
            after = Some(cursor);
            let (mut tasks, mut letters) = (Vec::new(), Vec::new());
            for row in rows {
                let task = again(row.input.as_bytes(), row.try_number);
                if let Some(task) = task.filter(|task| task.pipeline == self.work.pipeline) {
                    tasks.push(task);
                    letters.extend(row.letters);
                }
            }
            if !tasks.is_empty() {
                let position = Position { after: Place::Row(cursor), letters };
                return Ok(Some(Page { tasks, position }));
            }
        }
    }

    async fn next_letters(
        &self,
        filter: &DeadFilter,
        newest: i64,
    ) -> Result<Option<Page>, StoreError> {
        let mut below = match self.work.position.as_ref().map(|position| position.after) {
            Some(Place::Letter(id)) => id,
            _ => newest.saturating_add(1),
        };
        loop {
            let page = self.store.dead_letters(filter, Some(below), self.batch_size).await?;
            let Some(last) = page.last() else { return Ok(None) };
            below = last.id;
            let mut found = replayable(&self.store, &page).await?;
            found.retain(|(_, task)| task.pipeline == self.work.pipeline);
            if !found.is_empty() {
                let (letters, tasks) = found.into_iter().unzip();
                let position = Position { after: Place::Letter(below), letters };
                return Ok(Some(Page { tasks, position }));
            }
        }
    }
}

/// Those of a page of dead letters that can be published again, as the tasks that they become.
pub async fn replayable(
    store: &Store,
    letters: &[DeadLetter],
) -> Result<Vec<(i64, Again)>, StoreError> {
    let mut found: Vec<(i64, Again)> =
        letters.iter().filter_map(|letter| Some((letter.id, again(&letter.payload, 1)?))).collect();
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
    // Counted a second time, a row whose ledger was pruned would move counters that are final.
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
