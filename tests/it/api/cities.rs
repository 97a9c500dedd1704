//! Cities: paged as a city service pages them, each with its story, and all of them as a map.

use isobar_model::ids::{CityId, JobId};
use isobar_model::task::{JobKind, JobOpen};
use isobar_store::{Commit, LedgerRow, Records, RowStatus};
use reqwest::Method;
use serde_json::{Value, json};

use super::lists::{ledger_row, snapshot};
use super::{Api, is_problem};
use crate::harness::http::send;
use crate::harness::isobar::Isobar;

/// Snapshots of so many cities, as a worker commits them.
async fn store(api: &Api, cities: i64) {
    let records = Records::Weather((1..=cities).map(snapshot).collect());
    let commit = Commit { records, ..Commit::default() };
    api.store.commit(&commit).await.expect("commits");
}

#[tokio::test]
async fn one_installation_is_the_city_source_of_another() {
    let api = Api::start().await;
    store(&api, 250).await;
    let page = api.get("/cities/?page=2&limit=100").await.json();
    assert_eq!(page["cities"].as_array().expect("cities").len(), 50);
    assert_eq!((&page["page"], &page["total_count"]), (&json!(2), &json!(250)));
    assert_eq!(page["cities"][0]["last_status"], "success");
    assert_eq!(api.get("/cities").await.json()["limit"], 100);
    assert_eq!(api.get("/cities/?page=3").await.json()["cities"], json!([]));
    for path in
        ["/cities/?page=-1", "/cities/?page=x", "/cities/?page=4294967295", "/cities/?limit=501"]
    {
        is_problem(&api.get(path).await, 400, "invalid_parameter");
    }

    let dir = tempfile::tempdir().expect("temporary folder");
    let produced = Isobar::new(dir.path())
        .env("ISOBAR_CITY_SOURCE_URL", &api.base)
        .args(["produce", "--source", "api", "--json"])
        .run()
        .await
        .expect_code(0)
        .json();
    assert_eq!((&produced["rows"], &produced["tasks"]), (&json!(250), &json!(250)));
}

#[tokio::test]
async fn a_city_tells_what_became_of_it_in_each_job_and_what_was_given_up() {
    let api = Api::start().await;
    store(&api, 7).await;
    let job = JobId::derive("test", "slot");
    let open = JobOpen {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        job_id: job,
        job_kind: JobKind::Import,
        source: "cities.csv".to_owned(),
        slot: "slot".to_owned(),
        created_at: chrono::Utc::now(),
    };
    let row = LedgerRow {
        task_id: job.task("7"),
        status: RowStatus::Failed,
        error_code: Some("upstream_error".to_owned()),
        batch: Some(3),
        entry: Some("17-4".to_owned()),
        ..ledger_row(job, 7)
    };
    let others = ledger_row(job, 8);
    let mut dead = super::operations::dead(1, "upstream_error", Some(job), b"{}");
    dead.city_id = Some(CityId(7));
    let commit = Commit {
        opens: vec![open],
        ledger: vec![row, others],
        dead: vec![dead],
        ..Commit::default()
    };
    api.store.commit(&commit).await.expect("commits");

    let story = api.get("/cities/7").await.json();
    assert_eq!((&story["name"], &story["weather"]["temperature"]), (&json!("City 7"), &json!(7.5)));
    let timeline = story["timeline"].as_array().expect("a timeline");
    let statuses: Vec<&Value> = timeline.iter().map(|event| &event["status"]).collect();
    assert_eq!(statuses.len(), 2, "{story}");
    assert!(statuses.contains(&&json!("dead")) && statuses.contains(&&json!("failed")));
    let failed = timeline.iter().find(|event| event["status"] == "failed").expect("there");
    for (name, value) in [
        ("source", json!("cities.csv")),
        ("row", json!(7)),
        ("batch", json!(3)),
        ("entry", json!("17-4")),
        ("try", json!(1)),
        ("error_code", json!("upstream_error")),
    ] {
        assert_eq!(failed[name], value, "{name}");
    }
    assert_eq!(api.get("/cities/1").await.json()["timeline"], json!([]));
    is_problem(&api.get("/cities/4711").await, 404, "not_found");
    is_problem(&api.get("/cities/x").await, 404, "not_found");
}

#[tokio::test]
async fn the_map_has_every_city_and_is_sent_once() {
    let api = Api::start().await;
    assert_eq!(api.get("/map").await.json()["ids"], json!([]));
    let api = Api::start().await;
    store(&api, 3).await;
    let map = api.get("/map").await;
    let points = map.json();
    assert_eq!(points["ids"], json!([1, 2, 3]));
    assert_eq!((&points["latitude"][0], &points["temperature"][0]), (&json!(150), &json!(75)));
    let tag = map.headers["etag"].to_str().expect("text");
    let again = api.http.request(Method::GET, "/map").header("if-none-match", tag);
    assert_eq!(send(again).await.expect("an answer").status, 304);

    // The client unpacks it, and takes the header away with the packing.
    assert!(!map.headers.contains_key("content-length"), "it was sent packed");
}
