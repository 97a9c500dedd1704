//! From rows to frozen batches in the outbox: one [`step`](Extraction::step) is one batch.
//!
//! A batch holds exactly as many tasks as the setting says, but for the last; rejects travel in the
//! batch of the rows around them. Never more rows are taken from the source than the batch has
//! room for, so the source's cursor always stands right behind the batch, and both commit together
//! (I1). The first batch carries the job's open, the last its seal.
//!
//! A source that fails half-way leaves everything that is frozen; the draft is read again by the
//! next run. A source that can never be read to its end seals its job as failed.

use std::sync::Arc;

use isobar_model::ids::TaskId;
use isobar_model::task::{Control, JobOpen, JobSeal, Reject, SealOutcome, TaskHead};
use isobar_settings::Settings;
use isobar_store::Store;
use tokio_util::sync::CancellationToken;

use crate::batch::{self, Draft, Place, Size};
use crate::outbox::{Job, JobState, Outbox, Seen};
use crate::progress::{Progress, add, set};
use crate::rejects::Rejects;
use crate::source::{Row, Source, SourceError, SourceRow, Surroundings};

/// Rows behind one batch, even if nearly all are duplicates: what a kill costs is read again.
const MAX_ROWS_PER_BATCH: u64 = 100_000;

/// The job on its way through.
pub struct Extraction {
    outbox: Outbox,
    job: Job,
    source: Source,
    size: Size,
    draft: Draft,
    seen: Seen,
    progress: Arc<Progress>,
    rejects: Option<Rejects>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Froze,
    /// The last batch: the source is read to its end, or to the limit.
    Sealed,
    /// It is no source at all; the job is sealed as failed.
    SealedAsFailed,
}

/// What an extraction needs beside its job.
pub struct Context<'a> {
    pub settings: &'a Settings,
    pub outbox: &'a Outbox,
    /// For sources that are the store.
    pub store: Option<&'a Store>,
    pub progress: &'a Arc<Progress>,
    pub shutdown: &'a CancellationToken,
    pub rejects: Option<Rejects>,
}

