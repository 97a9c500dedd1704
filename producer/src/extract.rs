//! Extraction: fills batches from a source and freezes them in the outbox.
//!
//! One [`step`](Extraction::step) is one batch. Each batch except the last holds exactly the number
//! of tasks in the setting, and the rejects between them. The first batch carries the open of the
//! job, the last its seal; a republication has neither.
//!
//! Guarantees: the source gives no more rows than the batch has room for. So its cursor is right
//! behind the batch, and both commit together (I1). If a source fails half-way, all frozen
//! batches stay and the next run reads the draft again. If a source can never be read to its end,
//! its job is sealed as failed.

use std::sync::Arc;

use isobar_model::ids::TaskId;
use isobar_model::task::{
    ControlMessage, JobError, JobOpen, JobSeal, Reject, SealOutcome, TaskHeader,
};
use isobar_settings::Settings;
use isobar_store::Store;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, BatchDraft, BatchSize, ChainPosition};
use crate::job_error::job_error;
use crate::outbox::{Outbox, OutboxJob, OutboxJobState, SeenKeys};
use crate::progress::{RunProgress, add, set};
use crate::rejects::RejectFile;
use crate::source::{ParsedRow, Source, SourceContext, SourceCursor, SourceError, SourceRow};

/// Rows of one batch, even if nearly all are duplicates: a kill costs as much to read again.
const MAX_ROWS_PER_BATCH: u64 = 100_000;
/// Rejects that a dry run shows.
const FIRST_REJECTS: usize = 5;

/// A job and how far its source is read.
pub struct Extraction {
    outbox: Outbox,
    job: OutboxJob,
    source: Source,
    size: BatchSize,
    draft: BatchDraft,
    seen: SeenKeys,
    progress: Arc<RunProgress>,
    rejects: Option<RejectFile>,
    first_rejects: Vec<Reject>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtractStep {
    Froze,
    /// The last batch: the source is read to its end, or to the limit.
    Sealed,
    /// The source is unusable; the job is sealed as failed.
    SealedAsFailed,
}

/// What an extraction needs besides its job.
pub struct Context<'a> {
    pub settings: &'a Settings,
    pub outbox: &'a Outbox,
    /// For sources that read the store.
    pub store: Option<&'a Store>,
    pub progress: &'a Arc<RunProgress>,
    pub shutdown: &'a CancellationToken,
    pub rejects: Option<RejectFile>,
}

impl Extraction {
    /// Opens the source of the job at its cursor. An unusable source seals the job as failed and is
    /// returned as the error.
    pub async fn open(mut job: OutboxJob, context: Context<'_>) -> Result<Self, SourceError> {
        debug_assert_eq!(job.state, OutboxJobState::Extracting);
        let Context { settings, outbox, store, progress, shutdown, rejects } = context;
        set(&progress.rows, job.rows);
        set(&progress.tasks, job.tasks);
        set(&progress.rejected, job.rejected);
        set(&progress.duplicates, job.duplicates);
        set(&progress.bytes_total, job.spec.bytes_total().unwrap_or_default());
        set(&progress.rows_total, job.spec.rows_total().unwrap_or_default());
        let context = SourceContext { settings, db: outbox.db(), store, shutdown };
        let source = match Source::open(&job.spec, job.cursor.clone(), context).await {
            Ok(source) => source,
            Err(error @ SourceError::Unusable { .. }) => {
                let sealed = (SealOutcome::Failed, Some(job_error(&job, &error)));
                seal(outbox, &mut job, BatchDraft::default(), sealed).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            seen: SeenKeys::load(outbox, job.key).await?,
            outbox: outbox.clone(),
            job,
            source,
            size: BatchSize(settings.batch_size),
            draft: BatchDraft::default(),
            progress: Arc::clone(progress),
            rejects,
            first_rejects: Vec::new(),
        })
    }

    pub fn job(&self) -> &OutboxJob {
        &self.job
    }

    /// Some of the rows that this process rejected, the first ones.
    pub fn first_rejects(&self) -> &[Reject] {
        &self.first_rejects
    }

