//! Examples of the API: each request is run as written, each answer compared with what is written.
//!
//! An example is a block `sh` that ends with curl, followed by a block `http`. Status line and
//! content type must be equal, other headers present, JSON of the same shape: the same keys and
//! types, arrays by their first element, null like anything. Of other bodies the first line that is
//! written must be one of the answer's. `$JOB` is the job of the last 202.

use serde_json::Value;
use tokio::process::Command;

use super::{read, split};
use crate::harness::guard::clean_environment;
use crate::harness::http::Http;
use crate::harness::isobar::Isobar;
use crate::harness::wait::{PATIENCE, until};

/// Where the examples expect the API; the test has it elsewhere.
const WRITTEN_BASE: &str = "http://127.0.0.1:8000";
const OPENAPI: &str = include_str!("../../../api/openapi.json");

struct Example {
    request: String,
    answer: Answer,
}

/// Status line, headers and body.
#[derive(Debug)]
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[test]
fn every_route_has_an_example() {
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut routes: Vec<String> = Vec::new();
    for (path, methods) in paths {
        let methods = methods.as_object().expect("methods").keys();
        routes.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let text = read("docs/api.md");
    let sections = text.split("\n### ").skip(1).map(|section| section.split_once('\n'));
    let mut written: Vec<String> = Vec::new();
    for (route, section) in sections.map(|section| section.expect("a section")) {
        let (_, path) = route.split_once(' ').expect("a method and a path");
        let called = format!("{WRITTEN_BASE}{}", path.split('{').next().unwrap_or_default());
        assert!(!examples(section).is_empty(), "{route} has no example");
        assert!(section.contains(&called), "the example of {route} calls another route");
        written.push(route.to_owned());
    }
    routes.sort();
    written.sort();
    assert_eq!(written, routes);
}

#[tokio::test]
async fn every_example_is_answered_as_written() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // Port 0: the kernel names a free one, and `up` reports which.
    let up = Isobar::new(dir.path())
        .env("ISOBAR_LISTEN", "127.0.0.1:0")
        .env("ISOBAR_USERS_CRON", "@every 1s")
        .env("ISOBAR_ADDRESSES_CRON", "@every 1s")
        .env("ISOBAR_CARDS_CRON", "@every 1s")
        .args(["up", "--sim"])
        .spawn();
    let said = up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let base = said.trim_start_matches("listening on ").to_owned();
    let http = Http::new(&base);
    until(PATIENCE, "a user has an address and a card", async || {
        http.try_get("/users?has_address=true&has_card=true&external_id=1")
            .await
            .is_ok_and(|reply| reply.status.is_success() && reply.json()["total"] == 1)
    })
    .await;

    let (mut job, mut faults) = (String::new(), Vec::new());
    for document in ["docs/api.md", "README.md"] {
        let examples = examples(&read(document));
        assert!(examples.len() >= 3, "only {} examples in {document}", examples.len());
        for Example { request, answer: written } in examples {
            let answer = run(&request.replace(WRITTEN_BASE, &base), &job).await;
            let found = differences(&written, &answer);
            faults.extend(found.iter().map(|fault| format!("{document}: {request}\n  {fault}")));
            if answer.status.contains(" 202 ") {
                let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                let id = body["job_id"].as_str().or(body["task_id"].as_str());
                job = id.map_or(job, str::to_owned);
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n{}", faults.join("\n"), up.stderr_so_far());
}

fn examples(text: &str) -> Vec<Example> {
    let blocks = split(text).1;
    let pairs =
        blocks.windows(2).filter(|pair| pair[0].language == "sh" && pair[1].language == "http");
    let example = |pair: &[super::Block]| Example {
        request: pair[0].text.trim_end().to_owned(),
        answer: answer(&pair[1].text),
    };
    pairs.map(example).collect()
}

async fn run(request: &str, job: &str) -> Answer {
    let ran = Command::new("bash")
        // `--max-time` ends a stream; curl reports that as an error, and it is not one here.
        .args(["-c", &format!("{request} -s -i")])
        .env_clear()
        .envs(clean_environment())
        .env("JOB", job)
        .current_dir(super::root())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, ran).await;
    let output = output.unwrap_or_else(|_| panic!("this does not end: {request}"));
    answer(&String::from_utf8_lossy(&output.expect("bash starts").stdout).replace("\r\n", "\n"))
}

fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().trim_end().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    Answer { status, headers: lines.filter_map(header).collect(), body: body.trim().to_owned() }
}

fn differences(written: &Answer, answered: &Answer) -> Vec<String> {
    if written.status != answered.status {
        return vec![format!("the answer is {answered:?}")];
    }
    let mut faults = Vec::new();
    for (name, value) in &written.headers {
        match answered.headers.iter().find(|(own, _)| own == name) {
            None => faults.push(format!("there is no header {name}")),
            Some((_, own)) if name == "content-type" && own != value => {
                faults.push(format!("the content type is {own}"));
            }
            Some(_) => {}
        }
    }
    if let Ok(shape) = serde_json::from_str::<Value>(&written.body) {
        let body = serde_json::from_str(&answered.body).unwrap_or_default();
        let other = if body == Value::Null {
            Some("it is not JSON".into())
        } else {
            shape_differs(&shape, &body, "")
        };
        faults.extend(other.map(|other| format!("{other}: {}", answered.body)));
    } else if let Some(first) = written.body.lines().next() {
        let found = answered.body.lines().any(|line| line == first);
        faults.extend((!found).then(|| format!("the body has no line {first}")));
    }
    faults
}

/// Where two values have different keys or types, if they do.
fn shape_differs(written: &Value, answered: &Value, at: &str) -> Option<String> {
    match (written, answered) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Object(written), Value::Object(answered)) => {
            let own: Vec<&String> = written.keys().collect();
            let other: Vec<&String> = answered.keys().collect();
            if own != other {
                return Some(format!("{at}/ has the keys {other:?}"));
            }
            written.iter().find_map(|(key, value)| {
                shape_differs(value, &answered[key], &format!("{at}/{key}"))
            })
        }
        (Value::Array(written), Value::Array(answered)) => {
            shape_differs(written.first()?, answered.first()?, &format!("{at}/0"))
        }
        _ => {
            let same = std::mem::discriminant(written) == std::mem::discriminant(answered);
            (!same).then(|| format!("{at} is of another type"))
        }
    }
}

#[test]
fn examples_are_read_as_written() {
    let text = "```sh\ncurl x\n```\n\n```http\nHTTP/1.1 200 OK\nContent-Type: a/b\nlink: x\n\n{\"a\":[1]}\n```\n";
    let read = examples(text);
    assert_eq!((read.len(), read[0].request.as_str()), (1, "curl x"));
    let faults = |text: &str| differences(&read[0].answer, &answer(text)).len();
    assert_eq!(faults("HTTP/1.1 200 OK\ncontent-type: a/b\nlink: y\n\n{\"a\":[]}"), 0);
    assert_eq!(faults("HTTP/1.1 200 OK\ncontent-type: a/b\nlink: y\n\n{\"a\":null}"), 0);
    assert_eq!(faults("HTTP/1.1 200 OK\ncontent-type: a/b\n\n{\"a\":[\"1\"]}"), 2);
    assert_eq!(faults("HTTP/1.1 200 OK\ncontent-type: a/c\nlink: y\n\n{\"b\":[1]}"), 2);
    assert_eq!(faults("HTTP/1.1 404 Not Found\n\n"), 1);
}
