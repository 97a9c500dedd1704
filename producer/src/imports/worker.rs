//! The worker of the imports: a few extractions at a time, and one relay for each stream.
//!
//! Guarantees: the process that holds the lock does the work; the others wait for the lock and take
//! over when its holder ends. Jobs are found in the outbox and in the spool, so nothing depends on the
//! process that accepted them. A source that is not available is tried again later; a source that
//! can never be read seals its job as failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{JobKind, SealOutcome};
use isobar_telemetry::error_chain;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::handle::Imports;
use crate::batch::BatchDraft;
use crate::extract::{Context, ExtractStep, Extraction, seal};
use crate::job_error::job_error;
use crate::outbox::{LockError, OutboxJob, OutboxJobState, OutboxLock};
use crate::pauses::pauses;
use crate::progress::RunProgress;
use crate::relay::{Relay, RetryLimits, Target, drive};
use crate::source::SourceError;

/// Extractions at a time: they share one disk, and take turns in the relay.
const EXTRACTIONS: usize = 4;
/// Between two polls for uploads of other processes, and for the lock.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The first and the longest pause before a source that is not available is tried again.
const SOURCE_RETRY_FIRST: Duration = Duration::from_secs(5);
const STORE_RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_mins(5);
/// The pause of a relay whose error needs a person.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const HEARTBEAT_TTL: Duration = Duration::from_mins(1);

/// How an extraction ended.
enum ExtractEnd {
    Sealed,
    Stopped,
    Later(SourceError),
}

/// When a job whose source is not available is tried again.
struct Retry {
    pauses: ExponentialBackoff,
    due: Instant,
    reads_store: bool,
}

impl Retry {
    fn of(job: &OutboxJob) -> Self {
        let reads_store = job.spec.is_republication();
        let first = if reads_store { STORE_RETRY_FIRST } else { SOURCE_RETRY_FIRST };
        Self { pauses: pauses(first, RETRY_LONGEST).build(), due: Instant::now(), reads_store }
    }

    fn delay(&mut self) -> Duration {
        let pause = self.pauses.next().unwrap_or(RETRY_LONGEST);
        self.due = Instant::now() + pause;
        pause
    }
}

impl Imports {
    /// Works until `shutdown`: steps in flight are finished, everything else is safe on disk.
    pub async fn work(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Some(_lock) = self.take_lock(&shutdown).await? else {
            return Ok(());
        };
        self.inner.outbox.drop_seen().await?;
        let mut background = JoinSet::new();
        for pipeline in PipelineName::streams() {
            background.spawn(self.clone().relay(pipeline, shutdown.clone()));
        }
        background.spawn(self.clone().heartbeat(shutdown.clone()));
        let result = self.extractions(&shutdown).await;
        if result.is_err() {
            background.abort_all();
        }
        while let Some(ended) = background.join_next().await {
            match ended {
                Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
                _ => {}
            }
        }
        result
    }

