//! Backups: a copy while everything runs, one whole file after a stop, and what a restore means.
//!
//! A copy is judged by opening it as the store of a new installation, and by what its tables hold.
//! The full disk is in `chaos/disk.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::harness::isobar::{Isobar, Running};
use crate::harness::postgres::Postgres;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, eventually};

/// Enough for a run of some seconds, one small request after the other.
const CITIES: &str = "600";
const TABLES: [&str; 6] =
    ["installation", "cities", "jobs", "job_tasks", "search_history", "dead_letters"];

/// An installation with nothing but a folder.
struct Site {
    dir: TempDir,
    sim: Sim,
}

impl Site {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self { dir, sim: Sim::start(["--cities", CITIES, "--latency", "20ms"]).await }
    }

    fn isobar(&self, args: &[&str]) -> Isobar {
        self.isobar_in(self.dir.path(), args)
    }

    fn isobar_in(&self, dir: &Path, args: &[&str]) -> Isobar {
        Isobar::new(dir)
            .env("ISOBAR_OPEN_METEO_URL", self.sim.url())
            .env("ISOBAR_GEOCODING_URL", self.sim.url())
            .env("ISOBAR_CITY_SOURCE_URL", self.sim.url())
            .env("ISOBAR_CONCURRENCY", "1")
            .env("ISOBAR_LOCATIONS_PER_REQUEST", "4")
            .args(args.iter().copied())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn up(&self) -> Running {
        let up = self.isobar(&["up", "--listen", "127.0.0.1:0"]).spawn();
        up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
        up
    }

    /// A job of `limit` rows, finished and confirmed.
    async fn run_job(&self, limit: &str) -> String {
        let produce = ["produce", "--force", "--limit", limit, "--json"];
        let report = self.isobar(&produce).run().await.expect_code(0).json();
        self.isobar(&["consume", "--drain"]).run().await.expect_code(0);
        self.isobar(&["outbox", "flush"]).run().await.expect_code(0);
        report["job_id"].as_str().expect("an id").to_owned()
    }

    async fn back_up(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        let words = ["backup", &path.to_string_lossy(), "--json"];
        let made = self.isobar(&words).run().await.expect_code(0).json();
        assert_eq!(made["bytes"], path.metadata().expect("there").len());
        assert_eq!(made["rows"]["jobs"], rows(&path, "jobs").len(), "{made}");
        path
    }

    fn companions(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.dir.path()).expect("a folder").map(|entry| entry.expect("one"));
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with("-wal") || name.ends_with("-shm")).collect()
    }
}

/// A new installation whose store is this file alone.
fn new_home_of(store: &Path) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    fs::copy(store, home.path().join("isobar.db")).expect("copies");
    home
}

/// Every row of a table, in one order.
fn rows(file: &Path, table: &str) -> Vec<Vec<Value>> {
    query(file, &format!("SELECT * FROM {table} ORDER BY 1, 2"))
}

fn query(file: &Path, sql: &str) -> Vec<Vec<Value>> {
    let db = Connection::open(file).expect("opens");
    let mut statement = db.prepare(sql).expect("understood");
    let columns = statement.column_count();
    let row = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
    row.expect("runs").collect::<Result<_, _>>().expect("reads")
}

fn same_data(one: &Path, other: &Path) {
    for table in TABLES {
        assert_eq!(rows(one, table), rows(other, table), "{table}");
    }
    assert!(!rows(one, "job_tasks").is_empty());
}

async fn stop(mut role: Running) {
    role.terminate();
    assert_eq!(role.wait(PATIENCE).await, 0, "{}", role.stderr_so_far());
}

#[tokio::test]
async fn a_backup_of_a_running_pipeline_is_one_moment() {
    let site = Site::new().await;
    let up = site.up().await;
    site.isobar(&["produce"]).run().await.expect_code(0);
    let mut number = 0;
    let copy = eventually(PATIENCE, "a backup in the middle of a job", async || {
        number += 1;
        let copy = site.back_up(&format!("copy-{number}.db")).await;
        // I5 holds at every moment, so it holds in every copy.
        let wrong = "SELECT j.job_id, j.processed, count(t.job_id) FROM jobs j
             LEFT JOIN job_tasks t ON t.job_id = j.job_id
             GROUP BY j.job_id HAVING j.processed - j.duplicates <> count(t.job_id)";
        assert_eq!(query(&copy, wrong), Vec::<Vec<Value>>::new());
        let half_done = "SELECT 1 FROM jobs WHERE status = 'running' AND processed > 0";
        (!query(&copy, half_done).is_empty()).then_some(copy)
    })
    .await;
    let mode = copy.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // In a new installation its rows are nowhere else: `verify` names the job that was half done.
    let home = new_home_of(&copy);
    let found = site.isobar_in(home.path(), &["verify"]).run().await.expect_code(1).stdout;
    assert!(found.contains("LOST") || found.contains("ABANDONED"), "{found}");
    stop(up).await;

    // The pipeline itself has noticed nothing.
    site.isobar(&["consume", "--drain"]).run().await.expect_code(0);
    site.isobar(&["verify"]).run().await.expect_code(0);
    let copy = site.back_up("whole.db").await;
    same_data(&copy, &site.file("isobar.db"));
    let home = new_home_of(&copy);
    site.isobar_in(home.path(), &["verify"]).run().await.expect_code(0);
    let names = fs::read_dir(site.dir.path()).expect("a folder");
    let names = names.map(|entry| entry.expect("one").file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| name.contains("partial")).count(), 0);
}

