//! `isobar doctor` finds what is wrong and says what to do; `verify` finds what was taken away.
//!
//! What no test's machine can have (an old server, another clock) is judged in `src/commands/doctor.rs`.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::isobar::Isobar;
use crate::harness::port::free_port;
use crate::harness::stage::{STREAM, Stage};

/// State and detail of each finding that is not fine.
async fn findings(doctor: Isobar, code: i32) -> Vec<(String, String, String)> {
    let said = doctor.args(["--json"]).run().await.expect_code(code).json();
    let found = said["findings"].as_array().expect("findings");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    found
        .iter()
        .filter(|found| found["state"] != "ok")
        .map(|found| (text(&found["check"]), text(&found["state"]), text(&found["detail"])))
        .collect()
}

/// That this and nothing else is found, with these words.
async fn only(doctor: Isobar, code: i32, [check, state, words]: [&str; 3]) {
    let found = findings(doctor, code).await;
    let [(its_check, its_state, detail)] = found.as_slice() else {
        panic!("one finding ({check}), not {found:?}")
    };
    assert_eq!((its_check.as_str(), its_state.as_str()), (check, state));
    assert!(detail.contains(words), "{detail}");
}

#[tokio::test]
async fn a_sound_installation_has_nothing_wrong() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    assert_eq!(findings(doctor.clone(), 0).await, []);
    stage.isobar(["produce", "--limit", "1200"]).run().await.expect_code(0);
    assert_eq!(findings(doctor.clone(), 0).await, []);
    stage.drain().await.expect_code(0);
    assert_eq!(findings(doctor.clone(), 0).await, []);
    let said = doctor.run().await.expect_code(0).stdout;
    assert!(said.contains("* REDIS_URL = "), "{said}");
    assert!(said.contains("ok      upstream: 127.0.0.1 returns weather"), "{said}");
}

#[tokio::test]
async fn a_redis_that_may_lose_tasks_is_found() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    let set = async |name, value| {
        let _: String = stage.redis.cli(&["CONFIG", "SET", name, value]).await;
    };
    set("appendonly", "no").await;
    let off = ["redis persistence", "warning", "set appendonly yes"];
    only(doctor.clone(), 0, off).await;
    set("appendonly", "yes").await;
    set("maxmemory-policy", "allkeys-lru").await;
    only(doctor, 1, ["redis eviction", "broken", "set maxmemory-policy noeviction"]).await;
}

/// As its advice says: a worker that starts at a full Redis makes room.
#[tokio::test]
async fn a_full_redis_is_found_and_a_worker_drains_it() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    stage.isobar(["produce", "--limit", "200"]).run().await.expect_code(0);
    let _: String = stage.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    only(doctor, 1, ["redis memory", "broken", "Redis is full and takes no task"]).await;
    let drained = stage.drain().await.expect_code(0).json();
    assert_eq!(drained["succeeded"], 200, "{drained}");
    assert_eq!(stage.unfinished().await, 0);
}

#[tokio::test]
async fn a_database_that_may_lose_commits_is_found() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    let mut admin = stage.pg().await;
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&mut admin)
        .await
        .expect("a name");
    for (value, is_found) in [("off", true), ("local", false), ("on", false)] {
        let set = format!("ALTER DATABASE {name} SET synchronous_commit = {value}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut admin).await.expect("sets it");
        if is_found {
            let off = ["store durability", "warning", "synchronous_commit is off by default"];
            only(doctor.clone(), 0, off).await;
        } else {
            assert_eq!(findings(doctor.clone(), 0).await, [], "{value}");
        }
    }
}

#[tokio::test]
async fn strangers_on_the_stream_are_found_and_what_they_took_is_named() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    // A server knows what a group has missed once the group has read something.
    stage.isobar(["produce", "--limit", "10"]).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    let produce = ["produce", "--limit", "100", "--force", "--json"];
    let job = stage.isobar(produce).run().await.expect_code(0).json()["job_id"].clone();
    let _: String = stage.redis.cli(&["XGROUP", "CREATE", STREAM, "other", "0"]).await;
    only(doctor.clone(), 0, ["consumer groups", "warning", "other: finished entries leave"]).await;
    let _: u64 = stage.redis.cli(&["XGROUP", "DESTROY", STREAM, "other"]).await;

    let taken: u64 = stage.redis.cli(&["XTRIM", STREAM, "MAXLEN", "93"]).await;
    assert_eq!(taken, 7);
    only(doctor.clone(), 1, ["trimming", "broken", "7 unfinished entries were removed"]).await;
    // What is left is worked on; what was taken is missed, and comes again as the advice says.
    stage.drain().await.expect_code(0);
    let verified = stage.isobar(["verify", "--json"]).run().await.expect_code(1).json();
    assert_eq!(verified["missing"], 7, "{verified}");
    let said = stage.isobar(["verify"]).run().await.expect_code(1).stdout;
    assert!(said.contains("`isobar verify --repair` sends them again"), "{said}");
    stage.isobar(["verify", "--repair"]).run().await.expect_code(0);
    stage.drain().await.expect_code(0);
    stage.isobar(["verify"]).run().await.expect_code(0);
    let show = ["jobs", "show", job.as_str().expect("an id"), "--json"];
    let shown = stage.isobar([]).args(show).run().await.expect_code(0).json();
    assert_eq!((&shown["status"], &shown["processed"]), (&json!("done"), &json!(100)));
}

