//! The store does what databases, their operators and disks do: it recovers by itself.
//!
//! A worker is in the middle of its work when it happens, is seen to fail, and is never restarted.
//! What becomes of a single statement is in `tests/it/store/`, what the network between them does in
//! `network`.

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::isobar::Running;
use crate::harness::postgres::Postgres;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

const ROWS: u64 = 230;
/// What the worker says when a commit fails.
const FAILED: &str = "a commit failed; retrying";
/// A file of no more than this cannot hold the batches of the source.
const SMALL_BYTES: u64 = 200_000;

/// A worker with something to do.
pub struct Site {
    arena: Arena,
    source: Source,
    job: String,
    pub worker: Running,
    _sim: Sim,
}

impl Site {
    pub async fn begin(arena: Arena, sim: Sim) -> Self {
        arena.isobar(["migrate"]).run().await.expect_code(0);
        Self::of_migrated(arena, sim).await
    }

    pub async fn of_migrated(mut arena: Arena, sim: Sim) -> Self {
        arena = arena.with("ISOBAR_CONCURRENCY", "1");
        let source = Source::of(ROWS, 0);
        from_file(&arena, &source).run().await.expect_code(0);
        let (job, worker) = (arena.only_job(), arena.isobar(["consume"]).spawn());
        Self { arena, source, job, worker, _sim: sim }
    }

    /// Some rows are stored, most are not.
    pub async fn is_at_work(&self) {
        let mut tables = Tables::of(&self.arena).await;
        until(PATIENCE, "the first rows are stored", async || {
            tables.count("SELECT count(*) FROM job_tasks").await > 0
        })
        .await;
    }

    async fn has_failed(&self) {
        self.worker.wait_for_line(|line| line.contains(FAILED), PATIENCE).await;
    }

    /// All is well in the end, without anybody's help.
    pub async fn recovers(mut self) {
        let mut tables = Tables::of(&self.arena).await;
        let done = "SELECT count(*) FROM jobs WHERE status = 'done'";
        until(PATIENCE, "the job is done", async || {
            assert!(self.worker.is_running(), "{}", self.worker.stderr_so_far());
            tables.count(done).await == 1
        })
        .await;
        self.worker.terminate();
        assert_eq!(self.worker.wait(PATIENCE).await, 0, "{}", self.worker.stderr_so_far());
        let job = Job { id: self.job, source: &self.source, fate: Fate::Done };
        let wrong = judge(&self.arena, &[job]).await;
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), self.worker.stderr_so_far());
    }
}

pub async fn slow_sim() -> Sim {
    Sim::start(["--cities=1", "--latency=300ms"]).await
}

/// A cluster of its own for what is done to a whole server.
async fn alone() -> (Postgres, Arena, Sim) {
    let (postgres, sim) = (Postgres::private().await, slow_sim().await);
    let mut arena = Arena::set(Backend::Servers, sim.url()).await;
    let database = postgres.fresh_database().await;
    arena = arena.with("DATABASE_URL", &database.url);
    arena.database = Some(database);
    (postgres, arena, sim)
}

/// How many of the worker's connections wait for this.
async fn waiting(arena: &Arena, event: &str) -> u64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'isobar'
         AND datname = current_database() AND wait_event_type || ' ' || wait_event = '{event}'"
    );
    Tables::of(arena).await.count(&sql).await
}

#[tokio::test]
async fn postgres_dies_in_the_middle_of_a_commit() {
    let (mut postgres, arena, sim) = alone().await;
    let site = Site::begin(arena, sim).await;
    site.is_at_work().await;
    // The commit has written its snapshots when it comes to the job, and waits there.
    let mut holder = site.arena.database.as_ref().expect("servers").connect().await;
    let hold = "BEGIN; LOCK TABLE jobs IN EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut holder).await.expect("locks");
    until(PATIENCE, "a commit is under way", async || {
        waiting(&site.arena, "Lock relation").await > 0
    })
    .await;
    postgres.kill9().await;
    site.has_failed().await;
    postgres.start_again().await;
    site.recovers().await;
}

#[tokio::test]
async fn a_commit_is_durable_and_its_answer_is_lost() {
    let (_postgres, arena, sim) = alone().await;
    let site = Site::begin(arena, sim).await;
    site.is_at_work().await;
    // A commit is durable here before it waits for a standby, and this one never answers.
    site.arena.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    site.arena.execute("SELECT pg_reload_conf()").await;
    until(PATIENCE, "a commit waits for its answer", async || {
        waiting(&site.arena, "IPC SyncRep").await > 0
    })
    .await;
    site.arena
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        )
        .await;
    site.has_failed().await;
    site.arena.execute("ALTER SYSTEM RESET synchronous_standby_names").await;
    site.arena.execute("SELECT pg_reload_conf()").await;
    site.recovers().await;
}

