//! What the worker itself costs: a pipeline whose upstream answers at once and which stores
//! nothing, over a real Redis.
//!
//! Entries have no job, so there is no ledger either: what is left is reading, leases, the way
//! through the worker, an empty transaction and the acknowledgement. It is also the second
//! pipeline that keeps the worker honest about knowing nothing of weather.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use isobar_broker::{AppendBatch, AppendOutcome, Broker, Topic};
use isobar_consumer::pipeline::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
use isobar_consumer::{RunUntil, Worker};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{CityTask, DecodeError, Fields, TaskHeader};
use isobar_store::{Records, Store, StoreError};
use isobar_upstream::{Answer, WaitReason};
use tokio_util::sync::CancellationToken;

use crate::cities;
use crate::fixtures::{Ground, folder};
use crate::harness::redis::Redis;
use crate::limits::{self, BATCH};
use crate::table::Row;

/// Tasks that share a request, the default of the weather pipeline.
const BATCH_LIMIT: usize = 100;

pub async fn drain(ground: &Ground) -> Vec<Row> {
    let redis = Redis::start().await;
    let count = ground.scale.tasks();
    let mut runs = Vec::new();
    for _ in 0..ground.scale.runs {
        limits::empty(&redis).await;
        runs.push(run(ground, &redis, count).await);
    }
    vec![Row::new("drain, no-op upstream", "tasks/s", runs)]
}

async fn run(ground: &Ground, redis: &Redis, count: usize) -> f64 {
    let home = folder();
    let settings = Arc::new(ground.settings(home.path(), &[("REDIS_URL", &redis.url())]));
    let topic = Topic::weather(&settings);
    let broker = Broker::open(&settings).expect("a broker");
    fill(&broker, &topic, count).await;
    let store = Store::open(&settings).await.expect("a store");
    let store_name = store.identity().await.expect("an identity");
    let shutdown = CancellationToken::new();
    let worker =
        Worker::new(Noop { topic }, broker, store, store_name, settings, "bench", &shutdown);
    let began = Instant::now();
    let until = RunUntil::Drained { max_wait: Duration::from_secs(10) };
    let ending = worker.run(until).await.expect("the worker drains");
    let rate = count as f64 / began.elapsed().as_secs_f64();
    assert_eq!((ending.succeeded, ending.left), (count as u64, None));
    rate
}

async fn fill(broker: &Broker, topic: &Topic, count: usize) {
    broker.heal(topic).await.expect("a whole stream");
    let job_id = JobId::derive("bench", "noop");
    let payloads = cities::payloads(count, job_id, false);
    let tasks: Vec<&str> = payloads.iter().map(String::as_str).collect();
    for (seq, tasks) in (1..).zip(tasks.chunks(BATCH)) {
        let batch = AppendBatch {
            job_id,
            seq,
            hash: "-",
            previous_hash: if seq == 1 { "" } else { "-" },
            floor: 1,
            outbox: "",
            total: None,
            high_water: u64::from(u32::MAX),
            tasks,
            control: &[],
        };
        let appended = broker.append(topic, &batch).await.expect("an append");
        assert!(matches!(appended, AppendOutcome::Sent), "{appended:?}");
    }
}

#[derive(Clone, Debug)]
struct Noop {
    topic: Topic,
}

impl Pipeline for Noop {
    type Task = CityTask;
    type Record = ();

    const NAME: PipelineName = PipelineName::Weather;
    const SKIP_REASON: &'static str = "the result is current";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<CityTask, DecodeError> {
        CityTask::from_fields(fields)
    }

    fn head(task: &CityTask) -> &TaskHeader {
        &task.head
    }

    fn subject(task: &CityTask) -> TaskSubject {
        TaskSubject { text: task.city.clone(), city_id: task.city_id }
    }

    fn batch_key(&self, _task: &CityTask) -> BatchKey {
        BatchKey { kind: "noop", limit: BATCH_LIMIT }
    }

    async fn already_current(&self, tasks: &[&CityTask]) -> Result<Vec<bool>, StoreError> {
        Ok(vec![false; tasks.len()])
    }

    async fn fetch(&self, tasks: &[&CityTask]) -> Answer<Vec<TaskOutcome<()>>> {
        Answer::Ok(vec![TaskOutcome::Record(()); tasks.len()])
    }

    fn records(&self, _records: Vec<()>) -> Records {
        Records::default()
    }

    fn apply_flags(&self, _: &isobar_broker::Flags) {}

    async fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
        None
    }

    async fn upstream_state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}
