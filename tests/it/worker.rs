//! What a worker does with what it finds in the stream, whatever the upstream answers.
//!
//! Entries are added by hand, as any Redis client may, so that nothing of the producer is in
//! play. Expectations come from the simulator, which computes the weather it reports.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::stage::{STREAM, Stage, counts};

const TASK: &str = "6fa1c1f0-52c4-4c39-9a55-000000000001";

#[tokio::test]
async fn an_entry_added_by_hand_is_stored_as_the_upstream_reports_it() {
    let stage = Stage::set(&[]).await;
    let paris = [
        ("task_id", TASK),
        ("latitude_deg", "48.85341"),
        ("longitude_deg", "2.3488"),
        ("city_id", "2988507"),
    ];
    stage.add(&paris).await;
    let expected = stage.sim.expected(2_988_507).await;
    let drained = stage.drain().await.expect_code(0).json();
    assert_eq!(counts(&drained, ["entries", "succeeded", "failed", "dead"]), [1, 1, 0, 0]);
    assert_eq!(stage.unfinished().await, 0, "acknowledged entries leave the stream");

    let mut pg = stage.pg().await;
    let row: (String, f64, f64, i32, i32, i32, String) = sqlx::query_as(
        "SELECT city_name, temperature, windspeed, winddirection::int4, weathercode::int4, humidity::int4, time
         FROM weather WHERE city_id = 2988507",
    )
    .fetch_one(&mut pg)
    .await
    .expect("a row");
    assert_eq!(row.0, "Paris", "the built-in list knows the name");
    assert_eq!(json!(row.1), expected["temperature"]);
    assert_eq!(json!(row.2), expected["windspeed"]);
    assert_eq!(json!(row.3), expected["winddirection"]);
    assert_eq!(json!(row.4), expected["weathercode"]);
    assert_eq!(json!(row.5), expected["humidity"]);
    assert_eq!(json!(row.6), expected["time"]);
}

/// A worker that died before its acknowledgement leaves the first try in the stream.
#[tokio::test]
async fn of_two_tries_in_one_transaction_the_higher_one_counts() {
    let stage = Stage::set(&[]).await;
    let job = "0f2c9d5e-8a51-4b7f-9d8e-5b9a4f0c1d2e";
    for try_number in ["1", "2", "1"] {
        let task = [("task_id", TASK), ("city_id", "2988507"), ("latitude_deg", "48.85341")];
        let more =
            [("longitude_deg", "2.3488"), ("job_id", job), ("row", "1"), ("try", try_number)];
        stage.add(&[&task[..], &more[..]].concat()).await;
    }
    stage.drain().await.expect_code(0);
    assert_eq!(stage.unfinished().await, 0);
    let mut pg = stage.pg().await;
    let rows: Vec<(i32, String)> =
        sqlx::query_as("SELECT try, status FROM job_tasks").fetch_all(&mut pg).await.expect("rows");
    assert_eq!(rows, [(2, "success".to_owned())]);
}

#[tokio::test]
async fn rubbish_becomes_dead_letters_with_reasons_and_stops_nothing() {
    let stage = Stage::set(&[]).await;
    stage.add(&[("rubbish", "x")]).await;
    stage
        .add(&[("task_id", TASK), ("latitude_deg", "91"), ("longitude_deg", "0"), ("city_id", "1")])
        .await;
    stage.add(&[("task_id", TASK), ("city", "Nowhereville")]).await;
    let _: String =
        stage.redis.cli(&["XADD", STREAM, "*", "task_id", TASK, "city", "\u{1}\u{0}"]).await;
    stage.add(&[("task_id", "6fa1c1f0-52c4-4c39-9a55-000000000002"), ("city", "Berlin")]).await;
    let drained = stage.drain().await.expect_code(3).json();
    assert_eq!(counts(&drained, ["entries", "succeeded", "failed", "dead"]), [5, 1, 4, 4]);
    let codes: Vec<String> = stage.dead().await.into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["bad_coordinates", "city_not_found", "undecodable", "undecodable"]);
    assert_eq!(stage.count("SELECT count(*) FROM weather WHERE city_name = 'Berlin'").await, 1);
    assert_eq!(stage.unfinished().await, 0);
}

