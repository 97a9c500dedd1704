//! A whole pipeline's surroundings for one test: Redis, PostgreSQL, simulator, folder.
//!
//! The binary's roles are run by the test itself; this only says where everything is, with short
//! leases so that taking over from the dead takes seconds and not minutes.

use std::path::Path;

use redis::AsyncCommands;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::harness::isobar::{Finished, Isobar};
use crate::harness::postgres::{Database, Postgres};
use crate::harness::redis::Redis;
use crate::harness::sim::Sim;

pub const STREAM: &str = "owm-ingestion-stream";

pub struct Stage {
    pub redis: Redis,
    pub database: Database,
    pub sim: Sim,
    pub dir: TempDir,
}

impl Stage {
    /// With the options of `isobar sim`.
    pub async fn set(sim: &[&str]) -> Self {
        Self {
            redis: Redis::start().await,
            database: Postgres::database().await,
            sim: Sim::start(sim.iter().copied()).await,
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The binary, told where everything is.
    pub fn isobar<const N: usize>(&self, args: [&str; N]) -> Isobar {
        self.isobar_in(self.dir.path(), args)
    }

    /// The same on another host, which has a data folder of its own.
    pub fn isobar_in<const N: usize>(&self, dir: &Path, args: [&str; N]) -> Isobar {
        let url = self.sim.url();
        Isobar::new(dir)
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", self.database.url.clone())
            .env("ISOBAR_OPEN_METEO_URL", url)
            .env("ISOBAR_GEOCODING_URL", url)
            .env("ISOBAR_AIR_QUALITY_URL", url)
            .env("ISOBAR_CITY_SOURCE_URL", url)
            .env("ISOBAR_CLAIM_IDLE", "3s")
            .env("ISOBAR_REQUEST_TIMEOUT", "1s")
            .args(args)
    }

    /// A worker that runs until the stream is empty.
    pub async fn drain(&self) -> Finished {
        self.isobar(["consume", "--drain", "--json"]).run().await
    }

    /// Adds an entry as any Redis client might.
    pub async fn add(&self, fields: &[(&str, &str)]) -> String {
        let mut connection = self.redis.connection().await;
        connection.xadd(STREAM, "*", fields).await.expect("Redis takes the entry")
    }

    /// Adds a task of the four fields, for the `n`th city that the simulator does not know by name.
    pub async fn add_city(&self, n: u32) {
        let task = format!("6fa1c1f0-52c4-4c39-9a55-{n:012}");
        let (latitude, city) = (format!("{}", f64::from(n) / 100.0), n.to_string());
        let place =
            [("latitude_deg", latitude.as_str()), ("longitude_deg", "10.5"), ("city_id", &city)];
        let mut fields = vec![("task_id", task.as_str())];
        fields.extend(place);
        self.add(&fields).await;
    }

    pub async fn unfinished(&self) -> u64 {
        let tasks: u64 = self.redis.cli(&["XLEN", STREAM]).await;
        let control: u64 = self.redis.cli(&["XLEN", &format!("{{{STREAM}}}:control")]).await;
        tasks + control
    }

    pub async fn pg(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.expect("PostgreSQL answers")
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.pg().await;
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("the statement runs")
    }

    /// Takes ledger rows out of the store, with what they did to their jobs.
    pub async fn forget_jobs(&self, which: &str) {
        let mut connection = self.pg().await;
        let rows = format!("DELETE FROM job_tasks {which}");
        sqlx::query(sqlx::AssertSqlSafe(rows)).execute(&mut connection).await.expect("deletes");
        let jobs = "UPDATE jobs SET total = NULL, sealed = NULL, status = 'running',
            finished_at = NULL, succeeded = (SELECT count(*) FROM job_tasks),
            processed = (SELECT count(*) FROM job_tasks)";
        sqlx::query(jobs).execute(&mut connection).await.expect("updates");
    }

    /// Code and attempts of every dead letter, by code.
    pub async fn dead(&self) -> Vec<(String, i32)> {
        let mut connection = self.pg().await;
        sqlx::query_as("SELECT code, attempts::int4 FROM dead_letters ORDER BY code, id")
            .fetch_all(&mut connection)
            .await
            .expect("the statement runs")
    }
}

/// `{"succeeded": 2, …}` of a drain's document, in the order asked for.
pub fn counts<const N: usize>(document: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| document[name].as_u64().unwrap_or_else(|| panic!("{name} in {document}")))
}
