//! What README.md and ARCHITECTURE.md say must be so.
//!
//! The tables of settings and metrics are compared with those in code, the API's examples are run as they stand
//! there, and whatever file, test, metric or heading the documents name has to exist. Sentences are
//! for people to check; this only sees to it that what can be looked up is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use isobar_shared::config::SETTINGS;
use isobar_shared::metric::Metric;
use tokio::process::Command;

use crate::harness::guard::clean_environment;
use crate::harness::http::Http;
use crate::harness::isobar::Isobar;
use crate::harness::wait::{PATIENCE, until};
use crate::metrics::known;
use crate::tidy::collect;

const README: &str = include_str!("../../README.md");
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const ENV_EXAMPLE: &str = include_str!("../../.env.example");
const ROUTER: &str = include_str!("../../api/src/router.rs");

/// Where the examples expect the API; the test has it elsewhere.
const WRITTEN_BASE: &str = "http://127.0.0.1:8000";
const FOLDERS: [&str; 10] = [
    "src/",
    "shared/",
    "producer/",
    "consumer/",
    "api/",
    "sim/",
    "tests/",
    "data/",
    "deploy/",
    ".ci/",
];

#[test]
fn the_readme_lists_every_setting_with_its_default_and_no_other() {
    let mut written: Vec<_> = section("settings").lines().filter_map(setting).collect();
    let mut known: Vec<_> = SETTINGS.iter().map(|known| (known.name, known.default)).collect();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}

#[test]
fn the_readme_lists_every_metric_with_its_labels_and_no_other() {
    let mut written = BTreeMap::new();
    for line in section("metrics").lines().filter_map(|line| line.strip_prefix("| `")) {
        let mut cells = line.split(" | ");
        let names = cells.next().expect("a cell of names");
        let labels: Vec<&str> = quoted(cells.next().expect("a cell of labels")).collect();
        // The first tick was taken off with the bar before it.
        for name in names.split('`').step_by(2).filter(|name| !name.is_empty()) {
            written.insert(name.to_owned(), labels.clone());
        }
    }
    let labels = |metric: &Metric| metric.labels.iter().map(|label| label.name).collect();
    let known: BTreeMap<String, Vec<&str>> =
        known().into_iter().map(|(name, metric)| (name.to_owned(), labels(metric))).collect();
    assert_eq!(written, known);
}

#[test]
fn every_setting_has_a_line_in_the_example_of_an_environment() {
    let names: Vec<&str> = ENV_EXAMPLE
        .lines()
        .filter_map(|line| Some(line.trim_start_matches('#').split_once('=')?.0))
        .collect();
    let absent: Vec<&str> =
        SETTINGS.iter().map(|known| known.name).filter(|name| !names.contains(name)).collect();
    assert!(absent.is_empty(), ".env.example does not have {absent:?}");
}

#[test]
fn every_route_has_an_example() {
    let examples = section("api");
    let rows = ROUTER.lines().filter_map(|line| {
        let line = line.trim_start();
        let row = ["quick(\"", "long(\"", "probe(\""];
        let path = row.iter().find_map(|start| line.strip_prefix(start))?.split('"').next()?;
        path.split('{').next()
    });
    let mut seen = 0;
    for path in rows {
        seen += 1;
        assert!(examples.contains(&format!("{WRITTEN_BASE}{path}")), "{path} has no example");
    }
    assert!(seen >= 15, "only {seen} rows were found in the router's table");
}

#[tokio::test]
async fn every_example_of_the_api_gives_the_status_it_promises() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // Port 0: the kernel names a free one, and `up` says which.
    let up =
        Isobar::new(dir.path()).env("ISOBAR_LISTEN", "127.0.0.1:0").args(["up", "--sim"]).spawn();
    let said = up.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let base = said.trim_start_matches("listening on ").to_owned();
    let http = Http::new(&base);
    until(PATIENCE, "the API is ready", async || {
        http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
    })
    .await;

    let examples = examples(section("api"));
    assert!(examples.len() >= 15, "only {} examples were found", examples.len());
    for Example { script, status } in examples {
        let script = script.replace(WRITTEN_BASE, &base);
        let ran = Command::new("bash")
            .args(["-c", &script])
            .env_clear()
            .envs(clean_environment())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, ran)
            .await
            .unwrap_or_else(|_| panic!("this does not end: {script}"))
            .expect("bash starts");
        let answered = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(answered, status, "{script}\n{complaint}\n{}", up.stderr_so_far());
    }
}

