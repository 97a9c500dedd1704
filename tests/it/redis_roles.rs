//! A Redis that takes no tasks is named as what it is: a replica, a sentinel, a node of a cluster.
//!
//! A person must change `REDIS_URL` for the last two (78). A replica may become the primary in a
//! failover, so roles exit 75, and `produce` keeps the rows of its tick in the outbox (I1).

use serde_json::json;

use crate::harness::isobar::{Finished, Isobar};
use crate::harness::port::free_port;
use crate::harness::redis::{OtherRedis, Redis};
use crate::harness::stage::Stage;

/// Each command that works for long, or writes to the stream.
const ROLES: [&[&str]; 7] = [
    &["up", "--listen", "127.0.0.1:0"],
    &["up", "--once"],
    &["serve", "--listen", "127.0.0.1:0"],
    &["consume"],
    &["schedule"],
    &["produce", "--limit", "3"],
    &["users", "sync"],
];

fn isobar(stage: &Stage, url: &str, args: &[&str]) -> Isobar {
    let isobar = stage.isobar([]).env("REDIS_URL", url).env("ISOBAR_SYNC_CRON", "@every 1h");
    isobar.args(args.iter().copied())
}

async fn is_refused(stage: &Stage, url: &str, words: &[&str]) {
    for args in ROLES {
        let refused = isobar(stage, url, args).run().await.expect_code(78);
        says(&refused, words);
    }
    is_found(stage, url, words).await;
    assert!(!stage.dir.path().join("outbox.db").exists(), "nothing was extracted");
}

async fn is_found(stage: &Stage, url: &str, words: &[&str]) {
    let found = isobar(stage, url, &["doctor", "--json"]).run().await.expect_code(1).json();
    let findings = found["findings"].as_array().expect("findings");
    let broker = findings.iter().find(|finding| finding["check"] == "broker").expect("a finding");
    assert_eq!(broker["state"], "broken");
    let detail = broker["detail"].as_str().expect("text");
    assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
}

fn says(finished: &Finished, words: &[&str]) {
    let said = &finished.stderr;
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

#[tokio::test]
async fn a_sentinel_is_named_with_the_primary_that_it_watches() {
    let stage = Stage::set(&["--cities", "3"]).await;
    let sentinel = OtherRedis::sentinel_of(&stage.redis).await;
    let primary = format!("127.0.0.1:{} (mymaster)", stage.redis.port());
    let words = [sentinel.location(), "a sentinel".to_owned(), primary];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    is_refused(&stage, &sentinel.url(), &words).await;
    // A sentinel knows neither databases nor our password.
    for login in ["", "secret@", "user:secret@"] {
        let url = format!("redis://{login}{}/2", sentinel.location());
        is_found(&stage, &url, &words).await;
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_is_named_before_anything_is_sent() {
    let stage = Stage::set(&["--cities", "3"]).await;
    let node = OtherRedis::cluster_node().await;
    let location = node.location();
    let words = [location.as_str(), "a node of a Redis cluster", "one primary"];
    is_refused(&stage, &node.url(), &words).await;
    is_found(&stage, &format!("{}/1", node.url()), &words).await;
    assert_eq!(node.cli::<u64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn a_replica_is_named_and_its_rows_wait_in_the_outbox() {
    let stage = Stage::set(&["--cities", "3"]).await;
    let replica = OtherRedis::replica_of(&stage.redis).await;
    let primary = format!("a read-only replica of 127.0.0.1:{}", stage.redis.port());
    let location = replica.location();
    let words = [location.as_str(), primary.as_str(), "set it to the primary"];
    is_found(&stage, &replica.url(), &words).await;
    for args in &ROLES[..5] {
        let refused = isobar(&stage, &replica.url(), args).run().await.expect_code(75);
        says(&refused, &words);
    }
    let produce = ["produce", "--slot", "tick", "--json"];
    let waits = isobar(&stage, &replica.url(), &produce).env("ISOBAR_REDIS_RETRIES", "1");
    let waits = waits.run().await.expect_code(75);
    says(&waits, &words);
    says(&waits, &["a Redis primary is not answering at"]);
    assert_eq!(waits.json()["unsent"], json!(3));
    // The failover ends: the same server is the primary, and the next run sends what waits.
    replica.cli::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    let sent = isobar(&stage, &replica.url(), &produce).run().await.expect_code(0).json();
    assert_eq!((&sent["published"], &sent["unsent"]), (&json!(3), &json!(0)));
    let drain = isobar(&stage, &replica.url(), &["consume", "--drain", "--json"]);
    assert_eq!(drain.run().await.expect_code(0).json()["succeeded"], 3);
}

#[tokio::test]
async fn a_redis_that_does_not_say_what_it_is_is_used() {
    let stage = Stage::set(&["--cities", "3"]).await;
    let _: String = stage
        .redis
        .cli(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-info"])
        .await;
    let url = format!("redis://app:secret@127.0.0.1:{}", stage.redis.port());
    isobar(&stage, &url, &["produce"]).run().await.expect_code(0);
    isobar(&stage, &url, &["consume", "--drain"]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_redis_that_is_down_is_still_no_reason_to_refuse() {
    let stage = Stage::set(&["--cities", "3"]).await;
    let unused = format!("redis://127.0.0.1:{}", free_port());
    let waits = isobar(&stage, &unused, &["produce", "--json"]).env("ISOBAR_REDIS_RETRIES", "1");
    let waits = waits.run().await.expect_code(75);
    assert_eq!(waits.json()["unsent"], json!(3));
    says(&waits, &["Redis is not answering at"]);
}

#[tokio::test]
async fn a_primary_with_a_replica_is_used() {
    let redis = Redis::start().await;
    let _replica = OtherRedis::replica_of(&redis).await;
    let stage = Stage::set(&["--cities", "3"]).await;
    isobar(&stage, &redis.url(), &["produce"]).run().await.expect_code(0);
}
