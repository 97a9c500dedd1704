//! From the outbox into the stream: one [`step`](Relay::step) is one append.
//!
//! Guarantees: each batch is appended once (the stream's watermark decides, I1); batches of
//! unfinished jobs take turns, so a small import does not wait behind a large one, and a paused one
//! loses its turn; whatever the stream answers, nothing is dropped here. A batch is passed on as the bytes that were frozen
//! (I2), and the next one is read while an append is under way.
//!
//! Deliberately absent: patience. A step says what happened; [`drive`] decides how long to wait,
//! and [`confirm`] finds out what is finished and what was lost.

mod confirm;
mod drive;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use isobar_broker::{
    Append, Appended, Broker, BrokerError, Receipt, SWITCHES_EVERY, Switch, Switches, Topic,
};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_sqlite::SqliteError;
use isobar_telemetry::metric::Metric;
use metrics::counter;

pub use drive::{Patience, RelayEnd, drive};

use crate::cancel::cancel;
use crate::outbox::{JobKey, Mark, OpenJob, Outbox, StoredBatch};
use crate::progress::{Progress, add};
use crate::source::SourceError;

/// Marks that may wait for someone else's transaction before they get one of their own.
const MAX_UNWRITTEN_MARKS: usize = 64;
/// Steps between two looks for jobs that were opened meanwhile.
const LOOK_EVERY: u32 = 16;

const PUBLISHED: Metric = Metric::counter(
    "isobar_producer_published_tasks_total",
    "Tasks that this process has put into the stream.",
);
const CONFLICTS: Metric = Metric::counter(
    "isobar_producer_conflicts_total",
    "Jobs that were left alone because the stream holds something else under their numbers.",
);
const FAILURES: Metric = Metric::counter(
    "isobar_producer_broker_failures_total",
    "Appends and looks of the relay that the broker did not answer or refused.",
);

pub const METRICS: &[Metric] = &[PUBLISHED, CONFLICTS, FAILURES];

pub struct Relay {
    outbox: Outbox,
    broker: Broker,
    pipeline: PipelineName,
    topic: Topic,
    high_water: u64,
    progress: Arc<Progress>,
    lanes: BTreeMap<JobKey, Lane>,
    /// Whose batch was sent last: the next job's turn is after it.
    last: JobKey,
    ahead: Option<(JobKey, StoredBatch)>,
    steps: u32,
    /// What operators have switched, and when we looked.
    switches: Option<(Instant, Switches)>,
    published: HashMap<JobId, u64>,
    conflicts: Vec<JobId>,
}

/// Where a relay appends; it takes the jobs of that stream and leaves the others alone.
#[derive(Clone, Debug)]
pub struct Target {
    pub pipeline: PipelineName,
    pub topic: Topic,
    pub high_water: u64,
}

impl Target {
    pub fn of(pipeline: PipelineName, settings: &Settings) -> Self {
        Self {
            pipeline: pipeline.stream(),
            topic: Topic::of(pipeline, settings),
            high_water: settings.high_water(),
        }
    }
}

/// One job's way.
#[derive(Clone, Debug)]
struct Lane {
    job_id: JobId,
    last_seq: u64,
    /// The lowest batch that is not confirmed.
    floor: u64,
    next: u64,
    /// The highest batch that this process tried to append: if it turns out to be there, we did it.
    tried: u64,
    /// The highest batch that was counted as published: what is sent again is not counted again.
    counted: u64,
    /// Whether a watermark below the floor was dropped already.
    forgotten: bool,
    /// Nothing of it is sent for now.
    paused: bool,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Sent,
    /// The stream wants to go on with another batch than the one offered.
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
    pub fn new(outbox: Outbox, broker: Broker, target: Target, progress: Arc<Progress>) -> Self {
        let Target { pipeline, topic, high_water } = target;
        Self {
            outbox,
            broker,
            pipeline,
            topic,
            high_water,
            progress,
            lanes: BTreeMap::new(),
            last: 0,
            ahead: None,
            steps: 0,
            switches: None,
            published: HashMap::new(),
            conflicts: Vec::new(),
        }
    }

    /// The stream that it appends to.
    pub fn stream(&self) -> &str {
        &self.topic.stream
    }

    /// Tasks of a job that this relay has put into the stream.
    pub fn published(&self, job: JobId) -> u64 {
        self.published.get(&job).copied().unwrap_or_default()
    }

    /// Jobs under whose numbers the stream holds something else.
    pub fn conflicts(&self) -> &[JobId] {
        &self.conflicts
    }

    /// Jobs that have something to send and are paused.
    pub fn paused(&self) -> impl Iterator<Item = JobId> {
        self.lanes.values().filter(|lane| lane.paused && lane.has_more()).map(|lane| lane.job_id)
    }

