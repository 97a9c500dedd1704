//! What `isobar verify --repair` prints is what it does: half-done batches, and rows the ledger has.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::isobar::Isobar;
use crate::harness::sim::Sim;

/// An embedded installation without a running process.
struct Field {
    dir: TempDir,
    sim: Sim,
}

impl Field {
    async fn new() -> Self {
        let sim = Sim::start(["--cities=1", "--latency", "200ms"]).await;
        Self { dir: tempfile::tempdir().expect("a folder"), sim }
    }

    fn isobar(&self, args: &[&str]) -> Isobar {
        Isobar::new(self.dir.path())
            .env("ISOBAR_OPEN_METEO_URL", self.sim.url())
            .env("ISOBAR_GEOCODING_URL", self.sim.url())
            .env("ISOBAR_BATCH_SIZE", "20")
            .env("ISOBAR_CLAIM_IDLE", "3s")
            .env("ISOBAR_REQUEST_TIMEOUT", "1s")
            .args(args.iter().copied())
    }

    async fn produce(&self) -> String {
        let report = self.isobar(&["produce", "--limit", "60", "--json"]).run().await;
        report.expect_code(0).json()["job_id"].as_str().expect("an id").to_owned()
    }

    /// Kills a worker after its second acknowledgement: one of the messages beside tasks, one of cities.
    async fn consume_part(&self) {
        let consume = ["consume", "--locations-per-request", "5", "--concurrency", "1"];
        let killed =
            self.isobar(&consume).env("ISOBAR_CRASH_AT", "consumer.ack.after:2").run().await;
        assert_eq!(killed.code, 134, "{}", killed.stderr);
    }

    async fn repair(&self, code: i32) -> Value {
        self.isobar(&["verify", "--repair", "--json"]).run().await.expect_code(code).json()
    }

    async fn drain(&self) {
        self.isobar(&["consume", "--drain"]).run().await.expect_code(0);
        self.isobar(&["outbox", "flush"]).run().await.expect_code(0);
    }

    async fn requests(&self) -> u64 {
        self.sim.stats().await["endpoints"]["/v1/forecast"]["requests"].as_u64().unwrap_or(0)
    }

    fn remove(&self, name: &str) {
        for end in ["", "-wal", "-shm"] {
            let file = self.dir.path().join(format!("{name}{end}"));
            assert!(std::fs::remove_file(file).is_ok() || !end.is_empty(), "{name}");
        }
    }

    /// Every row of the job is in the ledger once, and the job is done.
    async fn is_whole(&self, job: &str) {
        let verified = self.isobar(&["verify", "--json"]).run().await.expect_code(0).json();
        assert_eq!(verified["balanced"], true, "{verified}");
        let shown = self.isobar(&["jobs", "show", job, "--json"]).run().await.expect_code(0).json();
        assert_eq!(
            (&shown["status"], &shown["processed"]),
            (&json!("done"), &json!(60)),
            "{shown}"
        );
        let rows = self.isobar(&["jobs", "results", job, "--json"]).run().await.expect_code(0);
        assert_eq!(rows.json()["items"].as_array().map(Vec::len), Some(60));
    }
}

#[tokio::test]
async fn a_half_done_batch_is_sent_again_whole() {
    let field = Field::new().await;
    let job = field.produce().await;
    field.consume_part().await;
    field.remove("isobar.db");
    let found = field.isobar(&["verify", "--json"]).run().await.expect_code(1).json();
    let missing = found["missing"].as_u64().expect("a number");
    assert!(missing > 0 && missing < 20, "part of the first batch was acknowledged: {found}");
    let repaired = field.repair(0).await;
    assert_eq!(repaired["repaired"]["again"], json!([job]), "{repaired}");
    assert_eq!(repaired["repaired"]["published"], 20, "{repaired}");
    assert_eq!((&repaired["missing"], &repaired["in_stream"]), (&json!(0), &json!(60)));
    field.isobar(&["adopt"]).run().await.expect_code(0);
    field.drain().await;
    // The seal went to the store that is lost; its rows are all in the ledger, so it comes alone.
    let requests = field.requests().await;
    let repaired = field.repair(0).await["repaired"].clone();
    assert_eq!((&repaired["published"], &repaired["kept_back"]), (&json!(0), &json!(60)));
    field.drain().await;
    assert_eq!(field.requests().await, requests, "a city was fetched again");
    field.is_whole(&job).await;
}

#[tokio::test]
async fn rows_of_the_ledger_are_not_sent_by_a_restored_outbox() {
    let field = Field::new().await;
    let job = field.produce().await;
    let outbox = field.dir.path().join("outbox.db");
    let copy = std::fs::read(&outbox).expect("reads");
    field.drain().await;
    field.remove("outbox.db");
    std::fs::write(&outbox, copy).expect("writes");
    field.remove("broker.db");
    let requests = field.requests().await;
    let said = field.isobar(&["verify", "--repair"]).run().await.expect_code(0).stdout;
    assert!(said.contains("repair: 0 tasks sent again"), "{said}");
    assert!(
        said.contains("repair: 60 tasks not sent, because the ledger has their rows"),
        "{said}"
    );
    assert!(said.contains("60 rows of 4 batches are all in the ledger"), "{said}");
    field.drain().await;
    assert_eq!(field.requests().await, requests, "a city was fetched again");
    field.is_whole(&job).await;
    let status = field.isobar(&["outbox", "status", "--json"]).run().await.expect_code(0).json();
    assert_eq!(status["jobs"][0]["state"], "done", "its record is settled: {status}");
}
