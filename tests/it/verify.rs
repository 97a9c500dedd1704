//! `isobar verify` names rows that only one of outbox, stream and store has lost.

mod repair;

use std::path::Path;

use serde_json::json;

use crate::harness::isobar::Isobar;
use crate::harness::sim::Sim;
use crate::harness::stage::Stage;

#[tokio::test]
async fn commands_that_only_look_create_nothing_where_nothing_is() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [
        &["verify"][..],
        &["status"],
        &["stats"],
        &["doctor"],
        &["jobs", "list"],
        &["jobs", "show", "00000000-0000-7000-8000-000000000000"],
        &["dead", "list"],
        &["dead", "groups"],
        &["dead", "export"],
        &["outbox", "status"],
        &["backup", "copy.db"],
    ] {
        let data = dir.path().join("data");
        let look = Isobar::new(dir.path()).env("ISOBAR_DATA_DIR", data.to_string_lossy());
        let run = look.args(args.iter().copied()).run().await;
        assert_eq!(run.code, 78, "{args:?}: {} {}", run.stdout, run.stderr);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("no installation found in"), "{args:?}: {said}");
        assert!(!data.exists(), "{args:?} created a folder");
        assert!(!dir.path().join("copy.db").exists());
    }
}

#[tokio::test]
async fn a_store_that_was_restored_from_before_a_job_is_found() {
    let sim = Sim::start(["--cities=1"]).await;
    let dir = tempfile::tempdir().expect("a folder");
    let isobar = |args: &[&str]| {
        Isobar::new(dir.path())
            .env("ISOBAR_OPEN_METEO_URL", sim.url())
            .env("ISOBAR_GEOCODING_URL", sim.url())
            .args(args.iter().copied())
    };
    isobar(&["migrate"]).run().await.expect_code(0);
    let files = ["isobar.db", "isobar.db-wal", "isobar.db-shm"].map(|name| dir.path().join(name));
    let copies: Vec<Option<Vec<u8>>> = files.iter().map(|file| std::fs::read(file).ok()).collect();
    let report = isobar(&["produce", "--limit", "20", "--json"]).run().await.expect_code(0).json();
    isobar(&["consume", "--drain"]).run().await.expect_code(0);
    isobar(&["outbox", "flush"]).run().await.expect_code(0);
    isobar(&["verify"]).run().await.expect_code(0);
    for (file, copy) in files.iter().zip(copies) {
        match copy {
            Some(bytes) => std::fs::write(file, bytes).expect("writes"),
            None => remove(file),
        }
    }
    let found = isobar(&["verify", "--json"]).run().await.expect_code(1).json();
    assert_eq!(found["disagreements"][0]["job_id"], report["job_id"], "{found}");
    let said = isobar(&["verify"]).run().await.expect_code(1).stdout;
    assert!(said.contains("DISAGREEMENT job") && said.contains("restored from before"), "{said}");
    // As the advice says.
    assert!(said.contains("`isobar verify --repair` sends its rows again"), "{said}");
    let repaired = isobar(&["verify", "--repair", "--json"]).run().await.expect_code(0).json();
    assert_eq!(repaired["repaired"]["again"], json!([report["job_id"]]), "{repaired}");
    assert_eq!(
        (&repaired["repaired"]["published"], &repaired["in_stream"]),
        (&json!(20), &json!(20))
    );
    let drained = isobar(&["consume", "--drain", "--json"]).run().await.expect_code(0).json();
    assert_eq!(drained["succeeded"], 20);
    isobar(&["outbox", "flush"]).run().await.expect_code(0);
    isobar(&["verify"]).run().await.expect_code(0);
    let id = report["job_id"].as_str().expect("an id");
    let job = isobar(&["jobs", "show", id, "--json"]).run().await.expect_code(0).json();
    assert_eq!((&job["status"], &job["processed"]), (&json!("done"), &json!(20)), "{job}");
}

