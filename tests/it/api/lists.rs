//! Lists: snapshots streamed and in pages, jobs with their counters, results by row and status.

use chrono::{DateTime, TimeDelta, Utc};
use isobar_model::city::Coordinates;
use isobar_model::ids::{CityId, JobId};
use isobar_model::task::{JobKind, JobOpen, JobSeal, SealOutcome};
use isobar_store::{Commit, LedgerRow, Records, RowStatus, WeatherSnapshot};
use serde_json::{Value, json};

use super::{Api, is_problem};

pub fn snapshot(id: i64) -> WeatherSnapshot {
    let at = Utc::now();
    WeatherSnapshot {
        city_id: CityId(id),
        name: Some(format!("City {id}")),
        country_code: Some("FR".to_owned()),
        admin1_code: None,
        coordinates: Coordinates::new(1.5, 2.5).expect("on the globe"),
        population: None,
        temperature: Some(7.5),
        windspeed: Some(3.0),
        winddirection: Some(90),
        weathercode: Some(3),
        humidity: Some(70),
        time: "2026-01-16T05:00".to_owned(),
        observed_at: at,
        fresh_until: at,
        raw_payload: "{\"current\":{}}".to_owned(),
        synced_at: at,
    }
}

fn ids(array: &Value) -> Vec<i64> {
    let items = array.as_array().expect("an array");
    items.iter().map(|item| item["id"].as_i64().expect("an id")).collect()
}

