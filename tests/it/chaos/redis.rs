//! Redis does what Redis and its operators do, in the middle of the work: it recovers by itself.
//!
//! A worker has begun with a slow upstream when it happens, and is never restarted. The producer runs
//! again afterwards, as cron makes it. What becomes of a single call is in `tests/it/broker/redis_only.rs`,
//! a Redis that dies in `killing`.

use super::arena::{Arena, Backend, GROUP, STREAM};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::isobar::{Isobar, Running};
use crate::harness::port::free_port;
use crate::harness::redis::Redis;
use crate::harness::sim::Sim;
use crate::harness::wait::{LONG_PATIENCE, PATIENCE, until};

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
    let word = |word: &str| match word {
        "STREAM" => STREAM.to_owned(),
        "CONTROL" | "BATCHES" | "SPANS" | "WATERMARKS" | "EPOCH" => {
            format!("{{{STREAM}}}:{}", word.to_lowercase())
        }
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
    the_tasks_are_trimmed: ["XTRIM STREAM MAXLEN 0"] => NOTHING,
    some_tasks_are_trimmed: ["XTRIM STREAM MAXLEN 50"] => NOTHING,
    both_lanes_are_trimmed: ["XTRIM STREAM MAXLEN 10", "XTRIM CONTROL MAXLEN 0"] => NOTHING,
    the_control_messages_are_deleted: ["DEL CONTROL"] => NOTHING,
    the_records_of_the_batches_are_deleted: ["DEL BATCHES"] => NOTHING,
    the_spans_of_the_batches_are_deleted: ["DEL SPANS"] => NOTHING,
    the_watermarks_are_deleted: ["DEL WATERMARKS"] => NOTHING,
    the_epoch_is_deleted: ["DEL EPOCH"] => NOTHING,
}

/// `MISCONF`: where its snapshot is to be, there is a folder.
#[tokio::test]
async fn it_refuses_writes_because_it_cannot_save() {
    let trouble = Trouble::begin().await;
    let redis = trouble.redis();
    let in_the_way = redis.folder().join("dump.rdb");
    std::fs::create_dir_all(in_the_way.join("full")).expect("a folder");
    let _: String = redis.cli(&["CONFIG", "SET", "save", "3600 1"]).await;
    let _: String = redis.cli(&["BGSAVE"]).await;
    until(PATIENCE, "a save has failed", async || {
        let info: String = redis.cli(&["INFO", "persistence"]).await;
        info.contains("rdb_last_bgsave_status:err")
    })
    .await;
    trouble.lasts().await;
    std::fs::remove_dir_all(in_the_way).expect("removes");
    let _: String = redis.cli(&["SAVE"]).await;
    trouble.passes().await;
}

async fn survive(done: &[&str], undone: &[&str]) {
    let trouble = Trouble::begin().await;
    for command in done {
        let words = words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let _: redis::Value = trouble.redis().cli(&words).await;
    }
    trouble.lasts().await;
    for command in undone {
        let words: Vec<&str> = command.split(' ').collect();
        let _: redis::Value = trouble.redis().cli(&words).await;
    }
    trouble.passes().await;
}

/// A job half done.
struct Trouble {
    arena: Arena,
    source: Source,
    produce: Isobar,
    job: String,
    worker: Running,
    tables: Tables,
    _sim: Sim,
}

impl Trouble {
    async fn begin() -> Self {
        let sim = Sim::start(["--cities=1", "--latency=150ms"]).await;
        let arena = Arena::set(Backend::Servers, sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
        let source = Source::of(ROWS, 0);
        let produce = from_file(&arena, &source);
        let report = produce.run().await.expect_code(0).json();
        let job = report["job_id"].as_str().expect("an id").to_owned();
        let worker = arena.isobar(["consume"]).spawn();
        let mut tables = Tables::of(&arena).await;
        let begun = "SELECT count(*) FROM pg_tables WHERE tablename = 'job_tasks'";
        until(PATIENCE, "the schema is there", async || tables.count(begun).await == 1).await;
        let stored = "SELECT count(*) FROM job_tasks";
        until(PATIENCE, "some rows are stored", async || tables.count(stored).await > 0).await;
        Self { arena, source, produce, job, worker, tables, _sim: sim }
    }

    fn redis(&self) -> &Redis {
        self.arena.redis.as_ref().expect("servers")
    }

    /// While it lasts, a run says that it is worth coming again, or has nothing to send.
    async fn lasts(&self) {
        let meanwhile = self.produce.clone().args(["--max-wait", "1s"]).run().await;
        assert!([0, 75].contains(&meanwhile.code), "{meanwhile:?}");
    }

    /// Afterwards all is well without anybody's help.
    async fn passes(mut self) {
        let Self { arena, job, worker, tables, .. } = &mut self;
        let done = format!("SELECT count(*) FROM jobs WHERE status = 'done' AND job_id = '{job}'");
        until(LONG_PATIENCE, "the job is done, and all of it confirmed", async || {
            let flushed = arena.isobar(["outbox", "flush"]).run().await;
            assert!([0, 75].contains(&flushed.code), "{flushed:?}");
            assert!(worker.is_running(), "{}", worker.stderr_so_far());
            let outbox = arena.isobar(["outbox", "status", "--json"]).run().await.expect_code(0);
            tables.count(&done).await == 1 && outbox.json()["unconfirmed_batches"] == 0
        })
        .await;
        worker.terminate();
        assert_eq!(worker.wait(PATIENCE).await, 0, "{}", worker.stderr_so_far());
        let job = Job { id: self.job, source: &self.source, fate: Fate::Done };
        let wrong = judge(&self.arena, &[job]).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
