//! Hosts whose clocks are hours apart: what they share goes by the servers' clocks.

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::sim::Sim;
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
