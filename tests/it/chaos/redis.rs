//! Redis does what Redis and its operators do, in the middle of the work: it recovers by itself.
//!
//! A worker has begun with a slow upstream when it happens, and is never restarted. The producer runs
//! again afterwards, as cron makes it. What becomes of a single call is in `tests/it/broker/on_redis.rs`,
//! a Redis that dies in `killing`.

use super::arena::{Arena, Backend, GROUP, STREAM};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::port::free_port;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

const ROWS: u64 = 230;

/// `promise: what is done => what is undone afterwards`.
macro_rules! survive {
    ($($promise:ident: $done:expr => $undone:expr),+ $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            survive(&$done, &$undone).await;
        })+
    };
}

/// Words of one command, as `redis-cli` takes them.
type Command = Vec<String>;

fn words(text: &str) -> Command {
    let control = format!("{{{STREAM}}}:control");
    let word = |word: &str| match word {
        "STREAM" => STREAM.to_owned(),
        "CONTROL" => control.clone(),
        "GROUP" => GROUP.to_owned(),
        "NOBODY" => free_port().to_string(),
        other => other.to_owned(),
    };
    text.split(' ').map(word).collect()
}

const NOTHING: [&str; 0] = [];

survive! {
    scripts_are_forgotten: ["SCRIPT FLUSH SYNC"] => NOTHING,
    every_connection_is_killed: ["CLIENT KILL TYPE normal"] => NOTHING,
    it_answers_nobody_for_a_while: ["CLIENT PAUSE 7000 ALL"] => NOTHING,
    it_becomes_a_replica_and_a_primary_again: ["REPLICAOF 127.0.0.1 NOBODY"] => ["REPLICAOF NO ONE"],
    its_memory_is_full: ["CONFIG SET maxmemory 1"] => ["CONFIG SET maxmemory 0"],
    the_tasks_are_deleted: ["DEL STREAM"] => NOTHING,
    both_lanes_are_deleted: ["DEL STREAM CONTROL"] => NOTHING,
    the_group_is_destroyed: ["XGROUP DESTROY STREAM GROUP"] => NOTHING,
    everything_is_flushed: ["FLUSHALL"] => NOTHING,
}

async fn survive(done: &[&str], undone: &[&str]) {
    let sim = Sim::start(["--cities=1", "--latency=150ms"]).await;
    let arena = Arena::set(Backend::Servers, sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
    let redis = arena.redis.as_ref().expect("servers");
    let source = Source::of(ROWS, 0);
    let produce = from_file(&arena, &source);
    let id =
        produce.run().await.expect_code(0).json()["job_id"].as_str().expect("an id").to_owned();
    let mut worker = arena.isobar(["consume"]).spawn();
    let mut tables = Tables::of(&arena).await;
    let begun = "SELECT count(*) FROM pg_tables WHERE tablename = 'job_tasks'";
    until(PATIENCE, "the schema is there", async || tables.count(begun).await == 1).await;
    let stored = "SELECT count(*) FROM job_tasks";
    until(PATIENCE, "some rows are stored", async || tables.count(stored).await > 0).await;
    for command in done {
        let words = words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let _: redis::Value = redis.cli(&words).await;
    }
    // While it lasts, a run says that it is worth coming again, or has nothing to send.
    let meanwhile = produce.clone().args(["--max-wait", "1s"]).run().await;
    assert!([0, 75].contains(&meanwhile.code), "{done:?}: {meanwhile:?}");
    for command in undone {
        let _: redis::Value = redis.cli(&command.split(' ').collect::<Vec<_>>()).await;
    }
    let finished = format!("SELECT count(*) FROM jobs WHERE status = 'done' AND job_id = '{id}'");
    until(PATIENCE * 2, "the job is done", async || {
        let flushed = arena.isobar(["outbox", "flush"]).run().await;
        assert!([0, 75].contains(&flushed.code), "{done:?}: {flushed:?}");
        assert!(worker.is_running(), "{done:?}: {}", worker.stderr_so_far());
        tables.count(&finished).await == 1
    })
    .await;
    worker.terminate();
    assert_eq!(worker.wait(PATIENCE).await, 0, "{done:?}: {}", worker.stderr_so_far());
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{done:?}\n{}", wrong.join("\n"));
}
