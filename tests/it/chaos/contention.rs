//! Many at once, one that kills, and one that is large: who suffers from the others?
//!
//! A task that ends every process that fetches it is given up and takes nobody along, even where
//! workers are killed all the time; twenty producers and twenty workers do each row once and all of
//! them work; and a small import does not wait for a large one. `ISOBAR_CHAOS_SEED` replays the
//! choices of who is killed, `ISOBAR_CHAOS_ROWS` makes the large import as large as somebody wants
//! to measure it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use isobar_failpoint::VARIABLE;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job, faults};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use super::upload::post;
use crate::harness::guard::chosen;
use crate::harness::http::Http;
use crate::harness::isobar::{Isobar, Running};
use crate::harness::port::free_port;
use crate::harness::sim::Sim;
use crate::harness::wait::{LONG_PATIENCE, PATIENCE, eventually, until};

on_both!(
    a_poison_task_takes_nobody_along_while_workers_are_killed_all_the_time,
    twenty_producers_and_twenty_workers_do_each_row_once,
    a_small_import_does_not_wait_for_a_large_one,
    a_small_run_of_cron_does_not_wait_for_a_large_import,
);

/// Workers that the test kills, and the pauses between two kills.
const KILLS: usize = 12;
const PAUSE_MS: std::ops::Range<u64> = 700..2_000;
const POISON_ROW: u64 = 30;

