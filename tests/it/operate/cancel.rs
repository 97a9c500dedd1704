//! Cancelling: at every stage of a job, killed on the way, and of jobs that nobody would finish.

use serde_json::json;

use super::{Site, csv, on_both};
use crate::harness::wait::{PATIENCE, until};

on_both!(
    a_cancelled_import_ends_with_a_line_for_each_row,
    a_large_import_is_cancelled_while_it_is_extracted,
    an_import_is_cancelled_before_it_began,
    a_cancel_that_was_killed_on_the_way_is_asked_for_again,
    a_killed_run_whose_file_has_changed_is_dropped,
    a_paused_job_ends_when_it_is_cancelled,
);

async fn a_cancelled_import_ends_with_a_line_for_each_row(site: Site) {
    let id = site.import(900).await;
    site.has_begun(&id).await;
    assert_eq!(site.post(&format!("/bulk/jobs/{id}/cancel")).await.status, 202);
    let ended = site.job_is(&id, "cancelled").await;
    let [total, processed, succeeded, skipped] =
        ["total", "processed", "succeeded", "skipped"].map(|name| ended[name].as_u64());
    assert_eq!((total, processed), (Some(900), Some(900)), "{ended}");
    assert!(succeeded > Some(0) && skipped > Some(0), "{ended}");
    let rows = site.http.get(&format!("/bulk/jobs/{id}/results?status=skipped&limit=1")).await;
    assert_eq!(rows.json()["items"][0]["error_code"], "cancelled");
    let again = site.post(&format!("/bulk/jobs/{id}/cancel")).await;
    assert_eq!((again.status.as_u16(), &again.json()["code"]), (409, &json!("job_finished")));
    site.is_balanced().await;
}

async fn a_large_import_is_cancelled_while_it_is_extracted(site: Site) {
    let id = site.import(150_000).await;
    assert_eq!(site.post(&format!("/bulk/jobs/{id}/cancel")).await.status, 202);
    let ended = site.job_is(&id, "cancelled").await;
    assert!(ended["total"].as_u64() < Some(150_000), "it was extracted to its end: {ended}");
    assert_eq!(ended["processed"], ended["total"]);
    site.is_balanced().await;
}

async fn an_import_is_cancelled_before_it_began(mut site: Site) {
    assert_eq!(site.post("/stream/pause").await.status, 200);
    // What is at work learns of it within a second, what starts before it reads anything.
    site.restart().await;
    let id = site.import(40).await;
    site.isobar(&["jobs", "cancel", &id]).run().await.expect_code(0);
    assert_eq!(site.job(&id).await["status"], "cancelling");
    assert_eq!(site.post("/stream/resume").await.status, 200);
    let ended = site.job_is(&id, "cancelled").await;
    assert_eq!((&ended["succeeded"], &ended["skipped"]), (&json!(0), &ended["total"]));
    site.is_balanced().await;
}

async fn a_cancel_that_was_killed_on_the_way_is_asked_for_again(site: Site) {
    // Of different sizes, for other cities each: what was stored a moment ago would be skipped.
    let points = ["cancel.request.before", "cancel.request.after", "cancel.switch.after"];
    for (point, cities) in points.into_iter().zip(300..) {
        let id = site.import(cities).await;
        site.has_begun(&id).await;
        let cancel = site.isobar(&["jobs", "cancel", &id]);
        let killed = cancel.clone().env("ISOBAR_CRASH_AT", point).run().await;
        assert_eq!(killed.code, 134, "{point}: {}", killed.stderr);
        let again = cancel.run().await;
        assert!(again.code == 0 || again.stderr.contains("has ended already"), "{}", again.stderr);
        site.job_is(&id, "cancelled").await;
    }
    site.is_balanced().await;
}

async fn a_killed_run_whose_file_has_changed_is_dropped(site: Site) {
    let file = site.folder().join("cities.csv");
    let write = |cities| std::fs::write(&file, csv(cities)).expect("write a file");
    let path = file.to_string_lossy();
    let produce = site.isobar(&["produce", "--csv", &path]);
    write(1_700);
    let killed = produce.clone().env("ISOBAR_CRASH_AT", "producer.extract.after:2").run().await;
    assert_eq!(killed.code, 134, "{}", killed.stderr);
    write(30);
    let refused = produce.run().await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let outbox = site.isobar(&["outbox", "status", "--json"]).run().await.expect_code(0).json();
    let id = outbox["jobs"][0]["job_id"].as_str().expect("an id").to_owned();
    let dropped = site.isobar(&["jobs", "cancel", &id, "--json"]).run().await.expect_code(0);
    assert_eq!(dropped.json()["sealed"], true);

    produce.run().await.expect_code(0);
    until(PATIENCE, "nothing is left in the stream", async || {
        site.http.get("/stream").await.json()["backlog"] == 0
    })
    .await;
    let ended = site.job(&id).await;
    assert_eq!((&ended["status"], &ended["total"]), (&json!("cancelled"), &json!(1_000)));
    site.is_balanced().await;
    let nobody = "6fa1c1f0-52c4-4c39-9a55-000000000001";
    let unknown = site.isobar(&["jobs", "cancel", nobody]).run().await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("does not exist"), "{}", unknown.stderr);
}

/// Its batches are still in the outbox, and the pause holds them back.
async fn a_paused_job_ends_when_it_is_cancelled(site: Site) {
    let id = site.import(150_000).await;
    assert_eq!(site.post(&format!("/bulk/jobs/{id}/pause")).await.status, 200);
    site.job_that(&id, "the job is paused", |job| {
        job["paused_reason"].as_str().is_some_and(|why| why.starts_with("job paused by"))
    })
    .await;
    assert_eq!(site.post(&format!("/bulk/jobs/{id}/cancel")).await.status, 202);
    let refused = site.post(&format!("/bulk/jobs/{id}/pause")).await;
    if site.job(&id).await["status"] == "cancelling" {
        assert_eq!(refused.json()["code"], "job_cancelled", "{}", refused.body);
    }
    assert_eq!(refused.status, 409, "{}", refused.body);
    let pause = site.isobar(&["jobs", "pause", &id]).run().await.expect_code(1);
    assert!(pause.stderr.contains("cancel"), "{}", pause.stderr);
    let ended = site.job_is(&id, "cancelled").await;
    assert_eq!(ended["processed"], ended["total"], "{ended}");
    site.is_balanced().await;
}