impl Extraction {
    /// Opens the job's source where the job stands. A source that is none at all
    /// seals the job as failed and comes back as the error.
    pub async fn open(job: Job, context: Context<'_>) -> Result<Self, SourceError> {
        debug_assert_eq!(job.state, JobState::Extracting);
        let Context { settings, outbox, store, progress, shutdown, rejects } = context;
        set(&progress.rows, job.rows);
        set(&progress.tasks, job.tasks);
        set(&progress.rejected, job.rejected);
        set(&progress.duplicates, job.duplicates);
        set(&progress.bytes_total, job.spec.bytes_total().unwrap_or_default());
        set(&progress.rows_total, job.spec.rows_total().unwrap_or_default());
        let around = Surroundings { settings, outbox, store, shutdown };
        let opened = job.spec.open(job.cursor.clone(), around).await;
        let source = match opened {
            Ok(source) => source,
            Err(SourceError::Unusable { reason }) => {
                seal_as_failed(outbox, &job, Draft::default(), &reason).await?;
                return Err(SourceError::Unusable { reason });
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            seen: Seen::load(outbox, job.key).await?,
            outbox: outbox.clone(),
            job,
            source,
            size: Size(settings.batch_size),
            draft: Draft::default(),
            progress: Arc::clone(progress),
            rejects,
        })
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Fills and freezes one batch.
    pub async fn step(&mut self) -> Result<Step, SourceError> {
        while !self.draft.is_full(self.size) && self.draft.rows() < MAX_ROWS_PER_BATCH {
            let taken = self.job.rows + self.draft.rows();
            let left = self.job.spec.limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken));
            let room = (self.draft.room(self.size) as u64).min(left);
            let rows = match self.source.read(room as usize).await {
                _ if room == 0 => Vec::new(),
                Ok(rows) => rows,
                Err(SourceError::Unusable { reason }) => return self.give_up(reason).await,
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                return self.finish().await;
            }
            self.take(rows).await?;
        }
        self.freeze(None).await?;
        self.seen.fold(&self.outbox).await?;
        Ok(Step::Froze)
    }

    async fn take(&mut self, rows: Vec<SourceRow>) -> Result<(), SourceError> {
        let keys: Vec<TaskId> = rows
            .iter()
            .filter_map(|row| match &row.row {
                Row::Task(subject) => Some(self.job.job_id.task(&subject.key())),
                Row::Reject(_) => None,
            })
            .collect();
        let first_times = self.seen.first_times(&self.outbox, &keys).await?;
        let mut keys = keys.into_iter().zip(first_times);
        add(&self.progress.rows, rows.len() as u64);
        for SourceRow { number, row } in rows {
            match row {
                Row::Reject(unusable) => {
                    let reject = batch::reject(self.job.job_id, number, unusable);
                    self.tell(&reject)?;
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

    fn tell(&mut self, reject: &Reject) -> Result<(), SourceError> {
        match &mut self.rejects {
            Some(rejects) => rejects.add(reject),
            None => Ok(()),
        }
    }

    /// The end of the source: the rest and the seal.
    async fn finish(&mut self) -> Result<Step, SourceError> {
        let accounts = self.accounts();
        let nothing_usable = accounts.0 == accounts.1 && accounts.2 == 0;
        if nothing_usable && self.job.spec.path().is_some() && !self.limit_is_zero() {
            let reason = match accounts.0 {
                0 => format!("{} has a header and no rows", self.job.source),
                rows => format!("{} has no usable row: all {rows} were rejected", self.job.source),
            };
            return self.give_up(reason).await;
        }
        self.seal(SealOutcome::Complete);
        self.freeze(Some((SealOutcome::Complete.as_str(), None))).await?;
        self.outbox.drop_seen().await?;
        Ok(Step::Sealed)
    }

    /// Rows, rejected and duplicates, the draft's included.
    fn accounts(&self) -> (u64, u64, u64) {
        let (rejected, duplicates) = self.draft.unusable();
        (
            self.job.rows + self.draft.rows(),
            self.job.rejected + rejected,
            self.job.duplicates + duplicates,
        )
    }

    fn limit_is_zero(&self) -> bool {
        self.job.spec.limit == Some(0)
    }

    async fn give_up(&mut self, reason: String) -> Result<Step, SourceError> {
        let draft = std::mem::take(&mut self.draft);
        seal_as_failed(&self.outbox, &self.job, draft, &reason).await?;
        self.job.error = Some(reason);
        Ok(Step::SealedAsFailed)
    }

    fn seal(&mut self, outcome: SealOutcome) {
        let (rows, rejected, duplicates) = self.accounts();
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
        if self.job.last_seq == 0 {
            self.draft.control(&open(&self.job));
        }
        let frozen = self.draft.freeze(next_place(&self.job), cursor, sealed);
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
        Ok(())
    }
}

fn next_place(job: &Job) -> Place {
    Place { job: job.key, seq: job.last_seq + 1, previous_hash: job.last_hash.clone() }
}

fn open(job: &Job) -> Control {
    Control::Open(JobOpen {
        job_id: job.job_id,
        job_kind: job.kind,
        pipeline: job.spec.pipeline,
        source: job.source.clone(),
        slot: job.slot.clone(),
        created_at: job.created_at,
    })
}

/// Seals a job whose source will never be read to its end, with what was taken until then.
pub(crate) async fn seal_as_failed(
    outbox: &Outbox,
    job: &Job,
    draft: Draft,
    reason: &str,
) -> Result<(), SourceError> {
    seal_early(outbox, job, draft, (SealOutcome::Failed, reason)).await
}

/// Seals a job before the end of its source: how it ended, and why.
pub(crate) async fn seal_early(
    outbox: &Outbox,
    job: &Job,
    mut draft: Draft,
    (outcome, reason): (SealOutcome, &str),
) -> Result<(), SourceError> {
    let (rejected, duplicates) = draft.unusable();
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
    if !outbox.commit(draft.freeze(next_place(job), None, sealed)).await? {
        return Err(SourceError::Taken);
    }
    isobar_failpoint::hit("producer.seal.after");
    outbox.drop_seen().await?;
    Ok(())
}