#[tokio::test]
async fn after_a_stop_each_file_alone_is_complete() {
    let site = Site::new().await;
    let up = site.up().await;
    site.isobar(&["produce", "--limit", "40"]).run().await.expect_code(0);
    eventually(PATIENCE, "the job is done", async || {
        let done = "SELECT 1 FROM jobs WHERE status = 'done'";
        (!query(&site.file("isobar.db"), done).is_empty()).then_some(())
    })
    .await;
    stop(up).await;
    assert_eq!(site.companions(), Vec::<String>::new(), "after `up`");
    let home = new_home_of(&site.file("isobar.db"));
    site.isobar_in(home.path(), &["verify"]).run().await.expect_code(0);
    same_data(&home.path().join("isobar.db"), &site.file("isobar.db"));

    site.isobar(&["produce", "--force", "--limit", "40"]).run().await.expect_code(0);
    assert_eq!(site.companions(), Vec::<String>::new(), "after `produce`");
    for role in [&["consume"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let running = site.isobar(role).spawn();
        eventually(PATIENCE, "the role has its files open", async || {
            site.companions().contains(&"isobar.db-wal".to_owned()).then_some(())
        })
        .await;
        stop(running).await;
        assert_eq!(site.companions(), Vec::<String>::new(), "after {role:?}");
    }
    // A move to another host: the folder as it is.
    let moved = tempfile::tempdir().expect("a folder");
    for name in ["isobar.db", "broker.db", "outbox.db", "imports.db"] {
        fs::copy(site.file(name), moved.path().join(name)).expect("copies");
    }
    let there = |args| site.isobar_in(moved.path(), args);
    there(&["consume", "--drain"]).run().await.expect_code(0);
    there(&["verify"]).run().await.expect_code(0);
    assert_eq!(
        query(&moved.path().join("isobar.db"), "SELECT 1 FROM jobs WHERE status = 'done'").len(),
        2
    );
}

#[tokio::test]
async fn processes_that_stop_together_leave_whole_files() {
    let site = Site::new().await;
    for round in 0..4 {
        let roles = [site.isobar(&["consume"]).spawn(), site.isobar(&["consume"]).spawn()];
        let mut up = site.up().await;
        site.isobar(&["produce", "--force", "--limit", "8"]).run().await.expect_code(0);
        up.terminate();
        for mut role in roles {
            role.terminate();
            assert_eq!(role.wait(PATIENCE).await, 0);
        }
        assert_eq!(up.wait(PATIENCE).await, 0);
        let full = site.companions().into_iter().filter(|name| {
            name.ends_with("-wal") && site.file(name).metadata().is_ok_and(|data| data.len() > 0)
        });
        assert_eq!(full.collect::<Vec<_>>(), Vec::<String>::new(), "round {round}");
    }
}

#[tokio::test]
async fn a_restored_store_is_made_whole_as_the_advice_says() {
    let site = Site::new().await;
    let before = site.run_job("20").await;
    let copy = site.back_up("monday.db").await;
    let after = site.run_job("25").await;
    fs::copy(&copy, site.file("isobar.db")).expect("restores");
    let found = site.isobar(&["verify"]).run().await.expect_code(1).stdout;
    assert!(found.contains(&format!("DISAGREEMENT job {after}")), "{found}");
    assert!(!found.contains(&before), "{found}");
    assert!(found.contains("`isobar verify --repair` sends its rows again"), "{found}");
    site.isobar(&["verify", "--repair"]).run().await.expect_code(0);
    site.isobar(&["consume", "--drain"]).run().await.expect_code(0);
    site.isobar(&["verify"]).run().await.expect_code(0);
    let stored = query(&site.file("isobar.db"), "SELECT count(*) FROM weather");
    assert_eq!(stored, [[Value::Integer(25)]]);
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_leaves_nothing() {
    let site = Site::new().await;
    site.run_job("20").await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let backup = |name: &str| site.isobar(&["backup", &path(name)]);

    fs::write(folder.path().join("old"), "old").expect("writes");
    let taken = backup("old").run().await.expect_code(78);
    assert!(taken.stderr.contains("old exists and is not replaced"), "{}", taken.stderr);
    let nowhere = backup("none/new").run().await.expect_code(78);
    assert!(nowhere.stderr.contains("none does not exist"), "{}", nowhere.stderr);
    let small = backup("new").with_files_up_to(40_000).run().await.expect_code(1);
    assert!(small.stderr.contains("cannot write the backup"), "{}", small.stderr);
    let store = site.file("isobar.db");
    site.isobar(&["backup", &store.to_string_lossy()]).run().await.expect_code(78);
    // An installation whose store is elsewhere, and not there.
    let none = format!("sqlite://{}", path("store.db"));
    let none = backup("new").env("DATABASE_URL", none).run().await.expect_code(78);
    assert!(none.stderr.contains("no store was found at"), "{}", none.stderr);
    let database = Postgres::database().await;
    let postgres =
        backup("new").env("DATABASE_URL", &database.url).env("ISOBAR_BROKER", "embedded");
    let postgres = postgres.run().await.expect_code(78);
    assert!(postgres.stderr.contains("pg_dump --format=custom"), "{}", postgres.stderr);

    let names: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read(folder.path().join("old")).expect("reads"), b"old");
    let made = backup("new").run().await.expect_code(0);
    assert!(made.stdout.contains("is a complete copy of the store"), "{}", made.stdout);
}
