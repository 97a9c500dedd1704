//! Where a role is killed, cut off and starved: either backend, with leases of a second or so.
//!
//! Everything that a case touches is its own: folder, Redis, database. The simulator may be shared,
//! since its answers depend on the place and the hour alone.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::harness::isobar::Isobar;
use crate::harness::postgres::{Database, Postgres};
use crate::harness::redis::Redis;
use crate::harness::wait::PATIENCE;

pub const STREAM: &str = "owm-ingestion-stream";
/// Workers create these too, though they stay empty here.
pub const AIR_QUALITY_STREAM: &str = "air-quality-stream";
pub const USER_STREAM: &str = "user-enrichment-stream";
pub const GROUP: &str = "ingestion-workers";
/// Silence that loses a lease, and the request timeout that fits into it.
pub const CLAIM_IDLE: &str = "2s";
pub const REQUEST_TIMEOUT: &str = "600ms";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SQLite files in one folder.
    Embedded,
    /// Redis and PostgreSQL.
    Servers,
}

pub struct Arena {
    pub dir: TempDir,
    pub redis: Option<Redis>,
    pub database: Option<Database>,
    environment: Vec<(&'static str, String)>,
}

impl Arena {
    pub async fn set(backend: Backend, sim_url: &str) -> Self {
        let (redis, database) = match backend {
            Backend::Embedded => (None, None),
            Backend::Servers => (Some(Redis::start().await), Some(Postgres::database().await)),
        };
        let dir = tempfile::tempdir().expect("a folder");
        let mut environment = vec![
            ("ISOBAR_OPEN_METEO_URL", sim_url.to_owned()),
            ("ISOBAR_GEOCODING_URL", sim_url.to_owned()),
            ("ISOBAR_AIR_QUALITY_URL", sim_url.to_owned()),
            ("ISOBAR_CITY_SOURCE_URL", sim_url.to_owned()),
            ("ISOBAR_CLAIM_IDLE", CLAIM_IDLE.to_owned()),
            ("ISOBAR_REQUEST_TIMEOUT", REQUEST_TIMEOUT.to_owned()),
            // A busy machine is no upstream that fails.
            ("ISOBAR_UPSTREAM_BREAKER", "200/30s/1s".to_owned()),
            ("ISOBAR_BATCH_SIZE", "100".to_owned()),
            ("ISOBAR_PAGE_LIMIT", "100".to_owned()),
            ("ISOBAR_LOCATIONS_PER_REQUEST", "50".to_owned()),
        ];
        environment.extend(redis.iter().map(|redis| ("REDIS_URL", redis.url())));
        environment.extend(database.iter().map(|database| ("DATABASE_URL", database.url.clone())));
        Self { dir, redis, database, environment }
    }

    /// With one more setting for everybody.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// The binary, told where everything is.
    pub fn isobar<const N: usize>(&self, args: [&str; N]) -> Isobar {
        let isobar = Isobar::new(self.dir.path()).args(args);
        self.environment.iter().fold(isobar, |isobar, (name, value)| isobar.env(name, value))
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    }

    /// A file of the data folder, where there is one by now.
    pub fn data_file(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.path().join(name)).filter(|path| path.exists())
    }

    /// Those of all producers and of the imports.
    pub fn outboxes(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path()).expect("a folder").flatten();
        let is_one = |path: &PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let is_outbox = name.starts_with("outbox") || name == "imports";
            is_outbox && path.extension().is_some_and(|extension| extension == "db")
        };
        files.map(|file| file.path()).filter(is_one).collect()
    }

    /// The one job that any outbox has ever had.
    pub fn only_job(&self) -> String {
        let db = self.open("outbox.db");
        db.query_row("SELECT job_id FROM jobs", [], |row| row.get(0)).expect("a job")
    }

    /// Jobs that an outbox holds whole and has not finished; none where it is not there yet.
    pub fn sealed_jobs(&self, outbox: &str) -> Vec<String> {
        if self.data_file(outbox).is_none() {
            return Vec::new();
        }
        let db = self.open(outbox);
        let Ok(mut sealed) = db.prepare("SELECT job_id FROM jobs WHERE state = 'sealed'") else {
            // Its tables are not there yet.
            return Vec::new();
        };
        let ids = sealed.query_map([], |row| row.get(0)).expect("runs");
        ids.collect::<rusqlite::Result<_>>().expect("ids")
    }

    /// Jobs of imports that are not done; an outbox that is busy has some.
    pub fn unconfirmed_imports(&self) -> i64 {
        let open = "SELECT count(*) FROM jobs WHERE state <> 'done'";
        self.open("imports.db").query_row(open, [], |row| row.get(0)).unwrap_or(1)
    }

    /// Everything in the broker is gone; nobody may have it open.
    pub async fn broker_loses_everything(&self) {
        match &self.redis {
            Some(redis) => redis.cli::<()>(&["FLUSHALL"]).await,
            None => {
                for suffix in ["", "-wal", "-shm"] {
                    let file = self.dir.path().join(format!("broker.db{suffix}"));
                    // A file that was closed in order has no companions.
                    let _ = std::fs::remove_file(file);
                }
            }
        }
    }

    /// Runs a statement in the store.
    pub async fn execute(&self, sql: &'static str) {
        match &self.database {
            Some(database) => {
                let mut connection = database.connect().await;
                let done = sqlx::raw_sql(sql).execute(&mut connection).await;
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            None => self.open("isobar.db").execute_batch(sql).expect("runs"),
        }
    }

    fn open(&self, file: &str) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.dir.path().join(file)).expect("opens");
        db.busy_timeout(PATIENCE).expect("a setting");
        db
    }
}
