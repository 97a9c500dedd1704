//! The two limits that nothing of ours can pass: the append script alone, called in a loop, and
//! the committer's statements alone, on rows that lie ready.
//!
//! Both use the very script and the very statements that the relay and the committer use, with
//! everything else taken away: no outbox, no stream to read, no upstream, one caller.

use std::path::Path;
use std::time::Instant;

use chrono::{SubsecRound, TimeDelta, Utc};
use isobar_broker::{Broker, Topic};
use isobar_model::ids::JobId;
use isobar_store::Store;

use crate::cities;
use crate::fixtures::{Ground, folder};
use crate::harness::redis::Redis;

const APPEND: &str = include_str!("../../shared/broker/src/redis/scripts/append.lua");
/// Tasks per append, the default of `ISOBAR_BATCH_SIZE`.
pub const BATCH: usize = 500;
/// Results per transaction, the most that the committer takes.
const COMMIT_ITEMS: usize = 2_000;

/// Tasks per second of the append script, `count` tasks in equal batches over one connection.
pub async fn append(ground: &Ground, redis: &Redis, count: usize) -> f64 {
    let home = folder();
    let settings = ground.settings(home.path(), &[("REDIS_URL", &redis.url())]);
    let topic = Topic::weather(&settings);
    empty(redis).await;
    Broker::open(&settings).expect("a broker").heal(&topic).await.expect("a whole stream");

    let sha: String = redis.cli(&["SCRIPT", "LOAD", APPEND]).await;
    let job = JobId::derive("bench", "append");
    let batch = cities::payloads(BATCH.min(count), job, true);
    let calls: Vec<redis::Cmd> = (1..=count.div_ceil(BATCH))
        .map(|seq| {
            let mut call = redis::cmd("EVALSHA");
            call.arg(&sha).arg(4);
            call.arg(&[&topic.stream, &topic.control, &topic.watermarks, &topic.epoch]);
            call.arg(&topic.group).arg(job.to_string()).arg(seq).arg(hash(seq));
            call.arg(if seq == 1 { String::new() } else { hash(seq - 1) });
            call.arg(1).arg(u32::MAX).arg(batch.len()).arg(&batch);
            call
        })
        .collect();
    let mut connection = redis.connection().await;
    let began = Instant::now();
    for call in &calls {
        let answer: redis::Value = call.query_async(&mut connection).await.expect("an append");
        assert!(!matches!(answer, redis::Value::ServerError(_)), "{answer:?}");
    }
    let rate = (calls.len() * batch.len()) as f64 / began.elapsed().as_secs_f64();
    let length: usize = redis.cli(&["XLEN", &topic.stream]).await;
    assert_eq!(length, calls.len() * batch.len(), "every append was done");
    rate
}

/// As long as the hashes of real batches.
fn hash(seq: usize) -> String {
    format!("{seq:064x}")
}

pub async fn empty(redis: &Redis) {
    let _: String = redis.cli(&["FLUSHALL", "SYNC"]).await;
}

/// Cities per second of the committer's statements into an empty store: the first time, and again
/// an hour later.
pub async fn commits(ground: &Ground, dir: &Path, database: Option<&str>) -> [f64; 2] {
    let mut more = Vec::new();
    if let Some(url) = database {
        more = vec![("DATABASE_URL", url), ("ISOBAR_BROKER", "embedded")];
    }
    let store = Store::open(&ground.settings(dir, &more)).await.expect("a store");
    let count = ground.scale.cities;
    let start = Utc::now().trunc_subsecs(0);
    let mut rates = [0.0; 2];
    for (hour, rate) in (0..).zip(&mut rates) {
        let job = JobId::derive("bench", &format!("commits {hour}"));
        let commits = cities::commits(count, COMMIT_ITEMS, job, start + TimeDelta::hours(hour));
        let began = Instant::now();
        let mut succeeded = 0;
        for commit in &commits {
            succeeded += store.commit(commit).await.expect("a commit").succeeded;
        }
        *rate = count as f64 / began.elapsed().as_secs_f64();
        assert_eq!(succeeded, count as u64, "every row was new to its job");
    }
    rates
}