#[tokio::test]
async fn what_the_outbox_no_longer_keeps_is_fetched_again_under_a_new_job() {
    let stage = Stage::set(&["--cities", "20"]).await;
    let report = stage.isobar(["produce", "--json"]).run().await.expect_code(0).json();
    stage.drain().await.expect_code(0);
    stage.isobar(["outbox", "flush"]).run().await.expect_code(0);
    stage.forget_jobs("").await;
    let outbox = rusqlite::Connection::open(stage.dir.path().join("outbox.db")).expect("opens");
    outbox.execute("UPDATE batches SET confirmed_at_ms = 1", []).expect("updates");
    let flush = stage.isobar(["outbox", "flush"]).env("ISOBAR_OUTBOX_KEEP", "1h");
    flush.run().await.expect_code(0);
    let left: i64 =
        outbox.query_row("SELECT count(*) FROM batches", [], |row| row.get(0)).expect("reads");
    assert_eq!(left, 0);
    let said = stage.isobar(["verify", "--repair"]).run().await.expect_code(1).stdout;
    assert!(said.contains("repair: 0 tasks sent again"), "{said}");
    assert!(said.contains("`isobar produce --force` fetches its rows again"), "{said}");
    // As the advice says: the rows come back under a new job, and the old job ends.
    stage.isobar(["produce", "--force"]).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    let id = report["job_id"].as_str().expect("an id");
    stage.isobar(["jobs", "cancel", id]).run().await.expect_code(0);
    stage.isobar(["verify"]).run().await.expect_code(1);
    let repaired = stage.isobar(["verify", "--repair", "--json"]).run().await.expect_code(0).json();
    assert_eq!(repaired["repaired"]["closed"], json!([id]), "{repaired}");
    stage.isobar(["verify"]).run().await.expect_code(0);
}

/// As after a failover to a replica that did not have the last commits.
#[tokio::test]
async fn commits_that_the_store_has_lost_are_sent_again() {
    let stage = Stage::set(&["--cities", "120"]).await;
    let produce = stage.isobar(["produce", "--json"]).env("ISOBAR_BATCH_SIZE", "20");
    let report = produce.run().await.expect_code(0).json();
    stage.drain().await.expect_code(0);
    stage.isobar(["outbox", "flush"]).run().await.expect_code(0);
    stage.isobar(["verify"]).run().await.expect_code(0);
    stage.forget_jobs("WHERE \"row\" > 70").await;
    let found = stage.isobar(["verify", "--json"]).run().await.expect_code(1).json();
    assert_eq!(found["missing"], 50, "{found}");
    let said = stage.isobar(["verify"]).run().await.expect_code(1).stdout;
    assert!(
        said.contains(
            "50 rows are neither in the stream nor in the ledger; `isobar verify --repair`"
        ),
        "{said}"
    );
    let repaired = stage.isobar(["verify", "--repair", "--json"]).run().await.expect_code(0).json();
    // The fourth batch of six has the first of them.
    assert_eq!(repaired["repaired"]["published"], 60, "{repaired}");
    stage.drain().await.expect_code(0);
    stage.isobar(["verify"]).run().await.expect_code(0);
    let id = report["job_id"].as_str().expect("an id");
    let job = stage.isobar(["jobs", "show", id, "--json"]).run().await.expect_code(0).json();
    assert_eq!((&job["status"], &job["processed"]), (&json!("done"), &json!(120)), "{job}");
}

