//! Pausing: reading for all, one job, and an upstream whose breaker is open.

use serde_json::json;

use super::{Site, on_both};
use crate::harness::wait::{PATIENCE, until};

on_both!(
    reading_stays_paused_over_restarts_until_it_is_resumed,
    a_paused_job_lets_others_pass_and_goes_on_where_it_was,
    a_breaker_that_is_reset_does_not_wait_for_its_time,
);

async fn reading_stays_paused_over_restarts_until_it_is_resumed(mut site: Site) {
    site.isobar(&["pause"]).run().await.expect_code(0);
    // What is at work learns of it within a second, what starts before it reads anything.
    site.restart().await;
    let job = site.import(30).await;
    until(PATIENCE, "its tasks are in the stream", async || {
        site.http.get("/stream").await.json()["backlog"].as_u64() >= Some(30)
    })
    .await;
    let drained = site.isobar(&["consume", "--drain"]).run().await;
    assert_eq!(drained.code, 75, "{}", drained.stderr);
    assert!(drained.stderr.contains("reading was paused by cli "), "{}", drained.stderr);
    let stream = site.http.get("/stream").await.json();
    assert!(stream["paused"]["by"].as_str().is_some_and(|by| by.starts_with("cli ")), "{stream}");
    let paused = site.job(&job).await;
    assert_eq!((&paused["status"], &paused["processed"]), (&json!("queued"), &json!(0)));
    assert!(paused["paused_reason"].as_str().is_some_and(|why| why.contains("paused by cli ")));

    assert_eq!(site.post("/stream/resume").await.status, 200);
    let done = site.job_is(&job, "done").await;
    assert_eq!(done["succeeded"], 30);
    site.is_balanced().await;
}

async fn a_paused_job_lets_others_pass_and_goes_on_where_it_was(mut site: Site) {
    let large = site.import(600).await;
    site.has_begun(&large).await;
    assert_eq!(site.post(&format!("/bulk/jobs/{large}/pause")).await.status, 200);
    // A second and whatever was in hand; then it stands still.
    until(PATIENCE, "what is left is set aside", async || {
        let depth = site.http.get("/stream").await.json();
        let held = depth["workers"].as_array().expect("workers").iter();
        held.map(|worker| worker["pending"].as_u64().unwrap_or(0)).sum::<u64>() == 0
    })
    .await;
    let stands = site.job(&large).await;
    let small = site.import(20).await;
    site.job_is(&small, "done").await;
    let still = site.job(&large).await;
    assert_eq!(still["processed"], stands["processed"], "it was worked on while it was paused");
    assert!(still["paused_reason"].as_str().is_some_and(|why| why.starts_with("job paused by")));

    site.restart().await;
    assert_eq!(site.post(&format!("/bulk/jobs/{large}/resume")).await.status, 200);
    let done = site.job_is(&large, "done").await;
    assert_eq!((&done["succeeded"], &done["failed"]), (&json!(600), &json!(0)));
    let again = site.post(&format!("/bulk/jobs/{large}/pause")).await;
    assert_eq!((again.status.as_u16(), &again.json()["code"]), (409, &json!("job_finished")));
    site.is_balanced().await;
}

async fn a_breaker_that_is_reset_does_not_wait_for_its_time(site: Site) {
    site.sim().fault(&json!({"endpoint": "/v1/forecast", "status": 503, "count": 1_000})).await;
    let job = site.import(20).await;
    site.job_that(&job, "the breaker is open", |job| {
        job["paused_reason"].as_str().is_some_and(|why| why.contains("breaker"))
    })
    .await;
    site.sim().clear_faults().await;
    // It would stay open for ten minutes.
    let reset = site.isobar(&["breaker", "reset", "--json"]).run().await.expect_code(0).json();
    assert_eq!(reset["reset"].as_array().map(Vec::len), Some(3), "{reset}");
    let done = site.job_is(&job, "done").await;
    assert_eq!(done["succeeded"], 20);
    site.is_balanced().await;
}
