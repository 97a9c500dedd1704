//! The whole way of a row, from a source to the answer that people read.
//!
//! Producer, Redis, workers, PostgreSQL and API as a user would run them, and the embedded
//! pipeline in one process; killed, flushed and restarted on the way. At the end every row has
//! ended exactly once, and `isobar verify` says so.

use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::isobar::Isobar;
use crate::harness::port::free_port;
use crate::harness::stage::{STREAM, Stage, counts};
use crate::harness::wait::{PATIENCE, eventually, until};

/// Cities of the simulator in most of these tests: several batches, the last one not full.
const CITIES: i64 = 1_700;
const SIM: [&str; 2] = ["--cities", "1700"];

async fn produce(stage: &Stage, slot: &str) -> Value {
    let args = ["produce", "--source", "api", "--slot", slot, "--json"];
    stage.isobar(args).run().await.expect_code(0).json()
}

/// Every city once, every account balanced, nothing left anywhere.
async fn all_is_well(stage: &Stage, jobs: i64) {
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, CITIES);
    assert_eq!(stage.count("SELECT count(*) FROM jobs WHERE status = 'done'").await, jobs);
    assert_eq!(stage.count("SELECT count(*) FROM job_tasks").await, jobs * CITIES);
    assert_eq!(
        stage.count("SELECT count(*) FROM jobs WHERE total <> processed OR total <> succeeded + failed + skipped").await,
        0
    );
    assert_eq!(stage.dead().await, []);
    let verified = stage.isobar(["verify", "--json"]).run().await.expect_code(0).json();
    assert_eq!(counts(&verified, ["missing", "unsent"]), [0, 0], "{verified}");
}

#[tokio::test]
async fn every_city_of_the_source_is_stored_once_and_the_same_slot_publishes_nothing() {
    let stage = Stage::set(&SIM).await;
    let report = produce(&stage, "monday").await;
    assert_eq!(counts(&report, ["rows", "tasks", "published", "batches"]), [1700, 1700, 1700, 4]);
    let length: i64 = stage.redis.cli(&["XLEN", STREAM]).await;
    assert_eq!(length, CITIES, "tasks and nothing else");

    let workers = tokio::join!(stage.drain(), stage.drain());
    let [one, two] =
        [workers.0, workers.1].map(|ended| counts(&ended.expect_code(0).json(), ["succeeded"])[0]);
    assert_eq!(one + two, 1700);
    all_is_well(&stage, 1).await;

    let again =
        stage.isobar(["produce", "--source", "api", "--slot", "monday"]).run().await.expect_code(0);
    assert!(again.stdout.contains("nothing") || again.stderr.contains("nothing"), "{again:?}");
    assert_eq!(counts(&produce(&stage, "monday").await, ["published", "unsent"]), [0, 0]);
    assert_eq!(stage.unfinished().await, 0);
    // Another slot soon after: everything is still current, nothing is fetched.
    produce(&stage, "tuesday").await;
    let drained = stage.drain().await.expect_code(0).json();
    assert_eq!(counts(&drained, ["succeeded", "skipped"]), [0, 1700]);
}

#[tokio::test]
async fn a_redis_killed_in_the_middle_is_filled_again_by_the_next_run() {
    let mut stage = Stage::set(&SIM).await;
    produce(&stage, "monday").await;
    stage.redis.kill9().await;
    stage.redis.start_again().await;
    // The last second of the append-only file may be gone; the outbox has it still.
    produce(&stage, "monday").await;
    stage.drain().await.expect_code(0);
    all_is_well(&stage, 1).await;
}

#[tokio::test]
async fn a_flushed_redis_is_healed_and_what_was_lost_is_sent_again() {
    let stage = Stage::set(&SIM).await;
    produce(&stage, "monday").await;
    let first = stage.isobar(["consume", "--locations-per-request", "100", "-v"]);
    let mut worker = first.env("ISOBAR_CONCURRENCY", "1").spawn();
    worker.wait_for_line(|line| line.contains("committed"), PATIENCE).await;
    let _: String = stage.redis.cli(&["FLUSHALL"]).await;
    let _: Value = produce(&stage, "monday").await;
    until(PATIENCE, "every city is stored", async || {
        stage.count("SELECT count(*) FROM weather").await == CITIES
            && stage.count("SELECT count(*) FROM jobs WHERE status = 'done'").await == 1
    })
    .await;
    worker.terminate();
    assert_eq!(worker.wait(PATIENCE).await, 0);
    stage.drain().await.expect_code(0);
    all_is_well(&stage, 1).await;
}

#[tokio::test]
async fn a_dead_broker_costs_nothing_but_time() {
    let stage = Stage::set(&SIM).await;
    let args = ["produce", "--source", "api", "--slot", "monday"];
    let dead = format!("redis://127.0.0.1:{}", free_port());
    let failed = stage
        .isobar(args)
        .env("REDIS_URL", dead)
        .env("ISOBAR_REDIS_RETRIES", "2")
        .run()
        .await
        .expect_code(75);
    assert!(failed.stderr.contains("1,700 tasks are safe in the outbox"), "{}", failed.stderr);
    produce(&stage, "monday").await;
    stage.drain().await.expect_code(0);
    all_is_well(&stage, 1).await;
}

