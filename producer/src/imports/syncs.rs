//! Syncs: the source of a bare `isobar produce`, started by a request.
//!
//! Guarantees: one sync at a time; a request during a sync returns the running one.

use chrono::{SecondsFormat, Utc};
use isobar_broker::{BatchRecord, Topic};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;

use super::accepted::AcceptedJob;
use super::error::ImportError;
use super::handle::Imports;
use crate::outbox::{NewOutboxJob, OutboxJob, OutboxJobState};
use crate::source::JobSpec;

/// Batches in one query.
const PAGE: u32 = 200;

impl Imports {
    /// Starts a sync, or finds the one that is running.
    pub async fn sync(&self, force: bool) -> Result<AcceptedJob, ImportError> {
        let _one = self.inner.sync.lock().await;
        if let Some(job) = self.inner.outbox.newest_sync().await?
            && self.is_running(&job).await?
        {
            return Ok(AcceptedJob::new(job, false));
        }
        let spec = JobSpec::of(PipelineName::default(), &self.inner.settings, None, force);
        let slot = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let new = NewOutboxJob {
            job_id: JobId::derive(&spec.identity(), &slot),
            slot,
            kind: JobKind::Sync,
            spec,
            created_at: Utc::now(),
        };
        let (job, is_new) = self.inner.outbox.open_job(new).await?;
        self.inner.wake.notify_one();
        Ok(AcceptedJob::new(job, is_new))
    }

    /// Whether a task of the job is not extracted, not sent or not finished. True if it cannot be
    /// decided.
    pub(super) async fn is_running(&self, job: &OutboxJob) -> Result<bool, ImportError> {
        match job.state {
            OutboxJobState::Extracting => return Ok(true),
            OutboxJobState::Done | OutboxJobState::Superseded | OutboxJobState::Conflicted => {
                return Ok(false);
            }
            OutboxJobState::Sealed => {}
        }
        if self.inner.outbox.unsent_batches(Some(job.key)).await? > 0 {
            return Ok(true);
        }
        let topic = Topic::of(job.spec.pipeline, &self.inner.settings);
        let outbox = self.inner.outbox.id().await?;
        let mut after = job.confirmed_seq;
        loop {
            let sent = self.inner.outbox.sent(job.key, after, PAGE).await?;
            let Some(last) = sent.last() else { return Ok(false) };
            after = *last;
            let finished = |record: &Option<BatchRecord>| record.is_some_and(|r| r.is_finished());
            match self.inner.broker.batch_records(&topic, job.job_id, &outbox, &sent).await {
                Ok(records) if records.iter().all(finished) => {}
                Ok(_) | Err(_) => return Ok(true),
            }
        }
    }
}