/// What is done to the database `DB` with its owner `ROLE`, and how it is undone.
const TROUBLES: [[&str; 2]; 3] = [
    // No place for another connection.
    ["ALTER ROLE ROLE CONNECTION LIMIT 0", "ALTER ROLE ROLE CONNECTION LIMIT -1"],
    // As after a failover to a server that is not the primary yet. Connections that were made
    // meanwhile stay as they are.
    [
        "ALTER DATABASE DB SET default_transaction_read_only = on",
        "ALTER DATABASE DB RESET default_transaction_read_only",
    ],
    // A full disk, by its code.
    [
        "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'disk_full'; END $$;
         CREATE TRIGGER is_full BEFORE INSERT ON job_tasks EXECUTE FUNCTION is_full()",
        "DROP TRIGGER is_full ON job_tasks",
    ],
];

#[tokio::test]
async fn postgres_is_crowded_then_read_only_then_full() {
    for [done, undone] in TROUBLES {
        let sim = slow_sim().await;
        let mut arena = Arena::set(Backend::Servers, sim.url()).await;
        let mut url =
            url::Url::parse(&arena.database.as_ref().expect("servers").url).expect("a URL");
        let database = url.path().trim_start_matches('/').to_owned();
        // Only who may do everything is beyond limits.
        let role = format!("{database}_owner");
        let named =
            |sql: &str| sql.replace("DB", &database).replace("ROLE ROLE", &format!("ROLE {role}"));
        let mut operator = arena.database.as_ref().expect("servers").connect().await;
        let mut run = async |sql: String| {
            let ended = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut operator).await;
            ended.expect("runs");
        };
        run(format!("CREATE ROLE {role} LOGIN; ALTER DATABASE {database} OWNER TO {role}")).await;
        url.set_username(&role).expect("a URL with a host");
        arena = arena.with("DATABASE_URL", url.as_str());

        let site = Site::begin(arena, sim).await;
        site.is_at_work().await;
        run(named(done)).await;
        run(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        ))
        .await;
        // The first of these may say no more than that its connection was ended.
        site.has_failed().await;
        let code = match done.split(' ').next_back() {
            // What the pool says when it has dialled in vain for its patience.
            Some("0") => "pool timed out",
            Some("on") => "read-only transaction",
            _ => "disk_full",
        };
        site.worker.wait_for_line(|line| line.contains(code), PATIENCE).await;
        run(named(undone)).await;
        site.recovers().await;
    }
}

#[tokio::test]
async fn somebody_keeps_the_file_locked() {
    let sim = slow_sim().await;
    let site = Site::begin(Arena::set(Backend::Embedded, sim.url()).await, sim).await;
    site.is_at_work().await;
    let path = site.arena.data_file("isobar.db").expect("a store");
    let holder = rusqlite::Connection::open(path).expect("opens");
    holder.busy_timeout(PATIENCE).expect("a setting");
    holder.execute_batch("BEGIN IMMEDIATE").expect("locks");
    site.has_failed().await;
    drop(holder);
    site.recovers().await;
}

#[tokio::test]
async fn no_file_of_a_worker_can_grow() {
    let sim = slow_sim().await;
    let site = Site::begin(Arena::set(Backend::Embedded, sim.url()).await, sim).await;
    site.is_at_work().await;
    let log = site.arena.data_file("isobar.db-wal").expect("a log");
    let bytes = std::fs::metadata(log).expect("a file").len();
    site.worker.limit_files(Some(bytes));
    // Broker and store are files of the same disk: either may be the first to need room.
    site.worker.wait_for_line(|line| line.contains("disk I/O error"), PATIENCE).await;
    site.worker.limit_files(None);
    site.recovers().await;
}

#[tokio::test]
async fn a_run_without_room_for_its_outbox_goes_on_when_there_is_some() {
    let sim = Sim::start(["--cities=1"]).await;
    let arena = Arena::set(Backend::Servers, sim.url()).await;
    let source = Source::of(ROWS * 10, 0);
    let run = from_file(&arena, &source);
    let ended = run.clone().with_files_up_to(SMALL_BYTES).run().await.expect_code(75);
    assert!(ended.stderr.contains("outbox"), "{ended:?}");
    let id = run.run().await.expect_code(0).json()["job_id"].as_str().expect("an id").to_owned();
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
