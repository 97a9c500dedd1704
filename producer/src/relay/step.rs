//! One step of the relay: appends one batch of the next job.
//!
//! A batch is read from the outbox while the append of the one before is under way.
//! Does not: wait. A step reports what happened, and [`drive`](super::drive) decides how long to
//! wait; [`confirm`](super::confirm) finds out what is finished and what was lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_broker::{
    AppendBatch, AppendOutcome, BatchRecord, Broker, BrokerError, FLAGS_REFRESH, Flag, Flags,
    PUBLISHER_LEASE, Topic,
};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_sqlite::SqliteError;
use isobar_telemetry::metric::Metric;
use metrics::counter;

use super::in_ledger::InLedger;
use super::lanes::{JobLane, next_job, next_other_job};
use super::slots::{OwnList, SlotDecision, decide};
use crate::cancel::cancel;
use crate::outbox::{JobKey, Outbox, SentMark, StoredBatch};
use crate::progress::{RunProgress, add};
use crate::source::SourceError;

/// Marks that may wait for another transaction before they get one of their own.
const MAX_UNWRITTEN_MARKS: usize = 64;
/// Batches whose records one call asks for.
const RECORDS: usize = 200;
/// Steps after which the relay looks for new jobs.
const REFRESH_EVERY: u32 = 16;

const PUBLISHED: Metric = Metric::counter(
    "isobar_producer_published_tasks_total",
    "Tasks that this process has appended to the stream.",
);
const CONFLICTS: Metric = Metric::counter(
    "isobar_producer_conflicts_total",
    "Jobs that are not sent because the stream holds other content under their numbers.",
);
pub(super) const FAILURES: Metric = Metric::counter(
    "isobar_producer_broker_failures_total",
    "Calls of the relay that the broker did not answer or refused.",
);

pub const METRICS: &[Metric] = &[PUBLISHED, CONFLICTS, FAILURES];

pub struct Relay {
    pub(super) outbox: Outbox,
    pub(super) broker: Broker,
    pub(super) pipeline: PipelineName,
    pub(super) topic: Topic,
    high_water: u64,
    /// How long confirmed batches are kept.
    pub(super) keep: Duration,
    pub(super) progress: Arc<RunProgress>,
    pub(super) lanes: BTreeMap<JobKey, JobLane>,
    /// The job whose batch was sent last: the turn of the next job is after it.
    last: JobKey,
    pub(super) ahead: Option<(JobKey, StoredBatch)>,
    steps: u32,
    /// The flags that operators have set, and when they were read.
    flags: Option<(Instant, Flags)>,
    published: HashMap<JobId, u64>,
    conflicts: Vec<JobId>,
    outbox_id: Option<String>,
    in_ledger: Arc<InLedger>,
}

/// The stream to which a relay appends. It sends only the jobs of that stream.
#[derive(Clone, Debug)]
pub struct Target {
    pub pipeline: PipelineName,
    pub topic: Topic,
    pub high_water: u64,
    /// How long confirmed batches are kept.
    pub keep: Duration,
}

