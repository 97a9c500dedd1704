//! Killed between any two steps and run again: every city is in the stream exactly once.
//!
//! What lies in the stream afterwards, byte for byte; `chaos/matrix.rs` walks over every point there is
//! and sees each row to its end. Redis dies and forgets here, too.

use isobar_failpoint::VARIABLE;

use super::*;
use crate::harness::wait::{PATIENCE, until};

/// 128 + SIGABRT.
const ABORTED: i32 = 134;
const ROWS: usize = 1_234;

/// On the way of every run.
const EVERY_RUN: &[&str] = &[
    "producer.job.after",
    "producer.extract.before",
    "producer.extract.after",
    "producer.seal.before",
    "producer.seal.after",
    "producer.heal.before",
    "producer.heal.after",
    "producer.append.before",
    "producer.append.after",
    "producer.mark.before",
    "producer.mark.after",
];
/// On the way of a run that finds batches finished.
const CONFIRMING: &[&str] =
    &["producer.confirm.before", "producer.prune.after", "producer.forget.after"];

#[tokio::test]
async fn a_run_killed_at_any_point_loses_nothing_and_sends_nothing_twice() {
    for point in EVERY_RUN {
        // The first and the second passage: with nothing behind it, and with something.
        for passage in ["", ":2"] {
            let once = ["job.after", "seal", "heal"].iter().any(|part| point.contains(part));
            if once && passage == ":2" {
                continue;
            }
            let field = Field::new().await;
            field.cities(ROWS);
            let spec = format!("{point}{passage}");
            let killed = field.produce("a").env(VARIABLE, &spec).run().await;
            // Marks ride along with other transactions, so a second passage may not come to be.
            if !(point.contains("mark") && passage == ":2" && killed.code == 0) {
                assert_eq!(killed.code, ABORTED, "{spec}: {}", killed.stderr);
            }
            let again = field.produce("a").run().await.expect_code(0).json();
            assert_eq!(numbers(&again, ["rows", "tasks", "unsent"]), [1_234, 1_234, 0], "{spec}");
            assert_eq!(field.multiset().await, once_each(ROWS), "{spec}");
            let kinds = field.control().await;
            assert_eq!((kinds["open"], kinds["seal"]), (1, 1), "{spec}");
        }
    }
}

#[tokio::test]
async fn a_run_killed_while_it_confirms_goes_on_with_that() {
    for point in CONFIRMING {
        let field = Field::new().await;
        field.cities(ROWS);
        field.produce("a").run().await.expect_code(0);
        field.finish().await;
        let killed = field.produce("b").env(VARIABLE, *point).run().await;
        assert_eq!(killed.code, ABORTED, "{point}: {}", killed.stderr);
        field.produce("b").run().await.expect_code(0);
        assert_eq!(field.multiset().await, once_each(ROWS), "{point}: slot b, and nothing of a");
        let status = field.status().await;
        let done: Vec<_> =
            status["jobs"].as_array().expect("jobs").iter().map(|job| &job["state"]).collect();
        assert_eq!(done, ["sealed", "done"], "{point}");
    }
}

#[tokio::test]
async fn an_unfinished_run_is_resumed_first_under_its_old_slot() {
    let field = Field::new().await;
    field.cities(ROWS);
    let killed = field.produce("old").env(VARIABLE, "producer.extract.after:2").run().await;
    assert_eq!(killed.code, ABORTED);
    let report = field.produce("new").run().await.expect_code(0).json();
    assert_eq!((&report["slot"], &report["resumed"]), (&"new".into(), &true.into()));
    assert!(field.multiset().await.values().all(|times| *times == 2), "each slot once");
    let jobs: std::collections::BTreeSet<String> = field
        .entries(STREAM)
        .await
        .iter()
        .map(|(_, fields)| value(fields, "job_id").to_owned())
        .collect();
    assert_eq!(jobs.len(), 2);
}

#[tokio::test]
async fn a_changed_file_is_refused_and_the_old_one_goes_on() {
    let field = Field::new().await;
    let path = field.cities(ROWS);
    let killed = field.produce("a").env(VARIABLE, "producer.extract.after:2").run().await;
    assert_eq!(killed.code, ABORTED);
    let old = std::fs::read(&path).expect("reads");
    field.cities(ROWS + 1);
    let refused = field.produce("a").run().await.expect_code(1);
    says(&refused, &["has changed", "1,000 rows"]);
    std::fs::write(&path, old).expect("writes");
    field.produce("a").run().await.expect_code(0);
    assert_eq!(field.multiset().await, once_each(ROWS));
}

#[tokio::test]
async fn a_stream_flushed_in_mid_run_is_healed_and_gets_everything() {
    let field = Field::new().await;
    field.cities(2_000);
    let mut run = field.produce("a").env("ISOBAR_STREAM_HIGH_WATER", "1000").spawn();
    until(PATIENCE, "the stream is full", async || {
        field.redis.cli::<u64>(&["XLEN", STREAM]).await == 1_000
    })
    .await;
    let _: String = field.redis.cli(&["FLUSHALL"]).await;
    let mut seen = Vec::new();
    until(PATIENCE, "the run ends", async || {
        seen.extend(field.finish().await);
        !run.is_running()
    })
    .await;
    seen.extend(field.finish().await);
    assert_eq!(run.wait(PATIENCE).await, 0, "{}", run.stderr_so_far());
    assert_eq!(multiset(&seen), once_each(2_000));
    let report: Value = serde_json::from_str(&run.stdout_so_far()).expect("JSON");
    assert_eq!(numbers(&report, ["published"]), [2_000], "what is sent again is not counted again");
}

#[tokio::test]
async fn a_stream_flushed_between_runs_gets_again_what_was_not_confirmed() {
    let field = Field::new().await;
    field.cities(ROWS);
    field.produce("a").run().await.expect_code(0);
    let _: String = field.redis.cli(&["FLUSHALL"]).await;
    field.produce("a").run().await.expect_code(0);
    assert_eq!(field.multiset().await, once_each(ROWS));
}

#[tokio::test]
async fn a_redis_that_lost_its_tail_gets_it_again() {
    let field = Field::new().await;
    field.cities(ROWS);
    let killed = field.produce("a").env(VARIABLE, "producer.append.after:1").run().await;
    assert_eq!(killed.code, ABORTED);
    let watermark: Vec<String> = field.redis.cli(&["HGETALL", WATERMARKS]).await;
    field.produce("a").run().await.expect_code(0);
    // Back to how it was after the first batch, as a power cut leaves it.
    let entries = field.entries(STREAM).await;
    for (id, _) in &entries[500..] {
        let _: u64 = field.redis.cli(&["XDEL", STREAM, id]).await;
    }
    let _: u64 = field.redis.cli(&["HSET", WATERMARKS, &watermark[0], &watermark[1]]).await;
    for seq in 2..=3 {
        let record = format!("{} {seq}", watermark[0]);
        let _: u64 = field.redis.cli(&["HDEL", BATCH_RECORDS, &record]).await;
    }
    field.produce("a").run().await.expect_code(0);
    assert_eq!(field.multiset().await, once_each(ROWS));
}