    /// Steps to the end of the source, or until `shutdown`.
    pub async fn run(&mut self, shutdown: &CancellationToken) -> Result<ExtractStep, SourceError> {
        while !shutdown.is_cancelled() {
            let step = self.step().await?;
            if step != ExtractStep::Froze {
                return Ok(step);
            }
        }
        Err(SourceError::Stopped)
    }

    /// Fills and freezes one batch.
    pub async fn step(&mut self) -> Result<ExtractStep, SourceError> {
        while !self.draft.is_full(self.size) && self.draft.rows() < MAX_ROWS_PER_BATCH {
            let taken = self.job.rows + self.draft.rows();
            let left = self.job.spec.limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken));
            let room = (self.draft.room(self.size) as u64).min(left);
            let rows = match self.source.read(room as usize).await {
                _ if room == 0 => Vec::new(),
                Ok(rows) => rows,
                Err(error @ SourceError::Unusable { .. }) => {
                    return self.seal_failed(job_error(&self.job, &error)).await;
                }
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                return self.finish().await;
            }
            self.take(rows).await?;
        }
        self.freeze().await?;
        self.seen.compact(&self.outbox).await?;
        Ok(ExtractStep::Froze)
    }

    async fn take(&mut self, rows: Vec<SourceRow>) -> Result<(), SourceError> {
        let keys: Vec<TaskId> = rows
            .iter()
            .filter_map(|row| match &row.row {
                ParsedRow::Task(subject) => Some(self.job.job_id.task(&subject.key())),
                ParsedRow::Reject(_) | ParsedRow::Republished(_) => None,
            })
            .collect();
        let is_new = self.seen.insert_new(&self.outbox, &keys).await?;
        let mut keys = keys.into_iter().zip(is_new);
        add(&self.progress.rows, rows.len() as u64);
        for SourceRow { number, row } in rows {
            match row {
                ParsedRow::Republished(task) => {
                    self.draft.push(task.fields());
                    add(&self.progress.tasks, 1);
                }
                ParsedRow::Reject(error) => {
                    let reject = batch::reject(self.job.job_id, number, error);
                    self.record_reject(&reject)?;
                    self.draft.reject(reject);
                    add(&self.progress.rejected, 1);
                }
                ParsedRow::Task(subject) => {
                    if let Some((id, true)) = keys.next() {
                        let head = TaskHeader {
                            task_id: id,
                            job_id: Some(self.job.job_id),
                            row: Some(number),
                            batch: Some(self.job.last_seq + 1),
                            try_number: 1,
                            force: self.job.spec.force,
                        };
                        self.draft.task(&batch::task(head, subject, self.job.created_at));
                        add(&self.progress.tasks, 1);
                    } else {
                        self.draft.duplicate();
                        add(&self.progress.duplicates, 1);
                    }
                }
            }
        }
        if let Some(bytes) = self.source.bytes_done() {
            set(&self.progress.bytes_done, bytes);
        }
        Ok(())
    }

    fn record_reject(&mut self, reject: &Reject) -> Result<(), SourceError> {
        if self.first_rejects.len() < FIRST_REJECTS {
            self.first_rejects.push(reject.clone());
        }
        match &mut self.rejects {
            Some(rejects) => rejects.add(reject),
            None => Ok(()),
        }
    }

    /// Seals the job at the end of its source.
    async fn finish(&mut self) -> Result<ExtractStep, SourceError> {
        if self.job.spec.is_republication() {
            return self.finish_republication().await;
        }
        let (rejected, duplicates) = self.draft.reject_counts();
        let rows = self.job.rows + self.draft.rows();
        let nothing_usable =
            rows == self.job.rejected + rejected && self.job.duplicates + duplicates == 0;
        let limit_is_zero = self.job.spec.limit == Some(0);
        if nothing_usable && self.job.spec.path().is_some() && !limit_is_zero {
            let source = &self.job.source;
            let error = match rows {
                0 => JobError::new("no_rows", &format!("{source} has a header but no rows")),
                rows => JobError::new(
                    "no_usable_row",
                    &format!("{source} has no usable row: all {rows} were rejected"),
                ),
            };
            return self.seal_failed(error).await;
        }
        let draft = std::mem::take(&mut self.draft);
        seal(&self.outbox, &mut self.job, draft, (SealOutcome::Complete, None)).await?;
        Ok(ExtractStep::Sealed)
    }

    /// Without a seal, the last tasks are a batch like the others: its letters are deleted before
    /// the job ends.
    async fn finish_republication(&mut self) -> Result<ExtractStep, SourceError> {
        if self.draft.has_tasks() {
            self.freeze().await?;
            return Ok(ExtractStep::Froze);
        }
        isobar_failpoint::hit("republish.end.before");
        self.outbox.end_republication(self.job.key).await?;
        isobar_failpoint::hit("republish.end.after");
        Ok(ExtractStep::Sealed)
    }

    async fn seal_failed(&mut self, error: JobError) -> Result<ExtractStep, SourceError> {
        let draft = std::mem::take(&mut self.draft);
        seal(&self.outbox, &mut self.job, draft, (SealOutcome::Failed, Some(error))).await?;
        Ok(ExtractStep::SealedAsFailed)
    }

    async fn freeze(&mut self) -> Result<(), SourceError> {
        if self.job.last_seq == 0 && !self.job.spec.is_republication() {
            self.draft.open(&open(&self.job));
        }
        let cursor = Some(self.source.cursor());
        isobar_failpoint::hit("producer.extract.before");
        commit(&self.outbox, &mut self.job, &mut self.draft, (cursor, None)).await?;
        isobar_failpoint::hit("producer.extract.after");
        self.source.committed().await
    }
}

