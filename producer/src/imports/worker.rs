//! The loop behind [`Imports`]: a few extractions at a time, one relay for each stream, for ever.
//!
//! Whoever holds the lock works; the others wait for it and take over when its holder ends. Jobs
//! are found in the outbox and in the spool, so nothing depends on the process that accepted them.
//! A source that is away is tried again later; one that can never be read seals its job as failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_telemetry::chain;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Imports;
use crate::backoff::Backoff;
use crate::batch::Draft;
use crate::extract::{Context, Extraction, Step, seal_as_failed};
use crate::outbox::{Job, LockError, OutboxLock};
use crate::progress::Progress;
use crate::relay::{Patience, Relay, Target, drive};
use crate::source::SourceError;

/// Extractions at a time: the disk is one, and each takes turns in the relay.
const EXTRACTIONS: usize = 4;
/// Between two looks for uploads of other processes, and tries of the lock.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A source that is away is asked again after this, at first and at last.
const LATER_BASE: Duration = Duration::from_secs(5);
const LATER_CAP: Duration = Duration::from_mins(5);
/// A relay that only a person can help looks again after this.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const HEARTBEAT_TTL: Duration = Duration::from_mins(1);

/// How an extraction ended.
enum Ended {
    Sealed,
    Stopped,
    Later(SourceError),
}

impl Imports {
    /// Works until `shutdown`: what is in flight is finished, everything else is safe where it is.
    pub async fn work(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Some(_lock) = self.take_lock(&shutdown).await? else {
            return Ok(());
        };
        self.inner.outbox.drop_seen().await?;
        let mut company = JoinSet::new();
        for pipeline in PipelineName::streams() {
            company.spawn(self.clone().relay(pipeline, shutdown.clone()));
        }
        company.spawn(self.clone().heartbeat(shutdown.clone()));
        company.spawn(self.clone().republish(shutdown.clone()));
        let result = self.extractions(&shutdown).await;
        if result.is_err() {
            company.abort_all();
        }
        while let Some(ended) = company.join_next().await {
            match ended {
                Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
                _ => {}
            }
        }
        result
    }

    async fn take_lock(&self, shutdown: &CancellationToken) -> anyhow::Result<Option<OutboxLock>> {
        let mut told = false;
        loop {
            match OutboxLock::take(self.inner.outbox.path()) {
                Ok(lock) => return Ok(Some(lock)),
                Err(LockError::Held { holder, .. }) => {
                    if !told {
                        tracing::info!(
                            holder,
                            "another process works on the imports; standing by for it"
                        );
                        told = true;
                    }
                }
                Err(error @ LockError::Io { .. }) => return Err(error.into()),
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                return Ok(None);
            }
        }
    }

