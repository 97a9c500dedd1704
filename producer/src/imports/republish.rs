//! Accepts retry and replay requests. The process that holds the import outbox publishes them.
//!
//! Guarantees: a job has one retry at a time; while its tasks are on their way, a second request
//! returns the first. If no process holds the lock of the outbox, [`work_off`](Imports::work_off)
//! publishes everything before it returns.
//! Next: `source/republication.rs`, which reads the tasks.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_store::{DeadLetterFilter, StoreError};
use uuid::Uuid;

use super::error::ImportError;
use super::handle::Imports;
use crate::failure::Failure;
use crate::outbox::{JobKey, LockError, NewOutboxJob, OutboxJob, OutboxLock};
use crate::run::{Tools, send_all};
use crate::source::{JobSpec, RepublishRequest, SourceError, replayable};

/// Dead letters in one query.
const PAGE: u32 = 500;
/// Above every key: a replay never counts as one that is already running.
const NO_REUSE: JobKey = JobKey::MAX;

/// An accepted retry: it will be published, whatever happens to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRequest {
    pub retry_id: JobId,
    /// Failed rows that could be published at the request.
    pub tasks: u64,
}

/// An accepted replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    pub replay_id: JobId,
    pub letters: ReplayCounts,
}

/// What a filter matches at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayCounts {
    pub matched: u64,
    /// Those that can be published again; the others stay.
    pub replayable: u64,
}

/// The same by stream.
#[derive(Debug, Default)]
struct CountsByStream {
    matched: u64,
    replayable: HashMap<PipelineName, u64>,
}

impl CountsByStream {
    fn letters(&self) -> ReplayCounts {
        ReplayCounts { matched: self.matched, replayable: self.replayable.values().sum() }
    }
}

/// Which process publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedBy {
    /// This process, and it appended this number of tasks to the stream.
    Here { published: u64 },
    /// Another process, which holds the outbox.
    Elsewhere { holder: String },
}

impl Imports {
    /// Requests that the failed rows of a job are published again, or finds the running retry.
    pub async fn retry(&self, job: JobId) -> Result<RetryRequest, ImportError> {
        let Self { inner } = self;
        let request = RepublishRequest::Retry { job_id: job };
        let stored = inner.store.job(job).await?;
        let pipeline = stored.map(|job| job.pipeline).unwrap_or_default();
        // Retention must not remove the rows that wait for their next try.
        inner.store.keep_for_retry(job, Utc::now()).await?;
        let tasks = inner.store.count_failed_inputs(job).await?;
        let spec = JobSpec::republish(pipeline, request, tasks);
        let mut finished = 0;
        if let Some(newest) = inner.outbox.running_job(spec.identity()).await? {
            if self.is_running(&newest).await? {
                let tasks = newest.spec.expected();
                return Ok(RetryRequest { retry_id: newest.job_id, tasks });
            }
            finished = newest.key;
        }
        let new = new_job(spec, Uuid::now_v7().to_string());
        let opened = self.open_republication(new, finished).await?;
        Ok(RetryRequest { retry_id: opened.job_id, tasks: opened.spec.expected() })
    }

    /// Requests that the dead letters of a filter are published again: those that exist now.
    pub async fn replay(&self, filter: &DeadLetterFilter) -> Result<ReplayRequest, ImportError> {
        let Self { inner } = self;
        let newest = inner.store.dead_letters(filter, None, 1).await?;
        let newest = newest.first().map_or(i64::MIN, |letter| letter.id);
        let counts = self.count(filter).await?;
        let slot = Uuid::now_v7().to_string();
        let mut first = None;
        // One for each stream with letters; without any letter, one that finds none.
        for pipeline in PipelineName::streams() {
            let expected = counts.replayable.get(&pipeline).copied().unwrap_or_default();
            let is_last = Some(pipeline) == PipelineName::streams().last();
            if expected == 0 && !(is_last && first.is_none()) {
                continue;
            }
            let request = RepublishRequest::Replay { filter: filter.clone(), newest };
            let new = new_job(JobSpec::republish(pipeline, request, expected), slot.clone());
            first.get_or_insert(self.open_republication(new, NO_REUSE).await?.job_id);
        }
        let replay_id = first.expect("the last stream opens one if no other did");
        Ok(ReplayRequest { replay_id, letters: counts.letters() })
    }

    /// What a replay of the filter would find; changes nothing.
    pub async fn letters(&self, filter: &DeadLetterFilter) -> Result<ReplayCounts, StoreError> {
        Ok(self.count(filter).await?.letters())
    }

    async fn count(&self, filter: &DeadLetterFilter) -> Result<CountsByStream, StoreError> {
        let store = &self.inner.store;
        let mut found = CountsByStream::default();
        let mut before = None;
        loop {
            let page = store.dead_letters(filter, before, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            before = Some(last.id);
            found.matched += page.len() as u64;
            for (_, task) in replayable(store, &page).await? {
                *found.replayable.entry(task.pipeline).or_default() += 1;
            }
        }
    }

    /// Publishes all requests, unless another process holds the outbox and does it.
    pub async fn publish_pending(
        &self,
        max_wait: Duration,
        tools: &Tools,
    ) -> Result<PublishedBy, Failure> {
        let _lock = match OutboxLock::take(self.inner.outbox.path()) {
            Ok(lock) => lock,
            Err(LockError::Held { holder, .. }) => return Ok(PublishedBy::Elsewhere { holder }),
            Err(error @ LockError::Io { .. }) => return Err(error.into()),
        };
        match self.extract_republications(tools).await {
            // The relay reports what is safe.
            Ok(()) | Err(SourceError::Stopped) => {}
            Err(error) => return Err(error.into()),
        }
        let published = send_all(&self.inner.outbox, tools, max_wait).await?;
        Ok(PublishedBy::Here { published })
    }

    async fn open_republication(
        &self,
        new: NewOutboxJob,
        finished: JobKey,
    ) -> Result<OutboxJob, ImportError> {
        isobar_failpoint::hit("republish.open.before");
        let opened = self.inner.outbox.open_republication(new, finished).await?;
        isobar_failpoint::hit("republish.open.after");
        self.inner.wake.notify_one();
        Ok(opened)
    }

    async fn extract_republications(&self, tools: &Tools) -> Result<(), SourceError> {
        for job in self.inner.outbox.extracting().await? {
            if job.spec.is_republication() {
                self.extract_to_end(job, &tools.shutdown).await?;
            }
        }
        Ok(())
    }
}

fn new_job(spec: JobSpec, slot: String) -> NewOutboxJob {
    let job_id = JobId::derive(&spec.identity(), &slot);
    NewOutboxJob { job_id, slot, kind: JobKind::Produce, spec, created_at: Utc::now() }
}