impl Target {
    pub fn of(pipeline: PipelineName, settings: &Settings) -> Self {
        Self {
            pipeline: pipeline.stream(),
            topic: Topic::of(pipeline, settings),
            high_water: settings.high_water(),
            keep: settings.outbox_keep.0,
        }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayStep {
    Sent,
    /// The stream expects another batch than the one offered.
    Moved,
    Conflict,
    Full {
        unfinished: u64,
    },
    /// Nothing to send.
    Idle,
}

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Outbox(#[from] SqliteError),
    #[error("a cancelled job cannot be sealed")]
    Cancel(#[source] Box<SourceError>),
}

impl Relay {
    pub fn new(outbox: Outbox, broker: Broker, target: Target, progress: Arc<RunProgress>) -> Self {
        let Target { pipeline, topic, high_water, keep } = target;
        Self {
            outbox,
            broker,
            pipeline,
            topic,
            high_water,
            keep,
            progress,
            lanes: BTreeMap::new(),
            last: 0,
            ahead: None,
            steps: 0,
            flags: None,
            published: HashMap::new(),
            conflicts: Vec::new(),
            outbox_id: None,
            in_ledger: Arc::default(),
        }
    }

    /// Sends only open and seal of these batches.
    pub fn keep_back(&mut self, in_ledger: Arc<InLedger>) {
        self.in_ledger = in_ledger;
    }

    /// The name of the stream.
    pub fn stream(&self) -> &str {
        &self.topic.stream
    }

    /// Tasks of a job that this relay has appended to the stream.
    pub fn published(&self, job: JobId) -> u64 {
        self.published.get(&job).copied().unwrap_or_default()
    }

    /// Jobs under whose numbers the stream holds other content.
    pub fn conflicts(&self) -> &[JobId] {
        &self.conflicts
    }

    /// Paused jobs that have batches to send.
    pub fn paused(&self) -> impl Iterator<Item = JobId> {
        self.lanes.values().filter(|lane| lane.paused && lane.has_more()).map(|lane| lane.job_id)
    }

    /// A complete list that must wait because another outbox is publishing its job, and that outbox.
    pub fn taken(&self) -> Option<(JobId, &str)> {
        self.lanes
            .values()
            .filter(|lane| lane.total.is_some())
            .find_map(|lane| Some((lane.job_id, lane.taken.as_ref()?.outbox.as_str())))
    }

    pub(super) async fn outbox_id(&mut self) -> Result<String, RelayError> {
        if let Some(id) = &self.outbox_id {
            return Ok(id.clone());
        }
        let id = self.outbox.id().await?;
        Ok(self.outbox_id.insert(id).clone())
    }

    /// Appends one batch of the next job.
    pub async fn step(&mut self) -> Result<RelayStep, RelayError> {
        self.steps += 1;
        if self.steps.is_multiple_of(REFRESH_EVERY) || next_job(&self.lanes, self.last).is_none() {
            self.refresh_jobs().await?;
        }
        let Some((key, seq)) = next_job(&self.lanes, self.last) else {
            return Ok(RelayStep::Idle);
        };
        let ahead = self.ahead.take().filter(|(job, batch)| (*job, batch.seq) == (key, seq));
        let batch = match ahead {
            Some((_, batch)) => Some(batch),
            None => self.outbox.batch(key, seq).await?,
        };
        let Some(batch) = batch else {
            // It is not here: confirmed and no longer kept.
            self.lane(key).next = seq + 1;
            return Ok(RelayStep::Moved);
        };
        let tried_before = self.lane(key).tried >= seq;
        let answer = self.append(key, &batch).await?;
        let step = self.settle(key, &batch, answer, tried_before).await?;
        if matches!(step, RelayStep::Full { .. }) {
            self.ahead = Some((key, batch));
        }
        if self.outbox.unwritten_marks() >= MAX_UNWRITTEN_MARKS {
            self.outbox.flush_marks().await?;
        }
        Ok(step)
    }

    /// Appends the batch, and reads the probable next one at the same time.
    async fn append(
        &mut self,
        key: JobKey,
        batch: &StoredBatch,
    ) -> Result<AppendOutcome, RelayError> {
        let in_ledger = Arc::clone(&self.in_ledger);
        let (tasks, control) = in_ledger.lines(key, batch);
        let high_water = self.high_water;
        let outbox = self.outbox_id().await?;
        let lane = self.lane(key);
        lane.tried = lane.tried.max(batch.seq);
        let is_last = batch.seq == lane.last_seq;
        let append = AppendBatch {
            job_id: lane.job_id,
            seq: batch.seq,
            hash: &batch.hash,
            previous_hash: &batch.previous_hash,
            floor: lane.floor,
            high_water,
            outbox: if lane.is_republication { "" } else { &outbox },
            total: lane.total.filter(|_| is_last),
            tasks: &tasks,
            control: &control,
        };
        let following = self.following(key);
        let read = async {
            match following {
                Some((job, seq)) => {
                    Ok(self.outbox.batch(job, seq).await?.map(|batch| (job, batch)))
                }
                None => Ok::<_, SqliteError>(None),
            }
        };
        isobar_failpoint::hit("producer.append.before");
        let (answer, ahead) = tokio::join!(self.broker.append(&self.topic, &append), read);
        if matches!(answer, Ok(AppendOutcome::Sent | AppendOutcome::Duplicate)) {
            isobar_failpoint::hit("producer.append.after");
        }
        self.ahead = ahead?;
        Ok(answer?)
    }

    /// The job and batch after this batch of `key`.
    fn following(&self, key: JobKey) -> Option<(JobKey, u64)> {
        let own = self.lanes.get(&key)?;
        let other = next_other_job(&self.lanes, key);
        other.or_else(|| (own.next < own.last_seq).then_some((key, own.next + 1)))
    }

    async fn settle(
        &mut self,
        key: JobKey,
        batch: &StoredBatch,
        answer: AppendOutcome,
        tried_before: bool,
    ) -> Result<RelayStep, RelayError> {
        if !matches!(answer, AppendOutcome::Full { .. }) {
            self.last = key;
        }
        match answer {
            AppendOutcome::Sent => {
                self.count(key, batch);
                self.sent(key, batch.seq);
                Ok(RelayStep::Sent)
            }
            AppendOutcome::Duplicate => {
                // The reply to an earlier append was lost: this process sent the batch.
                if tried_before {
                    self.count(key, batch);
                }
                self.sent(key, batch.seq);
                Ok(RelayStep::Sent)
            }
            AppendOutcome::Gap { expected } => self.resume_at(key, expected).await,
            AppendOutcome::Full { unfinished } => Ok(RelayStep::Full { unfinished }),
            AppendOutcome::Taken(publisher) => {
                self.lane(key).taken = Some(publisher);
                self.settle_taken(key).await?;
                Ok(RelayStep::Moved)
            }
            AppendOutcome::Conflict => {
                let why = format!("the stream holds other content under batch {}", batch.seq);
                self.conflict(key, &why).await
            }
        }
    }

    /// Decides about a job that another outbox publishes, as soon as its own list is complete.
    async fn settle_taken(&mut self, key: JobKey) -> Result<(), RelayError> {
        let lane = self.lane(key);
        let Some(publisher) = lane.taken.clone() else { return Ok(()) };
        let job_id = lane.job_id;
        let (sealed, rows, last_seq) = (lane.total.is_some(), lane.total, lane.last_seq);
        let was_publisher = lane.was_published || lane.counted > 0;
        let there = self.outbox.batch(key, publisher.seq).await?;
        let may_be_damaged = publisher.total.is_some() && publisher.silent >= PUBLISHER_LEASE;
        let is_damaged = may_be_damaged && self.is_damaged(job_id, last_seq).await?;
        let own = OwnList {
            sealed,
            was_publisher,
            is_damaged,
            rows: rows.unwrap_or_default(),
            last_seq,
            hash_there: there.map(|batch| batch.hash),
        };
        let host = &publisher.outbox;
        match decide(&publisher, &own) {
            SlotDecision::Wait | SlotDecision::AtWork => return Ok(()),
            SlotDecision::TakeOver => {
                let outbox = self.outbox_id().await?;
                tracing::warn!(%job_id, publisher = host, "another host has published part of this slot; continuing the same list");
                self.broker.take_over(&self.topic, job_id, host, &outbox).await?;
                self.lane(key).taken = None;
                return Ok(());
            }
            SlotDecision::Same => {
                tracing::info!(%job_id, publisher = host, "another host has published the same list for this slot; nothing to publish");
                self.outbox.leave_to_other(key, None).await?;
            }
            SlotDecision::Superseded(why) => {
                tracing::warn!(%job_id, publisher = host, "{why}");
                self.outbox.leave_to_other(key, Some(why)).await?;
            }
            SlotDecision::Conflict(why) => {
                self.conflict(key, &why).await?;
                return Ok(());
            }
        }
        self.lanes.remove(&key);
        Ok(())
    }

    /// Whether the stream lacks entries of a job's batches that workers have not acknowledged.
    async fn is_damaged(&self, job: JobId, last_seq: u64) -> Result<bool, RelayError> {
        let seqs: Vec<u64> = (1..=last_seq).collect();
        for page in seqs.chunks(RECORDS) {
            // Asked without the name of this outbox: it does not publish the job.
            let records = self.broker.batch_records(&self.topic, job, "", page).await?;
            if records.iter().flatten().any(BatchRecord::is_lost) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A conflict needs a person: the job is not sent any more, the others are.
    async fn conflict(&mut self, key: JobKey, why: &str) -> Result<RelayStep, RelayError> {
        let job_id = self.lane(key).job_id;
        counter!(CONFLICTS.name).increment(1);
        tracing::error!(%job_id, "{why}; the job needs a decision (see `isobar outbox status`)");
        self.outbox.mark_conflicted(key, why).await?;
        self.conflicts.push(job_id);
        self.lanes.remove(&key);
        Ok(RelayStep::Conflict)
    }

    /// Continues at the batch that the stream expects.
    async fn resume_at(&mut self, key: JobKey, expected: u64) -> Result<RelayStep, RelayError> {
        let lane = self.lane(key);
        let (job_id, floor) = (lane.job_id, lane.floor);
        if expected >= floor {
            lane.next = expected;
            return Ok(RelayStep::Moved);
        }
        if lane.forgotten_below > 0 {
            let why = format!(
                "the stream asks for batch {expected}, but the outbox starts at {floor}: another outbox has sent this job"
            );
            return self.conflict(key, &why).await;
        }
        // The stream lost its last second, and with it the watermark of this job. All batches
        // below the floor are committed (I3), so the job continues at the floor.
        lane.forgotten_below = floor;
        lane.next = floor;
        tracing::warn!(%job_id, expected, floor, "the stream forgot confirmed batches; continuing after them");
        self.broker.drop_watermark(&self.topic, job_id).await?;
        Ok(RelayStep::Moved)
    }

    fn sent(&mut self, key: JobKey, seq: u64) {
        self.lane(key).next = seq + 1;
        self.outbox.mark_sent(SentMark { job: key, seq });
    }

    fn count(&mut self, key: JobKey, batch: &StoredBatch) {
        let lane = self.lane(key);
        if batch.seq <= lane.counted {
            return;
        }
        lane.counted = batch.seq;
        let job_id = lane.job_id;
        if self.in_ledger.contains(key, batch.seq) {
            self.in_ledger.count(batch);
            return;
        }
        *self.published.entry(job_id).or_default() += batch.n_tasks;
        add(&self.progress.published, batch.n_tasks);
        counter!(PUBLISHED.name).increment(batch.n_tasks);
    }

    fn lane(&mut self, key: JobKey) -> &mut JobLane {
        self.lanes.get_mut(&key).expect("a lane is removed only with its job")
    }

    /// Updates the lanes from the outbox.
    pub(super) async fn refresh_jobs(&mut self) -> Result<(), RelayError> {
        let flags = self.refresh_flags().await?;
        let open = self.outbox.open_jobs(self.pipeline).await?;
        self.lanes.retain(|key, _| open.iter().any(|job| job.key == *key));
        for job in &open {
            let lane = self
                .lanes
                .entry(job.key)
                .and_modify(|lane| {
                    lane.last_seq = job.last_seq;
                    lane.total = job.sealed.then_some(job.rows);
                    lane.floor = job.confirmed_seq + 1;
                })
                .or_insert_with(|| JobLane::new(job));
            lane.paused = flags.job(job.job_id).is_some();
        }
        let taken: Vec<JobKey> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.taken.is_some())
            .map(|(key, _)| *key)
            .collect();
        for key in taken {
            self.settle_taken(key).await?;
        }
        Ok(())
    }

    /// The flags that operators have set, at most [`FLAGS_REFRESH`] old. Cancelled jobs are
    /// sealed, in whatever process they are being extracted.
    async fn refresh_flags(&mut self) -> Result<Flags, RelayError> {
        if let Some((at, flags)) = &self.flags
            && at.elapsed() < FLAGS_REFRESH
        {
            return Ok(flags.clone());
        }
        let flags = self.broker.flags(&self.topic).await?;
        for (job, flag, set) in flags.of_jobs() {
            if matches!(flag, Flag::JobCancelled(_)) {
                // Boxed: it is rare, and too large to be part of every step.
                let sealed = Box::pin(cancel(&self.outbox, job, &set.by)).await;
                sealed.map_err(|error| RelayError::Cancel(Box::new(error)))?;
            }
        }
        self.flags = Some((Instant::now(), flags.clone()));
        Ok(flags)
    }
}