#[tokio::test]
async fn what_cannot_be_reached_or_refuses_us_is_found() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let dead = doctor.clone().env("ISOBAR_OPEN_METEO_URL", nobody.clone());
    only(dead, 1, ["upstream", "broken", "check the address and the network"]).await;
    let dead = doctor.clone().env("ISOBAR_GEOCODING_URL", nobody.clone());
    only(dead, 1, ["geocoding", "broken", "cannot be reached"]).await;
    let dead = doctor.clone().env("ISOBAR_CITY_SOURCE_URL", nobody.clone());
    only(dead, 1, ["city source", "broken", "cannot be reached"]).await;
    let openweather = doctor
        .clone()
        .env("ISOBAR_WEATHER_PROVIDER", "openweather")
        .env("ISOBAR_OPENWEATHER_URL", stage.sim.url());
    let wrong = openweather.clone().env("ISOBAR_OPENWEATHER_API_KEY", "bad-key");
    only(wrong, 1, ["upstream", "broken", "Invalid API key"]).await;
    let right = openweather.env("ISOBAR_OPENWEATHER_API_KEY", "a-key");
    assert_eq!(findings(right, 0).await, []);

    let redis = format!("redis://127.0.0.1:{}/0", free_port());
    let found = findings(doctor.clone().env("REDIS_URL", redis), 1).await;
    assert!(found[0].2.contains("check REDIS_URL, its password and the network"), "{found:?}");
    let database = format!("postgres://nobody@127.0.0.1:{}/none", free_port());
    only(doctor.env("DATABASE_URL", database), 1, ["store", "broken", "check DATABASE_URL"]).await;
}

#[tokio::test]
async fn what_does_not_fit_together_is_found_before_anything_starts() {
    let dir = TempDir::new().expect("a folder");
    let doctor = Isobar::new(dir.path()).args(["doctor"]);
    let short = doctor.clone().env("ISOBAR_CLAIM_IDLE", "5s").run().await.expect_code(78);
    assert!(short.stderr.contains("ISOBAR_CLAIM_IDLE"), "{short:?}");
    // Not even root can make a folder of a file.
    let file = dir.path().join("file");
    std::fs::write(&file, b"").expect("writes");
    let nowhere = doctor
        .env("ISOBAR_DATA_DIR", file.join("data").to_string_lossy())
        .env("DATABASE_URL", format!("postgres://isobar@127.0.0.1:{}/none", free_port()))
        .env("ISOBAR_BROKER", "embedded");
    let found = findings(nowhere, 1).await;
    assert!(found.iter().any(|(check, _, detail)| check == "data dir"
        && detail.contains("set ISOBAR_DATA_DIR or its owner")));
}

#[tokio::test]
async fn what_stands_still_or_is_broken_in_an_outbox_is_found() {
    let stage = Stage::set(&[]).await;
    let doctor = stage.isobar(["doctor"]);
    stage.isobar(["produce", "--limit", "10"]).run().await.expect_code(0);
    let said = doctor.run().await.expect_code(0).stdout;
    let lines = |name: &str| said.lines().filter(|line| line.contains(&format!("/{name}"))).count();
    for name in ["outbox.db", "outbox-air.db", "outbox-users.db", "imports.db"] {
        assert_eq!(lines(&format!("{name} ")), 1, "{name}: {said}");
    }

    let path = stage.dir.path().join("outbox.db");
    let outbox = rusqlite::Connection::open(&path).expect("opens");
    let unsent = "UPDATE batches SET receipt = NULL; UPDATE jobs SET created_at_ms = created_at_ms - 7200000";
    outbox.execute_batch(unsent).expect("updates");
    only(doctor.clone(), 0, ["outbox", "warning", "10 tasks not sent, the oldest for 2 h"]).await;
    stage.isobar(["outbox", "flush"]).run().await.expect_code(0);
    assert_eq!(findings(doctor.clone(), 0).await, []);

    let bad = stage.isobar(["produce", "--csv", "-"]).input("foo,bar\n1,2\n");
    bad.run().await.expect_code(1);
    only(doctor.clone(), 0, ["outbox", "warning", "1 job in the last day failed"]).await;
    let outdated = "UPDATE jobs SET created_at_ms = created_at_ms - 90000000";
    outbox.execute_batch(outdated).expect("updates");
    assert_eq!(findings(doctor.clone(), 0).await, []);
    drop(outbox);

    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    std::fs::write(&path, "garbage ".repeat(1_000)).expect("writes");
    // The breaker of the sources is in the same file.
    let found = findings(doctor, 1).await;
    let outboxes: Vec<_> = found.iter().filter(|(check, ..)| check == "outbox").collect();
    let [(_, state, detail)] = outboxes.as_slice() else { panic!("{found:?}") };
    assert!(state == "broken" && detail.contains("file is not a database"), "{detail}");
}