    /// Appends one batch of the job whose turn it is.
    pub async fn step(&mut self) -> Result<Step, RelayError> {
        self.steps += 1;
        if self.steps.is_multiple_of(LOOK_EVERY) || turn(&self.lanes, self.last).is_none() {
            self.look().await?;
        }
        let Some((key, seq)) = turn(&self.lanes, self.last) else {
            return Ok(Step::Idle);
        };
        let ahead = self.ahead.take().filter(|(job, batch)| (*job, batch.seq) == (key, seq));
        let batch = match ahead {
            Some((_, batch)) => Some(batch),
            None => self.outbox.batch(key, seq).await?,
        };
        let Some(batch) = batch else {
            // Confirmed and pruned already: it need not be sent.
            self.lane(key).next = seq + 1;
            return Ok(Step::Moved);
        };
        let tried_before = self.lane(key).tried >= seq;
        let answer = self.append(key, &batch).await?;
        let step = self.settle(key, &batch, answer, tried_before).await?;
        if matches!(step, Step::Full { .. }) {
            self.ahead = Some((key, batch));
        }
        if self.outbox.unwritten_marks() >= MAX_UNWRITTEN_MARKS {
            self.outbox.flush_marks().await?;
        }
        Ok(step)
    }

    /// Appends, and meanwhile reads the batch that will most likely be next.
    async fn append(&mut self, key: JobKey, batch: &StoredBatch) -> Result<Appended, RelayError> {
        let (tasks, control) = batch.lines();
        let high_water = self.high_water;
        let lane = self.lane(key);
        lane.tried = lane.tried.max(batch.seq);
        let append = Append {
            job_id: lane.job_id,
            seq: batch.seq,
            hash: &batch.hash,
            previous_hash: &batch.previous_hash,
            floor: lane.floor,
            high_water,
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
        if matches!(answer, Ok(Appended::Sent(_))) {
            isobar_failpoint::hit("producer.append.after");
        }
        self.ahead = ahead?;
        Ok(answer?)
    }

    /// Whose turn it is after `key`'s batch is sent.
    fn following(&self, key: JobKey) -> Option<(JobKey, u64)> {
        let own = self.lanes.get(&key)?;
        let other = turn_of_others(&self.lanes, key);
        other.or_else(|| (own.next < own.last_seq).then_some((key, own.next + 1)))
    }

    async fn settle(
        &mut self,
        key: JobKey,
        batch: &StoredBatch,
        answer: Appended,
        tried_before: bool,
    ) -> Result<Step, RelayError> {
        if !matches!(answer, Appended::Full { .. }) {
            self.last = key;
        }
        match answer {
            Appended::Sent(receipt) => {
                self.count(key, batch);
                self.sent(key, batch.seq, receipt);
                Ok(Step::Sent)
            }
            Appended::Duplicate(receipt) => {
                // The reply of an earlier append was lost: it was this process that sent it.
                if tried_before {
                    self.count(key, batch);
                }
                self.sent(key, batch.seq, receipt);
                Ok(Step::Sent)
            }
            Appended::Gap { expected } => self.mind_the_gap(key, expected).await,
            Appended::Full { unfinished } => Ok(Step::Full { unfinished }),
            Appended::Conflict => {
                let why = format!("the stream holds another content under batch {}", batch.seq);
                self.conflict(key, &why).await
            }
        }
    }

    /// Only a person can judge this: the job is left as it is, the others go on.
    async fn conflict(&mut self, key: JobKey, why: &str) -> Result<Step, RelayError> {
        let job_id = self.lane(key).job_id;
        counter!(CONFLICTS.name).increment(1);
        tracing::error!(%job_id, "{why}; the job is left alone");
        self.outbox.mark_conflicted(key, why).await?;
        self.conflicts.push(job_id);
        self.lanes.remove(&key);
        Ok(Step::Conflict)
    }

    async fn mind_the_gap(&mut self, key: JobKey, expected: u64) -> Result<Step, RelayError> {
        let lane = self.lane(key);
        let (job_id, floor) = (lane.job_id, lane.floor);
        if expected >= floor {
            lane.next = expected;
            return Ok(Step::Moved);
        }
        if lane.forgotten {
            let why = format!(
                "the stream asks for batch {expected}, but the outbox starts at {floor}: another outbox has sent this job"
            );
            return self.conflict(key, &why).await;
        }
        // The stream lost its last second, and with it how far this job got. What is below the
        // floor is committed (I3): let it start at the floor.
        lane.forgotten = true;
        lane.next = floor;
        tracing::warn!(%job_id, expected, floor, "the stream forgot batches that are confirmed; going on behind them");
        self.broker.forget(&self.topic, job_id).await?;
        Ok(Step::Moved)
    }

    fn sent(&mut self, key: JobKey, seq: u64, receipt: Receipt) {
        self.lane(key).next = seq + 1;
        self.outbox.remember_sent(Mark { job: key, seq, receipt });
    }

    fn count(&mut self, key: JobKey, batch: &StoredBatch) {
        let lane = self.lane(key);
        if batch.seq <= lane.counted {
            return;
        }
        lane.counted = batch.seq;
        let job_id = lane.job_id;
        *self.published.entry(job_id).or_default() += batch.n_tasks;
        add(&self.progress.published, batch.n_tasks);
        counter!(PUBLISHED.name).increment(batch.n_tasks);
    }

    fn lane(&mut self, key: JobKey) -> &mut Lane {
        self.lanes.get_mut(&key).expect("a lane is removed only with its job")
    }

    /// Brings the lanes up to what the outbox holds now.
    async fn look(&mut self) -> Result<(), RelayError> {
        let switches = self.look_at_switches().await?;
        let open = self.outbox.open_jobs(self.pipeline).await?;
        self.lanes.retain(|key, _| open.iter().any(|job| job.key == *key));
        for job in &open {
            let lane = self
                .lanes
                .entry(job.key)
                .and_modify(|lane| {
                    lane.last_seq = job.last_seq;
                    lane.floor = job.confirmed_seq + 1;
                })
                .or_insert_with(|| lane(job));
            lane.paused = switches.job(job.job_id).is_some();
        }
        Ok(())
    }

    /// What operators have switched, at most [`SWITCHES_EVERY`] old; jobs that they cancelled
    /// are sealed, wherever they are being extracted.
    async fn look_at_switches(&mut self) -> Result<Switches, RelayError> {
        if let Some((at, switches)) = &self.switches
            && at.elapsed() < SWITCHES_EVERY
        {
            return Ok(switches.clone());
        }
        let switches = self.broker.switches(&self.topic).await?;
        for (job, switch, thrown) in switches.of_jobs() {
            if matches!(switch, Switch::Cancelled(_)) {
                // Rare, and too large to be carried along in every step.
                let sealed = Box::pin(cancel(&self.outbox, job, &thrown.by)).await;
                sealed.map_err(|error| RelayError::Cancel(Box::new(error)))?;
            }
        }
        self.switches = Some((Instant::now(), switches.clone()));
        Ok(switches)
    }
}

impl Lane {
    fn has_more(&self) -> bool {
        self.next <= self.last_seq
    }

