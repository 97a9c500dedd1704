//! What was given up and is wanted after all: retries, replays, discards.
//!
//! The real binary, once over Redis and PostgreSQL and once with nothing but a folder. Whatever is
//! killed, every task is published once a request, and afterwards `isobar verify` finds nothing.

mod commands;
mod over_http;

use std::time::Duration;

use chrono::Utc;
use isobar_model::ids::{JobId, TaskId};
use isobar_store::postgres::PostgresStore;
use isobar_store::sqlite::SqliteStore;
use isobar_store::{Commit, DeadLetter, DeadLetterFilter, JobRow, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http::Http;
use crate::harness::isobar::{Finished, Isobar, Running};
use crate::harness::postgres::{Database, Postgres};
use crate::harness::redis::Redis;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

/// Cities of each job: three batches of the size below.
pub const CITIES: u64 = 24;
const BATCH: &str = "10";

/// `promise` becomes `promise::over_redis_and_postgres` and `promise::embedded`.
macro_rules! on_both {
    ($($promise:ident),+ $(,)?) => {
        $(mod $promise {
            #[tokio::test]
            async fn over_redis_and_postgres() {
                super::$promise(crate::republish::Place::servers().await).await;
            }

            #[tokio::test]
            async fn embedded() {
                super::$promise(crate::republish::Place::embedded().await).await;
            }
        })+
    };
}
pub(crate) use on_both;

/// Everything that a pipeline needs, and a look into its store.
pub struct Place {
    dir: TempDir,
    sim: Sim,
    servers: Option<(Redis, Database)>,
    pub store: Store,
}

impl Place {
    pub async fn servers() -> Self {
        let (redis, database) = (Redis::start().await, Postgres::database().await);
        let store = PostgresStore::open(&database.url, 2).await.map(Store::Postgres);
        Self::with(
            store.expect("opens"),
            tempfile::tempdir().expect("a folder"),
            Some((redis, database)),
        )
        .await
    }

    pub async fn embedded() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&dir.path().join("isobar.db")).map(Store::Sqlite);
        Self::with(store.expect("opens"), dir, None).await
    }

    async fn with(store: Store, dir: TempDir, servers: Option<(Redis, Database)>) -> Self {
        let sim = Sim::start(Vec::<String>::new()).await;
        Self { dir, sim, servers, store }
    }

    pub fn isobar<const N: usize>(&self, args: [&str; N]) -> Isobar {
        let isobar = Isobar::new(self.dir.path())
            .env("ISOBAR_OPEN_METEO_URL", self.sim.url())
            .env("ISOBAR_GEOCODING_URL", self.sim.url())
            .env("ISOBAR_AIR_QUALITY_URL", self.sim.url())
            .env("ISOBAR_CLAIM_IDLE", "3s")
            .env("ISOBAR_REQUEST_TIMEOUT", "1s")
            .env("ISOBAR_BATCH_SIZE", BATCH)
            .args(args);
        match &self.servers {
            None => isobar,
            Some((redis, database)) => {
                isobar.env("REDIS_URL", redis.url()).env("DATABASE_URL", database.url.clone())
            }
        }
    }

    /// A run over [`csv`].
    pub async fn produce(&self, slot: &str, cities: u64) -> JobId {
        let path = self.dir.path().join("cities.csv");
        std::fs::write(&path, csv(cities)).expect("writes");
        let args = ["produce", "--json", "--force", "--slot", slot, "--csv"];
        let made = self.isobar(args).args([path.to_string_lossy()]).run().await;
        let report = made.expect_code(0).json();
        report["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
    }

    /// The upstream fails, and what is in the stream with it, at the first attempt.
    pub async fn fail(&self) {
        self.sim.fault(&json!({ "endpoint": "/v1/forecast", "status": 503, "count": 1000 })).await;
        let drain = self.isobar(["consume", "--drain", "--json"]);
        drain.env("ISOBAR_MAX_ATTEMPTS", "1").run().await.expect_code(3);
        self.sim.clear_faults().await;
    }

    /// The same, for as much as has come into the stream.
    pub async fn fail_if_any(&self) {
        self.sim.fault(&json!({ "endpoint": "/v1/forecast", "status": 503, "count": 1000 })).await;
        let drain = self.isobar(["consume", "--drain", "--json"]);
        let ended = drain.env("ISOBAR_MAX_ATTEMPTS", "1").run().await;
        assert!([0, 3].contains(&ended.code), "{ended:?}");
        self.sim.clear_faults().await;
    }

    /// A job whose tasks have all failed.
    pub async fn failed_job(&self, slot: &str) -> JobId {
        let job = self.produce(slot, CITIES).await;
        self.fail().await;
        assert_eq!(self.counts(job).await, [CITIES + 2, 0, CITIES + 1, 1]);
        assert_eq!(self.letters(job).await.len() as u64, CITIES);
        job
    }

    /// The API and its relay, no worker.
    pub async fn serve(&self) -> (Running, Http) {
        let server = self.isobar(["serve", "--listen", "127.0.0.1:0"]).spawn();
        let said = server.wait_for_line(|line| line.starts_with("listening on "), PATIENCE).await;
        let http = Http::new(said.trim_start_matches("listening on "));
        until(PATIENCE, "the API is ready", async || {
            http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
        })
        .await;
        (server, http)
    }

    pub async fn drain(&self) -> Finished {
        self.isobar(["consume", "--drain", "--json"]).run().await
    }

    pub async fn retry(&self, job: JobId) -> Value {
        self.isobar(["jobs", "retry", &job.to_string(), "--json"]).run().await.expect_code(0).json()
    }

    pub async fn job(&self, job: JobId) -> JobRow {
        self.store.job(job).await.expect("reads").expect("there")
    }

    /// Total, succeeded, failed, skipped.
    pub async fn counts(&self, job: JobId) -> [u64; 4] {
        let row = self.job(job).await;
        [row.total.expect("sealed"), row.succeeded, row.failed, row.skipped]
    }

    pub async fn letters(&self, job: JobId) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter { job_id: Some(job), ..DeadLetterFilter::default() };
        self.store.dead_letters(&filter, None, 500).await.expect("reads")
    }

    pub async fn all_letters(&self) -> u64 {
        self.store.count_dead_letters(&DeadLetterFilter::default()).await.expect("counts")
    }

    /// Puts dead letters of no job into the store.
    pub async fn bury(&self, payloads: &[&[u8]]) {
        let letters = payloads.iter().enumerate().map(|(number, payload)| DeadLetter {
            pipeline: isobar_model::pipeline::PipelineName::Weather,
            id: 0,
            task_id: None::<TaskId>,
            job_id: None,
            city_id: None,
            code: "upstream_error".into(),
            reason: "the upstream answered 503".into(),
            payload: payload.to_vec(),
            deliveries: 1,
            attempts: 8,
            first_seen: Utc::now(),
            last_seen: Utc::now(),
            source: format!("test/tasks/{number}-0"),
        });
        let commit = Commit { dead: letters.collect(), ..Commit::default() };
        self.store.commit(&commit).await.expect("commits");
    }

    /// Entries that nobody has finished.
    pub async fn unfinished(&self) -> u64 {
        let status = self.isobar(["status", "--json"]).run().await.expect_code(0).json();
        status["stream"]["depth"]["tasks"].as_u64().unwrap_or_else(|| panic!("{status}"))
    }

    /// Every task has succeeded, at its second try; the rest is as it was.
    pub async fn all_is_well(&self, job: JobId) {
        assert_eq!(self.counts(job).await, [CITIES + 2, CITIES, 1, 1]);
        assert_eq!(self.letters(job).await, []);
        let rows = self.store.ledger(job, None, None, 500).await.expect("reads");
        assert_eq!(rows.iter().filter(|row| row.try_number == 2).count() as u64, CITIES);
        self.verify().await;
    }

    pub async fn verify(&self) {
        self.isobar(["verify"]).run().await.expect_code(0);
    }

    /// Ends the ledgers of jobs that have ended, as retention does.
    pub async fn forget_ledgers(&self) {
        let later = Utc::now() + chrono::TimeDelta::seconds(1);
        let day = Duration::from_hours(24);
        self.store.prune(later, Duration::ZERO, day).await.expect("prunes");
    }
}

/// So many cities, a row that is none, and the first city once more; of none, another city.
pub fn csv(cities: u64) -> String {
    let row = |n| format!("{n},City {n},FR,{}.5,{}.25\n", n % 90, n % 180);
    let last = if cities > 0 { row(1) } else { "998,Elsewhere,FR,48,2\n".to_owned() };
    std::iter::once("city_id,city,country,latitude,longitude\n".to_owned())
        .chain((1..=cities).map(row))
        .chain(["999,Nowhere,FR,91,0\n".to_owned(), last])
        .collect()
}