#[tokio::test]
async fn one_bad_location_in_a_hundred_fails_alone() {
    let stage = Stage::set(&[]).await;
    for n in 1..=99 {
        stage.add_city(n).await;
    }
    let nowhere = [
        ("task_id", "6fa1c1f0-52c4-4c39-9a55-000000000100"),
        ("latitude_deg", "-89.9"),
        ("longitude_deg", "0"),
        ("city_id", "100"),
    ];
    stage.add(&nowhere).await;
    let drained = stage.drain().await.expect_code(3).json();
    assert_eq!(counts(&drained, ["succeeded", "failed"]), [99, 1]);
    assert_eq!(stage.dead().await, [("location_rejected".to_owned(), 1)]);
    assert_eq!(
        stage.count("SELECT count(*) FROM cities WHERE last_status = 'failed' AND id = 100").await,
        1
    );
}

#[tokio::test]
async fn an_upstream_that_fails_for_a_while_loses_nothing() {
    for fault in [
        json!({"endpoint": "/v1/forecast", "status": 503, "count": 3}),
        json!({"endpoint": "/v1/forecast", "kind": "html", "count": 2}),
        json!({"endpoint": "/v1/forecast", "kind": "truncate", "count": 2}),
        json!({"endpoint": "/v1/forecast", "kind": "streamed_error", "count": 2}),
        json!({"endpoint": "/v1/forecast", "kind": "hang", "count": 1}),
        json!({"endpoint": "/v1/forecast", "kind": "reset", "count": 2}),
    ] {
        let stage = Stage::set(&[]).await;
        stage.add_city(1).await;
        stage.add_city(2).await;
        stage.sim.fault(&fault).await;
        let drained = stage.drain().await.expect_code(0).json();
        assert_eq!(counts(&drained, ["succeeded", "dead"]), [2, 0], "{fault}");
        let faults = stage.sim.stats().await["faults"].as_u64();
        assert_eq!(faults, fault["count"].as_u64(), "{fault} was met");
    }
}

#[tokio::test]
async fn a_failure_that_stays_ends_as_a_dead_letter_after_its_attempts() {
    let stage = Stage::set(&[]).await;
    stage.add_city(1).await;
    stage.sim.fault(&json!({"endpoint": "/v1/forecast", "status": 503})).await;
    let worker = stage.isobar(["consume", "--drain", "--json"]).env("ISOBAR_MAX_ATTEMPTS", "3");
    let drained = worker.run().await.expect_code(3).json();
    assert_eq!(counts(&drained, ["failed", "dead"]), [1, 1]);
    assert_eq!(stage.dead().await, [("upstream_error".to_owned(), 3)]);
    assert_eq!(stage.unfinished().await, 0);
}

#[tokio::test]
async fn an_exhausted_quota_waits_and_uses_up_no_attempt() {
    // I7, for each reason that the provider gives; the window is longer than the drain waits.
    for reason in [
        "Hourly API request limit exceeded. Please try again in the next hour.",
        "Daily API request limit exceeded. Please try again tomorrow.",
    ] {
        let stage = Stage::set(&[]).await;
        stage.add_city(1).await;
        let body = json!({"error": true, "reason": reason});
        stage
            .sim
            .fault(&json!({"endpoint": "/v1/forecast", "status": 429, "body": body, "count": 1}))
            .await;
        stage.isobar(["consume", "--drain", "--max-wait", "1s"]).run().await.expect_code(75);
        assert_eq!(stage.unfinished().await, 1, "{reason}");
        assert_eq!(stage.sim.stats().await["requests"], 1, "nobody asks again meanwhile");
        // The next worker process knows nothing of it, asks, and is answered.
        let drained = stage.drain().await.expect_code(0).json();
        assert_eq!(counts(&drained, ["succeeded", "dead"]), [1, 0], "{reason}");
        let mut pg = stage.pg().await;
        let dead: Vec<(String,)> =
            sqlx::query_as("SELECT code FROM dead_letters").fetch_all(&mut pg).await.expect("runs");
        assert_eq!(dead, []);
    }
}

#[tokio::test]
async fn a_minute_that_is_used_up_is_waited_for() {
    let stage = Stage::set(&[]).await;
    stage.add_city(1).await;
    let reason = "Minutely API request limit exceeded. Please try again in one minute.";
    let body = json!({"error": true, "reason": reason});
    let fault = json!({"endpoint": "/v1/forecast", "status": 429, "body": body, "count": 1});
    stage.sim.fault(&fault).await;
    let worker = stage.isobar(["consume", "--drain", "--json", "--max-wait", "90s"]);
    let drained = worker.run().await.expect_code(0).json();
    assert_eq!(counts(&drained, ["succeeded", "dead"]), [1, 0]);
    assert_eq!(stage.sim.stats().await["requests"], 2, "nobody asks again before the next minute");
}

