//! What a scheduler leaves behind, killed or stopped, and who goes on with it.

use isobar_failpoint::{POINTS, VARIABLE};
use tempfile::TempDir;

use super::*;
use crate::harness::stage::counts;

const CITIES: i64 = 1_700;
const SIM: [&str; 2] = ["--cities", "1700"];
/// 128 + SIGABRT.
const ABORTED: i32 = 134;

fn host() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn yearly(stage: &Stage, host: &TempDir, lease: &str) -> Isobar {
    let args = ["schedule", "--lease", lease, "-v"];
    narrow(stage.isobar_in(host.path(), args)).env(YEARLY.0, YEARLY.1)
}

async fn all_balances(stage: &Stage, host: &TempDir) {
    let verified = stage.isobar_in(host.path(), ["verify", "--json"]).run().await.expect_code(0);
    assert_eq!(counts(&verified.json(), ["missing"]), [0], "{}", verified.stdout);
}

#[tokio::test]
async fn a_scheduler_killed_in_mid_run_is_taken_over_after_its_lease_and_nothing_is_doubled() {
    let stage = Stage::set(&SIM).await;
    last_fired_in_2024(&stage).await;
    let (one, two) = (host(), host());
    let mut killed = yearly(&stage, &one, "2s").spawn();
    stream_is_full(&stage).await;
    killed.kill9().await;
    let left = tick_that(&stage, "its tick", |tick| tick.done_at.is_none()).await;

    let next = yearly(&stage, &two, "2s").spawn();
    next.wait_for_line(|line| line.contains("took over a tick"), PATIENCE).await;
    let worker = stage.isobar(["consume"]).spawn();
    let done =
        tick_that(&stage, "the tick is done", |tick| tick.is("done") && tick.job_id.is_some());
    let done = done.await;
    assert_eq!((done.at, done.job_id), (left.at, left.job_id));
    assert_ne!(done.owner, left.owner);
    stop(next).await;
    stop(worker).await;
    all_is_stored(&stage, 1, CITIES).await;

    // The first host comes back with what it had extracted: it is all there already.
    stage.isobar_in(one.path(), ["outbox", "flush"]).run().await.expect_code(0);
    all_is_stored(&stage, 1, CITIES).await;
    all_balances(&stage, &one).await;
    all_balances(&stage, &two).await;
}

#[tokio::test]
async fn a_scheduler_that_is_stopped_leaves_its_tick_to_whoever_comes_next_at_once() {
    let stage = Stage::set(&SIM).await;
    last_fired_in_2024(&stage).await;
    let (one, two) = (host(), host());
    // Nobody here waits for a lease of an hour.
    let stopped = yearly(&stage, &one, "1h").spawn();
    stream_is_full(&stage).await;
    stop(stopped).await;
    let left = tick_that(&stage, "its tick", |tick| tick.done_at.is_none()).await;

    let next = yearly(&stage, &two, "1h").spawn();
    next.wait_for_line(|line| line.contains("took over a tick"), PATIENCE).await;
    let worker = stage.isobar(["consume"]).spawn();
    let done =
        tick_that(&stage, "the tick is done", |tick| tick.is("done") && tick.job_id.is_some());
    assert_eq!(done.await.at, left.at);
    stop(next).await;
    stop(worker).await;
    all_is_stored(&stage, 1, CITIES).await;
    all_balances(&stage, &two).await;
}

#[tokio::test]
async fn a_scheduler_killed_between_any_two_steps_costs_nothing_but_time() {
    for point in POINTS.iter().filter(|point| point.starts_with("schedule.")) {
        let stage = Stage::set(&["--cities", "600"]).await;
        last_fired_in_2024(&stage).await;
        let (one, two) = (host(), host());
        let mut killed = yearly(&stage, &one, "1s").env(VARIABLE, *point).spawn();
        assert_eq!(killed.wait(PATIENCE).await, ABORTED, "{point}: {}", killed.stderr_so_far());
        let next = yearly(&stage, &two, "1s").spawn();
        next.wait_for_line(|line| line.contains("nothing is due"), PATIENCE).await;
        let done = tick_that(&stage, "the tick is done", |tick| tick.at == last_new_year()).await;
        assert!(done.is("done"), "{point}: {done:?}");
        stop(next).await;
        assert_eq!(in_stream(&stage).await, 600, "{point}");
        all_is_stored(&stage, 1, 600).await;
        all_balances(&stage, &one).await;
        all_balances(&stage, &two).await;
    }
}
