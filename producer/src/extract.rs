//! Extraction: fills batches from a source and freezes them in the outbox.
//!
//! One [`step`](Extraction::step) is one batch. Each batch except the last holds exactly the number
//! of tasks in the setting, and the rejects between them. The first batch carries the open of the
//! job, the last its seal; a republication has neither.
//!
//! Guarantees: the source gives at most as many rows as the batch has room for, so its cursor is
//! right behind the batch, and both commit together (I1). If a source fails half-way, all frozen
//! batches stay and the next run reads the draft again. If a source can never be read to its end,
//! its job is sealed as failed.

use std::sync::Arc;

use isobar_model::ids::TaskId;
use isobar_model::task::{Control, JobOpen, JobSeal, Reject, SealOutcome, TaskHead};
use isobar_settings::Settings;
use isobar_store::Store;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, BatchDraft, BatchSize, ChainPosition};
use crate::outbox::{JobState, Outbox, OutboxJob, SeenKeys};
use crate::progress::{Progress, add, set};
use crate::rejects::RejectFile;
use crate::source::{Row, Source, SourceContext, SourceError, SourceRow};

/// Rows of one batch, even if nearly all are duplicates: a kill costs as much to read again.
const MAX_ROWS_PER_BATCH: u64 = 100_000;

/// A job and how far its source is read.
pub struct Extraction {
    outbox: Outbox,
    job: OutboxJob,
    source: Source,
    size: BatchSize,
    draft: BatchDraft,
    seen: SeenKeys,
    progress: Arc<Progress>,
    rejects: Option<RejectFile>,
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
    pub progress: &'a Arc<Progress>,
    pub shutdown: &'a CancellationToken,
    pub rejects: Option<RejectFile>,
}