#[tokio::test]
async fn four_workers_on_a_free_tier_ask_for_what_it_allows_and_no_more() {
    let stage = Stage::set(&["--quota", "open-meteo"]).await;
    stage.isobar(["produce", "--limit", "700"]).run().await.expect_code(0);
    let worker = stage
        .isobar(["consume", "--drain", "--json", "--max-wait", "90s"])
        .env("ISOBAR_QUOTA", "600/m,5000/h,10000/d")
        .env("ISOBAR_CONCURRENCY", "1");
    let all = [worker.run(), worker.run(), worker.run(), worker.run()];
    let mut succeeded = 0;
    for drained in join_all(all).await {
        // The provider's own word for it is told once, where it says it.
        assert!(!drained.stderr.contains("the quota is used up"), "{}", drained.stderr);
        let [done] = counts(&drained.expect_code(0).json(), ["succeeded"]);
        succeeded += done;
    }
    assert_eq!(succeeded, 700);
    let stats = stage.sim.stats().await;
    assert_eq!(stats["endpoints"]["/v1/forecast"]["locations"], 700, "{stats}");
}

#[tokio::test]
async fn too_many_requests_at_once_are_simply_asked_again() {
    let stage = Stage::set(&[]).await;
    stage.add_city(1).await;
    let body = json!({"error": true, "reason": "Too many concurrent requests"});
    stage
        .sim
        .fault(&json!({"endpoint": "/v1/forecast", "status": 429, "body": body, "count": 3}))
        .await;
    let drained = stage.drain().await.expect_code(0).json();
    assert_eq!(counts(&drained, ["succeeded", "dead"]), [1, 0]);
}

#[tokio::test]
async fn a_refused_key_is_a_configuration_and_condemns_nobody() {
    for status in [401, 403, 404, 303] {
        let stage = Stage::set(&[]).await;
        for n in 1..=20 {
            stage.add_city(n).await;
        }
        stage.sim.fault(&json!({"endpoint": "/v1/forecast", "status": status, "body": {"error": true, "reason": "no"}})).await;
        let ended = stage.isobar(["consume", "--drain"]).run().await.expect_code(78);
        assert!(ended.stderr.contains("nothing is lost"), "{}", ended.stderr);
        assert_eq!(stage.unfinished().await, 20);
        stage.sim.clear_faults().await;
        let drained = stage.drain().await.expect_code(0).json();
        assert_eq!(counts(&drained, ["succeeded", "dead"]), [20, 0], "{status}");
    }
}

#[tokio::test]
async fn a_row_that_the_store_refuses_is_found_and_its_neighbours_are_stored() {
    let stage = Stage::set(&[]).await;
    stage.isobar(["migrate"]).run().await.expect_code(0);
    let mut pg = stage.pg().await;
    sqlx::query("ALTER TABLE cities ADD CONSTRAINT unlucky CHECK (id <> 13)")
        .execute(&mut pg)
        .await
        .expect("the table is there");
    for n in 1..=50 {
        stage.add_city(n).await;
    }
    let drained = stage.drain().await.expect_code(3).json();
    assert_eq!(counts(&drained, ["succeeded", "failed", "dead"]), [49, 1, 1]);
    assert_eq!(stage.dead().await[0].0, "store_refused");
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, 49);
}