/// A retry goes through the outbox of imports, and its job has ended before.
#[tokio::test]
async fn retries_that_the_store_has_lost_are_sent_again() {
    let sim = Sim::start(["--cities=1"]).await;
    for confirmed in [false, true] {
        let dir = tempfile::tempdir().expect("a folder");
        let isobar = |args: &[&str]| {
            Isobar::new(dir.path())
                .env("ISOBAR_OPEN_METEO_URL", sim.url())
                .env("ISOBAR_GEOCODING_URL", sim.url())
                .args(args.iter().copied())
        };
        let produce = isobar(&["produce", "--limit", "20", "--json"]);
        let report = produce.run().await.expect_code(0).json();
        sim.fault(&json!({"endpoint": "/v1/forecast", "status": 503})).await;
        let failing = isobar(&["consume", "--drain"]).env("ISOBAR_MAX_ATTEMPTS", "1");
        failing.run().await.expect_code(3);
        sim.clear_faults().await;
        let id = report["job_id"].as_str().expect("an id");
        isobar(&["jobs", "retry", id]).run().await.expect_code(0);
        let store = dir.path().join("isobar.db");
        let copy = std::fs::read(&store).expect("reads");
        isobar(&["consume", "--drain"]).run().await.expect_code(0);
        if confirmed {
            isobar(&["verify", "--repair"]).run().await.expect_code(0);
        }
        std::fs::write(&store, copy).expect("writes");
        let found = isobar(&["verify", "--json"]).run().await.expect_code(1).json();
        assert_eq!(found["missing"], 20, "{confirmed}: {found}");
        let repaired = isobar(&["verify", "--repair", "--json"]).run().await.expect_code(0).json();
        assert_eq!(repaired["repaired"]["published"], 20, "{confirmed}: {repaired}");
        isobar(&["consume", "--drain"]).run().await.expect_code(0);
        isobar(&["verify", "--repair"]).run().await.expect_code(0);
        let job = isobar(&["jobs", "show", id, "--json"]).run().await.expect_code(0).json();
        assert_eq!((&job["succeeded"], &job["failed"]), (&json!(20), &json!(0)), "{job}");
    }
}

#[tokio::test]
async fn a_list_that_another_host_finished_does_not_disagree() {
    let stage = Stage::set(&["--cities", "100"]).await;
    let other = tempfile::tempdir().expect("a folder");
    let produce = ["produce", "--slot", "a"];
    kill_half_way(stage.isobar(produce)).await;
    let continued = stage.isobar_in(other.path(), produce).env("ISOBAR_BATCH_SIZE", "20");
    continued.run().await.expect_code(0);
    stage.isobar(produce).env("ISOBAR_BATCH_SIZE", "20").run().await.expect_code(0);
    // All rows are in the stream.
    stage.isobar(["verify"]).run().await.expect_code(0);
}

/// The stream lost what it knew of a half-published list, and another host published the same slot again.
#[tokio::test]
async fn a_half_published_list_is_not_dropped_for_the_list_of_another_host() {
    let stage = Stage::set(&["--cities", "1"]).await;
    let other = tempfile::tempdir().expect("a folder");
    let produce = ["produce", "--slot", "a", "--max-wait", "1s"];
    let first = || stage.isobar(produce).env("ISOBAR_BATCH_SIZE", "20");
    stage.sim.list(1..=90).await;
    first().env("ISOBAR_STREAM_HIGH_WATER", "45").run().await.expect_code(75);
    stage.drain().await.expect_code(0);
    let _: String = stage.redis.cli(&["FLUSHALL"]).await;
    // Its cities are all done already, so the counters of the job alone show nothing.
    stage.sim.list(1..=40).await;
    stage.isobar_in(other.path(), produce).run().await.expect_code(0);
    let refused = first().run().await.expect_code(1);
    assert!(refused.stderr.contains("part of them published"), "{}", refused.stderr);
    stage.drain().await.expect_code(0);
    let said = stage.isobar(["verify"]).run().await.expect_code(1).stdout;
    assert!(said.contains("CONFLICT job") && said.contains("without `--slot`"), "{said}");
    // As the advice says.
    stage.sim.list(1..=90).await;
    stage.isobar(["produce"]).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    let repaired = stage.isobar(["verify", "--repair", "--json"]).run().await.expect_code(0).json();
    assert_eq!(repaired["repaired"]["settled"].as_array().map(Vec::len), Some(1), "{repaired}");
    assert_eq!(stage.count("SELECT count(*) FROM cities").await, 90);
}

