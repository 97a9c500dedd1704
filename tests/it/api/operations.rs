//! What operators see and do: dead letters, totals, the record of operations, pauses.

use chrono::Utc;
use isobar_model::ids::{CityId, JobId};
use isobar_model::task::JobKind;
use isobar_store::{Commit, DeadLetter, NewJob};
use serde_json::{Value, json};

use super::{Api, is_problem};

pub fn dead(number: u32, code: &str, job_id: Option<JobId>, payload: &[u8]) -> DeadLetter {
    DeadLetter {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        id: 0,
        task_id: None,
        job_id,
        city_id: Some(CityId(7)),
        code: code.to_owned(),
        reason: "it did not work".to_owned(),
        payload: payload.to_vec(),
        deliveries: 1,
        attempts: 8,
        first_seen: Utc::now(),
        last_seen: Utc::now(),
        source: format!("test/tasks/{number}-0"),
    }
}

fn codes(page: &Value) -> Vec<&str> {
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["code"].as_str().expect("a code"))
        .collect()
}

async fn actions(api: &Api) -> Vec<String> {
    let page = api.get("/operations").await.json();
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| {
            assert_eq!(item["actor"], "api 127.0.0.1");
            item["action"].as_str().expect("an action").to_owned()
        })
        .collect()
}

#[tokio::test]
async fn dead_letters_are_listed_counted_and_shown_byte_for_byte() {
    let api = Api::start().await;
    let job = JobId::derive("test", "slot");
    let letters = vec![
        dead(1, "upstream_error", Some(job), b"{\"task_id\":\"1\"}"),
        dead(2, "undecodable", None, b"task_id=\xff\n"),
        dead(3, "upstream_error", None, b"{}"),
    ];
    api.store.commit(&Commit { dead: letters, ..Commit::default() }).await.expect("commits");

    let all = api.get("/dead-letters").await.json();
    assert_eq!(codes(&all), ["upstream_error", "undecodable", "upstream_error"]);
    let bytes = &all["items"][1];
    assert_eq!(
        (&bytes["payload"], &bytes["payload_base64"]),
        (&Value::Null, &json!("dGFza19pZD3/Cg=="))
    );
    let first = api.get("/dead-letters/?limit=2&code=upstream_error").await.json();
    assert_eq!(first["next_cursor"], Value::Null);
    let of_job = api.get(&format!("/dead-letters?job_id={job}")).await.json();
    assert_eq!(of_job["items"][0]["payload"], "{\"task_id\":\"1\"}");
    let page = api.get("/dead-letters?limit=2").await.json();
    let cursor = page["next_cursor"].as_str().expect("more");
    let rest = api.get(&format!("/dead-letters?limit=2&cursor={cursor}")).await.json();
    assert_eq!((codes(&rest).len(), &rest["next_cursor"]), (1, &Value::Null));

    let one = api.get(&format!("/dead-letters/{}", bytes["id"])).await.json();
    assert_eq!(&one, bytes);
    is_problem(&api.get("/dead-letters/4711").await, 404, "not_found");
    is_problem(&api.get("/dead-letters?job_id=x").await, 400, "invalid_parameter");
    is_problem(&api.get("/dead-letters?cursor=00").await, 400, "invalid_parameter");

    let groups = api.get("/dead-letters/groups").await.json();
    assert_eq!(codes(&groups), ["upstream_error", "undecodable"]);
    assert_eq!(
        (&groups["items"][0]["count"], api.get("/stream").await.json()["dead"].clone()),
        (&json!(2), json!(3))
    );
}

#[tokio::test]
async fn totals_and_summary_tell_what_is_there() {
    let api = Api::start().await;
    assert_eq!(api.get("/weather?city=Paris").await.status, 200);
    api.http.delete("/history").await;
    let stats = api.get("/stats").await.json();
    assert_eq!(
        (&stats["totals"]["weather"], &stats["totals"]["operations"]),
        (&json!(1), &json!(1))
    );
    let weather = &stats["pipelines"]["weather"];
    assert_eq!((&weather["backlog"], &weather["jobs"]["running"]), (&json!(0), &json!(0)));
    let summary = api.get("/bulk/summary?top=3").await.json();
    assert_eq!(summary["recently_refreshed"][0]["name"], "Paris");
    assert_eq!((&summary["failures"], &summary["totals"]["cities"]), (&json!([]), &json!(1)));
    for top in ["0", "101", "x"] {
        is_problem(&api.get(&format!("/bulk/summary?top={top}")).await, 400, "invalid_parameter");
    }
}

#[tokio::test]
async fn what_operators_switch_is_seen_at_once_and_recorded() {
    let api = Api::start().await;
    let post = async |path: &str| api.http.post(path, &json!({})).await;
    let paused = post("/stream/pause").await.json();
    assert_eq!((&paused["paused"], &paused["by"]), (&json!(true), &json!("api 127.0.0.1")));
    assert_eq!(api.get("/stream").await.json()["paused"]["at"], paused["at"]);

    let id = JobId::derive("test", "slot");
    let new = NewJob {
        id,
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        kind: JobKind::Import,
        source: "a.csv".into(),
        created_at: Utc::now(),
    };
    api.store.create_job(&new).await.expect("creates");
    let job = format!("/bulk/jobs/{id}");
    let reason = async || api.get(&job).await.json()["paused_reason"].as_str().map(str::to_owned);
    assert!(reason().await.expect("a reason").starts_with("workers paused by api 127.0.0.1"));
    assert_eq!(post(&format!("{job}/pause")).await.json()["paused"], true);
    assert!(reason().await.expect("a reason").starts_with("job paused by api 127.0.0.1"));
    assert_eq!(
        post("/stream/resume/").await.json(),
        json!({"paused": false, "by": null, "at": null})
    );
    assert_eq!(post(&format!("{job}/resume")).await.json()["paused"], false);
    assert_eq!(reason().await, None);
    assert_eq!(post("/stream/breaker/reset").await.status, 200);

    let cancelled = post(&format!("{job}/cancel")).await;
    assert_eq!(
        (cancelled.status.as_u16(), &cancelled.headers["location"].to_str().expect("text")),
        (202, &job.as_str())
    );
    assert_eq!(api.get(&job).await.json()["status"], "cancelling");
    assert_eq!(
        actions(&api).await,
        [
            "job.cancel",
            "breaker.reset",
            "breaker.reset",
            "breaker.reset",
            "job.resume",
            "stream.resume",
            "job.pause",
            "stream.pause"
        ]
    );
    for path in ["pause", "resume", "cancel"] {
        let nobody = JobId::derive("nobody", "slot");
        is_problem(&post(&format!("/bulk/jobs/{nobody}/{path}")).await, 404, "not_found");
    }
}
