//! What a cron run promises: every row once in the stream, whatever happens to the run.
//!
//! The real binary against a real Redis. There are no workers here: the stream is read past
//! Isobar, and what a worker would have finished is acknowledged by hand (`finish`).

mod crashes;
mod imports;
mod outages;
mod slots;
mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;

use isobar_broker::redis::RedisBroker;
use isobar_broker::{Broker, EntryId, Lane, Topic};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::isobar::{Finished, Isobar};
use crate::harness::redis::Redis;

const STREAM: &str = "owm-ingestion-stream";
const CONTROL: &str = "{owm-ingestion-stream}:control";
const WATERMARKS: &str = "{owm-ingestion-stream}:watermarks";
const BATCH_RECORDS: &str = "{owm-ingestion-stream}:batches";

/// A Redis, a data folder, and a file of cities.
struct Field {
    redis: Redis,
    dir: TempDir,
}

/// An entry as the stream holds it.
type Entry = (String, Vec<String>);

impl Field {
    async fn new() -> Self {
        Self { redis: Redis::start().await, dir: tempfile::tempdir().expect("temporary folder") }
    }

    /// `isobar` with the settings that all tests share.
    fn isobar(&self) -> Isobar {
        Isobar::new(self.dir.path())
            .env("REDIS_URL", self.redis.url())
            .env("ISOBAR_STREAM_HIGH_WATER", "1000000")
    }

    /// A run over the file, as JSON.
    fn produce(&self, slot: &str) -> Isobar {
        let file = self.dir.path().join("cities.csv");
        self.isobar().args(["produce", "--json", "--slot", slot, "--csv", &file.to_string_lossy()])
    }

    /// Writes a file of so many cities.
    fn cities(&self, count: usize) -> PathBuf {
        let rows = (1..=count).map(|n| {
            [n.to_string(), format!("City {n},FR,{}.5,{}.25\n", n % 90, n % 180)].join(",")
        });
        let header = "city_id,city,country,latitude,longitude\n".to_owned();
        self.file(&std::iter::once(header).chain(rows).collect::<String>())
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("cities.csv");
        std::fs::write(&path, text).expect("writes");
        path
    }

    async fn entries(&self, stream: &str) -> Vec<Entry> {
        self.redis.cli(&["XRANGE", stream, "-", "+"]).await
    }

    /// How often each city is in the stream.
    async fn multiset(&self) -> BTreeMap<String, usize> {
        multiset(&self.entries(STREAM).await)
    }

    /// How many control messages of each kind there are.
    async fn control(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for (_, fields) in self.entries(CONTROL).await {
            *kinds.entry(value(&fields, "kind").to_owned()).or_default() += 1;
        }
        kinds
    }

    /// What workers do in the end, without having done it. Returns the tasks.
    async fn finish(&self) -> Vec<Entry> {
        let (tasks, control) = (self.entries(STREAM).await, self.entries(CONTROL).await);
        self.ack(Lane::Tasks, &tasks).await;
        self.ack(Lane::Control, &control).await;
        tasks
    }

    async fn ack(&self, lane: Lane, entries: &[Entry]) {
        let broker = Broker::Redis(RedisBroker::at(&self.redis.url()).expect("a URL"));
        let topic = Topic::new(STREAM, "ingestion-workers");
        let ids: Vec<EntryId> = entries.iter().map(|(id, _)| id.parse().expect("an id")).collect();
        broker.ack(&topic, lane, &ids).await.expect("acks");
    }

    async fn status(&self) -> Value {
        self.isobar().args(["outbox", "status", "--json"]).run().await.expect_code(0).json()
    }
}

fn value<'a>(fields: &'a [String], name: &str) -> &'a str {
    fields
        .chunks(2)
        .find(|pair| pair[0] == name)
        .map_or_else(|| panic!("{name} is missing in {fields:?}"), |pair| pair[1].as_str())
}

fn multiset(entries: &[Entry]) -> BTreeMap<String, usize> {
    let mut cities = BTreeMap::new();
    for (_, fields) in entries {
        *cities.entry(value(fields, "city_id").to_owned()).or_default() += 1;
    }
    cities
}

/// Cities 1 to `count`, each once.
fn once_each(count: usize) -> BTreeMap<String, usize> {
    (1..=count).map(|n| (n.to_string(), 1)).collect()
}

fn numbers<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report}")))
}

#[tokio::test]
async fn batches_hold_exactly_500_tasks_and_are_chained() {
    let field = Field::new().await;
    field.cities(1_750);
    let report = field.produce("a").run().await.expect_code(0).json();
    assert_eq!(
        numbers(
            &report,
            ["rows", "tasks", "rejected", "duplicates", "published", "batches", "unsent"]
        ),
        [1_750, 1_750, 0, 0, 1_750, 4, 0]
    );
    assert_eq!(report["source"], "cities.csv");
    let outbox = rusqlite::Connection::open(field.dir.path().join("outbox.db")).expect("opens");
    let batches: Vec<(u64, u64, String, String)> = outbox
        .prepare("SELECT seq, n_tasks, previous_hash, hash FROM batches ORDER BY seq")
        .and_then(|mut select| {
            select
                .query_map([], |row| {
                    Ok((
                        row.get::<_, i64>(0)? as u64,
                        row.get::<_, i64>(1)? as u64,
                        row.get(2)?,
                        row.get(3)?,
                    ))
                })?
                .collect()
        })
        .expect("reads");
    let sizes: Vec<u64> = batches.iter().map(|batch| batch.1).collect();
    assert_eq!(sizes, [500, 500, 500, 250]);
    assert_eq!(batches[0].2, "");
    for pair in batches.windows(2) {
        assert_eq!((pair[0].0 + 1, &pair[0].3), (pair[1].0, &pair[1].2), "dense and chained (I2)");
    }
    assert_eq!(field.multiset().await, once_each(1_750));
    let kinds = field.control().await;
    assert_eq!((kinds["open"], kinds["seal"], kinds.len()), (1, 1, 2));
}

