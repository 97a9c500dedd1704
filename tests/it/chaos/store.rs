//! The store does what databases, disks and operators do, in the middle of a commit: it recovers.
//!
//! A worker has begun when it happens, is never restarted, and must have met the trouble: it says so
//! before the trouble is taken away. What a connection does that is cut is in `network`; there the
//! outcome of a commit is unknown, too.

use std::path::Path;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::disk::Disk;
use crate::harness::isobar::Running;
use crate::harness::postgres::{Database, Postgres};
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

const ROWS: u64 = 230;
/// What a worker says of a commit that it will try again.
const FAILED: &str = "a commit failed and is tried again";
/// Above what files need at first, so that a test fills the rest.
const DISK_MEBIBYTES: u32 = 24;

/// A job that a worker has begun with.
struct Scene {
    arena: Arena,
    source: Source,
    id: String,
    worker: Running,
    _sim: Sim,
}

impl Scene {
    async fn set(arena: impl AsyncFnOnce(&str) -> Arena) -> Self {
        // Slow, so that there is a middle.
        let sim = Sim::start(["--cities=1", "--latency=150ms"]).await;
        let arena = arena(sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
        arena.isobar(["migrate"]).run().await.expect_code(0);
        let source = Source::of(ROWS, 0);
        let report = from_file(&arena, &source).run().await.expect_code(0).json();
        let id = report["job_id"].as_str().expect("an id").to_owned();
        let worker = arena.isobar(["consume"]).spawn();
        let scene = Self { arena, source, id, worker, _sim: sim };
        scene.has(1, "SELECT count(*) FROM job_tasks").await;
        scene
    }

    async fn on(postgres: &Postgres) -> Self {
        Self::set(async |sim| in_database(postgres.fresh_database().await, sim).await).await
    }

    async fn has(&self, count: u64, sql: &str) {
        let mut tables = Tables::of(&self.arena).await;
        until(PATIENCE, sql, async || tables.count(sql).await >= count).await;
    }

    fn database(&self) -> &Database {
        self.arena.database.as_ref().expect("PostgreSQL")
    }

    async fn execute(&self, sql: &str) {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.database().connect().await)
            .await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The name of its database, which is also good for a role.
    fn name(&self) -> &str {
        self.database().url.rsplit_once('/').expect("a URL with a database").1
    }

    async fn meets(&self, trouble: &str) {
        let says = |line: &str| line.contains(FAILED) && line.contains(trouble);
        self.worker.wait_for_line(says, PATIENCE).await;
    }

    /// The same worker comes to the end.
    async fn recovers(mut self) {
        let done = format!(
            "SELECT count(*) FROM jobs WHERE status = 'done' AND CAST(job_id AS TEXT) = '{}'",
            self.id
        );
        let mut tables = Tables::of(&self.arena).await;
        until(PATIENCE * 2, "the job is done", async || {
            assert!(self.worker.is_running(), "{}", self.worker.stderr_so_far());
            tables.count(&done).await == 1
        })
        .await;
        self.worker.terminate();
        assert_eq!(self.worker.wait(PATIENCE).await, 0, "{}", self.worker.stderr_so_far());
        let job = Job { id: self.id, source: &self.source, fate: Fate::Done };
        let wrong = judge(&self.arena, &[job]).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

async fn in_database(database: Database, sim_url: &str) -> Arena {
    let mut arena = Arena::set(Backend::Servers, sim_url).await;
    arena = arena.with("DATABASE_URL", &database.url);
    arena.database = Some(database);
    arena
}

/// Holds the worker's transaction at its last statement, lets the server end, starts it again.
async fn restarts_in_mid_commit(end: impl AsyncFnOnce(&mut Postgres)) {
    let mut postgres = Postgres::private().await;
    let scene = Scene::on(&postgres).await;
    let mut holder = scene.database().connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE jobs IN EXCLUSIVE MODE")
        .execute(&mut holder)
        .await
        .expect("locks");
    scene.has(1, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    end(&mut postgres).await;
    scene.meets("is not available").await;
    postgres.start_again().await;
    scene.recovers().await;
}

#[tokio::test]
async fn postgres_is_killed_in_mid_commit() {
    restarts_in_mid_commit(async |postgres| postgres.kill9().await).await;
}

#[tokio::test]
async fn postgres_is_stopped_in_mid_commit() {
    restarts_in_mid_commit(async |postgres| postgres.stop().await).await;
}

#[tokio::test]
async fn postgres_has_no_connection_left() {
    // Limits are not for the superuser that tests are otherwise.
    let scene = Scene::set(async |sim| {
        let database = Postgres::database().await;
        let name = database.url.rsplit_once('/').expect("a database").1.to_owned();
        let url = database.url.replace("isobar@", &format!("{name}@"));
        let make = format!("CREATE ROLE {name} LOGIN; ALTER DATABASE {name} OWNER TO {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(make))
            .execute(&mut database.connect().await)
            .await
            .expect("makes a role");
        in_database(database, sim).await.with("DATABASE_URL", &url)
    })
    .await;
    let name = scene.name();
    scene.execute(&format!("ALTER ROLE {name} CONNECTION LIMIT 0")).await;
    scene.execute(&cut(name)).await;
    scene.meets("pool timed out").await;
    scene.execute(&format!("ALTER ROLE {name} CONNECTION LIMIT -1")).await;
    scene.recovers().await;
}

#[tokio::test]
async fn postgres_takes_no_writes_for_a_while() {
    let scene = Scene::set(async |sim| {
        // One, so that no other connection can be used instead.
        in_database(Postgres::database().await, sim).await.with("ISOBAR_DB_CONNECTIONS", "1")
    })
    .await;
    let name = scene.name();
    // As when a primary is demoted: connections are cut, and the new ones are to a standby.
    scene.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    scene.execute(&cut(name)).await;
    scene.meets("read-only").await;
    // Who is connected to the standby stays so until it dials again.
    let mut writable = scene.database().connect().await;
    let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    for sql in ["SET default_transaction_read_only = off".to_owned(), reset] {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut writable).await;
        done.expect("resets");
    }
    scene.recovers().await;
}

#[tokio::test]
async fn the_disk_of_postgres_is_full() {
    let disk = Disk::of_mebibytes(DISK_MEBIBYTES).await;
    let postgres = Postgres::private().await;
    let database = postgres.database_on(disk.path()).await;
    let scene = Scene::set(async |sim| in_database(database, sim).await).await;
    disk.fill();
    scene.meets("No space left").await;
    disk.empty();
    scene.recovers().await;
}

#[tokio::test]
async fn the_disk_of_the_file_is_full() {
    let disk = Disk::of_mebibytes(DISK_MEBIBYTES).await;
    let scene = Scene::set(async |sim| {
        let arena = Arena::set(Backend::Embedded, sim).await;
        lies_on(&disk, &arena, "isobar.db");
        arena
    })
    .await;
    disk.fill();
    scene.meets("disk is full").await;
    disk.empty();
    scene.recovers().await;
}

#[tokio::test]
async fn somebody_has_locked_the_file() {
    let scene = Scene::set(async |sim| Arena::set(Backend::Embedded, sim).await).await;
    let path = scene.arena.data_file("isobar.db").expect("it is there");
    let holder = rusqlite::Connection::open(path).expect("opens");
    holder.busy_timeout(PATIENCE).expect("a setting");
    holder.execute_batch("BEGIN IMMEDIATE").expect("locks");
    scene.meets("locked").await;
    holder.execute_batch("ROLLBACK").expect("lets go");
    scene.recovers().await;
}

#[tokio::test]
async fn the_disk_of_the_broker_is_full() {
    let disk = Disk::of_mebibytes(DISK_MEBIBYTES).await;
    let scene = Scene::set(async |sim| {
        let arena = Arena::set(Backend::Embedded, sim).await;
        lies_on(&disk, &arena, "broker.db");
        arena
    })
    .await;
    disk.fill();
    let says = |line: &str| line.contains("the broker failed");
    scene.worker.wait_for_line(says, PATIENCE).await;
    disk.empty();
    scene.recovers().await;
}

#[tokio::test]
async fn the_disk_of_the_outbox_is_full() {
    let disk = Disk::of_mebibytes(1).await;
    let sim = Sim::start(["--cities", "1"]).await;
    let arena = Arena::set(Backend::Embedded, sim.url()).await;
    lies_on(&disk, &arena, "outbox.db");
    let source = Source::of(3_000, 0);
    let produce = from_file(&arena, &source);
    let full = produce.run().await.expect_code(75);
    assert!(full.stderr.contains("make room and run again"), "{}", full.stderr);
    // Somebody gives it a larger disk, with what was on the small one.
    let larger = Disk::of_mebibytes(DISK_MEBIBYTES).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("outbox.db{suffix}");
        // A file that was closed in order has no companions.
        let _ = std::fs::copy(disk.path().join(&file), larger.path().join(&file));
    }
    std::fs::remove_file(arena.dir.path().join("outbox.db")).expect("a link");
    lies_on(&larger, &arena, "outbox.db");
    let resumed = produce.run().await.expect_code(0).json();
    let id = resumed["job_id"].as_str().expect("an id").to_owned();
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_file_lies_on_a_disk_that_became_read_only() {
    let disk = Disk::of_mebibytes(DISK_MEBIBYTES).await;
    let sim = Sim::start(["--cities", "1"]).await;
    let arena = Arena::set(Backend::Embedded, sim.url()).await;
    lies_on(&disk, &arena, "isobar.db");
    arena.isobar(["migrate"]).run().await.expect_code(0);
    let source = Source::of(ROWS, 0);
    let report = from_file(&arena, &source).run().await.expect_code(0).json();
    disk.remount("ro");
    let mut worker = arena.isobar(["consume"]).spawn();
    worker.wait_for_line(|line| line.contains("it may only be read"), PATIENCE).await;
    disk.remount("rw");
    let done = "SELECT count(*) FROM jobs WHERE status = 'done'";
    let mut tables = Tables::of(&arena).await;
    until(PATIENCE, "the job is done", async || tables.count(done).await == 1).await;
    worker.terminate();
    assert_eq!(worker.wait(PATIENCE).await, 0, "{}", worker.stderr_so_far());
    let id = report["job_id"].as_str().expect("an id").to_owned();
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ends all connections that are not the tests' own.
fn cut(database: &str) -> String {
    format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{database}' AND application_name = 'isobar'"
    )
}

/// The arena's file is a link to one on this disk.
fn lies_on(disk: &Disk, arena: &Arena, file: &str) {
    let link: &Path = &arena.dir.path().join(file);
    std::os::unix::fs::symlink(disk.path().join(file), link).expect("links");
}
