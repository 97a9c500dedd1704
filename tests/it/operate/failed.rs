//! Failed imports: the reason is shown wherever the job is.

use isobar_model::human::plural;
use isobar_producer::outbox::OutboxLock;
use serde_json::{Value, json};

use super::{Site, csv, on_both};
use crate::harness::wait::{PATIENCE, until};

on_both!(a_failed_import_says_why_everywhere, a_truncated_upload_fails_with_its_reason);

async fn a_failed_import_says_why_everywhere(site: Site) {
    // What the first lines show is refused before there is a job; this shows at the end of the file.
    let rows = "city,latitude,longitude\nParis,200,2.3\nLondon,-200,0\n";
    let id = site.import_text("towns.csv", rows).await;
    let job = site.job_is(&id, "failed").await;
    assert_eq!(job["error"]["code"], "no_usable_row", "{job}");
    let detail = job["error"]["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("towns.csv"), "{detail}");
    assert!(!detail.contains("spool"), "the path of the stored copy is shown: {detail}");
    is_shown(&site, &id, &detail).await;
    let done = site.import(10).await;
    assert_eq!(site.job_is(&done, "done").await["error"], Value::Null);
    site.is_balanced().await;
}

/// No account has the rows that were not read, so the job must say that they are missing.
async fn a_truncated_upload_fails_with_its_reason(mut site: Site) {
    for mut role in site.roles.drain(..) {
        role.kill9().await;
    }
    // As by another process that is slow: the upload waits on disk.
    let held = OutboxLock::take(&site.folder().join("imports.db")).expect("free");
    site.work().await;
    let id = site.import_text("big.csv", &csv(3_000)).await;
    let spooled = site.folder().join("spool").join(format!("{id}.csv"));
    let file = std::fs::File::options().write(true).open(&spooled).expect("the stored copy");
    file.set_len(50_000).expect("truncates");
    drop(held);
    let job = site.job_is(&id, "failed").await;
    assert_eq!(job["error"]["code"], "file_changed", "{job}");
    let detail = job["error"]["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("big.csv was truncated or changed"), "{detail}");
    let rows = job["total"].as_u64().expect("a number");
    assert!(rows > 0 && rows < 3_000, "{job}");
    assert_eq!(job["processed"], rows, "what was read has ended: {job}");
    assert!(detail.contains(&format!("{} of it had been read", plural(rows, "row"))), "{detail}");
    is_shown(&site, &id, &detail).await;
    let verified = site.isobar(&["verify", "--json"]).run().await.expect_code(0).json();
    let failed = json!({"job_id": id, "source": "big.csv", "rows": rows, "code": "file_changed", "detail": detail});
    assert_eq!(verified["failed_jobs"], json!([failed]));
    let said = site.isobar(&["verify"]).run().await.expect_code(0).stdout;
    assert!(
        said.contains(&format!("FAILED job {id} (big.csv), {} read: ", plural(rows, "row"))),
        "{said}"
    );
}

/// In the results, the summary, the events, on the page, in the log and on the terminal.
async fn is_shown(site: &Site, id: &str, detail: &str) {
    let results = site.http.get(&format!("/bulk/jobs/{id}/results")).await.json();
    assert_eq!(results["error"]["detail"], detail, "{results}");
    let list = site.http.get("/bulk/jobs").await.json();
    assert_eq!(list["items"][0]["error"]["detail"], detail, "{list}");
    until(PATIENCE, "the summary has the job", async || {
        let summary = site.http.get("/bulk/summary").await.json();
        summary["failed_jobs"][0]["error"]["detail"] == detail
    })
    .await;
    let events = site.http.get(&format!("/bulk/jobs/{id}/events")).await.body;
    assert!(events.contains("event: done") && events.contains(detail), "{events}");
    until(PATIENCE, "the page shows the reason", async || {
        site.http.get("/").await.body.contains(detail)
    })
    .await;
    let log = site.roles[0].stderr_so_far();
    assert!(log.contains("the job failed") && log.contains(detail), "{log}");
    for (command, code) in [("show", 0), ("watch", 1), ("results", 0)] {
        let said = site.isobar(&["jobs", command, id]).run().await.expect_code(code).stdout;
        assert!(said.contains(detail), "{command}: {said}");
        let json = site.isobar(&["jobs", command, id, "--json"]).run().await.expect_code(code);
        assert_eq!(json.json()["error"]["detail"], detail, "{command}");
    }
    let said = site.isobar(&["jobs", "list"]).run().await.expect_code(0).stdout;
    assert!(said.contains(detail), "{said}");
}
