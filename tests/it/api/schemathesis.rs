//! The API as a stranger with its document sees it: every answer is one that the document names.
//!
//! schemathesis makes requests from the document, sensible ones and nonsense, and holds each answer
//! to it: no 5xx, no status, content type, header or shape that is not documented. It asks the real
//! binary, with a few things in it to be found. Seed and number of examples are fixed, so that a run
//! which passes passes again; what it finds is a defect of the API or of the document.

use serde_json::json;
use tokio::process::Command;

use crate::harness::guard::{clean_environment, program};
use crate::harness::http::Http;
use crate::harness::isobar::Isobar;
use crate::harness::wait::{LONG_PATIENCE, PATIENCE, eventually, until};

/// What is held against each answer. That nonsense is refused is the concern of tests that know
/// which nonsense: an unknown parameter is ignored on purpose, and so is an empty one.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,\
    allow_header_conformance";

/// A stream without an end: every case would wait for its time limit.
const NOT_ASKED: &str = "[[operations]]\ninclude-path = \"/live\"\nenabled = false\n";

#[tokio::test]
async fn every_answer_is_as_the_document_says_whatever_is_asked() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let up =
        Isobar::new(dir.path()).env("ISOBAR_LISTEN", "127.0.0.1:0").args(["up", "--sim"]).spawn();
    let said = up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let base = said.trim_start_matches("listening on ");
    let http = Http::new(base);
    let job = something_to_find(&http).await;
    let config = dir.path().join("schemathesis.toml");
    std::fs::write(&config, config_for(&job)).expect("write the configuration");

    let mut command = Command::new(program("schemathesis"));
    command.arg("--config-file").arg(&config).arg("run").arg(format!("{base}/openapi.json"));
    for (option, value) in [
        ("--phases", "examples,coverage,fuzzing"),
        ("--checks", CHECKS),
        ("--max-examples", "25"),
        ("--seed", "7"),
        ("--request-timeout", "20"),
    ] {
        command.args([option, value]);
    }
    let running = command
        .args(["--continue-on-failure", "--no-color"])
        .env_clear()
        .envs(clean_environment())
        .env("HOME", dir.path())
        .current_dir(dir.path())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LONG_PATIENCE, running)
        .await
        .expect("schemathesis ends")
        .expect("schemathesis starts");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{found}\n{}", last_lines(&up.stderr_so_far()));
    assert!(found.contains("passed"), "{found}");
}

/// A finished job with rows of every kind, a snapshot and a search.
async fn something_to_find(http: &Http) -> String {
    until(PATIENCE, "the API is ready", async || {
        http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
    })
    .await;
    let csv = "city,latitude,longitude\nParis,48.85,2.35\nNowhere,91,0\nParis,48.85,2.35\n";
    let boundary = "isobar";
    let body = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{csv}\r\n--{boundary}--\r\n"
    );
    let request = http
        .request(reqwest::Method::POST, "/bulk/import")
        .header("content-type", format!("multipart/form-data; boundary={boundary}"))
        .body(body);
    let taken = crate::harness::http::send(request).await.expect("an answer").json();
    let job = taken["job_id"].as_str().expect("an id").to_owned();
    eventually(PATIENCE, "the import is done", async || {
        let state = http.get(&format!("/bulk/jobs/{job}")).await.json();
        (state["status"] == json!("done")).then_some(())
    })
    .await;
    assert_eq!(http.get("/weather?city=Paris").await.status, 200);
    job
}

/// Ids that lead somewhere, so that what lies behind them is looked at as well.
fn config_for(job: &str) -> String {
    let of_job = ["", "/results", "/events", "/cancel", "/pause", "/resume"]
        .map(|rest| (format!("/bulk/jobs/{{id}}{rest}"), job));
    let of_city = [("/cities/{id}".to_owned(), "2988507")];
    let operation = |(path, id): (String, &str)| {
        format!("[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ id = \"{id}\" }}\n")
    };
    let with_ids: String = of_job.into_iter().chain(of_city).map(operation).collect();
    with_ids + NOT_ASKED
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
