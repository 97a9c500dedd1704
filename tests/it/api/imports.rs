//! Imports and syncs: what is taken, what is refused, and that a 202 is kept whatever happens.

use isobar_model::ids::JobId;
use isobar_model::task::{JobError, JobSeal, SealOutcome};
use isobar_store::Commit;
use reqwest::Method;
use serde_json::json;

use super::{Api, is_problem};
use crate::harness::http::{Reply, send};

const BOUNDARY: &str = "isobar-test-boundary";

/// A multipart body of these fields; a field with a file name is a file.
fn multipart(fields: &[(&str, Option<&str>, &str)]) -> String {
    let part = |(name, file, value): &(&str, Option<&str>, &str)| {
        let file = file.map_or(String::new(), |file| {
            format!("; filename=\"{file}\"\r\ncontent-type: text/csv")
        });
        format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
        )
    };
    let parts: String = fields.iter().map(part).collect();
    parts + &format!("--{BOUNDARY}--\r\n")
}

async fn post(api: &Api, body: String, headers: &[(&str, &str)]) -> Reply {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let request =
        api.http.request(Method::POST, "/bulk/import/").header("content-type", kind).body(body);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(request).await.expect("an answer")
}

async fn upload(api: &Api, csv: &str) -> Reply {
    post(api, multipart(&[("file", Some("cities.csv"), csv)]), &[]).await
}

/// The file was taken: its job is queued, and Location leads to it.
async fn is_taken(api: &Api, reply: &Reply) {
    assert_eq!(reply.status, 202, "{}", reply.body);
    let body = reply.json();
    assert_eq!(body["status"], "queued");
    let job = api.get(&format!("/bulk/jobs/{}", body["job_id"].as_str().expect("an id"))).await;
    assert_eq!((job.status.as_u16(), &job.json()["status"]), (200, &json!("queued")));
}

#[tokio::test]
async fn an_upload_is_a_queued_job_and_so_is_a_sync() {
    let api = Api::start().await;
    is_taken(&api, &upload(&api, "city\nParis\n").await).await;
    let sync = api.http.post("/api/sync/", &json!({})).await;
    assert_eq!(sync.status, 202);
    assert_eq!(sync.json()["status"], "started");
    let again = api.http.post("/api/sync", &json!({})).await;
    assert_eq!(again.json(), sync.json(), "a running sync answers with its id");
    let jobs = api.get("/bulk/jobs").await.json();
    let kinds: Vec<_> =
        jobs["items"].as_array().expect("jobs").iter().map(|job| &job["kind"]).collect();
    assert_eq!(kinds, ["sync", "import"], "newest first");
}

#[tokio::test]
async fn the_same_key_with_the_same_file_is_the_same_job_and_with_another_file_is_refused() {
    let api = Api::start().await;
    let key = [("idempotency-key", "monday")];
    let paris = multipart(&[("file", Some("a.csv"), "city\nParis\n")]);
    let first = post(&api, paris.clone(), &key).await.json();
    assert_eq!(post(&api, paris, &key).await.json()["job_id"], first["job_id"]);
    let rome = multipart(&[("file", Some("a.csv"), "city\nRome\n")]);
    is_problem(&post(&api, rome, &key).await, 422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_repeated_key_answers_with_the_present_status() {
    let api = Api::start().await;
    let key = [("idempotency-key", "monday")];
    let file = ("file", Some("a.csv"), "city\nParis\n");
    let paris = multipart(&[file]);
    let first = post(&api, paris.clone(), &key).await.json();
    assert_eq!(first["status"], "queued");
    let job_id: JobId = first["job_id"].as_str().expect("an id").parse().expect("an id");
    let error = Some(JobError::new("file_missing", "the stored copy of a.csv is missing"));
    let outcome = SealOutcome::Failed;
    let seal = JobSeal { job_id, rows: 0, rejected: 0, duplicates: 0, outcome, error };
    let commit = Commit { seals: vec![seal], ..Commit::default() };
    api.store.commit(&commit).await.expect("commits");
    let again = post(&api, paris, &key).await;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (202, &json!("failed")));
    assert_eq!(again.json()["job_id"], first["job_id"]);

    let forced = multipart(&[file, ("force", None, "true")]);
    let refused = post(&api, forced, &key).await;
    is_problem(&refused, 422, "idempotency_key_reused");
    assert!(refused.body.contains("the same file and other options (force)"), "{}", refused.body);
}

#[tokio::test]
async fn a_body_without_a_usable_file_is_refused() {
    let api = Api::with(&[("ISOBAR_MAX_UPLOAD", "1KiB")]).await;
    is_problem(&post(&api, multipart(&[]), &[]).await, 422, "unprocessable");
    is_problem(&post(&api, String::new(), &[]).await, 400, "invalid_body");
    is_problem(&upload(&api, "").await, 422, "unprocessable");
    let other = multipart(&[("data", Some("a.csv"), "city\nParis\n")]);
    is_problem(&post(&api, other, &[]).await, 422, "unprocessable");
    let flag = multipart(&[("file", Some("a"), "city\nParis\n"), ("force", None, "maybe")]);
    is_problem(&post(&api, flag, &[]).await, 422, "unprocessable");
    is_problem(&upload(&api, &"x".repeat(1_025)).await, 413, "payload_too_large");
    is_problem(&upload(&api, &"x".repeat(200_000)).await, 413, "payload_too_large");
}

#[tokio::test]
async fn a_path_is_read_only_from_the_import_folder() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let inside = folder.path().join("in");
    std::fs::create_dir(&inside).expect("create a folder");
    std::fs::write(inside.join("a.csv"), "city\nParis\n").expect("write a file");
    std::fs::write(folder.path().join("b.csv"), "city\nRome\n").expect("write a file");
    let inside = inside.to_string_lossy().into_owned();
    let api = Api::with(&[("ISOBAR_IMPORT_DIR", inside.as_str())]).await;

    let taken = api.http.post("/bulk/import", &json!({"path": "a.csv", "force": true})).await;
    is_taken(&api, &taken).await;
    for path in ["../b.csv", "/etc/passwd", "nowhere.csv", "."] {
        let refused = api.http.post("/bulk/import", &json!({"path": path})).await;
        is_problem(&refused, 422, "unprocessable");
    }
    is_problem(&api.http.post("/bulk/import", &json!({})).await, 422, "unprocessable");

    let form = api
        .http
        .request(Method::POST, "/bulk/import")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("path=a.csv");
    is_taken(&api, &send(form).await.expect("an answer")).await;
}