#[tokio::test]
async fn everything_in_one_process_recovers_by_itself_when_redis_comes_back() {
    let mut stage = Stage::set(&SIM).await;
    let port = free_port();
    let mut up = stage.isobar(["up", "--listen", &format!("127.0.0.1:{port}")]).spawn();
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    let healthy = async |status: u16| {
        until(PATIENCE, "the health is as expected", async || {
            http.try_get("/healthz").await.is_ok_and(|reply| reply.status == status)
        })
        .await;
    };
    healthy(200).await;
    stage.redis.stop().await;
    healthy(503).await;
    assert_eq!(http.get("/livez").await.status, 200);
    stage.redis.start_again().await;
    healthy(200).await;
    produce(&stage, "monday").await;
    until(PATIENCE, "every city is stored", async || {
        stage.count("SELECT count(*) FROM jobs WHERE status = 'done'").await == 1
    })
    .await;
    let page = http.get("/api/weather/?limit=3").await.json();
    let id = page[0]["id"].as_i64().expect("an id");
    assert_eq!(page[0]["temperature"], stage.sim.expected(id).await["temperature"]);
    up.terminate();
    assert_eq!(up.wait(PATIENCE).await, 0, "{}", up.stderr_so_far());
    all_is_well(&stage, 1).await;
}

#[tokio::test]
async fn an_import_survives_a_kill_right_after_its_202_and_tells_the_truth_about_every_row() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let up = || {
        let listen = format!("127.0.0.1:{port}");
        Isobar::new(dir.path())
            .env("ISOBAR_PAGE_LIMIT", "500")
            .args(["up", "--sim", "--listen", &listen])
            .spawn()
    };
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    let is_up = async || {
        until(PATIENCE, "it listens", async || http.try_get("/livez").await.is_ok()).await;
    };
    let mut first = up();
    is_up().await;
    let csv = "city,country,lat,lon\nParis,FR,,\nBerlin,DE,52.52,13.405\nParis,FR,,\n,FR,1,2\nNowhereville,,,\nRome,IT,91,12\n";
    let boundary = "b0undary";
    let body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"six.csv\"\r\n\r\n{csv}\r\n--{boundary}--\r\n"
    );
    let request = http
        .request(reqwest::Method::POST, "/bulk/import")
        .header("content-type", format!("multipart/form-data; boundary={boundary}"))
        .body(body);
    let taken = crate::harness::http::send(request).await.expect("an answer");
    first.kill9().await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let id = taken.json()["job_id"].as_str().expect("an id").to_owned();

    let mut second = up();
    is_up().await;
    let job = eventually(PATIENCE, "the job is done", async || {
        let job = http.try_get(&format!("/bulk/jobs/{id}")).await.ok()?.json();
        (job["status"] == "done").then_some(job)
    })
    .await;
    let numbers =
        ["total", "processed", "succeeded", "failed", "skipped", "rejected", "duplicates"];
    assert_eq!(counts(&job, numbers), [6, 6, 2, 3, 1, 2, 1], "{job}");
    assert_eq!((&job["kind"], &job["source"]), (&json!("import"), &json!("six.csv")));
    let results = http.get(&format!("/bulk/jobs/{id}/results?status=failed")).await.json();
    let failed: Vec<_> = results["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| (item["row"].as_i64(), item["error_code"].as_str()))
        .collect();
    assert_eq!(
        failed,
        [
            (Some(4), Some("blank_name")),
            (Some(5), Some("city_not_found")),
            (Some(6), Some("bad_latitude"))
        ]
    );
    second.terminate();
    assert_eq!(second.wait(PATIENCE).await, 0, "{}", second.stderr_so_far());
    Isobar::new(dir.path()).args(["verify"]).run().await.expect_code(0);
}

#[tokio::test]
async fn the_demo_stores_every_city_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    // A real installation's settings must not lead the demo to it.
    let demo = Isobar::new(dir.path())
        .env("TMPDIR", dir.path().to_string_lossy())
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("DATABASE_URL", "postgres://127.0.0.1:1/nowhere")
        .env("ISOBAR_LISTEN", format!("127.0.0.1:{}", free_port()))
        .args(["demo", "--exit", "--json", "--cities", "2500"])
        .run()
        .await
        .expect_code(0)
        .json();
    assert_eq!(counts(&demo, ["rows", "succeeded", "failed", "skipped"]), [2500, 2500, 0, 0]);
    assert_eq!((&demo["broker"], &demo["store"]), (&json!("embedded"), &json!("sqlite")));
    let left = std::fs::read_dir(dir.path()).expect("a folder").flatten();
    let demos: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().contains("demo")).collect();
    assert!(demos.is_empty(), "{demos:?}");
}

#[tokio::test]
async fn a_poison_task_ends_as_a_dead_letter_and_its_neighbours_succeed() {
    // Whoever fetches city 13 dies, as a defect in native code would kill its process.
    let stage = Stage::set(&[]).await;
    for n in 1..=20 {
        stage.add_city(n).await;
    }
    let drain = || {
        stage
            .isobar(["consume", "--drain"])
            .env("ISOBAR_CRASH_AT", "consumer.fetch.poison=13")
            .env("ISOBAR_MAX_DELIVERIES", "2")
    };
    let mut deaths = 0;
    let last = loop {
        let ended = drain().run().await;
        if ended.code != 134 {
            break ended;
        }
        deaths += 1;
        assert!(deaths < 20, "it does not end");
    };
    assert_eq!(last.code, 3, "{}", last.stderr);
    // Two in company; then its children die, and the worker lives.
    assert_eq!(deaths, 2);
    assert_eq!(stage.count("SELECT count(*) FROM weather").await, 19);
    assert_eq!(stage.dead().await.len(), 1);
    assert_eq!(stage.dead().await[0].0, "crash_loop");
}
