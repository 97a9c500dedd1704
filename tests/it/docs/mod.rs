//! Documents: whatever README.md, docs/ and the other .md files name must exist.
//!
//! Here: the tables that are generated from code, links, and the names of files, tests and metrics.
//! Sentences are for people to check; these tests only see to what can be looked up.
//! Next: [`examples`] (requests with their answers), [`commands`] (`isobar …` lines and cli.md).

mod commands;
mod examples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use isobar_settings::SETTINGS;
use isobar_telemetry::metric::{Label, Metric};

use crate::metrics::known;
use crate::tidy::collect;

const ENV_EXAMPLE: &str = include_str!("../../../.env.example");

/// Longest allowed documents that everybody reads first.
const MAX_LINES: [(&str, usize); 2] = [("README.md", 200), ("ARCHITECTURE.md", 120)];

/// A name in backticks that begins so is a path of the repository.
const FOLDERS: [&str; 11] = [
    "src/",
    "shared/",
    "producer/",
    "consumer/",
    "api/",
    "sim/",
    "tests/",
    "data/",
    "deploy/",
    "docs/",
    ".ci/",
];

#[test]
fn settings_table_matches_the_code() {
    let rows = SETTINGS.iter().map(|setting| {
        let default = match setting.default {
            "" => "unset".to_owned(),
            default => format!("`{default}`"),
        };
        (setting.name, format!("{default} | {}", setting.meaning))
    });
    is_generated("docs/configuration.md", &rows.collect());
}

#[test]
fn metrics_table_matches_the_code() {
    let rows = known().into_iter().map(|(name, metric)| (name, metric_cells(metric)));
    is_generated("docs/operations/monitoring.md", &rows.collect());
}

#[test]
fn env_example_has_every_setting() {
    let names: Vec<&str> = ENV_EXAMPLE
        .lines()
        .filter_map(|line| Some(line.trim_start_matches('#').split_once('=')?.0))
        .collect();
    let absent: Vec<&str> =
        SETTINGS.iter().map(|known| known.name).filter(|name| !names.contains(name)).collect();
    assert!(absent.is_empty(), ".env.example does not have {absent:?}");
}

