//! Suspects: a task that ends its processes becomes a dead letter. No other task does, also when
//! workers are killed all the time.
//!
//! Workers that are killed from outside leave entries behind that look like those of a poison task.
//! Child processes try them. `ISOBAR_CHAOS_SEED` replays the choices of who is killed and when.

use std::time::{Duration, Instant};

use futures::future::join_all;
use isobar_failpoint::VARIABLE;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::arena::{Arena, Backend, GROUP, STREAM};
use super::checker::{Fate, Job};
use super::scenario::{ABORTED, from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::guard::chosen;
use crate::harness::http::Http;
use crate::harness::isobar::{Isobar, Running};
use crate::harness::port::free_port;
use crate::harness::sim::Sim;
use crate::harness::wait::{LONG_PATIENCE, PATIENCE, until};

on_both!(
    killed_workers_condemn_nobody,
    a_crash_loop_ends_in_children_of_one_worker,
    a_crash_loop_ends_beside_the_api,
    a_crash_loop_that_takes_everything_along_ends,
);

/// Kills of workers in the load of killed workers, and the pauses between them.
const KILLS: u32 = 16;
const PAUSE_MS: std::ops::Range<u64> = 300..800;
const ROWS: u64 = 80;

/// Before there were trials, this load condemned innocent tasks.
async fn killed_workers_condemn_nobody(backend: Backend) {
    let seed = chosen("ISOBAR_CHAOS_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32));
    println!("{backend:?}: ISOBAR_CHAOS_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed.cast_unsigned());
    let sim = Sim::start(["--latency", "200ms"]).await;
    let arena = Arena::set(backend, sim.url())
        .await
        // One crash would be enough.
        .with("ISOBAR_MAX_DELIVERIES", "1")
        .with("ISOBAR_LOCATIONS_PER_REQUEST", "5")
        .with("ISOBAR_CONCURRENCY", "2");
    let source = Source::of(ROWS, 0);
    let id = produced(&arena, &source).await;
    arena.isobar(["migrate"]).run().await.expect_code(0);
    let worker = arena.isobar(["consume"]);
    let mut workers: Vec<Running> = (0..2).map(|_| worker.spawn()).collect();
    let (mut tables, mut kills, mut next) = (Tables::of(&arena).await, 0, Instant::now());
    until(LONG_PATIENCE, "the job is done", async || {
        if kills < KILLS && Instant::now() >= next {
            next = Instant::now() + Duration::from_millis(chance.random_range(PAUSE_MS));
            let victim = kills as usize % workers.len();
            kills += 1;
            workers[victim].kill9().await;
            workers[victim] = worker.spawn();
        }
        is_done(&mut tables).await
    })
    .await;
    println!("{backend:?}: {kills} workers were killed");
    for worker in &mut workers {
        end(worker).await;
    }
    judged(&arena, &id, &source).await;
    arena.isobar(["verify"]).run().await.expect_code(0);
    assert!(kills > KILLS / 2, "the job was done after {kills} kills");
}

const POISON_ROW: u64 = 7;
/// More than a worker needs, and less than the host has.
const MEMORY: u64 = 4 << 30;

/// Each way to end a process, and what the dead letter says of it.
async fn a_crash_loop_ends_in_children_of_one_worker(backend: Backend) {
    let sim = Sim::start(["--cities", "1"]).await;
    let ways = [
        ("abort", "signal 6 (SIGABRT)"),
        ("stack", "signal 6 (SIGABRT)"),
        ("memory", "signal 6 (SIGABRT)"),
        ("kill", "signal 9 (SIGKILL), as when memory runs out"),
    ];
    join_all(ways.map(async |(way, said)| {
        let poisoned = Poisoned::set(backend, &sim, way).await;
        let worker = poisoned.worker(["consume"]).with_memory_up_to(MEMORY);
        let mut tables = Tables::of(&poisoned.arena).await;
        let mut survivor = poisoned.third_of(&worker).await;
        let pid = survivor.pid();
        until(LONG_PATIENCE, "the job is done", async || is_done(&mut tables).await).await;
        assert_eq!(survivor.pid(), pid, "{way}: {}", survivor.stderr_so_far());
        let stderr = survivor.stderr_so_far();
        let crashes = stderr.matches("the entry ended the process that tried it").count();
        assert_eq!(crashes, 5, "{way}: {stderr}");
        end(&mut survivor).await;
        poisoned.is_condemned_as(&format!("5 in all; the last: {said}")).await;
    }))
    .await;
}

async fn a_crash_loop_ends_beside_the_api(backend: Backend) {
    let sim = Sim::start(["--cities", "1"]).await;
    let poisoned = Poisoned::set(backend, &sim, "abort").await;
    let listen = format!("127.0.0.1:{}", free_port());
    let up = poisoned.worker(["up", "--listen", &listen]);
    let mut tables = Tables::of(&poisoned.arena).await;
    let mut survivor = poisoned.third_of(&up).await;
    let pid = survivor.pid();
    until(LONG_PATIENCE, "the job is done", async || is_done(&mut tables).await).await;
    assert_eq!(survivor.pid(), pid, "{}", survivor.stderr_so_far());
    let alive = Http::new(format!("http://{listen}")).get("/livez").await;
    assert!(alive.status.is_success(), "{alive:?}");
    end(&mut survivor).await;
    poisoned.is_condemned_as("5 in all; the last: signal 6 (SIGABRT)").await;
}

/// Deliveries after which an entry is not tried again, and those that are left in the test.
const LAST_DELIVERY: u32 = 50;
const LEFT: u32 = 2;

/// Worker and child are one process group, which the task kills as a container may be killed.
async fn a_crash_loop_that_takes_everything_along_ends(backend: Backend) {
    let sim = Sim::start(["--cities", "1"]).await;
    let poisoned = Poisoned::set(backend, &sim, "group").await;
    let worker = poisoned.worker(["consume"]);
    let mut first = worker.spawn();
    first.wait(LONG_PATIENCE).await;
    poisoned.were_delivered(LAST_DELIVERY - LEFT).await;
    let mut tables = Tables::of(&poisoned.arena).await;
    let (mut deaths, mut running) = (0, worker.spawn());
    until(LONG_PATIENCE, "the job is done", async || {
        if !running.is_running() {
            deaths += 1;
            running = worker.spawn();
        }
        is_done(&mut tables).await
    })
    .await;
    end(&mut running).await;
    assert_eq!(deaths, LEFT);
    poisoned.is_condemned_as("delivered 50 times, and each time its worker ended").await;
}

/// A job of which one task ends the processes that fetch it.
struct Poisoned {
    arena: Arena,
    source: Source,
    id: String,
    crash: String,
}

impl Poisoned {
    async fn set(backend: Backend, sim: &Sim, way: &str) -> Self {
        let arena = Arena::set(backend, sim.url()).await;
        let whole = Source::of(20, 0);
        let city = whole.city(POISON_ROW);
        let source = whole.with_failure(city, "crash_loop");
        let id = produced(&arena, &source).await;
        arena.isobar(["migrate"]).run().await.expect_code(0);
        Self { arena, source, id, crash: format!("consumer.fetch.poison={city},{way}") }
    }

    fn worker<const N: usize>(&self, args: [&str; N]) -> Isobar {
        self.arena.isobar(args).env(VARIABLE, self.crash.clone())
    }

    /// The third worker: two die with the task while it has company.
    async fn third_of(&self, worker: &Isobar) -> Running {
        for _ in 0..2 {
            let mut doomed = worker.spawn();
            let code = doomed.wait(LONG_PATIENCE).await;
            assert!([ABORTED, 128 + 9].contains(&code), "{code}: {}", doomed.stderr_so_far());
        }
        let third = worker.spawn();
        third.wait_for_line(|line| line.contains("worker started"), PATIENCE).await;
        third
    }

    /// As if so many workers had died with everything that is in the stream.
    async fn were_delivered(&self, times: u32) {
        let Some(redis) = &self.arena.redis else {
            let db = rusqlite::Connection::open(self.arena.dir.path().join("broker.db"));
            let sql = "UPDATE entries SET deliveries = ?1 WHERE owner IS NOT NULL";
            let changed = db.expect("opens").execute(sql, [times]).expect("runs");
            assert!(changed > 0, "no entry was delivered");
            return;
        };
        let pending: Vec<(String, String, u64, u64)> =
            redis.cli(&["XPENDING", STREAM, GROUP, "-", "+", "100"]).await;
        assert!(!pending.is_empty(), "no entry was delivered");
        for (id, owner, ..) in pending {
            let times = times.to_string();
            let claim = ["XCLAIM", STREAM, GROUP, &owner, "0", &id, "RETRYCOUNT", &times, "JUSTID"];
            let _: Vec<String> = redis.cli(&claim).await;
        }
    }

    async fn is_condemned_as(&self, reason: &str) {
        let mut tables = Tables::of(&self.arena).await;
        let letters = tables
            .rows_of(
                "SELECT reason FROM dead_letters WHERE code = 'crash_loop' AND job_id = ",
                &self.id,
            )
            .await;
        let reasons: Vec<String> = letters.into_iter().flatten().flatten().collect();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].contains(reason), "{reasons:?}");
        judged(&self.arena, &self.id, &self.source).await;
    }
}

async fn produced(arena: &Arena, source: &Source) -> String {
    let report = from_file(arena, source).run().await.expect_code(0).json();
    report["job_id"].as_str().expect("an id").to_owned()
}

async fn is_done(tables: &mut Tables) -> bool {
    tables.count("SELECT count(*) FROM jobs WHERE status = 'done'").await == 1
}

async fn end(role: &mut Running) {
    role.terminate();
    let code = role.wait(PATIENCE).await;
    // One that was told to stop before it listened to signals.
    assert!([0, 143].contains(&code), "{}", role.stderr_so_far());
}

async fn judged(arena: &Arena, id: &str, source: &Source) {
    let wrong = judge(arena, &[Job { id: id.to_owned(), source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