/// Shows I3 and I5 for the neighbours of a poison task: it becomes one dead letter, and each other
/// row ends as if it had not been there, although workers are killed meanwhile.
async fn a_poison_task_takes_nobody_along_while_workers_are_killed_all_the_time(backend: Backend) {
    let seed = chosen("ISOBAR_CHAOS_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32));
    println!("{backend:?}: ISOBAR_CHAOS_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed.cast_unsigned());
    let sim = Sim::start(["--cities", "1"]).await;
    let arena = Arena::set(backend, sim.url()).await.with("ISOBAR_CLAIM_IDLE", "3s");
    let whole = Source::of(230, 0);
    let city = whole.city(POISON_ROW);
    let source = whole.with_failure(city, "crash_loop");
    let produced = from_file(&arena, &source).run().await.expect_code(0).json();
    let id = produced["job_id"].as_str().expect("an id").to_owned();
    arena.isobar(["migrate"]).run().await.expect_code(0);

    let worker = arena.isobar(["consume"]).env(VARIABLE, format!("consumer.fetch.poison={city}"));
    let mut workers: Vec<Running> = (0..3).map(|_| worker.spawn()).collect();
    let mut tables = Tables::of(&arena).await;
    let (mut deaths, mut kills) = (0, 0);
    let mut next = Instant::now();
    until(LONG_PATIENCE, "the job is done", async || {
        if kills < KILLS && Instant::now() >= next {
            next = Instant::now() + Duration::from_millis(chance.random_range(PAUSE_MS));
            kills += 1;
            let victim = chance.random_range(0..workers.len());
            workers[victim].kill9().await;
            workers[victim] = worker.spawn();
        }
        for one in &mut workers {
            if !one.is_running() {
                deaths += 1;
                *one = worker.spawn();
            }
        }
        are_done(&mut tables, 1).await
    })
    .await;
    end(&mut workers).await;
    println!("{backend:?}: the poison ended {deaths} workers, {kills} were killed");
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "ISOBAR_CHAOS_SEED={seed}\n{}", wrong.join("\n"));
    assert!(kills > KILLS / 2, "only {kills} workers were killed");
}

const CROWD: i64 = 20;

async fn twenty_producers_and_twenty_workers_do_each_row_once(backend: Backend) {
    // Slow enough that nobody can do it all before another one has looked.
    let sim = Sim::start(["--latency", "200ms"]).await;
    let arena = Arena::set(backend, sim.url())
        .await
        .with("ISOBAR_LOCATIONS_PER_REQUEST", "5")
        .with("ISOBAR_CONCURRENCY", "1")
        // So many processes on a machine of two cores are slow, and not dead.
        .with("ISOBAR_CLAIM_IDLE", "20s")
        .with("ISOBAR_REQUEST_TIMEOUT", "3s")
        .with("ISOBAR_DB_CONNECTIONS", "3");
    arena.isobar(["migrate"]).run().await.expect_code(0);
    arena.isobar(["pause"]).run().await.expect_code(0);
    let mut workers: Vec<Running> =
        (0..CROWD).map(|_| arena.isobar(["consume", "-v"]).spawn()).collect();
    for worker in &workers {
        worker.wait_for_line(|line| line.contains("worker started"), PATIENCE).await;
    }
    let sources: Vec<Source> = (0..CROWD).map(|number| Source::of(200, number)).collect();
    let outbox = |run: Isobar, number: usize| {
        let path = arena.dir.path().join(format!("outbox-{number}.db"));
        run.env("ISOBAR_OUTBOX", path.to_string_lossy())
    };
    let runs = sources.iter().enumerate().map(async |(number, source)| {
        let path = arena.file(&format!("cities-{number}.csv"), &source.text);
        let run = arena.isobar(["produce", "--json", "--csv", &path.to_string_lossy()]);
        let report = outbox(run, number).run().await.expect_code(0).json();
        report["job_id"].as_str().expect("an id").to_owned()
    });
    let ids = join_all(runs).await;
    arena.isobar(["resume"]).run().await.expect_code(0);
    let mut tables = Tables::of(&arena).await;
    until(LONG_PATIENCE, "all jobs are done", async || are_done(&mut tables, CROWD as u64).await)
        .await;
    end(&mut workers).await;
    for (number, worker) in workers.iter().enumerate() {
        let said = worker.stderr_so_far();
        assert!(said.contains("committed"), "worker {number} had nothing to do: {said}");
    }
    let flushes = (0..ids.len()).map(|number| outbox(arena.isobar(["outbox", "flush"]), number));
    for flushed in join_all(flushes.map(async |flush| flush.run().await)).await {
        flushed.expect_code(0);
    }
    let jobs: Vec<Job<'_>> = ids
        .into_iter()
        .zip(&sources)
        .map(|(id, source)| Job { id, source, fate: Fate::Done })
        .collect();
    let wrong = faults(&arena, &jobs).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const LARGE: i64 = 12_000;
const SMALL: u64 = 10;
const HIGH_WATER: u64 = 1_000;
/// Rows of the large import that may go first: what is in the stream already, what comes into it
/// before the small one has its turn, and as much again.
const AHEAD: u64 = 4 * HIGH_WATER;

async fn a_small_import_does_not_wait_for_a_large_one(backend: Backend) {
    let crowded = Crowded::start(backend).await;
    let small = Source::of(SMALL, 1);
    let id = post(&crowded.http, &small.text, "small").await.expect("it is taken");
    crowded.is_sealed("imports.db", Some(&id)).await;
    crowded.is_overtaken_by(&id).await;
}

async fn a_small_run_of_cron_does_not_wait_for_a_large_import(backend: Backend) {
    let crowded = Crowded::start(backend).await;
    let small = Source::of(SMALL, 1);
    let mut run = from_file(&crowded.arena, &small).spawn();
    let id = crowded.is_sealed("outbox.db", None).await;
    crowded.is_overtaken_by(&id).await;
    assert_eq!(run.wait(LONG_PATIENCE).await, 0, "{}", run.stderr_so_far());
}

/// A large import that has filled the stream, with much more of it to come. No worker reads yet, so
/// what is begun now and how fast it starts changes nothing in what lies before it.
struct Crowded {
    arena: Arena,
    http: Http,
    large: String,
    rows: i64,
    _sim: Sim,
    _roles: [Running; 2],
}

impl Crowded {
    async fn start(backend: Backend) -> Self {
        let sim = Sim::start(["--cities", "1"]).await;
        let arena = Arena::set(backend, sim.url())
            .await
            .with("ISOBAR_STREAM_HIGH_WATER", &HIGH_WATER.to_string());
        arena.isobar(["migrate"]).run().await.expect_code(0);
        arena.isobar(["pause"]).run().await.expect_code(0);
        let listen = format!("127.0.0.1:{}", free_port());
        let http = Http::new(format!("http://{listen}"));
        let roles = [
            arena.isobar(["serve", "--listen", &listen]).spawn(),
            arena.isobar(["consume"]).spawn(),
        ];
        let rows = chosen("ISOBAR_CHAOS_ROWS").unwrap_or(LARGE);
        let file = Source::of(rows.cast_unsigned(), 0).text;
        let large = eventually(PATIENCE, "it is taken", async || post(&http, &file, "large").await);
        let large = large.await;
        until(LONG_PATIENCE, "the stream is full", async || {
            let stream = http.try_get("/stream").await;
            // Another batch, of a hundred rows, would not fit.
            let full = HIGH_WATER - 100;
            stream.is_ok_and(|stream| stream.json()["backlog"].as_u64() > Some(full))
        })
        .await;
        Self { arena, http, large, rows, _sim: sim, _roles: roles }
    }

    /// The job, or any, once it waits in this outbox for nothing but room in the stream.
    async fn is_sealed(&self, outbox: &str, job: Option<&str>) -> String {
        eventually(PATIENCE, "the small job is in its outbox", async || {
            let sealed = self.arena.sealed_jobs(outbox);
            sealed.into_iter().find(|sealed| job.is_none_or(|job| job == sealed))
        })
        .await
    }

    /// Lets the worker read, and counts the rows of the large import that end before the last row of
    /// the small job: rows, because a starved machine is slow with both of them.
    async fn is_overtaken_by(&self, small: &str) {
        let began = Instant::now();
        self.arena.isobar(["resume"]).run().await.expect_code(0);
        let mut tables = Tables::of(&self.arena).await;
        let small = format!("CAST(job_id AS TEXT) = '{small}'");
        let done = format!("SELECT count(*) FROM jobs WHERE status = 'done' AND {small}");
        until(LONG_PATIENCE, "the small job is done", async || tables.count(&done).await == 1)
            .await;
        let waited = began.elapsed();
        let before = format!(
            "SELECT count(*) FROM job_tasks WHERE CAST(job_id AS TEXT) = '{}' AND finished_at <=
             (SELECT max(finished_at) FROM job_tasks WHERE {small})",
            self.large
        );
        let (first, rows) = (tables.count(&before).await, self.rows);
        println!("{SMALL} rows beside {rows}: done in {waited:?}, after {first} of the others");
        assert!(first <= AHEAD, "{first} rows went first");
    }
}

async fn are_done(tables: &mut Tables, jobs: u64) -> bool {
    tables.count("SELECT count(*) FROM jobs WHERE status = 'done'").await >= jobs
}

async fn end(roles: &mut [Running]) {
    for role in &mut *roles {
        role.terminate();
    }
    for role in roles {
        let code = role.wait(PATIENCE).await;
        // One that was told to stop before it listened to signals.
        assert!([0, 143].contains(&code), "{}", role.stderr_so_far());
    }
}
