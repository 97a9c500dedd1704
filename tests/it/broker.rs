//! One suite for both brokers: what it asks of Redis it asks of the SQLite file, word for word.
//!
//! A test takes a [`World`] (a broker with a topic of its own) and is run over each backend by
//! `over_both!`. Due times are asked for and not waited for: with an hour's claim idle an entry's
//! silence shows in `next_due_ms`. What only Redis can do to us is in `broker/redis_only.rs`.

mod append;
mod deliver;
mod flags;
mod lease;
mod model;
mod redis_only;
mod shared_state;

use std::time::Duration;

use isobar_broker::embedded::EmbeddedBroker;
use isobar_broker::redis::RedisBroker;
use isobar_broker::{
    AppendBatch, AppendOutcome, BatchRecord, Broker, BrokerError, ClaimLimits, Entry, Lane,
    ScanCursor, Topic,
};
use isobar_model::ids::JobId;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::redis::Redis;

pub const HOUR: Duration = Duration::from_hours(1);
pub const NOW: Duration = Duration::ZERO;
pub const HIGH_WATER: u64 = 10_000;

/// Runs each of the functions over both backends.
macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod over_redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::broker::World::redis().await).await;
            })*
        }
        mod over_a_file {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::broker::World::file().await).await;
            })*
        }
    };
}
use over_both;

/// A broker, and a topic in it that is whole.
pub struct World {
    pub broker: Broker,
    pub topic: Topic,
    place: Place,
}

enum Place {
    Redis(Box<Redis>),
    File(TempDir),
}

impl World {
    pub async fn redis() -> Self {
        let redis = Redis::start().await;
        let broker = Broker::Redis(RedisBroker::at(&redis.url()).expect("a URL"));
        let topic = Topic::new("owm-ingestion-stream", "ingestion-workers");
        broker.heal(&topic).await.expect("heals");
        Self { broker, topic, place: Place::Redis(Box::new(redis)) }
    }

    pub async fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = open(&folder);
        let topic = Topic::new("owm-ingestion-stream", "ingestion-workers");
        broker.heal(&topic).await.expect("heals");
        Self { broker, topic, place: Place::File(folder) }
    }

    /// The broker as another process has it.
    pub fn elsewhere(&self) -> Broker {
        match &self.place {
            Place::Redis(redis) => Broker::Redis(RedisBroker::at(&redis.url()).expect("a URL")),
            Place::File(folder) => open(folder),
        }
    }

    /// Everything in the broker is gone.
    pub async fn lose_everything(&mut self) {
        match &mut self.place {
            Place::Redis(redis) => redis.cli::<()>(&["FLUSHALL"]).await,
            Place::File(folder) => {
                *folder = tempfile::tempdir().expect("a folder");
                self.broker = open(folder);
            }
        }
    }

    pub async fn send(&self, batch: &Batch) -> AppendOutcome {
        batch.try_send(self).await.expect("appends")
    }

    /// Appends a first batch of a job of its own.
    pub async fn add_tasks(&self, count: usize) -> JobId {
        let job = job();
        assert_eq!(self.send(&Batch::new(job, 1, count)).await, AppendOutcome::Sent);
        job
    }

    /// What the stream knows of the first batch of a job.
    pub async fn record(&self, job: JobId) -> Option<BatchRecord> {
        let records = self.broker.batch_records(&self.topic, job, "", &[1]).await;
        records.expect("records")[0]
    }

    pub async fn read(&self, consumer: &str, count: usize) -> Vec<Entry> {
        self.broker.read(&self.topic, consumer, count, NOW).await.expect("reads")
    }

    /// Claims tasks from the beginning.
    pub async fn claim(&self, consumer: &str, claim_idle: Duration) -> Vec<Entry> {
        self.claim_within(consumer, ordinary(claim_idle)).await
    }

    pub async fn claim_within(&self, consumer: &str, limits: ClaimLimits) -> Vec<Entry> {
        let mut position = ScanCursor::default();
        self.broker
            .claim(&self.topic, consumer, Lane::Tasks, &mut position, limits)
            .await
            .expect("claims")
    }

    /// In how many milliseconds the first pending entry falls due, if that takes an hour's silence.
    pub async fn due_in_ms(&self) -> u64 {
        let depth = self.broker.depth(&self.topic, HOUR).await.expect("depth");
        depth.next_due_ms.expect("something is pending")
    }
}

pub fn ordinary(claim_idle: Duration) -> ClaimLimits {
    ClaimLimits { claim_idle, count: 100, suspects: 100, suspect_from: 3 }
}

fn open(folder: &TempDir) -> Broker {
    Broker::Embedded(EmbeddedBroker::open(&folder.path().join("broker.db")).expect("opens"))
}

pub fn job() -> JobId {
    JobId(Uuid::new_v4())
}

/// A batch as an outbox holds it; its hash names its number, so that a chain is plain.
#[derive(Clone)]
pub struct Batch {
    pub job_id: JobId,
    pub seq: u64,
    pub hash: String,
    pub previous_hash: String,
    pub floor: u64,
    pub high_water: u64,
    pub outbox: String,
    pub total: Option<u64>,
    pub tasks: Vec<String>,
    pub control: Vec<String>,
}

impl Batch {
    pub fn new(job_id: JobId, seq: u64, tasks: usize) -> Self {
        let hash = |seq: u64| format!("{seq:064x}");
        Self {
            job_id,
            seq,
            hash: hash(seq),
            previous_hash: if seq > 1 { hash(seq - 1) } else { String::new() },
            floor: 1,
            high_water: HIGH_WATER,
            outbox: String::new(),
            total: None,
            tasks: (0..tasks).map(|row| payload(seq, row)).collect(),
            control: Vec::new(),
        }
    }

    pub fn with_control(mut self, count: usize) -> Self {
        let message =
            |n: usize| serde_json::json!(["kind", "open", "body", n.to_string()]).to_string();
        self.control = (0..count).map(message).collect();
        self
    }

    pub fn with_floor(self, floor: u64) -> Self {
        Self { floor, ..self }
    }

    pub fn with_high_water(self, high_water: u64) -> Self {
        Self { high_water, ..self }
    }

    pub async fn try_send(&self, world: &World) -> Result<AppendOutcome, BrokerError> {
        self.send_by(&world.broker, &world.topic).await
    }

    pub async fn send_by(
        &self,
        broker: &Broker,
        topic: &Topic,
    ) -> Result<AppendOutcome, BrokerError> {
        let tasks: Vec<&str> = self.tasks.iter().map(String::as_str).collect();
        let control: Vec<&str> = self.control.iter().map(String::as_str).collect();
        let batch = AppendBatch {
            job_id: self.job_id,
            seq: self.seq,
            hash: &self.hash,
            previous_hash: &self.previous_hash,
            floor: self.floor,
            high_water: self.high_water,
            outbox: &self.outbox,
            total: self.total,
            tasks: &tasks,
            control: &control,
        };
        broker.append(topic, &batch).await
    }
}

fn payload(seq: u64, row: usize) -> String {
    let row = row.to_string();
    serde_json::json!([
        "task_id",
        Uuid::new_v4(),
        "batch",
        seq.to_string(),
        "row",
        row,
        "city",
        "Zürich \"5\",\n東京"
    ])
    .to_string()
}
