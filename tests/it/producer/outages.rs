//! What stands in a run's way: a dead Redis, a full stream, another run, a foreign hand.

use super::*;
use crate::harness::wait::{PATIENCE, until};

#[tokio::test]
async fn a_dead_redis_leaves_everything_safe_in_the_outbox() {
    let mut field = Field::new().await;
    field.cities(12_500);
    field.redis.stop().await;
    let failed = field.produce("a").env("ISOBAR_REDIS_RETRIES", "2").run().await.expect_code(75);
    says(
        &failed,
        &[
            "Redis is not answering at 127.0.0.1:",
            "12,500 tasks are safe in the outbox",
            "run again",
        ],
    );
    assert_eq!(numbers(&failed.json(), ["tasks", "published", "unsent"]), [12_500, 0, 12_500]);
    field.redis.start_again().await;
    field.isobar().args(["outbox", "flush"]).run().await.expect_code(0);
    assert_eq!(field.multiset().await, once_each(12_500));
}

#[tokio::test]
async fn a_full_stream_holds_the_run_back_and_loses_nothing() {
    let field = Field::new().await;
    field.cities(2_000);
    let full = field
        .produce("a")
        .env("ISOBAR_STREAM_HIGH_WATER", "1000")
        .args(["--max-wait", "200ms"])
        .run()
        .await
        .expect_code(75);
    says(&full, &["the stream is full", "1,000 tasks are safe"]);
    assert_eq!(field.multiset().await, once_each(1_000));
    field.produce("a").run().await.expect_code(0);
    assert_eq!(field.multiset().await, once_each(2_000));
}

#[tokio::test]
async fn a_second_run_says_who_holds_the_outbox_and_a_signal_ends_the_first_in_order() {
    let field = Field::new().await;
    field.cities(2_000);
    let mut first = field.produce("a").env("ISOBAR_STREAM_HIGH_WATER", "1000").spawn();
    until(PATIENCE, "the first run waits", async || {
        field.redis.cli::<u64>(&["XLEN", STREAM]).await == 1_000
    })
    .await;
    let second = field.produce("b").run().await.expect_code(75);
    says(&second, &["in use by isobar produce (pid "]);
    first.terminate();
    assert_eq!(first.wait(PATIENCE).await, 75, "{}", first.stderr_so_far());
    assert!(first.stderr_so_far().contains("isobar: stopped;"), "{}", first.stderr_so_far());
    field.produce("a").run().await.expect_code(0);
    assert_eq!(field.multiset().await, once_each(2_000));
}

#[tokio::test]
async fn a_job_in_conflict_with_the_stream_is_left_alone_and_others_go_on() {
    let field = Field::new().await;
    field.cities(700);
    let report = field.produce("a").run().await.expect_code(0).json();
    let job = report["job_id"].as_str().expect("text").to_owned();
    // Another hash under this job's number, and its records lost.
    let _: u64 = field.redis.cli(&["HSET", WATERMARKS, &job, "1 0000"]).await;
    let _: u64 = field.redis.cli(&["DEL", BATCH_RECORDS]).await;
    let conflict = field.produce("b").run().await.expect_code(1);
    says(&conflict, &["other content", &job]);
    assert_eq!(numbers(&conflict.json(), ["published"]), [700], "the other job went on");
    let states: Vec<String> = field.status().await["jobs"]
        .as_array()
        .expect("jobs")
        .iter()
        .map(|job| job["state"].as_str().expect("text").to_owned())
        .collect();
    assert!(states.contains(&"conflicted".to_owned()), "{states:?}");
}

#[tokio::test]
async fn a_wrong_kind_of_key_is_a_matter_of_configuration() {
    let field = Field::new().await;
    field.cities(10);
    let _: String = field.redis.cli(&["SET", STREAM, "not a stream"]).await;
    let refused = field.produce("a").run().await.expect_code(78);
    says(&refused, &[STREAM, "10 tasks are safe"]);
}

#[tokio::test]
async fn small_jobs_do_not_wait_behind_large_ones() {
    let mut field = Field::new().await;
    field.redis.stop().await;
    for (rows, slot) in [(5_000, "large"), (600, "small")] {
        field.cities(rows);
        field.produce(slot).env("ISOBAR_REDIS_RETRIES", "1").run().await.expect_code(75);
    }
    field.redis.start_again().await;
    field.isobar().args(["outbox", "flush"]).run().await.expect_code(0);
    let entries = field.entries(STREAM).await;
    let first_job = value(&entries[0].1, "job_id");
    let other = entries.iter().rposition(|(_, fields)| value(fields, "job_id") != first_job);
    assert!(other.expect("two jobs") < 2_200, "they take turns");
    assert_eq!(entries.len(), 5_600);
}
