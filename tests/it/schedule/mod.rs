//! What somebody may rely on who leaves firing the producer to `isobar schedule`.
//!
//! Real schedulers over Redis and PostgreSQL, each on a host of its own (a data folder). A tick that
//! is due at once needs no waiting for the clock: the store is told that the last one known was in
//! 2024, and the schedule fires on New Year's Day. A run that is to last is one that waits for room
//! in a stream which nobody empties until the test says so.

mod fleet;
mod outages;
mod policy;
mod takeover;

use chrono::{DateTime, Datelike, TimeZone, Utc};
use sqlx::Row;
use uuid::Uuid;

use crate::harness::isobar::{Isobar, Running};
use crate::harness::stage::{STREAM, Stage};
use crate::harness::wait::{PATIENCE, eventually, until};

/// Fires on New Year's Day: once, as long as no test runs over midnight of that day.
const YEARLY: (&str, &str) = ("ISOBAR_SYNC_CRON", "@yearly");

#[derive(Clone, Debug)]
struct Tick {
    at: DateTime<Utc>,
    owner: String,
    started_at: DateTime<Utc>,
    done_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    detail: Option<String>,
    job_id: Option<Uuid>,
}

impl Tick {
    fn is(&self, outcome: &str) -> bool {
        self.outcome.as_deref() == Some(outcome)
    }
}

/// Every tick that the store has, oldest first.
async fn ticks(stage: &Stage) -> Vec<Tick> {
    let all = "SELECT tick, owner, started_at, done_at, outcome, detail, job_id \
               FROM schedule_ticks WHERE schedule = 'sync' ORDER BY tick";
    let rows = sqlx::query(all).fetch_all(&mut stage.pg().await).await;
    // A scheduler may not have made the table yet.
    let rows = rows.unwrap_or_default();
    rows.iter()
        .map(|row| Tick {
            at: row.get("tick"),
            owner: row.get("owner"),
            started_at: row.get("started_at"),
            done_at: row.get("done_at"),
            outcome: row.get("outcome"),
            detail: row.get("detail"),
            job_id: row.get("job_id"),
        })
        .collect()
}

fn count(ticks: &[Tick], outcome: &str) -> usize {
    ticks.iter().filter(|tick| tick.is(outcome)).count()
}

/// Brings the schema up and makes a New Year's Day of 2024 the last tick that is known.
async fn last_fired_in_2024(stage: &Stage) {
    stage.isobar(["migrate"]).run().await.expect_code(0);
    let known = "INSERT INTO schedule_ticks (schedule, tick, owner, lease_until, started_at, done_at, outcome) \
                 VALUES ('sync', '2024-01-01', 'long gone', '2024-01-01', '2024-01-01', '2024-01-01', 'done')";
    sqlx::raw_sql(known).execute(&mut stage.pg().await).await.expect("the statement runs");
}

fn last_new_year() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(Utc::now().year(), 1, 1, 0, 0, 0).single().expect("a time")
}

/// The newest tick that fits, once there is one.
async fn tick_that(stage: &Stage, what: &str, fits: impl Fn(&Tick) -> bool) -> Tick {
    eventually(PATIENCE, what, async || ticks(stage).await.into_iter().rev().find(&fits)).await
}

async fn in_stream(stage: &Stage) -> u64 {
    stage.redis.cli(&["XLEN", STREAM]).await
}

/// Ends a scheduler as a supervisor does.
async fn stop(mut scheduler: Running) {
    scheduler.terminate();
    assert_eq!(scheduler.wait(PATIENCE).await, 0, "{}", scheduler.stderr_so_far());
}

/// One scheduler more, for which nothing falls due, until nothing is left unfinished.
async fn finish_what_is_left(stage: &Stage) {
    let next = stage.isobar(["schedule", "-v"]).env(YEARLY.0, YEARLY.1).spawn();
    next.wait_for_line(|line| line.contains("nothing is due"), PATIENCE).await;
    assert!(ticks(stage).await.iter().all(|tick| tick.done_at.is_some()));
    stop(next).await;
}

/// A worker until everything that is in the stream is stored; nothing is dead and all balances.
async fn all_is_stored(stage: &Stage, jobs: i64, cities: i64) {
    stage.drain().await.expect_code(0);
    assert_eq!(stage.count("SELECT count(*) FROM jobs WHERE status = 'done'").await, jobs);
    assert_eq!(stage.count("SELECT count(*) FROM jobs").await, jobs);
    assert_eq!(stage.count("SELECT count(*) FROM job_tasks").await, jobs * cities);
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, cities);
    let unlike = "SELECT count(*) FROM jobs WHERE total <> processed OR total <> succeeded + failed + skipped";
    assert_eq!(stage.count(unlike).await, 0);
    assert_eq!(stage.dead().await, []);
}

/// With room in the stream for two batches, so that a run over three and more has to wait.
fn narrow(isobar: Isobar) -> Isobar {
    isobar.env("ISOBAR_STREAM_HIGH_WATER", "1000")
}

async fn stream_is_full(stage: &Stage) {
    until(PATIENCE, "the stream is full", async || in_stream(stage).await == 1_000).await;
}