#[tokio::test]
async fn an_entry_has_the_fields_of_the_contract() {
    let field = Field::new().await;
    field.file("city,country\nParis,\nNowhereville,FR\n");
    let report = field.produce("a").args(["--force"]).run().await.expect_code(0).json();
    let entries = field.entries(STREAM).await;
    let paris = &entries[0].1;
    for (name, expected) in [
        ("latitude_deg", "48.85341"),
        ("longitude_deg", "2.3488"),
        ("city_id", "2988507"),
        ("job_id", report["job_id"].as_str().expect("text")),
        ("city", "Paris"),
        ("country_code", "FR"),
        ("row", "1"),
        ("force", "1"),
    ] {
        assert_eq!(value(paris, name), expected, "{name}");
    }
    let unknown = &entries[1].1;
    assert!(!unknown.contains(&"latitude_deg".to_owned()), "the worker resolves it");
    assert_eq!(value(unknown, "city"), "Nowhereville");
}

#[tokio::test]
async fn a_slot_that_is_done_publishes_nothing_and_says_so() {
    let field = Field::new().await;
    field.cities(700);
    let first = field.produce("a").run().await.expect_code(0).json();
    let again = field.produce("a").run().await.expect_code(0).json();
    assert_eq!(first["job_id"], again["job_id"]);
    assert_eq!(numbers(&again, ["tasks", "published", "unsent"]), [700, 0, 0]);
    assert_eq!((&first["resumed"], &again["resumed"]), (&false.into(), &true.into()));
    let file = field.dir.path().join("cities.csv");
    let text = field
        .isobar()
        .args(["produce", "--slot", "a", "--csv", &file.to_string_lossy()])
        .run()
        .await
        .expect_code(0);
    assert!(text.stdout.contains("already"), "{}", text.stdout);
    assert_eq!(field.multiset().await, once_each(700));
    let other = field.produce("b").run().await.expect_code(0).json();
    assert_ne!(other["job_id"], first["job_id"]);
    assert_eq!(numbers(&other, ["published"]), [700]);
}

#[tokio::test]
async fn rows_are_tasks_rejects_or_duplicates_and_nothing_else() {
    let field = Field::new().await;
    // Every city three times, far apart, and a blank name after each.
    let once: Vec<String> = (1..=800).map(|n| format!("{n},City {n}\n{n}, \n")).collect();
    field.file(&format!("city_id,city\n{}", once.concat().repeat(3)));
    let rejects = field.dir.path().join("rejects.csv");
    let run = field
        .produce("a")
        .args(["--strict", "--rejects", &rejects.to_string_lossy()])
        .run()
        .await
        .expect_code(3);
    assert_eq!(
        numbers(&run.json(), ["rows", "tasks", "rejected", "duplicates", "published"]),
        [4_800, 800, 2_400, 1_600, 800]
    );
    assert_eq!(field.multiset().await, once_each(800));
    assert_eq!(field.control().await["reject"], 2_400);
    let listed = std::fs::read_to_string(rejects).expect("a list");
    assert_eq!(listed.lines().count(), 2_401);
    assert_eq!(listed.lines().next(), Some("row,code,reason,line,value,city_id,city"));
    assert_eq!(listed.lines().nth(1), Some("2,blank_name,the name is blank,3,,1, "));
}

#[tokio::test]
async fn finished_batches_are_confirmed_and_pruned_and_their_job_is_done() {
    let field = Field::new().await;
    field.cities(1_200);
    field.produce("a").run().await.expect_code(0);
    assert_eq!(field.status().await["unconfirmed_batches"], 3);
    // Half-way: the first batch is finished, the others are not.
    let first: Vec<Entry> = field.redis.cli(&["XRANGE", STREAM, "-", "+", "COUNT", "500"]).await;
    field.ack(Lane::Tasks, &first).await;
    field.ack(Lane::Control, &field.entries(CONTROL).await[..1]).await;
    field.isobar().args(["outbox", "flush"]).run().await.expect_code(0);
    assert_eq!(field.status().await["unconfirmed_batches"], 2);
    field.finish().await;
    field.isobar().args(["outbox", "flush"]).run().await.expect_code(0);
    let status = field.status().await;
    assert_eq!(status["unconfirmed_batches"], 0);
    assert_eq!(status["jobs"][0]["state"], "done");
    assert_eq!(field.redis.cli::<u64>(&["HLEN", BATCH_RECORDS]).await, 0, "no record is left");
    let again = field.produce("a").run().await.expect_code(0).json();
    assert_eq!(numbers(&again, ["published"]), [0], "its slot is done all the same");
}

fn says(run: &Finished, words: &[&str]) {
    for word in words {
        assert!(run.stderr.contains(word), "{word:?} is not in:\n{}", run.stderr);
    }
}
