//! Schedulers in trouble: the store or Redis away, the outbox taken, another with other ideas.

use std::fs::File;

use super::*;
use crate::harness::postgres::Postgres;
use crate::harness::stage::counts;

const SIM: [&str; 2] = ["--cities", "1700"];
const CITIES: i64 = 1_700;

/// With a PostgreSQL that may be killed.
async fn stage_of_its_own() -> (Stage, Postgres) {
    let postgres = Postgres::private().await;
    let database = postgres.fresh_database().await;
    (Stage { database, ..Stage::set(&SIM).await }, postgres)
}

#[tokio::test]
async fn a_store_that_is_killed_in_mid_tick_is_waited_for_and_told_how_it_ended() {
    let (stage, mut postgres) = stage_of_its_own().await;
    last_fired_in_2024(&stage).await;
    let scheduler = narrow(stage.isobar(["schedule", "--lease", "2s"])).env(YEARLY.0, YEARLY.1);
    let mut scheduler = scheduler.spawn();
    stream_is_full(&stage).await;
    postgres.kill9().await;
    scheduler.wait_for_line(|line| line.contains("cannot renew the lease"), PATIENCE).await;
    // The run goes on without the store, and ends.
    let mut stored = Vec::new();
    until(PATIENCE, "the end cannot be told", async || {
        stored.extend(take_all(&stage).await);
        scheduler.stderr_so_far().contains("the store is unavailable")
    })
    .await;
    stored.extend(take_all(&stage).await);
    assert!(scheduler.is_running());
    assert_eq!(stored.len(), 1_700, "each city once");
    postgres.start_again().await;
    let done =
        tick_that(&stage, "the tick is done", |tick| tick.is("done") && tick.job_id.is_some());
    assert_eq!(done.await.at, last_new_year());
    stop(scheduler).await;
}

/// Takes everything out of the stream, as workers do in the end.
async fn take_all(stage: &Stage) -> Vec<String> {
    let entries: Vec<(String, Vec<String>)> = stage.redis.cli(&["XRANGE", STREAM, "-", "+"]).await;
    for (id, _) in &entries {
        let _: u64 = stage.redis.cli(&["XDEL", STREAM, id]).await;
    }
    entries.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn a_store_that_is_away_before_the_tick_is_waited_for() {
    let (stage, mut postgres) = stage_of_its_own().await;
    last_fired_in_2024(&stage).await;
    let scheduler = stage.isobar(["schedule"]).env("ISOBAR_SYNC_CRON", "@every 1s").spawn();
    tick_that(&stage, "a tick is done", |tick| tick.is("done") && tick.job_id.is_some()).await;
    postgres.stop().await;
    scheduler.wait_for_line(|line| line.contains("the store is unavailable"), PATIENCE).await;
    postgres.start_again().await;
    let back = Utc::now();
    tick_that(&stage, "a later tick is done", |tick| tick.is("done") && tick.at > back).await;
    stop(scheduler).await;
}

#[tokio::test]
async fn a_tick_without_redis_is_to_be_tried_again_and_the_next_one_sends_its_rows() {
    let mut stage = Stage::set(&SIM).await;
    stage.redis.stop().await;
    let scheduler = stage
        .isobar(["schedule"])
        .env("ISOBAR_SYNC_CRON", "@every 1s")
        .env("ISOBAR_REDIS_RETRIES", "1")
        .spawn();
    let failed = tick_that(&stage, "a tick cannot send", |tick| tick.is("try_again")).await;
    let detail = failed.detail.expect("a sentence");
    assert!(detail.contains("1,700 tasks are safe in the outbox"), "{detail}");
    stage.redis.start_again().await;
    tick_that(&stage, "a tick is done", |tick| tick.is("done")).await;
    stop(scheduler).await;
    // What the stop cut short is in the outbox still.
    finish_what_is_left(&stage).await;
    let jobs = ticks(&stage).await.iter().filter(|tick| tick.job_id.is_some()).count();
    all_is_stored(&stage, jobs as i64, CITIES).await;
    let verified = stage.isobar(["verify", "--json"]).run().await.expect_code(0).json();
    assert_eq!(counts(&verified, ["missing", "unsent"]), [0, 0], "{verified}");
}

#[tokio::test]
async fn an_outbox_that_another_run_holds_is_a_reason_to_try_again() {
    let stage = Stage::set(&SIM).await;
    let lock = File::create(stage.dir.path().join("outbox.db.lock")).expect("a file");
    lock.lock().expect("free");
    let scheduler = stage.isobar(["schedule"]).env("ISOBAR_SYNC_CRON", "@every 1s").spawn();
    let held = tick_that(&stage, "a tick finds it held", |tick| tick.is("try_again")).await;
    assert!(held.detail.expect("a sentence").contains("is in use by"));
    drop(lock);
    tick_that(&stage, "a tick is done", |tick| tick.is("done") && tick.at > held.at).await;
    stop(scheduler).await;
}

#[tokio::test]
async fn two_that_go_by_different_expressions_fire_the_ticks_of_both_and_one_says_so() {
    let stage = Stage::set(&["--cities", "20"]).await;
    let host = tempfile::tempdir().expect("a folder");
    let every_second = stage.isobar(["schedule"]).env("ISOBAR_SYNC_CRON", "@every 2s").spawn();
    let mut other = stage.isobar_in(host.path(), ["schedule"]);
    other = other.env("ISOBAR_SYNC_CRON", "1-59/2 * * * * *");
    let other = other.spawn();
    let strange = |line: &str| line.contains("another scheduler uses a different expression");
    every_second.wait_for_line(strange, PATIENCE).await;
    until(PATIENCE, "ticks of both are done", async || {
        let ticks = ticks(&stage).await;
        let done =
            |odd| ticks.iter().filter(|t| t.is("done") && t.at.timestamp() % 2 == odd).count();
        done(0) >= 2 && done(1) >= 2
    })
    .await;
    stop(every_second).await;
    stop(other).await;
    assert_eq!(count(&ticks(&stage).await, "failed"), 0);
}