#[tokio::test]
async fn openweather_is_asked_one_by_one_and_its_units_are_translated() {
    let stage = Stage::set(&[]).await;
    let paris = [
        ("task_id", TASK),
        ("latitude_deg", "48.85341"),
        ("longitude_deg", "2.3488"),
        ("city_id", "2988507"),
    ];
    stage.add(&paris).await;
    stage.add_city(7).await;
    let expected = stage.sim.expected(2_988_507).await;
    let worker = stage
        .isobar(["consume", "--drain", "--json"])
        .env("ISOBAR_WEATHER_PROVIDER", "openweather")
        .env("ISOBAR_OPENWEATHER_URL", stage.sim.url())
        .env("ISOBAR_OPENWEATHER_API_KEY", "a-key-that-must-not-show");
    let ended = worker.run().await.expect_code(0);
    assert!(!ended.stderr.contains("a-key-that-must-not-show"));
    let mut pg = stage.pg().await;
    let row: (f64, f64, i32) = sqlx::query_as(
        "SELECT temperature, windspeed, weathercode::int4 FROM weather WHERE city_id = 2988507",
    )
    .fetch_one(&mut pg)
    .await
    .expect("a row");
    assert_eq!(json!(row.0), expected["temperature"]);
    assert_eq!(json!(row.1), expected["windspeed"]);
    assert_eq!(json!(row.2), expected["weathercode"]);
    let stats: Value = stage.sim.stats().await;
    assert_eq!(stats["endpoints"]["/data/2.5/weather"]["requests"], 2);
}

#[tokio::test]
async fn two_workers_share_the_work_and_nothing_is_stored_twice() {
    let stage = Stage::set(&["--latency", "20ms"]).await;
    for n in 1..=400 {
        stage.add_city(n).await;
    }
    let worker = || {
        let worker =
            stage.isobar(["consume", "--drain", "--json", "--locations-per-request", "10"]);
        // Nobody dies here, and what a starved worker lost would be fetched twice.
        let worker = worker
            .env("ISOBAR_CONCURRENCY", "1")
            .env("ISOBAR_CLAIM_IDLE", "30s")
            .env("ISOBAR_REQUEST_TIMEOUT", "10s");
        async move { worker.run().await.expect_code(0).json() }
    };
    let (one, two) = tokio::join!(worker(), worker());
    let [one, two] = [one, two].map(|ended| counts(&ended, ["succeeded"])[0]);
    assert_eq!(one + two, 400);
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, 400);
    assert_eq!(stage.sim.stats().await["locations"], 400, "each was fetched once");
}

#[tokio::test]
async fn a_worker_killed_at_any_step_loses_nothing() {
    for point in [
        "consumer.read.after",
        "consumer.fetch.before",
        "consumer.fetch.after",
        "consumer.commit.before",
        "consumer.commit.after",
        "consumer.ack.before",
        "consumer.ack.after",
    ] {
        let stage = Stage::set(&[]).await;
        for n in 1..=30 {
            stage.add_city(n).await;
        }
        let killed = stage.isobar(["consume", "--drain"]).env("ISOBAR_CRASH_AT", point).run().await;
        assert_eq!(killed.code, 134, "{point} was passed: {}", killed.stderr);
        stage.drain().await.expect_code(0);
        assert_eq!(stage.unfinished().await, 0, "{point}");
        assert_eq!(stage.count("SELECT count(*) FROM weather").await, 30, "{point}");
        assert_eq!(stage.dead().await, [], "{point}");
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_gives_back_what_it_has_not_begun_and_leaves_no_name() {
    let stage = Stage::set(&["--latency", "300ms"]).await;
    for n in 1..=200 {
        stage.add_city(n).await;
    }
    let worker = stage
        .isobar(["consume", "--locations-per-request", "10", "-v"])
        .env("ISOBAR_CONCURRENCY", "1");
    let mut worker = worker.spawn();
    worker.wait_for_line(|line| line.contains("committed"), crate::harness::wait::PATIENCE).await;
    worker.terminate();
    assert_eq!(worker.wait(crate::harness::wait::PATIENCE).await, 0);
    let stored = stage.count("SELECT count(*) FROM weather").await;
    assert_eq!(stage.unfinished().await, 200 - stored as u64, "what is stored is acknowledged");
    let consumers: Vec<Value> = {
        let names: Vec<Vec<redis::Value>> =
            stage.redis.cli(&["XINFO", "CONSUMERS", STREAM, "ingestion-workers"]).await;
        names.into_iter().map(|fields| json!(format!("{fields:?}"))).collect()
    };
    assert!(consumers.iter().all(|name| name.to_string().contains("returned")), "{consumers:?}");
    // Given back without an attempt and due at once.
    let drained = stage.drain().await.expect_code(0).json();
    assert_eq!(counts(&drained, ["succeeded"])[0] as i64, 200 - stored);
    let attempts: u64 = stage.redis.cli(&["HLEN", &format!("{{{STREAM}}}:attempts")]).await;
    assert_eq!(attempts, 0);
}
