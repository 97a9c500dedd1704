//! What all parts stand on: how much is asked for, the simulator, folders, and timed processes.
//!
//! A part starts the Redis it needs for itself, so that none meets another's memory or
//! append-only file; the simulator and the PostgreSQL cluster are shared, databases are not.

use std::path::Path;
use std::time::{Duration, Instant};

use isobar_settings::{Environment, Settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::isobar::{Isobar, Running};
use crate::harness::postgres::Postgres;
use crate::harness::sim::Sim;

/// Longer than anything measured here takes where it works at all.
pub const LIMIT: Duration = Duration::from_mins(10);
/// A million rows and more fit; whether the stream holds a producer back is not measured here.
const NO_HIGH_WATER: &str = "1000000000";

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub cities: usize,
    pub rows: usize,
    pub runs: usize,
    /// How long a server is put under load.
    pub load_seconds: u64,
}

impl Scale {
    /// Rows of the small CSV, and tasks wherever start-up must not count.
    pub fn tasks(self) -> usize {
        self.rows / 10
    }
}

pub struct Ground {
    pub scale: Scale,
    pub sim: Sim,
    pub postgres: Postgres,
}

impl Ground {
    pub async fn prepare(scale: Scale) -> Self {
        let cities = scale.cities.to_string();
        Self {
            scale,
            sim: Sim::start(["--cities", cities.as_str()]).await,
            postgres: Postgres::private().await,
        }
    }

    /// The binary with its files in `dir` and the simulator as every upstream.
    pub fn isobar<const N: usize>(&self, dir: &Path, args: [&str; N]) -> Isobar {
        let url = self.sim.url();
        Isobar::new(dir)
            .env("ISOBAR_OPEN_METEO_URL", url)
            .env("ISOBAR_GEOCODING_URL", url)
            .env("ISOBAR_AIR_QUALITY_URL", url)
            .env("ISOBAR_CITY_SOURCE_URL", url)
            .env("ISOBAR_STREAM_HIGH_WATER", NO_HIGH_WATER)
            .args(args)
    }

    /// The same settings for what runs in this process.
    pub fn settings(&self, dir: &Path, more: &[(&str, &str)]) -> Settings {
        let environment = Environment::empty()
            .with("ISOBAR_DATA_DIR", dir.to_string_lossy())
            .with("ISOBAR_OPEN_METEO_URL", self.sim.url());
        let environment =
            more.iter().fold(environment, |all, (name, value)| all.with(name, *value));
        Settings::load(&environment).expect("the settings fit")
    }
}

pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("isobar-bench-").tempdir().expect("a temporary folder")
}

/// A finished process: how long it took from its start to its end, and what it printed.
#[derive(Debug)]
pub struct Timed {
    pub took: Duration,
    pub document: Value,
}

impl Timed {
    pub fn count(&self, name: &str) -> u64 {
        let Self { document, .. } = self;
        document[name].as_u64().unwrap_or_else(|| panic!("{name} in {document}"))
    }

    pub fn per_second(&self, things: u64) -> f64 {
        things as f64 / self.took.as_secs_f64()
    }
}

/// Runs a command that is to end with `code` and to print one JSON object.
pub async fn timed(command: &Isobar, code: i32) -> Timed {
    let began = Instant::now();
    let mut running = command.spawn();
    let ended = running.wait(LIMIT).await;
    let took = began.elapsed();
    finished(&running, ended, code, took)
}

pub fn finished(running: &Running, ended: i32, code: i32, took: Duration) -> Timed {
    let (stdout, stderr) = (running.stdout_so_far(), running.stderr_so_far());
    assert_eq!(ended, code, "exit code of {running:?}\n{stdout}\n{stderr}");
    let document = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("not JSON ({error}): {stdout}\n{stderr}"));
    Timed { took, document }
}