    fn may_send(&self) -> bool {
        self.has_more() && !self.paused
    }
}

fn lane(job: &OpenJob) -> Lane {
    Lane {
        job_id: job.job_id,
        last_seq: job.last_seq,
        floor: job.confirmed_seq + 1,
        next: job.first_unsent.max(job.confirmed_seq + 1),
        tried: 0,
        counted: 0,
        forgotten: false,
        paused: false,
    }
}

/// The next job after `last` that has a batch to send, and which.
fn turn(lanes: &BTreeMap<JobKey, Lane>, last: JobKey) -> Option<(JobKey, u64)> {
    turn_of_others(lanes, last).or_else(|| {
        let own = lanes.get(&last)?;
        own.may_send().then_some((last, own.next))
    })
}

fn turn_of_others(lanes: &BTreeMap<JobKey, Lane>, last: JobKey) -> Option<(JobKey, u64)> {
    lanes
        .range(last + 1..)
        .chain(lanes.range(..last))
        .find(|(_, lane)| lane.may_send())
        .map(|(key, lane)| (*key, lane.next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(lengths: &[(JobKey, u64)]) -> BTreeMap<JobKey, Lane> {
        let lane = |last_seq| Lane {
            job_id: JobId::derive("test", "slot"),
            last_seq,
            floor: 1,
            next: 1,
            tried: 0,
            counted: 0,
            forgotten: false,
            paused: false,
        };
        lengths.iter().map(|(key, last_seq)| (*key, lane(*last_seq))).collect()
    }

    #[test]
    fn jobs_take_turns_until_none_has_anything_left() {
        let mut lanes = lanes(&[(1, 4), (2, 1), (5, 2)]);
        let (mut last, mut order) = (0, Vec::new());
        while let Some((key, seq)) = turn(&lanes, last) {
            order.push((key, seq));
            lanes.get_mut(&key).expect("there").next += 1;
            last = key;
        }
        assert_eq!(order, [(1, 1), (2, 1), (5, 1), (1, 2), (5, 2), (1, 3), (1, 4)]);
    }

    #[test]
    fn a_paused_job_loses_its_turn_and_nothing_else() {
        let mut lanes = lanes(&[(1, 2), (2, 2)]);
        lanes.get_mut(&1).expect("there").paused = true;
        assert_eq!(turn(&lanes, 2), Some((2, 1)));
        lanes.get_mut(&2).expect("there").next = 3;
        assert_eq!(turn(&lanes, 2), None);
        lanes.get_mut(&1).expect("there").paused = false;
        assert_eq!(turn(&lanes, 2), Some((1, 1)));
    }
}