#[test]
fn the_first_documents_stay_short() {
    for (name, most) in MAX_LINES {
        let lines = read(name).lines().count();
        assert!(lines <= most, "{name} has {lines} lines, {most} at most");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let faults: Vec<String> =
        documents().iter().flat_map(|(document, text)| dead_links(document, text)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_named_file_test_and_metric_exists() {
    let mut paths = Vec::new();
    collect(root(), root(), &mut paths);
    let sources: Vec<String> = paths.iter().map(|path| read(path)).collect();
    let mut faults = Vec::new();
    for (document, text) in documents() {
        for name in words(&prose(&text)) {
            if FOLDERS.iter().any(|folder| name.starts_with(folder)) {
                // `<name>` stands for any name in a recipe.
                let missing = !name.contains(['<', '*']) && !root().join(&name).exists();
                faults.extend(missing.then(|| format!("{document}: there is no {name}")));
            } else if is_test_or_metric(&name) {
                let (function, metric) = (format!("fn {name}("), format!("\"{name}\""));
                let exists =
                    sources.iter().any(|text| text.contains(&function) || text.contains(&metric));
                faults.extend((!exists).then(|| format!("{document}: no test or metric {name}")));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Type, labels with the values that are known beforehand, and description, as cells of a row.
fn metric_cells(metric: &Metric) -> String {
    let label = |label: &Label| match label.values {
        [] => format!("`{}`", label.name),
        values => format!("`{}`: {}", label.name, values.join(", ")),
    };
    let labels: Vec<String> = metric.labels.iter().map(label).collect();
    format!("{} | {} | {}", metric.kind.as_str(), labels.join("; "), metric.help)
}

/// Fails unless each row `` | `name` | … | `` between the markers is the code's, and none is missing.
/// What the document should be is then written beside the build, so that a copy corrects it.
fn is_generated(document: &str, rows: &BTreeMap<&str, String>) {
    let text = read(document);
    let (mut corrected, mut absent) = (Vec::new(), rows.clone());
    let mut inside = false;
    for line in text.lines() {
        inside = (inside || line == "<!-- generated:begin -->") && line != "<!-- generated:end -->";
        let name = line.strip_prefix("| `").and_then(|row| row.split('`').next());
        match name.filter(|_| inside) {
            // A row whose name the code does not know falls away.
            Some(name) => {
                let cells = absent.remove(name);
                corrected.extend(cells.map(|cells| format!("| `{name}` | {cells} |")));
            }
            None => corrected.push(line.to_owned()),
        }
    }
    assert!(absent.is_empty(), "{document} lacks rows for {absent:#?}");
    let corrected = corrected.join("\n") + "\n";
    if corrected != text {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(document.replace('/', "-"));
        fs::write(&file, corrected).expect("write the document");
        panic!("{document} differs from the code; cp {} {document}", file.display());
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every .md file of the repository with its text.
fn documents() -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("list a folder") {
            let path = entry.expect("read a folder entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_ours = !name.starts_with('.') && !["target", "isobar-data"].contains(&&*name);
            if path.is_dir() && is_ours {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let relative = path.strip_prefix(root()).expect("below the root");
                let relative = relative.to_string_lossy().into_owned();
                found.push((relative.clone(), read(&relative)));
            }
        }
    }
    assert!(found.len() > 10, "the documents were not found");
    found
}

/// A fenced block: its language and its lines.
struct Block {
    language: String,
    text: String,
}

/// A document without its fenced blocks, and the blocks.
fn split(text: &str) -> (String, Vec<Block>) {
    let (mut prose, mut blocks, mut open) = (String::new(), Vec::new(), None::<Block>);
    for line in text.split_inclusive('\n') {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), text: String::new() });
            }
            (None, Some(block)) => block.text.push_str(line),
            (None, None) => prose.push_str(line),
        }
    }
    (prose, blocks)
}

fn prose(text: &str) -> String {
    split(text).0
}

/// What stands in backticks.
fn spans(prose: &str) -> impl Iterator<Item = &str> {
    prose.split('`').skip(1).step_by(2)
}

/// Spans of one word.
fn words(prose: &str) -> Vec<String> {
    let one = |span: &&str| !span.is_empty() && !span.contains(char::is_whitespace);
    spans(prose).filter(one).map(str::to_owned).collect()
}

/// Tests are sentences; no other name in the documents has that many words.
fn is_test_or_metric(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        && (name.starts_with("isobar_") || name.matches('_').count() >= 4)
}

/// Links to files or headings of ours that are not there.
fn dead_links(document: &str, text: &str) -> Vec<String> {
    let text = prose(text);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let ours = targets.filter(|target| !target.starts_with("http") && !target.contains(':'));
    let is_dead = |target: &&str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = match file {
            "" => root().join(document),
            file => plain(&root().join(document).with_file_name(file)),
        };
        // A picture is no text, but it must be there.
        let Ok(linked) = fs::read(&path) else { return !path.is_dir() };
        let linked = prose(&String::from_utf8_lossy(&linked));
        let mut anchors = linked.lines().filter(|line| line.starts_with('#')).map(anchor);
        !heading.is_empty() && !anchors.any(|anchor| anchor == heading)
    };
    ours.filter(is_dead).map(|target| format!("{document}: {target} leads nowhere")).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            part => path.push(part),
        }
        path
    })
}

/// The anchor that forges make of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn documents_are_read_as_written() {
    let text = "## A, b\n```sh\n# c\nls `x_y`\n```\n`a_b` in `src/main.rs`, `two words` [x](#c)";
    let (prose, blocks) = split(text);
    assert_eq!((blocks[0].language.as_str(), blocks[0].text.as_str()), ("sh", "# c\nls `x_y`\n"));
    assert_eq!(words(&prose), ["a_b", "src/main.rs"]);
    assert_eq!(anchor("### GET /bulk/jobs/{id}"), "get-bulkjobsid");
    assert_eq!(dead_links("README.md", text), ["README.md: #c leads nowhere"]);
    assert_eq!(dead_links("docs/csv.md", "[r](../README.md)"), [""; 0]);
    assert_eq!(dead_links("docs/csv.md", "[r](README.rst)").len(), 1);
    assert!(is_test_or_metric("an_older_observation_never_wins") && !is_test_or_metric("job_id"));
}