    async fn take_lock(&self, shutdown: &CancellationToken) -> anyhow::Result<Option<OutboxLock>> {
        let mut is_first = true;
        loop {
            match OutboxLock::take(self.inner.outbox.path()) {
                Ok(lock) => return Ok(Some(lock)),
                Err(LockError::Held { holder, .. }) => {
                    if std::mem::take(&mut is_first) {
                        tracing::info!(
                            holder,
                            "another process works on the imports; waiting for its lock"
                        );
                    }
                }
                Err(error @ LockError::Io { .. }) => return Err(error.into()),
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_none() {
                return Ok(None);
            }
        }
    }

    async fn extractions(&self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut running = JoinSet::new();
        let mut busy: Vec<JobId> = Vec::new();
        let mut retries: HashMap<JobId, Retry> = HashMap::new();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.register_spooled().await {
                // Tried again soon; the API must not end with it.
                tracing::warn!(error = format!("{error:#}"), "cannot look through the spool");
            }
            let jobs = self.inner.outbox.extracting().await?;
            let now = Instant::now();
            let is_due = |job: &OutboxJob| retries.get(&job.job_id).is_none_or(|at| at.due <= now);
            for job in startable(jobs, &busy, is_due) {
                busy.push(job.job_id);
                running.spawn(self.clone().extract(job, shutdown.clone()));
            }
            let next_due = retries.values().filter(|retry| retry.due > now).map(|at| at.due - now);
            let poll = next_due.min().unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL);
            tokio::select! {
                Some(ended) = running.join_next() => {
                    let (job, ended): (OutboxJob, ExtractEnd) = ended?;
                    busy.retain(|id| *id != job.job_id);
                    match ended {
                        ExtractEnd::Sealed | ExtractEnd::Stopped => drop(retries.remove(&job.job_id)),
                        ExtractEnd::Later(error) => {
                            let retry = retries.entry(job.job_id).or_insert_with(|| Retry::of(&job));
                            let pause = retry.delay();
                            tracing::warn!(job_id = %job.job_id, error = error_chain(&error), pause_ms = pause.as_millis() as u64, "the source of a job is not available; trying again later");
                        }
                    }
                }
                // A new request may mean that the store is available again.
                () = self.inner.wake.notified() => retries.retain(|_, retry| !retry.reads_store),
                () = tokio::time::sleep(poll) => {}
                () = shutdown.cancelled() => {}
            }
        }
        while let Some(ended) = running.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Registers uploads that were spooled by a process that ended, or by one without the lock.
    async fn register_spooled(&self) -> anyhow::Result<()> {
        let spool = self.inner.spool.clone();
        let uploads = tokio::task::spawn_blocking(move || {
            spool.sweep()?;
            spool.uploads()
        })
        .await??;
        for upload in uploads {
            let job_id = upload.job_id;
            match self.inner.outbox.job(job_id).await? {
                // Without its file it may still be arriving; if not, it is swept later.
                None if !self.inner.spool.is_whole(&upload) => {}
                None => drop(self.register_upload(upload).await?),
                // Its process was killed between the seal and the removal of the file.
                Some(job) if job.state != OutboxJobState::Extracting => {
                    self.remove_spooled(job_id);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn remove_spooled(&self, job_id: JobId) {
        if let Err(error) = self.inner.spool.remove(job_id) {
            tracing::warn!(%job_id, %error, "cannot remove a spooled file that is not needed any more");
        }
    }

    async fn extract(self, job: OutboxJob, shutdown: CancellationToken) -> (OutboxJob, ExtractEnd) {
        let ended = match self.extract_to_end(job.clone(), &shutdown).await {
            Err(SourceError::Stopped) => ExtractEnd::Stopped,
            Ok(()) | Err(SourceError::Taken) => ExtractEnd::Sealed,
            Err(error @ SourceError::Unusable { .. }) => {
                warn_failed(&job, &job_error(&job, &error).detail);
                ExtractEnd::Sealed
            }
            Err(error) if is_lost(&error) => match self.seal_failed(job.job_id, &error).await {
                Ok(()) => ExtractEnd::Sealed,
                Err(error) => ExtractEnd::Later(error),
            },
            Err(error) => ExtractEnd::Later(error),
        };
        if job.kind == JobKind::Import && matches!(ended, ExtractEnd::Sealed) {
            self.remove_spooled(job.job_id);
        }
        (job, ended)
    }

    /// Extracts until the job is sealed, or sealed as failed.
    pub(super) async fn extract_to_end(
        &self,
        job: OutboxJob,
        shutdown: &CancellationToken,
    ) -> Result<(), SourceError> {
        let progress = Arc::new(RunProgress::default());
        let context = Context {
            settings: &self.inner.settings,
            outbox: &self.inner.outbox,
            store: Some(&self.inner.store),
            progress: &progress,
            shutdown,
            rejects: None,
        };
        let mut extraction = Extraction::open(job, context).await?;
        let step = extraction.run(shutdown).await?;
        let job = extraction.job();
        if job.spec.is_republication() {
            tracing::info!(id = %job.job_id, batches = job.last_seq, "republished");
        } else if step == ExtractStep::SealedAsFailed {
            warn_failed(job, job.error.as_deref().unwrap_or_default());
        } else {
            tracing::info!(job_id = %job.job_id, source = job.source, rows = job.rows, tasks = job.tasks, rejected = job.rejected, duplicates = job.duplicates, "extracted");
        }
        Ok(())
    }

    /// Ends a job whose file is lost.
    async fn seal_failed(&self, job_id: JobId, why: &SourceError) -> Result<(), SourceError> {
        if let Some(mut job) = self.inner.outbox.job(job_id).await? {
            let sealed = (SealOutcome::Failed, Some(job_error(&job, why)));
            seal(&self.inner.outbox, &mut job, BatchDraft::default(), sealed).await?;
            warn_failed(&job, job.error.as_deref().unwrap_or_default());
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
        let limits = RetryLimits { retries: None, max_wait: None };
        while !shutdown.is_cancelled() {
            if let Err(end) = drive(&mut relay, limits, &shutdown, &shutdown).await {
                tracing::error!(
                    error = error_chain(&end),
                    "imports are not sent to the stream; they are safe in the outbox"
                );
                shutdown.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await;
            }
        }
    }

    /// The backlog of the imports, for dashboard and metrics.
    async fn heartbeat(self, shutdown: CancellationToken) {
        let name = format!("imports:{}", Uuid::new_v4());
        loop {
            if let Ok(state) = self.inner.outbox.depth().await {
                let state = json!({ "role": "imports", "at": chrono::Utc::now(), "outbox": state });
                // The relay reports a broker that is down.
                let _ = self.inner.broker.heartbeat(&name, &state, HEARTBEAT_TTL).await;
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(HEARTBEAT_EVERY)).await.is_none() {
                return;
            }
        }
    }
}

/// The jobs to start now: uploads and syncs up to [`EXTRACTIONS`], and one republication.
///
/// Republications run one after another, the oldest first, so two that match the same dead letters
/// publish them once. They do not wait behind large uploads.
fn startable(
    jobs: Vec<OutboxJob>,
    busy: &[JobId],
    is_due: impl Fn(&OutboxJob) -> bool,
) -> Vec<OutboxJob> {
    let (republications, others): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| job.spec.is_republication());
    let is_busy = |job: &OutboxJob| busy.contains(&job.job_id);
    let free = EXTRACTIONS.saturating_sub(others.iter().filter(|job| is_busy(job)).count());
    let may_start = |job: &OutboxJob| !is_busy(job) && is_due(job);
    let oldest = republications.into_iter().take(1).filter(may_start);
    oldest.chain(others.into_iter().filter(may_start).take(free)).collect()
}

fn warn_failed(job: &OutboxJob, reason: &str) {
    tracing::warn!(job_id = %job.job_id, source = job.source, reason, "the job failed");
}

/// A spooled file that is missing or has changed will not return.
fn is_lost(error: &SourceError) -> bool {
    match error {
        SourceError::Changed { .. } => true,
        SourceError::Unreadable { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use isobar_model::pipeline::PipelineName;

    use super::*;
    use crate::outbox::{NewOutboxJob, Outbox, OutboxJobState};
    use crate::source::{JobSpec, RepublishRequest, SourceSpec};

    async fn jobs(republications: usize, uploads: usize) -> Vec<OutboxJob> {
        let folder = tempfile::tempdir().expect("a folder");
        let outbox = Outbox::open(&folder.path().join("outbox.db")).expect("opens");
        let letters = RepublishRequest::Replay {
            filter: isobar_store::DeadLetterFilter::default(),
            newest: 1,
        };
        let letters = JobSpec::republish(PipelineName::Weather, letters, 1);
        let list = JobSpec { origin: SourceSpec::Gazetteer, ..letters.clone() };
        let specs = std::iter::repeat_n(letters, republications);
        for (slot, spec) in (0..).zip(specs.chain(std::iter::repeat_n(list, uploads))) {
            let slot = format!("{slot}");
            let job_id = JobId::derive(&spec.identity(), &slot);
            let created_at = chrono::Utc::now();
            let new = NewOutboxJob { job_id, slot, kind: JobKind::Import, spec, created_at };
            outbox.open_job(new).await.expect("opens a job");
        }
        outbox.extracting().await.expect("reads")
    }

    #[tokio::test]
    async fn republications_start_one_by_one_beside_uploads() {
        let jobs = jobs(2, EXTRACTIONS + 1).await;
        assert!(jobs.iter().all(|job| job.state == OutboxJobState::Extracting));
        let ids: Vec<JobId> = jobs.iter().map(|job| job.job_id).collect();
        let started = |busy: &[JobId], not_due: &[JobId]| -> Vec<JobId> {
            let due = |job: &OutboxJob| !not_due.contains(&job.job_id);
            startable(jobs.clone(), busy, due).into_iter().map(|job| job.job_id).collect()
        };
        let first = started(&[], &[]);
        assert_eq!(first[0], ids[0]);
        assert_eq!(first[1..], ids[2..2 + EXTRACTIONS]);
        assert_eq!(started(&first, &[]), []);
        assert_eq!(started(&first[1..], &ids[..1]), [], "the second waits for the first");
        assert_eq!(started(&ids[..1], &[]), ids[2..2 + EXTRACTIONS]);
    }
}
