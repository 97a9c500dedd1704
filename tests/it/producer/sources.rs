//! The sources: pages of a city service, files of every make, the built-in list.

use serde_json::json;

use super::*;
use crate::harness::sim::Sim;

#[tokio::test]
async fn all_pages_of_a_city_service_become_tasks_once() {
    let field = Field::new().await;
    let sim = Sim::start(["--cities", "1050"]).await;
    let run = || {
        field
            .isobar()
            .env("ISOBAR_CITY_SOURCE_URL", sim.url())
            .args(["produce", "--json", "--slot", "a"])
    };
    let report = run().run().await.expect_code(0).json();
    assert_eq!(
        numbers(&report, ["rows", "tasks", "duplicates", "published", "batches"]),
        [1_050, 1_050, 0, 1_050, 3]
    );
    let cities = field.multiset().await;
    assert_eq!(cities.len(), 1_050);
    assert!(cities.values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_source_that_fails_half_way_keeps_what_is_extracted_and_goes_on_there() {
    let field = Field::new().await;
    let sim = Sim::start(["--cities", "1050"]).await;
    let run = || {
        field
            .isobar()
            .env("ISOBAR_CITY_SOURCE_URL", sim.url())
            .env("ISOBAR_SOURCE_ATTEMPTS", "1")
            .args(["produce", "--json", "--slot", "a"])
    };
    sim.fault(&json!({"endpoint": "/cities/", "status": 404, "every": 8})).await;
    let failed = run().run().await.expect_code(75);
    says(&failed, &["the city source", "404", "500 rows are extracted and safe"]);
    assert_eq!(numbers(&failed.json(), ["rows", "published", "unsent"]), [500, 500, 0]);
    sim.clear_faults().await;
    let report = run().run().await.expect_code(0).json();
    assert_eq!(numbers(&report, ["rows", "tasks", "published", "unsent"]), [1_050, 1_050, 550, 0]);
    let cities = field.multiset().await;
    assert_eq!((cities.len(), cities.values().max()), (1_050, Some(&1)));
}

#[tokio::test]
async fn a_page_is_asked_for_again_before_the_run_gives_up() {
    let field = Field::new().await;
    let sim = Sim::start(["--cities", "250"]).await;
    sim.fault(&json!({"endpoint": "/cities/", "status": 503, "count": 2})).await;
    sim.fault(&json!({"endpoint": "/cities/", "kind": "truncate", "count": 1})).await;
    let report = field
        .isobar()
        .env("ISOBAR_CITY_SOURCE_URL", sim.url())
        .args(["produce", "--json"])
        .run()
        .await
        .expect_code(0)
        .json();
    assert_eq!(numbers(&report, ["tasks"]), [250]);
}

#[tokio::test]
async fn a_source_that_failed_too_often_is_left_alone_by_the_next_run_too() {
    let field = Field::new().await;
    let run = || {
        field
            .isobar()
            .env("ISOBAR_CITY_SOURCE_URL", "http://127.0.0.1:1")
            .env("ISOBAR_SOURCE_ATTEMPTS", "2")
            .env("ISOBAR_SOURCE_BREAKER", "3/600s/600s")
            .args(["produce"])
    };
    says(&run().run().await.expect_code(75), &["page 0 failed 2 times"]);
    says(&run().run().await.expect_code(75), &["failed repeatedly", "next attempt at", "UTC"]);
    says(&run().run().await.expect_code(75), &["failed repeatedly", "next attempt at", "UTC"]);
}

#[tokio::test]
async fn the_file_of_all_cities_becomes_34_006_tasks() {
    let field = Field::new().await;
    std::fs::copy("data/cities.csv", field.dir.path().join("cities.csv")).expect("copies");
    let report = field.produce("a").run().await.expect_code(0).json();
    assert_eq!(
        numbers(&report, ["rows", "tasks", "published", "batches"]),
        [34_006, 34_006, 34_006, 69]
    );
    let cities = field.multiset().await;
    assert_eq!((cities.len(), cities.values().max()), (34_006, Some(&1)));
}

#[tokio::test]
async fn standard_input_and_the_built_in_list_are_sources_too() {
    let field = Field::new().await;
    let piped = field
        .isobar()
        .args(["produce", "--json", "--csv", "-"])
        .input("Paris\nBerlin\nParis\n")
        .run()
        .await
        .expect_code(0)
        .json();
    assert_eq!(numbers(&piped, ["rows", "tasks", "duplicates"]), [3, 2, 1]);
    assert_eq!(piped["source"], "standard input");
    assert_eq!(std::fs::read_dir(field.dir.path().join("spool")).expect("a folder").count(), 0);
    let listed = field.isobar().args(["produce", "--json"]).run().await.expect_code(0).json();
    assert_eq!(numbers(&listed, ["tasks", "published"]), [1_000, 1_000]);
    assert_eq!(listed["source"], "gazetteer");
}

#[tokio::test]
async fn a_file_without_a_usable_row_fails_and_its_job_is_sealed_as_failed() {
    let field = Field::new().await;
    for (text, says_what) in [
        ("", "is empty"),
        ("city,country\n", "no rows"),
        ("city,country\n ,FR\n", "no usable row"),
        ("foo,bar\n1,2\n", "the first line has: foo, bar"),
    ] {
        field.file(text);
        let failed = field.produce(&format!("slot {says_what}")).run().await.expect_code(1);
        says(&failed, &[says_what]);
    }
    let seals: Vec<Value> = field
        .entries(CONTROL)
        .await
        .iter()
        .filter(|(_, fields)| value(fields, "kind") == "seal")
        .map(|(_, fields)| serde_json::from_str(value(fields, "body")).expect("JSON"))
        .collect();
    assert_eq!(seals.len(), 4);
    assert!(seals.iter().all(|seal| seal["outcome"] == "failed"), "{seals:?}");
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let field = Field::new().await;
    let before = std::fs::read_dir(field.dir.path()).expect("a folder").count();
    std::fs::write(field.dir.path().join("cities.csv"), "city\nParis\nParis\n \n\nBerlin\n")
        .expect("writes");
    let plan = field.produce("a").args(["--dry-run"]).run().await.expect_code(0).json();
    assert_eq!(
        numbers(&plan, ["rows", "tasks", "rejected", "duplicates", "batches", "quota_cost"]),
        [3, 2, 0, 1, 1, 2]
    );
    let names: Vec<_> = std::fs::read_dir(field.dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("it-"))
        .collect();
    assert_eq!((before, names), (0, vec!["cities.csv".to_owned()]));
    assert_eq!(field.redis.cli::<u64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn a_city_source_that_lists_nothing_fails_the_run() {
    let field = Field::new().await;
    let sim = Sim::start(["--cities", "250"]).await;
    let run = |slot: &str| {
        field
            .isobar()
            .env("ISOBAR_CITY_SOURCE_URL", sim.url())
            .env("ISOBAR_SOURCE_ATTEMPTS", "1")
            .args(["produce", "--json", "--slot", slot])
    };
    for body in [r#"{"cities":[],"page":0,"limit":100,"total_count":250}"#, "[]"] {
        let empty = json!({"endpoint": "/cities/", "status": 200, "count": 1, "body": body});
        sim.fault(&empty).await;
        for _ in ["first", "repeated"] {
            let failed = run(body).run().await.expect_code(1);
            says(&failed, &["lists no cities", "ISOBAR_PAGE_FIRST"]);
            assert_eq!(numbers(&failed.json(), ["rows", "tasks"]), [0, 0]);
        }
    }
    // Such a service may also refuse the page 0.
    sim.fault(&json!({"endpoint": "/cities/", "status": 404, "count": 1})).await;
    says(&run("404").run().await.expect_code(75), &["404", "ISOBAR_PAGE_FIRST"]);
    assert_eq!(numbers(&run("404").run().await.expect_code(0).json(), ["rows"]), [250]);
}

#[tokio::test]
async fn an_open_source_breaker_is_reported_and_can_be_reset() {
    let field = Field::new().await;
    let sim = Sim::start(["--cities", "250"]).await;
    let isobar = |args: &[&str]| {
        field
            .isobar()
            .env("ISOBAR_CITY_SOURCE_URL", sim.url())
            .env("ISOBAR_OPEN_METEO_URL", sim.url())
            .env("ISOBAR_GEOCODING_URL", sim.url())
            .env("ISOBAR_SOURCE_ATTEMPTS", "1")
            .env("ISOBAR_SOURCE_BREAKER", "2/600s/600s")
            .args(args.iter().copied())
    };
    sim.fault(&json!({"endpoint": "/cities/", "status": 503, "count": 2})).await;
    isobar(&["produce"]).run().await.expect_code(75);
    isobar(&["produce"]).run().await.expect_code(75);
    says(&isobar(&["produce"]).run().await.expect_code(75), &["failed repeatedly"]);
    let status = isobar(&["outbox", "status"]).run().await.expect_code(0);
    assert!(status.stdout.contains("the source 127.0.0.1 failed repeatedly"), "{status:?}");
    let status = isobar(&["outbox", "status", "--json"]).run().await.expect_code(0).json();
    assert_eq!(status["open_sources"][0]["host"], "127.0.0.1", "{status}");
    let doctor = isobar(&["doctor"]).run().await;
    let words = "WARNING source breaker: the source 127.0.0.1 failed repeatedly; next attempt at ";
    assert!(doctor.stdout.contains(words) && doctor.stdout.contains("breaker reset"), "{doctor:?}");

    let reset = isobar(&["breaker", "reset", "--json"]).run().await.expect_code(0).json();
    assert_eq!(reset["sources"], json!(["127.0.0.1"]), "{reset}");
    let doctor = isobar(&["doctor"]).run().await;
    assert!(!doctor.stdout.contains("source breaker"), "{doctor:?}");
    let report = isobar(&["produce", "--json"]).run().await.expect_code(0).json();
    assert_eq!(numbers(&report, ["rows"]), [250]);
}

#[tokio::test]
async fn each_outbox_is_shown_under_its_own_name() {
    let field = Field::new().await;
    let sim = Sim::start(["--cities", "250"]).await;
    let run = |args: &[&str]| {
        let run = field.isobar().env("ISOBAR_CITY_SOURCE_URL", sim.url());
        run.env("ISOBAR_USERS_URL", format!("{}/jsonplaceholder/users", sim.url()))
            .args(args.iter().copied())
    };
    run(&["produce"]).run().await.expect_code(0);
    run(&["produce", "--pipeline", "users"]).run().await.expect_code(0);
    let status = run(&["outbox", "status", "--json"]).run().await.expect_code(0).json();
    let each = status["outboxes"].as_array().expect("outboxes");
    let name = |at: usize| each[at]["outbox"].as_str().expect("a path").to_owned();
    assert!(name(0).ends_with("outbox.db") && name(1).ends_with("outbox-users.db"), "{status}");
    assert_eq!(
        (each[0]["jobs"][0]["tasks"].as_u64(), each[1]["jobs"][0]["tasks"].as_u64()),
        (Some(250), Some(10))
    );
    let shown = run(&["outbox", "status"]).run().await.expect_code(0).stdout;
    assert!(shown.find("outbox.db:") < shown.find("outbox-users.db:"), "{shown}");
}