    async fn extractions(&self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut running = JoinSet::new();
        let mut busy: Vec<JobId> = Vec::new();
        let mut later: HashMap<JobId, (Backoff, Instant)> = HashMap::new();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.adopt_spooled().await {
                // Looked at again in a moment; the API must not end with it.
                tracing::warn!(error = format!("{error:#}"), "cannot look through the spool");
            }
            for job in self.inner.outbox.extracting().await? {
                let due = later.get(&job.job_id).is_none_or(|(_, at)| *at <= Instant::now());
                if busy.len() < EXTRACTIONS && due && !busy.contains(&job.job_id) {
                    busy.push(job.job_id);
                    running.spawn(self.clone().extract(job, shutdown.clone()));
                }
            }
            tokio::select! {
                Some(ended) = running.join_next() => {
                    let (job_id, ended): (JobId, Ended) = ended?;
                    busy.retain(|id| *id != job_id);
                    match ended {
                        Ended::Sealed | Ended::Stopped => drop(later.remove(&job_id)),
                        Ended::Later(error) => {
                            let backoff = Backoff::new(LATER_BASE, LATER_CAP);
                            let (backoff, at) =
                                later.entry(job_id).or_insert((backoff, Instant::now()));
                            let pause = backoff.pause();
                            *at = Instant::now() + pause;
                            tracing::warn!(%job_id, error = chain(&error), pause_ms = pause.as_millis() as u64, "a job's source is in trouble; trying again later");
                        }
                    }
                }
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => {}
            }
        }
        while let Some(ended) = running.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Takes up uploads that were spooled by a process that is gone, or by one without the lock.
    async fn adopt_spooled(&self) -> anyhow::Result<()> {
        let spool = self.inner.spool.clone();
        let uploads = tokio::task::spawn_blocking(move || {
            spool.sweep()?;
            spool.uploads()
        })
        .await??;
        for upload in uploads {
            let job_id = upload.job_id;
            match self.inner.outbox.job(job_id).await? {
                // One that is not whole may be on its way in; what is left of it is swept.
                None if !self.inner.spool.is_whole(&upload) => {}
                None => drop(self.adopt(upload).await?),
                // It was sealed, and its process killed before it could remove the file.
                Some(job) if job.state != crate::outbox::JobState::Extracting => {
                    self.remove_spooled(job_id);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn remove_spooled(&self, job_id: JobId) {
        if let Err(error) = self.inner.spool.remove(job_id) {
            tracing::warn!(%job_id, %error, "cannot remove a spooled file that is done with");
        }
    }

    async fn extract(self, job: Job, shutdown: CancellationToken) -> (JobId, Ended) {
        let job_id = job.job_id;
        let is_upload = job.kind == JobKind::Import;
        let ended = match self.extract_to_end(job.clone(), &shutdown).await {
            Err(SourceError::Stopped) => Ended::Stopped,
            Ok(()) | Err(SourceError::Taken | SourceError::Unusable { .. }) => Ended::Sealed,
            Err(error) if is_gone(&error) => {
                let reason = chain(&error);
                match self.give_up(job_id, &reason).await {
                    Ok(()) => Ended::Sealed,
                    Err(error) => Ended::Later(error),
                }
            }
            Err(error) => Ended::Later(error),
        };
        if is_upload && matches!(ended, Ended::Sealed) {
            self.remove_spooled(job_id);
        }
        (job_id, ended)
    }

    async fn extract_to_end(
        &self,
        job: Job,
        shutdown: &CancellationToken,
    ) -> Result<(), SourceError> {
        let progress = Arc::new(Progress::default());
        let context = Context {
            settings: &self.inner.settings,
            outbox: &self.inner.outbox,
            store: Some(&self.inner.store),
            progress: &progress,
            shutdown,
            rejects: None,
        };
        let mut extraction = Extraction::open(job, context).await?;
        while !shutdown.is_cancelled() {
            match extraction.step().await? {
                Step::Froze => {}
                Step::Sealed => {
                    let job = extraction.job();
                    tracing::info!(job_id = %job.job_id, source = job.source, rows = job.rows, tasks = job.tasks, rejected = job.rejected, duplicates = job.duplicates, "extracted");
                    return Ok(());
                }
                Step::SealedAsFailed => {
                    let job = extraction.job();
                    tracing::warn!(job_id = %job.job_id, source = job.source, error = job.error, "sealed as failed");
                    return Ok(());
                }
            }
        }
        Err(SourceError::Stopped)
    }

    /// Ends a job whose file is not there any more.
    async fn give_up(&self, job_id: JobId, reason: &str) -> Result<(), SourceError> {
        if let Some(job) = self.inner.outbox.job(job_id).await? {
            seal_as_failed(&self.inner.outbox, &job, Draft::default(), reason).await?;
        }
        Ok(())
    }

    async fn relay(self, pipeline: PipelineName, shutdown: CancellationToken) {
        let mut relay = Relay::new(
            self.inner.outbox.clone(),
            self.inner.broker.clone(),
            Target::of(pipeline, &self.inner.settings),
            Arc::default(),
        );
        let patience = Patience { retries: None, max_wait: None };
        while !shutdown.is_cancelled() {
            if let Err(end) = drive(&mut relay, patience, &shutdown, &shutdown).await {
                tracing::error!(
                    error = chain(&end),
                    "imports are not sent to the stream; they are safe in the outbox"
                );
                shutdown.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await;
            }
        }
    }

    /// What the imports hold, for dashboard and metrics.
    async fn heartbeat(self, shutdown: CancellationToken) {
        let name = format!("imports:{}", Uuid::new_v4());
        loop {
            if let Ok(state) = self.inner.outbox.depth().await {
                let state = json!({ "role": "imports", "at": chrono::Utc::now(), "outbox": state });
                // The relay tells of a broker that is away.
                let _ = self.inner.broker.heartbeat(&name, &state, HEARTBEAT_TTL).await;
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(HEARTBEAT_EVERY)).await.is_none() {
                return;
            }
        }
    }
}

/// A spooled file that is gone or another one will not come back.
fn is_gone(error: &SourceError) -> bool {
    match error {
        SourceError::Changed { .. } => true,
        SourceError::Unreadable { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}
