//! Imports and syncs: what is taken, what is refused, and that a 202 is kept whatever happens.

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

/// The body was read and found good. 501 is what the stand-in says then, until the producer's
/// imports are here; a 202 that loses its file would be worse.
fn is_taken(reply: &Reply) {
    is_problem(reply, 501, "not_implemented");
}

#[tokio::test]
async fn nothing_is_promised_that_is_not_safe() {
    let api = Api::start().await;
    is_taken(&upload(&api, "city\nParis\n").await);
    is_taken(&api.http.post("/api/sync/", &json!({})).await);
    let jobs = api.get("/bulk/jobs").await.json();
    assert_eq!(jobs["items"], json!([]));
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
    is_taken(&taken);
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
    is_taken(&send(form).await.expect("an answer"));
}

#[tokio::test]
async fn imports_by_path_are_off_unless_a_folder_is_named() {
    let api = Api::start().await;
    let refused = api.http.post("/bulk/import", &json!({"path": "Cargo.toml"})).await;
    is_problem(&refused, 422, "unprocessable");
    assert!(refused.body.contains("ISOBAR_IMPORT_DIR"), "{}", refused.body);
}
