//! Entries of any fields: each one ends, as a success or as a dead letter with its bytes.

use isobar_model::task::ControlMessage;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use redis::AsyncCommands;

use super::{mangled, some};
use crate::harness::stage::{STREAM, Stage};

const NAMES: [&str; 14] = [
    "task_id",
    "job_id",
    "row",
    "batch",
    "try",
    "force",
    "city_id",
    "city",
    "country",
    "latitude_deg",
    "longitude_deg",
    "kind",
    "body",
    "",
];
const VALUES: [&str; 8] =
    ["6fa1c1f0-52c4-4c39-9a55-000000000007", "48.85", "2", "7007", "Paris", "seal", "-1", "{}"];

const CONTROL: &str = "{owm-ingestion-stream}:control";
const BODIES: [&str; 4] = [
    r#"{"kind":"open","job_id":"6fa1c1f0-52c4-4c39-9a55-0000000000aa","job_kind":"import","source":"a.csv","slot":"one","created_at":"2026-01-16T05:00:00Z"}"#,
    r#"{"kind":"seal","job_id":"6fa1c1f0-52c4-4c39-9a55-0000000000aa","rows":3,"rejected":1,"duplicates":0,"outcome":"complete"}"#,
    r#"{"kind":"reject","job_id":"6fa1c1f0-52c4-4c39-9a55-0000000000aa","task_id":"6fa1c1f0-52c4-4c39-9a55-0000000000ab","row":3,"code":"no_city","reason":"no","city":"x"}"#,
    "{}",
];

/// Up to a dozen fields, named twice or not at all.
fn entry() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop_oneof![
        9 => select(&NAMES[..]).prop_map(|name| name.as_bytes().to_vec()),
        1 => mangled(b"latitude_deg".to_vec()),
    ];
    let value = prop_oneof![
        3 => select(&VALUES[..]).prop_map(|value| value.as_bytes().to_vec()),
        1 => select(&VALUES[..]).prop_flat_map(|value| mangled(value.as_bytes().to_vec())),
    ];
    let whole = [("task_id", 0), ("latitude_deg", 1), ("longitude_deg", 2), ("city_id", 3)];
    let whole = whole.map(|(name, at)| (name.as_bytes().to_vec(), VALUES[at].as_bytes().to_vec()));
    let odd = vec((name, value), 1..12);
    (any::<bool>(), odd).prop_map(move |(is_task, odd)| {
        let task = if is_task { whole.to_vec() } else { Vec::new() };
        task.into_iter().chain(odd).collect()
    })
}

/// A control message with the body of another, or of none. What it is called is known: see below.
fn message() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let body = select(&BODIES[..]).prop_map(|body| body.as_bytes().to_vec());
    let body = prop_oneof![1 => body.clone(), 3 => body.prop_flat_map(mangled)];
    (entry(), select(&ControlMessage::KINDS[..]), body).prop_map(|(odd, kind, body)| {
        let own = [("kind", kind.as_bytes().to_vec()), ("body", body)];
        own.map(|(name, value)| (name.as_bytes().to_vec(), value)).into_iter().chain(odd).collect()
    })
}

#[tokio::test]
async fn whatever_is_put_into_the_stream_ends_and_stops_nobody() {
    const ENTRIES: usize = 300;
    let stage = Stage::set(&[]).await;
    let entries = some(ENTRIES, &entry());
    let mut redis = stage.redis.connection().await;
    for entry in &entries {
        let _: String = redis.xadd(STREAM, "*", entry).await.expect("Redis takes any fields");
    }
    let done = stage.drain().await;
    assert!([0, 3].contains(&done.code), "{}", done.stdout);
    assert_eq!(stage.unfinished().await, 0, "{}", done.stdout);
    let done = done.json();
    let [succeeded, failed, skipped] = ["succeeded", "failed", "skipped"]
        .map(|name| done[name].as_u64().unwrap_or_else(|| panic!("{name} in {done}")) as usize);
    let dead = stage.count("SELECT count(*) FROM dead_letters").await;
    // A job that nobody announced is opened by its first task, and has its own accounts.
    assert!(succeeded + failed + skipped + dead as usize >= ENTRIES, "{done}, {dead} dead");
    stage.isobar(["verify"]).run().await.expect_code(0);
}

#[tokio::test]
async fn whatever_is_put_into_the_control_lane_ends_and_stops_nobody() {
    const MESSAGES: usize = 300;
    let stage = Stage::set(&[]).await;
    let messages = some(MESSAGES, &message());
    let mut redis = stage.redis.connection().await;
    for message in &messages {
        let _: String = redis.xadd(CONTROL, "*", message).await.expect("Redis takes any fields");
    }
    stage.add_city(1).await;
    let done = stage.drain().await;
    assert!([0, 3].contains(&done.code), "{}", done.stdout);
    assert_eq!(stage.unfinished().await, 0, "{}", done.stdout);
    assert_eq!(done.json()["succeeded"], 1);
    let dead = stage.count("SELECT count(*) FROM dead_letters").await as usize;
    assert!((MESSAGES / 2..MESSAGES).contains(&dead), "{dead} are no messages");
}

#[tokio::test]
async fn a_control_message_of_an_unknown_kind_is_said_waits_for_a_newer_worker_and_stops_nobody() {
    let stage = Stage::set(&[]).await;
    stage.add_city(1).await;
    let mut redis = stage.redis.connection().await;
    let unknown = [("kind", "true{}"), ("body", "{}")];
    let _: String = redis.xadd(CONTROL, "*", &unknown).await.expect("Redis takes it");
    let done = stage.isobar(["consume", "--drain", "--json", "--max-wait", "4s"]).run().await;
    let done = done.expect_code(75);
    assert!(done.stderr.matches("for a newer worker").count() > 1, "{done:?}");
    assert_eq!((&done.json()["succeeded"], stage.unfinished().await), (&1.into(), 1), "{done:?}");
    assert_eq!(stage.dead().await, []);
}