/// A run that was killed is named on its own host too.
#[tokio::test]
async fn a_half_read_list_is_named_on_its_own_host_once_its_run_is_silent() {
    let stage = Stage::set(&["--cities", "120"]).await;
    let produce = ["produce", "--slot", "a"];
    kill_half_way(stage.isobar(produce)).await;
    stage.drain().await.expect_code(0);
    stage.isobar(["verify"]).run().await.expect_code(0);
    stage.redis.silence_publisher().await;
    let said = stage.isobar(["verify"]).run().await.expect_code(1).stdout;
    assert!(said.contains("ABANDONED job"), "{said}");
    // As the advice says.
    stage.isobar(produce).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    stage.isobar(["verify"]).run().await.expect_code(0);
}

#[tokio::test]
async fn wrong_counters_are_taken_from_the_ledger() {
    let stage = Stage::set(&["--cities", "20"]).await;
    stage.isobar(["produce"]).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    let wrong = "UPDATE jobs SET succeeded = succeeded - 1";
    sqlx::query(wrong).execute(&mut stage.pg().await).await.expect("updates");
    let said = stage.isobar(["verify"]).run().await.expect_code(1).stdout;
    assert!(said.contains("IMBALANCE job") && said.contains("takes the counters"), "{said}");
    let repaired = stage.isobar(["verify", "--repair", "--json"]).run().await.expect_code(0).json();
    assert_eq!(repaired["repaired"]["recounted"].as_array().map(Vec::len), Some(1), "{repaired}");
    assert_eq!(stage.count("SELECT succeeded FROM jobs").await, 20);
}

#[tokio::test]
async fn a_job_whose_outbox_is_lost_is_named_once_its_publisher_is_silent() {
    let stage = Stage::set(&["--cities", "120"]).await;
    let produce = ["produce", "--json"];
    kill_half_way(stage.isobar(produce)).await;
    stage.drain().await.expect_code(0);
    let unlike = |balanced: bool, verified: &serde_json::Value| {
        assert_eq!(verified["balanced"], json!(balanced), "{verified}");
    };
    for file in ["outbox.db", "outbox.db-wal", "outbox.db-shm"] {
        remove(&stage.dir.path().join(file));
    }
    let verified = stage.isobar(["verify", "--json"]).run().await.expect_code(0).json();
    unlike(true, &verified);
    let job = stage.redis.silence_publisher().await;
    let verified = stage.isobar(["verify", "--json"]).run().await.expect_code(1).json();
    unlike(false, &verified);
    assert_eq!(verified["abandoned"][0]["job_id"], json!(job));
    let said = stage.isobar(["verify"]).run().await.expect_code(1).stdout;
    assert!(said.contains("ABANDONED job") && said.contains("on its host ("), "{said}");
}

#[tokio::test]
async fn an_outbox_that_is_not_there_is_a_wrong_argument() {
    let stage = Stage::set(&[]).await;
    stage.isobar(["migrate"]).run().await.expect_code(0);
    let refused = stage.isobar(["verify", "--outbox", "/no/such.db"]).run().await.expect_code(78);
    assert!(refused.stderr.contains("the outbox /no/such.db does not exist"), "{}", refused.stderr);
}

/// Kills a run that has published two batches of twenty.
async fn kill_half_way(produce: Isobar) {
    let produce = produce.env("ISOBAR_BATCH_SIZE", "20");
    let killed = produce.env("ISOBAR_CRASH_AT", "producer.append.after:2").run().await;
    assert_eq!(killed.code, 134, "{}", killed.stderr);
}

fn remove(file: &Path) {
    if file.exists() {
        std::fs::remove_file(file).expect("removes");
    }
}