#[tokio::test]
async fn imports_by_path_are_off_unless_a_folder_is_named() {
    let api = Api::start().await;
    let refused = api.http.post("/bulk/import", &json!({"path": "Cargo.toml"})).await;
    is_problem(&refused, 422, "unprocessable");
    assert!(refused.body.contains("ISOBAR_IMPORT_DIR"), "{}", refused.body);
}

#[tokio::test]
async fn what_surrounds_the_file_has_a_limit_of_its_own() {
    let api = Api::start().await;
    let file = multipart(&[("file", Some("a.csv"), "city\nParis\n")]);
    let filler = "x".repeat(2 << 20);
    let head = format!("--{BOUNDARY}\r\nx-filler: {filler}\r\n\r\n\r\n");
    let padding = format!("--{BOUNDARY}{}\r\n", " ".repeat(2 << 20));
    let small = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n\r\n");
    for surroundings in [filler.clone() + "\r\n", head, padding, small.repeat(20_000)] {
        let refused = post(&api, surroundings + &file, &[]).await;
        is_problem(&refused, 413, "payload_too_large");
    }
    assert_eq!(api.get("/bulk/jobs").await.json()["items"], json!([]), "nothing was imported");
    is_taken(&api, &post(&api, format!("a preamble\r\n{file}"), &[]).await).await;
    let csv = format!("city\n{}", "Paris\n".repeat(500_000));
    is_taken(&api, &upload(&api, &csv).await).await;
    let other = multipart(&[("notes", None, &filler), ("file", Some("b.csv"), "city\nRome\n")]);
    is_taken(&api, &post(&api, other, &[]).await).await;
}

#[tokio::test]
async fn fields_that_nobody_reads_count_towards_the_limit_of_an_upload() {
    let api = Api::with(&[("ISOBAR_MAX_UPLOAD", "1MiB")]).await;
    let filler = "x".repeat(1_200_000);
    let body = multipart(&[("notes", None, &filler), ("file", Some("a.csv"), "city\nParis\n")]);
    // Without a length, as a client sends what it makes on the way.
    let pieces: Vec<_> = body.as_bytes().chunks(10_000).map(<[u8]>::to_vec).collect();
    let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let request = api
        .http
        .request(Method::POST, "/bulk/import")
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(reqwest::Body::wrap_stream(pieces));
    is_problem(&send(request).await.expect("an answer"), 413, "payload_too_large");
}

#[tokio::test]
async fn hosts_with_one_store_share_the_idempotency_keys() {
    let shared = tempfile::tempdir().expect("temporary folder");
    let store = format!("sqlite://{}", shared.path().join("shared.db").display());
    let settings = [("DATABASE_URL", store.as_str())];
    let (one, other) = (Api::with(&settings).await, Api::with(&settings).await);
    let key = [("idempotency-key", "monday")];
    let paris = multipart(&[("file", Some("a.csv"), "city\nParis\n")]);
    let rome = multipart(&[("file", Some("a.csv"), "city\nRome\n")]);

    let first = post(&one, paris.clone(), &key).await;
    assert_eq!(first.status, 202);
    is_problem(&post(&other, rome.clone(), &key).await, 422, "idempotency_key_reused");
    for host in [&one, &other] {
        let repeat = post(host, paris.clone(), &key).await;
        assert_eq!((repeat.status.as_u16(), repeat.json()), (202, first.json()));
        is_problem(&post(host, rome.clone(), &key).await, 422, "idempotency_key_reused");
    }
    let jobs = other.get("/bulk/jobs").await.json();
    assert_eq!(jobs["items"].as_array().expect("jobs").len(), 1);
    let spooled = std::fs::read_dir(other.settings.data_file("spool")).expect("a folder").count();
    assert_eq!(spooled, 0, "the first host has the file");
}

#[tokio::test]
async fn a_sync_takes_force_and_refuses_everything_else() {
    let api = Api::start().await;
    for body in [json!({"forse": true}), json!({"force": "yes"}), json!([true]), json!("x")] {
        let reply = api.http.post("/api/sync/", &body).await;
        is_problem(&reply, 422, "unprocessable");
    }
    assert_eq!(api.get("/bulk/jobs").await.json()["items"], json!([]), "nothing was started");
    assert_eq!(api.http.post("/api/sync/", &json!({"force": true})).await.status, 202);
}
