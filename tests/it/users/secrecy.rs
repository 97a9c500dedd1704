//! No card number is anywhere: not in a file, a key, a log line or a table; and no e-mail address is
//! in a log.
//!
//! Every number that the simulator can give out is looked for as digits, whatever stands between
//! them, after a run that reads them from every provider at the highest level of logging, fails on
//! some of them, and leaves tasks in every place where a task can lie.

use std::collections::HashSet;
use std::path::Path;

use isobar_store::UserFilter;
use serde_json::json;

use super::{ADDRESSES, CARDS, DUMMY, Home, on_both};

on_both!(no_card_number_is_anywhere_after_a_run);

/// Lengths of the numbers that the simulator gives out.
const LENGTHS: [usize; 2] = [15, 16];
const OWN: &str = "4000-1111-2222-3333";

async fn no_card_number_is_anywhere_after_a_run(home: Home) {
    let dummy = format!("{}{DUMMY}", home.sim.url());
    let loud = |args: Vec<&str>| {
        home.isobar(["-vv"])
            .args(args)
            .env("ISOBAR_USERS_URL", &dummy)
            .env("ISOBAR_LOG_FORMAT", "json")
    };
    loud(vec!["users", "sync"]).run().await.expect_code(0);
    loud(vec!["consume", "--drain"]).run().await.expect_code(0);
    // A card that is refused, an answer that is cut off, and one that is no JSON but holds a number.
    let refused =
        json!([{ "credit_card_number": OWN, "credit_card_expiry_date": OWN }]).to_string();
    for fault in [
        json!({ "endpoint": CARDS, "status": 200, "count": 1, "body": refused }),
        json!({ "endpoint": CARDS, "status": 200, "count": 1, "body": format!("[{OWN}") }),
        json!({ "endpoint": CARDS, "status": 500, "count": 1, "body": OWN }),
        json!({ "endpoint": CARDS, "kind": "truncate", "count": 1 }),
    ] {
        home.sim.fault(&fault).await;
        loud(vec!["produce", "--pipeline", "cards", "--limit", "3"]).run().await.expect_code(0);
        loud(vec!["consume", "--drain"]).env("ISOBAR_MAX_ATTEMPTS", "1").run().await;
    }
    home.sim.clear_faults().await;
    for (slot, url) in [("a", format!("{}{CARDS}", home.sim.url())), ("b", dummy.clone())] {
        for pipeline in ["addresses", "cards"] {
            let args = ["produce", "--limit", "100", "--slot", slot, "--pipeline", pipeline];
            loud(args.to_vec()).run().await.expect_code(0);
        }
        let drain = loud(vec!["consume", "--drain"]).env("ISOBAR_CARDS_URL", url);
        drain.env("ISOBAR_ADDRESSES_URL", format!("{}{ADDRESSES}", home.sim.url())).run().await;
    }
    let [users, _, cards] = home.found().await;
    assert!(users == 208 && cards > 100, "{cards} cards were read");
    // And some that wait.
    loud(vec!["users", "sync"]).run().await.expect_code(0);

    // What the processes said names nobody, either.
    let filter = UserFilter::default();
    let known = home.store.users(&filter, 0, 300).await.expect("reads");
    assert_eq!(known.len(), 208);
    for file in std::fs::read_dir(home.dir.path()).expect("a folder").flatten() {
        if file.file_name().to_string_lossy().ends_with(".stderr") {
            let said = std::fs::read_to_string(file.path()).expect("text");
            let named = known.iter().find(|row| said.contains(&row.user.email));
            assert!(named.is_none(), "{named:?} is in {}", file.path().display());
        }
    }

    let mut secrets: HashSet<Vec<u8>> = isobar_sim::providers::card_numbers(0)
        .iter()
        .map(|number| digits(number.as_bytes()))
        .collect();
    secrets.insert(digits(OWN.as_bytes()));
    assert!(secrets.iter().all(|number| LENGTHS.contains(&number.len())));
    let looked_at = files(home.dir.path(), &secrets);
    assert!(looked_at > 5, "only {looked_at} files");
    if let Some((redis, database)) = &home.servers {
        let keys: Vec<String> = redis.cli(&["KEYS", "*"]).await;
        assert!(keys.len() > 2, "{keys:?}");
        for key in keys {
            let kind: String = redis.cli(&["TYPE", &key]).await;
            let read: Vec<&str> = match kind.as_str() {
                "stream" => vec!["XRANGE", &key, "-", "+"],
                "hash" => vec!["HGETALL", &key],
                "zset" => vec!["ZRANGE", &key, "0", "-1", "WITHSCORES"],
                "string" => vec!["GET", &key],
                other => panic!("{key} is a {other}"),
            };
            let value: redis::Value = redis.cli(&read).await;
            look(&format!("key {key}"), format!("{value:?}").as_bytes(), &secrets);
        }
        tables(&database.url, &secrets).await;
    }
    // The search itself finds what is there.
    let planted = format!("x={OWN} ");
    assert!(finds(planted.as_bytes(), &secrets), "the search is blind");
}

fn files(folder: &Path, secrets: &HashSet<Vec<u8>>) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            looked_at += files(&path, secrets);
        } else {
            look(&path.display().to_string(), &std::fs::read(&path).expect("a file"), secrets);
            looked_at += 1;
        }
    }
    looked_at
}

async fn tables(url: &str, secrets: &HashSet<Vec<u8>>) {
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(url).await.expect("connects");
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("reads");
    assert!(names.contains(&"credit_cards".to_owned()), "{names:?}");
    for name in names {
        let sql = format!("SELECT whole::text FROM {name} AS whole");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut connection)
            .await
            .expect("reads");
        for row in rows {
            look(&format!("table {name}"), row.as_bytes(), secrets);
        }
    }
}

fn look(place: &str, bytes: &[u8], secrets: &HashSet<Vec<u8>>) {
    assert!(!finds(bytes, secrets), "a card number is in {place}");
}

/// Whether a number is there, grouped in whatever way.
fn finds(bytes: &[u8], secrets: &HashSet<Vec<u8>>) -> bool {
    let mut run = Vec::new();
    let is_there = |run: &[u8]| {
        LENGTHS.iter().any(|length| run.windows(*length).any(|window| secrets.contains(window)))
    };
    for byte in bytes {
        match byte {
            b'0'..=b'9' => run.push(*byte),
            b'-' | b' ' => {}
            _ => {
                if is_there(&run) {
                    return true;
                }
                run.clear();
            }
        }
    }
    is_there(&run)
}

fn digits(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(u8::is_ascii_digit).collect()
}
