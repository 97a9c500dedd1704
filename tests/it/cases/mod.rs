//! Inputs as people have them: the table in `files.txt`, for an upload and for the command alike.
//!
//! A person adds a case by a line. Each file runs through `POST /bulk/import` of a real server and
//! through `isobar produce --csv`; both must come to the end that the table says, row by row. There
//! are no workers: the rows are read from the stream.

mod identity;
mod rejects;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use isobar_broker::{Broker, Entry, EntryId, Lane, Topic};
use isobar_settings::{Environment, Settings};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use self::table::{Case, End, Row, cases};
use crate::harness::http::{Http, Reply, send};
use crate::harness::isobar::{Isobar, Running};
use crate::harness::wait::{PATIENCE, until};

const BOUNDARY: &str = "isobar-test-boundary";

/// A data folder with its embedded broker, and a server.
struct Place {
    dir: TempDir,
    broker: Broker,
    topic: Topic,
    http: Http,
    _server: Running,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let server = Isobar::new(dir.path()).args(["serve", "--listen", "127.0.0.1:0"]).spawn();
        let line = server.wait_for_line(|line| line.starts_with("listening on "), PATIENCE).await;
        let http = Http::new(line.trim_start_matches("listening on "));
        until(PATIENCE, "the API is ready", async || {
            http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
        })
        .await;
        let environment =
            Environment::empty().with("ISOBAR_DATA_DIR", dir.path().to_string_lossy());
        let settings = Arc::new(Settings::load(&environment).expect("settings"));
        let broker = Broker::open(&settings).expect("a broker");
        let topic = Topic::new(&settings.stream, &settings.group);
        Self { dir, broker, topic, http, _server: server }
    }

    async fn upload(&self, bytes: &[u8]) -> Reply {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f.csv\"\r\n\r\n"
        );
        let body = [head.as_bytes(), bytes, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = self.http.request(Method::POST, "/bulk/import");
        let sent = send(request.header("content-type", kind).body(body)).await;
        sent.expect("an answer")
    }

    async fn entries(&self, lane: Lane, job: &str) -> Vec<BTreeMap<String, String>> {
        let (mut found, mut after) = (Vec::new(), EntryId::ZERO);
        loop {
            // Before the first batch there is no stream.
            let Ok(page) = self.broker.peek(&self.topic, lane, after, 1_000).await else {
                return found;
            };
            let Some(last) = page.last() else { return found };
            after = last.id;
            found.extend(page.iter().map(fields).filter(|fields| fields["job_id"] == job));
        }
    }

    /// The rows of a job whose seal is in the stream.
    async fn rows(&self, job: &str) -> Vec<Row> {
        until(PATIENCE, "the job is sealed", async || {
            let control = self.entries(Lane::Control, job).await;
            control.iter().any(|fields| fields["kind"] == "seal")
        })
        .await;
        let mut rows = BTreeMap::new();
        for task in self.entries(Lane::Tasks, job).await {
            let text = |name: &str| task.get(name).cloned().unwrap_or_default();
            let cells = ["city", "country_code", "latitude_deg", "longitude_deg", "city_id"];
            let [name, country, latitude, longitude, id] = cells.map(text);
            // Numbers that Isobar derives are of no interest here.
            let id = if id.starts_with('-') { String::new() } else { id };
            let row: u64 = text("row").parse().expect("a number");
            let task = [name, country, latitude, longitude, id].join(",");
            rows.insert(row, Row::Task(task));
        }
        for fields in self.entries(Lane::Control, job).await {
            if fields["kind"] != "reject" {
                continue;
            }
            let body: Value = serde_json::from_str(&fields["body"]).expect("JSON");
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let row = body["row"].as_u64().expect("a number");
            let shown = format!("{} {}", text("city"), text("reason"));
            assert!(!shown.contains(char::is_control), "{shown:?}");
            rows.insert(row, Row::Reject { code: text("code"), words: vec![shown] });
        }
        let numbers: Vec<u64> = rows.keys().copied().collect();
        assert_eq!(numbers, (1..=rows.len() as u64).collect::<Vec<_>>(), "rows count from 1");
        rows.into_values().collect()
    }

    /// How the upload of a file ends.
    async fn uploaded(&self, case: &Case) -> End {
        let reply = self.upload(&case.bytes).await;
        let body = reply.json();
        match reply.status.as_u16() {
            202 => End::Rows(self.rows(body["job_id"].as_str().expect("an id")).await),
            status => {
                let detail = body["detail"].as_str().expect("a sentence").to_owned();
                End::Refused { status, words: vec![detail] }
            }
        }
    }

    /// How the command ends: a refusal has no status here.
    async fn produced(&self, case: &Case, number: usize) -> End {
        let path = self.dir.path().join(format!("case-{number}.csv"));
        std::fs::write(&path, &case.bytes).expect("writes");
        let slot = number.to_string();
        let args = ["produce", "--json", "--slot", &slot, "--csv", &path.to_string_lossy()];
        let ended = Isobar::new(self.dir.path()).args(args).run().await;
        let report = ended.json();
        let rows = report["rows"].as_u64().expect("a number");
        let is_refused = ended.code == 1 && rows == 0;
        assert!(is_refused || ended.code == 0 || report["tasks"] == 0, "{ended:?}");
        if is_refused {
            return End::Refused { status: 0, words: vec![ended.stderr] };
        }
        End::Rows(self.rows(report["job_id"].as_str().expect("an id")).await)
    }
}

fn fields(entry: &Entry) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    entry.fields.0.iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[tokio::test]
async fn every_case_ends_alike_for_upload_and_command() {
    let place = Place::new().await;
    let mut faults = Vec::new();
    for (number, case) in cases().into_iter().enumerate() {
        for (way, end) in [
            ("upload", place.uploaded(&case).await),
            ("command", place.produced(&case, number).await),
        ] {
            if !case.end.fits(&end) {
                faults.push(format!(
                    "{} ({way})\n  should: {}\n  is:     {end}",
                    case.name, case.end
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{} cases\n{}", faults.len(), faults.join("\n"));
}