#[tokio::test]
async fn all_snapshots_are_one_array_and_pages_link_to_the_next() {
    let api = Api::start().await;
    assert_eq!(api.get("/api/weather/").await.json(), json!([]));
    let commit = Commit {
        records: Records::Weather((1..=2_500).map(snapshot).collect()),
        ..Commit::default()
    };
    api.store.commit(&commit).await.expect("commit");

    let all = api.get("/api/weather/?limit=&cursor=").await;
    assert_eq!(all.headers["content-type"], "application/json");
    assert_eq!(ids(&all.json()), (1..=2_500).collect::<Vec<_>>());

    let mut found = Vec::new();
    let mut next = Some("/api/weather?limit=499".to_owned());
    while let Some(path) = next {
        let page = api.get(&path).await;
        found.extend(ids(&page.json()));
        next = page.headers.get("link").map(|link| {
            let link = link.to_str().expect("text");
            let (path, relation) = link.split_once('>').expect("a link");
            assert_eq!(relation, "; rel=\"next\"");
            path.trim_start_matches('<').to_owned()
        });
    }
    assert_eq!(found, (1..=2_500).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_snapshot_comes_with_its_payload() {
    let api = Api::start().await;
    let commit = Commit { records: Records::Weather(vec![snapshot(7)]), ..Commit::default() };
    api.store.commit(&commit).await.expect("commit");
    let one = api.get("/api/weather/7/").await.json();
    let listed = &api.get("/api/weather").await.json()[0];
    for (name, value) in listed.as_object().expect("an object") {
        assert_eq!(&one[name], value, "{name}");
    }
    assert_eq!(one["raw_payload"], json!({"current": {}}));
    assert_eq!(one["time"], "2026-01-16T05:00");
    assert_eq!(listed.as_object().expect("an object").len(), 10);
}

pub fn ledger_row(job_id: JobId, row: u64) -> LedgerRow {
    let status = match row % 3 {
        0 => RowStatus::Failed,
        _ => RowStatus::Success,
    };
    LedgerRow {
        job_id,
        task_id: job_id.task(&row.to_string()),
        try_number: 1,
        row: Some(row),
        batch: Some(1),
        entry: None,
        city_id: Some(CityId(row as i64)),
        city: Some(format!("City {row}")),
        status,
        error_code: (status == RowStatus::Failed).then(|| "bad_answer".to_owned()),
        last_error: (status == RowStatus::Failed)
            .then(|| "no answer that could be used".to_owned()),
        attempts: 1,
        input: None,
        finished_at: Utc::now(),
        rejected: false,
        last_refreshed_at: None,
    }
}

async fn job_of(api: &Api, name: &str, created_at: DateTime<Utc>, rows: u64) -> JobId {
    let job_id = JobId::derive(name, "slot");
    let commit = Commit {
        opens: vec![JobOpen {
            pipeline: isobar_model::pipeline::PipelineName::Weather,
            job_id,
            job_kind: JobKind::Import,
            source: format!("{name}.csv"),
            slot: "slot".to_owned(),
            created_at,
        }],
        ledger: (1..=rows).map(|row| ledger_row(job_id, row)).collect(),
        ..Commit::default()
    };
    api.store.commit(&commit).await.expect("commit");
    job_id
}

#[tokio::test]
async fn a_job_counts_its_rows_and_its_total_is_null_until_it_is_sealed() {
    let api = Api::start().await;
    let id = job_of(&api, "a", Utc::now(), 9).await;
    let path = format!("/bulk/jobs/{id}/");
    let job = api.get(&path).await.json();
    let counters = |job: &Value| {
        ["processed", "succeeded", "failed", "skipped"].map(|name| job[name].as_u64().expect(name))
    };
    assert_eq!(counters(&job), [9, 6, 3, 0]);
    assert_eq!((&job["total"], &job["percent"]), (&json!(null), &json!(null)));
    assert_eq!((&job["status"], &job["kind"]), (&json!("running"), &json!("import")));

    let seal = JobSeal {
        job_id: id,
        rows: 10,
        rejected: 0,
        duplicates: 0,
        outcome: SealOutcome::Complete,
        error: None,
    };
    let commit = Commit { seals: vec![seal], ..Commit::default() };
    api.store.commit(&commit).await.expect("commit");
    let job = api.get(&path).await.json();
    assert_eq!((&job["total"], &job["percent"]), (&json!(10), &json!(90.0)));

    let last = Commit { ledger: vec![ledger_row(id, 10)], ..Commit::default() };
    api.store.commit(&last).await.expect("commit");
    let job = api.get(&path).await.json();
    assert_eq!(counters(&job), [10, 7, 3, 0]);
    assert_eq!((&job["status"], &job["percent"]), (&json!("done"), &json!(100.0)));
    assert!(job["finished_at"].is_string() && job["eta_seconds"].is_null());
}

#[tokio::test]
async fn results_come_by_row_in_pages_and_by_status() {
    let api = Api::start().await;
    let id = job_of(&api, "a", Utc::now(), 30).await;
    let rows = |page: &Value| -> Vec<u64> {
        let items = page["items"].as_array().expect("items");
        items.iter().map(|item| item["row"].as_u64().expect("a row")).collect()
    };
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/bulk/jobs/{id}/results?limit=7&status=&cursor={cursor}");
        let page = api.get(&path).await.json();
        found.extend(rows(&page));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(found, (1..=30).collect::<Vec<_>>());

    let failed = api.get(&format!("/bulk/jobs/{id}/results/?status=failed")).await.json();
    assert_eq!(rows(&failed), (1..=10).map(|n| n * 3).collect::<Vec<_>>());
    assert_eq!(
        failed["items"][0],
        json!({
            "row": 3, "city": "City 3", "city_id": 3, "status": "failed", "last_refreshed_at": null,
            "last_error": "no answer that could be used", "error_code": "bad_answer", "attempts": 1,
        })
    );
    let wrong = api.get(&format!("/bulk/jobs/{id}/results?status=lost")).await;
    super::is_problem(&wrong, 400, "invalid_parameter");
}

#[tokio::test]
async fn jobs_are_listed_newest_first_in_pages() {
    let api = Api::start().await;
    let mut expected = Vec::new();
    for n in 0..5 {
        let at = Utc::now() - TimeDelta::minutes(n);
        expected.push(job_of(&api, &n.to_string(), at, 1).await.to_string());
    }
    let first = api.get("/bulk/jobs?limit=3").await.json();
    let next = first["next_cursor"].as_str().expect("two more");
    let second = api.get(&format!("/bulk/jobs/?limit=3&cursor={next}")).await.json();
    let found: Vec<String> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().expect("items"))
        .map(|job| job["job_id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(found, expected);
    assert!(second["next_cursor"].is_null());
}

#[tokio::test]
async fn the_stream_says_what_is_waiting() {
    let api = Api::start().await;
    let topic = isobar_broker::Topic::new(&api.settings.stream, &api.settings.group);
    api.broker.heal(&topic).await.expect("heal");
    let stream = api.get("/stream").await.json();
    assert_eq!(stream["stream"], "owm-ingestion-stream");
    assert_eq!(
        (&stream["backlog"], &stream["dead"], &stream["breaker"]),
        (&json!(0), &json!(0), &json!("closed"))
    );
}

#[tokio::test]
async fn unknown_parameters_are_refused_by_name() {
    let api = Api::start().await;
    for (path, name) in [
        ("/bulk/jobs?limt=5", "limt"),
        ("/bulk/jobs/?limit=5&statuss=failed", "statuss"),
        ("/history?Limit=5", "Limit"),
        ("/cities/?per_page=5", "per_page"),
        ("/weather?city=Paris&contry=FR", "contry"),
        ("/api/weather/?offset=3", "offset"),
        ("/users?has_adress=true", "has_adress"),
        ("/stats?x=1", "x"),
        ("/livez?x=1", "x"),
    ] {
        let reply = api.get(path).await;
        is_problem(&reply, 400, "invalid_parameter");
        let problem = reply.json();
        assert_eq!(problem["errors"][0]["pointer"], format!("/{name}"), "{problem}");
        assert!(
            problem["detail"].as_str().expect("text").contains("unknown parameter"),
            "{problem}"
        );
    }
    // What proxies and scripts add, empty fields of forms, and what only a page's script reads.
    for path in ["/bulk/jobs?_=17", "/bulk/jobs?_t=1&limit=5", "/bulk/jobs?cursor=&x=", "/?utm=x"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
    let limits = "limit=4&skip=0&offset=0";
    assert_eq!(api.get(&format!("/users?{limits}")).await.status, 200);
}
