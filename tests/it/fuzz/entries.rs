//! Entries of any fields: each one ends, as a success or as a dead letter with its bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use redis::AsyncCommands;

use super::{mangled, some};
use crate::stage::{STREAM, Stage};

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

#[tokio::test]
async fn whatever_is_put_into_the_stream_ends_and_stops_nobody() {
    const ENTRIES: usize = 300;
    let stage = Stage::set(&[]).await;
    let entries = some(ENTRIES, &entry());
    let mut redis = stage.redis.connection().await;
    for entry in &entries {
        let _: String = redis.xadd(STREAM, "*", entry).await.expect("Redis takes any fields");
    }
    let _: String = redis
        .xadd(format!("{{{STREAM}}}:control"), "*", &entries[0])
        .await
        .expect("and in the control lane");
    let done = stage.drain().await;
    assert!([0, 3].contains(&done.code), "{done:?}\n{entries:?}");
    assert_eq!(stage.unfinished().await, 0, "{done:?}\n{entries:?}");
    let done = done.json();
    let [succeeded, failed, skipped] = ["succeeded", "failed", "skipped"]
        .map(|name| done[name].as_u64().unwrap_or_else(|| panic!("{name} in {done}")) as usize);
    let dead = stage.count("SELECT count(*) FROM dead_letters").await;
    // A job that nobody announced is opened by its first task, and has its own accounts.
    assert!(succeeded + failed + skipped + dead as usize >= ENTRIES, "{done}, {dead} dead");
    stage.isobar(["verify"]).run().await.expect_code(0);
}
