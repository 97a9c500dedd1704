//! The producer's two halves by themselves: source to outbox, outbox to stream.
//!
//! Extraction is `isobar produce` with a Redis that is not there: it ends with 75 and everything
//! is safe in the outbox. The relay is `isobar outbox flush` of such an outbox, from the start of
//! the process to its end, beside the append script alone on the same Redis.

use std::path::Path;

use crate::cities;
use crate::fixtures::{Ground, Timed, folder, timed};
use crate::harness::isobar::Isobar;
use crate::harness::port::free_port;
use crate::harness::redis::Redis;
use crate::limits;
use crate::table::{Row, Target};

/// "Redis away, nothing lost, run again."
const TRY_AGAIN: i32 = 75;

pub async fn extract(ground: &Ground) -> Vec<Row> {
    let home = folder();
    let rows = ground.scale.tasks();
    let csv = cities::csv(home.path(), rows).to_string_lossy().into_owned();
    let (mut from_csv, mut from_api) = (Vec::new(), Vec::new());
    for _ in 0..ground.scale.runs {
        let dir = folder();
        let ended =
            extraction(ground.isobar(dir.path(), ["produce", "--json", "--csv", &csv])).await;
        from_csv.push(ended.per_second(ended.count("rows")));
        let dir = folder();
        let args = ["produce", "--json", "--source", "api"];
        let ended = extraction(ground.isobar(dir.path(), args)).await;
        from_api.push(ended.per_second(ended.count("rows")));
    }
    vec![
        Row::new("extract, CSV", "rows/s", from_csv),
        Row::new("extract, API", "rows/s", from_api).note("100 cities a page, one page at a time"),
    ]
}

pub async fn relay(ground: &Ground) -> Vec<Row> {
    let home = folder();
    let tasks = ground.scale.tasks();
    let csv = cities::csv(home.path(), tasks).to_string_lossy().into_owned();
    let redis = Redis::start().await;
    let (mut alone, mut relayed) = (Vec::new(), Vec::new());
    for _ in 0..ground.scale.runs {
        alone.push(limits::append(ground, &redis, tasks).await);
        limits::empty(&redis).await;
        let dir = folder();
        extraction(ground.isobar(dir.path(), ["produce", "--json", "--csv", &csv])).await;
        relayed.push(flush(ground, dir.path(), &redis, tasks).await);
    }
    let limit = Row::new("limit A: append script alone", "tasks/s", alone);
    let relay = Row::new("relay, outbox to Redis", "tasks/s", relayed)
        .share_of(&limit, Some(Target::AtLeast(0.5)));
    vec![limit, relay]
}

async fn flush(ground: &Ground, dir: &Path, redis: &Redis, tasks: usize) -> f64 {
    let command = ground.isobar(dir, ["outbox", "flush", "--json"]).env("REDIS_URL", redis.url());
    let ended = timed(&command, 0).await;
    assert_eq!(ended.count("published"), tasks as u64, "all that was extracted is relayed");
    ended.per_second(tasks as u64)
}

/// Runs `produce` with nobody at the other end.
async fn extraction(command: Isobar) -> Timed {
    let command = command
        .env("REDIS_URL", format!("redis://127.0.0.1:{}", free_port()))
        .env("ISOBAR_REDIS_RETRIES", "1");
    let ended = timed(&command, TRY_AGAIN).await;
    assert_eq!(ended.count("unsent"), ended.count("tasks"), "nothing went anywhere");
    ended
}
