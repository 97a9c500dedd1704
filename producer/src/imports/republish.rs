//! Retries and replays: asked for here, worked on by whoever holds the outbox of imports.
//!
//! A job has one retry at a time: while its tasks are on their way, a second request is answered
//! with the first. Republications run one after another, oldest first, so that two that mean the
//! same letters publish them once. If nobody holds the lock, [`work_off`](Imports::work_off) does
//! all of it before it returns.

use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_store::{DeadFilter, StoreError};
use isobar_telemetry::chain;
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ImportError, Imports};
use crate::backoff::Backoff;
use crate::failure::{Failure, Remedy};
use crate::outbox::{LockError, NewRepublication, OutboxLock, Wanted};
use crate::republish::{RepublishError, Republishing, Step, replayable};
use crate::run::{Tools, send_all};

/// Between two looks for what another process asked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A store that is away is asked again after this, at first and at last.
const LATER_BASE: Duration = Duration::from_secs(1);
const LATER_CAP: Duration = Duration::from_mins(5);
/// Dead letters that are looked at together.
const PAGE: u32 = 500;

/// A retry that is safe: it will be worked on, whatever happens to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub retry_id: JobId,
    /// Failed rows that could be published when it was asked for.
    pub tasks: u64,
}

/// A replay that is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    pub replay_id: JobId,
    pub letters: Letters,
}

/// What a filter means at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letters {
    pub matched: u64,
    /// Those of them that can be published again; the others stay.
    pub replayable: u64,
}

/// The same by stream.
#[derive(Debug, Default)]
struct Counts {
    matched: u64,
    replayable: HashMap<PipelineName, u64>,
}

impl Counts {
    fn letters(&self) -> Letters {
        Letters { matched: self.matched, replayable: self.replayable.values().sum() }
    }
}

/// Who does the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkedOff {
    /// This process did it, and so many tasks went into the stream.
    Here { published: u64 },
    /// Another process holds the outbox and does it.
    Elsewhere { holder: String },
}

impl Imports {
    /// Has the failed rows of a job published again, or finds the retry that is under way.
    pub async fn retry(&self, job: JobId) -> Result<Retry, ImportError> {
        let identity = format!("retry|{job}");
        let mut finished = 0;
        if let Some(newest) = self.inner.outbox.running_republication(&identity).await? {
            let progress = (newest.pipeline, newest.state, newest.confirmed_seq);
            if self.is_running(newest.key, progress).await? {
                return Ok(Retry { retry_id: newest.id, tasks: newest.expected });
            }
            finished = newest.key;
        }
        let new = NewRepublication {
            identity,
            slot: Uuid::now_v7().to_string(),
            pipeline: self
                .inner
                .store
                .job(job)
                .await?
                .map_or(PipelineName::Weather, |job| job.pipeline),
            wanted: Wanted::Retry { job_id: job },
            expected: self.inner.store.count_failed_inputs(job).await?,
            finished,
        };
        let opened = self.ask(new).await?;
        Ok(Retry { retry_id: opened.0, tasks: opened.1 })
    }

    /// Has the dead letters of a filter published again: those that are there now.
    pub async fn replay(&self, filter: &DeadFilter) -> Result<Replay, ImportError> {
        let newest = self.inner.store.dead_letters(filter, None, 1).await?;
        let newest = newest.first().map_or(i64::MIN, |letter| letter.id);
        let counts = self.count(filter).await?;
        let slot = Uuid::now_v7().to_string();
        let mut asked = None;
        // One for each stream that has any; if none has, one that finds nothing.
        for pipeline in PipelineName::streams() {
            let expected = counts.replayable.get(&pipeline).copied().unwrap_or_default();
            let is_last = Some(pipeline) == PipelineName::streams().last();
            if expected == 0 && !(is_last && asked.is_none()) {
                continue;
            }
            let new = NewRepublication {
                identity: format!("replay|{slot}|{pipeline}"),
                slot: slot.clone(),
                pipeline,
                wanted: Wanted::Replay { filter: filter.clone(), newest },
                expected,
                finished: 0,
            };
            let (replay_id, _) = self.ask(new).await?;
            asked.get_or_insert(replay_id);
        }
        let replay_id = asked.expect("there is one for the last stream at least");
        Ok(Replay { replay_id, letters: counts.letters() })
    }

    /// What a replay of the filter would find; changes nothing.
    pub async fn letters(&self, filter: &DeadFilter) -> Result<Letters, StoreError> {
        Ok(self.count(filter).await?.letters())
    }

    async fn count(&self, filter: &DeadFilter) -> Result<Counts, StoreError> {
        let store = &self.inner.store;
        let mut found = Counts::default();
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

    /// Publishes what is asked for, unless another process is there to do it.
    pub async fn work_off(&self, max_wait: Duration, tools: &Tools) -> Result<WorkedOff, Failure> {
        let _lock = match OutboxLock::take(self.inner.outbox.path()) {
            Ok(lock) => lock,
            Err(LockError::Held { holder, .. }) => return Ok(WorkedOff::Elsewhere { holder }),
            Err(error @ LockError::Io { .. }) => return Err(error.into()),
        };
        self.republish_all(&tools.shutdown).await?;
        let published = send_all(&self.inner.outbox, tools, max_wait).await?;
        Ok(WorkedOff::Here { published })
    }

    async fn ask(&self, new: NewRepublication) -> Result<(JobId, u64), ImportError> {
        isobar_failpoint::hit("republish.open.before");
        let opened = self.inner.outbox.open_republication(new).await?;
        isobar_failpoint::hit("republish.open.after");
        self.inner.again.notify_one();
        Ok((opened.id, opened.expected))
    }

    /// Republishes for ever; a store that is away is waited for.
    pub(super) async fn republish(self, shutdown: CancellationToken) {
        let mut later = Backoff::new(LATER_BASE, LATER_CAP);
        while !shutdown.is_cancelled() {
            let pause = match self.republish_all(&shutdown).await {
                Ok(()) => {
                    later.reset();
                    LOOK_EVERY
                }
                Err(error) => {
                    let pause = later.pause();
                    tracing::warn!(
                        error = chain(&error),
                        pause_ms = pause.as_millis() as u64,
                        "a retry or replay cannot go on; trying again later"
                    );
                    pause
                }
            };
            tokio::select! {
                () = self.inner.again.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Freezes every task that is asked for. Only for the holder of the lock.
    async fn republish_all(&self, shutdown: &CancellationToken) -> Result<(), RepublishError> {
        let Imports { inner } = self;
        for work in inner.outbox.republications().await? {
            let id = work.id;
            let (outbox, store) = (inner.outbox.clone(), inner.store.clone());
            let mut work = Republishing::new(outbox, store, work, inner.settings.batch_size);
            loop {
                if shutdown.is_cancelled() {
                    return Ok(());
                }
                if work.step().await? == Step::Ended {
                    break;
                }
            }
            tracing::info!(%id, batches = work.batches(), "republished");
        }
        Ok(())
    }
}

impl From<RepublishError> for Failure {
    fn from(error: RepublishError) -> Self {
        match error {
            RepublishError::Store(error) if error.is_transient() => {
                let what = "what is frozen is safe in the outbox, and the rest still in the store; run again";
                Self::new(Remedy::TryAgain, format!("{}; {what}", chain(&error)))
            }
            RepublishError::Outbox(error) => error.into(),
            error => Self::new(Remedy::GiveUp, chain(&error)),
        }
    }
}
