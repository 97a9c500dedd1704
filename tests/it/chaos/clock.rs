//! Hosts whose clocks are hours apart, or are set while they work, and answers from the future.
//!
//! What hosts share goes by the servers' clocks; a wait lasts as long as it did when it began.

use chrono::Utc;
use serde_json::json;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::sim::Sim;
use crate::harness::stage::{Stage, counts};
use crate::harness::wait::{PATIENCE, until};

/// More than one worker holds.
const ROWS: u64 = 830;

#[tokio::test]
async fn hosts_whose_clocks_are_an_hour_off_do_each_row_once() {
    let sim = Sim::start(["--cities=1", "--latency=150ms"]).await;
    let arena = Arena::set(Backend::Servers, sim.url())
        .await
        .with("ISOBAR_CONCURRENCY", "1")
        // Nobody dies here, so a lease is lost only to a clock that is an hour off.
        .with("ISOBAR_CLAIM_IDLE", "20s")
        .with("ISOBAR_QUOTA", "1000000/d");
    let ahead = arena.isobar(["doctor"]).an_hour("+").run().await;
    assert!(ahead.stdout.contains("differs from the clock of Redis by 3"), "{ahead:?}");
    let source = Source::of(ROWS, 0);
    let report = from_file(&arena, &source).an_hour("+").run().await.expect_code(0).json();
    let job = report["job_id"].as_str().expect("an id").to_owned();
    // Both begin at the same time, however long the start of either takes.
    arena.isobar(["migrate"]).run().await.expect_code(0);
    arena.isobar(["pause"]).run().await.expect_code(0);
    let mut workers = ["+", "-"]
        .map(|which| arena.isobar(["consume", "--pipeline", "weather"]).an_hour(which).spawn());
    for worker in &workers {
        worker.wait_for_line(|line| line.contains("worker started"), PATIENCE).await;
    }
    // Another worker was told to wait, and has shut the host for all: for some seconds by Redis' clock.
    let redis = arena.redis.as_ref().expect("servers");
    let [seconds, _]: [u64; 2] = redis.cli(&["TIME"]).await;
    let key = format!("isobar:quota:{}", sim.url().trim_start_matches("http://"));
    let _: u64 =
        redis.cli(&["HSET", &key, "shut_until", &((seconds + 6) * 1_000).to_string()]).await;
    arena.isobar(["resume"]).run().await.expect_code(0);
    let mut tables = Tables::of(&arena).await;
    let done = "SELECT count(*) FROM jobs WHERE status = 'done'";
    until(PATIENCE, "the job is done", async || tables.count(done).await == 1).await;
    for worker in &mut workers {
        worker.terminate();
        assert_eq!(worker.wait(PATIENCE).await, 0, "{}", worker.stderr_so_far());
        let said = worker.stderr_so_far();
        assert!(!said.contains("\"succeeded\":0"), "it has waited for its own clock\n{said}");
        assert!(!said.contains("another worker took"), "a lease is judged by its clock\n{said}");
    }
    let wrong = judge(&arena, &[Job { id: job, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_answer_dated_2099_fails_its_city_alone() {
    let stage = Stage::set(&[]).await;
    let dated = |time: &str| {
        json!({"latitude": 1.0, "longitude": 1.0, "current": {"time": time, "interval": 900,
            "temperature_2m": 1.0, "relative_humidity_2m": 1, "weather_code": 0,
            "wind_speed_10m": 1.0, "wind_direction_10m": 1}})
    };
    let now = Utc::now().format("%Y-%m-%dT%H:%M").to_string();
    let body = json!([dated("2099-01-01T00:00"), dated(&now)]).to_string();
    stage.sim.fault(&json!({"endpoint": "/v1/forecast", "status": 200, "body": body})).await;
    stage.add_city(1).await;
    stage.add_city(2).await;
    let drain = stage.isobar(["consume", "--drain", "--json"]).env("ISOBAR_MAX_ATTEMPTS", "1");
    let report = drain.run().await.expect_code(3).json();
    assert_eq!(counts(&report, ["succeeded", "failed", "dead"]), [1, 1, 1]);
    assert_eq!(stage.dead().await, [("bad_response".to_owned(), 1)]);
    let late = "SELECT count(*) FROM weather WHERE observed_at > now() + interval '1 hour'";
    assert_eq!(stage.count(late).await, 0);
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, 1);
}

#[tokio::test]
async fn a_stored_snapshot_from_2099_is_fetched_again() {
    let stage = Stage::set(&["--cities", "1"]).await;
    stage.isobar(["produce"]).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    let freeze = "UPDATE cities SET observed_at = '2099-01-01', fresh_until = '2099-01-02', temperature = -99";
    sqlx::raw_sql(freeze).execute(&mut stage.pg().await).await.expect("the statement runs");
    // Without --force: it must not count as current.
    stage.isobar(["produce"]).run().await.expect_code(0);
    let report = stage.drain().await.expect_code(0).json();
    assert_eq!(counts(&report, ["succeeded", "skipped"]), [1, 0]);
    let frozen = "SELECT count(*) FROM weather WHERE temperature = -99 OR observed_at > now() + interval '1 hour'";
    assert_eq!(stage.count(frozen).await, 0);
}

#[tokio::test]
async fn a_wait_does_not_outlast_a_clock_set_right() {
    let stage = Stage::set(&["--cities", "1"]).await;
    stage.isobar(["produce"]).run().await.expect_code(0);
    let clock = stage.dir.path().join("clock");
    std::fs::write(&clock, "+2h").expect("the clock is set");
    let [seconds, _]: [u64; 2] = stage.redis.cli(&["TIME"]).await;
    let key = format!("isobar:quota:{}", stage.sim.url().trim_start_matches("http://"));
    let until = ((seconds + 10) * 1_000).to_string();
    let _: u64 = stage.redis.cli(&["HSET", &key, "shut_until", &until]).await;
    let worker = stage.isobar(["consume"]).env("ISOBAR_QUOTA", "1000000/d").clock_of(&clock);
    let mut worker = worker.spawn();
    worker.wait_for_line(|line| line.contains("not reading"), PATIENCE).await;
    std::fs::write(&clock, "+0").expect("the clock is set");
    let stored = "SELECT count(*) FROM jobs WHERE status = 'done'";
    until_stored(&stage, stored).await;
    worker.terminate();
    assert_eq!(worker.wait(PATIENCE).await, 0, "{}", worker.stderr_so_far());
}

async fn until_stored(stage: &Stage, done: &'static str) {
    until(PATIENCE, "the job is done", async || stage.count(done).await == 1).await;
}

#[tokio::test]
async fn a_schedule_fires_from_the_new_time_on() {
    let stage = Stage::set(&["--cities", "1"]).await;
    let clock = stage.dir.path().join("clock");
    std::fs::write(&clock, "+2h").expect("the clock is set");
    let scheduler = stage.isobar(["schedule"]).env("ISOBAR_SYNC_CRON", "@every 1s");
    let mut scheduler = scheduler.clock_of(&clock).spawn();
    let ahead = "SELECT count(*) FROM schedule_ticks WHERE outcome = 'done' AND tick > now() + interval '1 hour'";
    stage.isobar(["migrate"]).run().await.expect_code(0);
    until(PATIENCE, "a tick of the wrong time is done", async || stage.count(ahead).await > 0)
        .await;
    std::fs::write(&clock, "+0").expect("the clock is set");
    scheduler.wait_for_line(|line| line.contains("the clock was set back"), PATIENCE).await;
    let now = "SELECT count(*) FROM schedule_ticks WHERE outcome = 'done' AND tick < now() + interval '1 hour'";
    until(PATIENCE, "two ticks of the right time are done", async || stage.count(now).await > 1)
        .await;
    let warned = scheduler.stderr_so_far().matches("the clock was set back").count();
    assert_eq!(warned, 1, "{}", scheduler.stderr_so_far());
    scheduler.terminate();
    assert_eq!(scheduler.wait(PATIENCE).await, 0, "{}", scheduler.stderr_so_far());
}