#[test]
fn every_file_test_metric_and_heading_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(root, root, &mut paths);
    let sources: Vec<String> = paths
        .iter()
        .map(|path| fs::read_to_string(root.join(path)).expect("read a source file"))
        .collect();
    let mut faults = Vec::new();
    for (document, text) in [("README.md", README), ("ARCHITECTURE.md", ARCHITECTURE)] {
        for name in quoted(text) {
            if FOLDERS.iter().any(|folder| name.starts_with(folder)) {
                if !root.join(name).exists() {
                    faults.push(format!("{document}: there is no {name}"));
                }
            } else if is_test_or_metric(name) {
                let (function, metric) = (format!("fn {name}("), format!("\"{name}\""));
                let is_there = |text: &String| text.contains(&function) || text.contains(&metric);
                if !sources.iter().any(is_there) {
                    faults.push(format!("{document}: no test and no metric is called {name}"));
                }
            }
        }
        faults.extend(dead_links(root, document, text));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// One block of the README: what to run, and the status that it must print.
struct Example {
    script: String,
    status: String,
}

/// The text between the README's markers of this name.
fn section(name: &str) -> &'static str {
    let begin = format!("<!-- {name}:begin -->");
    let end = format!("<!-- {name}:end -->");
    let (_, rest) = README.split_once(&begin).expect("a marker where the section begins");
    rest.split_once(&end).expect("a marker where the section ends").0
}

/// Name and default of a row of the table of settings.
fn setting(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?;
    let default = match cells.next()? {
        "unset" => "",
        default => default.trim_matches('`'),
    };
    Some((name, default))
}

/// Each block is any lines of preparation, one line with curl, and `# → ` with the status.
fn examples(text: &str) -> Vec<Example> {
    let blocks = text.split("```sh\n").skip(1);
    let example = |rest: &str| {
        let block = rest.split("```").next().unwrap_or(rest);
        let (commands, status) = block
            .trim_end()
            .rsplit_once("\n# → ")
            .unwrap_or_else(|| panic!("no status stands under {block}"));
        let (preparation, curl) = commands.rsplit_once('\n').unwrap_or(("", commands));
        assert!(curl.starts_with("curl "), "the last command is not curl: {block}");
        let script = format!(
            "set -euo pipefail\n{preparation}\n{curl} -s -o /dev/null -w '%{{http_code}}'\n"
        );
        Example { script, status: status.to_owned() }
    };
    blocks.map(example).collect()
}

/// What stands in backticks and is one word.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    // Every second piece is quoted; the three ticks of a block do not change whose turn it is.
    let spans = text.split('`').skip(1).step_by(2);
    spans.filter(|span| !span.is_empty() && !span.contains(char::is_whitespace))
}

/// Tests are sentences; no other name in the documents has that many words.
fn is_test_or_metric(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        && (name.starts_with("isobar_") || name.matches('_').count() >= 4)
}

/// Links to files or headings of ours that are not there.
fn dead_links(root: &Path, document: &str, text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let ours = targets.filter(|target| !target.starts_with("http"));
    let is_dead = |target: &&str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let file = if file.is_empty() { document } else { file };
        // A picture is no text, but it must be there.
        let Ok(linked) = fs::read(root.join(file)) else { return true };
        let linked = String::from_utf8_lossy(&linked);
        let mut headings = linked.lines().filter(|line| line.starts_with('#')).map(anchor);
        !heading.is_empty() && !headings.any(|anchor| anchor == heading)
    };
    ours.filter(is_dead).map(|target| format!("{document}: {target} leads nowhere")).collect()
}

/// The anchor that forges make of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn examples_and_names_are_read_as_they_are_meant() {
    let text = "Say:\n```sh\nJOB=7\ncurl x/$JOB\n# → 404\n```\n and `a_b` in `src/main.rs`";
    let read = examples(text);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].status, "404");
    assert!(read[0].script.contains("JOB=7\ncurl x/$JOB -s "), "{}", read[0].script);
    assert_eq!(quoted(text).collect::<Vec<_>>(), ["a_b", "src/main.rs"]);
    assert_eq!(setting("| `A` | `1/2` | meaning | |"), Some(("A", "1/2")));
    assert_eq!(setting("| `A_B` | unset | meaning | |"), Some(("A_B", "")));
    assert_eq!(setting("| variable | default | meaning | |"), None);
    assert_eq!(anchor("## Windows and macOS"), "windows-and-macos");
}