/// Seals the job behind the draft: at the end of its source, or early for a reason.
pub(crate) async fn seal(
    outbox: &Outbox,
    job: &mut OutboxJob,
    mut draft: BatchDraft,
    (outcome, error): (SealOutcome, Option<JobError>),
) -> Result<(), SourceError> {
    if job.spec.is_republication() {
        return Ok(outbox.end_republication(job.key).await?);
    }
    let (rejected, duplicates) = draft.reject_counts();
    let reason = error.as_ref().map(|error| error.detail.clone());
    let seal = JobSeal {
        job_id: job.job_id,
        rows: job.rows + draft.rows(),
        rejected: job.rejected + rejected,
        duplicates: job.duplicates + duplicates,
        outcome,
        // The job of a cancellation has not failed.
        error: error.filter(|_| outcome == SealOutcome::Failed),
    };
    if job.last_seq == 0 {
        draft.open(&open(job));
    }
    draft.seal(seal);
    let sealed = Some((outcome.as_str(), reason.clone()));
    isobar_failpoint::hit("producer.seal.before");
    commit(outbox, job, &mut draft, (None, sealed)).await?;
    job.error = reason;
    isobar_failpoint::hit("producer.seal.after");
    Ok(outbox.drop_seen().await?)
}

/// Commits the draft as the next batch of the job.
async fn commit(
    outbox: &Outbox,
    job: &mut OutboxJob,
    draft: &mut BatchDraft,
    (cursor, sealed): (Option<SourceCursor>, Option<(&'static str, Option<String>)>),
) -> Result<(), SourceError> {
    let seq = job.last_seq + 1;
    let position = ChainPosition { job: job.key, seq, previous_hash: job.last_hash.clone() };
    let frozen = draft.freeze(position, cursor, sealed);
    let hash = frozen.hash.clone();
    let (rows, tasks) = (job.rows + frozen.rows, job.tasks + frozen.n_tasks);
    let rejected = job.rejected + frozen.rejected;
    let duplicates = job.duplicates + frozen.duplicates;
    if !outbox.commit(frozen).await? {
        return Err(SourceError::Taken);
    }
    job.last_seq = seq;
    job.last_hash = hash;
    (job.rows, job.tasks, job.rejected, job.duplicates) = (rows, tasks, rejected, duplicates);
    Ok(())
}

fn open(job: &OutboxJob) -> ControlMessage {
    ControlMessage::Open(JobOpen {
        job_id: job.job_id,
        job_kind: job.kind,
        pipeline: job.spec.pipeline,
        source: job.source.clone(),
        slot: job.slot.clone(),
        created_at: job.created_at,
    })
}
