//! Hosts whose clocks are hours apart: what they share goes by the servers' clocks.

use serde_json::json;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

const ROWS: u64 = 430;

#[tokio::test]
async fn hosts_whose_clocks_are_an_hour_off_do_each_row_once() {
    let sim = Sim::start(["--cities=1", "--latency=150ms"]).await;
    // Told to wait, one worker shuts the host for all: for two seconds, whatever their clocks say.
    sim.fault(&json!({"endpoint": "/v1/forecast", "status": 429, "every": 5, "count": 2,
        "headers": {"retry-after": "2"}}))
        .await;
    let arena = Arena::set(Backend::Servers, sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
    let ahead = arena.isobar(["doctor"]).an_hour("+").run().await;
    assert!(ahead.stdout.contains("differs from Redis' by 3"), "{ahead:?}");
    let source = Source::of(ROWS, 0);
    let report = from_file(&arena, &source).an_hour("+").run().await.expect_code(0).json();
    let job = report["job_id"].as_str().expect("an id").to_owned();
    let mut workers = ["+", "-"].map(|which| arena.isobar(["consume"]).an_hour(which).spawn());
    let mut tables = Tables::of(&arena).await;
    let begun = "SELECT count(*) FROM pg_tables WHERE tablename = 'jobs'";
    until(PATIENCE, "the schema is there", async || tables.count(begun).await == 1).await;
    let done = "SELECT count(*) FROM jobs WHERE status = 'done'";
    until(PATIENCE, "the job is done", async || tables.count(done).await == 1).await;
    for worker in &mut workers {
        worker.terminate();
        assert_eq!(worker.wait(PATIENCE).await, 0, "{}", worker.stderr_so_far());
        let said = worker.stderr_so_far();
        assert!(!said.contains("another worker took"), "a lease is judged by its clock\n{said}");
    }
    let wrong = judge(&arena, &[Job { id: job, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