impl Extraction {
    /// Opens the source of the job at its cursor. An unusable source seals the job as failed and is
    /// returned as the error.
    pub async fn open(job: OutboxJob, context: Context<'_>) -> Result<Self, SourceError> {
        debug_assert_eq!(job.state, JobState::Extracting);
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
            Err(SourceError::Unusable { reason }) => {
                seal_as_failed(outbox, &job, BatchDraft::default(), &reason).await?;
                return Err(SourceError::Unusable { reason });
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
        })
    }

    pub fn job(&self) -> &OutboxJob {
        &self.job
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
                Err(SourceError::Unusable { reason }) => return self.seal_failed(reason).await,
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                return self.finish().await;
            }
            self.take(rows).await?;
        }
        self.freeze(None).await?;
        self.seen.compact(&self.outbox).await?;
        Ok(ExtractStep::Froze)
    }

    async fn take(&mut self, rows: Vec<SourceRow>) -> Result<(), SourceError> {
        let keys: Vec<TaskId> = rows
            .iter()
            .filter_map(|row| match &row.row {
                Row::Task(subject) => Some(self.job.job_id.task(&subject.key())),
                Row::Reject(_) | Row::Republished(_) => None,
            })
            .collect();
        let is_new = self.seen.insert_new(&self.outbox, &keys).await?;
        let mut keys = keys.into_iter().zip(is_new);
        add(&self.progress.rows, rows.len() as u64);
        for SourceRow { number, row } in rows {
            match row {
                Row::Republished(task) => {
                    self.draft.push(task.fields());
                    add(&self.progress.tasks, 1);
                }
                Row::Reject(error) => {
                    let reject = batch::reject(self.job.job_id, number, error);
                    self.record_reject(&reject)?;
                    self.draft.reject(reject);
                    add(&self.progress.rejected, 1);
                }
                Row::Task(subject) => {
                    if let Some((id, true)) = keys.next() {
                        let head = TaskHead {
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
        match &mut self.rejects {
            Some(rejects) => rejects.add(reject),
            None => Ok(()),
        }
    }

    /// Freezes the rest and the seal, at the end of the source.
    async fn finish(&mut self) -> Result<ExtractStep, SourceError> {
        if self.job.spec.is_republication() {
            return self.finish_republication().await;
        }
        let (rows, rejected, duplicates) = self.counts();
        let nothing_usable = rows == rejected && duplicates == 0;
        if nothing_usable && self.job.spec.path().is_some() && !self.limit_is_zero() {
            let reason = match rows {
                0 => format!("{} has a header but no rows", self.job.source),
                rows => format!("{} has no usable row: all {rows} were rejected", self.job.source),
            };
            return self.seal_failed(reason).await;
        }
        self.seal(SealOutcome::Complete);
        self.freeze(Some((SealOutcome::Complete.as_str(), None))).await?;
        self.outbox.drop_seen().await?;
        Ok(ExtractStep::Sealed)
    }

    /// Without a seal, the last tasks are a batch like the others: its letters are deleted before
    /// the job ends.
    async fn finish_republication(&mut self) -> Result<ExtractStep, SourceError> {
        if self.draft.has_tasks() {
            self.freeze(None).await?;
            return Ok(ExtractStep::Froze);
        }
        isobar_failpoint::hit("republish.end.before");
        self.outbox.end_republication(self.job.key).await?;
        isobar_failpoint::hit("republish.end.after");
        Ok(ExtractStep::Sealed)
    }

    /// Rows, rejected rows and duplicates, those of the draft included.
    fn counts(&self) -> (u64, u64, u64) {
        let (rejected, duplicates) = self.draft.reject_counts();
        (
            self.job.rows + self.draft.rows(),
            self.job.rejected + rejected,
            self.job.duplicates + duplicates,
        )
    }

    fn limit_is_zero(&self) -> bool {
        self.job.spec.limit == Some(0)
    }

    async fn seal_failed(&mut self, reason: String) -> Result<ExtractStep, SourceError> {
        let draft = std::mem::take(&mut self.draft);
        seal_as_failed(&self.outbox, &self.job, draft, &reason).await?;
        self.job.error = Some(reason);
        Ok(ExtractStep::SealedAsFailed)
    }

    fn seal(&mut self, outcome: SealOutcome) {
        let (rows, rejected, duplicates) = self.counts();
        self.draft.control(&Control::Seal(JobSeal {
            job_id: self.job.job_id,
            rows,
            rejected,
            duplicates,
            outcome,
        }));
    }

    async fn freeze(
        &mut self,
        sealed: Option<(&'static str, Option<String>)>,
    ) -> Result<(), SourceError> {
        let is_seal = sealed.is_some();
        let cursor = (!is_seal).then(|| self.source.cursor());
        if self.job.last_seq == 0 && !self.job.spec.is_republication() {
            self.draft.control(&open(&self.job));
        }
        let frozen = self.draft.freeze(next_position(&self.job), cursor, sealed);
        let (seq, hash) = (frozen.seq, frozen.hash.clone());
        let added = (frozen.rows, frozen.n_tasks, frozen.rejected, frozen.duplicates);
        if is_seal {
            isobar_failpoint::hit("producer.seal.before");
        } else {
            isobar_failpoint::hit("producer.extract.before");
        }
        if !self.outbox.commit(frozen).await? {
            return Err(SourceError::Taken);
        }
        if is_seal {
            isobar_failpoint::hit("producer.seal.after");
        } else {
            isobar_failpoint::hit("producer.extract.after");
        }
        self.job.last_seq = seq;
        self.job.last_hash = hash;
        self.job.rows += added.0;
        self.job.tasks += added.1;
        self.job.rejected += added.2;
        self.job.duplicates += added.3;
        self.source.committed().await
    }
}

fn next_position(job: &OutboxJob) -> ChainPosition {
    ChainPosition { job: job.key, seq: job.last_seq + 1, previous_hash: job.last_hash.clone() }
}

fn open(job: &OutboxJob) -> Control {
    Control::Open(JobOpen {
        job_id: job.job_id,
        job_kind: job.kind,
        pipeline: job.spec.pipeline,
        source: job.source.clone(),
        slot: job.slot.clone(),
        created_at: job.created_at,
    })
}

/// Seals a job whose source can never be read to its end, with the rows that were read.
pub(crate) async fn seal_as_failed(
    outbox: &Outbox,
    job: &OutboxJob,
    draft: BatchDraft,
    reason: &str,
) -> Result<(), SourceError> {
    seal_early(outbox, job, draft, (SealOutcome::Failed, reason)).await
}

/// Seals a job before the end of its source: how it ended, and why.
pub(crate) async fn seal_early(
    outbox: &Outbox,
    job: &OutboxJob,
    mut draft: BatchDraft,
    (outcome, reason): (SealOutcome, &str),
) -> Result<(), SourceError> {
    if job.spec.is_republication() {
        return Ok(outbox.end_republication(job.key).await?);
    }
    let (rejected, duplicates) = draft.reject_counts();
    if job.last_seq == 0 {
        draft.control(&open(job));
    }
    draft.control(&Control::Seal(JobSeal {
        job_id: job.job_id,
        rows: job.rows + draft.rows(),
        rejected: job.rejected + rejected,
        duplicates: job.duplicates + duplicates,
        outcome,
    }));
    let sealed = Some((outcome.as_str(), Some(reason.to_owned())));
    isobar_failpoint::hit("producer.seal.before");
    if !outbox.commit(draft.freeze(next_position(job), None, sealed)).await? {
        return Err(SourceError::Taken);
    }
    isobar_failpoint::hit("producer.seal.after");
    outbox.drop_seen().await?;
    Ok(())
}
