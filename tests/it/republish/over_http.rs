//! The API takes the wish, and the relay of imports does the work.

use isobar_model::ids::JobId;
use serde_json::{Value, json};

use super::{CITIES, Place, csv, on_both};
use crate::harness::http::{Http, send};
use crate::harness::wait::{PATIENCE, until};

on_both!(
    an_import_that_failed_is_retried_to_success,
    what_is_asked_amiss_is_refused_and_changes_nothing,
);

async fn import(http: &Http) -> JobId {
    let csv = csv(CITIES);
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{csv}\r\n--b--\r\n"
    );
    let request = http
        .request(reqwest::Method::POST, "/bulk/import")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body);
    let taken = send(request).await.expect("an answer").json();
    taken["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

async fn an_import_that_failed_is_retried_to_success(place: Place) {
    let (mut server, http) = place.serve().await;
    let job = import(&http).await;
    until(PATIENCE, "all is in the stream", async || place.unfinished().await >= CITIES).await;
    until(PATIENCE, "its seal too", async || {
        place.fail_if_any().await;
        place.store.job(job).await.expect("reads").is_some_and(|job| job.total.is_some())
    })
    .await;
    assert_eq!(place.counts(job).await, [CITIES + 2, 0, CITIES + 1, 1]);

    let path = format!("/bulk/jobs/{job}/retry");
    let nothing = json!({});
    let (one, two) = tokio::join!(http.post(&path, &nothing), http.post(&path, &nothing));
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (202, 202), "{} {}", one.body, two.body);
    assert_eq!(one.headers["location"], format!("/bulk/jobs/{job}"));
    let (one, two) = (one.json(), two.json());
    assert_eq!(one["retry_id"], two["retry_id"]);
    assert_eq!((&one["job_id"], &one["tasks"]), (&json!(job), &json!(CITIES)));
    // The command leaves the work to the server, which holds the outbox.
    let third = place.retry(job).await;
    assert_eq!(third["retry_id"], one["retry_id"]);
    assert!(third["left_to"].as_str().is_some_and(|who| who.contains("serve")), "{third}");
    until(PATIENCE, "they are in the stream", async || place.unfinished().await == CITIES).await;
    place.drain().await.expect_code(0);
    place.all_is_well(job).await;
    server.terminate();
    assert_eq!(server.wait(PATIENCE).await, 0, "{}", server.stderr_so_far());
    place.verify().await;
    let done = place.store.operations(None, 10).await.expect("reads");
    let by = |start: &str| done.iter().filter(|row| row.actor.starts_with(start)).count();
    assert_eq!((by("api 127.0.0.1"), by("cli ")), (2, 1));
}

async fn what_is_asked_amiss_is_refused_and_changes_nothing(place: Place) {
    let letter = br#"{"task_id":"6fa1c1f0-52c4-4c39-9a55-000000000007","latitude_deg":"48.85","longitude_deg":"2.35","city_id":"7007"}"#;
    place.bury(&[letter, b"\xff"]).await;
    let (_server, http) = place.serve().await;
    let refused = async |method: reqwest::Method, path: &str, body: Option<Value>| {
        let mut request = http.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = send(request).await.expect("an answer");
        let code = reply.json()["code"].as_str().unwrap_or_default().to_owned();
        (reply.status.as_u16(), code)
    };
    let (post, delete) = (reqwest::Method::POST, reqwest::Method::DELETE);
    for (method, path) in [(&post, "/dead-letters/replay"), (&delete, "/dead-letters")] {
        for body in [json!({"codes": "x"}), json!({"code": null}), json!({"id": "1"}), json!([])] {
            let answer = refused(method.clone(), path, Some(body.clone())).await;
            assert_eq!(answer, (422, "unprocessable".into()), "{method} {path} {body}");
        }
        for query in ["code=", "code_=x", "id=x", "job_id=1", "dry_run=maybe"] {
            let answer = refused(method.clone(), &format!("{path}?{query}"), None).await;
            assert_eq!(answer, (400, "invalid_parameter".into()), "{method} {path}?{query}");
        }
        let text = http.request(method.clone(), path).header("content-type", "text/plain");
        let reply = send(text.body("code=x")).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), 415);
    }
    let nobody = "/bulk/jobs/00000000-0000-0000-0000-000000000000/retry";
    assert_eq!(refused(post, nobody, None).await, (404, "not_found".into()));
    assert_eq!(place.all_letters().await, 2);
    assert_eq!(place.store.operations(None, 10).await.expect("reads"), []);

    let dry =
        http.post("/dead-letters/replay?dry_run=true", &json!({"code": "upstream_error"})).await;
    assert_eq!(
        (dry.status.as_u16(), dry.json()),
        (200, json!({"dry_run": true, "matched": 2, "replayable": 1}))
    );
    let dry = http.delete("/dead-letters?dry_run=true").await;
    assert_eq!((dry.status.as_u16(), dry.json()), (200, json!({"dry_run": true, "discarded": 2})));
    assert_eq!(place.all_letters().await, 2);
    let replay = http.post("/dead-letters/replay", &json!({})).await;
    assert_eq!(replay.status.as_u16(), 202);
    assert_eq!((&replay.json()["matched"], &replay.json()["replayable"]), (&json!(2), &json!(1)));
    until(PATIENCE, "the letter is gone", async || place.all_letters().await == 1).await;
    let gone = http.delete("/dead-letters").await;
    assert_eq!(
        (gone.status.as_u16(), gone.json()),
        (200, json!({"dry_run": false, "discarded": 1}))
    );
    assert_eq!(place.all_letters().await, 0);
    let done = place.store.operations(None, 10).await.expect("reads");
    let done: Vec<_> =
        done.iter().map(|row| (row.action.as_str(), row.detail.as_deref())).collect();
    assert_eq!(done, [("dead.discard", Some("all")), ("dead.replay", Some("all"))]);
}
